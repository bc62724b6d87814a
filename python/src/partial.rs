//! `adsum.Partial`: the mergeable state of a reduction.

use std::fmt::Display;

use ::adsum::array::Reduction;
use ::adsum::finish::Options;
use ::adsum::{Monoid, Op, Spec};
use numpy::{PyArray1, PyUntypedArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::arrays::{layout_of, op_named, run, takes, threads, view_of};
use crate::errors::value_error;
use crate::finish::{Out, finish_one};

/// What a reduction knows about the elements it has seen: exact, mergeable in any
/// order, some hundred bytes.
#[pyclass(frozen, module = "adsum")]
pub struct Partial {
    partial: ::adsum::Partial,
    /// What it was made for.
    op: Option<Op>,
}

/// The operations of one number that states answer.
fn answered(spec: &Spec) -> Vec<Op> {
    let fits =
        |op: &Op| !op.monoids(spec.dtype).is_empty() && op.monoids(spec.dtype) == spec.monoids;
    let several = [Op::MinMax, Op::Stats];
    Op::ALL.into_iter().filter(|op| !several.contains(op) && fits(op)).collect()
}

fn names(ops: &[Op]) -> String {
    let names: Vec<String> = ops.iter().map(|op| format!("'{op}'")).collect();
    names.join(", ")
}

#[pymethods]
impl Partial {
    /// The partial of all elements of an array, to be merged with others.
    ///
    /// `array` is an array, or what numpy.asarray takes. `op` is an operation of one number
    /// of one array, by its name on the command line: "sum", "mean", "var", "max", ...
    /// `start` is the place of the first element, in elements, where the array is a part
    /// of a longer one; places count for "argmin", "argmax" and products of floats.
    /// Raises TypeError for elements and ValueError for operations that it does not take.
    #[classmethod]
    #[pyo3(signature = (array, op="sum", *, start=0))]
    fn from_array(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        array: &Bound<'_, PyAny>,
        op: &str,
        start: u64,
    ) -> PyResult<Partial> {
        let array = py.import("numpy")?.call_method1("asarray", (array,))?;
        let array = array.cast::<PyUntypedArray>()?;
        let op = op_named(op)?;
        let dtype = layout_of(array)?.dtype;
        takes(op, dtype)?;
        let spec = Spec { dtype, monoids: op.monoids(dtype) };
        if !answered(&spec).contains(&op) || op == Op::Dot {
            return Err(PyValueError::new_err(format!("{op} is not one number of one array")));
        }
        let reduction = Reduction::new(&spec, view_of(array)?).from_index(start).threads(threads());
        let partial = run(py, |stop| reduction.partial(stop))?;
        Ok(Partial { partial, op: Some(op) })
    }

    /// The canonical bytes. Equal partials have equal bytes, wherever they were made.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.partial.to_bytes())
    }

    /// Reads what `to_bytes` wrote; the bytes may come from anywhere.
    ///
    /// `op` says what `finish` gives; bytes do not say whether a sum is to be a sum or
    /// a mean. Raises ValueError for bytes that are no partial of this version, or
    /// whose states are not those of `op`.
    #[classmethod]
    #[pyo3(signature = (data, op=None))]
    fn from_bytes(_class: &Bound<'_, PyType>, data: &[u8], op: Option<&str>) -> PyResult<Partial> {
        let partial = ::adsum::Partial::from_bytes(data).map_err(value_error)?;
        let op = op.map(op_named).transpose()?;
        let partial = Partial { partial, op };
        if op.is_some() {
            partial.op(None)?;
        }
        Ok(partial)
    }

    /// The portable form of an exact sum: a vector of int64, 73 of them for float64.
    ///
    /// Element-wise addition of up to 2**31 such vectors is a correct merge, so anything
    /// that adds vectors of int64 can carry a sum exactly. Raises ValueError for a
    /// partial that is not one sum.
    fn to_int64<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let words = self.partial.to_portable().map_err(value_error)?;
        Ok(PyArray1::from_vec(py, words))
    }

    /// Reads a vector that is the sum of vectors of `to_int64`.
    ///
    /// `words` has one axis and is of int64. `dtype` is the type of the elements that were
    /// summed, `op` an operation of one sum: "sum", "mean", "sumsq", "l1" or "l2".
    /// Raises ValueError for words that no such sum has.
    #[classmethod]
    #[pyo3(signature = (words, dtype="float64", op="sum"))]
    fn from_int64(
        _class: &Bound<'_, PyType>,
        words: Vec<i64>,
        dtype: &str,
        op: &str,
    ) -> PyResult<Partial> {
        let dtype: ::adsum::DType =
            dtype.parse().map_err(|error: ::adsum::dtype::UnknownDType| {
                PyTypeError::new_err(error.to_string())
            })?;
        let op = op_named(op)?;
        let [Monoid::Sum(term)] = op.monoids(dtype)[..] else {
            return Err(PyValueError::new_err(format!("{op} is not made of one sum")));
        };
        let partial = ::adsum::Partial::from_portable(dtype, term, &words).map_err(value_error)?;
        Ok(Partial { partial, op: Some(op) })
    }

    /// The result, rounded once: a NumPy scalar.
    ///
    /// `op` is needed where the states answer several questions and `from_array` was
    /// not told which. `dtype` and `ddof` are those of the operation. Raises ValueError for an
    /// extreme of no elements, and for an operation of other states.
    #[pyo3(signature = (op=None, *, dtype=None, ddof=0, skip_nan=false))]
    fn finish<'py>(
        &self,
        py: Python<'py>,
        op: Option<&str>,
        dtype: Option<&Bound<'py, PyAny>>,
        ddof: i64,
        skip_nan: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let op = self.op(op.map(op_named).transpose()?)?;
        let numpy = py.import("numpy")?;
        let asked = dtype.map(|dtype| {
            numpy.call_method1("dtype", (dtype,))?.getattr("name")?.extract::<String>()
        });
        let out = Out::new(op, self.partial.spec().dtype, asked.transpose()?.as_deref())?;
        let options = Options { skip_nan, ddof };
        let like = numpy.call_method1("empty", (0,))?;
        let like = like.cast::<PyUntypedArray>()?;
        let outputs = self.partial.outputs();
        let number = |output| -> PyResult<_> {
            let found = finish_one(op, self.partial.states(output), options, out.dtype);
            Ok(found.map_err(value_error)?[0].expect("one number"))
        };
        let found = (0..outputs).map(number).collect::<PyResult<Vec<_>>>()?;
        let shape: &[usize] = if outputs == 1 { &[] } else { &[outputs] };
        out.array(py, &found, shape, like)
    }

    /// Number of elements that it has seen.
    #[getter]
    fn elements(&self) -> u64 {
        self.partial.elements()
    }

    /// NumPy's name of the type of the elements.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.partial.spec().dtype.name()
    }

    /// The operation that `finish` gives, or None where it must be told.
    #[getter(op)]
    fn op_name(&self) -> Option<&'static str> {
        self.op(None).ok().map(Op::name)
    }

    fn __add__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        if let Ok(other) = other.cast::<Partial>() {
            let other = other.get();
            let mut partial = self.partial.clone();
            partial.merge(&other.partial).map_err(|error| self.unlike(other, error))?;
            return Ok(Py::new(py, Partial { partial, op: self.op_with(other) })?.into_any());
        }
        // So that sum() of partials starts.
        match other.extract::<i64>() {
            Ok(0) => Ok(Py::new(py, self.copy())?.into_any()),
            _ => Ok(py.NotImplemented()),
        }
    }

    fn __radd__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__add__(other)
    }

    fn __sub__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast::<Partial>() else { return Ok(py.NotImplemented()) };
        let other = other.get();
        let mut partial = self.partial.clone();
        partial.unmerge(&other.partial).map_err(|error| self.unlike(other, error))?;
        Ok(Py::new(py, Partial { partial, op: self.op_with(other) })?.into_any())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Partial>().is_ok_and(|other| self.partial == other.get().partial)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.to_bytes(py).as_any().hash()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let from_bytes = py.get_type::<Partial>().getattr("from_bytes")?;
        let parts = (self.to_bytes(py), self.op.map(Op::name)).into_pyobject(py)?;
        (from_bytes, parts).into_pyobject(py)
    }

    fn __copy__(&self) -> Partial {
        self.copy()
    }

    fn __repr__(&self) -> String {
        let spec = self.partial.spec();
        let ops = match self.op(None) {
            Ok(op) => op.to_string(),
            Err(_) => names(&answered(spec)),
        };
        let outputs = match self.partial.outputs() {
            1 => String::new(),
            outputs => format!(", {outputs} outputs"),
        };
        format!("<adsum.Partial: {ops} of {} {} elements{outputs}>", self.elements(), spec.dtype)
    }
}

impl Partial {
    fn copy(&self) -> Partial {
        Partial { partial: self.partial.clone(), op: self.op }
    }

    fn op_with(&self, other: &Partial) -> Option<Op> {
        self.op.filter(|_| self.op == other.op)
    }

    fn unlike(&self, other: &Partial, error: impl Display) -> PyErr {
        value_error(format!("{} and {}: {error}", self.__repr__(), other.__repr__()))
    }

    /// The operation that is asked for, that it was made for, or the only one.
    fn op(&self, asked: Option<Op>) -> PyResult<Op> {
        let ops = answered(self.partial.spec());
        match (asked.or(self.op), &ops[..]) {
            (Some(op), ops) if ops.contains(&op) => Ok(op),
            (Some(op), ops) => Err(value_error(format!(
                "the states are not those of '{op}', but of {}",
                names(ops)
            ))),
            (None, [only]) => Ok(*only),
            (None, ops) => {
                Err(value_error(format!("the states answer {}: say which as op=...", names(ops))))
            }
        }
    }
}
