//! Axes of files: how a reduction along several of them is one along one.
//!
//! Processors reduce along one axis. Axes that lie side by side are one axis of arrays
//! of another shape with the same elements in the same order, so that is what is given
//! to them; of several such groups the longest. The outputs of that are then merged along
//! the others:
//!
//! ```text
//!   files of shape (2, 3, 4, 5), axes 0, 2 and 3
//!   processors:  (2, 3, [20])  ->  (2, 3)      merged:  ([2], 3)  ->  (3)
//! ```

use ::adsum::manifest::{
    Cut, ENTRY_BYTES, File, Manifest, ManifestError, OutputOrder, axis_outputs, element_count,
    joined_shape,
};
use ::adsum::reduction::State;
use ::adsum::{Monoid, Partial, Spec};
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;

use crate::errors::value_error;
use crate::files::Opened;

/// The most bytes of the states of one entry along an axis, and of one window of outputs.
const ENTRY_STATE_BYTES: u64 = 1 << 20;
const WINDOW_STATE_BYTES: u64 = 32 << 20;

/// Files that are reduced along some of their axes.
pub struct Axes {
    /// Arrays of which one axis has all that the processors reduce along.
    files: Vec<File>,
    axis: usize,
    order: OutputOrder,
    /// Outputs of the processors.
    outputs: u64,
    /// Of each axis of these: whether it is one of the result.
    kept: Vec<bool>,
    /// Length of the axis, and of all behind it that are reduced, too.
    length: u64,
    after: u64,
    /// Shape of the result.
    shape: Vec<usize>,
}

/// Where an output of the processors belongs.
struct Part {
    /// Its place in the result.
    result: usize,
    /// How many of its like lie before it: along the reduced axes in front of those of the
    /// processors, and along those behind.
    before: u64,
    behind: u64,
}

impl Axes {
    /// `axes` are some of those of `files`, in order, but not all.
    ///
    /// Places of elements are those in C order if the spec has any.
    pub fn new(files: &[File], axes: &[usize], spec: &Spec) -> PyResult<Axes> {
        let lengths = joined_shape(files).map_err(value_error)?;
        let count = |lengths: &[u64]| {
            element_count(lengths).ok_or_else(|| value_error(ManifestError::TooLarge))
        };
        let is_ordered = spec.is_indexed() && files.iter().any(File::is_fortran);
        // The last axis that is reduced and the number of those, of each group; without
        // axes each element is the only one along another.
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for &axis in axes {
            match groups.last_mut() {
                Some((last, count)) if *last + 1 == axis && !is_ordered => {
                    (*last, *count) = (axis, *count + 1);
                }
                _ => groups.push((axis, 1)),
            }
        }
        let ranges = groups.into_iter().map(|(last, count)| last + 1 - count..last + 1);
        let longest = ranges.max_by_key(|range| element_count(&lengths[range.clone()]));
        let group = longest.unwrap_or(lengths.len()..lengths.len());
        let joined = |file: &File| {
            let mut shape = file.shape.clone();
            shape.splice(group.clone(), [count(&file.shape[group.clone()])?]);
            Ok(File { shape, ..file.clone() })
        };
        let joined: Vec<File> = files.iter().map(joined).collect::<PyResult<_>>()?;
        let is_reduced = |axis: &usize| axes.contains(axis);
        let behind: Vec<u64> =
            (group.end..lengths.len()).filter(is_reduced).map(|axis| lengths[axis]).collect();
        let left = (0..lengths.len()).filter(|axis| !group.contains(axis));
        let kept: Vec<bool> = left.map(|axis| !is_reduced(&axis)).collect();
        if kept.contains(&false) && spec.monoids.contains(&Monoid::Tree) {
            return Err(PyNotImplementedError::new_err(
                "products of floats of files along axes that do not lie side by side in C order; use numpy.load(path, mmap_mode='r')",
            ));
        }
        Ok(Axes {
            axis: group.start,
            order: OutputOrder::new(&joined, group.start).map_err(value_error)?,
            outputs: axis_outputs(&joined, group.start).map_err(value_error)?,
            length: count(&lengths[group])?,
            after: count(&behind)?,
            shape: (0..lengths.len())
                .filter(|axis| !is_reduced(axis))
                .map(|axis| lengths[axis] as usize)
                .collect(),
            files: joined,
            kept,
        })
    }

    /// What `finish` makes of the position and the states of each result, in C order.
    ///
    /// Of axes in several groups it keeps the states of all results, else those of a few.
    pub fn each<T>(
        &self,
        py: Python<'_>,
        opened: &mut Opened<'_>,
        spec: &Spec,
        mut finish: impl FnMut(usize, &[State]) -> PyResult<T>,
    ) -> PyResult<Vec<T>> {
        let results: usize = self.shape.iter().product();
        let is_whole = self.kept.iter().all(|&kept| kept);
        let mut found: Vec<Option<T>> = (0..results).map(|_| None).collect();
        let mut totals = Partial::identity(spec, if is_whole { 0 } else { results });
        let state_bytes: u64 =
            spec.monoids.iter().map(|monoid| monoid.state_bytes(spec.dtype)).sum();
        let window = (WINDOW_STATE_BYTES / state_bytes).max(1);
        let mut first = 0;
        while first < self.outputs {
            let end = self.outputs.min(first + window);
            let partial = self.reduce(py, opened, spec, first..end)?;
            for (index, output) in (first..end).enumerate() {
                let part = self.part(output);
                match is_whole {
                    true => {
                        found[part.result] = Some(finish(part.result, partial.states(index))?);
                    }
                    false => self.merge(&mut totals, &part, partial.states(index)),
                }
            }
            first = end;
        }
        if !is_whole {
            for (result, one) in found.iter_mut().enumerate() {
                *one = Some(finish(result, totals.states(result))?);
            }
        }
        Ok(found.into_iter().map(|one| one.expect("each has an output")).collect())
    }

    /// What `find` makes of each result, in C order. It is given what makes the partial of
    /// one result, to be asked for several passes.
    pub fn each_by_rounds<T>(
        &self,
        py: Python<'_>,
        opened: &mut Opened<'_>,
        mut find: impl FnMut(&mut dyn FnMut(&Spec) -> PyResult<Partial>) -> PyResult<T>,
    ) -> PyResult<Vec<T>> {
        let mut outputs = vec![Vec::new(); self.shape.iter().product()];
        for output in 0..self.outputs {
            outputs[self.part(output).result].push(output);
        }
        let one = |outputs: Vec<u64>| {
            find(&mut |spec| {
                let mut total = Partial::identity(spec, 1);
                for &output in &outputs {
                    let partial = self.reduce(py, opened, spec, output..output + 1)?;
                    total.merge(&partial).map_err(value_error)?;
                }
                Ok(total)
            })
        };
        outputs.into_iter().map(one).collect()
    }

    /// The partial of some outputs of the processors.
    fn reduce(
        &self,
        py: Python<'_>,
        opened: &mut Opened<'_>,
        spec: &Spec,
        outputs: std::ops::Range<u64>,
    ) -> PyResult<Partial> {
        let state_bytes: u64 =
            spec.monoids.iter().map(|monoid| monoid.state_bytes(spec.dtype)).sum();
        let cut = Cut::Axis {
            entry_bytes: ENTRY_BYTES,
            axis: self.axis as u8,
            outputs,
            outputs_max: (ENTRY_STATE_BYTES / state_bytes).max(1),
        };
        let manifest = Manifest::cut(self.files.clone(), cut).map_err(value_error)?;
        opened.reduce(py, &manifest.into(), spec)
    }

    fn part(&self, output: u64) -> Part {
        let mut rest = self.order.position(output);
        let mut part = Part { result: 0, before: 0, behind: 0 };
        let (mut results, [mut before, mut behind]) = (1, [1; 2]);
        for (axis, (&length, &kept)) in self.order.shape().iter().zip(&self.kept).enumerate().rev()
        {
            let index = rest % length;
            rest /= length;
            if kept {
                part.result += index as usize * results;
                results *= length as usize;
            } else if axis < self.axis {
                part.before += index * before;
                before *= length;
            } else {
                part.behind += index * behind;
                behind *= length;
            }
        }
        part
    }

    /// Merges the states of a part into those of its result.
    fn merge(&self, totals: &mut Partial, part: &Part, states: &[State]) {
        let place = |index| (part.before * self.length + index) * self.after + part.behind;
        for (total, state) in totals.states_mut(part.result).iter_mut().zip(states) {
            let merged = match state {
                State::Extremum(extremum) => total.merge(&State::Extremum(extremum.placed(place))),
                state => total.merge(state),
            };
            merged.expect("states of one spec, of no more elements than files hold");
        }
    }
}
