//! Numbers of elements in intervals of order keys: histograms, and the rounds
//! of a quantile.

use super::codec::{Bytes, put_number};
use super::key::key;
use super::{CombineError, InvalidState};
use crate::dtype::DType;
use crate::op;

/// Counts of elements of one type in the intervals of [`op::Bins`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BinCounts {
    dtype: DType,
    bins: op::Bins,
    nan: u64,
    below: u64,
    above: u64,
    counts: Box<[u64]>,
}

impl BinCounts {
    /// The counts of no elements.
    pub fn identity(dtype: DType, bins: &op::Bins) -> BinCounts {
        let counts = vec![0; bins.lower.len()].into();
        BinCounts { dtype, bins: bins.clone(), nan: 0, below: 0, above: 0, counts }
    }

    /// The counts of one element.
    pub fn lift(dtype: DType, bins: &op::Bins, bits: u64) -> BinCounts {
        let mut one = BinCounts::identity(dtype, bins);
        one.add(bits);
        one
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64) {
        match key(self.dtype, bits).map(|key| self.bins.bin_of(key)) {
            None => self.nan += 1,
            Some(Err(false)) => self.below += 1,
            Some(Err(true)) => self.above += 1,
            Some(Ok(bin)) => self.counts[bin] += 1,
        }
    }

    /// Builds a state from what a backend counted.
    ///
    /// # Errors
    /// The wrong number of counts, or counts past 64 bits together.
    pub fn from_parts(
        dtype: DType,
        bins: &op::Bins,
        nan: u64,
        below: u64,
        above: u64,
        counts: Vec<u64>,
    ) -> Result<BinCounts, InvalidState> {
        let state =
            BinCounts { dtype, bins: bins.clone(), nan, below, above, counts: counts.into() };
        let fits = state.total().is_some() && (nan == 0 || dtype.is_float());
        match fits && state.counts.len() == bins.lower.len() {
            true => Ok(state),
            false => Err(InvalidState::Counts { elements: state.total().unwrap_or(u64::MAX) }),
        }
    }

    fn total(&self) -> Option<u64> {
        let others = [self.nan, self.below, self.above];
        self.counts.iter().chain(&others).try_fold(0_u64, |sum, &count| sum.checked_add(count))
    }

    /// Whether these are counts of elements of `dtype` in the intervals `bins`.
    pub fn is_of(&self, dtype: DType, bins: &op::Bins) -> bool {
        self.dtype == dtype && self.bins == *bins
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.total().expect("checked by every way to grow")
    }

    /// Elements that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    pub(super) fn same_kind(&self, other: &BinCounts) -> Result<(), CombineError> {
        match self.is_of(other.dtype, &other.bins) {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different types or intervals, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &BinCounts) -> Result<(), CombineError> {
        self.same_kind(other)?;
        // No single count overflows if their sum does not.
        self.elements().checked_add(other.elements()).ok_or(CombineError::TooMany)?;
        self.nan += other.nan;
        self.below += other.below;
        self.above += other.above;
        self.counts.iter_mut().zip(&other.counts).for_each(|(ours, theirs)| *ours += theirs);
        Ok(())
    }

    /// The counts below, in, and above the intervals.
    pub fn finish(&self) -> (u64, &[u64], u64) {
        (self.below, &self.counts, self.above)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        [self.nan, self.below, self.above]
            .into_iter()
            .chain(self.counts.iter().copied())
            .for_each(|count| put_number(to, count));
    }

    /// Reads what [`BinCounts::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(
        dtype: DType,
        bins: &op::Bins,
        from: &mut Bytes,
    ) -> Result<BinCounts, InvalidState> {
        let (nan, below, above) = (from.number()?, from.number()?, from.number()?);
        // Every count has a byte at least, so this allocates no more than came.
        if from.0.len() < bins.lower.len() {
            return Err(InvalidState::Short);
        }
        let counts: Result<Vec<u64>, InvalidState> =
            bins.lower.iter().map(|_| from.number()).collect();
        BinCounts::from_parts(dtype, bins, nan, below, above, counts?)
    }
}
