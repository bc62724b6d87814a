//! The exact sum.
//!
//! A sum is a fixed-point integer, two's complement, wide enough for every
//! term and every count, so adding never rounds and merging has no order
//! (U. Kulisch, "Computer Arithmetic and Validity", 2008, calls it a complete
//! register). Beside it stand the counts of elements, NaN and infinities. The
//! whole is a commutative group: `merge` adds and `unmerge` subtracts.
//!
//! | elements | unit of bit 0 | limbs | terms of the largest magnitude before overflow |
//! |---|---|---|---|
//! | float32 | 2^-149 | 6 | 2^106 |
//! | float64 | 2^-1074 | 34 | 2^77 |
//! | integers, bool | 1 | 2 | 2^64 |
//!
//! The integer of an unsigned type is unsigned; all others are signed. Element
//! counts are `u64` and checked, so the integer itself never overflows.

use super::limbs;
use super::round::{self, BINARY32, BINARY64, FloatFormat};
use crate::dtype::DType;
use crate::value::Value;

/// How many elements a sum holds, and how many of them are no finite number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// All elements, the special ones included.
    pub elements: u64,
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are +infinity.
    pub positive_infinity: u64,
    /// Elements that are -infinity.
    pub negative_infinity: u64,
}

impl Counts {
    /// The counts as an array, in the order of canonical bytes.
    pub fn to_array(self) -> [u64; 4] {
        [self.elements, self.nan, self.positive_infinity, self.negative_infinity]
    }

    /// The counts from an array in the order of canonical bytes.
    pub fn from_array([elements, nan, positive_infinity, negative_infinity]: [u64; 4]) -> Counts {
        Counts { elements, nan, positive_infinity, negative_infinity }
    }

    /// NaN and infinities together, or `None` past 64 bits.
    pub fn special(self) -> Option<u64> {
        self.nan.checked_add(self.positive_infinity)?.checked_add(self.negative_infinity)
    }

    fn zip(self, other: Counts, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Counts> {
        let (a, b) = (self.to_array(), other.to_array());
        let mut out = [0; 4];
        for (out, (a, b)) in out.iter_mut().zip(a.into_iter().zip(b)) {
            *out = f(a, b)?;
        }
        Some(Counts::from_array(out))
    }
}

/// Why two sums could not be combined. Neither of them has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// The sums are of different element types.
    #[error("a sum of {left} and a sum of {right} cannot be combined")]
    DTypes {
        /// Type of the sum that was to change.
        left: DType,
        /// Type of the other sum.
        right: DType,
    },
    /// More than 2^64 - 1 elements together.
    #[error("more than 2^64 - 1 elements in one sum")]
    TooMany,
    /// What is to be taken away was never merged: a count would fall below zero.
    #[error("the sum to be taken away was not merged before: it counts more elements")]
    NotContained,
}

/// An output type that a sum of these elements does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum of {input} has no {output} form; use {choices}")]
pub struct OutputError {
    /// Type of the elements.
    pub input: DType,
    /// The type that was asked for.
    pub output: DType,
    /// The types that a sum of these elements can have.
    pub choices: &'static str,
}

/// The exact sum of any number of elements of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    dtype: DType,
    counts: Counts,
    limbs: Box<[u64]>,
}

/// Number of limbs of the integer for elements of `dtype`.
pub fn limb_count(dtype: DType) -> usize {
    match dtype {
        DType::F32 => 6,
        DType::F64 => 34,
        DType::Bool
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64 => 2,
    }
}

/// Exponent of two that bit 0 of the integer weighs.
pub fn unit_exponent(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => BINARY32.exponent_min,
        DType::F64 => BINARY64.exponent_min,
        DType::Bool
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64 => 0,
    }
}

/// The largest magnitude that one finite element can have, as
/// `(significand, shift)` in units of bit 0: `(positive, negative)`.
fn magnitude_max(dtype: DType) -> ((u64, u32), (u64, u32)) {
    let bits = dtype.size_bytes() as u32 * 8;
    match dtype {
        DType::Bool => ((1, 0), (0, 0)),
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => ((u64::MAX >> (64 - bits), 0), (0, 0)),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
            (((1 << (bits - 1)) - 1, 0), (1 << (bits - 1), 0))
        }
        DType::F32 => (((1 << 24) - 1, 253), ((1 << 24) - 1, 253)),
        DType::F64 => (((1 << 53) - 1, 2045), ((1 << 53) - 1, 2045)),
    }
}

impl Sum {
    /// The sum of no elements.
    pub fn identity(dtype: DType) -> Sum {
        Sum { dtype, counts: Counts::default(), limbs: vec![0; limb_count(dtype)].into() }
    }

    /// The sum of one element, given by the bits of its little-endian bytes.
    ///
    /// This is the definition that every faster path is held to.
    pub fn lift(dtype: DType, bits: u64) -> Sum {
        let mut sum = Sum::identity(dtype);
        sum.counts.elements = 1;
        match dtype {
            DType::Bool => sum.add_units(i128::from(bits & 0xff != 0), 0),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => sum.add_units(i128::from(bits), 0),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
                let unused = 64 - dtype.size_bytes() as u32 * 8;
                sum.add_units(i128::from((bits << unused) as i64 >> unused), 0);
            }
            DType::F32 => sum.lift_float(bits, BINARY32),
            DType::F64 => sum.lift_float(bits, BINARY64),
        }
        sum
    }

    fn lift_float(&mut self, bits: u64, format: FloatFormat) {
        let fraction_bits = format.precision - 1;
        let negative = bits & !(format.infinity | ((1 << fraction_bits) - 1)) != 0;
        let fraction = bits & ((1 << fraction_bits) - 1);
        let exponent = ((bits & format.infinity) >> fraction_bits) as u32;
        if bits & format.infinity == format.infinity {
            match (fraction, negative) {
                (1.., _) => self.counts.nan = 1,
                (0, false) => self.counts.positive_infinity = 1,
                (0, true) => self.counts.negative_infinity = 1,
            }
            return;
        }
        let (significand, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | 1 << fraction_bits, exponent - 1),
        };
        let value = i128::from(significand);
        self.add_units(if negative { -value } else { value }, shift);
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The counts of elements, NaN and infinities.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The integer's limbs, little endian, in units of [`unit_exponent`].
    pub fn limbs(&self) -> &[u64] {
        &self.limbs
    }

    /// Adds `value * 2^shift` units to the integer, and nothing to the counts.
    ///
    /// For backends, which sum many elements into one such value; they add
    /// the elements' count with [`Sum::add_counts`].
    pub fn add_units(&mut self, value: i128, shift: u32) {
        limbs::add_shifted(&mut self.limbs, value, shift);
    }

    /// Adds to the counts, and nothing to the integer.
    ///
    /// # Errors
    /// [`CombineError::TooMany`] past 2^64 - 1 elements.
    pub fn add_counts(&mut self, counts: Counts) -> Result<(), CombineError> {
        self.counts = self.counts.zip(counts, u64::checked_add).ok_or(CombineError::TooMany)?;
        Ok(())
    }

    /// Adds another sum. No order of merging changes the result.
    ///
    /// # Errors
    /// Different element types, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Sum) -> Result<(), CombineError> {
        self.same_dtype(other)?;
        self.add_counts(other.counts)?;
        limbs::add(&mut self.limbs, &other.limbs);
        Ok(())
    }

    /// Takes away a sum that was merged before, exactly.
    ///
    /// # Errors
    /// Different element types, or a count that would fall below zero.
    pub fn unmerge(&mut self, other: &Sum) -> Result<(), CombineError> {
        self.same_dtype(other)?;
        self.counts =
            self.counts.zip(other.counts, u64::checked_sub).ok_or(CombineError::NotContained)?;
        limbs::subtract(&mut self.limbs, &other.limbs);
        Ok(())
    }

    fn same_dtype(&self, other: &Sum) -> Result<(), CombineError> {
        if self.dtype == other.dtype {
            Ok(())
        } else {
            Err(CombineError::DTypes { left: self.dtype, right: other.dtype })
        }
    }

    /// The result, rounded once to nearest even, straight to the output type;
    /// without one, to [`Spec::natural_output`](crate::Spec::natural_output).
    ///
    /// Any NaN, or infinities of both signs, give the canonical quiet NaN; one
    /// kind of infinity gives itself. An exact zero is +0.0; a nonzero sum
    /// keeps its sign when it rounds to zero. An integer that 64 bits cannot
    /// hold comes out as a 128-bit [`Value`].
    ///
    /// # Errors
    /// A sum of integers is int64 or uint64 by its own sign, or a float; a sum
    /// of floats is a float.
    pub fn finish(&self, output: Option<DType>) -> Result<Value, OutputError> {
        let natural = crate::Spec::sum(self.dtype).natural_output();
        match output.unwrap_or(natural) {
            DType::F32 => Ok(Value::F32(f32::from_bits(self.round(BINARY32) as u32))),
            DType::F64 => Ok(Value::F64(f64::from_bits(self.round(BINARY64)))),
            output if output == natural => Ok(self.finish_integer()),
            output => Err(OutputError {
                input: self.dtype,
                output,
                choices: match natural {
                    DType::I64 => "int64, float32 or float64",
                    DType::U64 => "uint64, float32 or float64",
                    _ => "float32 or float64",
                },
            }),
        }
    }

    fn finish_integer(&self) -> Value {
        let wide = u128::from(self.limbs[0]) | u128::from(self.limbs[1]) << 64;
        if self.natural_is_unsigned() {
            u64::try_from(wide).map_or(Value::U128(wide), Value::U64)
        } else {
            i64::try_from(wide as i128).map_or(Value::I128(wide as i128), Value::I64)
        }
    }

    fn natural_is_unsigned(&self) -> bool {
        crate::Spec::sum(self.dtype).natural_output() == DType::U64
    }

    /// The bits of the sum in `format`, its sign included.
    fn round(&self, format: FloatFormat) -> u64 {
        let sign_bit = 1 << (if format.precision == BINARY32.precision { 31 } else { 63 });
        let infinity = (self.counts.positive_infinity > 0, self.counts.negative_infinity > 0);
        match infinity {
            _ if self.counts.nan > 0 => format.infinity | 1 << (format.precision - 2),
            (true, true) => format.infinity | 1 << (format.precision - 2),
            (true, false) => format.infinity,
            (false, true) => format.infinity | sign_bit,
            (false, false) => {
                let (negative, magnitude) = self.sign_and_magnitude();
                let unit = unit_exponent(self.dtype);
                let bits = round::to_nearest_even(&magnitude, unit, format);
                if negative { bits | sign_bit } else { bits }
            }
        }
    }

    fn sign_and_magnitude(&self) -> (bool, Vec<u64>) {
        let negative = self.dtype.is_signed() && limbs::is_negative(&self.limbs);
        let mut magnitude = self.limbs.to_vec();
        if negative {
            limbs::negate(&mut magnitude);
        }
        (negative, magnitude)
    }

    /// Builds a sum from parts that came from outside.
    ///
    /// # Errors
    /// The first rule that the parts break: a sum of `finite` elements lies
    /// within `finite` times the largest element, special elements are no more
    /// than all elements, integers have no special ones.
    pub fn from_parts(dtype: DType, counts: Counts, limbs: &[u64]) -> Result<Sum, InvalidSum> {
        let expected = limb_count(dtype);
        if limbs.len() != expected {
            return Err(InvalidSum::Width { expected, got: limbs.len() });
        }
        let special = counts.special().unwrap_or(u64::MAX);
        if special > counts.elements || (!dtype.is_float() && special > 0) {
            return Err(InvalidSum::Counts { special, elements: counts.elements });
        }
        let sum = Sum { dtype, counts, limbs: limbs.into() };
        let (negative, magnitude) = sum.sign_and_magnitude();
        let (positive_max, negative_max) = magnitude_max(dtype);
        let (significand, shift) = if negative { negative_max } else { positive_max };
        // One limb more than the state: the bound itself may need it.
        let mut room = vec![0; expected + 1];
        let bound = u128::from(counts.elements - special) * u128::from(significand);
        limbs::add_shifted(&mut room, (bound & u128::from(u64::MAX)) as i128, shift);
        limbs::add_shifted(&mut room, (bound >> 64) as i128, shift + 64);
        limbs::subtract(&mut room, &[&magnitude[..], &[0]].concat());
        if limbs::is_negative(&room) {
            return Err(InvalidSum::Magnitude { elements: counts.elements });
        }
        Ok(sum)
    }
}

/// Why parts from outside are no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSum {
    /// The integer has the wrong number of limbs.
    #[error("the sum has {got} limbs, its type needs {expected}")]
    Width {
        /// Limbs that the type needs.
        expected: usize,
        /// Limbs that came.
        got: usize,
    },
    /// More special elements than elements, or special ones among integers.
    #[error("the sum counts {special} NaN and infinities among {elements} elements of its type")]
    Counts {
        /// NaN and infinities together.
        special: u64,
        /// All elements.
        elements: u64,
    },
    /// The integer is larger than that many elements can make it.
    #[error("the sum is larger than {elements} elements of its type can make it")]
    Magnitude {
        /// All elements.
        elements: u64,
    },
}

#[cfg(test)]
mod tests;
