//! Rounding an exact integer once, to nearest with ties to even, straight to
//! the output format.
//!
//! Rounding to `f64` first and to `f32` after is wrong: the first rounding can
//! create a tie that the exact number does not have.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::Zero;

use super::float::{Float, FloatFormat};
use super::limbs;

/// The bits of the float nearest to `magnitude * 2^unit`, ties to even,
/// without a sign. Magnitudes past the largest finite number round to
/// infinity, as IEEE 754 says.
pub fn to_nearest_even(magnitude: &[u64], unit: i32, format: FloatFormat) -> u64 {
    let Some(highest) = limbs::highest_bit(magnitude) else { return 0 };
    // Bit of `magnitude` that becomes the lowest bit of the significand.
    let lowest = (highest as i32 + 1 - format.precision as i32).max(format.exponent_min - unit);
    let significand = if lowest <= 0 {
        // At most `precision` bits in all: exact, and the shift keeps them.
        magnitude[0] << lowest.unsigned_abs()
    } else {
        let lowest = lowest as u32;
        let kept = if lowest > highest { 0 } else { limbs::extract(magnitude, lowest) };
        let half = limbs::bit(magnitude, lowest - 1);
        let up = half && (kept & 1 == 1 || limbs::any_below(magnitude, lowest - 1));
        kept + u64::from(up)
    };
    // Consecutive floats have consecutive bits, so the implicit one and a
    // carry out of the significand both add one to the exponent field.
    let exponent = (lowest + unit - format.exponent_min) as u64;
    if exponent >= format.infinity >> (format.precision - 1) {
        return format.infinity;
    }
    ((exponent << (format.precision - 1)) + significand).min(format.infinity)
}

/// The bits of a NaN or an infinity: NaN is the canonical quiet one.
///
/// # Panics
/// For a finite number.
pub fn special(value: Float, format: FloatFormat) -> u64 {
    match value {
        Float::Nan => format.quiet_nan(),
        Float::Infinite { negative: false } => format.infinity,
        Float::Infinite { negative: true } => format.infinity | format.sign_bit(),
        Float::Finite { .. } => unreachable!("a finite number is rounded"),
    }
}

/// The bits of a float in another format, rounded to nearest even.
pub fn convert(bits: u64, from: FloatFormat, to: FloatFormat) -> u64 {
    match from.decode(bits) {
        Float::Finite { negative, significand, shift } => {
            let rounded = to_nearest_even(&[significand], from.exponent_min + shift as i32, to);
            if negative { rounded | to.sign_bit() } else { rounded }
        }
        value => special(value, to),
    }
}

/// The bits of the float nearest to `numerator / denominator * 2^unit`, ties
/// to even, without a sign.
///
/// # Panics
/// If the denominator is zero.
pub fn ratio(numerator: &BigUint, denominator: &BigUint, unit: i32, format: FloatFormat) -> u64 {
    // The quotient gets two bits more than any float keeps; below them stands
    // one bit for all that is left, which is all that rounding needs to know.
    let bits =
        i64::from(format.precision) + 2 + denominator.bits() as i64 - numerator.bits() as i64;
    let shift = bits.max(0) as u32;
    let (quotient, rest) = (numerator << shift).div_rem(denominator);
    to_nearest_even(&with_sticky(quotient, rest.is_zero()), unit - shift as i32 - 1, format)
}

/// The bits of the float nearest to the square root of `numerator /
/// denominator * 2^unit`, ties to even.
///
/// # Panics
/// If the denominator is zero.
pub fn root(numerator: &BigUint, denominator: &BigUint, unit: i32, format: FloatFormat) -> u64 {
    // As for a ratio, with twice the bits before the root is taken, and an
    // even exponent.
    let bits =
        2 * (i64::from(format.precision) + 2) + denominator.bits() as i64 - numerator.bits() as i64;
    let shift = bits.max(0) as i32;
    let shift = shift + (unit - shift).rem_euclid(2);
    let (quotient, rest) = (numerator << shift as u32).div_rem(denominator);
    let root = quotient.sqrt();
    let exact = rest.is_zero() && &root * &root == quotient;
    to_nearest_even(&with_sticky(root, exact), (unit - shift) / 2 - 1, format)
}

/// A number with one bit more at its low end, set unless the number is exact.
fn with_sticky(number: BigUint, exact: bool) -> Vec<u64> {
    let mut limbs = ((number << 1_u32) | BigUint::from(u32::from(!exact))).to_u64_digits();
    if limbs.is_empty() {
        limbs.push(0);
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::super::float::{BINARY32, BINARY64};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Division and roots of hardware are correctly rounded, too.
        #[test]
        fn ratios_and_roots_round_as_hardware_does(a in 1..u64::MAX >> 11, b in 1..u64::MAX >> 11) {
            let (x, y) = (BigUint::from(a), BigUint::from(b));
            let one = BigUint::from(1_u32);
            let quotient = f64::from_bits(ratio(&x, &y, 0, BINARY64));
            prop_assert_eq!(quotient, a as f64 / b as f64);
            prop_assert_eq!(f64::from_bits(root(&x, &one, 0, BINARY64)), (a as f64).sqrt());
            prop_assert_eq!(f64::from_bits(root(&x, &one, -2, BINARY64)), (a as f64).sqrt() / 2.0);
            let (a, b) = (a >> 29, b >> 29 | 1);
            let quotient = ratio(&BigUint::from(a), &BigUint::from(b), 0, BINARY32);
            prop_assert_eq!(f32::from_bits(quotient as u32), a as f32 / b as f32);
        }

        #[test]
        fn a_ratio_takes_any_unit(a in 1..1_u64 << 53, unit in -1200..1000_i32) {
            let one = BigUint::from(1_u32);
            let expected = to_nearest_even(&[a], unit, BINARY64);
            prop_assert_eq!(ratio(&BigUint::from(a), &one, unit, BINARY64), expected);
        }
    }

    #[test]
    fn a_tie_that_is_none_by_a_hair_goes_up() {
        // 1 + 2^-53 + 2^-200, as a ratio.
        let denominator = BigUint::from(1_u32) << 200_u32;
        let numerator = &denominator + (BigUint::from(1_u32) << 147_u32);
        let tie = ratio(&numerator, &denominator, 0, BINARY64);
        assert_eq!(f64::from_bits(tie), 1.0);
        let above = ratio(&(numerator + 1_u32), &denominator, 0, BINARY64);
        assert_eq!(f64::from_bits(above), 1.0 + f64::EPSILON);
    }
}
