//! Exact sums of few floats, without bins: the sum's integer in digits that take
//! many additions before they must carry.
//!
//! Digit `j` weighs `2^(32 j)` units and is a whole i64. A term touches three
//! neighbours, and what was touched is all that has to be emptied. Bounds: a
//! term adds less than 2^32 to a digit, so 2^30 of them stay below 2^62.

use super::line::count;
use super::word::Word;
use crate::op::Term;
use crate::reduction::float::FloatFormat;
use crate::reduction::sum::{Counts, Sum, unit_exponent};

/// Bits that one digit weighs more than the one below it.
const DIGIT_BITS: u32 = 32;
/// Of sums of products of float64, the widest: 4096 bits of exponents, 128 of a
/// product.
const DIGITS: usize = (4096 + 128) / DIGIT_BITS as usize + 3;
/// The most elements that are added at once; each is up to two terms.
pub const ELEMENTS_MAX: usize = 1 << 29;

/// Digits, all zero between two additions.
pub struct Few {
    digits: Box<[i64; DIGITS]>,
}

/// Digits that may have been added to: those from `low` up to `high`.
struct Touched {
    low: usize,
    high: usize,
}

impl Few {
    pub fn new() -> Few {
        Few { digits: Box::new([0; DIGITS]) }
    }

    /// Adds elements without the bits that `mask` lacks to a sum of elements,
    /// but not their count.
    #[inline(always)]
    pub fn add<W: Word>(&mut self, format: FloatFormat, bytes: &[u8], mask: u64, sum: &mut Sum) {
        let unit = (format.exponent_min - unit_exponent(sum.dtype(), Term::Value)) as u32;
        let (mut special, mut touched) = (Counts::default(), Touched::NONE);
        let digits = &mut *self.digits;
        for word in W::all(bytes) {
            let bits: u64 = word.as_() & mask;
            let sign = sign(format, bits);
            match parts(format, bits) {
                Some((significand, exponent)) => {
                    touched.add(digits, sign, significand, unit + exponent - 1);
                }
                None => {
                    let negative = format.infinity | format.sign_bit();
                    special.nan += u64::from(format.is_nan(bits));
                    special.positive_infinity += u64::from(bits == format.infinity);
                    special.negative_infinity += u64::from(bits == negative);
                }
            }
        }
        self.spill(touched, sum);
        count(sum, special);
    }

    /// Adds products to a sum of products or squares, but not their count.
    #[inline(always)]
    pub fn add_products<W: Word>(
        &mut self,
        format: FloatFormat,
        bytes: &[u8],
        second: &[u8],
        sum: &mut Sum,
    ) {
        let unit = (2 * format.exponent_min - unit_exponent(sum.dtype(), Term::Product)) as u32;
        let dtype = sum.dtype();
        let mut special = Sum::identity(dtype, Term::Product);
        let mut touched = Touched::NONE;
        let digits = &mut *self.digits;
        for (a, b) in W::all(bytes).zip(W::all(second)) {
            let (a, b): (u64, u64) = (a.as_(), b.as_());
            let sign = sign(format, a ^ b);
            let (Some((a_significand, a_exponent)), Some((b_significand, b_exponent))) =
                (parts(format, a), parts(format, b))
            else {
                special.add(a, b);
                continue;
            };
            let product = u128::from(a_significand) * u128::from(b_significand);
            let shift = unit + a_exponent + b_exponent - 2;
            touched.add(digits, sign, product as u64, shift);
            if 2 * format.precision > u64::BITS {
                touched.add(digits, sign, (product >> 64) as u64, shift + 64);
            }
        }
        self.spill(touched, sum);
        count(sum, Counts { elements: 0, ..special.counts() });
    }

    #[inline(always)]
    fn spill(&mut self, Touched { low, high }: Touched, sum: &mut Sum) {
        for first in (low..high).step_by(3) {
            let mut value = 0;
            for (number, digit) in self.digits[first..high].iter_mut().take(3).enumerate() {
                value += i128::from(std::mem::take(digit)) << (DIGIT_BITS * number as u32);
            }
            if value != 0 {
                sum.add_units(value, DIGIT_BITS * first as u32);
            }
        }
    }
}

impl Touched {
    const NONE: Touched = Touched { low: DIGITS, high: 0 };

    /// Adds a finite term: a [`sign`], and a magnitude that lies so many bits above the unit.
    #[inline(always)]
    fn add(&mut self, digits: &mut [i64; DIGITS], sign: i64, magnitude: u64, shift: u32) {
        let digit = (shift / DIGIT_BITS) as usize;
        self.low = self.low.min(digit);
        self.high = self.high.max(digit + 3);
        let term = u128::from(magnitude) << (shift % DIGIT_BITS);
        let parts = [term as u32, (term >> 32) as u32, (term >> 64) as u32];
        for (digit, part) in digits[digit..digit + 3].iter_mut().zip(parts) {
            *digit += (i64::from(part) ^ sign) - sign;
        }
    }
}

/// All ones for a negative number, which is then subtracted without a branch: signs are
/// mostly by chance.
#[inline(always)]
fn sign(format: FloatFormat, bits: u64) -> i64 {
    (bits << format.sign_bit().leading_zeros()) as i64 >> 63
}

/// Significand and exponent of a finite number, without its sign. Subnormals
/// have no implicit one, and the exponent of the smallest normal numbers.
#[inline(always)]
pub fn parts(format: FloatFormat, bits: u64) -> Option<(u64, u32)> {
    let fraction_bits = format.precision - 1;
    let special = format.infinity >> fraction_bits;
    let exponent = bits >> fraction_bits & special;
    let normal = u64::from(exponent != 0);
    let significand = bits & ((1 << fraction_bits) - 1) | normal << fraction_bits;
    (exponent != special).then_some((significand, (exponent + 1 - normal) as u32))
}
