//! The laws of the monoids, over every state and element type.

use proptest::prelude::*;

use super::*;
use crate::op::{Bins, Term};
use crate::reduction::key::{largest, smallest};

fn monoids(dtype: DType) -> Vec<Monoid> {
    let (low, high) = (smallest(dtype), largest(dtype));
    let middle = low + (high - low) / 2;
    let bins = Bins { lower: [low, middle, middle, middle + 1].into(), last: high - high / 8 };
    [
        Monoid::Sum(Term::Value),
        Monoid::Sum(Term::Magnitude),
        Monoid::Sum(Term::Square),
        Monoid::Sum(Term::Product),
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Tree,
        Monoid::Bits,
        Monoid::Bins(bins),
        Monoid::Multiset { elements_max: 100 },
    ]
    .into_iter()
    .filter(|monoid| monoid.takes(dtype))
    .collect()
}

fn any_kind() -> impl Strategy<Value = (DType, Monoid)> {
    prop::sample::select(DType::ALL.to_vec())
        .prop_flat_map(|dtype| (Just(dtype), prop::sample::select(monoids(dtype))))
}

/// Elements of a type: random bits, or a few values that meet often.
fn element(dtype: DType, word: u64, index: u64) -> Element {
    let mask = u64::MAX >> (64 - 8 * dtype.size_bytes());
    let few = [0, 1, mask, mask >> 1, (mask >> 1) + 1, mask ^ (mask >> 3)];
    let pick = |word: u64| match word % 3 {
        0 => few[(word / 3 % 6) as usize],
        _ => word & mask,
    };
    Element { bits: pick(word), second: pick(word.rotate_left(17)), index }
}

fn state(monoid: &Monoid, dtype: DType, words: &[u64], first: u64) -> State {
    let mut state = State::identity(monoid, dtype);
    for (index, &word) in (first..).zip(words) {
        state.add(element(dtype, word, index));
    }
    state
}

fn words() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..20)
}

fn merged(a: &State, b: &State) -> State {
    let mut merged = a.clone();
    merged.merge(b).expect("one kind, few elements, none of them twice");
    merged
}

proptest! {
    #[test]
    fn merging_is_associative_and_commutative_and_has_an_identity(
        (dtype, monoid) in any_kind(), a in words(), b in words(), c in words(),
    ) {
        let (b_first, c_first) = (a.len() as u64, (a.len() + b.len()) as u64);
        let all = [&a[..], &b, &c].concat();
        let whole = state(&monoid, dtype, &all, 0);
        let a = state(&monoid, dtype, &a, 0);
        let b = state(&monoid, dtype, &b, b_first);
        let c = state(&monoid, dtype, &c, c_first);
        let left = merged(&merged(&a, &b), &c);
        prop_assert_eq!(&left, &merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&left, &merged(&merged(&c, &a), &b));
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(&left, &merged(&State::identity(&monoid, dtype), &left));
        prop_assert_eq!(left.elements(), all.len() as u64);
    }

    #[test]
    fn what_was_merged_can_be_taken_away(
        (dtype, monoid) in any_kind(), a in words(), b in words(),
    ) {
        let (a, b) = (state(&monoid, dtype, &a, 0), state(&monoid, dtype, &b, 99));
        let mut both = merged(&a, &b);
        match both.unmerge(&b) {
            Ok(()) => prop_assert_eq!(both, a),
            Err(error) => prop_assert_eq!(error, CombineError::NoInverse),
        }
    }

    #[test]
    fn bytes_lead_back_to_the_state((dtype, monoid) in any_kind(), words in words()) {
        let state = state(&monoid, dtype, &words, 5);
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        let mut from = Bytes(&bytes);
        prop_assert_eq!(State::decode(&monoid, dtype, &mut from), Ok(state));
        prop_assert!(from.0.is_empty());
        prop_assert!(State::decode(&monoid, dtype, &mut Bytes(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn damaged_bytes_are_refused_or_mean_something(
        (dtype, monoid) in any_kind(), words in words(),
        at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let mut bytes = Vec::new();
        state(&monoid, dtype, &words, 5).encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mut from = Bytes(&bytes);
        if let Ok(state) = State::decode(&monoid, dtype, &mut from) {
            let mut again = Vec::new();
            state.encode(&mut again);
            prop_assert_eq!(&again[..], &bytes[..bytes.len() - from.0.len()]);
        }
    }
}

#[test]
fn states_of_different_kinds_do_not_merge() {
    for dtype in DType::ALL {
        let kinds = monoids(dtype);
        for (i, j) in (0..kinds.len()).flat_map(|i| (0..kinds.len()).map(move |j| (i, j))) {
            let mut state = State::identity(&kinds[i], dtype);
            let other = State::identity(&kinds[j], dtype);
            assert_eq!(state.merge(&other).is_ok(), i == j, "{:?} {:?}", kinds[i], kinds[j]);
        }
    }
    let mut of_f32 = State::identity(&Monoid::Tally, DType::F32);
    assert!(of_f32.merge(&State::identity(&Monoid::Tally, DType::F64)).is_err());
}

/// A sum of narrow elements is that of the same numbers as wide ones.
#[test]
fn widened_sums_and_products_are_those_of_wider_elements() {
    let numbers = [-3_i8, 127, -128, 0, 5];
    let narrow = |monoid: &Monoid, dtype, bits: &[u64]| {
        let mut state = State::identity(monoid, dtype);
        bits.iter().for_each(|&bits| state.add(Element { bits, ..Element::default() }));
        state
    };
    let sum = Monoid::Sum(Term::Value);
    let small: Vec<u64> = numbers.iter().map(|&x| u64::from(x as u8)).collect();
    let large: Vec<u64> = numbers.iter().map(|&x| i64::from(x) as u64).collect();
    let float: Vec<u64> = numbers.iter().map(|&x| f64::from(x).to_bits()).collect();
    for end in 0..=numbers.len() {
        for (dtype, bits) in [(DType::I64, &large), (DType::F64, &float)] {
            let wide = narrow(&sum, DType::I8, &small[..end]).widened(dtype);
            assert_eq!(wide, Some(narrow(&sum, dtype, &bits[..end])));
        }
        let product = narrow(&Monoid::Product, DType::I8, &small[..end]);
        let wide = narrow(&Monoid::Product, DType::I64, &large[..end]);
        assert_eq!(product.widened(DType::I64), Some(wide));
    }
    let unsigned = narrow(&sum, DType::U64, &[u64::MAX, u64::MAX]);
    let halves = [(u64::MAX >> 11) << 11, 0x7ff].map(|half| (half as f64).to_bits());
    let wide = narrow(&sum, DType::F64, &[halves, halves].concat());
    let State::Sum(wide) = wide else { unreachable!() };
    let State::Sum(widened) = unsigned.widened(DType::F64).expect("a sum") else { unreachable!() };
    assert_eq!(widened.limbs(), wide.limbs());
    let single: Vec<u64> = [1e-45_f32, -3e38, 0.1].map(|x| u64::from(x.to_bits())).to_vec();
    let double: Vec<u64> = [1e-45_f32, -3e38, 0.1].map(|x| f64::from(x).to_bits()).to_vec();
    let infinite = f32::INFINITY.to_bits();
    assert_eq!(
        narrow(&sum, DType::F32, &[&single[..], &[infinite.into()]].concat()).widened(DType::F64),
        Some(narrow(&sum, DType::F64, &[&double[..], &[f64::INFINITY.to_bits()]].concat()))
    );
    assert_eq!(narrow(&Monoid::Tally, DType::I8, &small).widened(DType::I64), None);
}

#[test]
fn placed_extremes_have_other_places() {
    let mut extremes = Extremum::identity(DType::F32, true);
    let elements = [2.0_f32, f32::NAN, -1.0, 7.0];
    let all = (0..).zip(elements.map(|x| u64::from(x.to_bits())));
    all.clone().for_each(|(index, bits)| extremes.add(bits, index));
    let mut wanted = Extremum::identity(DType::F32, true);
    all.for_each(|(index, bits)| wanted.add(bits, 10 * index + 5));
    assert_eq!(extremes.placed(|index| 10 * index + 5), wanted);
    let without = Extremum::lift(DType::F32, false, 3, 0);
    assert_eq!(without.placed(|index| index + 1), without);
}
