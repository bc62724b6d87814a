//! Exponent bins for float64.
//!
//! As [`bins_narrow`](super::bins_narrow), in words of 128 bits:
//!
//! ```text
//!   127       96 95                                   0
//!  +------------+--------------------------------------+
//!  |   count    |             sum of bits              |    bins[sign, exponent]
//!  +------------+--------------------------------------+
//! ```
//!
//! Bounds: bits are below 2^64, so 2^31 additions keep their sum below 2^95 and
//! the count below 2^32. The additions of a block are counted before they are
//! made.

use super::prefetch;
use super::word::Word;
use crate::reduction::sum::{Counts, Sum};

const FRACTION_BITS: u32 = 52;
const COUNT_SHIFT: u32 = 96;
/// Additions between two spills.
const ADDITIONS_MAX: usize = 1 << 31;
/// The most elements of one block. Special values are looked for after each.
pub const BLOCK_ELEMENTS: usize = 1 << 13;

const _: () = assert!((ADDITIONS_MAX as u128) << u64::BITS <= 1 << COUNT_SHIFT);
const _: () = assert!(ADDITIONS_MAX < 1 << (u128::BITS - COUNT_SHIFT));
const _: () = assert!(BLOCK_ELEMENTS <= ADDITIONS_MAX);

/// The bins of NaN and infinities of each sign.
const SPECIAL: [usize; 2] = [2047, 4095];

/// Bins that hold up to [`ADDITIONS_MAX`] additions: 64 KiB. No replicas, as narrow bins
/// have, keep equal exponents from waiting for one another: twice the memory would cost all
/// others more.
pub struct BinsWide {
    bins: Box<[u128; 4096]>,
    additions: usize,
    /// Whether the elements count as their magnitudes.
    magnitudes: bool,
    /// How far the unit of the sum lies above the smallest subnormal.
    unit_above: u32,
}

impl BinsWide {
    /// Bins for a sum of elements or of their magnitudes.
    pub fn new(magnitudes: bool) -> BinsWide {
        BinsWide { magnitudes, ..BinsWide::with_unit_above(0) }
    }

    /// Bins for a sum of multiples of a unit, which lies so many bits above the
    /// smallest subnormal of float64.
    pub fn with_unit_above(unit_above: u32) -> BinsWide {
        let bins = vec![0; 4096].into_boxed_slice();
        let bins = bins.try_into().expect("as many bins as were made");
        BinsWide { bins, additions: 0, magnitudes: false, unit_above }
    }

    /// Whether nothing is to be spilled.
    pub fn is_empty(&self) -> bool {
        self.additions == 0
    }

    /// Adds a block of at most [`BLOCK_ELEMENTS`] little-endian elements; full bins and
    /// special values go to `sum`, but not the count of elements.
    #[inline(always)]
    pub fn add(&mut self, block: &[u8], sum: &mut Sum) {
        let elements = block.len() / size_of::<u64>();
        debug_assert!(elements <= BLOCK_ELEMENTS, "a block of {elements} elements");
        if self.additions + elements > ADDITIONS_MAX {
            self.spill(sum);
        }
        self.additions += elements;
        let bins = &mut *self.bins;
        let (lines, rest) = prefetch::lines(block);
        for line in lines {
            u64::all(line).for_each(|bits| add_one(bins, bits));
        }
        u64::all(rest).for_each(|bits| add_one(bins, bits));
        if SPECIAL.into_iter().any(|bin| bins[bin] > 0) {
            self.take_special(block, sum);
        }
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, block: &[u8], sum: &mut Sum) {
        SPECIAL.into_iter().for_each(|bin| self.bins[bin] = 0);
        let mut special = Counts::default();
        for bits in u64::all(block) {
            special.nan += u64::from(bits << 1 > 0xffe0_0000_0000_0000);
            special.positive_infinity += u64::from(bits == 0x7ff0_0000_0000_0000);
            special.negative_infinity += u64::from(bits == 0xfff0_0000_0000_0000);
        }
        if self.magnitudes {
            special.positive_infinity += std::mem::take(&mut special.negative_infinity);
        }
        super::line::count(sum, special);
    }

    /// Empties the bins into `sum`.
    pub fn spill(&mut self, sum: &mut Sum) {
        for (index, bin) in self.bins.iter_mut().enumerate() {
            let bin = std::mem::take(bin);
            if bin == 0 {
                continue;
            }
            let (negative, exponent) = (index >> 11 != 0, (index & 2047) as u32);
            let negative = negative && !self.magnitudes;
            let elements = (bin >> COUNT_SHIFT) as i128;
            let mut value = (bin & ((1 << COUNT_SHIFT) - 1)) as i128;
            // Sign and exponent, which every one of the elements has added.
            value -= elements * ((index as i128) << FRACTION_BITS);
            // Subnormals have no implicit leading one.
            if exponent > 0 {
                value += elements << FRACTION_BITS;
            }
            // Zeros lie below the unit, but are multiples of it, too.
            if value == 0 {
                continue;
            }
            let shift = exponent.max(1) - 1;
            let below = self.unit_above.saturating_sub(shift);
            debug_assert!(value.trailing_zeros() >= below, "a multiple of the unit");
            let value = value >> below;
            let value = if negative { -value } else { value };
            sum.add_units(value, shift.saturating_sub(self.unit_above));
        }
        self.additions = 0;
    }
}

#[inline(always)]
fn add_one(bins: &mut [u128; 4096], bits: u64) {
    bins[(bits >> FRACTION_BITS) as usize] += u128::from(bits) + (1 << COUNT_SHIFT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::Term;

    /// The bins as they are after as many additions as there may be: more than a
    /// test can make.
    #[test]
    fn full_bins_are_emptied_before_a_block_would_overflow_them() {
        let bits: u64 = 0xffef_ffff_ffff_ffff;
        let bin = (bits >> FRACTION_BITS) as usize;
        for left in [BLOCK_ELEMENTS - 1, BLOCK_ELEMENTS] {
            let mut bins = BinsWide::new(false);
            bins.additions = ADDITIONS_MAX - left;
            let held = bins.additions as u128;
            bins.bins[bin] = held * (u128::from(bits) + (1 << COUNT_SHIFT));
            let mut sum = Sum::identity(DType::F64, Term::Value);
            bins.add(&bits.to_le_bytes().repeat(BLOCK_ELEMENTS), &mut sum);
            assert_eq!(bins.additions == BLOCK_ELEMENTS, left < BLOCK_ELEMENTS);
            bins.spill(&mut sum);
            let elements = held as i128 + BLOCK_ELEMENTS as i128;
            let mut expected = Sum::identity(DType::F64, Term::Value);
            expected.add_units(-elements * ((1 << 53) - 1), 2045);
            assert_eq!(sum, expected);
        }
    }
}
