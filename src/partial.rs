//! The mergeable state of a reduction, its canonical bytes and its portable
//! form.

use crate::dtype::DType;
use crate::op::{Op, Spec};
use crate::reduction::sum::{self, CombineError, Counts, InvalidSum, OutputError, Sum};
use crate::value::Value;

pub mod portable;

/// Version of the canonical bytes. It is part of every job's identity, so
/// nodes of different versions never mix their partials.
pub const FORMAT_VERSION: u8 = 1;

/// Bytes before the limbs: version, op, dtype, five reserved zeros, and four
/// counts of eight bytes each.
pub const HEADER_BYTES: usize = 8 + 4 * 8;

/// The most bytes that one encoded partial has.
pub const ENCODED_BYTES_MAX: usize = HEADER_BYTES + 34 * 8;

/// What a reduction knows about the elements it has seen: the only thing about
/// the data that leaves a node.
///
/// `merge` is associative and commutative with `identity` as its neutral
/// element, and `unmerge` inverts it. Equal partials have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partial {
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Sum(Sum),
}

impl From<Sum> for Partial {
    fn from(sum: Sum) -> Partial {
        Partial { state: State::Sum(sum) }
    }
}

impl Partial {
    /// The partial of no elements.
    pub fn identity(spec: Spec) -> Partial {
        match spec.op {
            Op::Sum => Partial::from(Sum::identity(spec.dtype)),
        }
    }

    /// The reduction that this is a partial of.
    pub fn spec(&self) -> Spec {
        match &self.state {
            State::Sum(sum) => Spec::sum(sum.dtype()),
        }
    }

    /// How many elements it holds, and how many are NaN or infinite.
    pub fn counts(&self) -> Counts {
        match &self.state {
            State::Sum(sum) => sum.counts(),
        }
    }

    /// Adds another partial of the same spec.
    ///
    /// # Errors
    /// Different specs, or more than 2^64 - 1 elements; `self` is unchanged.
    pub fn merge(&mut self, other: &Partial) -> Result<(), CombineError> {
        match (&mut self.state, &other.state) {
            (State::Sum(ours), State::Sum(theirs)) => ours.merge(theirs),
        }
    }

    /// Takes away a partial that was merged before, exactly.
    ///
    /// # Errors
    /// Different specs, or a count that would fall below zero; `self` is
    /// unchanged.
    pub fn unmerge(&mut self, other: &Partial) -> Result<(), CombineError> {
        match (&mut self.state, &other.state) {
            (State::Sum(ours), State::Sum(theirs)) => ours.unmerge(theirs),
        }
    }

    /// The result in `output`, or in the spec's natural output type. This is
    /// the only place where a number is rounded.
    ///
    /// # Errors
    /// An output type that the reduction does not have.
    pub fn finish(&self, output: Option<DType>) -> Result<Value, OutputError> {
        match &self.state {
            State::Sum(sum) => sum.finish(output),
        }
    }

    /// The canonical bytes: [`HEADER_BYTES`] and eight bytes per limb, all
    /// little endian. Equal partials have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let spec = self.spec();
        let mut bytes = vec![FORMAT_VERSION, spec.op.code(), spec.dtype.code(), 0, 0, 0, 0, 0];
        match &self.state {
            State::Sum(sum) => {
                let words = sum.counts().to_array().into_iter().chain(sum.limbs().iter().copied());
                bytes.extend(words.flat_map(u64::to_le_bytes));
            }
        }
        bytes
    }

    /// Reads canonical bytes that came from outside, and checks what they say.
    ///
    /// # Errors
    /// The first rule that the bytes break. Nothing larger than the bytes
    /// themselves is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Partial, DecodeError> {
        let too_short = DecodeError::Length { expected: HEADER_BYTES, got: bytes.len() };
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(too_short)?;
        if header[0] != FORMAT_VERSION {
            return Err(DecodeError::Version { expected: FORMAT_VERSION, got: header[0] });
        }
        let op = Op::from_code(header[1]).ok_or(DecodeError::Op { code: header[1] })?;
        let dtype = DType::from_code(header[2]).ok_or(DecodeError::DType { code: header[2] })?;
        if header[3..8] != [0; 5] {
            return Err(DecodeError::Reserved);
        }
        match op {
            Op::Sum => {
                let expected = HEADER_BYTES + 8 * sum::limb_count(dtype);
                if bytes.len() != expected {
                    return Err(DecodeError::Length { expected, got: bytes.len() });
                }
                let mut counts = [0; 4];
                for (count, word) in counts.iter_mut().zip(words(&header[8..])) {
                    *count = word;
                }
                let limbs: Vec<u64> = words(body).collect();
                let sum = Sum::from_parts(dtype, Counts::from_array(counts), &limbs)?;
                Ok(Partial::from(sum))
            }
        }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// Why bytes from outside are no partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too few or too many bytes.
    #[error("the partial has {got} bytes, it needs {expected}")]
    Length {
        /// Bytes needed, as far as the bytes that came tell.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Written by another version.
    #[error("the partial has format version {got}, this program reads {expected}")]
    Version {
        /// The version read here.
        expected: u8,
        /// The version that came.
        got: u8,
    },
    /// No such operation.
    #[error("the partial names the unknown operation {code}")]
    Op {
        /// The code that came.
        code: u8,
    },
    /// No such element type.
    #[error("the partial names the unknown dtype {code}")]
    DType {
        /// The code that came.
        code: u8,
    },
    /// Reserved bytes are not zero.
    #[error("the partial's reserved bytes are not zero")]
    Reserved,
    /// The vectors merged are none, or more than may be.
    #[error("the partial says that {got} vectors were merged, it may be 1 to {max}")]
    Vectors {
        /// The most vectors that merge without overflow.
        max: u64,
        /// The number that came.
        got: i64,
    },
    /// A count or digit lies outside of what the vectors merged can make it.
    #[error("the partial's word {index} is {got}, which {vectors} merged vectors cannot make")]
    Word {
        /// Position in the vector.
        index: usize,
        /// The value that came.
        got: i64,
        /// The vectors merged, as the partial says.
        vectors: i64,
    },
    /// The parts contradict one another.
    #[error(transparent)]
    Sum(#[from] InvalidSum),
}

#[cfg(test)]
mod tests;
