//! Exponent bins for float32.
//!
//! Every element is added to the bin of its sign and exponent (the top nine
//! bits), all of its bits as one integer, with one addition and no branch:
//!
//! ```text
//!   63        48 47                     0
//!  +-----------+------------------------+
//!  |   count   |      sum of bits       |     bins[sign, exponent][replica]
//!  +-----------+------------------------+
//! ```
//!
//! Sign and exponent are the same for a whole bin, so the count tells when the
//! bin is spilled how much of the sum they are; what is left is the sum of
//! fractions. The count also brings the implicit leading ones. Four replicas,
//! taken in turn, keep equal exponents from waiting for one another.
//!
//! Bounds: bits are below 2^32, so 2^15 additions keep their sum below 2^47 and
//! the count below 2^16.

use super::line::count;
use super::prefetch;
use crate::dtype::ByteOrder;
use crate::reduction::sum::{Counts, Sum};

const FRACTION_BITS: u32 = 23;
const COUNT_SHIFT: u32 = 48;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = 1 << 15;
/// Elements of one block. Special values are looked for after each.
const BLOCK_ELEMENTS: usize = 1 << 13;
/// Additions per replica that one block makes at most, its ragged end included.
const BLOCK_ADDITIONS: usize = BLOCK_ELEMENTS / REPLICAS + REPLICAS;

const _: () = assert!(ADDITIONS_MAX as u64 <= 1 << (COUNT_SHIFT - u32::BITS));
const _: () = assert!(ADDITIONS_MAX < 1 << (64 - COUNT_SHIFT));
const _: () = assert!(BLOCK_ADDITIONS <= ADDITIONS_MAX);

/// Bins that hold up to [`ADDITIONS_MAX`] additions per replica.
pub struct BinsF32 {
    bins: Box<[[u64; REPLICAS]; 512]>,
    additions: usize,
}

impl BinsF32 {
    pub fn new() -> BinsF32 {
        BinsF32 { bins: Box::new([[0; REPLICAS]; 512]), additions: 0 }
    }

    /// Adds a run of elements; full bins and special values go to `sum`, but
    /// not the count of elements.
    pub fn add(&mut self, byte_order: ByteOrder, bytes: &[u8], sum: &mut Sum) {
        match byte_order {
            ByteOrder::Little => self.add_ordered(u32::from_le_bytes, bytes, sum),
            ByteOrder::Big => self.add_ordered(u32::from_be_bytes, bytes, sum),
        }
    }

    #[inline(always)]
    fn add_ordered(&mut self, read: impl Fn([u8; 4]) -> u32, bytes: &[u8], sum: &mut Sum) {
        for block in bytes.chunks(BLOCK_ELEMENTS * 4) {
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
    fn add_block(&mut self, read: impl Fn([u8; 4]) -> u32, block: &[u8]) {
        let (quads, rest) = block.as_chunks::<16>();
        for quad in quads {
            prefetch::ahead(quad);
            let [a, b, c, d] = *quad.as_chunks::<4>().0 else { unreachable!("16 = 4 * 4") };
            self.add_one::<0>(read(a));
            self.add_one::<1>(read(b));
            self.add_one::<2>(read(c));
            self.add_one::<3>(read(d));
        }
        for &element in rest.as_chunks::<4>().0 {
            self.add_one::<0>(read(element));
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, bits: u32) {
        let addend = u64::from(bits) + (1 << COUNT_SHIFT);
        self.bins[(bits >> FRACTION_BITS) as usize][REPLICA] += addend;
    }

    fn holds_special(&self) -> bool {
        self.bins[255] != [0; REPLICAS] || self.bins[511] != [0; REPLICAS]
    }

    /// Counts the NaN and infinities of a block in `sum` and empties their
    /// bins, which cannot tell one from the other.
    #[cold]
    fn take_special(&mut self, read: impl Fn([u8; 4]) -> u32, block: &[u8], sum: &mut Sum) {
        self.bins[255] = [0; REPLICAS];
        self.bins[511] = [0; REPLICAS];
        let mut special = Counts::default();
        for &element in block.as_chunks::<4>().0 {
            let bits = read(element);
            special.nan += u64::from(bits << 1 > 0xff00_0000);
            special.positive_infinity += u64::from(bits == 0x7f80_0000);
            special.negative_infinity += u64::from(bits == 0xff80_0000);
        }
        count(sum, special);
    }

    /// Empties the bins into `sum`.
    pub fn spill(&mut self, sum: &mut Sum) {
        for (index, bin) in self.bins.iter_mut().enumerate() {
            if *bin == [0; REPLICAS] {
                continue;
            }
            let (negative, exponent) = (index >> 8 != 0, (index & 255) as u32);
            let mut value = 0;
            for replica in std::mem::take(bin) {
                let elements = i128::from(replica >> COUNT_SHIFT);
                value += i128::from(replica & ((1 << COUNT_SHIFT) - 1));
                // Sign and exponent, which every one of the elements has added.
                value -= elements * ((index as i128) << FRACTION_BITS);
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
