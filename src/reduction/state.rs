//! Any one state.

use super::bins::BinCounts;
use super::bits::Bits;
use super::codec::Bytes;
use super::extremum::Extremum;
use super::multiset::Multiset;
use super::product::Product;
use super::sum::Sum;
use super::tally::Tally;
use super::tree::Tree;
use super::{CombineError, InvalidState};
use crate::dtype::DType;
use crate::op::Monoid;

/// One element with all that a state may want to know of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its bits, with zeros above.
    pub bits: u64,
    /// The bits of the element at the same place of a second data set.
    pub second: u64,
    /// Its place.
    pub index: u64,
}

/// The state of one [`Monoid`] over elements of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// [`Monoid::Sum`].
    Sum(Sum),
    /// [`Monoid::Extremum`].
    Extremum(Extremum),
    /// [`Monoid::Tally`].
    Tally(Tally),
    /// [`Monoid::Product`].
    Product(Product),
    /// [`Monoid::Tree`].
    Tree(Tree),
    /// [`Monoid::Bits`].
    Bits(Bits),
    /// [`Monoid::Bins`].
    Bins(BinCounts),
    /// [`Monoid::Multiset`].
    Multiset(Multiset),
}

impl State {
    /// The state of no elements.
    pub fn identity(monoid: &Monoid, dtype: DType) -> State {
        match monoid {
            Monoid::Sum(term) => State::Sum(Sum::identity(dtype, *term)),
            Monoid::Extremum { indexed } => State::Extremum(Extremum::identity(dtype, *indexed)),
            Monoid::Tally => State::Tally(Tally::identity(dtype)),
            Monoid::Product => State::Product(Product::identity(dtype)),
            Monoid::Tree => State::Tree(Tree::identity(dtype)),
            Monoid::Bits => State::Bits(Bits::identity(dtype)),
            Monoid::Bins(bins) => State::Bins(BinCounts::identity(dtype, bins)),
            Monoid::Multiset { elements_max } => {
                State::Multiset(Multiset::identity(dtype, *elements_max))
            }
        }
    }

    /// Merges one lifted element; of a tree, one whose place comes after all
    /// others. The slow way, which defines what the fast ones do.
    pub fn add(&mut self, element: Element) {
        let Element { bits, second, index } = element;
        match self {
            State::Sum(sum) => sum.add(bits, second),
            State::Extremum(extremum) => extremum.add(bits, index),
            State::Tally(tally) => tally.add(bits),
            State::Product(product) => product.add(bits),
            State::Tree(tree) => tree.add(bits, index),
            State::Bits(all) => all.add(bits),
            State::Bins(bins) => bins.add(bits),
            State::Multiset(set) => set.add(bits),
        }
    }

    /// Number of elements that it holds.
    pub fn elements(&self) -> u64 {
        match self {
            State::Sum(sum) => sum.counts().elements,
            State::Extremum(extremum) => extremum.elements(),
            State::Tally(tally) => tally.elements(),
            State::Product(product) => product.elements(),
            State::Tree(tree) => tree.elements(),
            State::Bits(all) => all.elements(),
            State::Bins(bins) => bins.elements(),
            State::Multiset(set) => set.elements(),
        }
    }

    /// Whether another state can be merged.
    ///
    /// # Errors
    /// Why not.
    pub fn can_merge(&self, other: &State) -> Result<(), CombineError> {
        match (self, other) {
            (State::Sum(ours), State::Sum(theirs)) => ours.same_kind(theirs)?,
            (State::Extremum(ours), State::Extremum(theirs)) => ours.same_kind(theirs)?,
            (State::Tally(ours), State::Tally(theirs)) => ours.same_kind(theirs)?,
            (State::Product(ours), State::Product(theirs)) => ours.same_kind(theirs)?,
            (State::Tree(ours), State::Tree(theirs)) => ours.can_merge(theirs)?,
            (State::Bits(ours), State::Bits(theirs)) => ours.same_kind(theirs)?,
            (State::Bins(ours), State::Bins(theirs)) => ours.same_kind(theirs)?,
            (State::Multiset(ours), State::Multiset(theirs)) => ours.same_kind(theirs)?,
            _ => return Err(CombineError::Kinds),
        }
        // No other count is more than that of elements.
        let together = self.elements().checked_add(other.elements());
        together.map(|_| ()).ok_or(CombineError::TooMany)
    }

    /// Merges another state of the same monoid and type.
    ///
    /// # Errors
    /// As the states say; `self` is unchanged.
    pub fn merge(&mut self, other: &State) -> Result<(), CombineError> {
        match (self, other) {
            (State::Sum(ours), State::Sum(theirs)) => ours.merge(theirs),
            (State::Extremum(ours), State::Extremum(theirs)) => ours.merge(theirs),
            (State::Tally(ours), State::Tally(theirs)) => ours.merge(theirs),
            (State::Product(ours), State::Product(theirs)) => ours.merge(theirs),
            (State::Tree(ours), State::Tree(theirs)) => ours.merge(theirs),
            (State::Bits(ours), State::Bits(theirs)) => ours.merge(theirs),
            (State::Bins(ours), State::Bins(theirs)) => ours.merge(theirs),
            (State::Multiset(ours), State::Multiset(theirs)) => ours.merge(theirs),
            _ => Err(CombineError::Kinds),
        }
    }

    /// Takes away a state that was merged before.
    ///
    /// # Errors
    /// A kind that has no inverse, or a state that was not merged before;
    /// `self` is unchanged.
    pub fn unmerge(&mut self, other: &State) -> Result<(), CombineError> {
        match (self, other) {
            (State::Sum(ours), State::Sum(theirs)) => ours.unmerge(theirs),
            (State::Tally(ours), State::Tally(theirs)) => ours.unmerge(theirs),
            _ => Err(CombineError::NoInverse),
        }
    }

    /// The same for elements of a wider type, of a kind that has one.
    pub fn widened(&self, dtype: DType) -> Option<State> {
        match self {
            State::Sum(sum) => Some(State::Sum(sum.widened(dtype))),
            State::Product(product) => Some(State::Product(product.widened(dtype))),
            _ => None,
        }
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            State::Sum(sum) => sum.encode(to),
            State::Extremum(extremum) => extremum.encode(to),
            State::Tally(tally) => tally.encode(to),
            State::Product(product) => product.encode(to),
            State::Tree(tree) => tree.encode(to),
            State::Bits(all) => all.encode(to),
            State::Bins(bins) => bins.encode(to),
            State::Multiset(set) => set.encode(to),
        }
    }

    /// Reads what [`State::encode`] wrote, and checks what it means.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(monoid: &Monoid, dtype: DType, from: &mut Bytes) -> Result<State, InvalidState> {
        Ok(match monoid {
            Monoid::Sum(term) => State::Sum(Sum::decode(dtype, *term, from)?),
            Monoid::Extremum { indexed } => {
                State::Extremum(Extremum::decode(dtype, *indexed, from)?)
            }
            Monoid::Tally => State::Tally(Tally::decode(dtype, from)?),
            Monoid::Product => State::Product(Product::decode(dtype, from)?),
            Monoid::Tree => State::Tree(Tree::decode(dtype, from)?),
            Monoid::Bits => State::Bits(Bits::decode(dtype, from)?),
            Monoid::Bins(bins) => State::Bins(BinCounts::decode(dtype, bins, from)?),
            Monoid::Multiset { elements_max } => {
                State::Multiset(Multiset::decode(dtype, *elements_max, from)?)
            }
        })
    }
}

#[cfg(test)]
mod tests;
