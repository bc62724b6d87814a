use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

/// Units of the exact sums here: those of products of the smallest subnormals.
const UNIT: i32 = -2148;

#[derive(Clone, Copy)]
struct Value;

impl Terms for Value {
    type Word = u64;
    const ERRORS: bool = false;

    fn term(self, a: u64, _: u64) -> (f64, f64) {
        (f64::from_bits(a), 0.0)
    }
}

#[derive(Clone, Copy)]
struct Product;

impl Terms for Product {
    type Word = u64;
    const ERRORS: bool = true;

    fn term(self, a: u64, b: u64) -> (f64, f64) {
        let (a, b) = (f64::from_bits(a), f64::from_bits(b));
        (a * b, a.mul_add(b, -(a * b)))
    }

    fn is_exact(self, a: u64, b: u64) -> bool {
        f64::from_bits(a) == 0.0 || f64::from_bits(b) == 0.0
    }
}

/// A finite number in units of 2^-1074.
fn units(x: f64) -> BigInt {
    let (exponent, fraction) = (x.to_bits() >> 52 & 2047, x.to_bits() & ((1 << 52) - 1));
    let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let magnitude = BigInt::from(significand) << (exponent.max(1) - 1);
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

fn exact(elements: &[f64]) -> BigInt {
    elements.iter().map(|&x| units(x) << 1074).sum()
}

fn exact_products(pairs: &[(f64, f64)]) -> BigInt {
    pairs.iter().map(|&(a, b)| units(a) * units(b)).sum()
}

fn bytes(elements: impl IntoIterator<Item = f64>) -> Vec<u8> {
    elements.into_iter().flat_map(f64::to_le_bytes).collect()
}

fn whole<const LEVELS: usize>(total: Total<LEVELS>) -> BigInt {
    total.into_iter().map(|(units, exponent)| BigInt::from(units) << (exponent - UNIT)).sum()
}

/// Levels in the same state for all vectors that there are.
fn with_all<const LEVELS: usize, const LANES: usize>(
    levels: &mut Levels<LEVELS, LANES>,
    total: impl Fn(&mut Levels<LEVELS, LANES>) -> Option<Total<LEVELS>>,
) -> Option<BigInt> {
    for vectors in Vectors::all() {
        let mut others = Levels { vectors, ..*levels };
        let mut same = *levels;
        assert_eq!(total(&mut others), total(&mut same), "{vectors:?}");
        assert_eq!(others.top, same.top);
    }
    total(levels).map(whole)
}

fn total_of(levels: &mut Levels<2, 16>, elements: &[f64]) -> Option<BigInt> {
    let bytes = bytes(elements.iter().copied());
    with_all(levels, |levels| levels.total(&bytes, &bytes, Value))
}

fn products_of(levels: &mut Levels<4, 8>, pairs: &[(f64, f64)]) -> Option<BigInt> {
    let first = bytes(pairs.iter().map(|pair| pair.0));
    let second = bytes(pairs.iter().map(|pair| pair.1));
    with_all(levels, |levels| levels.total(&first, &second, Product))
}

/// The sums of 16 columns from the one at `first` on, of rows of `width`.
fn columns_of(
    levels: &mut Levels<2, 16>,
    elements: &[f64],
    width: usize,
    first: usize,
) -> Option<Vec<BigInt>> {
    let rows = bytes(elements.iter().copied());
    let find = |levels: &mut Levels<2, 16>| levels.columns(&rows, 8 * width, 8 * first, Value);
    for vectors in Vectors::all() {
        let mut others = Levels { vectors, ..*levels };
        let mut same = *levels;
        assert_eq!(find(&mut others), find(&mut same), "{vectors:?}");
        assert_eq!(others.top, same.top);
    }
    find(levels).map(|totals| totals.into_iter().map(whole).collect())
}

fn exact_columns(elements: &[f64], width: usize, first: usize) -> Vec<BigInt> {
    let column = |column| elements.iter().skip(column).step_by(width).copied().collect::<Vec<_>>();
    (first..first + 16).map(|number| exact(&column(number))).collect()
}

fn values() -> Levels<2, 16> {
    Levels::new(Vectors::new())
}

fn products() -> Levels<4, 8> {
    Levels::new(Vectors::new())
}

#[test]
fn full_blocks_of_the_largest_terms_are_exact() {
    let below = |x: f64| f64::from_bits(x.to_bits() - 1);
    for x in [1.0, below(1.0), -below(1.0), below(2.0), -2.0, 1.0 + f64::EPSILON] {
        let elements = vec![x; Levels::<2, 16>::BLOCK_ELEMENTS];
        let mut levels = values();
        assert_eq!(total_of(&mut levels, &elements), Some(exact(&elements)), "{x}");
        // All terms just below the top that this block has set.
        let most = vec![x.signum() * below(exp2(levels.top)); elements.len()];
        assert_eq!(total_of(&mut levels, &most), Some(exact(&most)), "{x}");
        let found = columns_of(&mut levels, &most, 16, 0);
        assert_eq!(found, Some(exact_columns(&most, 16, 0)), "{x}");
        let pairs = vec![(x, below(2.0)); Levels::<4, 8>::BLOCK_ELEMENTS];
        assert_eq!(products_of(&mut products(), &pairs), Some(exact_products(&pairs)), "{x}");
    }
}

#[test]
fn levels_follow_the_data_and_never_lose_a_bit() {
    let mut levels = values();
    for scale in [0, 300, -300, 5, -860, 950, 0] {
        let scale = exp2(scale);
        let elements: Vec<f64> = (1..1000)
            .map(|n| f64::from(n).sqrt() * scale * if n % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        assert_eq!(total_of(&mut levels, &elements), Some(exact(&elements)), "{scale}");
    }
    // One more binade than fits, in either direction.
    for (tiny, fits) in [(28, true), (40, false)] {
        let elements = [1.9, exp2(-tiny) * (1.0 + f64::EPSILON)];
        let found = total_of(&mut levels, &elements);
        assert_eq!(found, fits.then(|| exact(&elements)), "{tiny}");
    }
}

#[test]
fn what_is_out_of_range_is_refused_and_does_not_stay() {
    let mut levels = values();
    let fine = [1.5, -0.75, 0.0, -0.0];
    for special in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, -1e-300] {
        assert_eq!(total_of(&mut levels, &[special]), None, "{special}");
        assert_eq!(total_of(&mut levels, &[1.0, special]), None, "{special}");
        let row: Vec<f64> = (0..16).map(|lane| if lane == 9 { special } else { 1.0 }).collect();
        assert_eq!(columns_of(&mut levels, &row, 16, 0), None, "{special}");
        assert_eq!(total_of(&mut levels, &fine), Some(exact(&fine)));
    }
    assert_eq!(total_of(&mut levels, &[]), Some(BigInt::ZERO));
    assert_eq!(total_of(&mut levels, &[0.0; 100]), Some(BigInt::ZERO));
}

#[test]
fn products_that_lose_bits_are_refused_and_zeros_are_not() {
    let mut levels = products();
    let fine = [(1.1, 1.3), (0.0, 5.0), (-0.0, 1e-300), (1e300, 0.0), (3.3, -0.7)];
    assert_eq!(products_of(&mut levels, &fine), Some(exact_products(&fine)));
    let lossy = [
        (1e-200, 1e-200),
        (5e-324, 5e-324),
        (1e-160, 1.1e-160),
        (5e-324, 0.3),
        (1e200, 1e200),
        (f64::INFINITY, 0.0),
        (f64::NAN, 1.0),
    ];
    for pair in lossy {
        assert_eq!(products_of(&mut levels, &[pair]), None, "{pair:?}");
        assert_eq!(products_of(&mut levels, &[(1.0, 1.0), pair]), None, "{pair:?}");
        assert_eq!(products_of(&mut levels, &fine), Some(exact_products(&fine)));
    }
}

/// Floats of some binades.
fn element(top: i32, spread: i32) -> impl Strategy<Value = f64> {
    (any::<u64>(), 0..=spread).prop_map(move |(bits, below)| {
        let exponent = ((top - below + 1023) as u64) << 52;
        f64::from_bits(bits & (1 << 63 | ((1 << 52) - 1)) | exponent)
    })
}

proptest! {
    #[test]
    fn what_is_found_is_exact(
        (elements, spread) in (-800..900, 0..40).prop_flat_map(|(top, spread)| {
            (prop::collection::vec(element(top, spread), 1..700), Just(spread))
        })
    ) {
        let found = total_of(&mut values(), &elements);
        prop_assert!(found.is_some() || spread >= 29);
        if let Some(found) = found {
            prop_assert_eq!(found, exact(&elements));
        }
    }

    #[test]
    fn columns_that_are_found_are_exact(
        (rows, width, spread) in (-800..900, 0..40, 16..40_usize).prop_flat_map(|(top, spread, width)| {
            let row = prop::collection::vec(element(top, spread), width);
            (prop::collection::vec(row, 1..50), Just(width), Just(spread))
        }),
        first in any::<prop::sample::Index>(),
    ) {
        let (elements, first) = (rows.concat(), first.index(width - 15));
        let found = columns_of(&mut values(), &elements, width, first);
        prop_assert!(found.is_some() || spread >= 29);
        if let Some(found) = found {
            prop_assert_eq!(found, exact_columns(&elements, width, first));
        }
    }

    #[test]
    fn products_that_are_found_are_exact(
        (pairs, spread) in (-400..440, -20..20, 0..40).prop_flat_map(|(top, other, spread)| {
            let pair = (element(top, spread), element(other, spread));
            (prop::collection::vec(pair, 1..700), Just(spread))
        })
    ) {
        let found = products_of(&mut products(), &pairs);
        prop_assert!(found.is_some() || spread > 28);
        if let Some(found) = found {
            prop_assert_eq!(found, exact_products(&pairs));
        }
    }
}
