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

/// Columns of little-endian elements side by side, a lane for each.
struct Columns<'a, T, const LEVELS: usize, const LANES: usize> {
    /// Rows of so many bytes.
    rows: &'a [u8],
    row_bytes: usize,
    /// Where the columns begin in a row.
    first_byte: usize,
    terms: T,
    starts: [f64; LEVELS],
}

/// What was found of a block, or of columns.
struct Found<const LEVELS: usize, const LANES: usize> {
    levels: [[f64; LANES]; LEVELS],
    /// The largest term.
    most: f64,
    /// The smallest one.
    least: f64,
    /// Zero if nothing is left of any term.
    left: u64,
}

/// What is found, while it is looked for. These are lists of their own and no structure
/// with functions, which compilers keep in memory: 16,384 elements take 12 us that way
/// and 8 us this way.
macro_rules! look {
    ($levels:ident, $most:ident, $least:ident, $left:ident from $starts:expr) => {
        let mut $levels = $starts.map(|start| [start; LANES]);
        let (mut $most, mut $least) = ([0.0; LANES], [f64::INFINITY; LANES]);
        let mut $left = [0; LANES];
    };
    (in $terms:expr, $a:expr, $b:expr => $levels:ident, $most:ident, $least:ident, $left:ident) => {
        for lane in 0..LANES {
            let (a, b) = (T::Word::of($a[lane]), T::Word::of($b[lane]));
            let (term, error) = $terms.term(a, b);
            let magnitude = term.abs();
            // Comparisons that NaN fails.
            $most[lane] = if magnitude > $most[lane] { magnitude } else { $most[lane] };
            $left[lane] |= put(&mut $levels, 0, lane, term);
            if T::ERRORS {
                $least[lane] = if magnitude < $least[lane] { magnitude } else { $least[lane] };
                $left[lane] |= put(&mut $levels, 1, lane, error);
            }
        }
    };
    (found $levels:ident, $most:ident, $least:ident, $left:ident) => {
        Found {
            levels: $levels,
            most: $most.into_iter().fold(0.0, f64::max),
            least: $least.into_iter().fold(f64::INFINITY, f64::min),
            // Zeros of either sign are nothing.
            left: $left.into_iter().fold(0, std::ops::BitOr::bitor) << 1,
        }
    };
}

impl<T: Terms, const LEVELS: usize, const LANES: usize> Loop for Block<'_, T, LEVELS, LANES> {
    type Output = Found<LEVELS, LANES>;

    #[inline(always)]
    fn run(self) -> Found<LEVELS, LANES> {
        look!(levels, most, least, left from self.starts);
        let factors = [self.bytes, self.second].map(Groups::<T::Word, LANES>::of);
        let [a, b] = factors.each_ref().map(Groups::parts);
        for (a, b) in a.into_iter().zip(b) {
            for (a, b) in a.iter().zip(b) {
                prefetch::streamed(a);
                if T::ERRORS {
                    prefetch::streamed(b);
                }
                look!(in self.terms, a, b => levels, most, least, left);
            }
        }
        look!(found levels, most, least, left)
    }
}

impl<T: Terms, const LEVELS: usize, const LANES: usize> Loop for Columns<'_, T, LEVELS, LANES> {
    type Output = Found<LEVELS, LANES>;

    #[inline(always)]
    fn run(self) -> Found<LEVELS, LANES> {
        look!(levels, most, least, left from self.starts);
        for row in self.rows.chunks_exact(self.row_bytes) {
            let words = T::Word::split(&row[self.first_byte..]);
            let words = words.first_chunk::<LANES>().expect("a column for each lane");
            look!(in self.terms, words, words => levels, most, least, left);
        }
        look!(found levels, most, least, left)
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
    pub const BLOCK_ELEMENTS: usize = LANES * Self::ROWS_MAX;
    /// The most rows of columns.
    pub const ROWS_MAX: usize = ADDITIONS_MAX as usize;

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
            Err(most) if self.raise(most) => self.attempt(bytes, second, terms).ok(),
            Err(_) => None,
        }
    }

    /// The sums of `LANES` columns of at most [`Levels::ROWS_MAX`] rows, or `None` if one
    /// of them is not exact.
    pub fn columns<T: Terms>(
        &mut self,
        rows: &[u8],
        row_bytes: usize,
        first_byte: usize,
        terms: T,
    ) -> Option<[Total<LEVELS>; LANES]> {
        const { assert!(!T::ERRORS, "columns of one data set, whose terms are exact") };
        debug_assert!(rows.len() <= Self::ROWS_MAX * row_bytes);
        let attempt = |levels: &Self| {
            let starts = levels.starts();
            let columns =
                Columns::<T, LEVELS, LANES> { rows, row_bytes, first_byte, terms, starts };
            let found = levels.vectors.run(columns);
            levels.check(&found)?;
            Ok(std::array::from_fn(|lane| levels.sum_of(|level| found.units(level, lane, starts))))
        };
        match attempt(self) {
            Ok(totals) => Some(totals),
            Err(most) if self.raise(most) => attempt(self).ok(),
            Err(_) => None,
        }
    }

    /// Puts the levels where the largest term needs them; whether they were elsewhere
    /// and can be there.
    fn raise(&mut self, most: f64) -> bool {
        // Twice the largest term, so that a slightly larger one fits.
        let top = (most.to_bits() >> (BINARY64.precision - 1)) as i32 - 1023 + 2;
        let in_range = EXPONENTS.contains(&(Self::grid(top, 0) + 53))
            && EXPONENTS.contains(&Self::grid(top, LEVELS - 1));
        let is_new = top != self.top && in_range;
        if is_new {
            self.top = top;
        }
        is_new
    }

    /// The weight of a level's last place.
    fn grid(top: i32, level: usize) -> i32 {
        top - STEP * (1 + level as i32)
    }

    fn starts(&self) -> [f64; LEVELS] {
        std::array::from_fn(|level| 1.5 * exp2(52 + Self::grid(self.top, level)))
    }

    /// The sum of a block, or its largest term.
    #[inline(always)]
    fn attempt<T: Terms>(
        &self,
        bytes: &[u8],
        second: &[u8],
        terms: T,
    ) -> Result<Total<LEVELS>, f64> {
        let starts = self.starts();
        let block = Block::<T, LEVELS, LANES> { bytes, second, terms, starts };
        let found = self.vectors.run(block);
        self.check(&found)?;
        if T::ERRORS && found.least < LEAST_PRODUCT && !are_exact(bytes, second, terms) {
            return Err(f64::INFINITY);
        }
        let of_all = |level| (0..LANES).map(|lane| found.units(level, lane, starts)).sum();
        Ok(self.sum_of(of_all))
    }

    /// Whether nothing was lost; else the largest term.
    #[inline(always)]
    fn check(&self, found: &Found<LEVELS, LANES>) -> Result<(), f64> {
        match found.most >= exp2(self.top) || found.left != 0 {
            true => Err(found.most),
            false => Ok(()),
        }
    }

    fn sum_of(&self, units: impl Fn(usize) -> i64) -> Total<LEVELS> {
        std::array::from_fn(|level| (units(level).into(), Self::grid(self.top, level)))
    }
}

impl<const LEVELS: usize, const LANES: usize> Found<LEVELS, LANES> {
    /// What a lane of a level has taken, in last places.
    #[inline(always)]
    fn units(&self, level: usize, lane: usize, starts: [f64; LEVELS]) -> i64 {
        self.levels[level][lane].to_bits().wrapping_sub(starts[level].to_bits()) as i64
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
