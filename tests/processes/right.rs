//! Every call, and many calls in random order, between processes.

use crate::launching::{ranks, side_by_side};

/// The numbers of ranks that every call is made by.
const SIZES: [usize; 5] = [1, 2, 3, 4, 7];

const CALLS: u64 = 1000;

#[track_caller]
fn all_right(size: usize, role: &str) {
    let run = ranks(size, role);
    assert_eq!(run.code, Some(0), "{size} ranks, '{role}': {run:?}");
    assert_eq!(run.stdout.matches("right to the end\n").count(), size, "{run:?}");
}

#[test]
fn every_call_of_every_type_gives_what_the_oracle_says() {
    side_by_side(&SIZES, 2, |&size| all_right(size, "every"));
}

#[test]
fn arrays_of_many_segments_and_more_than_a_window() {
    SIZES.into_iter().for_each(|size| all_right(size, "large"));
}

/// `ADSUM_SEQUENCE_SEED` has other calls than those of every day.
#[test]
fn a_thousand_calls_on_communicators_that_overlap() {
    let seed: u64 = std::env::var("ADSUM_SEQUENCE_SEED").map_or(1, |seed| seed.parse().unwrap());
    for (size, config) in SIZES.into_iter().flat_map(|size| [(size, 0), (size, 1)]) {
        all_right(size, &format!("sequence {} {CALLS} {config}", seed + size as u64));
    }
}
