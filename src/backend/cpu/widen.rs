//! Floats of up to 32 bits as float64, exactly. NaN stays NaN.

/// A float16.
#[inline(always)]
pub fn f16_to_f64(bits: u16) -> f64 {
    const BIAS: u64 = 1023 - 15;
    let magnitude = bits & 0x7fff;
    // The largest exponent is that of NaN and infinities here and there.
    let bias = if magnitude < 0x7c00 { BIAS } else { 2047 - 31 };
    let normal = (u64::from(magnitude) << 42) + (bias << 52);
    // Subnormals are multiples of 2^-24.
    let subnormal = (f64::from(magnitude) * 2f64.powi(-24)).to_bits();
    let widened = if magnitude < 0x400 { subnormal } else { normal };
    f64::from_bits(widened | u64::from(bits & 0x8000) << 48)
}

/// A bfloat16.
#[inline(always)]
pub fn bf16_to_f64(bits: u16) -> f64 {
    f32_to_f64(u32::from(bits) << 16)
}

/// A float32.
#[inline(always)]
pub fn f32_to_f64(bits: u32) -> f64 {
    f32::from_bits(bits).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_float_is_what_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (half, bfloat) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            for (ours, theirs) in
                [(f16_to_f64(bits), half.to_f64()), (bf16_to_f64(bits), bfloat.to_f64())]
            {
                let same = ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan());
                assert!(same, "{bits:#x}: {ours} is not {theirs}");
            }
        }
    }
}
