//! Numbers of elements: of all, of NaN, and of those that are not zero.
//!
//! NaN is not zero; -0.0 is.

use super::codec::{Bytes, put_number};
use super::float::FloatFormat;
use super::{CombineError, InvalidState};
use crate::dtype::DType;

/// Counts over elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tally {
    dtype: DType,
    elements: u64,
    nan: u64,
    nonzero: u64,
}

impl Tally {
    /// The counts of no elements.
    pub fn identity(dtype: DType) -> Tally {
        Tally { dtype, elements: 0, nan: 0, nonzero: 0 }
    }

    /// The counts of one element.
    pub fn lift(dtype: DType, bits: u64) -> Tally {
        let format = FloatFormat::of(dtype);
        let zero = bits & !format.map_or(0, FloatFormat::sign_bit) == 0;
        let nan = format.is_some_and(|format| format.is_nan(bits));
        Tally { dtype, elements: 1, nan: nan.into(), nonzero: (!zero).into() }
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64) {
        let one = Tally::lift(self.dtype, bits);
        self.elements += one.elements;
        self.nan += one.nan;
        self.nonzero += one.nonzero;
    }

    /// Builds a state from what a backend counted.
    ///
    /// # Errors
    /// Counts that contradict one another.
    pub fn from_parts(
        dtype: DType,
        elements: u64,
        nan: u64,
        nonzero: u64,
    ) -> Result<Tally, InvalidState> {
        if nan > nonzero || nonzero > elements || (nan > 0 && !dtype.is_float()) {
            return Err(InvalidState::Counts { elements });
        }
        Ok(Tally { dtype, elements, nan, nonzero })
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Elements that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    pub(super) fn same_kind(&self, other: &Tally) -> Result<(), CombineError> {
        match self.dtype == other.dtype {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different types, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Tally) -> Result<(), CombineError> {
        self.combine(other, u64::checked_add, CombineError::TooMany)
    }

    /// Takes away a state that was merged before.
    ///
    /// # Errors
    /// Different types, or a count that would fall below zero.
    pub fn unmerge(&mut self, other: &Tally) -> Result<(), CombineError> {
        self.combine(other, u64::checked_sub, CombineError::NotContained)
    }

    fn combine(
        &mut self,
        other: &Tally,
        f: fn(u64, u64) -> Option<u64>,
        error: CombineError,
    ) -> Result<(), CombineError> {
        self.same_kind(other)?;
        *self = Tally {
            dtype: self.dtype,
            elements: f(self.elements, other.elements).ok_or(error)?,
            nan: f(self.nan, other.nan).ok_or(error)?,
            nonzero: f(self.nonzero, other.nonzero).ok_or(error)?,
        };
        Ok(())
    }

    /// The same counts without the NaN.
    pub fn without_nan(&self) -> Tally {
        let (elements, nonzero) = (self.elements - self.nan, self.nonzero - self.nan);
        Tally { dtype: self.dtype, elements, nan: 0, nonzero }
    }

    /// All elements, and those that are not zero.
    pub fn finish(&self) -> (u64, u64) {
        (self.elements, self.nonzero)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        [self.elements, self.nan, self.nonzero].into_iter().for_each(|n| put_number(to, n));
    }

    /// Reads what [`Tally::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, from: &mut Bytes) -> Result<Tally, InvalidState> {
        Tally::from_parts(dtype, from.number()?, from.number()?, from.number()?)
    }
}
