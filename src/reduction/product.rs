//! The product of integers: modulo 2^64 as NumPy has it, with the knowledge
//! whether that is all of it.
//!
//! Zeros are counted apart. Of all other elements the state has the sign, and
//! the product of magnitudes modulo 2^64. That true product never falls, so it
//! passes 2^64 for good, at the same set of elements in every order: whether it
//! has is a fact about the elements and not about the way.

use super::codec::{Bytes, put_number};
use super::{CombineError, InvalidState};
use crate::dtype::DType;
use crate::value::Value;

/// The product of any number of integers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    dtype: DType,
    elements: u64,
    zeros: u64,
    negative: bool,
    magnitude: u64,
    overflowed: bool,
}

impl Product {
    /// The product of no elements, which is 1.
    pub fn identity(dtype: DType) -> Product {
        Product { dtype, elements: 0, zeros: 0, negative: false, magnitude: 1, overflowed: false }
    }

    /// The product of one element.
    pub fn lift(dtype: DType, bits: u64) -> Product {
        let unused = 64 - dtype.size_bytes() as u32 * 8;
        let (negative, magnitude) = match dtype {
            DType::Bool => (false, u64::from(bits != 0)),
            _ if dtype.is_signed() => {
                let value = (bits << unused) as i64 >> unused;
                (value < 0, value.unsigned_abs())
            }
            _ => (false, bits),
        };
        let zeros = u64::from(magnitude == 0);
        Product {
            negative,
            zeros,
            elements: 1,
            magnitude: magnitude.max(1),
            ..Product::identity(dtype)
        }
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64) {
        self.combine(&Product::lift(self.dtype, bits));
    }

    /// Builds a state from what a backend found out.
    ///
    /// # Errors
    /// The first rule that the parts break.
    pub fn from_parts(
        dtype: DType,
        elements: u64,
        zeros: u64,
        negative: bool,
        magnitude: u64,
        overflowed: bool,
    ) -> Result<Product, InvalidState> {
        if zeros > elements {
            return Err(InvalidState::Counts { elements });
        }
        let factors = elements - zeros;
        let no_sign = dtype == DType::Bool || !dtype.is_signed() || factors == 0;
        let no_more_than_one = dtype == DType::Bool || factors == 0;
        if (negative && no_sign)
            || (no_more_than_one && (magnitude, overflowed) != (1, false))
            || (magnitude == 0 && !overflowed)
        {
            return Err(InvalidState::Value);
        }
        Ok(Product { dtype, elements, zeros, negative, magnitude, overflowed })
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Whether the product is not zero and its magnitude is past 64 bits.
    pub fn overflows(&self) -> bool {
        let fits = match (self.dtype.is_signed() || self.dtype == DType::Bool, self.negative) {
            (true, false) => self.magnitude <= i64::MAX as u64,
            (true, true) => self.magnitude <= 1 << 63,
            (false, _) => true,
        };
        self.zeros == 0 && (self.overflowed || !fits)
    }

    pub(super) fn same_kind(&self, other: &Product) -> Result<(), CombineError> {
        match self.dtype == other.dtype {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different types, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Product) -> Result<(), CombineError> {
        self.same_kind(other)?;
        self.elements.checked_add(other.elements).ok_or(CombineError::TooMany)?;
        self.combine(other);
        Ok(())
    }

    fn combine(&mut self, other: &Product) {
        let (magnitude, carried) = self.magnitude.overflowing_mul(other.magnitude);
        *self = Product {
            dtype: self.dtype,
            elements: self.elements + other.elements,
            zeros: self.zeros + other.zeros,
            negative: self.negative != other.negative,
            magnitude,
            overflowed: self.overflowed || other.overflowed || carried,
        };
    }

    /// The same as a product of elements of a wider type.
    pub fn widened(&self, dtype: DType) -> Product {
        Product { dtype, ..*self }
    }

    /// The product modulo 2^64, as int64 or uint64.
    pub fn finish(&self, output: DType) -> Value {
        let magnitude = if self.zeros > 0 { 0 } else { self.magnitude };
        Value::of(output, if self.negative { magnitude.wrapping_neg() } else { magnitude })
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_number(to, self.elements);
        put_number(to, self.zeros);
        to.push(self.negative.into());
        put_number(to, self.magnitude);
        to.push(self.overflowed.into());
    }

    /// Reads what [`Product::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, from: &mut Bytes) -> Result<Product, InvalidState> {
        let (elements, zeros, negative) = (from.number()?, from.number()?, from.flag()?);
        let (magnitude, overflowed) = (from.number()?, from.flag()?);
        Product::from_parts(dtype, elements, zeros, negative, magnitude, overflowed)
    }
}
