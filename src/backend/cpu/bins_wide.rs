//! Exponent bins for float64.
//!
//! As [`bins_narrow`](super::bins_narrow), in words of 128 bits:
//!
//! ```text
//!   127       96 95                                   0
//!  +------------+--------------------------------------+
//!  |   count    |             sum of bits              |    bins[replica][sign, exponent]
//!  +------------+--------------------------------------+
//! ```
//!
//! Bounds: bits are below 2^64, so 2^31 additions keep their sum below 2^95 and
//! the count below 2^32. The additions of a block are counted before they are
//! made.

use crate::reduction::sum::{Counts, Sum};

const FRACTION_BITS: u32 = 52;
const COUNT_SHIFT: u32 = 96;
const REPLICAS: usize = 2;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = 1 << 31;
/// The most elements of one block. Special values are looked for after each.
pub const BLOCK_ELEMENTS: usize = 1 << 13;

const _: () = assert!((ADDITIONS_MAX as u128) << u64::BITS <= 1 << COUNT_SHIFT);
const _: () = assert!(ADDITIONS_MAX < 1 << (u128::BITS - COUNT_SHIFT));
const _: () = assert!(additions(BLOCK_ELEMENTS) <= ADDITIONS_MAX);

/// Additions per replica that so many elements make at most, their ragged end
/// included.
const fn additions(elements: usize) -> usize {
    elements / REPLICAS + 4
}

/// The bins of one replica.
type Table = [u128; 4096];
/// The bins of NaN and infinities of each sign.
const SPECIAL: [usize; 2] = [2047, 4095];

/// Bins that hold up to [`ADDITIONS_MAX`] additions per replica: 128 KiB.
pub struct BinsWide {
    bins: Box<[Table; REPLICAS]>,
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
        let bins = vec![[0; 4096]; REPLICAS].into_boxed_slice();
        let bins = bins.try_into().expect("as many tables as were made");
        BinsWide { bins, additions: 0, magnitudes: false, unit_above }
    }

    /// Whether nothing is to be spilled.
    pub fn is_empty(&self) -> bool {
        self.additions == 0
    }

    /// Adds a block of at most [`BLOCK_ELEMENTS`] elements, by four and those
    /// that are left; full bins and special values go to `sum`, but not the
    /// count of elements.
    #[inline(always)]
    pub fn add(
        &mut self,
        elements: usize,
        quads: impl Iterator<Item = [u64; 4]> + Clone,
        rest: impl Iterator<Item = u64> + Clone,
        sum: &mut Sum,
    ) {
        debug_assert!(elements <= BLOCK_ELEMENTS, "a block of {elements} elements");
        if self.additions + additions(elements) > ADDITIONS_MAX {
            self.spill(sum);
        }
        self.additions += additions(elements);
        for [a, b, c, d] in quads.clone() {
            self.add_one::<0>(a);
            self.add_one::<1>(b);
            self.add_one::<0>(c);
            self.add_one::<1>(d);
        }
        rest.clone().for_each(|bits| self.add_one::<0>(bits));
        if SPECIAL.into_iter().any(|bin| self.bins.iter().any(|table| table[bin] > 0)) {
            self.take_special(quads.flatten().chain(rest), sum);
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, bits: u64) {
        let bin = &mut self.bins[REPLICA][(bits >> FRACTION_BITS) as usize];
        *bin += u128::from(bits) + (1 << COUNT_SHIFT);
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, block: impl Iterator<Item = u64>, sum: &mut Sum) {
        for table in &mut *self.bins {
            SPECIAL.into_iter().for_each(|bin| table[bin] = 0);
        }
        let mut special = Counts::default();
        for bits in block {
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
        for index in 0..4096 {
            let replicas = self.bins.each_mut().map(|table| std::mem::take(&mut table[index]));
            if replicas == [0; REPLICAS] {
                continue;
            }
            let (negative, exponent) = (index >> 11 != 0, (index & 2047) as u32);
            let negative = negative && !self.magnitudes;
            let mut value = 0;
            for replica in replicas {
                let elements = (replica >> COUNT_SHIFT) as i128;
                value += (replica & ((1 << COUNT_SHIFT) - 1)) as i128;
                // Sign and exponent, which every one of the elements has added.
                value -= elements * ((index as i128) << FRACTION_BITS);
                // Subnormals have no implicit leading one.
                if exponent > 0 {
                    value += elements << FRACTION_BITS;
                }
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
        for left in [additions(BLOCK_ELEMENTS) - 1, additions(BLOCK_ELEMENTS)] {
            let mut bins = BinsWide::new(false);
            bins.additions = ADDITIONS_MAX - left;
            let held = bins.additions as u128;
            bins.bins.iter_mut().for_each(|table| {
                table[bin] = held * (u128::from(bits) + (1 << COUNT_SHIFT));
            });
            let mut sum = Sum::identity(DType::F64, Term::Value);
            let quads = std::iter::repeat_n([bits; 4], BLOCK_ELEMENTS / 4);
            bins.add(BLOCK_ELEMENTS, quads, std::iter::empty(), &mut sum);
            assert_eq!(
                bins.additions == additions(BLOCK_ELEMENTS),
                left < additions(BLOCK_ELEMENTS)
            );
            bins.spill(&mut sum);
            let elements = 2 * held as i128 + BLOCK_ELEMENTS as i128;
            let mut expected = Sum::identity(DType::F64, Term::Value);
            expected.add_units(-elements * ((1 << 53) - 1), 2045);
            assert_eq!(sum, expected);
        }
    }
}
