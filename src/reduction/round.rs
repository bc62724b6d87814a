//! Rounding an exact integer once, to nearest with ties to even, straight to
//! the output format.
//!
//! Rounding to `f64` first and to `f32` after is wrong: the first rounding can
//! create a tie that the exact number does not have.

use super::limbs;

/// An IEEE 754 binary interchange format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatFormat {
    /// Bits of the significand, the implicit one included.
    pub precision: u32,
    /// Exponent of the smallest subnormal: the weight of the lowest fraction bit.
    pub exponent_min: i32,
    /// The bits of +infinity; below them lie the finite magnitudes, in order.
    pub infinity: u64,
}

/// IEEE 754 binary32.
pub const BINARY32: FloatFormat =
    FloatFormat { precision: 24, exponent_min: -149, infinity: 0x7f80_0000 };

/// IEEE 754 binary64.
pub const BINARY64: FloatFormat =
    FloatFormat { precision: 53, exponent_min: -1074, infinity: 0x7ff0_0000_0000_0000 };

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
