//! The smallest and the largest element, and where they are first.
//!
//! Elements are compared by their [order keys](super::key), so -0 < +0 whatever
//! the order of arrival. NaN is counted apart, with the place of the first; it
//! wins when the state is finished. Of equal elements the lowest place counts,
//! so merging has no order.

use super::codec::{Bytes, put_number, put_option};
use super::float::FloatFormat;
use super::key::{bits, key, largest, smallest};
use super::{CombineError, InvalidState};
use crate::dtype::DType;

/// The extremes of any number of elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extremum {
    dtype: DType,
    indexed: bool,
    elements: u64,
    nan: u64,
    first_nan: Option<u64>,
    extremes: Option<Extremes>,
}

/// The extremes of at least one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extremes {
    /// The smallest.
    pub min: Found,
    /// The largest.
    pub max: Found,
}

/// An element by its key, and the lowest place that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// Its order key.
    pub key: u64,
    /// Its place, 0 where places are not kept.
    pub index: u64,
}

/// Which of the two extremes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The smallest element.
    Min,
    /// The largest element.
    Max,
}

impl Extremes {
    fn merge(self, other: Extremes) -> Extremes {
        let order = |found: &Found| (found.key, found.index);
        let reverse = |found: &Found| (std::cmp::Reverse(found.key), found.index);
        Extremes {
            min: std::cmp::min_by_key(self.min, other.min, order),
            max: std::cmp::min_by_key(self.max, other.max, reverse),
        }
    }
}

impl Extremum {
    /// The state of no elements.
    pub fn identity(dtype: DType, indexed: bool) -> Extremum {
        Extremum { dtype, indexed, elements: 0, nan: 0, first_nan: None, extremes: None }
    }

    /// The state of one element at a place.
    pub fn lift(dtype: DType, indexed: bool, bits: u64, index: u64) -> Extremum {
        let index = if indexed { index } else { 0 };
        let extremes = key(dtype, bits).map(|key| {
            let found = Found { key, index };
            Extremes { min: found, max: found }
        });
        let nan = extremes.is_none();
        let first_nan = (nan && indexed).then_some(index);
        Extremum { dtype, indexed, elements: 1, nan: nan.into(), first_nan, extremes }
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64, index: u64) {
        self.combine(&Extremum::lift(self.dtype, self.indexed, bits, index));
    }

    /// Builds a state from what a backend found out.
    ///
    /// # Errors
    /// The first rule that the parts break.
    pub fn from_parts(
        dtype: DType,
        indexed: bool,
        elements: u64,
        nan: u64,
        first_nan: Option<u64>,
        extremes: Option<Extremes>,
    ) -> Result<Extremum, InvalidState> {
        let contradiction = nan > elements
            || (nan > 0 && !dtype.is_float())
            || extremes.is_some() != (nan < elements)
            || first_nan.is_some() != (indexed && nan > 0);
        if contradiction {
            return Err(InvalidState::Counts { elements });
        }
        if let Some(Extremes { min, max }) = extremes {
            let keys = smallest(dtype)..=largest(dtype);
            let places = indexed || (min.index, max.index) == (0, 0);
            if !keys.contains(&min.key) || !keys.contains(&max.key) || min.key > max.key || !places
            {
                return Err(InvalidState::Value);
            }
        }
        Ok(Extremum { dtype, indexed, elements, nan, first_nan, extremes })
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// The extremes of the elements that are not NaN, if there are any.
    pub fn extremes(&self) -> Option<Extremes> {
        self.extremes
    }

    /// Elements that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    pub(super) fn same_kind(&self, other: &Extremum) -> Result<(), CombineError> {
        match (self.dtype, self.indexed) == (other.dtype, other.indexed) {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different kinds, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Extremum) -> Result<(), CombineError> {
        self.same_kind(other)?;
        self.elements.checked_add(other.elements).ok_or(CombineError::TooMany)?;
        self.combine(other);
        Ok(())
    }

    fn combine(&mut self, other: &Extremum) {
        self.elements += other.elements;
        self.nan += other.nan;
        self.first_nan = self.first_nan.into_iter().chain(other.first_nan).min();
        self.extremes = match (self.extremes, other.extremes) {
            (Some(ours), Some(theirs)) => Some(ours.merge(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }

    /// The same state without its NaN.
    pub fn without_nan(&self) -> Extremum {
        Extremum { elements: self.elements - self.nan, nan: 0, first_nan: None, ..*self }
    }

    /// The same with other places, of which `place` must keep the order.
    pub fn placed(&self, place: impl Fn(u64) -> u64) -> Extremum {
        if !self.indexed {
            return *self;
        }
        let found = |found: Found| Found { index: place(found.index), ..found };
        let moved = |Extremes { min, max }| Extremes { min: found(min), max: found(max) };
        let first_nan = self.first_nan.map(&place);
        Extremum { first_nan, extremes: self.extremes.map(moved), ..*self }
    }

    /// The bits of an extreme and its place; NaN wins over all numbers. `None`
    /// for no elements.
    pub fn finish(&self, end: End) -> Option<(u64, u64)> {
        if self.nan > 0 {
            let format = FloatFormat::of(self.dtype).expect("only floats are NaN");
            return Some((format.quiet_nan(), self.first_nan.unwrap_or(0)));
        }
        let Extremes { min, max } = self.extremes?;
        let found = match end {
            End::Min => min,
            End::Max => max,
        };
        Some((bits(self.dtype, found.key), found.index))
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_number(to, self.elements);
        put_number(to, self.nan);
        put_option(to, self.first_nan);
        for Found { key, index } in self.extremes.iter().flat_map(|e| [e.min, e.max]) {
            put_number(to, key);
            put_number(to, index);
        }
    }

    /// Reads what [`Extremum::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, indexed: bool, from: &mut Bytes) -> Result<Extremum, InvalidState> {
        let (elements, nan, first_nan) = (from.number()?, from.number()?, from.option()?);
        let mut found = || Ok(Found { key: from.number()?, index: from.number()? });
        let extremes = match nan < elements {
            true => Some(Extremes { min: found()?, max: found()? }),
            false => None,
        };
        Extremum::from_parts(dtype, indexed, elements, nan, first_nan, extremes)
    }
}
