//! Evenly spaced numbers as `np.linspace` makes them, operation by operation.

use crate::dtype::DType;
use crate::reduction::float::{BINARY64, FloatFormat};
use crate::reduction::round;
use crate::value::Value;

/// `count + 1` numbers from `low` to `high`, each operation rounded to `format`,
/// whose numbers `low` and `high` are.
///
/// Operations are made in float64 and rounded to the format after. For the four
/// basic ones and formats of at most 25 bits that is the same as one rounding
/// (S. A. Figueroa, "When is double rounding innocuous?", 1995).
pub fn linspace(low: f64, high: f64, count: usize, format: FloatFormat) -> Vec<f64> {
    let rounded = |value| rounded(value, format);
    let parts = rounded(count as f64);
    let delta = rounded(high - low);
    let step = rounded(delta / parts);
    let offset = |index: usize| {
        let index = rounded(index as f64);
        // A step may round to zero where the way of many steps does not.
        match step == 0.0 {
            true => rounded(rounded(index / parts) * delta),
            false => rounded(index * step),
        }
    };
    let mut edges: Vec<f64> = (0..count).map(|index| rounded(offset(index) + low)).collect();
    edges.push(high);
    edges
}

/// The nearest number of a format.
pub fn rounded(value: f64, format: FloatFormat) -> f64 {
    match format {
        BINARY64 => value,
        _ => f64::from_bits(round::convert(bits_in(value, format), format, BINARY64)),
    }
}

/// A number as a value of a float type, rounded to nearest.
pub fn value_in(number: f64, dtype: DType) -> Value {
    let format = FloatFormat::of(dtype).unwrap_or(BINARY64);
    let dtype = if dtype.is_float() { dtype } else { DType::F64 };
    Value::of(dtype, bits_in(number, format))
}

fn bits_in(number: f64, format: FloatFormat) -> u64 {
    round::convert(number.to_bits(), BINARY64, format)
}
