//! What a sum is, by big integers: the oracle that every backend is held to.
//!
//! It shares no code with the crate's sums. Elements are gathered by exponent
//! in machine integers, then added as `num_bigint` integers; rounding searches
//! for the two neighbouring floats instead of shifting bits out.

#![allow(dead_code, reason = "each test file uses its part of the helpers")]

use adsum::DType;
use num_bigint::{BigInt, Sign};

/// The exact sum of a run of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    pub dtype: DType,
    /// The sum of the finite elements in units of the dtype: 2^-149, 2^-1074
    /// or 1.
    pub units: BigInt,
    pub elements: u64,
    pub nan: u64,
    pub positive_infinity: u64,
    pub negative_infinity: u64,
}

/// Sums little-endian elements.
pub fn sum(dtype: DType, bytes: &[u8]) -> Exact {
    let size = dtype.size_bytes();
    assert_eq!(bytes.len() % size, 0, "whole elements");
    let mut exact = Exact {
        dtype,
        units: BigInt::ZERO,
        elements: (bytes.len() / size) as u64,
        nan: 0,
        positive_infinity: 0,
        negative_infinity: 0,
    };
    let elements = bytes.chunks_exact(size).map(|element| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(element);
        u64::from_le_bytes(wide)
    });
    match dtype {
        DType::F32 => exact.add_floats(elements, 8, 23),
        DType::F64 => exact.add_floats(elements, 11, 52),
        DType::Bool => exact.units = elements.filter(|bits| *bits != 0).count().into(),
        _ if dtype.is_signed() => {
            let unused = 64 - 8 * size as u32;
            let widen = |bits: u64| i128::from((bits << unused) as i64 >> unused);
            exact.units = elements.map(widen).sum::<i128>().into();
        }
        _ => exact.units = elements.map(u128::from).sum::<u128>().into(),
    }
    exact
}

impl Exact {
    fn add_floats(
        &mut self,
        elements: impl Iterator<Item = u64>,
        exponent_bits: u32,
        fraction_bits: u32,
    ) {
        let exponents = 1usize << exponent_bits;
        let mut by_exponent = vec![0i128; exponents];
        for bits in elements {
            let fraction = bits & ((1 << fraction_bits) - 1);
            let exponent = (bits >> fraction_bits) as usize % exponents;
            let negative = bits >> (fraction_bits + exponent_bits) != 0;
            if exponent == exponents - 1 {
                match (fraction, negative) {
                    (0, false) => self.positive_infinity += 1,
                    (0, true) => self.negative_infinity += 1,
                    _ => self.nan += 1,
                }
                continue;
            }
            let implicit = if exponent > 0 { 1 << fraction_bits } else { 0 };
            let significand = i128::from(fraction + implicit);
            by_exponent[exponent] += if negative { -significand } else { significand };
        }
        for (exponent, total) in by_exponent.into_iter().enumerate() {
            self.units += BigInt::from(total) << exponent.saturating_sub(1);
        }
    }

    /// The canonical bytes of the partial that holds this sum.
    pub fn partial_bytes(&self) -> Vec<u8> {
        let limbs = match self.dtype {
            DType::F32 => 6,
            DType::F64 => 34,
            _ => 2,
        };
        let mut bytes = vec![1, 1, self.dtype.code(), 0, 0, 0, 0, 0];
        for count in [self.elements, self.nan, self.positive_infinity, self.negative_infinity] {
            bytes.extend(count.to_le_bytes());
        }
        let mut integer = self.units.to_signed_bytes_le();
        let sign = if self.units.sign() == Sign::Minus { 0xff } else { 0 };
        integer.resize(integer.len().max(8 * limbs), sign);
        bytes.extend(&integer[..8 * limbs]);
        bytes
    }

    /// The sum as the bits of a binary32, rounded to nearest even.
    pub fn f32_bits(&self) -> u32 {
        self.rounded(8, 23) as u32
    }

    /// The sum as the bits of a binary64, rounded to nearest even.
    pub fn f64_bits(&self) -> u64 {
        self.rounded(11, 52)
    }

    fn rounded(&self, exponent_bits: u32, fraction_bits: u32) -> u64 {
        let sign_bit = 1u64 << (exponent_bits + fraction_bits);
        let infinity = ((1 << exponent_bits) - 1) << fraction_bits;
        match (self.nan, self.positive_infinity, self.negative_infinity) {
            (0, 0, 0) => {}
            (0, 1.., 0) => return infinity,
            (0, 0, 1..) => return infinity | sign_bit,
            _ => return infinity | 1 << (fraction_bits - 1),
        }
        // All numbers from here on are in units of 2^-1074.
        let unit_exponent = match self.dtype {
            DType::F32 => 149,
            DType::F64 => 1074,
            _ => 0,
        };
        let magnitude = BigInt::from(self.units.magnitude().clone()) << (1074 - unit_exponent);
        let bias = (1i64 << (exponent_bits - 1)) - 1;
        let shift_of_subnormals = 1074 + 1 - bias - i64::from(fraction_bits);
        // The float with these bits; infinity counts as the next power of two,
        // which is how rounding treats it.
        let value = |bits: u64| {
            let exponent = bits >> fraction_bits;
            let implicit = if exponent > 0 { 1 << fraction_bits } else { 0 };
            let significand = BigInt::from(bits % (1 << fraction_bits) + implicit);
            significand << (shift_of_subnormals as u64 + exponent.saturating_sub(1))
        };
        // Bits of positive floats are in the order of their values: find the
        // last one that is not above the magnitude.
        let (mut below, mut above) = (0, infinity);
        if magnitude >= value(infinity) {
            below = infinity;
        }
        while above - below > 1 && below < infinity {
            let middle = below + (above - below) / 2;
            if value(middle) <= magnitude { below = middle } else { above = middle }
        }
        let mut bits = below;
        if below < infinity {
            let (down, up) = (&magnitude - value(below), value(below + 1) - &magnitude);
            if up < down || (up == down && below % 2 == 1) {
                bits = below + 1;
            }
        }
        let negative = self.units.sign() == Sign::Minus;
        if negative { bits | sign_bit } else { bits }
    }
}

/// The correctly rounded sum of little-endian binary32 elements, as bits.
pub fn sum_bits_f32(bytes: &[u8]) -> u32 {
    sum(DType::F32, bytes).f32_bits()
}

/// The correctly rounded sum of little-endian binary64 elements, as bits.
pub fn sum_bits_f64(bytes: &[u8]) -> u64 {
    sum(DType::F64, bytes).f64_bits()
}

#[test]
fn the_oracle_rounds_two_terms_as_hardware_adds_them() {
    let doubles = [1.0, 0.1, -0.1, 1e16, 3.0, f64::MAX, 5e-324, -2.3e-308, 2f64.powi(53), -1e308];
    // An exact zero is +0 here, so -0 + -0 is too: hence the added zero.
    for a in doubles {
        for b in doubles {
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            assert_eq!(sum_bits_f64(&bytes), (a + b + 0.0).to_bits(), "{a} + {b}");
            let (a, b) = (a as f32, b as f32);
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            let expected = if (a + b).is_nan() { 0x7fc0_0000 } else { (a + b + 0.0).to_bits() };
            assert_eq!(sum_bits_f32(&bytes), expected, "{a} + {b}");
        }
        assert_eq!(sum(DType::F64, &a.to_le_bytes()).f32_bits(), (a as f32).to_bits());
    }
}
