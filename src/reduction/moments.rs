//! What the exact sums of elements and of squares tell together: mean,
//! variance, standard deviation, and the Euclidean norm.
//!
//! With `n` elements, their sum `S` and the sum of their squares `Q`, both
//! exact integers, the variance is the ratio
//!
//! ```text
//!   n Q - S S
//! -----------------      and the standard deviation its square root.
//!  n (n - ddof)
//! ```
//!
//! Both are integers until the one rounding at the end, so nothing cancels
//! however far the mean lies from zero.

use num_bigint::{BigInt, BigUint, Sign};

use super::float::{Float, FloatFormat};
use super::round;
use super::sum::{Sum, unit_exponent};

/// The mean of a sum's elements as bits of `format`; NaN of no elements.
pub fn mean(sum: &Sum, format: FloatFormat) -> u64 {
    let count = sum.counts().elements;
    if let Some(special) = sum.special() {
        return round::special(special, format);
    }
    if count == 0 {
        return format.quiet_nan();
    }
    let (negative, magnitude) = integer(sum).into_parts();
    let unit = unit_exponent(sum.dtype(), sum.term());
    let bits = round::ratio(&magnitude, &BigUint::from(count), unit, format);
    if negative == Sign::Minus { bits | format.sign_bit() } else { bits }
}

/// Variance or standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// The variance.
    Variance,
    /// Its square root.
    Deviation,
}

/// The spread of the elements of `sum`, whose squares add up to `squares`, as
/// bits of `format`. NaN where infinities or NaN are among them, and where
/// there are no more than `ddof` elements.
pub fn spread(spread: Spread, sum: &Sum, squares: &Sum, ddof: i64, format: FloatFormat) -> u64 {
    let count = sum.counts().elements;
    let freedom = i128::from(count) - i128::from(ddof);
    if sum.special().is_some() || count == 0 || freedom <= 0 {
        return format.quiet_nan();
    }
    let total = integer(sum);
    let numerator = (integer(squares) * count - &total * &total).into_parts().1;
    let denominator = BigUint::from(count) * BigUint::from(freedom.unsigned_abs());
    let unit = unit_exponent(squares.dtype(), squares.term());
    match spread {
        Spread::Variance => round::ratio(&numerator, &denominator, unit, format),
        Spread::Deviation => round::root(&numerator, &denominator, unit, format),
    }
}

/// The square root of a sum of squares as bits of `format`.
pub fn norm(squares: &Sum, format: FloatFormat) -> u64 {
    match squares.special() {
        Some(Float::Nan) => format.quiet_nan(),
        Some(_) => format.infinity,
        None => {
            let unit = unit_exponent(squares.dtype(), squares.term());
            let one = BigUint::from(1_u32);
            round::root(&integer(squares).into_parts().1, &one, unit, format)
        }
    }
}

fn integer(sum: &Sum) -> BigInt {
    let (negative, magnitude, shift) = sum.sign_and_magnitude();
    let digits = magnitude.iter().flat_map(|&limb| [limb as u32, (limb >> 32) as u32]).collect();
    let magnitude = BigUint::new(digits) << shift;
    BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude)
}

#[cfg(test)]
mod tests {
    use super::super::float::BINARY64;
    use super::*;
    use crate::dtype::DType;
    use crate::op::Term;

    fn sums(values: &[f64]) -> (Sum, Sum) {
        let mut sum = Sum::identity(DType::F64, Term::Value);
        let mut squares = Sum::identity(DType::F64, Term::Square);
        for value in values {
            sum.add(value.to_bits(), 0);
            squares.add(value.to_bits(), 0);
        }
        (sum, squares)
    }

    fn variance(values: &[f64], ddof: i64) -> f64 {
        let (sum, squares) = sums(values);
        f64::from_bits(spread(Spread::Variance, &sum, &squares, ddof, BINARY64))
    }

    #[test]
    fn known_values() {
        let (sum, squares) = sums(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(f64::from_bits(mean(&sum, BINARY64)), 5.0);
        let deviation = spread(Spread::Deviation, &sum, &squares, 0, BINARY64);
        assert_eq!(f64::from_bits(deviation), 2.0);
        assert_eq!(f64::from_bits(norm(&sums(&[3.0, -4.0]).1, BINARY64)), 5.0);
    }

    #[test]
    fn nothing_cancels_far_from_zero() {
        // Two neighbours of 1e8, which lie 2^-26 apart.
        let next = f64::from_bits(1e8_f64.to_bits() + 1);
        assert_eq!(variance(&[1e8, next], 0), 2f64.powi(-54));
        assert_eq!(variance(&[1e300; 7], 0), 0.0);
        let (three, four) = (3.0 * 2f64.powi(700), 4.0 * 2f64.powi(700));
        let length = f64::from_bits(norm(&sums(&[three, four]).1, BINARY64));
        assert_eq!(length, 5.0 * 2f64.powi(700));
    }

    #[test]
    fn too_few_elements_have_no_variance() {
        assert!(variance(&[], 0).is_nan());
        assert!(variance(&[1.0], 1).is_nan());
        assert!(variance(&[1.0, 2.0], i64::MAX).is_nan());
        assert_eq!(variance(&[1.0, 2.0], 1), 0.5);
        assert!(variance(&[1.0, f64::INFINITY], 0).is_nan());
        assert!(f64::from_bits(mean(&sums(&[]).0, BINARY64)).is_nan());
    }
}
