//! The fast way of each state for many elements of one output.

use super::counts::{Folds, Tallies};
use super::extremes::Extremes;
use super::factors::Factors;
use super::integers::Integers;
use super::intervals::Intervals;
use super::leaves::Leaves;
use super::levels::Levels;
use super::products::Products;
use super::simd::has_default_floats;
use super::squares::Squares;
use super::stretch::Stretch;
use super::terms::{Narrow, Wide};
use super::widen::{BF16, F16, F32};
use crate::dtype::DType;
use crate::op::{Monoid, Term};
use crate::partial::Partial;
use crate::reduction::State;
use crate::reduction::sum::{Counts, Sum, unit_exponent};

/// Columns that are added at once.
pub const COLUMNS: usize = 16;

/// The most rows of columns that are added at once.
pub const ROWS_MAX: usize = Levels::<2, COLUMNS>::ROWS_MAX;

/// Adds elements to a state of one kind and type.
pub trait Line: Send {
    /// Adds elements of one output to its state. Some of what they add may be
    /// kept back, in a form that is faster to add to.
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State);

    /// Adds [`COLUMNS`] columns of at most [`ROWS_MAX`] little-endian rows of one data set,
    /// which begin at `first_byte` of each row of `row_bytes`, to that of the states of
    /// `partial` which is the only one of each output from `output` on. Says whether it did:
    /// there may be no fast way for them, or for these.
    fn add_columns(
        &mut self,
        _rows: &[u8],
        _row_bytes: usize,
        _first_byte: usize,
        _partial: &mut Partial,
        _output: usize,
    ) -> bool {
        false
    }

    /// Whether [`Line::add_columns`] is worth to be asked.
    fn takes_columns(&self) -> bool {
        false
    }

    /// Adds what was kept back, which all belongs to this state.
    fn settle(&mut self, _state: &mut State) {}
}

/// The line of a state.
pub fn line(monoid: &Monoid, dtype: DType) -> Box<dyn Line> {
    let widens = match monoid {
        Monoid::Sum(term) => matches!(term, Term::Square | Term::Product),
        monoid => *monoid == Monoid::Tree,
    };
    if widens && dtype.is_float() && !has_default_floats() {
        return Box::new(Each);
    }
    match monoid {
        Monoid::Sum(term) if !dtype.is_float() => Box::new(Integers::new(*term)),
        Monoid::Sum(term @ (Term::Value | Term::Magnitude)) => match dtype {
            DType::F16 => Box::new(Narrow::<F16, 10, 64>::new(*term, dtype)),
            DType::BF16 => Box::new(Narrow::<BF16, 7, 512>::new(*term, dtype)),
            DType::F32 => Box::new(Narrow::<F32, 23, 512>::new(*term, dtype)),
            _ => Box::new(Wide::new(*term)),
        },
        Monoid::Sum(term) if dtype == DType::F64 => Box::new(Products::new(*term)),
        Monoid::Sum(term) => match dtype {
            DType::F16 => Box::new(Squares::<F16>::new(*term, dtype)),
            DType::BF16 => Box::new(Squares::<BF16>::new(*term, dtype)),
            _ => Box::new(Squares::<F32>::new(*term, dtype)),
        },
        Monoid::Extremum { indexed } => Box::new(Extremes::new(*indexed)),
        Monoid::Tally => Box::new(Tallies::new()),
        Monoid::Product => Box::new(Factors),
        Monoid::Tree => Box::new(Leaves),
        Monoid::Bits => Box::new(Folds::new()),
        Monoid::Bins(bins) => Box::new(Intervals::new(bins, dtype)),
        Monoid::Multiset { .. } => Box::new(Each),
    }
}

/// Element by element: the definition, for states without a faster way, and for
/// floats that this thread's processor would not widen exactly.
struct Each;

impl Line for Each {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        stretch.each().for_each(|element| state.add(element));
    }
}

/// The sum that a state is.
pub fn sum_of(state: &mut State) -> &mut Sum {
    match state {
        State::Sum(sum) => sum,
        _ => unreachable!("a line is of the same kind as its state"),
    }
}

/// Adds a number of units of this exponent, if it is a multiple of the sum's unit.
pub fn add_scaled(sum: &mut Sum, units: i128, exponent: i32) {
    let shift = exponent - unit_exponent(sum.dtype(), sum.term());
    match u32::try_from(shift) {
        Ok(above) => sum.add_units(units, above),
        Err(_) if units == 0 => {}
        Err(_) => {
            debug_assert!(units.trailing_zeros() >= shift.unsigned_abs(), "a multiple of the unit");
            sum.add_units(units >> shift.unsigned_abs(), 0);
        }
    }
}

/// Counts the elements of a stretch.
pub fn count_elements(stretch: &Stretch<'_>, sum: &mut Sum) {
    count(sum, Counts { elements: stretch.elements() as u64, ..Counts::default() });
}

/// Adds to the counts of a sum over data that this process has read.
pub fn count(sum: &mut Sum, counts: Counts) {
    sum.add_counts(counts).expect("no process reads 2^64 elements");
}

/// Merges a state that a line has made.
pub fn merge(state: &mut State, made: State) {
    if state.elements() == 0 {
        *state = made;
        return;
    }
    state.merge(&made).expect("one kind, and no process reads 2^64 elements");
}

#[cfg(test)]
mod tests;
