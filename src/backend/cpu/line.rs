//! The fast way of each state for many elements of one output.

use std::ops::Range;

use super::bins_f32::BinsF32;
use super::bins_f64::BinsF64;
use super::integers;
use crate::backend::reference::element_bits;
use crate::backend::{Place, Run};
use crate::dtype::{DType, Layout};
use crate::op::{Monoid, Term};
use crate::reduction::sum::{Counts, Sum};
use crate::reduction::{Element, State};

/// A run of elements of one output.
#[derive(Clone, Copy)]
pub struct Stretch<'a> {
    pub layout: Layout,
    pub bytes: &'a [u8],
    pub second: Option<(Layout, &'a [u8])>,
    /// Where the elements belong, along the one axis that there is.
    pub place: Place<'a>,
}

impl<'a> Stretch<'a> {
    /// The elements of a run, whatever outputs they belong to.
    pub fn of(run: &Run<'a>) -> Stretch<'a> {
        let Run { layout, bytes, second, place } = *run;
        Stretch { layout, bytes, second, place }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.layout.dtype.size_bytes()
    }

    /// Some of the elements, the first of them at the place `first_index`.
    pub fn part(&self, elements: Range<usize>, first_index: u64) -> Stretch<'a> {
        let size = self.layout.dtype.size_bytes();
        let cut = |bytes: &'a [u8]| &bytes[elements.start * size..elements.end * size];
        Stretch {
            layout: self.layout,
            bytes: cut(self.bytes),
            second: self.second.map(|(layout, bytes)| (layout, cut(bytes))),
            place: Place::line(elements.len(), first_index),
        }
    }

    fn element(&self, number: usize) -> Element {
        let size = self.layout.dtype.size_bytes();
        let bits = |layout: Layout, bytes: &[u8]| {
            element_bits(layout, &bytes[number * size..(number + 1) * size])
        };
        Element {
            bits: bits(self.layout, self.bytes),
            second: self.second.map_or(0, |(layout, bytes)| bits(layout, bytes)),
            index: self.place.index(number as u64),
        }
    }
}

/// What one state has gathered and not yet taken in.
pub enum Line {
    /// Exact sums of float32 and float64 in exponent bins.
    F32(BinsF32, Sum),
    F64(BinsF64, Sum),
    /// Exact sums of integers.
    Integers(Sum),
    /// All others, element by element: the state, and the empty one.
    Elements(State, State),
}

impl Line {
    /// An empty line.
    pub fn new(monoid: &Monoid, dtype: DType) -> Line {
        match (monoid, dtype) {
            (Monoid::Sum(Term::Value), DType::F32) => {
                Line::F32(BinsF32::new(), Sum::identity(dtype, Term::Value))
            }
            (Monoid::Sum(Term::Value), DType::F64) => {
                Line::F64(BinsF64::new(), Sum::identity(dtype, Term::Value))
            }
            (Monoid::Sum(Term::Value), _) if !dtype.is_float() => {
                Line::Integers(Sum::identity(dtype, Term::Value))
            }
            _ => {
                let empty = State::identity(monoid, dtype);
                Line::Elements(empty.clone(), empty)
            }
        }
    }

    /// Adds elements.
    pub fn add(&mut self, stretch: &Stretch<'_>) {
        let Layout { dtype, byte_order } = stretch.layout;
        let elements = stretch.elements() as u64;
        match self {
            Line::F32(bins, sum) => {
                bins.add(byte_order, stretch.bytes, sum);
                count(sum, Counts { elements, ..Counts::default() });
            }
            Line::F64(bins, sum) => {
                bins.add(byte_order, stretch.bytes, sum);
                count(sum, Counts { elements, ..Counts::default() });
            }
            Line::Integers(sum) => {
                sum.add_units(integers::sum(dtype, byte_order, stretch.bytes), 0);
                count(sum, Counts { elements, ..Counts::default() });
            }
            Line::Elements(state, _) => {
                (0..stretch.elements()).for_each(|number| state.add(stretch.element(number)));
            }
        }
    }

    /// Merges what was gathered into a state of the same kind and is empty then.
    pub fn take_into(&mut self, state: &mut State) {
        let gathered = match self {
            Line::F32(bins, sum) => {
                bins.spill(sum);
                State::Sum(take(sum))
            }
            Line::F64(bins, sum) => {
                bins.spill(sum);
                State::Sum(take(sum))
            }
            Line::Integers(sum) => State::Sum(take(sum)),
            Line::Elements(gathered, empty) => std::mem::replace(gathered, empty.clone()),
        };
        state.merge(&gathered).expect("one kind, and no process reads 2^64 elements");
    }
}

fn take(sum: &mut Sum) -> Sum {
    let empty = Sum::identity(sum.dtype(), sum.term());
    std::mem::replace(sum, empty)
}

/// Adds to the counts of a sum over data that this process has read.
pub fn count(sum: &mut Sum, counts: Counts) {
    sum.add_counts(counts).expect("no process reads 2^64 elements");
}
