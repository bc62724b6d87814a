//! The monoids: states that merge in any order and finish once.
//!
//! Every reduction is made of states with four functions, named the same in
//! Rust and in the shaders: `identity`, `lift`, `merge`, `finish`. No state
//! holds a rounded number; rounding happens in `finish` alone. [`State`] is any
//! one of them, and [`moments`] finishes what two of them together tell.

use crate::dtype::DType;
use crate::op::Monoid;

pub mod bins;
pub mod bits;
pub mod codec;
pub mod extremum;
pub mod float;
pub mod key;
pub mod limbs;
pub mod moments;
pub mod multiset;
pub mod product;
mod register;
pub mod round;
mod state;
pub mod sum;
pub mod tally;
pub mod tree;

pub use state::{Element, State};

/// Why two states could not be combined. Neither of them has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// The states are of different reductions or element types.
    #[error("partials of different reductions or element types cannot be combined")]
    Kinds,
    /// More than 2^64 - 1 elements together.
    #[error("more than 2^64 - 1 elements in one reduction")]
    TooMany,
    /// What is to be taken away was never merged: a count would fall below zero.
    #[error("what is to be taken away was not merged before: it counts more elements")]
    NotContained,
    /// Nothing can be taken away from a state of this kind.
    #[error("a state of this kind cannot be taken away again")]
    NoInverse,
    /// Parts of a tree that overlap.
    #[error("two partials hold the same elements")]
    Overlap,
}

/// Why bytes from outside are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidState {
    /// The bytes end inside the state.
    #[error("the state is cut off")]
    Short,
    /// A number that is none, or not in its one spelling.
    #[error("the state holds a malformed number")]
    Number,
    /// Counts that contradict one another.
    #[error("the counts of the state's {elements} elements contradict one another")]
    Counts {
        /// All elements.
        elements: u64,
    },
    /// A sum that is larger than so many elements can make it.
    #[error("the sum is larger than {elements} elements of its type can make it")]
    Magnitude {
        /// All elements.
        elements: u64,
    },
    /// A value that no element of the type has.
    #[error("the state holds a value that its element type does not have")]
    Value,
}

impl Monoid {
    /// An upper bound of the bytes that one state of this kind takes in memory.
    pub fn state_bytes(&self, dtype: DType) -> u64 {
        let own = size_of::<State>() as u64;
        match self {
            Monoid::Sum(term) => own + 8 * sum::limb_count(dtype, *term) as u64,
            Monoid::Bins(bins) => own + 8 * bins.lower.len() as u64,
            Monoid::Multiset { elements_max } => own + 40 * u64::from(*elements_max),
            Monoid::Tree => own + tree::NODES_MAX as u64 * size_of::<tree::Node>() as u64,
            Monoid::Extremum { .. } | Monoid::Tally | Monoid::Product | Monoid::Bits => own,
        }
    }
}
