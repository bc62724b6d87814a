//! Bitwise and, or, and exclusive or of integers and bools.

use super::codec::{Bytes, put_number};
use super::{CombineError, InvalidState};
use crate::dtype::DType;

/// The three of any number of elements of one type. A bool counts as 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bits {
    dtype: DType,
    elements: u64,
    and: u64,
    or: u64,
    xor: u64,
}

impl Bits {
    /// The state of no elements: all ones, zero, zero.
    pub fn identity(dtype: DType) -> Bits {
        Bits { dtype, elements: 0, and: mask(dtype), or: 0, xor: 0 }
    }

    /// The state of one element.
    pub fn lift(dtype: DType, bits: u64) -> Bits {
        let bits = if dtype == DType::Bool { u64::from(bits != 0) } else { bits };
        Bits { dtype, elements: 1, and: bits, or: bits, xor: bits }
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64) {
        self.combine(&Bits::lift(self.dtype, bits));
    }

    /// Builds a state from what a backend found out.
    ///
    /// # Errors
    /// Words that no elements of the type have.
    pub fn from_parts(
        dtype: DType,
        elements: u64,
        and: u64,
        or: u64,
        xor: u64,
    ) -> Result<Bits, InvalidState> {
        let possible = match elements {
            0 => (and, or, xor) == (mask(dtype), 0, 0),
            1 => and == or && or == xor,
            _ => and & !or == 0 && xor & !or == 0,
        };
        match possible && (and | or | xor) & !mask(dtype) == 0 {
            true => Ok(Bits { dtype, elements, and, or, xor }),
            false => Err(InvalidState::Value),
        }
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    pub(super) fn same_kind(&self, other: &Bits) -> Result<(), CombineError> {
        match self.dtype == other.dtype {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different types, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Bits) -> Result<(), CombineError> {
        self.same_kind(other)?;
        self.elements.checked_add(other.elements).ok_or(CombineError::TooMany)?;
        self.combine(other);
        Ok(())
    }

    fn combine(&mut self, other: &Bits) {
        self.elements += other.elements;
        self.and &= other.and;
        self.or |= other.or;
        self.xor ^= other.xor;
    }

    /// And, or, exclusive or, in the bits of the element type.
    pub fn finish(&self) -> (u64, u64, u64) {
        (self.and, self.or, self.xor)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        [self.elements, self.and, self.or, self.xor].into_iter().for_each(|n| put_number(to, n));
    }

    /// Reads what [`Bits::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, from: &mut Bytes) -> Result<Bits, InvalidState> {
        let elements = from.number()?;
        Bits::from_parts(dtype, elements, from.number()?, from.number()?, from.number()?)
    }
}

/// All bits that an element has.
fn mask(dtype: DType) -> u64 {
    match dtype {
        DType::Bool => 1,
        _ => u64::MAX >> (64 - dtype.size_bytes() * 8),
    }
}
