//! Sums of float64 terms, of which each level takes a part without rounding.
//!
//! A level is a running sum that starts in the middle of a binade, so far above
//! the terms that it stays there, and its last place always weighs the same: it
//! is a grid. What a term adds to the level is the term rounded to that grid; the
//! rest goes to the next level, [`STEP`] bits below:
//!
//! ```text
//!   s' = s + x       rounded to the grid
//!   x' = x - (s' - s)     exact: what the level did not take
//! ```
//!
//! Where nothing is left of any term, the levels are the exact sum, as integers of
//! their last places. This is the extraction of S. M. Rump, T. Ogita, S. Oishi
//! (Accurate Floating-Point Summation, SIAM J. Sci. Comput. 31, 2008), with grids
//! that are the same for all terms, as in J. Demmel and H. D. Nguyen (Parallel
//! Reproducible Summation, IEEE Trans. Comput. 64, 2015).
//!
//! Products of float64 are made of two terms, the rounded product and its error,
//! which a fused multiplication gives exactly.

use super::direct::exp2;
use super::prefetch;
use super::simd::{Loop, Vectors};
use super::word::{Groups, Word};
use crate::reduction::float::BINARY64;

/// Bits from one level to the next.
const STEP: i32 = 42;
/// Terms that a lane takes.
const ADDITIONS_MAX: i32 = 256;
/// Half of what a level moves within its binade, in last places: 2^51.
const ROOM: i32 = 51;

// A term is at most 2^STEP last places; of the rests of the level above, which are
// at most half of one of its last places, there are two where there are errors.
const _: () = assert!(ADDITIONS_MAX.ilog2() as i32 + STEP < ROOM);

/// How far ahead memory is asked for: a page, where hardware prefetchers stop.
const AHEAD_BYTES: usize = 4096;

/// A product below this may have an error that is no float64.
const LEAST_PRODUCT: f64 = exp2(-900);
/// The least weight of a last place, and the largest of a level's start.
const EXPONENTS: std::ops::RangeInclusive<i32> = -1000..=1000;

/// Terms of words, or of pairs of words.
pub trait Terms: Copy {
    /// The words that elements come as.
    type Word: Word;
    /// Whether terms have errors, and so need fused multiplication.
    const ERRORS: bool;

    /// The term, rounded, and its error.
    fn term(self, a: Self::Word, b: Self::Word) -> (f64, f64);

    /// Whether a term that is zero or tiny is exact, by its words.
    fn is_exact(self, _a: Self::Word, _b: Self::Word) -> bool {
        true
    }
}

/// The sum of a block: for each level a number of units, and the exponent of the
/// unit.
pub type Total<const LEVELS: usize> = [(i128, i32); LEVELS];

/// Levels that follow the data: they lie where the last block's were.
#[derive(Clone, Copy, Debug)]
pub struct Levels<const LEVELS: usize, const LANES: usize> {
    vectors: Vectors,
    /// All terms of a block are to be below two to this.
    top: i32,
}

/// A block of little-endian elements of both factors, which are the same for
/// terms of one word.
struct Block<'a, T, const LEVELS: usize, const LANES: usize> {
    bytes: &'a [u8],
    second: &'a [u8],
    terms: T,
    starts: [f64; LEVELS],
}

/// What was found of a block.
struct Found<const LEVELS: usize, const LANES: usize> {
    levels: [[f64; LANES]; LEVELS],
    /// The largest term.
    most: f64,
    /// The smallest one.
    least: f64,
    /// Zero if nothing is left of any term.
    left: u64,
}

impl<T: Terms, const LEVELS: usize, const LANES: usize> Loop for Block<'_, T, LEVELS, LANES> {
    type Output = Found<LEVELS, LANES>;

    #[inline(always)]
    fn run(self) -> Found<LEVELS, LANES> {
        let mut levels = self.starts.map(|start| [start; LANES]);
        let (mut most, mut least) = ([0.0; LANES], [f64::INFINITY; LANES]);
        let mut left = [0; LANES];
        let factors = [self.bytes, self.second].map(Groups::<T::Word, LANES>::of);
        let [a, b] = factors.each_ref().map(Groups::parts);
        for (a, b) in a.into_iter().zip(b) {
            for (a, b) in a.iter().zip(b) {
                // Each line of the cache that a group of 16 takes.
                prefetch::ahead::<AHEAD_BYTES, _>(&a[0]);
                prefetch::ahead::<AHEAD_BYTES, _>(&a[LANES / 2]);
                for lane in 0..LANES {
                    let (a, b) = (T::Word::of(a[lane]), T::Word::of(b[lane]));
                    let (term, error) = self.terms.term(a, b);
                    let magnitude = term.abs();
                    // Comparisons that NaN fails.
                    most[lane] = if magnitude > most[lane] { magnitude } else { most[lane] };
                    left[lane] |= put(&mut levels, 0, lane, term);
                    if T::ERRORS {
                        least[lane] = if magnitude < least[lane] { magnitude } else { least[lane] };
                        left[lane] |= put(&mut levels, 1, lane, error);
                    }
                }
            }
        }
        Found {
            levels,
            most: most.into_iter().fold(0.0, f64::max),
            least: least.into_iter().fold(f64::INFINITY, f64::min),
            // Zeros of either sign are nothing.
            left: left.into_iter().fold(0, std::ops::BitOr::bitor) << 1,
        }
    }
}

/// Adds a term to the levels from `first` on. The bits of what is left, of which the
/// sign means nothing.
#[inline(always)]
fn put<const LEVELS: usize, const LANES: usize>(
    levels: &mut [[f64; LANES]; LEVELS],
    first: usize,
    lane: usize,
    term: f64,
) -> u64 {
    let mut rest = term;
    for level in levels.iter_mut().skip(first) {
        let before = level[lane];
        let after = before + rest;
        level[lane] = after;
        rest -= after - before;
    }
    rest.to_bits()
}

impl<const LEVELS: usize, const LANES: usize> Levels<LEVELS, LANES> {
    /// The most elements of one block.
    pub const BLOCK_ELEMENTS: usize = LANES * ADDITIONS_MAX as usize;

    /// Levels in vectors of this processor.
    pub fn new(vectors: Vectors) -> Self {
        Levels { vectors, top: 0 }
    }

    /// The sum of a block of at most [`Levels::BLOCK_ELEMENTS`] terms, or `None`
    /// if it is not exact.
    pub fn total<T: Terms>(
        &mut self,
        bytes: &[u8],
        second: &[u8],
        terms: T,
    ) -> Option<Total<LEVELS>> {
        debug_assert!(bytes.len() <= Self::BLOCK_ELEMENTS * size_of::<T::Word>());
        match self.attempt(bytes, second, terms) {
            Ok(total) => Some(total),
            Err(most) => {
                // Twice the largest term, so that a slightly larger one fits.
                let top = (most.to_bits() >> (BINARY64.precision - 1)) as i32 - 1023 + 2;
                let in_range = EXPONENTS.contains(&(Self::grid(top, 0) + 53))
                    && EXPONENTS.contains(&Self::grid(top, LEVELS - 1));
                if top == self.top || !in_range {
                    return None;
                }
                self.top = top;
                self.attempt(bytes, second, terms).ok()
            }
        }
    }

    /// The weight of a level's last place.
    fn grid(top: i32, level: usize) -> i32 {
        top - STEP * (1 + level as i32)
    }

    /// The sum of a block, or its largest term.
    #[inline(always)]
    fn attempt<T: Terms>(
        &self,
        bytes: &[u8],
        second: &[u8],
        terms: T,
    ) -> Result<Total<LEVELS>, f64> {
        let grid = |level| Self::grid(self.top, level);
        let starts = std::array::from_fn(|level| 1.5 * exp2(52 + grid(level)));
        let block = Block::<T, LEVELS, LANES> { bytes, second, terms, starts };
        let Found { levels, most, least, left } = self.vectors.run(block);
        if most >= exp2(self.top) || left != 0 {
            return Err(most);
        }
        if T::ERRORS && least < LEAST_PRODUCT && !are_exact(bytes, second, terms) {
            return Err(f64::INFINITY);
        }
        Ok(std::array::from_fn(|level| {
            let start = starts[level].to_bits();
            let units = |sum: f64| sum.to_bits().wrapping_sub(start) as i64;
            (levels[level].into_iter().map(units).sum::<i64>().into(), grid(level))
        }))
    }
}

/// Whether all tiny terms are exact.
#[cold]
fn are_exact<T: Terms>(bytes: &[u8], second: &[u8], terms: T) -> bool {
    T::Word::all(bytes).zip(T::Word::all(second)).all(|(a, b)| {
        let (term, _) = terms.term(a, b);
        term.abs() >= LEAST_PRODUCT || terms.is_exact(a, b)
    })
}

#[cfg(test)]
mod tests;
