//! An exact sum as a vector of `int64` that other engines can add.
//!
//! Plain element-wise addition of up to 2^31 such vectors is a correct merge,
//! so any engine that adds integer vectors (MPI, Dask, Spark, SQL) can carry a
//! sum exactly. The words are, in order:
//!
//! * the integer in digits of 32 bits, lowest first, each 0 .. 2^32 - 1, the
//!   top one signed where the sum can be negative;
//! * the counts of elements, NaN, +infinity, -infinity;
//! * the number of vectors merged, 1 in a fresh vector.
//!
//! For float64 that is 68 + 4 + 1 = 73 words.

use super::{DecodeError, Partial};
use crate::dtype::DType;
use crate::op::{Monoid, Spec, Term};
use crate::reduction::sum::{Counts, Sum, is_signed, limb_count};
use crate::reduction::{InvalidState, State, limbs};

/// The most vectors that may be merged: digits of 32 bits then stay below 2^63.
pub const VECTORS_MAX: u64 = 1 << 31;

/// A partial that has no portable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPortable {
    /// It is more, or something else, than one exact sum.
    #[error("only a partial of one exact sum has a portable form")]
    Kind,
    /// Its counts are too large.
    #[error(
        "{elements} elements are too many for the portable form, all vectors together hold 2^63 - 1"
    )]
    TooManyElements {
        /// Elements of the partial.
        elements: u64,
    },
}

impl Partial {
    /// Number of words of the portable form of an exact sum of `dtype`.
    pub fn portable_len(dtype: DType, term: Term) -> usize {
        2 * limb_count(dtype, term) + 5
    }

    /// The portable form: a vector that counts as one.
    ///
    /// # Errors
    /// A partial that is not one sum, or of 2^63 elements or more.
    pub fn to_portable(&self) -> Result<Vec<i64>, NotPortable> {
        let [State::Sum(sum)] = &self.states[..] else { return Err(NotPortable::Kind) };
        let counts = sum.counts();
        if counts.elements > i64::MAX as u64 {
            return Err(NotPortable::TooManyElements { elements: counts.elements });
        }
        let halves = |limb: &u64| [i64::from(*limb as u32), i64::from((limb >> 32) as u32)];
        let mut words: Vec<i64> = sum.limbs().iter().flat_map(halves).collect();
        if is_signed(sum.dtype(), sum.term())
            && let Some(top) = words.last_mut()
        {
            *top = i64::from(*top as u32 as i32);
        }
        words.extend(counts.to_array().map(|count| count as i64));
        words.push(1);
        Ok(words)
    }

    /// Reads a vector that is the sum of fresh ones.
    ///
    /// # Errors
    /// The wrong length, more than [`VECTORS_MAX`] vectors, a word that so many
    /// vectors cannot make, or a sum that its counts contradict.
    pub fn from_portable(dtype: DType, term: Term, words: &[i64]) -> Result<Partial, DecodeError> {
        let expected = Partial::portable_len(dtype, term);
        if words.len() != expected {
            return Err(DecodeError::Length { expected, got: words.len() });
        }
        let (digits, rest) = words.split_at(expected - 5);
        let vectors = rest[4];
        if vectors < 1 || vectors as u64 > VECTORS_MAX {
            return Err(DecodeError::Vectors { max: VECTORS_MAX, got: vectors });
        }
        check_words(is_signed(dtype, term), words, vectors)?;
        let mut counts = [0; 4];
        for (count, &word) in counts.iter_mut().zip(rest) {
            *count = word as u64;
        }
        let counts = Counts::from_array(counts);
        // One limb more: digits that no sum has may carry past its topmost one.
        let mut limbs = vec![0; limb_count(dtype, term) + 1];
        for (index, &digit) in digits.iter().enumerate() {
            limbs::add_shifted(&mut limbs, i128::from(digit), 32 * index as u32);
        }
        let above = limbs.pop();
        let negative = is_signed(dtype, term) && limbs::is_negative(&limbs);
        if above != Some(if negative { u64::MAX } else { 0 }) {
            return Err(InvalidState::Magnitude { elements: counts.elements }.into());
        }
        let sum = Sum::from_parts(dtype, term, counts, &limbs)?;
        let spec = Spec::of(dtype, Monoid::Sum(term));
        Ok(Partial::from_states(&spec, vec![State::Sum(sum)]))
    }
}

/// Checks that every word lies where `vectors` fresh ones can bring it.
fn check_words(signed: bool, words: &[i64], vectors: i64) -> Result<(), DecodeError> {
    let digits = words.len() - 5;
    for (index, &got) in words[..digits + 4].iter().enumerate() {
        let (low, high) = if index >= digits {
            (0, i64::MAX)
        } else if index == digits - 1 && signed {
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
