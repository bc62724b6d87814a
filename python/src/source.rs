//! Where elements are: an array, files, or a cluster; each gives the partial of all of
//! them, once for each round of a question.

use ::adsum::array::Reduction;
use ::adsum::manifest::Manifest;
use ::adsum::{DType, Partial, Spec};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::arrays::{layout_of, run, threads, view_of};
use crate::call;
use crate::errors::value_error;
use crate::files::{Files, Opened};

/// Elements of one type.
pub trait Source {
    /// Their type.
    fn dtype(&self) -> DType;

    /// The partial of all of them.
    fn total(&mut self, py: Python<'_>, spec: &Spec) -> PyResult<Partial>;

    /// Says what should be known besides the result.
    fn warn(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }
}

/// The source that `data` is, alone or with those of all ranks of a group that make this
/// call.
pub fn open<'a, 'py: 'a>(
    data: &'a Bound<'py, PyAny>,
    comm: Option<&'a Bound<'py, PyAny>>,
    call: &str,
) -> PyResult<Box<dyn Source + 'a>> {
    let group = comm.map(|comm| Group::new(comm, call)).transpose()?;
    if let Ok(files) = data.cast::<Files>() {
        return Ok(Box::new(Opened::new(files.clone(), group)));
    }
    let array = data
        .cast::<PyUntypedArray>()
        .map_err(|_| PyTypeError::new_err("neither an array nor files"))?;
    let dtype = layout_of(array)?.dtype;
    Ok(Box::new(Array { array: array.clone(), dtype, group }))
}

/// An array of this process.
struct Array<'py> {
    array: Bound<'py, PyUntypedArray>,
    dtype: DType,
    group: Option<Group<'py>>,
}

impl Source for Array<'_> {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn total(&mut self, py: Python<'_>, spec: &Spec) -> PyResult<Partial> {
        let view = view_of(&self.array)?;
        let mut reduction = Reduction::new(spec, view).threads(threads());
        if let Some(group) = &self.group {
            let elements = self.array.getattr("size")?.extract()?;
            reduction = reduction.from_index(group.place(self.dtype, &[], elements)?.0);
        }
        let partial = run(py, |stop| reduction.partial(stop))?;
        match &self.group {
            Some(group) => group.merge(partial),
            None => Ok(partial),
        }
    }
}

/// What another rank gave is not of this call.
fn out_of_step() -> PyErr {
    value_error(
        "the ranks are in different calls; all must make the same ones in the same order, also after an exception that one of them has caught",
    )
}

/// The ranks that each have a part of the elements: anything with `rank`, `size` and
/// `allgather`.
pub struct Group<'py> {
    comm: Bound<'py, PyAny>,
    /// What this rank asks for, which all must.
    call: String,
    pub rank: u64,
    pub size: u64,
}

impl<'py> Group<'py> {
    pub fn new(comm: &Bound<'py, PyAny>, call: &str) -> PyResult<Group<'py>> {
        let number = |name: &str| -> PyResult<u64> {
            let number = comm.getattr(name).and_then(|number| number.extract());
            number.map_err(|_| {
                PyTypeError::new_err(format!(
                    "comm is {}, which has no {name}; give a communicator, as adsum.MPI.COMM_WORLD",
                    comm.get_type()
                ))
            })
        };
        let (rank, size) = (number("rank")?, number("size")?);
        Ok(Group { rank, size, comm: comm.clone(), call: call.to_owned() })
    }

    /// The place of this rank's first element along the reduced axes, where the parts lie
    /// one after the other, and the elements of all ranks. All must have one type and equal
    /// outputs.
    pub fn place(&self, dtype: DType, outputs: &[usize], elements: u64) -> PyResult<(u64, u64)> {
        let mine = (dtype.name(), outputs.to_vec(), elements);
        let all: Vec<(String, Vec<usize>, u64)> =
            self.comm.call_method1("allgather", (mine,))?.extract().map_err(|_| out_of_step())?;
        for (rank, (other, shape, _)) in all.iter().enumerate() {
            if (other.as_str(), &shape[..]) != (dtype.name(), outputs) {
                return Err(value_error(format!(
                    "rank {rank} has elements of {other} for results of the shape {shape:?}, rank {} of {dtype} for {outputs:?}; give all ranks the same type and axes",
                    self.rank
                )));
            }
        }
        let count = |ranks: &[(String, Vec<usize>, u64)]| ranks.iter().map(|rank| rank.2).sum();
        Ok((count(&all[..self.rank as usize]), count(&all)))
    }

    /// What the partials of all ranks are together.
    pub fn merge(&self, partial: Partial) -> PyResult<Partial> {
        self.merge_results(&partial.spec().clone(), Ok(partial), None)
    }

    /// The same where some ranks may have failed, which is then an error at all of them, and
    /// where they may be of files, which must be the same.
    pub fn merge_results(
        &self,
        spec: &Spec,
        mine: Result<Partial, String>,
        files: Option<&Manifest>,
    ) -> PyResult<Partial> {
        let py = self.comm.py();
        let own =
            files.map_or_else(|| self.call.clone(), |files| call::of_files(&self.call, files));
        let outputs = mine.as_ref().map_or(0, Partial::outputs);
        let mine = match &mine {
            Ok(partial) => PyBytes::new(py, &partial.to_bytes()).into_any(),
            Err(error) => PyString::new(py, error).into_any(),
        };
        let mine = (own.as_str(), mine);
        let all: Vec<(String, Bound<'_, PyAny>)> =
            self.comm.call_method1("allgather", (mine,))?.extract().map_err(|_| out_of_step())?;
        for (rank, (call, _)) in all.iter().enumerate() {
            if *call != own {
                return Err(value_error(format!(
                    "rank {rank} asks for {call}, rank {} for {own}; all must make the same call{}",
                    self.rank,
                    if files.is_some() { ", of the same files" } else { "" },
                )));
            }
        }
        for (rank, (_, theirs)) in all.iter().enumerate() {
            if let Ok(error) = theirs.extract::<String>() {
                let is_own = rank as u64 == self.rank;
                let by = if is_own { String::new() } else { format!("rank {rank}: ") };
                return Err(PyOSError::new_err(by + &error));
            }
        }
        let mut total = Partial::identity(spec, outputs);
        for (_, state) in &all {
            let bytes = state.extract().map_err(|_| out_of_step())?;
            let theirs = Partial::from_bytes(bytes).map_err(value_error)?;
            total.merge(&theirs).map_err(value_error)?;
        }
        Ok(total)
    }
}
