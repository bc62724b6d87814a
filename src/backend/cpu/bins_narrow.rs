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

use super::word::Word;
use crate::reduction::sum::{Counts, Sum};

const COUNT_SHIFT: u32 = 48;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = 1 << 15;
/// Elements of one block. Special values are looked for after each.
const BLOCK_ELEMENTS: usize = 1 << 13;

const _: () = assert!(ADDITIONS_MAX as u64 <= 1 << (COUNT_SHIFT - u32::BITS));
const _: () = assert!(ADDITIONS_MAX < 1 << (64 - COUNT_SHIFT));
const _: () = assert!(additions(BLOCK_ELEMENTS) <= ADDITIONS_MAX);

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
    words: std::marker::PhantomData<W>,
}

impl<W: Word, const FRACTION_BITS: u32, const BINS: usize> BinsNarrow<W, FRACTION_BITS, BINS> {
    pub fn new(magnitudes: bool) -> Self {
        const { assert!(W::BITS <= u32::BITS && 1 << (W::BITS - FRACTION_BITS) == BINS) }
        let bins = Box::new([Table { bins: [0; BINS], _apart: [0; 8] }; REPLICAS]);
        BinsNarrow { bins, additions: 0, magnitudes, words: std::marker::PhantomData }
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
            let additions = additions(block.len() / size_of::<W>());
            if self.additions + additions > ADDITIONS_MAX {
                self.spill(unit, sum);
            }
            self.additions += additions;
            self.add_block(block);
            if Self::SPECIAL
                .into_iter()
                .any(|bin| self.bins.iter().any(|table| table.bins[bin] > 0))
            {
                self.take_special(block, sum);
            }
        }
    }

    /// The bins of NaN and infinities of each sign.
    const SPECIAL: [usize; 2] = [BINS / 2 - 1, BINS - 1];

    #[inline(always)]
    fn add_block(&mut self, block: &[u8]) {
        let (quads, rest) = W::quads(block);
        for [a, b, c, d] in quads {
            self.add_one::<0>(a);
            self.add_one::<1>(b);
            self.add_one::<2>(c);
            self.add_one::<3>(d);
        }
        for word in rest {
            self.add_one::<0>(word);
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, word: W) {
        let bits: u64 = word.as_();
        self.bins[REPLICA].bins[(bits >> FRACTION_BITS) as usize % BINS] +=
            bits + (1 << COUNT_SHIFT);
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
        for index in 0..BINS {
            let replicas = self.bins.each_mut().map(|table| std::mem::take(&mut table.bins[index]));
            if replicas == [0; REPLICAS] {
                continue;
            }
            let (negative, exponent) = (index >= BINS / 2, (index % (BINS / 2)) as u32);
            let negative = negative && !self.magnitudes;
            let mut value = 0;
            for replica in replicas {
                let elements = i128::from(replica >> COUNT_SHIFT);
                value += i128::from(replica & ((1 << COUNT_SHIFT) - 1));
                // Sign and exponent, which every one of the elements has added.
                value -= elements * ((index as i128) << FRACTION_BITS);
                // Subnormals have no implicit leading one.
                if exponent > 0 {
                    value += elements << FRACTION_BITS;
                }
            }
            sum.add_units(if negative { -value } else { value }, unit + exponent.max(1) - 1);
        }
        self.additions = 0;
    }
}
