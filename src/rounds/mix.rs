//! The exact point between two elements, rounded once.

use num_bigint::{BigInt, Sign};

use crate::dtype::DType;
use crate::reduction::float::{Float, FloatFormat};
use crate::reduction::round::{convert, special, to_nearest_even};
use crate::value::Value;

use super::rank::Fraction;

/// An element as a number.
enum Number {
    /// So many units of its type.
    Finite(BigInt),
    Infinite {
        negative: bool,
    },
}

impl Number {
    fn of(dtype: DType, bits: u64) -> Number {
        let Some(format) = FloatFormat::of(dtype) else {
            let integer = Value::of(dtype, bits).as_i128().expect("an integer of 64 bits");
            return Number::Finite(integer.into());
        };
        match format.decode(bits) {
            Float::Nan => unreachable!("NaN has no rank"),
            Float::Infinite { negative } => Number::Infinite { negative },
            Float::Finite { negative, significand, shift } => {
                let magnitude = BigInt::from(significand) << shift;
                Number::Finite(if negative { -magnitude } else { magnitude })
            }
        }
    }
}

/// The bits in type `output` of `low + (high - low) * way`, of two elements in
/// order.
///
/// An infinity is reached as soon as the point leaves a finite element, and
/// there is no point between both infinities.
pub fn mix(dtype: DType, low: u64, high: u64, way: Fraction, output: DType) -> u64 {
    if low == high || way.numerator == 0 {
        return element(dtype, low, output);
    }
    let format = FloatFormat::of(output).expect("a point between elements is a float");
    let infinite = |negative| special(Float::Infinite { negative }, format);
    let (low, high) = match (Number::of(dtype, low), Number::of(dtype, high)) {
        (Number::Finite(low), Number::Finite(high)) => (low, high),
        (Number::Infinite { .. }, Number::Infinite { .. }) => return format.quiet_nan(),
        (Number::Infinite { negative }, Number::Finite(_))
        | (Number::Finite(_), Number::Infinite { negative }) => return infinite(negative),
    };
    let point: BigInt = (&low << way.exponent) + (high - low) * BigInt::from(way.numerator);
    let unit = FloatFormat::of(dtype).map_or(0, |format| format.exponent_min);
    signed(&point, unit - way.exponent as i32, format)
}

/// The bits of one element in type `output`: its own, or a float.
fn element(dtype: DType, bits: u64, output: DType) -> u64 {
    match (FloatFormat::of(dtype), FloatFormat::of(output)) {
        _ if dtype == output => bits,
        (Some(from), Some(to)) => convert(bits, from, to),
        (None, Some(to)) => {
            let integer = Value::of(dtype, bits).as_i128().expect("an integer of 64 bits");
            signed(&integer.into(), 0, to)
        }
        (_, None) => unreachable!("the output type was checked"),
    }
}

/// The bits of the float nearest to `number * 2^unit`.
fn signed(number: &BigInt, unit: i32, format: FloatFormat) -> u64 {
    let magnitude = to_nearest_even(&number.magnitude().to_u64_digits(), unit, format);
    if number.sign() == Sign::Minus { magnitude | format.sign_bit() } else { magnitude }
}
