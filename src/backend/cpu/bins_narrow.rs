//! Exponent bins for floats of up to 32 bits.
//!
//! Every element is added to the bin of its sign and exponent (its top bits),
//! all of its bits as one integer, with one addition and no branch:
//!
//! ```text
//!   63        48 47                     0
//!  +-----------+------------------------+
//!  |   count   |      sum of bits       |     bins[replica][sign, exponent]
//!  +-----------+------------------------+
//! ```
//!
//! Sign and exponent are the same for a whole bin, so the count tells when the
//! bin is spilled how much of the sum they are; what is left is the sum of
//! fractions. The count also brings the implicit leading ones. Four replicas,
//! taken in turn, keep equal exponents from waiting for one another. Each is a
//! table of its own: its entries are as far apart as processors can scale an
//! index by in passing.
//!
//! Bounds: bits are below 2^32, so 2^15 additions keep their sum below 2^47 and
//! the count below 2^16.
//!
//! Magnitudes take the same way: their sign is left out when a bin is spilled,
//! which costs the elements nothing.
//!
//! Where there are [`windows`](super::windows) beside them, these take about half of the
//! elements.

use super::prefetch;
#[cfg(target_arch = "x86_64")]
use super::windows::Windows;
use super::word::Word;
use crate::reduction::sum::{Counts, Sum};

const COUNT_SHIFT: u32 = 48;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = 1 << 15;
/// Exponents whose bins are emptied together.
const EXPONENTS: u32 = 32;
/// Elements of one block. Special values are looked for after each.
const BLOCK_ELEMENTS: usize = 1 << 13;

const _: () = assert!(ADDITIONS_MAX as u64 <= 1 << (COUNT_SHIFT - u32::BITS));
const _: () = assert!(ADDITIONS_MAX < 1 << (64 - COUNT_SHIFT));
const _: () = assert!(additions(BLOCK_ELEMENTS) <= ADDITIONS_MAX);
// What a bin and its replicas hold, and those of several exponents.
const _: () = assert!((ADDITIONS_MAX * REPLICAS) as u64 <= 1 << (62 - u32::BITS));
const _: () = assert!((ADDITIONS_MAX * REPLICAS) as u128 <= 1 << (125 - u32::BITS - EXPONENTS));

/// Additions per replica that so many elements make at most, their ragged end
/// included.
const fn additions(elements: usize) -> usize {
    elements / REPLICAS + REPLICAS
}

/// The bins of one replica, apart from those of the next by a line of the cache
/// more than a page: addresses that agree in their last 12 bits wait for one another.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Table<const BINS: usize> {
    bins: [u64; BINS],
    _apart: [u64; 8],
}

/// Bins for words with this many fraction bits below sign and exponent, which
/// have `BINS` values.
pub struct BinsNarrow<W, const FRACTION_BITS: u32, const BINS: usize> {
    bins: Box<[Table<BINS>; REPLICAS]>,
    additions: usize,
    /// Whether the elements count as their magnitudes.
    magnitudes: bool,
    /// What takes a part of the elements of float32.
    #[cfg(target_arch = "x86_64")]
    windows: Option<Windows>,
    words: std::marker::PhantomData<W>,
}

impl<W: Word, const FRACTION_BITS: u32, const BINS: usize> BinsNarrow<W, FRACTION_BITS, BINS> {
    pub fn new(magnitudes: bool) -> Self {
        const { assert!(W::BITS <= u32::BITS && 1 << (W::BITS - FRACTION_BITS) == BINS) }
        let bins = Box::new([Table { bins: [0; BINS], _apart: [0; 8] }; REPLICAS]);
        BinsNarrow {
            bins,
            additions: 0,
            magnitudes,
            #[cfg(target_arch = "x86_64")]
            windows: if Self::IS_FLOAT32 { Windows::new(magnitudes) } else { None },
            words: std::marker::PhantomData,
        }
    }

    /// Whether nothing is to be spilled.
    pub fn is_empty(&self) -> bool {
        self.additions == 0
    }

    /// Adds elements; full bins and special values go to `sum`, but not the
    /// count of elements. `unit` is how far the smallest subnormal lies above
    /// the unit of the sum.
    pub fn add(&mut self, bytes: &[u8], unit: u32, sum: &mut Sum) {
        for block in bytes.chunks(BLOCK_ELEMENTS * size_of::<W>()) {
            if self.additions + additions(block.len() / size_of::<W>()) > ADDITIONS_MAX {
                self.spill(unit, sum);
            }
            self.add_block(block);
            if Self::SPECIAL
                .into_iter()
                .any(|bin| self.bins.iter().any(|table| table.bins[bin] > 0))
            {
                self.take_special(block, sum);
            }
        }
    }

    /// Whether there can be windows beside the bins.
    #[cfg(target_arch = "x86_64")]
    const IS_FLOAT32: bool =
        W::BITS == u32::BITS && FRACTION_BITS == crate::reduction::float::BINARY32.precision - 1;

    /// The bins of NaN and infinities of each sign.
    const SPECIAL: [usize; 2] = [BINS / 2 - 1, BINS - 1];

    #[inline(always)]
    fn add_block(&mut self, block: &[u8]) {
        let bins = &mut self.bins;
        #[cfg(target_arch = "x86_64")]
        let block = match &mut self.windows {
            Some(windows) if Self::IS_FLOAT32 => {
                let add = |quad: [u32; 4]| Self::add_quad(bins, quad.map(u64::from));
                let (quads, rest) = windows.add(block, add);
                self.additions += quads;
                rest
            }
            _ => block,
        };
        self.additions += additions(block.len() / size_of::<W>());
        let (lines, rest) = prefetch::lines(block);
        lines.for_each(|line| Self::add_words(bins, line));
        Self::add_words(bins, rest);
    }

    #[inline(always)]
    fn add_words(bins: &mut [Table<BINS>; REPLICAS], bytes: &[u8]) {
        let (quads, rest) = W::split(bytes).as_chunks();
        quads.iter().for_each(|quad| Self::add_quad(bins, quad.map(|word| W::of(word).as_())));
        rest.iter().for_each(|&word| Self::add_one::<0>(bins, W::of(word).as_()));
    }

    #[inline(always)]
    fn add_quad(bins: &mut [Table<BINS>; REPLICAS], [a, b, c, d]: [u64; 4]) {
        Self::add_one::<0>(bins, a);
        Self::add_one::<1>(bins, b);
        Self::add_one::<2>(bins, c);
        Self::add_one::<3>(bins, d);
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(bins: &mut [Table<BINS>; REPLICAS], bits: u64) {
        bins[REPLICA].bins[(bits >> FRACTION_BITS) as usize % BINS] += bits + (1 << COUNT_SHIFT);
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, block: &[u8], sum: &mut Sum) {
        let [positive, negative] = Self::SPECIAL.map(|bin| (bin as u64) << FRACTION_BITS);
        let mut special = Counts::default();
        for word in W::all(block) {
            let bits: u64 = word.as_();
            special.positive_infinity += u64::from(bits == positive);
            special.negative_infinity += u64::from(bits == negative);
            special.nan += u64::from((bits | (negative ^ positive)) > negative);
        }
        if self.magnitudes {
            special.positive_infinity += std::mem::take(&mut special.negative_infinity);
        }
        super::line::count(sum, special);
        self.bins
            .iter_mut()
            .for_each(|table| Self::SPECIAL.into_iter().for_each(|bin| table.bins[bin] = 0));
    }

    /// Empties the bins into `sum`.
    pub fn spill(&mut self, unit: u32, sum: &mut Sum) {
        // Those of many exponents as one number of units.
        let mut units = 0;
        for exponent in 0..BINS / 2 {
            let [positive, negative] =
                [exponent, BINS / 2 + exponent].map(|index| self.take(index));
            let value = if self.magnitudes { positive + negative } else { positive - negative };
            let shift = exponent.max(1) as u32 - 1;
            units += i128::from(value) << (shift % EXPONENTS);
            if (shift + 1).is_multiple_of(EXPONENTS) || exponent + 1 == BINS / 2 {
                sum.add_units(std::mem::take(&mut units), unit + shift / EXPONENTS * EXPONENTS);
            }
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(windows) = &mut self.windows {
            windows.spill(unit, sum);
        }
        self.additions = 0;
    }

    /// Empties the bins of this sign and exponent: the sum of their significands.
    fn take(&mut self, index: usize) -> i64 {
        let (mut bits, mut elements) = (0, 0);
        for table in &mut *self.bins {
            let bin = std::mem::take(&mut table.bins[index]);
            bits += (bin & ((1 << COUNT_SHIFT) - 1)) as i64;
            elements += (bin >> COUNT_SHIFT) as i64;
        }
        // Sign and exponent, which every one of the elements has added, and the implicit
        // leading one, which subnormals do not have.
        let is_subnormal = index.is_multiple_of(BINS / 2);
        bits - elements * ((index as i64 - i64::from(!is_subnormal)) << FRACTION_BITS)
    }
}

#[cfg(target_arch = "x86_64")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::Term;

    /// Where there are windows, other tests of float32 do not fill the bins alone.
    #[test]
    fn equal_elements_are_their_product_with_windows_and_without() {
        let full: i128 = (1 << 24) - 1;
        // Of both signs, near the largest, subnormal: in the least subnormal.
        for (bits, significand, shift) in [
            (0x3f7f_ffff_u32, full, 125),
            (0xbf7f_ffff, -full, 125),
            (0xff7f_ffff, -full, 253),
            (0x807f_ffff, 1 - (1 << 23), 0),
        ] {
            for elements in [(1 << 17) - 1, (1 << 17) + 1, (1 << 18) - 1, (1 << 18) + 1] {
                let bytes = bits.to_le_bytes().repeat(elements);
                for (term, magnitudes) in [(Term::Value, false), (Term::Magnitude, true)] {
                    let one = if magnitudes { significand.abs() } else { significand };
                    let mut expected = Sum::identity(DType::F32, term);
                    expected.add_units(elements as i128 * one, shift);
                    for windows in [None, Windows::new(magnitudes)] {
                        let mut sum = Sum::identity(DType::F32, term);
                        let mut bins =
                            BinsNarrow::<u32, 23, 512> { windows, ..BinsNarrow::new(magnitudes) };
                        bins.add(&bytes, 0, &mut sum);
                        bins.spill(0, &mut sum);
                        assert_eq!(sum, expected, "{elements} times {bits:#x} {term:?}");
                    }
                }
            }
        }
    }
}
