use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::backend::reference;
use crate::dtype::{ByteOrder, DType};
use crate::value::Value;

const SPEC: Spec = Spec { op: crate::Op::Sum, dtype: DType::U8 };

/// The partial of an entry of one element, its position.
fn partial(position: u32) -> Partial {
    reference::reduce(SPEC, ByteOrder::Little, &[position as u8])
}

fn recorded(entries: usize, positions: impl IntoIterator<Item = u32>) -> Ledger {
    let mut ledger = Ledger::new(SPEC, entries);
    for position in positions {
        ledger.record(position, 1, &partial(position)).expect("an entry of the job");
    }
    ledger
}

#[test]
fn a_full_ledger_gives_its_total_and_the_proof() {
    let (total, coverage) = recorded(4, 0..4).into_total().expect("it is complete");
    assert_eq!(coverage.entries(), 4);
    assert_eq!(total.finish(None), Ok(Value::U64(6)));
    assert_eq!(total.counts().elements, 4);
}

#[test]
fn a_ledger_that_misses_an_entry_gives_itself_back() {
    let ledger = recorded(4, [0, 3]);
    assert_eq!(ledger.coverage(), None);
    let mut ledger = ledger.into_total().expect_err("two entries are missing");
    assert_eq!(ledger.missing().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((ledger.covered(), ledger.entries()), (2, 4));
    assert!(ledger.contains(0) && !ledger.contains(1) && !ledger.contains(99));
    for position in [2, 1] {
        assert_eq!(ledger.record(position, 1, &partial(position)), Ok(Recorded::First));
    }
    assert!(ledger.into_total().is_ok());
}

#[test]
fn no_entries_are_complete_from_the_start() {
    let (total, coverage) = Ledger::new(SPEC, 0).into_total().expect("nothing is missing");
    assert_eq!((coverage.entries(), total), (0, Partial::identity(SPEC)));
}

#[test]
fn the_second_partial_of_a_position_changes_nothing() {
    let mut ledger = recorded(2, [1]);
    assert_eq!(ledger.record(1, 1, &partial(1)), Ok(Recorded::Duplicate));
    // Not even one with another value.
    assert_eq!(ledger.record(1, 1, &partial(200)), Ok(Recorded::Duplicate));
    ledger.record(0, 1, &partial(0)).expect("an entry of the job");
    let (total, _) = ledger.into_total().expect("it is complete");
    assert_eq!(total.finish(None), Ok(Value::U64(1)));
}

#[test]
fn what_is_no_entry_of_the_job_is_refused_and_changes_nothing() {
    let mut ledger = recorded(2, [0]);
    assert_eq!(
        ledger.record(2, 1, &partial(2)),
        Err(RecordError::Position { position: 2, entries: 2 })
    );
    assert_eq!(
        ledger.record(1, 2, &partial(1)),
        Err(RecordError::Elements { position: 1, expected: 2, got: 1 })
    );
    let foreign = reference::reduce(Spec::sum(DType::I8), ByteOrder::Little, &[1]);
    let combine = CombineError::DTypes { left: DType::U8, right: DType::I8 };
    assert_eq!(ledger.record(1, 1, &foreign), Err(RecordError::Combine(combine)));
    // All of these may be tried again with the right partial.
    assert_eq!(ledger.missing().collect::<Vec<_>>(), [1]);
    assert_eq!(ledger.record(1, 1, &partial(1)), Ok(Recorded::First));
    assert_eq!(ledger.into_total().map(|(total, _)| total.counts().elements).ok(), Some(2));
}

#[test]
fn a_stream_grows_entry_by_entry() {
    let mut ledger = Ledger::new(SPEC, 0);
    for expected in 0..3 {
        let position = ledger.extend();
        assert_eq!(position, expected);
        assert_eq!(ledger.coverage(), None);
        ledger.record(position, 1, &partial(position)).expect("it was just added");
        assert_eq!(ledger.coverage().map(Coverage::entries), Some(position as usize + 1));
    }
}

proptest! {
    /// Any order, with anything twice: the total holds what the set holds.
    #[test]
    fn a_ledger_is_a_set_with_a_sum(positions in prop::collection::vec(0_u32..20, 0..60)) {
        let mut ledger = Ledger::new(SPEC, 20);
        let mut set = BTreeSet::new();
        for position in positions {
            let first = set.insert(position);
            let expected = if first { Recorded::First } else { Recorded::Duplicate };
            prop_assert_eq!(ledger.record(position, 1, &partial(position)), Ok(expected));
            prop_assert_eq!(ledger.covered(), set.len());
            prop_assert_eq!(ledger.coverage().is_some(), set.len() == 20);
        }
        let missing: Vec<u32> = (0..20).filter(|position| !set.contains(position)).collect();
        prop_assert_eq!(ledger.missing().collect::<Vec<_>>(), missing.clone());
        for position in missing {
            ledger.record(position, 1, &partial(position)).expect("an entry of the job");
        }
        let (total, _) = ledger.into_total().expect("it is complete");
        prop_assert_eq!(total.finish(None), Ok(Value::U64(190)));
    }
}
