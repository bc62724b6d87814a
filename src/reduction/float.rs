//! Binary floating-point formats, and what the bits of one number mean.

use crate::dtype::DType;

/// An IEEE 754 binary interchange format, or one made like them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatFormat {
    /// Bits of the significand, the implicit one included.
    pub precision: u32,
    /// Exponent of the smallest subnormal: the weight of the lowest fraction bit.
    pub exponent_min: i32,
    /// The bits of +infinity; below them lie the finite magnitudes, in order.
    pub infinity: u64,
}

/// IEEE 754 binary16.
pub const BINARY16: FloatFormat =
    FloatFormat { precision: 11, exponent_min: -24, infinity: 0x7c00 };

/// The upper half of a binary32.
pub const BFLOAT16: FloatFormat =
    FloatFormat { precision: 8, exponent_min: -133, infinity: 0x7f80 };

/// IEEE 754 binary32.
pub const BINARY32: FloatFormat =
    FloatFormat { precision: 24, exponent_min: -149, infinity: 0x7f80_0000 };

/// IEEE 754 binary64.
pub const BINARY64: FloatFormat =
    FloatFormat { precision: 53, exponent_min: -1074, infinity: 0x7ff0_0000_0000_0000 };

/// What the bits of a float mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// Not a number.
    Nan,
    /// An infinity.
    Infinite {
        /// Whether it is -infinity.
        negative: bool,
    },
    /// `significand * 2^(shift + exponent_min)`, with the sign beside it.
    Finite {
        /// The sign bit.
        negative: bool,
        /// At most [`FloatFormat::precision`] bits.
        significand: u64,
        /// How far the significand lies above the smallest subnormal.
        shift: u32,
    },
}

impl FloatFormat {
    /// The format of a float type, or `None` for integers and bool.
    pub const fn of(dtype: DType) -> Option<FloatFormat> {
        match dtype {
            DType::F16 => Some(BINARY16),
            DType::BF16 => Some(BFLOAT16),
            DType::F32 => Some(BINARY32),
            DType::F64 => Some(BINARY64),
            DType::Bool
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => None,
        }
    }

    /// The sign bit, the topmost.
    pub const fn sign_bit(self) -> u64 {
        self.infinity + (1 << (self.precision - 1))
    }

    /// The canonical quiet NaN: positive, with the highest fraction bit alone.
    pub const fn quiet_nan(self) -> u64 {
        self.infinity | 1 << (self.precision - 2)
    }

    /// Whether the bits are a NaN.
    pub const fn is_nan(self, bits: u64) -> bool {
        bits & !self.sign_bit() > self.infinity
    }

    /// How far above the smallest subnormal the lowest bit of the largest
    /// finite number lies.
    pub const fn shift_max(self) -> u32 {
        (self.infinity >> (self.precision - 1)) as u32 - 2
    }

    /// Takes the bits of a number apart.
    pub const fn decode(self, bits: u64) -> Float {
        let fraction_bits = self.precision - 1;
        let negative = bits & self.sign_bit() != 0;
        let fraction = bits & ((1 << fraction_bits) - 1);
        if bits & self.infinity == self.infinity {
            return if fraction != 0 { Float::Nan } else { Float::Infinite { negative } };
        }
        let exponent = ((bits & self.infinity) >> fraction_bits) as u32;
        match exponent {
            0 => Float::Finite { negative, significand: fraction, shift: 0 },
            _ => Float::Finite {
                negative,
                significand: fraction | 1 << fraction_bits,
                shift: exponent - 1,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_those_of_the_hardware_types() {
        assert_eq!(BINARY32.sign_bit(), u64::from((-0.0_f32).to_bits()));
        assert_eq!(BINARY64.sign_bit(), (-0.0_f64).to_bits());
        assert_eq!(BINARY64.infinity, f64::INFINITY.to_bits());
        assert_eq!(BINARY16.sign_bit(), 0x8000);
        assert_eq!(BFLOAT16.quiet_nan(), 0x7fc0);
        assert!(BINARY64.is_nan(f64::NAN.to_bits()) && !BINARY64.is_nan(BINARY64.infinity));
        assert!(BINARY32.is_nan(0xffff_ffff) && !BINARY32.is_nan(0xff80_0000));
    }

    #[test]
    fn decoding_gives_the_value_that_hardware_has() {
        for value in [1.0, -0.1, 5e-324, 2.2e-308, f64::MAX, -0.0] {
            let Float::Finite { negative, significand, shift } = BINARY64.decode(value.to_bits())
            else {
                panic!("{value} is finite")
            };
            // Two steps, since the power alone may be too small or too large.
            let power = (shift as i32 + BINARY64.exponent_min) / 2;
            let rest = shift as i32 + BINARY64.exponent_min - power;
            let magnitude = significand as f64 * 2f64.powi(power) * 2f64.powi(rest);
            assert_eq!(if negative { -magnitude } else { magnitude }, value);
        }
        assert_eq!(BINARY32.decode(0xff80_0000), Float::Infinite { negative: true });
        assert_eq!(BINARY16.decode(0x7c01), Float::Nan);
        let largest = Float::Finite { negative: false, significand: 0x7ff, shift: 29 };
        assert_eq!(BINARY16.decode(0x7bff), largest);
        assert_eq!(BINARY16.shift_max(), 29);
    }
}
