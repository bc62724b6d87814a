//! Exact sums of squares and products of float64.
//!
//! A product of two significands has 106 bits, which no float type holds. Two
//! float64 do, the rounded product and its error, and are summed in levels. Those of
//! blocks for which that is not exact are added as integers to the bins of their
//! exponents' sums:
//!
//! ```text
//!   bins[exponent of a + exponent of b][replica] += ± significand of a * significand of b
//! ```
//!
//! Bounds: 2^21 - 1 products below 2^106 are below 2^127, which an i128 holds
//! with its sign. Additions are counted before they are made.

use super::attempts::Attempts;
use super::few::{ELEMENTS_MAX, Few, parts};
use super::levels::{Levels, Terms};
use super::line::{Line, add_scaled, count, count_elements, sum_of};
use super::prefetch;
use super::simd::Vectors;
use super::stretch::Stretch;
use super::word::Word;
use crate::op::Term;
use crate::reduction::State;
use crate::reduction::float::BINARY64;
use crate::reduction::sum::{Counts, Sum};

/// Sums of two exponents of 1 to 2046.
const BINS: usize = 4096;
const REPLICAS: usize = 4;
/// Additions per replica between two spills.
const ADDITIONS_MAX: usize = (1 << 21) - 1;
/// Elements of one block, whose additions are counted at once.
const BLOCK_ELEMENTS: usize = 1 << 13;
/// From so many elements on, levels are worth their gathering.
const LEVELS_MIN: usize = 32;
/// From so many elements on, bins are worth their emptying, unless they hold some already.
const BINS_MIN: usize = 1 << 13;

const _: () = assert!(2 * BINARY64.precision + ADDITIONS_MAX.ilog2() < 127);
const _: () = assert!(additions(BLOCK_ELEMENTS) <= ADDITIONS_MAX);
const _: () = assert!(BINS_MIN <= ELEMENTS_MAX);
const _: () = assert!(ProductLevels::BLOCK_ELEMENTS <= BLOCK_ELEMENTS);

type ProductLevels = Levels<4, 8>;

/// Additions per replica that so many elements make at most, their ragged end
/// included.
const fn additions(elements: usize) -> usize {
    elements / REPLICAS + REPLICAS
}

/// Products and their errors.
#[derive(Clone, Copy)]
struct WithErrors;

impl Terms for WithErrors {
    type Word = u64;
    const ERRORS: bool = true;

    #[inline(always)]
    fn term(self, a: u64, b: u64) -> (f64, f64) {
        let (a, b) = (f64::from_bits(a), f64::from_bits(b));
        let product = a * b;
        (product, a.mul_add(b, -product))
    }

    fn is_exact(self, a: u64, b: u64) -> bool {
        // One of them is zero. All other tiny products may have lost bits.
        a << 1 == 0 || b << 1 == 0
    }
}

/// Levels, bins of 256 KiB, and what was added to those.
pub struct Products {
    term: Term,
    levels: Option<ProductLevels>,
    attempts: Attempts,
    bins: Box<[[i128; REPLICAS]; BINS]>,
    additions: usize,
    few: Few,
}

impl Products {
    pub fn new(term: Term) -> Products {
        let bins = vec![[0; REPLICAS]; BINS].into_boxed_slice();
        let bins = bins.try_into().expect("as many bins as were made");
        let levels = Vectors::for_floats().map(Levels::new);
        let attempts = Attempts::default();
        Products { term, levels, attempts, bins, additions: 0, few: Few::new() }
    }

    fn add_to_bins(&mut self, bytes: &[u8], second: &[u8], sum: &mut Sum) {
        let quads = |bytes| {
            let (quads, rest) = u64::split(bytes).as_chunks::<REPLICAS>();
            let quads = quads.iter().inspect(|quad| prefetch::scattered(*quad));
            (quads.map(|quad| quad.map(u64::of)), rest.iter().map(|&word| u64::of(word)))
        };
        let elements = bytes.len() / 8;
        let (first, rest) = quads(bytes);
        if self.term == Term::Product {
            let (second, second_rest) = quads(second);
            self.add_block(elements, first.zip(second), rest.zip(second_rest), sum);
        } else {
            // One decoding for both factors.
            self.add_block(elements, first.map(|a| (a, a)), rest.map(|a| (a, a)), sum);
        }
    }

    /// Adds a block of at most [`BLOCK_ELEMENTS`] products.
    #[inline(always)]
    fn add_block(
        &mut self,
        elements: usize,
        quads: impl Iterator<Item = ([u64; REPLICAS], [u64; REPLICAS])>,
        rest: impl Iterator<Item = (u64, u64)>,
        sum: &mut Sum,
    ) {
        if self.additions + additions(elements) > ADDITIONS_MAX {
            self.spill(sum);
        }
        self.additions += additions(elements);
        for (a, b) in quads {
            for replica in 0..REPLICAS {
                self.add_one(replica, a[replica], b[replica], sum);
            }
        }
        rest.for_each(|(a, b)| self.add_one(0, a, b, sum));
    }

    #[inline(always)]
    fn add_one(&mut self, replica: usize, a: u64, b: u64, sum: &mut Sum) {
        let (Some((a_significand, a_exponent)), Some((b_significand, b_exponent))) =
            (parts(BINARY64, a), parts(BINARY64, b))
        else {
            return add_special(a, b, sum);
        };
        let product = i128::from(a_significand as i64) * i128::from(b_significand as i64);
        // All ones if the signs differ: then the product is subtracted.
        let sign = i128::from((a ^ b) as i64 >> 63);
        let bin = &mut self.bins[(a_exponent + b_exponent) as usize % BINS][replica];
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

/// Counts a term that is no number, of a sum whose elements are counted
/// elsewhere.
#[cold]
fn add_special(a: u64, b: u64, sum: &mut Sum) {
    let counts = Sum::lift(sum.dtype(), Term::Product, a, b).counts();
    count(sum, Counts { elements: 0, ..counts });
}

impl Line for Products {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        count_elements(stretch, sum);
        let (bytes, second) = stretch.factors(self.term);
        let size = 8 * ProductLevels::BLOCK_ELEMENTS;
        for (bytes, second) in bytes.chunks(size).zip(second.chunks(size)) {
            let levels = self.levels.as_mut().filter(|_| stretch.elements() >= LEVELS_MIN);
            let total = levels
                .and_then(|levels| self.attempts.make(|| levels.total(bytes, second, WithErrors)));
            if let Some(total) = total {
                total.into_iter().for_each(|(units, exponent)| add_scaled(sum, units, exponent));
            } else if stretch.elements() < BINS_MIN && self.additions == 0 {
                self.few.add_products::<u64>(BINARY64, bytes, second, sum);
            } else {
                self.add_to_bins(bytes, second, sum);
            }
        }
    }

    fn settle(&mut self, state: &mut State) {
        if self.additions > 0 {
            self.spill(sum_of(state));
        }
    }
}
