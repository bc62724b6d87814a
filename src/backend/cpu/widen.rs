//! Floats of up to 32 bits as float32, exactly. NaN stays NaN, and infinities
//! stay what they are.

use super::word::Word;
use crate::reduction::float::{BFLOAT16, BINARY16, BINARY32, FloatFormat};

/// A format of up to 32 bits.
pub trait Widen: Copy + Send {
    /// The words that elements come as.
    type Word: Word + Send;
    /// The format.
    const FORMAT: FloatFormat;

    /// The exponent of what numbers are multiplied by where that is less work.
    const SCALE: i32 = 0;

    /// The same number.
    fn to_f32(word: Self::Word) -> f32;

    /// A finite number times 2^[`SCALE`](Self::SCALE).
    #[inline(always)]
    fn to_scaled(word: Self::Word) -> f64 {
        f64::from(Self::to_f32(word))
    }
}

/// float16
#[derive(Clone, Copy)]
pub struct F16;

impl Widen for F16 {
    type Word = u16;
    const FORMAT: FloatFormat = BINARY16;
    const SCALE: i32 = 15 - 1023;

    #[inline(always)]
    fn to_scaled(bits: u16) -> f64 {
        // The exponent keeps its bits, and with them subnormals stay what they are.
        const KEPT: u64 = 1 << 63 | 0x7fff << 42;
        f64::from_bits((i64::from(bits.cast_signed()) << 42).cast_unsigned() & KEPT)
    }

    #[inline(always)]
    fn to_f32(bits: u16) -> f32 {
        const BIAS: u32 = 127 - 15;
        let magnitude = u32::from(bits & 0x7fff);
        // The largest exponent is that of NaN and infinities here and there.
        let bias = if magnitude < 0x7c00 { BIAS } else { 255 - 31 };
        let normal = (magnitude << 13) + (bias << 23);
        // Subnormals are multiples of 2^-24.
        let subnormal = (magnitude as f32 * (f32::EPSILON / 2.0)).to_bits();
        let widened = if magnitude < 0x400 { subnormal } else { normal };
        f32::from_bits(widened | u32::from(bits & 0x8000) << 16)
    }
}

/// bfloat16
#[derive(Clone, Copy)]
pub struct BF16;

impl Widen for BF16 {
    type Word = u16;
    const FORMAT: FloatFormat = BFLOAT16;

    #[inline(always)]
    fn to_f32(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }
}

/// float32
#[derive(Clone, Copy)]
pub struct F32;

impl Widen for F32 {
    type Word = u32;
    const FORMAT: FloatFormat = BINARY32;

    #[inline(always)]
    fn to_f32(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_float_is_what_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (half, bfloat) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            let pairs = [(F16::to_f32(bits), half.to_f32()), (BF16::to_f32(bits), bfloat.to_f32())];
            let scaled = F16::to_scaled(bits) * 2.0_f64.powi(-F16::SCALE);
            assert!(!half.is_finite() || scaled.to_bits() == half.to_f64().to_bits(), "{bits:#x}");
            for (ours, theirs) in pairs {
                let same = ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan());
                assert!(same, "{bits:#x}: {ours} is not {theirs}");
            }
        }
    }
}
