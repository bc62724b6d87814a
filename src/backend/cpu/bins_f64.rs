//! Exponent bins for float64.
//!
//! As [`bins_f32`](super::bins_f32), with two words per bin because a fraction
//! of 52 bits leaves no room for a count above it:
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

use super::line::count;
use super::prefetch;
use crate::dtype::ByteOrder;
use crate::reduction::sum::{Counts, Sum};

const FRACTION_BITS: u32 = 52;
const COUNT_SHIFT: u32 = 44;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = (1 << 20) - 1;
/// Elements of one block. Special values are looked for after each.
const BLOCK_ELEMENTS: usize = 1 << 16;
/// Additions per replica that one block makes at most, its ragged end included.
const BLOCK_ADDITIONS: usize = BLOCK_ELEMENTS / REPLICAS + REPLICAS;

const _: () = assert!(ADDITIONS_MAX < 1 << (64 - COUNT_SHIFT));
const _: () = assert!(ADDITIONS_MAX << (FRACTION_BITS - 32) <= 1 << COUNT_SHIFT);
const _: () = assert!(BLOCK_ADDITIONS <= ADDITIONS_MAX);

type Bin = [[u64; 2]; REPLICAS];
const EMPTY: Bin = [[0; 2]; REPLICAS];

/// Bins that hold up to [`ADDITIONS_MAX`] additions per replica: 256 KiB.
pub struct BinsF64 {
    bins: Box<[Bin; 4096]>,
    additions: usize,
}

impl BinsF64 {
    pub fn new() -> BinsF64 {
        let bins = vec![EMPTY; 4096].into_boxed_slice();
        BinsF64 { bins: bins.try_into().expect("4096 bins were made"), additions: 0 }
    }

    /// Adds a run of elements; full bins and special values go to `sum`, but
    /// not the count of elements.
    pub fn add(&mut self, byte_order: ByteOrder, bytes: &[u8], sum: &mut Sum) {
        match byte_order {
            ByteOrder::Little => self.add_ordered(u64::from_le_bytes, bytes, sum),
            ByteOrder::Big => self.add_ordered(u64::from_be_bytes, bytes, sum),
        }
    }

    #[inline(always)]
    fn add_ordered(&mut self, read: impl Fn([u8; 8]) -> u64, bytes: &[u8], sum: &mut Sum) {
        for block in bytes.chunks(BLOCK_ELEMENTS * 8) {
            if self.additions + BLOCK_ADDITIONS > ADDITIONS_MAX {
                self.spill(sum);
            }
            self.additions += BLOCK_ADDITIONS;
            self.add_block(&read, block);
            if self.holds_special() {
                self.take_special(&read, block, sum);
            }
        }
    }

    #[inline(always)]
    fn add_block(&mut self, read: impl Fn([u8; 8]) -> u64, block: &[u8]) {
        let (quads, rest) = block.as_chunks::<32>();
        for quad in quads {
            prefetch::ahead(quad);
            let [a, b, c, d] = *quad.as_chunks::<8>().0 else { unreachable!("32 = 4 * 8") };
            self.add_one::<0>(read(a));
            self.add_one::<1>(read(b));
            self.add_one::<2>(read(c));
            self.add_one::<3>(read(d));
        }
        for &element in rest.as_chunks::<8>().0 {
            self.add_one::<0>(read(element));
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, bits: u64) {
        let [low, high] = &mut self.bins[(bits >> FRACTION_BITS) as usize][REPLICA];
        *low += bits & 0xffff_ffff;
        *high += ((bits >> 32) & 0xf_ffff) + (1 << COUNT_SHIFT);
    }

    fn holds_special(&self) -> bool {
        self.bins[2047] != EMPTY || self.bins[4095] != EMPTY
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, read: impl Fn([u8; 8]) -> u64, block: &[u8], sum: &mut Sum) {
        self.bins[2047] = EMPTY;
        self.bins[4095] = EMPTY;
        let mut special = Counts::default();
        for &element in block.as_chunks::<8>().0 {
            let bits = read(element);
            special.nan += u64::from(bits << 1 > 0xffe0_0000_0000_0000);
            special.positive_infinity += u64::from(bits == 0x7ff0_0000_0000_0000);
            special.negative_infinity += u64::from(bits == 0xfff0_0000_0000_0000);
        }
        count(sum, special);
    }

    /// Empties the bins into `sum`.
    pub fn spill(&mut self, sum: &mut Sum) {
        for (index, bin) in self.bins.iter_mut().enumerate() {
            if *bin == EMPTY {
                continue;
            }
            let (negative, exponent) = (index >> 11 != 0, (index & 2047) as u32);
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
            sum.add_units(if negative { -value } else { value }, exponent.max(1) - 1);
        }
        self.additions = 0;
    }
}
