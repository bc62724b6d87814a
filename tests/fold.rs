//! Folds against big fractions: every finite float is an integer times a power of
//! two, and the sum is rounded by comparing it with halfway points.

use adsum::DType;
use adsum::fold::{Operator, fold};
use num_bigint::BigInt;
use proptest::prelude::*;

/// A finite float64 in units of 2^-1074.
fn units(value: f64) -> BigInt {
    let bits = value.to_bits();
    let (exponent, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
    let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let magnitude = BigInt::from(significand) << (exponent.max(1) - 1);
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

/// The float nearest to `sum / divisor`, ties to even, among ordered candidates that
/// `at` gives: found by bisection and one comparison with the point halfway.
fn nearest(sum: &BigInt, divisor: u64, infinity: u64, at: impl Fn(u64) -> f64) -> (bool, u64) {
    let negative = *sum < BigInt::ZERO;
    let target = BigInt::from(sum.magnitude().clone());
    let of = |bits: u64| units(at(bits)) * divisor;
    let (mut low, mut high) = (0, infinity);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if of(middle) <= target { low = middle } else { high = middle }
    }
    // Past the largest finite number one more step of the same size is infinity.
    let above = match high == infinity {
        true => of(low) * 2 - of(low - 1),
        false => of(high),
    };
    let twice: BigInt = target * 2;
    let halfway = of(low) + above;
    let up = twice > halfway || (twice == halfway && low & 1 == 1);
    (negative, if up { low + 1 } else { low })
}

fn check(dtype: DType, words: &[Vec<u64>], mean: bool) {
    let size = dtype.size_bytes();
    let contributions: Vec<Vec<u8>> = words
        .iter()
        .map(|words| words.iter().flat_map(|word| word.to_le_bytes()[..size].to_vec()).collect())
        .collect();
    let views: Vec<&[u8]> = contributions.iter().map(Vec::as_slice).collect();
    let mut out = vec![0; views[0].len()];
    fold(if mean { Operator::Mean } else { Operator::Sum }, dtype, &views, &mut out);
    let (sign, infinity, value): (u64, u64, fn(u64) -> f64) = match dtype {
        DType::F16 => (1 << 15, 0x7c00, |bits| half::f16::from_bits(bits as u16).to_f64()),
        DType::BF16 => (1 << 15, 0x7f80, |bits| half::bf16::from_bits(bits as u16).to_f64()),
        DType::F32 => (1 << 31, 0x7f80_0000, |bits| f32::from_bits(bits as u32).into()),
        _ => (1 << 63, f64::INFINITY.to_bits(), f64::from_bits),
    };
    for (number, out) in out.chunks(size).enumerate() {
        let elements: Vec<f64> = words.iter().map(|words| value(words[number])).collect();
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(out);
        let found = u64::from_le_bytes(bytes);
        let infinite = |sign: f64| elements.contains(&(sign * f64::INFINITY));
        let nan = elements.iter().any(|x| x.is_nan()) || (infinite(1.0) && infinite(-1.0));
        let expected = if nan {
            infinity | (infinity & infinity.wrapping_neg()) >> 1
        } else if infinite(1.0) {
            infinity
        } else if infinite(-1.0) {
            infinity | sign
        } else {
            let sum = elements.iter().map(|&x| units(x)).sum::<BigInt>();
            let divisor = if mean { words.len() as u64 } else { 1 };
            let (negative, bits) = nearest(&sum, divisor, infinity, value);
            if negative { bits | sign } else { bits }
        };
        assert_eq!(found, expected, "{dtype} mean: {mean} of {elements:?}");
    }
}

/// Bits whose exponents lie within `spread` of each other, with some that are special.
fn words(dtype: DType, ranks: usize, count: usize) -> impl Strategy<Value = Vec<Vec<u64>>> {
    let (fraction, exponents) = match dtype {
        DType::F16 => (10, 32_u64),
        DType::BF16 => (7, 256),
        DType::F32 => (23, 256),
        _ => (52, 2048),
    };
    let width = dtype.size_bytes() * 8;
    let element = (any::<u64>(), 0..100_u8);
    (0..exponents, 1..exponents, prop::collection::vec(element, ranks * count)).prop_map(
        move |(top, spread, elements)| {
            let word = |(random, kind): (u64, u8)| {
                let exponent = match kind {
                    0 => exponents - 1,
                    1 => 0,
                    _ => (top + random % spread).min(exponents - 2),
                };
                // Few bits make ties.
                let digits = if kind < 30 { random & (3 << (fraction - 2)) } else { random };
                (random >> 63) << (width - 1)
                    | exponent << fraction
                    | digits & ((1 << fraction) - 1)
            };
            let all: Vec<u64> = elements.into_iter().map(word).collect();
            all.chunks(count).map(<[u64]>::to_vec).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn sums_and_means_are_exact_and_rounded_once(
        (dtype, data) in prop::sample::select(vec![DType::F16, DType::BF16, DType::F32, DType::F64])
            .prop_flat_map(|dtype| (1..9_usize).prop_flat_map(move |ranks| {
                (Just(dtype), words(dtype, ranks, 5))
            })),
    ) {
        check(dtype, &data, false);
        check(dtype, &data, true);
    }

    #[test]
    fn neighbouring_exponents_take_the_fast_way(
        data in (2..7_usize).prop_flat_map(|ranks| {
            prop::collection::vec(prop::collection::vec(-1e3..1e3_f32, 300), ranks)
        }),
    ) {
        let bits: Vec<Vec<u64>> =
            data.iter().map(|one| one.iter().map(|x| u64::from(x.to_bits())).collect()).collect();
        check(DType::F32, &bits, false);
        let bits: Vec<Vec<u64>> =
            data.iter().map(|one| one.iter().map(|&x| f64::from(x).sin().to_bits()).collect()).collect();
        check(DType::F64, &bits, false);
    }

    #[test]
    fn integers_wrap_and_compare(a in any::<i32>(), b in any::<i32>(), c in any::<i32>()) {
        let bytes = [a, b, c].map(|x| x.to_le_bytes());
        let all: Vec<&[u8]> = bytes.iter().map(|x| &x[..]).collect();
        let of = |operator| {
            let mut out = [0; 4];
            fold(operator, DType::I32, &all, &mut out);
            i32::from_le_bytes(out)
        };
        prop_assert_eq!(of(Operator::Sum), a.wrapping_add(b).wrapping_add(c));
        prop_assert_eq!(of(Operator::Prod), a.wrapping_mul(b).wrapping_mul(c));
        prop_assert_eq!(of(Operator::Min), a.min(b).min(c));
        prop_assert_eq!(of(Operator::Max), a.max(b).max(c));
        prop_assert_eq!(of(Operator::BitXor), a ^ b ^ c);
        prop_assert_eq!(of(Operator::BitAnd), a & b & c);
        prop_assert_eq!(of(Operator::BitOr), a | b | c);
        prop_assert_eq!(of(Operator::LogicalAnd), i32::from(a != 0 && b != 0 && c != 0));
        let parity = [a, b, c].iter().filter(|x| **x != 0).count() % 2;
        prop_assert_eq!(of(Operator::LogicalXor), parity as i32);
    }
}

#[test]
fn a_tie_is_broken_by_what_lies_far_below() {
    // One, half of its last place, and something that decides far below or not at all.
    for (dtype, one, half, far, sign) in [
        (DType::F16, 0x3c00, 0x1000, 0x0001, 1_u64 << 15),
        (DType::BF16, 0x3f80, 0x3b80, 0x0d80, 1 << 15),
        (DType::F32, 0x3f80_0000, 0x3380_0000, 0x2180_0000, 1 << 31),
        (DType::F32, 0x3f80_0000, 0x3380_0000, 0x0000_0001, 1 << 31),
        (
            DType::F64,
            1.0_f64.to_bits(),
            2f64.powi(-53).to_bits(),
            2f64.powi(-120).to_bits(),
            1 << 63,
        ),
        (DType::F64, 1.0_f64.to_bits(), 2f64.powi(-53).to_bits(), 1, 1 << 63),
    ] {
        for odd in [0, 1] {
            for below in [0, far, far | sign] {
                for flip in [0, sign] {
                    let terms = [one | odd, half, below].map(|bits: u64| vec![bits ^ flip]);
                    check(dtype, &terms, false);
                    check(dtype, &terms, true);
                    let mut turned = terms.to_vec();
                    turned.rotate_left(1);
                    check(dtype, &turned, false);
                    // A half of it, which is a tie again.
                    check(dtype, &[terms[0].clone(), terms[1].clone()], true);
                }
            }
        }
    }
}

fn f32s(operator: Operator, values: &[f32]) -> f32 {
    let bytes: Vec<[u8; 4]> = values.iter().map(|x| x.to_le_bytes()).collect();
    let all: Vec<&[u8]> = bytes.iter().map(|x| &x[..]).collect();
    let mut out = [0; 4];
    fold(operator, DType::F32, &all, &mut out);
    f32::from_le_bytes(out)
}

#[test]
fn extremes_follow_the_library() {
    assert_eq!(f32s(Operator::Min, &[0.0, -0.0]).to_bits(), (-0.0_f32).to_bits());
    assert_eq!(f32s(Operator::Max, &[-0.0, 0.0]).to_bits(), 0);
    assert_eq!(f32s(Operator::Max, &[-3.0, -7.0]), -3.0);
    assert_eq!(f32s(Operator::Min, &[1.0, -f32::NAN, f32::INFINITY]).to_bits(), 0x7fc0_0000);
    assert_eq!(f32s(Operator::Min, &[-f32::NAN]).to_bits(), 0x7fc0_0000);
    assert_eq!(f32s(Operator::Prod, &[1e30, 1e30, 1e-30, 1e-30, 3.0]), 3.0);
    assert_eq!(f32s(Operator::Sum, &[-0.0]).to_bits(), 0);
    assert_eq!(f32s(Operator::LogicalOr, &[-0.0, 0.0]), 0.0);
    assert_eq!(f32s(Operator::LogicalAnd, &[f32::NAN, 5.0]), 1.0);
}

#[test]
fn the_lowest_index_wins() {
    let element =
        |value: i16, index: u64| [&value.to_le_bytes()[..], &index.to_le_bytes()].concat();
    let all = [element(3, 9), element(-2, 8), element(-2, 1), element(3, 4)];
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let mut out = vec![0; 10];
    fold(Operator::MinLoc, DType::I16, &all, &mut out);
    assert_eq!(out, element(-2, 1));
    fold(Operator::MaxLoc, DType::I16, &all, &mut out);
    assert_eq!(out, element(3, 4));
}

#[test]
fn bools_are_true_for_any_byte_but_zero() {
    let of = |operator, all: &[&[u8]]| {
        let mut out = [7];
        fold(operator, DType::Bool, all, &mut out);
        out[0]
    };
    assert_eq!(of(Operator::LogicalXor, &[&[2], &[4]]), 0);
    assert_eq!(of(Operator::BitXor, &[&[2]]), 1);
    assert_eq!(of(Operator::BitAnd, &[&[2], &[4]]), 1);
    assert_eq!(of(Operator::Max, &[&[0], &[4]]), 1);
}
