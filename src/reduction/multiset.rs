//! All elements in order: for results that need each of them, as a median along
//! an axis does.
//!
//! Elements are kept by their [order keys](super::key) with how often each was
//! seen. This is the one state that grows with its elements, so it is bounded.

use std::collections::BTreeMap;

use super::codec::{Bytes, put_number};
use super::key::{bits, key, largest, smallest};
use super::{CombineError, InvalidState};
use crate::dtype::DType;

/// Elements of one type in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Multiset {
    dtype: DType,
    elements_max: u32,
    elements: u64,
    nan: u64,
    /// How often each key was seen.
    keys: BTreeMap<u64, u64>,
}

impl Multiset {
    /// No elements, of at most `elements_max`.
    pub fn identity(dtype: DType, elements_max: u32) -> Multiset {
        Multiset { dtype, elements_max, elements: 0, nan: 0, keys: BTreeMap::new() }
    }

    /// One element.
    pub fn lift(dtype: DType, elements_max: u32, bits: u64) -> Multiset {
        let mut one = Multiset::identity(dtype, elements_max);
        one.add(bits);
        one
    }

    /// Builds a state from keys and how often each was seen.
    ///
    /// # Errors
    /// Keys that no element has, or counts that contradict one another.
    pub fn from_parts(
        dtype: DType,
        elements_max: u32,
        nan: u64,
        keys: BTreeMap<u64, u64>,
    ) -> Result<Multiset, InvalidState> {
        let elements = keys.values().fold(nan, |sum, &count| sum.saturating_add(count));
        if elements > elements_max.into() || (nan > 0 && !dtype.is_float()) {
            return Err(InvalidState::Counts { elements });
        }
        let exist = smallest(dtype)..=largest(dtype);
        match keys.iter().all(|(key, &count)| exist.contains(key) && count > 0) {
            true => Ok(Multiset { dtype, elements_max, elements, nan, keys }),
            false => Err(InvalidState::Value),
        }
    }

    /// Merges one lifted element.
    ///
    /// # Panics
    /// Past the most elements, which bound those of an output when the state is
    /// chosen.
    pub fn add(&mut self, bits: u64) {
        assert!(self.elements < self.elements_max.into(), "more elements than there may be");
        self.elements += 1;
        match key(self.dtype, bits) {
            Some(key) => *self.keys.entry(key).or_insert(0) += 1,
            None => self.nan += 1,
        }
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Elements that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    pub(super) fn same_kind(&self, other: &Multiset) -> Result<(), CombineError> {
        if (self.dtype, self.elements_max) != (other.dtype, other.elements_max) {
            return Err(CombineError::Kinds);
        }
        // No count is past 2^32.
        match self.elements + other.elements <= self.elements_max.into() {
            true => Ok(()),
            false => Err(CombineError::TooMany),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different kinds, or more elements than there may be.
    pub fn merge(&mut self, other: &Multiset) -> Result<(), CombineError> {
        self.same_kind(other)?;
        self.elements += other.elements;
        self.nan += other.nan;
        for (&key, count) in &other.keys {
            *self.keys.entry(key).or_insert(0) += count;
        }
        Ok(())
    }

    /// The bits of the element of this rank among those that are not NaN, from
    /// 0 for the smallest.
    pub fn finish(&self, rank: u64) -> Option<u64> {
        let mut before = 0;
        let key = self.keys.iter().find(|(_, count)| {
            before += **count;
            before > rank
        });
        key.map(|(&key, _)| bits(self.dtype, key))
    }

    /// Appends the canonical bytes: the count of NaN, how many different keys
    /// there are, and of each how far it lies above the one before and how often
    /// it was seen.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_number(to, self.nan);
        put_number(to, self.keys.len() as u64);
        let mut before = 0;
        for (&key, &count) in &self.keys {
            put_number(to, key - before);
            put_number(to, count);
            before = key;
        }
    }

    /// Reads what [`Multiset::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(
        dtype: DType,
        elements_max: u32,
        from: &mut Bytes,
    ) -> Result<Multiset, InvalidState> {
        let (nan, count) = (from.number()?, from.number()?);
        let mut keys = BTreeMap::new();
        let mut before = 0_u64;
        for index in 0..count {
            let (step, seen) = (from.number()?, from.number()?);
            if index > 0 && step == 0 {
                return Err(InvalidState::Value);
            }
            before = before.checked_add(step).ok_or(InvalidState::Value)?;
            keys.insert(before, seen);
        }
        Multiset::from_parts(dtype, elements_max, nan, keys)
    }
}
