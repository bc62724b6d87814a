//! A partial as a vector of `int64` that other engines can add.
//!
//! Plain element-wise addition of up to 2^31 such vectors is a correct merge,
//! so any engine that adds integer vectors (MPI, Dask, Spark, SQL) can carry a
//! sum exactly. The words are, in order:
//!
//! * the integer in digits of 32 bits, lowest first, each 0 .. 2^32 - 1, the
//!   top one signed where the element type is;
//! * the counts of elements, NaN, +infinity, -infinity;
//! * the number of vectors merged, 1 in a fresh vector.
//!
//! For float64 that is 68 + 4 + 1 = 73 words.

use super::{DecodeError, Partial, State};
use crate::op::{Op, Spec};
use crate::reduction::sum::{Counts, Sum, limb_count};

/// The most vectors that may be merged: digits of 32 bits then stay below 2^63.
pub const VECTORS_MAX: u64 = 1 << 31;

/// A count is too large for the portable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{elements} elements are too many for the portable form, all vectors together hold 2^63 - 1"
)]
pub struct TooManyElements {
    /// Elements of the partial.
    pub elements: u64,
}

impl Partial {
    /// Number of words of the portable form of partials of `spec`.
    pub fn portable_len(spec: Spec) -> usize {
        match spec.op {
            Op::Sum => 2 * limb_count(spec.dtype) + 5,
        }
    }

    /// The portable form: a vector that counts as one.
    ///
    /// # Errors
    /// A partial of 2^63 elements or more.
    pub fn to_portable(&self) -> Result<Vec<i64>, TooManyElements> {
        let counts = self.counts();
        if counts.elements > i64::MAX as u64 {
            return Err(TooManyElements { elements: counts.elements });
        }
        match &self.state {
            State::Sum(sum) => {
                let mut words: Vec<i64> = sum
                    .limbs()
                    .iter()
                    .flat_map(|&limb| [i64::from(limb as u32), i64::from((limb >> 32) as u32)])
                    .collect();
                if sum.dtype().is_signed()
                    && let Some(top) = words.last_mut()
                {
                    *top = i64::from(*top as u32 as i32);
                }
                words.extend(counts.to_array().map(|count| count as i64));
                words.push(1);
                Ok(words)
            }
        }
    }

    /// Reads a vector that is the sum of fresh ones.
    ///
    /// # Errors
    /// The wrong length, more than [`VECTORS_MAX`] vectors, a word that so many
    /// vectors cannot make, or a sum that its counts contradict.
    pub fn from_portable(spec: Spec, words: &[i64]) -> Result<Partial, DecodeError> {
        let expected = Partial::portable_len(spec);
        if words.len() != expected {
            return Err(DecodeError::Length { expected: expected * 8, got: words.len() * 8 });
        }
        match spec.op {
            Op::Sum => {
                let (digits, rest) = words.split_at(expected - 5);
                let vectors = rest[4];
                if vectors < 1 || vectors as u64 > VECTORS_MAX {
                    return Err(DecodeError::Vectors { max: VECTORS_MAX, got: vectors });
                }
                check_words(spec, words, vectors)?;
                let mut limbs = vec![0; limb_count(spec.dtype)];
                let mut sum = Sum::identity(spec.dtype);
                for (index, &digit) in digits.iter().enumerate() {
                    sum.add_units(i128::from(digit), 32 * index as u32);
                }
                limbs.copy_from_slice(sum.limbs());
                let mut counts = [0; 4];
                for (count, &word) in counts.iter_mut().zip(rest) {
                    *count = word as u64;
                }
                let sum = Sum::from_parts(spec.dtype, Counts::from_array(counts), &limbs)?;
                Ok(Partial::from(sum))
            }
        }
    }
}

/// Checks that every word lies where `vectors` fresh ones can bring it.
fn check_words(spec: Spec, words: &[i64], vectors: i64) -> Result<(), DecodeError> {
    let digits = words.len() - 5;
    for (index, &got) in words[..digits + 4].iter().enumerate() {
        let (low, high) = if index >= digits {
            (0, i64::MAX)
        } else if index == digits - 1 && spec.dtype.is_signed() {
            (i64::from(i32::MIN), i64::from(i32::MAX))
        } else {
            (0, i64::from(u32::MAX))
        };
        let within = i128::from(low) * i128::from(vectors)..=i128::from(high) * i128::from(vectors);
        if !within.contains(&i128::from(got)) {
            return Err(DecodeError::Word { index, got, vectors });
        }
    }
    Ok(())
}
