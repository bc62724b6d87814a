//! Elements as real numbers, by arithmetic of its own, and hard data of every
//! type.

use std::cmp::Ordering;

use adsum::DType;
use adsum::op::Bins;
use adsum::reduction::bins::BinCounts;
use adsum::reduction::key::key;
use num_bigint::BigInt;
use proptest::prelude::*;

/// So many elements with the same bits.
pub type Many = (u64, u64);

/// An element or edge as a real number, in units of 2^-1074.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Real {
    Nan,
    Infinite(bool),
    Finite(BigInt),
}

/// Precision and exponent of the smallest subnormal of a float type.
pub fn format(dtype: DType) -> Option<(u32, i32)> {
    match dtype {
        DType::F16 => Some((11, -24)),
        DType::BF16 => Some((8, -133)),
        DType::F32 => Some((24, -149)),
        DType::F64 => Some((53, -1074)),
        _ => None,
    }
}

pub fn width(dtype: DType) -> u32 {
    8 * dtype.size_bytes() as u32
}

/// The number that float bits without a sign mean, in units of the smallest
/// subnormal; of infinity, what would follow the largest number.
pub fn magnitude(bits: u64, precision: u32) -> BigInt {
    let (exponent, fraction) = (bits >> (precision - 1), bits & ((1 << (precision - 1)) - 1));
    match exponent {
        0 => fraction.into(),
        _ => BigInt::from(fraction | 1 << (precision - 1)) << (exponent - 1),
    }
}

pub fn infinity(dtype: DType) -> Option<u64> {
    let (precision, _) = format(dtype)?;
    Some((1 << (width(dtype) - 1)) - (1 << (precision - 1)))
}

pub fn real(dtype: DType, bits: u64) -> Real {
    let Some((precision, exponent)) = format(dtype) else {
        let unused = 64 - width(dtype);
        let value = match dtype.is_signed() {
            true => BigInt::from((bits << unused) as i64 >> unused),
            false => BigInt::from(bits),
        };
        return Real::Finite(value << 1074);
    };
    let sign = 1 << (width(dtype) - 1);
    let negative = bits & sign != 0;
    let bits = bits & !sign;
    match bits.cmp(&infinity(dtype).unwrap()) {
        Ordering::Greater => Real::Nan,
        Ordering::Equal => Real::Infinite(negative),
        Ordering::Less => {
            let value = magnitude(bits, precision) << (exponent + 1074) as u32;
            Real::Finite(if negative { -value } else { value })
        }
    }
}

/// Compares real numbers; zeros are equal.
pub fn compare(a: &Real, b: &Real) -> Ordering {
    match (a, b) {
        (Real::Finite(a), Real::Finite(b)) => a.cmp(b),
        (Real::Infinite(a), Real::Infinite(b)) => b.cmp(a),
        (Real::Infinite(negative), _) => [Ordering::Greater, Ordering::Less][*negative as usize],
        (_, Real::Infinite(negative)) => [Ordering::Less, Ordering::Greater][*negative as usize],
        _ => panic!("NaN has no order"),
    }
}

/// The bits of the float nearest to `number * 2^-unit`, ties to even, by a
/// search for its neighbours.
pub fn nearest(number: &BigInt, unit: i32, dtype: DType) -> u64 {
    let (precision, exponent) = format(dtype).unwrap();
    // Both as integers of the finer unit.
    let scale = |bits| magnitude(bits, precision) << (unit + exponent) as u32;
    let target = number.magnitude().clone().into();
    let (mut low, mut high) = (0, infinity(dtype).unwrap());
    while high - low > 1 {
        let middle = (low + high) / 2;
        if scale(middle) <= target { low = middle } else { high = middle }
    }
    let (down, up): (BigInt, BigInt) = (&target - scale(low), scale(high) - &target);
    let bits = match down.cmp(&up) {
        Ordering::Less => low,
        Ordering::Greater => high,
        Ordering::Equal => low + low % 2,
    };
    if number < &BigInt::ZERO { bits | 1 << (width(dtype) - 1) } else { bits }
}

pub fn count(dtype: DType, bins: &Bins, data: &[Many]) -> BinCounts {
    let (mut nan, mut below, mut above) = (0, 0, 0);
    let mut counts = vec![0; bins.lower.len()];
    for &(bits, many) in data {
        match key(dtype, bits).map(|key| bins.bin_of(key)) {
            None => nan += many,
            Some(Ok(bin)) => counts[bin] += many,
            Some(Err(false)) => below += many,
            Some(Err(true)) => above += many,
        }
    }
    BinCounts::from_parts(dtype, bins, nan, below, above, counts).unwrap()
}

pub fn any_dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

/// Bits of an element: wild, small, or special.
pub fn element(dtype: DType) -> BoxedStrategy<u64> {
    let mask = u64::MAX >> (64 - width(dtype));
    let sign = 1 << (width(dtype) - 1);
    let mut special = vec![0, sign, sign - 1, mask, 1, sign + 1];
    if let Some(infinity) = infinity(dtype) {
        special.extend([infinity, infinity | sign, infinity - 1, (infinity - 1) | sign]);
        special.extend([infinity + 1, mask - 1]);
        special.extend([infinity / 2, infinity / 2 + 1, (infinity / 2) | sign]);
    }
    if dtype == DType::Bool {
        return (0..2_u64).boxed();
    }
    prop_oneof![
        any::<u64>().prop_map(move |word| word & mask),
        prop::sample::select(special),
        (0..4_u64).prop_map(move |step| (mask / 3 + step) & mask),
    ]
    .boxed()
}

pub fn data(dtype: DType) -> impl Strategy<Value = Vec<Many>> {
    let few = prop::collection::vec((element(dtype), Just(1)), 0..12);
    let some = prop::collection::vec((element(dtype), 1..4_u64), 0..60);
    let huge = prop::collection::vec((element(dtype), 1..1_u64 << 58), 0..12);
    let numbers = |data: &mut Vec<Many>, dtype: DType| {
        data.retain(|&(bits, _)| real(dtype, bits) != Real::Nan);
    };
    (prop_oneof![few, some, huge], any::<bool>()).prop_map(move |(mut data, keep)| {
        if !keep {
            numbers(&mut data, dtype);
        }
        data
    })
}

/// How often a property is tried. The seeds of failures are for whoever sees
/// them, not for a file.
pub fn cases() -> ProptestConfig {
    ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() }
}
