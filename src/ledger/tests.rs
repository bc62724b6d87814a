use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::backend::reference;
use crate::backend::{Place, Run};
use crate::dtype::{ByteOrder, DType, Layout};
use crate::finish::{Options, finish};
use crate::manifest::{Cut, File, Manifest, imaginary_file};
use crate::op::{Monoid, Op, Term};
use crate::value::Value;

fn spec() -> Spec {
    Spec::sum(DType::U8)
}

/// An entry of one element.
fn entry(position: u32) -> Entry {
    let start = u64::from(position);
    Entry::line(position, start..start + 1)
}

/// The partial of an entry of one element, its position.
fn partial(position: u32) -> Partial {
    reference::reduce_line(&spec(), ByteOrder::Little, &[position as u8])
}

fn recorded(entries: usize, positions: impl IntoIterator<Item = u32>) -> Ledger {
    let mut ledger = Ledger::new(&spec(), entries, 1);
    for position in positions {
        ledger.record(&entry(position), &partial(position)).expect("an entry of the job");
    }
    ledger
}

fn sum(total: &Partial, output: usize) -> Value {
    let finished = finish(Op::Sum, total.states(output), Options::default(), DType::U64);
    finished.expect("every sum has a value").value
}

fn uint64(value: u64) -> Value {
    Value::of(DType::U64, value)
}

#[test]
fn a_full_ledger_gives_its_total_and_the_proof() {
    let (total, coverage) = recorded(4, 0..4).into_total().expect("it is complete");
    assert_eq!(coverage.entries(), 4);
    assert_eq!(sum(&total, 0), uint64(6));
    assert_eq!(total.elements(), 4);
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
        assert_eq!(ledger.record(&entry(position), &partial(position)), Ok(Recorded::First));
    }
    assert!(ledger.into_total().is_ok());
}

#[test]
fn no_entries_are_complete_from_the_start() {
    let (total, coverage) = Ledger::new(&spec(), 0, 1).into_total().expect("nothing is missing");
    assert_eq!((coverage.entries(), total), (0, Partial::identity(&spec(), 1)));
    let (total, _) = Ledger::new(&spec(), 0, 0).into_total().expect("nothing is missing");
    assert_eq!(total.outputs(), 0);
}

#[test]
fn the_second_partial_of_a_position_changes_nothing() {
    let mut ledger = recorded(2, [1]);
    assert_eq!(ledger.record(&entry(1), &partial(1)), Ok(Recorded::Duplicate));
    // Not even one with another value.
    assert_eq!(ledger.record(&entry(1), &partial(200)), Ok(Recorded::Duplicate));
    ledger.record(&entry(0), &partial(0)).expect("an entry of the job");
    let (total, _) = ledger.into_total().expect("it is complete");
    assert_eq!(sum(&total, 0), uint64(1));
}

#[test]
fn what_is_no_entry_of_the_job_is_refused_and_changes_nothing() {
    let mut ledger = recorded(2, [0]);
    assert_eq!(
        ledger.record(&entry(2), &partial(2)),
        Err(RecordError::Position { position: 2, entries: 2 })
    );
    assert_eq!(
        ledger.record(&Entry::line(1, 1..3), &partial(1)),
        Err(RecordError::Elements { position: 1, expected: 2, got: 1 })
    );
    let combine = Err(RecordError::Combine(CombineError::Kinds));
    for foreign in [Spec::sum(DType::I8), Spec::of(DType::U8, Monoid::Sum(Term::Square))] {
        let foreign = reference::reduce_line(&foreign, ByteOrder::Little, &[1]);
        assert_eq!(ledger.record(&entry(1), &foreign), combine);
    }
    // All of these may be tried again with the right partial.
    assert_eq!(ledger.missing().collect::<Vec<_>>(), [1]);
    assert_eq!(ledger.record(&entry(1), &partial(1)), Ok(Recorded::First));
    assert_eq!(ledger.into_total().map(|(total, _)| total.elements()).ok(), Some(2));
}

#[test]
fn a_stream_grows_entry_by_entry() {
    let mut ledger = Ledger::new(&spec(), 0, 1);
    for expected in 0..3 {
        let position = ledger.extend();
        assert_eq!(position, expected);
        assert_eq!(ledger.coverage(), None);
        ledger.record(&entry(position), &partial(position)).expect("it was just added");
        assert_eq!(ledger.coverage().map(Coverage::entries), Some(position as usize + 1));
    }
}

/// A manifest over arrays of shape (3, 4), reduced along `axis` in entries of
/// at most four elements and three outputs.
fn along(axis: u8, files: usize) -> Manifest {
    let file = |index: usize| {
        let mut file = imaginary_file(&format!("{index}"), DType::U8, 12);
        file.shape = vec![3, 4];
        file
    };
    let cut = Cut::Axis { entry_bytes: 4, axis, outputs: 0..u64::MAX, outputs_max: 3 };
    Manifest::cut((0..files).map(file).collect(), cut).expect("valid files")
}

/// The partial of an entry, whose elements each have the value of `element`.
fn block(spec: &Spec, entry: &Entry, element: impl Fn(u64) -> u8) -> Partial {
    let block = entry.block;
    let runs =
        (0..block.outer * block.reduced).map(|run| entry.elements.start + run * block.stride);
    let bytes: Vec<u8> =
        runs.flat_map(|start| (start..start + block.inner).map(&element)).collect();
    let place = Place {
        outer: block.outer as usize,
        reduced: block.reduced as usize,
        inner: block.inner as usize,
        first_index: entry.first_index,
        ..Place::line(0, 0)
    };
    let layout = Layout::little(spec.dtype);
    let run = Run { layout, bytes: &bytes, second: None, place };
    reference::reduce(spec, entry.outputs() as usize, &run)
}

#[test]
fn entries_along_an_axis_go_to_their_outputs() {
    // Column sums of 0..12 in rows of four, twice; then row sums.
    for (axis, expected) in [(0, vec![24, 30, 36, 42]), (1, vec![6, 22, 38, 6, 22, 38])] {
        let manifest = along(axis, 2);
        let mut ledger =
            Ledger::new(&spec(), manifest.entries().len(), manifest.outputs() as usize);
        for entry in manifest.entries().iter().rev() {
            let partial = block(&spec(), entry, |element| element as u8);
            assert_eq!(ledger.record(entry, &partial), Ok(Recorded::First));
            assert_eq!(ledger.record(entry, &partial), Ok(Recorded::Duplicate));
        }
        let (total, _) = ledger.into_total().expect("it is complete");
        let sums: Vec<Value> = (0..total.outputs()).map(|output| sum(&total, output)).collect();
        assert_eq!(sums, expected.into_iter().map(uint64).collect::<Vec<_>>(), "axis {axis}");
    }
}

/// Six elements are six elements, but two outputs of three are not three of
/// two, nor one of two and one of four.
#[test]
fn a_partial_must_have_the_outputs_of_its_entry_with_as_many_elements_each() {
    let cut = Cut::Axis { entry_bytes: 100, axis: 0, outputs: 0..u64::MAX, outputs_max: 100 };
    let mut file = imaginary_file("a", DType::U8, 6);
    file.shape = vec![3, 2];
    let manifest = Manifest::cut(vec![file], cut).expect("a valid file");
    let [entry] = manifest.entries() else { panic!("one entry") };
    let of = |counts: &[usize]| {
        let mut partial = Partial::identity(&spec(), counts.len());
        for (output, &count) in counts.iter().enumerate() {
            let states = reference::reduce_line(&spec(), ByteOrder::Little, &vec![1; count]);
            partial.merge_at(output, &states).expect("room for one");
        }
        partial
    };
    let mut ledger = Ledger::new(&spec(), 1, 2);
    for counts in [&[2, 2, 2][..], &[6], &[2, 4], &[4, 2], &[6, 0], &[0, 6], &[3, 3, 0]] {
        let refused = Err(RecordError::Outputs { position: 0, expected: 2 });
        assert_eq!(ledger.record(entry, &of(counts)), refused, "{counts:?}");
    }
    let fewer = Err(RecordError::Elements { position: 0, expected: 6, got: 5 });
    assert_eq!(ledger.record(entry, &of(&[3, 2])), fewer);
    assert_eq!(ledger.missing().collect::<Vec<_>>(), [0]);
    assert_eq!(ledger.record(entry, &of(&[3, 3])), Ok(Recorded::First));
}

/// Each state of a spec counts for itself.
#[test]
fn every_state_must_hold_the_elements_of_its_entry() {
    let spec = Spec { dtype: DType::U8, monoids: vec![Monoid::Tally, Monoid::Sum(Term::Value)] };
    let of = |bytes: &[u8]| reference::reduce_line(&spec, ByteOrder::Little, bytes);
    let (two, three) = (of(&[1, 2]), of(&[1, 2, 3]));
    let mixed = vec![two.states(0)[0].clone(), three.states(0)[1].clone()];
    let mixed = Partial::from_states(&spec, mixed);
    let mut ledger = Ledger::new(&spec, 1, 1);
    let refused = Err(RecordError::Outputs { position: 0, expected: 1 });
    assert_eq!(ledger.record(&Entry::line(0, 0..2), &mixed), refused);
    assert_eq!(ledger.record(&Entry::line(0, 0..2), &two), Ok(Recorded::First));
}

proptest! {
    /// Any order, with anything twice: the total holds what the set holds.
    #[test]
    fn a_ledger_is_a_set_with_a_sum(positions in prop::collection::vec(0_u32..20, 0..60)) {
        let mut ledger = Ledger::new(&spec(), 20, 1);
        let mut set = BTreeSet::new();
        for position in positions {
            let first = set.insert(position);
            let expected = if first { Recorded::First } else { Recorded::Duplicate };
            prop_assert_eq!(ledger.record(&entry(position), &partial(position)), Ok(expected));
            prop_assert_eq!(ledger.covered(), set.len());
            prop_assert_eq!(ledger.coverage().is_some(), set.len() == 20);
        }
        let missing: Vec<u32> = (0..20).filter(|position| !set.contains(position)).collect();
        prop_assert_eq!(ledger.missing().collect::<Vec<_>>(), missing.clone());
        for position in missing {
            ledger.record(&entry(position), &partial(position)).expect("an entry of the job");
        }
        let (total, _) = ledger.into_total().expect("it is complete");
        prop_assert_eq!(sum(&total, 0), uint64(190));
    }
}

/// Entries of one element each, and the parcel of some of them.
fn parcel(positions: impl IntoIterator<Item = u32>) -> Parcel {
    let mut ledger = recorded(9, positions);
    ledger.take_parcel().expect("something was recorded")
}

fn entries() -> Vec<Entry> {
    (0..9).map(entry).collect()
}

#[test]
fn a_parcel_is_taken_whole_or_not_at_all() {
    let mut ledger = recorded(9, [1]);
    let before = ledger.total.clone();
    assert_eq!(ledger.absorb(&entries(), &parcel([1, 2])), Ok(Absorbed::Overlap));
    assert_eq!(ledger.absorb(&entries(), &parcel([1])), Ok(Absorbed::Duplicate));
    assert_eq!((ledger.covered(), &ledger.total), (1, &before));
    assert_eq!(ledger.absorb(&entries(), &parcel([0, 8, 3])), Ok(Absorbed::First));
    assert_eq!(ledger.missing().collect::<Vec<_>>(), [2, 4, 5, 6, 7]);
    assert_eq!(ledger.absorb(&entries(), &parcel([2, 4, 5, 6, 7])), Ok(Absorbed::First));
    let (total, _) = ledger.into_total().expect("it is complete");
    assert_eq!(sum(&total, 0), uint64(36));
}

#[test]
fn a_ledger_forgets_what_was_taken_out() {
    let mut ledger = recorded(4, [2, 0]);
    let taken = ledger.take_parcel().expect("two entries");
    assert_eq!(taken.positions, [0, 2]);
    assert_eq!((sum(&taken.partial, 0), taken.partial.elements()), (uint64(2), 2));
    assert_eq!((ledger.covered(), ledger.take_parcel()), (0, None));
    assert_eq!(ledger.record(&entry(2), &partial(2)), Ok(Recorded::First));
}

#[test]
fn a_parcel_that_is_not_of_its_entries_is_refused() {
    let mut ledger = recorded(9, [1]);
    let good = parcel([3, 4]);
    let with = |positions: &[u32]| Parcel { positions: positions.to_vec(), ..good.clone() };
    let mut refuses = |parcel: &Parcel, error: RecordError| {
        assert_eq!(ledger.absorb(&entries(), parcel), Err(error));
        assert_eq!(ledger.covered(), 1);
    };
    refuses(&with(&[3, 9]), RecordError::Position { position: 9, entries: 9 });
    // Too many and too few elements, out of order, twice the same.
    for positions in [&[3][..], &[3, 4, 5], &[4, 3], &[3, 3], &[]] {
        refuses(&with(positions), RecordError::Parcel { entries: positions.len() });
    }
    let wide = Partial::identity(&spec(), 2);
    refuses(&Parcel { partial: wide, ..good.clone() }, RecordError::Parcel { entries: 2 });
}

#[test]
fn a_parcel_holds_the_elements_of_each_output() {
    // Six rows of four, in blocks of two rows: the outputs 0 and 1, and 2 and 3.
    let file = File { shape: vec![6, 4], ..imaginary_file("a", DType::U8, 24) };
    let cut = Cut::Axis { entry_bytes: 4, axis: 0, outputs: 0..4, outputs_max: 2 };
    let manifest = Manifest::cut(vec![file], cut).expect("a valid cut");
    let ones =
        |count: u64| reference::reduce_line(&spec(), ByteOrder::Little, &vec![1; count as usize]);
    let of = |entry: &Entry| {
        let mut partial = Partial::identity(&spec(), entry.outputs() as usize);
        (0..partial.outputs()).for_each(|output| {
            partial.merge_at(output, &ones(entry.block.reduced)).expect("room for one");
        });
        partial
    };
    let (left, right): (Vec<&Entry>, Vec<&Entry>) =
        manifest.entries().iter().partition(|entry| entry.first_output < 2);
    let count = manifest.entries().len();
    let parcels = [left, right].map(|half| {
        let mut ledger = Ledger::new(&spec(), count, 4);
        for entry in half {
            assert_eq!(ledger.record(entry, &of(entry)), Ok(Recorded::First));
        }
        ledger.take_parcel().expect("half of it")
    });
    let mut ledger = Ledger::new(&spec(), count, 4);
    // As many elements, of other outputs.
    let swapped = Parcel { partial: parcels[1].partial.clone(), ..parcels[0].clone() };
    let entries = swapped.positions.len();
    let error = Err(RecordError::Parcel { entries });
    assert_eq!(ledger.absorb(manifest.entries(), &swapped), error);
    for parcel in &parcels {
        assert_eq!(ledger.absorb(manifest.entries(), parcel), Ok(Absorbed::First));
    }
    let (total, _) = ledger.into_total().expect("it is complete");
    (0..4).for_each(|output| assert_eq!(sum(&total, output), uint64(6)));
}
