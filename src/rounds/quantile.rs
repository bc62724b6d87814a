//! Exact quantiles by rounds of counting.
//!
//! A quantile is made of one or two elements of known ranks. The first round
//! counts the elements by the top bits of their keys. Then each wanted rank lies
//! in one block of keys with the same top bits, and the next round divides only
//! those blocks, until they are blocks of one key. Nothing is sorted or kept:
//! the search holds as many numbers as ranks are wanted.
//!
//! ```
//! use adsum::reduction::bins::BinCounts;
//! use adsum::rounds::{Method, quantile::Search};
//! use adsum::{DType, Value};
//!
//! let data = [4_u64, 1, 3, 2]; // Elements of type uint16, as bits.
//! let mut search = Search::new(DType::U16, &[0.5], Method::Linear, false, None)?;
//! while let Some(bins) = search.next() {
//!     let mut counts = BinCounts::identity(DType::U16, &bins);
//!     data.iter().for_each(|&bits| counts.add(bits));
//!     search.absorb(&counts)?;
//! }
//! assert_eq!(search.finish()?.values, [Value::float64(2.5)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::dtype::DType;
use crate::op::{BINS_MAX, Bins};
use crate::reduction::bins::BinCounts;
use crate::reduction::float::FloatFormat;
use crate::reduction::key;
use crate::reduction::multiset::Multiset;
use crate::value::Value;

use super::mix::mix;
use super::rank::{Method, Place};

/// The most shares of one search: two ranks each still leave 16 bins for every
/// block.
pub const SHARES_MAX: usize = BINS_MAX / 32;

/// Bins of a round over elements of up to 32 bits: two rounds for one block.
const BINS_NARROW: usize = BINS_MAX;
/// Bins of a round over elements of 64 bits, which fit into a core's cache.
const BINS_WIDE: usize = 1 << 13;

/// A question about quantiles that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum QuantileError {
    /// No shares at all, or too many.
    #[error("{shares} quantiles cannot be found at once; ask for 1 to {SHARES_MAX}")]
    Shares {
        /// The number of shares.
        shares: usize,
    },
    /// A share of less than nothing, of more than all, or NaN.
    #[error("there is no quantile at {share}; give numbers from 0 to 1")]
    Share {
        /// The share.
        share: f64,
    },
    /// An output type that the quantiles do not have.
    #[error(
        "{method} quantiles of {input} have no {output} form; use {}", Choices(*input, *method)
    )]
    Output {
        /// The method.
        method: Method,
        /// Type of the elements.
        input: DType,
        /// The type that was asked for.
        output: DType,
    },
    /// Integers of no elements.
    #[error(
        "quantiles of no elements have no {output} value; give at least one element, or ask for float64"
    )]
    Empty {
        /// The output type.
        output: DType,
    },
}

struct Choices(DType, Method);

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choices(input, method) = *self;
        let fitting = DType::ALL.into_iter().filter(|&output| has_output(input, method, output));
        for (index, dtype) in fitting.enumerate() {
            write!(f, "{}{dtype}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn has_output(input: DType, method: Method, output: DType) -> bool {
    output.is_float() || (method.is_element() && output == input)
}

/// The quantile at `share` of elements that are all at hand, in type `output`,
/// which [`Search::new`] has allowed: NaN if there are none, or NaN among them
/// that is not skipped.
pub fn of_multiset(
    set: &Multiset,
    dtype: DType,
    share: f64,
    method: Method,
    skip_nan: bool,
    output: DType,
) -> Result<Value, QuantileError> {
    let numbers = set.elements() - set.nan();
    if numbers == 0 || (set.nan() > 0 && !skip_nan) {
        let format = FloatFormat::of(output).ok_or(QuantileError::Empty { output })?;
        return Ok(Value::of(output, format.quiet_nan()));
    }
    let Place { low, high, way } = Place::of(share, method, numbers);
    let element = |rank| set.finish(rank).expect("a rank below the number of elements");
    Ok(Value::of(output, mix(dtype, element(low), element(high), way, output)))
}

/// Counts that a search cannot go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbsorbError {
    /// They are those of other bins.
    #[error("the counts are not those of the round that was asked for; count with its bins")]
    OtherBins,
    /// They contradict those of the rounds before, or count what no element is.
    #[error(
        "the elements changed between two rounds over them; leave the data alone until the quantiles are found"
    )]
    Changed,
}

/// Quantiles, in the order of the shares that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// The quantiles: NaN if there are no elements, or NaN among them that is
    /// not skipped.
    pub values: Vec<Value>,
    /// All elements.
    pub elements: u64,
    /// Elements that are NaN.
    pub nan: u64,
}

/// A search for quantiles, round by round.
///
/// All elements are read once for each round: one round for types of up to 16
/// bits; two for those of 32 bits, or one more where the ranks lie in several
/// blocks; at most six for those of 64 bits and one share, and few more for
/// many.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    dtype: DType,
    method: Method,
    skip_nan: bool,
    output: DType,
    shares: Vec<f64>,
    /// Known after the first round.
    census: Option<Census>,
    /// Bits of a key that no round has told yet: blocks have `2^open` keys.
    open: u32,
    /// One for each wanted rank, in order.
    targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Census {
    elements: u64,
    nan: u64,
}

/// A wanted rank, and the block of keys in which its element lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    rank: u64,
    /// The smallest key of the block.
    start: u64,
    /// Elements below the block.
    before: u64,
}

impl Search {
    /// A search for the quantiles at `shares`, each from 0 to 1 and taken
    /// exactly as it is, among elements of type `dtype`.
    ///
    /// `output` is the type of the quantiles. If none is asked for, it is that of
    /// the elements, or float64 where the method makes new numbers of integers.
    ///
    /// # Errors
    /// Shares or an output type that do not exist.
    pub fn new(
        dtype: DType,
        shares: &[f64],
        method: Method,
        skip_nan: bool,
        output: Option<DType>,
    ) -> Result<Search, QuantileError> {
        if !(1..=SHARES_MAX).contains(&shares.len()) {
            return Err(QuantileError::Shares { shares: shares.len() });
        }
        if let Some(&share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(QuantileError::Share { share });
        }
        let natural = if has_output(dtype, method, dtype) { dtype } else { DType::F64 };
        let output = output.unwrap_or(natural);
        if !has_output(dtype, method, output) {
            return Err(QuantileError::Output { method, input: dtype, output });
        }
        let open = if dtype == DType::Bool { 1 } else { 8 * dtype.size_bytes() as u32 };
        let (shares, census, targets) = (shares.to_vec(), None, Vec::new());
        Ok(Search { dtype, method, skip_nan, output, shares, census, open, targets })
    }

    /// Type of the quantiles.
    pub fn output(&self) -> DType {
        self.output
    }

    /// What the next round has to count, or `None` once the quantiles are known.
    pub fn next(&self) -> Option<Bins> {
        let blocks = self.blocks();
        let last = blocks.last().filter(|_| self.open > 0)?;
        let (bins, width) = self.division(blocks.len());
        let lower = blocks
            .iter()
            .flat_map(|start| (0..bins).map(move |bin| start + (bin << width)))
            .collect();
        // The last bin of a block reaches to the next block. What lies between
        // is above all ranks that are wanted of the block, so it does no harm.
        Some(Bins { lower, last: last + (u64::MAX >> (64 - self.open)) })
    }

    /// The first keys of all blocks that hold a wanted rank, in order.
    fn blocks(&self) -> Vec<u64> {
        if self.census.is_none() {
            return vec![0];
        }
        let mut blocks: Vec<u64> = self.targets.iter().map(|target| target.start).collect();
        blocks.dedup();
        blocks
    }

    /// How many bins each block is divided into, and how many bits of a key
    /// each of them leaves open.
    fn division(&self, blocks: usize) -> (u64, u32) {
        let few = if self.dtype.size_bytes() > 4 { BINS_WIDE } else { BINS_NARROW };
        let bins = few.max(16 * blocks) / blocks;
        let told = bins.ilog2().min(self.open);
        (1 << told, self.open - told)
    }

    /// Takes what a round has counted in the bins of [`Search::next`].
    ///
    /// # Errors
    /// Counts of other bins, or of other elements than the rounds before, as far
    /// as can be seen. The search stays as it was.
    pub fn absorb(&mut self, counts: &BinCounts) -> Result<(), AbsorbError> {
        let bins = self.next().ok_or(AbsorbError::OtherBins)?;
        if !counts.is_of(self.dtype, &bins) {
            return Err(AbsorbError::OtherBins);
        }
        let census = Census { elements: counts.elements(), nan: counts.nan() };
        let targets = match self.census {
            None => self.first_targets(census),
            Some(known) if known == census => self.targets.clone(),
            Some(_) => return Err(AbsorbError::Changed),
        };
        let (below, counts, _) = counts.finish();
        // Elements below each bin, and at last below the end of all bins.
        let mut before = vec![below];
        before.extend(counts.iter().scan(below, |sum, count| {
            *sum += count;
            Some(*sum)
        }));
        let (_, width) = self.division(self.blocks().len());
        let (lowest, highest) = (key::smallest(self.dtype), key::largest(self.dtype));
        let narrowed: Option<Vec<Target>> = targets
            .iter()
            .map(|target| {
                let first = bins.lower.binary_search(&target.start).ok()?;
                let bin = before.partition_point(|&below| below <= target.rank).checked_sub(1)?;
                let start = *bins.lower.get(bin)?;
                let within = start.checked_sub(target.start)? <= u64::MAX >> (64 - self.open);
                let exists = start <= highest && start + ((1 << width) - 1) >= lowest;
                (within && exists && before[first] == target.before).then_some(Target {
                    start,
                    before: before[bin],
                    ..*target
                })
            })
            .collect();
        self.targets = narrowed.ok_or(AbsorbError::Changed)?;
        self.census = Some(census);
        self.open = width;
        Ok(())
    }

    /// The wanted ranks, all of them in the one block of all keys.
    fn first_targets(&self, census: Census) -> Vec<Target> {
        let places = self.shares.iter().filter_map(|&share| self.place(share, census));
        let mut ranks: Vec<u64> = places.flat_map(|place| [place.low, place.high]).collect();
        ranks.sort_unstable();
        ranks.dedup();
        ranks.into_iter().map(|rank| Target { rank, start: 0, before: 0 }).collect()
    }

    /// The place of a share, if there is a number at it.
    fn place(&self, share: f64, census: Census) -> Option<Place> {
        let numbers = census.elements - census.nan;
        let known = numbers > 0 && (census.nan == 0 || self.skip_nan);
        known.then(|| Place::of(share, self.method, numbers))
    }

    /// The quantiles.
    ///
    /// # Errors
    /// [`QuantileError::Empty`]: no elements, and an output type without NaN.
    ///
    /// # Panics
    /// If a round is still to be made.
    pub fn finish(&self) -> Result<Quantiles, QuantileError> {
        let census = self.census.filter(|_| self.next().is_none());
        let census = census.expect("all rounds are made before the search is finished");
        let element = |rank| {
            let index = self.targets.binary_search_by_key(&rank, |target| target.rank);
            key::bits(self.dtype, self.targets[index.expect("every rank is a target")].start)
        };
        let quantile = |&share: &f64| {
            let bits = match self.place(share, census) {
                Some(Place { low, high, way }) => {
                    mix(self.dtype, element(low), element(high), way, self.output)
                }
                None => {
                    let format = FloatFormat::of(self.output);
                    format.ok_or(QuantileError::Empty { output: self.output })?.quiet_nan()
                }
            };
            Ok(Value::of(self.output, bits))
        };
        let values = self.shares.iter().map(quantile).collect::<Result<_, _>>()?;
        Ok(Quantiles { values, elements: census.elements, nan: census.nan })
    }
}
