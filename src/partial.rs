//! The mergeable state of a reduction, and its canonical bytes.

use crate::op::{MONOIDS_MAX, Spec};
use crate::reduction::codec::{Bytes, put_number};
use crate::reduction::{CombineError, InvalidState, State};

pub mod portable;

/// Version of the canonical bytes. It is part of every job's identity, so
/// nodes of different versions never mix their partials.
pub const FORMAT_VERSION: u8 = 2;

/// The most bytes that one encoded partial has. Entries are cut so that the
/// states of one stay well below.
pub const ENCODED_BYTES_MAX: usize = 4 << 20;

/// The fewest bytes of an encoded state: those of no elements in order, which are two
/// counts.
const STATE_BYTES_MIN: usize = 2;

/// What a reduction knows about the elements it has seen: the only thing about
/// the data that leaves a node.
///
/// It has the states of its spec once for each output: once in all for a
/// number, once per element of the result along an axis. `merge` is associative
/// and commutative with `identity` as its neutral element. Equal partials have
/// equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partial {
    spec: Spec,
    /// All states of the first output, then all of the second, and so on.
    states: Vec<State>,
}

impl Partial {
    /// The partial of no elements, for so many outputs.
    pub fn identity(spec: &Spec, outputs: usize) -> Partial {
        let identity = |monoid| State::identity(monoid, spec.dtype);
        let all = std::iter::repeat_n(&spec.monoids, outputs).flatten();
        Partial { spec: spec.clone(), states: all.map(identity).collect() }
    }

    /// A partial of the states of each output in turn.
    ///
    /// # Panics
    /// If the states are not those of the spec, once per output.
    pub fn from_states(spec: &Spec, states: Vec<State>) -> Partial {
        assert!(states.len().is_multiple_of(spec.monoids.len()), "states of half an output");
        Partial { spec: spec.clone(), states }
    }

    /// The reduction that this is a partial of.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.states.len() / self.spec.monoids.len().max(1)
    }

    /// The states of one output, in the order of the spec.
    pub fn states(&self, output: usize) -> &[State] {
        let count = self.spec.monoids.len();
        &self.states[output * count..(output + 1) * count]
    }

    /// The states of one output, to be added to.
    pub fn states_mut(&mut self, output: usize) -> &mut [State] {
        let count = self.spec.monoids.len();
        &mut self.states[output * count..(output + 1) * count]
    }

    /// Number of elements of all outputs together.
    pub fn elements(&self) -> u64 {
        let firsts = self.states.iter().step_by(self.spec.monoids.len().max(1));
        firsts.map(State::elements).fold(0, u64::saturating_add)
    }

    /// Whether every state of every output holds so many elements.
    pub fn holds_each(&self, elements: u64) -> bool {
        self.states.iter().all(|state| state.elements() == elements)
    }

    /// Merges another partial of the same spec and number of outputs.
    ///
    /// # Errors
    /// Different ones, or what the states say; `self` is unchanged.
    pub fn merge(&mut self, other: &Partial) -> Result<(), CombineError> {
        match self.outputs() == other.outputs() {
            true => self.merge_at(0, other),
            false => Err(CombineError::Kinds),
        }
    }

    /// Merges a partial of the same spec into the outputs from `first` on.
    ///
    /// # Errors
    /// Another spec, more outputs than there are, or what the states say;
    /// `self` is unchanged.
    pub fn merge_at(&mut self, first: usize, other: &Partial) -> Result<(), CombineError> {
        let ours = self.window(first, other)?;
        // A failure half way would leave half of it done.
        ours.iter().zip(&other.states).try_for_each(|(ours, theirs)| ours.can_merge(theirs))?;
        for (ours, theirs) in ours.iter_mut().zip(&other.states) {
            ours.merge(theirs).expect("it was asked before");
        }
        Ok(())
    }

    /// Takes away a partial that was merged before, exactly.
    ///
    /// # Errors
    /// As [`Partial::merge`], or a state that has no inverse.
    pub fn unmerge(&mut self, other: &Partial) -> Result<(), CombineError> {
        if self.outputs() != other.outputs() {
            return Err(CombineError::Kinds);
        }
        let ours = self.window(0, other)?;
        let mut left = ours.to_vec();
        for (ours, theirs) in left.iter_mut().zip(&other.states) {
            ours.unmerge(theirs)?;
        }
        ours.clone_from_slice(&left);
        Ok(())
    }

    /// The states that those of `other` meet, from the output `first` on.
    fn window(&mut self, first: usize, other: &Partial) -> Result<&mut [State], CombineError> {
        let start = first.saturating_mul(self.spec.monoids.len());
        let end = start.saturating_add(other.states.len());
        match self.spec == other.spec {
            true => self.states.get_mut(start..end).ok_or(CombineError::Kinds),
            false => Err(CombineError::Kinds),
        }
    }

    /// An upper bound of the bytes of [`Partial::to_bytes`].
    pub fn encoded_bytes_max(&self) -> u64 {
        encoded_bytes_max(&self.spec, self.outputs() as u64)
    }

    /// The canonical bytes: the format's version, the spec, the number of
    /// outputs, and the states in turn. Equal partials have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT_VERSION];
        bytes.extend(postcard::to_stdvec(&self.spec).expect("writing to memory"));
        put_number(&mut bytes, self.outputs() as u64);
        self.states.iter().for_each(|state| state.encode(&mut bytes));
        bytes
    }

    /// Reads canonical bytes that came from outside, and checks what they say.
    ///
    /// # Errors
    /// The first rule that the bytes break. Allocates at most a bounded
    /// multiple of the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Partial, DecodeError> {
        let (&version, rest) = bytes.split_first().ok_or(InvalidState::Short)?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::Version { expected: FORMAT_VERSION, got: version });
        }
        let (spec, rest) =
            postcard::take_from_bytes::<Spec>(rest).map_err(|_| DecodeError::Spec)?;
        if !spec.is_valid()
            || postcard::to_stdvec(&spec).ok().as_deref()
                != Some(&bytes[1..bytes.len() - rest.len()])
        {
            return Err(DecodeError::Spec);
        }
        let mut from = Bytes(rest);
        let outputs = from.number()?;
        // Every state takes a few hundred bytes in memory.
        let states_max = from.0.len() / STATE_BYTES_MIN;
        if outputs > (states_max / spec.monoids.len()) as u64 {
            return Err(InvalidState::Short.into());
        }
        let mut states = Vec::new();
        for _ in 0..outputs {
            for monoid in &spec.monoids {
                states.push(State::decode(monoid, spec.dtype, &mut from)?);
            }
        }
        match from.0.len() {
            0 => Ok(Partial { spec, states }),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }
}

/// An upper bound of the bytes that a partial of `spec` with so many outputs
/// encodes to.
pub fn encoded_bytes_max(spec: &Spec, outputs: u64) -> u64 {
    // Numbers take up to ten bytes where memory has eight.
    let states: u64 = spec.monoids.iter().map(|monoid| monoid.state_bytes(spec.dtype)).sum();
    let bins = |monoid: &crate::op::Monoid| match monoid {
        crate::op::Monoid::Bins(bins) => bins.lower.len() as u64,
        _ => 0,
    };
    let edges: u64 = spec.monoids.iter().map(bins).sum();
    let fixed = 64 * MONOIDS_MAX as u64 + 10 * edges;
    // Outputs may be as many as a peer says.
    outputs.saturating_mul(states / 8 * 10 + 16).saturating_add(fixed)
}

/// Why bytes from outside are no partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by another version.
    #[error("the partial has format version {got}, this program reads {expected}")]
    Version {
        /// The version read here.
        expected: u8,
        /// The version that came.
        got: u8,
    },
    /// No such reduction.
    #[error("the partial names no reduction that there is")]
    Spec,
    /// Bytes after the end of the partial.
    #[error("{bytes} bytes after the end of the partial")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A vector of the wrong length.
    #[error("the partial has {got} words, it needs {expected}")]
    Length {
        /// Words that it needs.
        expected: usize,
        /// Words that came.
        got: usize,
    },
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
    State(#[from] InvalidState),
}

#[cfg(test)]
mod tests;
