//! A thousand calls of all kinds in random order, on communicators that overlap.

use adsum::communicator::Config;

use crate::sequence;
use crate::threads::{group_with, tiny};

#[test]
fn a_thousand_calls_on_communicators_that_overlap() {
    for (size, seed) in [(4, 1), (7, 2), (2, 3)] {
        for config in [tiny(), Config::default()] {
            for ended in group_with(size, &config, move |comm| sequence::run(&comm, seed, 1000)) {
                assert_eq!(ended, Ok(()), "{size} ranks, seed {seed}");
            }
        }
    }
}
