//! Canonical and portable bytes: round trips, canonicity, and refusals; and
//! how partials of several outputs merge.

use proptest::prelude::*;

use super::portable::{NotPortable, VECTORS_MAX};
use super::*;
use crate::dtype::DType;
use crate::op::{BINS_MAX, Bins, Monoid, Term};
use crate::reduction::Element;
use crate::reduction::key::{largest, smallest};
use crate::reduction::sum::{Counts, Sum};
use crate::value::Value;

const TERMS: [Term; 4] = [Term::Value, Term::Magnitude, Term::Square, Term::Product];

/// The states of `outputs` outputs, element `i` in output `i % outputs`.
fn partial_of(spec: &Spec, outputs: usize, words: &[u64], first_index: u64) -> Partial {
    let unused = 64 - 8 * spec.dtype.size_bytes() as u32;
    let mut partial = Partial::identity(spec, outputs);
    for (number, word) in words.iter().enumerate() {
        let bits = word << unused >> unused;
        let second = word.rotate_left(17) << unused >> unused;
        let element = Element { bits, second, index: first_index + (number / outputs) as u64 };
        let states = partial.states_mut(number % outputs);
        states.iter_mut().for_each(|state| state.add(element));
    }
    partial
}

fn sum_of(dtype: DType, words: &[u64]) -> Partial {
    partial_of(&Spec::sum(dtype), 1, words, 0)
}

fn total(partial: &Partial, output: DType) -> Value {
    match partial.states(0) {
        [State::Sum(sum)] => sum.finish(output),
        other => panic!("no sum: {other:?}"),
    }
}

fn any_dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

/// Every monoid that takes the type.
fn monoids(dtype: DType) -> Vec<Monoid> {
    let (low, high) = (smallest(dtype), largest(dtype));
    let bins = Bins { lower: [low, low + (high - low) / 2].into(), last: high - 1 };
    let all = TERMS.map(Monoid::Sum).into_iter().chain([
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Tree,
        Monoid::Bits,
        Monoid::Bins(bins),
        Monoid::Multiset { elements_max: 1000 },
    ]);
    all.filter(|monoid| monoid.takes(dtype)).collect()
}

/// One to four monoids, the same one twice if it happens.
fn any_spec() -> impl Strategy<Value = Spec> {
    any_dtype().prop_flat_map(|dtype| {
        let monoid = prop::sample::select(monoids(dtype));
        prop::collection::vec(monoid, 1..=MONOIDS_MAX)
            .prop_map(move |monoids| Spec { dtype, monoids })
    })
}

fn words() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..30)
}

fn any_partial() -> impl Strategy<Value = Partial> {
    (any_spec(), 0..6_usize, words()).prop_map(|(spec, outputs, words)| match outputs {
        0 => Partial::identity(&spec, 0),
        _ => partial_of(&spec, outputs, &words, 3),
    })
}

proptest! {
    #[test]
    fn bytes_lead_back_to_the_partial(partial in any_partial()) {
        let bytes = partial.to_bytes();
        prop_assert!(bytes.len() as u64 <= partial.encoded_bytes_max());
        prop_assert_eq!(bytes[0], 2);
        prop_assert_eq!(Partial::from_bytes(&bytes), Ok(partial));
    }

    #[test]
    fn equal_sums_have_equal_bytes(
        dtype in any_dtype(),
        mut elements in prop::collection::vec(any::<u64>(), 2..30),
        turn in 0usize..30,
    ) {
        let bytes = sum_of(dtype, &elements).to_bytes();
        let turn = turn % elements.len();
        elements.rotate_left(turn);
        prop_assert_eq!(sum_of(dtype, &elements).to_bytes(), bytes);
    }

    /// Halves of the elements of each output, in either order.
    #[test]
    fn equal_partials_have_equal_bytes(
        spec in any_spec(), outputs in 1..4_usize, words in words(), at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(words.len() / outputs + 1);
        let (left, right) = words.split_at(at * outputs);
        let left = partial_of(&spec, outputs, left, 0);
        let right = partial_of(&spec, outputs, right, at as u64);
        let whole = partial_of(&spec, outputs, &words, 0);
        let (mut one, mut other) = (left.clone(), right.clone());
        one.merge(&right).unwrap();
        other.merge(&left).unwrap();
        prop_assert_eq!(one.elements(), words.len() as u64);
        prop_assert_eq!(one.to_bytes(), whole.to_bytes());
        prop_assert_eq!(other.to_bytes(), whole.to_bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400), spec in any_spec(),
    ) {
        let _ = Partial::from_bytes(&bytes);
        let _ = Partial::from_bytes(&[&[FORMAT_VERSION], &bytes[..]].concat());
        // After a valid head.
        let head = Partial::identity(&spec, 0).to_bytes();
        let _ = Partial::from_bytes(&[&head[..head.len() - 1], &bytes].concat());
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(
        partial in any_partial(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut bytes = partial.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(decoded) = Partial::from_bytes(&bytes) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
        }
    }

    #[test]
    fn cut_and_lengthened_bytes_are_refused(
        partial in any_partial(), cut in any::<prop::sample::Index>(), more in 1..5_usize,
    ) {
        let mut bytes = partial.to_bytes();
        prop_assert!(Partial::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.extend(vec![0; more]);
        prop_assert_eq!(Partial::from_bytes(&bytes), Err(DecodeError::Trailing { bytes: more }));
    }

    #[test]
    fn adding_portable_vectors_merges(
        dtype in any_dtype(), term in prop::sample::select(TERMS.to_vec()),
        parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..20), 1..8),
    ) {
        let spec = Spec::of(dtype, Monoid::Sum(term));
        let mut merged = Partial::identity(&spec, 1);
        let mut vector = vec![0; Partial::portable_len(dtype, term)];
        for part in &parts {
            let partial = partial_of(&spec, 1, part, 0);
            merged.merge(&partial).unwrap();
            for (word, addend) in vector.iter_mut().zip(partial.to_portable().unwrap()) {
                *word += addend;
            }
        }
        prop_assert_eq!(Partial::from_portable(dtype, term, &vector), Ok(merged));
    }

    #[test]
    fn arbitrary_portable_words_never_panic(
        words in prop::collection::vec(any::<i64>(), 73), vectors in 1..9_i64,
    ) {
        let _ = Partial::from_portable(DType::F64, Term::Value, &words);
        let mut words = words;
        words[72] = vectors;
        let _ = Partial::from_portable(DType::F64, Term::Value, &words);
    }

    #[test]
    fn merging_at_an_output_is_merging_there_and_nowhere_else(
        spec in any_spec(), outputs in 1..6_usize, width in 0..6_usize, first in 0..8_usize,
        words in words(),
    ) {
        let ours = partial_of(&spec, outputs, &words, 0);
        let theirs = match width {
            0 => Partial::identity(&spec, 0),
            _ => partial_of(&spec, width, &words, 1000),
        };
        let mut merged = ours.clone();
        if first + width > outputs {
            prop_assert_eq!(merged.merge_at(first, &theirs), Err(CombineError::Kinds));
            prop_assert_eq!(merged, ours);
            return Ok(());
        }
        merged.merge_at(first, &theirs).unwrap();
        for output in 0..outputs {
            let mut expected = ours.states(output).to_vec();
            if (first..first + width).contains(&output) {
                for (ours, theirs) in expected.iter_mut().zip(theirs.states(output - first)) {
                    ours.merge(theirs).unwrap();
                }
            }
            prop_assert_eq!(merged.states(output), &expected[..]);
        }
    }

    #[test]
    fn what_was_merged_can_be_taken_away_if_every_state_can(
        spec in any_spec(), outputs in 1..4_usize, a in words(), b in words(),
    ) {
        let (a, b) =
            (partial_of(&spec, outputs, &a, 0), partial_of(&spec, outputs, &b, 1000));
        let mut both = a.clone();
        both.merge(&b).unwrap();
        let before = both.clone();
        let group = |monoid: &Monoid| matches!(monoid, Monoid::Sum(_) | Monoid::Tally);
        match spec.monoids.iter().all(group) {
            true => {
                both.unmerge(&b).unwrap();
                prop_assert_eq!(both, a);
            }
            false => {
                prop_assert_eq!(both.unmerge(&b), Err(CombineError::NoInverse));
                prop_assert_eq!(both, before);
            }
        }
    }
}

/// Version, type, number of monoids, kind, term, outputs; then four counts and
/// two numbers of limbs, all of them below 128.
#[test]
fn the_bytes_are_those_of_the_documentation() {
    let none = Partial::identity(&Spec::sum(DType::F64), 1).to_bytes();
    assert_eq!(none, [2, 10, 1, 0, 0, 1, 0, 0, 0, 0, 34, 0]);
    let none = Partial::identity(&Spec::of(DType::F16, Monoid::Tally), 0).to_bytes();
    assert_eq!(none, [2, 11, 1, 2, 0]);
    // 1.5 is 3 * 2^-1 = 3 * 2^1073 units: in limb 16, at bit 49.
    let one = sum_of(DType::F64, &[1.5_f64.to_bits()]).to_bytes();
    let limb = (3_u64 << 49).to_le_bytes();
    assert_eq!(one, [&[2, 10, 1, 0, 0, 1, 1, 0, 0, 0, 16, 1][..], &limb].concat());
    assert_eq!(Partial::portable_len(DType::F64, Term::Value), 73);
}

#[test]
fn each_rule_of_the_bytes_is_checked() {
    let good = sum_of(DType::F64, &[1.5_f64.to_bits(), 2.5_f64.to_bits()]).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Partial::from_bytes(&bytes)
    };
    assert_eq!(with(0, 9), Err(DecodeError::Version { expected: 2, got: 9 }));
    assert_eq!(with(1, 99), Err(DecodeError::Spec), "no such type");
    assert_eq!(with(2, 0), Err(DecodeError::Spec), "no monoid");
    assert_eq!(with(3, 99), Err(DecodeError::Spec), "no such monoid");
    assert_eq!(with(4, 4), Err(DecodeError::Spec), "no such term");
    assert_eq!(with(5, 0), Err(DecodeError::Trailing { bytes: good.len() - 6 }));
    assert_eq!(with(5, 2), Err(InvalidState::Short.into()), "one state for two outputs");
    assert_eq!(with(5, 127), Err(InvalidState::Short.into()), "more than the bytes can hold");
    // Three NaN among two elements.
    assert_eq!(with(7, 3), Err(InvalidState::Counts { elements: 2 }.into()));
    // A sum of about 2^1100 from two elements of at most 2^1024.
    let top = good.len() - 1;
    let mut far = good.clone();
    far[10] = 33;
    assert_eq!(Partial::from_bytes(&far), Err(InvalidState::Magnitude { elements: 2 }.into()));
    far[top] = 0x80;
    assert_eq!(Partial::from_bytes(&far), Err(InvalidState::Magnitude { elements: 2 }.into()));
    far[10] = 34;
    assert_eq!(Partial::from_bytes(&far), Err(InvalidState::Number.into()), "limbs past the last");
    let long = [&good[..], &[0]].concat();
    assert_eq!(Partial::from_bytes(&long), Err(DecodeError::Trailing { bytes: 1 }));
    assert_eq!(Partial::from_bytes(&[]), Err(InvalidState::Short.into()));
    assert!(Partial::from_bytes(&good[..7]).is_err());
}

/// A spec that no reduction has, although every part of it is well formed.
#[test]
fn a_spec_must_be_one_that_can_be_carried_out() {
    let bins = |lower: &[u64]| Monoid::Bins(Bins { lower: lower.into(), last: u64::MAX });
    let spec = |dtype, monoids: &[Monoid]| Spec { dtype, monoids: monoids.to_vec() };
    for invalid in [
        spec(DType::F32, &[]),
        spec(DType::F32, &[const { Monoid::Tally }; MONOIDS_MAX + 1]),
        spec(DType::F32, &[Monoid::Product]),
        spec(DType::F64, &[Monoid::Tally, Monoid::Bits]),
        spec(DType::U8, &[Monoid::Tree]),
        spec(DType::U8, &[bins(&[])]),
        spec(DType::U8, &[bins(&[2, 1])]),
        spec(DType::U64, &[bins(&vec![0; BINS_MAX + 1])]),
    ] {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend(postcard::to_stdvec(&invalid).expect("to memory"));
        bytes.push(0);
        assert_eq!(Partial::from_bytes(&bytes), Err(DecodeError::Spec), "{invalid:?}");
    }
    // postcard takes numbers in a longer spelling, equal bytes do not.
    let good = Partial::identity(&Spec::sum(DType::F32), 0).to_bytes();
    assert_eq!(good, [2, 9, 1, 0, 0, 0]);
    let long = [2, 0x89, 0, 1, 0, 0, 0];
    assert_eq!(Partial::from_bytes(&long), Err(DecodeError::Spec));
}

/// A number of outputs alone must not make a reader take memory.
#[test]
fn outputs_that_are_not_there_take_no_memory() {
    let mut bytes = Partial::identity(&Spec::sum(DType::F64), 0).to_bytes();
    bytes.pop();
    put_number(&mut bytes, u64::MAX);
    bytes.extend([0; 30]);
    assert_eq!(Partial::from_bytes(&bytes), Err(InvalidState::Short.into()));
}

/// As many outputs as a result has of data without elements.
#[test]
fn outputs_of_no_elements_are_read() {
    for dtype in DType::ALL {
        for monoid in monoids(dtype) {
            let partial = Partial::identity(&Spec::of(dtype, monoid), 1000);
            assert_eq!(Partial::from_bytes(&partial.to_bytes()), Ok(partial));
        }
    }
}

#[test]
fn the_bound_of_the_bytes_holds_for_full_states() {
    for dtype in DType::ALL {
        for monoid in monoids(dtype) {
            let spec = Spec::of(dtype, monoid);
            let words: Vec<u64> =
                (0..600_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            // Every third element of a tree is missing, so that nothing merges.
            let mut partial = Partial::identity(&spec, 3);
            for (number, &bits) in (0..).zip(&words) {
                let mask = u64::MAX >> (64 - 8 * dtype.size_bytes());
                let element = Element { bits: bits & mask, second: !bits & mask, index: number };
                partial.states_mut(1).iter_mut().for_each(|state| state.add(element));
            }
            let bytes = partial.to_bytes().len() as u64;
            assert!(bytes <= partial.encoded_bytes_max(), "{spec:?}: {bytes}");
        }
    }
}

#[test]
fn the_largest_sum_that_a_count_can_make_is_accepted_and_one_more_is_not() {
    for (dtype, extreme) in [
        (DType::F16, 0x7bff),
        (DType::BF16, 0xff7f),
        (DType::F32, u64::from(f32::MAX.to_bits())),
        (DType::F64, (-f64::MAX).to_bits()),
        (DType::I8, 0x80),
        (DType::I8, 0x7f),
        (DType::I64, i64::MIN as u64),
        (DType::U64, u64::MAX),
        (DType::Bool, 1),
    ] {
        let partial = sum_of(dtype, &[extreme; 3]);
        let mut bytes = partial.to_bytes();
        assert_eq!(Partial::from_bytes(&bytes), Ok(partial), "{dtype}");
        assert_eq!(std::mem::replace(&mut bytes[6], 2), 3);
        let refused = Err(InvalidState::Magnitude { elements: 2 }.into());
        assert_eq!(Partial::from_bytes(&bytes), refused, "{dtype}");
    }
}

#[test]
fn only_one_sum_is_portable() {
    let of = |monoids: &[Monoid], outputs| {
        let spec = Spec { dtype: DType::I32, monoids: monoids.to_vec() };
        Partial::identity(&spec, outputs).to_portable()
    };
    let sum = Monoid::Sum(Term::Value);
    assert!(of(std::slice::from_ref(&sum), 1).is_ok());
    assert_eq!(of(std::slice::from_ref(&sum), 0), Err(NotPortable::Kind));
    assert_eq!(of(std::slice::from_ref(&sum), 2), Err(NotPortable::Kind));
    assert_eq!(of(&[sum.clone(), Monoid::Sum(Term::Square)], 1), Err(NotPortable::Kind));
    assert_eq!(of(&[Monoid::Tally], 1), Err(NotPortable::Kind));

    let counted = |elements| {
        let mut sum = Sum::identity(DType::I32, Term::Value);
        sum.add_counts(Counts { elements, ..Counts::default() }).unwrap();
        Partial::from_states(&Spec::sum(DType::I32), vec![State::Sum(sum)])
    };
    let most = counted(i64::MAX as u64);
    let words = most.to_portable().unwrap();
    assert_eq!(Partial::from_portable(DType::I32, Term::Value, &words), Ok(most));
    let elements = 1 << 63;
    assert_eq!(counted(elements).to_portable(), Err(NotPortable::TooManyElements { elements }));
}

#[test]
fn the_most_vectors_still_fit_their_words() {
    let from = |words: &[i64]| Partial::from_portable(DType::I64, Term::Value, words);
    let one = sum_of(DType::I64, &[u64::MAX]).to_portable().unwrap();
    let most = VECTORS_MAX as i64;
    let vector: Vec<i64> = one.iter().map(|word| word.checked_mul(most).unwrap()).collect();
    let partial = from(&vector).unwrap();
    assert_eq!(total(&partial, DType::I64), Value::int64(-most));
    let mut over = vector;
    over[8] += 1;
    assert_eq!(from(&over), Err(DecodeError::Vectors { max: VECTORS_MAX, got: most + 1 }));
}

#[test]
fn portable_words_that_the_vectors_cannot_make_are_refused() {
    let good = sum_of(DType::F32, &[0x3f80_0000]).to_portable().unwrap();
    let with = |at: usize, word: i64| {
        let mut words = good.clone();
        words[at] = word;
        Partial::from_portable(DType::F32, Term::Value, &words)
    };
    assert_eq!(with(0, -1), Err(DecodeError::Word { index: 0, got: -1, vectors: 1 }));
    assert_eq!(with(0, 1 << 32), Err(DecodeError::Word { index: 0, got: 1 << 32, vectors: 1 }));
    assert!(with(11, i64::from(i32::MAX) + 1).is_err());
    assert!(with(13, -1).is_err());
    assert!(with(16, 0).is_err());
    assert_eq!(with(12, 0), Err(InvalidState::Magnitude { elements: 0 }.into()));
    let short = Partial::from_portable(DType::F32, Term::Value, &good[1..]);
    assert_eq!(short, Err(DecodeError::Length { expected: 17, got: 16 }));
    // A topmost digit of 2^32, which three vectors can make, is no digit of any
    // sum, and must not be lost past its limb.
    let mut far = good.clone();
    (far[11], far[12], far[16]) = (1 << 32, 3, 3);
    let refused = Err(InvalidState::Magnitude { elements: 3 }.into());
    assert_eq!(Partial::from_portable(DType::F32, Term::Value, &far), refused);
    // The words of a square are more, and its top digit has no sign.
    let squares = Spec::of(DType::F32, Monoid::Sum(Term::Square));
    let mut words = partial_of(&squares, 1, &[0x3f80_0000], 0).to_portable().unwrap();
    assert_eq!(words.len(), 25);
    words[19] = -1;
    let refused = Err(DecodeError::Word { index: 19, got: -1, vectors: 1 });
    assert_eq!(Partial::from_portable(DType::F32, Term::Square, &words), refused);
}

/// A failure at the last state of the last output leaves the first as it was.
#[test]
fn a_merge_that_fails_half_way_changes_nothing() {
    let spec = Spec { dtype: DType::F64, monoids: vec![Monoid::Sum(Term::Value), Monoid::Tree] };
    let mut ours = partial_of(&spec, 2, &[1.0_f64.to_bits(); 6], 0);
    let before = ours.clone();
    // Places 0 to 2 of the second output are taken, those of the first are not.
    let mut theirs = partial_of(&spec, 2, &[2.0_f64.to_bits(); 6], 10);
    let taken = partial_of(&spec, 2, &[2.0_f64.to_bits(); 6], 0);
    theirs.states_mut(1).clone_from_slice(taken.states(1));
    assert_eq!(ours.merge(&theirs), Err(CombineError::Overlap));
    assert_eq!(ours, before);
    let one = Partial::from_states(&spec, taken.states(1).to_vec());
    assert_eq!(ours.merge_at(1, &one), Err(CombineError::Overlap));
    assert_eq!(ours.unmerge(&before), Err(CombineError::NoInverse));
    assert_eq!(ours, before);
}

#[test]
fn partials_of_other_specs_or_outputs_do_not_merge() {
    let spec = Spec::sum(DType::U8);
    let mut ours = partial_of(&spec, 2, &[1, 2, 3, 4], 0);
    let before = ours.clone();
    let others = [
        Partial::identity(&Spec::sum(DType::I8), 2),
        Partial::identity(&Spec::of(DType::U8, Monoid::Sum(Term::Magnitude)), 2),
        Partial::identity(&Spec { dtype: DType::U8, monoids: vec![Monoid::Tally; 2] }, 2),
        Partial::identity(&spec, 1),
        Partial::identity(&spec, 3),
        Partial::identity(&spec, 0),
    ];
    for other in others {
        assert_eq!(ours.merge(&other), Err(CombineError::Kinds));
        assert_eq!(ours.unmerge(&other), Err(CombineError::Kinds));
    }
    for first in [2, 3, usize::MAX] {
        let one = partial_of(&spec, 1, &[5], 0);
        assert_eq!(ours.merge_at(first, &one), Err(CombineError::Kinds), "{first}");
    }
    assert_eq!(ours, before);
    // Nothing changes nothing, wherever it goes.
    assert_eq!(ours.merge_at(2, &Partial::identity(&spec, 0)), Ok(()));
    assert_eq!((ours.outputs(), ours.elements()), (2, 4));
    assert!(ours.holds_each(2) && !ours.holds_each(4));
}
