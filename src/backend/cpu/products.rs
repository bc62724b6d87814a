//! Exact sums of squares and products of float64.
//!
//! A product of two significands has 106 bits, which no float type holds, so it
//! is added as an integer to the bin of its exponents' sum:
//!
//! ```text
//!   bins[exponent of a + exponent of b][replica] += ± significand of a * significand of b
//! ```
//!
//! Bounds: a product is below 2^106, and 2^21 - 1 of them are below 2^127, which
//! an i128 holds with its sign. Additions are counted before they are made.

use super::line::{Line, count, sum_of};
use super::stretch::Stretch;
use super::word::Word;
use crate::op::Term;
use crate::reduction::sum::{Counts, Sum};
use crate::reduction::{Element, State};

const FRACTION_BITS: u32 = 52;
const EXPONENT_SPECIAL: u64 = 2047;
/// Sums of two exponents of 1 to 2046.
const BINS: usize = 4096;
const REPLICAS: usize = 2;
/// Additions to all bins between two spills.
const ADDITIONS_MAX: usize = (1 << 21) - 1;
/// From so many elements on, bins are worth their emptying.
const BINS_MIN: usize = 2048;
/// Elements of one block, whose additions are counted at once.
const BLOCK_ELEMENTS: usize = 1 << 16;

const _: () = assert!(2 * (FRACTION_BITS + 1) + ADDITIONS_MAX.ilog2() < 127);
const _: () = assert!(BLOCK_ELEMENTS <= ADDITIONS_MAX);

/// Bins of 128 KiB, and what was added to them.
pub struct Products {
    bins: Box<[[i128; REPLICAS]]>,
    additions: usize,
    term: Term,
}

impl Products {
    pub fn new(term: Term) -> Products {
        let bins = vec![[0; REPLICAS]; BINS].into_boxed_slice();
        Products { bins, additions: 0, term }
    }

    fn add_block(&mut self, bytes: &[u8], second: &[u8], sum: &mut Sum) {
        if self.additions + bytes.len() / 8 > ADDITIONS_MAX {
            self.spill(sum);
        }
        self.additions += bytes.len() / 8;
        let mut pairs = u64::all(bytes).zip(u64::all(second));
        while let Some((a, b)) = pairs.next() {
            self.add_one::<0>(a, b, sum);
            if let Some((a, b)) = pairs.next() {
                self.add_one::<1>(a, b, sum);
            }
        }
    }

    #[inline(always)]
    fn add_one<const REPLICA: usize>(&mut self, a: u64, b: u64, sum: &mut Sum) {
        let (a_significand, a_exponent) = parts(a);
        let (b_significand, b_exponent) = parts(b);
        if a_exponent == EXPONENT_SPECIAL || b_exponent == EXPONENT_SPECIAL {
            // The definition knows what these are.
            return add_special(a, b, sum);
        }
        let product = i128::from(a_significand) * i128::from(b_significand);
        // All ones if the signs differ: then the product is subtracted.
        let sign = i128::from((a ^ b) as i64 >> 63);
        let bin = &mut self.bins[(a_exponent + b_exponent) as usize % BINS][REPLICA];
        *bin += (product ^ sign) - sign;
    }

    fn spill(&mut self, sum: &mut Sum) {
        for (exponents, bin) in self.bins.iter_mut().enumerate() {
            for replica in bin {
                let value = std::mem::take(replica);
                if value != 0 {
                    // Both exponents are at least 1, that of the unit.
                    sum.add_units(value, exponents as u32 - 2);
                }
            }
        }
        self.additions = 0;
    }
}

/// Significand and exponent; subnormals have no implicit one, and the exponent
/// of the smallest normal numbers.
#[inline(always)]
fn parts(bits: u64) -> (i64, u64) {
    let exponent = bits >> FRACTION_BITS & EXPONENT_SPECIAL;
    let normal = u64::from(exponent != 0);
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    ((fraction | normal << FRACTION_BITS) as i64, exponent + 1 - normal)
}

/// Counts a term that is no number, in a sum whose elements are counted
/// elsewhere.
#[cold]
fn add_special(a: u64, b: u64, sum: &mut Sum) {
    let counts = Sum::lift(sum.dtype(), Term::Product, a, b).counts();
    count(sum, Counts { elements: 0, ..counts });
}

impl Line for Products {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        if stretch.elements() < BINS_MIN {
            return stretch.each().for_each(|element: Element| state.add(element));
        }
        let bytes = stretch.bytes;
        let second = if self.term == Term::Product { stretch.second() } else { bytes };
        let sum = sum_of(state);
        count(sum, Counts { elements: stretch.elements() as u64, ..Counts::default() });
        let block = 8 * BLOCK_ELEMENTS;
        for (block, second) in bytes.chunks(block).zip(second.chunks(block)) {
            self.add_block(block, second, sum);
        }
    }

    fn settle(&mut self, state: &mut State) {
        if self.additions > 0 {
            self.spill(sum_of(state));
        }
    }
}
