//! What keywords change about the elements of each output: `initial=`, `where=`.

use ::adsum::array::Reduction;
use ::adsum::reduction::{Element, State};
use ::adsum::{Op, Spec};
use numpy::{PyReadonlyArray1, PyUntypedArray};
use pyo3::prelude::*;

use crate::arrays::{layout_of, run, view_of};

/// One more element of each output, and zeros among its own that do not count.
pub struct Extra {
    spec: Spec,
    /// The states of that element, which may be of a wider type than the others.
    initial: Option<(Spec, Vec<State>)>,
    /// For each output, how many zeros.
    excluded: Option<Vec<i64>>,
}

impl Extra {
    /// `initial` is an array of one element of the type of the others, or of a wider
    /// one for a sum or a product of integers.
    pub fn new(
        py: Python<'_>,
        op: Op,
        spec: &Spec,
        initial: Option<&Bound<'_, PyUntypedArray>>,
        excluded: Option<&PyReadonlyArray1<'_, i64>>,
    ) -> PyResult<Extra> {
        let initial = match initial {
            Some(initial) => {
                let dtype = layout_of(initial)?.dtype;
                let wide = Spec { dtype, monoids: op.monoids(dtype) };
                let view = view_of(initial)?;
                let states = run(py, |stop| Reduction::new(&wide, view).partial(stop))?;
                Some((wide, states.states(0).to_vec()))
            }
            None => None,
        };
        let excluded = excluded.map(|counts| counts.as_slice().map(<[i64]>::to_vec)).transpose()?;
        Ok(Extra { spec: spec.clone(), initial, excluded })
    }

    /// The states of an output's own elements, without the zeros.
    pub fn own(&self, output: usize, states: &[State]) -> Vec<State> {
        let mut states = states.to_vec();
        if let Some(counts) = &self.excluded {
            take_zeros(&self.spec, &mut states, counts[output] as u64);
        }
        states
    }

    /// The states of an output with the one more element.
    pub fn with_initial(&self, states: Vec<State>) -> Vec<State> {
        let Some((wide, initial)) = &self.initial else { return states };
        let widened = |state: State| match wide.dtype == self.spec.dtype {
            true => state,
            false => state.widened(wide.dtype).expect("a sum, or a product of integers"),
        };
        let mut states: Vec<State> = states.into_iter().map(widened).collect();
        for (state, one) in states.iter_mut().zip(initial) {
            state.merge(one).expect("one more element of the same type");
        }
        states
    }
}

/// Takes away so many zeros, from states that have an inverse.
fn take_zeros(spec: &Spec, states: &mut [State], mut count: u64) {
    let mut zeros: Vec<State> =
        spec.monoids.iter().map(|monoid| State::identity(monoid, spec.dtype)).collect();
    zeros.iter_mut().for_each(|state| state.add(Element::default()));
    // By halves: 1, 2, 4, ... of them.
    while count > 0 {
        if count & 1 == 1 {
            for (state, zeros) in states.iter_mut().zip(&zeros) {
                state.unmerge(zeros).expect("sums, in which they are");
            }
        }
        count >>= 1;
        if count > 0 {
            let same = zeros.clone();
            for (zeros, same) in zeros.iter_mut().zip(&same) {
                zeros.merge(same).expect("no more than were in the states");
            }
        }
    }
}
