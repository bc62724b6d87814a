//! Exponent bins for float64.
//!
//! As [`bins_narrow`](super::bins_narrow), with two words per bin because a
//! fraction of 52 bits leaves no room for a count above it:
//!
//! ```text
//!   63                         0        63        44 43                 0
//!  +----------------------------+      +-----------+--------------------+
//!  |  sum of low 32 fraction    |      |   count   |  sum of high 20    |
//!  |  bits                      |      |           |  fraction bits     |
//!  +----------------------------+      +-----------+--------------------+
//! ```
//!
//! Bounds: fewer than 2^20 additions keep the count within its 20 bits, the
//! high sum below 2^40 and the low sum below 2^52. The additions of a block are
//! counted before they are made.

use crate::reduction::sum::{Counts, Sum};

const FRACTION_BITS: u32 = 52;
const COUNT_SHIFT: u32 = 44;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = (1 << 20) - 1;
/// The most elements of one block. Special values are looked for after each.
pub const BLOCK_ELEMENTS: usize = 1 << 13;

const _: () = assert!(ADDITIONS_MAX < 1 << (64 - COUNT_SHIFT));
const _: () = assert!(ADDITIONS_MAX << (FRACTION_BITS - 32) <= 1 << COUNT_SHIFT);
const _: () = assert!(additions(BLOCK_ELEMENTS) <= ADDITIONS_MAX);

/// Additions per replica that so many elements make at most, their ragged end
/// included.
const fn additions(elements: usize) -> usize {
    elements / REPLICAS + REPLICAS
}

type Bin = [[u64; 2]; REPLICAS];
const EMPTY: Bin = [[0; 2]; REPLICAS];
/// The bins of NaN and infinities of each sign.
const SPECIAL: [usize; 2] = [2047, 4095];

/// Bins that hold up to [`ADDITIONS_MAX`] additions per replica: 256 KiB.
pub struct BinsWide {
    bins: Box<[Bin; 4096]>,
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
        let bins = vec![EMPTY; 4096].into_boxed_slice();
        let bins = bins.try_into().expect("as many bins as were made");
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
            self.add_one::<2>(c);
            self.add_one::<3>(d);
        }
        rest.clone().for_each(|bits| self.add_one::<0>(bits));
        if SPECIAL.into_iter().any(|bin| self.bins[bin] != EMPTY) {
            self.take_special(quads.flatten().chain(rest), sum);
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, bits: u64) {
        let [low, high] = &mut self.bins[(bits >> FRACTION_BITS) as usize][REPLICA];
        *low += bits & 0xffff_ffff;
        *high += ((bits >> 32) & 0xf_ffff) + (1 << COUNT_SHIFT);
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, block: impl Iterator<Item = u64>, sum: &mut Sum) {
        SPECIAL.into_iter().for_each(|bin| self.bins[bin] = EMPTY);
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
        for (index, bin) in self.bins.iter_mut().enumerate() {
            if *bin == EMPTY {
                continue;
            }
            let (negative, exponent) = (index >> 11 != 0, (index & 2047) as u32);
            let negative = negative && !self.magnitudes;
            let mut value = 0;
            for [low, high] in std::mem::replace(bin, EMPTY) {
                let elements = i128::from(high >> COUNT_SHIFT);
                value += i128::from(low);
                value += i128::from(high & ((1 << COUNT_SHIFT) - 1)) << 32;
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
