//! Processes that are killed, stopped, and that panic, in every phase of every call.

use std::ops::Range;

use crate::launching::{expect, side_by_side};
use crate::single;

/// Ranks of a group that loses one after the other.
const SIZE: usize = 7;

/// Groups at a time that mostly wait until a silence has lasted long enough.
const WIDTH: usize = 8;

/// Lets ranks end one after the other in each call, so many groups at a time.
fn one_after_the_other(fault: &str, code: i32, shifts: Range<usize>, width: usize) {
    let calls = 0..single::CALLS;
    let jobs: Vec<(usize, usize)> =
        calls.flat_map(|call| shifts.clone().map(move |shift| (call, shift))).collect();
    side_by_side(&jobs, width, |(call, shift)| {
        let role = format!("{fault} {call} {shift} {}", shifts.end);
        let alone = format!("alone after {} deaths", SIZE - 1);
        expect(SIZE, &role, code, &[(&alone, 1), ("right to the end", 1)]);
    });
}

#[test]
fn processes_that_are_killed_in_any_phase_of_any_call() {
    one_after_the_other("kill", 128 + 9, 0..2, WIDTH);
}

#[test]
fn processes_that_stop_in_any_phase_of_any_call() {
    one_after_the_other("stop", 128 + 9, 0..1, WIDTH);
}

#[test]
fn processes_that_panic_in_any_phase_of_any_call() {
    // They say that they leave, so nobody waits.
    one_after_the_other("panic", 101, 0..4, 2);
}

#[test]
fn a_pause_in_any_phase_of_any_call_changes_nothing() {
    for (size, every) in [(2, 1), (4, 3)] {
        expect(size, &format!("pause {every}"), 0, &[("right to the end", size)]);
    }
}

#[test]
fn who_stops_for_too_long_is_told_that_the_others_went_on() {
    expect(4, "late", 0, &[("right to the end", 4)]);
}
