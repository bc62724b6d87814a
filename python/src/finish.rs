//! From states to NumPy's numbers, with NumPy's warnings.

use std::ffi::CString;

use ::adsum::finish::{FinishError, Finished, Options, Remark, finish, output_dtype};
use ::adsum::reduction::State;
use ::adsum::{DType, Op};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeWarning, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;

/// What a number comes out as.
#[derive(Clone, Copy)]
pub struct Out {
    pub op: Op,
    pub dtype: DType,
}

/// The one or two numbers of one output.
pub fn finish_one(
    op: Op,
    states: &[State],
    options: Options,
    output: DType,
) -> Result<[Option<Finished>; 2], FinishError> {
    Ok(match op {
        Op::MinMax => {
            let both = [Op::Min, Op::Max].map(|op| finish(op, states, options, output));
            let [smallest, largest] = both;
            [Some(smallest?), Some(largest?)]
        }
        op => [Some(finish(op, states, options, output)?), None],
    })
}

impl Out {
    /// By NumPy's rule, or the type that was asked for.
    pub fn new(op: Op, input: DType, asked: Option<&str>) -> PyResult<Out> {
        let asked = asked.map(str::parse::<DType>).transpose();
        let asked = asked.map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let dtype = output_dtype(op, input, asked)
            .map_err(|error| PyTypeError::new_err(format!("dtype: {error}")))?;
        Ok(Out { op, dtype })
    }

    /// An array, or a pair of them, of what [`finish_one`] gave for each output.
    pub fn results<'py>(
        &self,
        py: Python<'py>,
        found: &[[Option<Finished>; 2]],
        shape: &[usize],
        like: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let one = |which: usize| {
            let number =
                |both: &[Option<Finished>; 2]| both[which].expect("as many as the operation has");
            let all: Vec<Finished> = found.iter().map(number).collect();
            self.array(py, &all, shape, like)
        };
        match self.op {
            Op::MinMax => Ok((one(0)?, one(1)?).into_pyobject(py)?.into_any()),
            _ => one(0),
        }
    }

    /// Numbers as an array, or as a scalar without axes, after their warnings. Of types
    /// that NumPy lacks, `like` has the type.
    pub fn array<'py>(
        &self,
        py: Python<'py>,
        numbers: &[Finished],
        shape: &[usize],
        like: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.warn(py, numbers)?;
        let dtype = match self.dtype {
            DType::BF16 => like.dtype().call_method1("newbyteorder", ("=",))?,
            dtype => dtype.name().into_pyobject(py)?.into_any(),
        };
        let shape = pyo3::types::PyTuple::new(py, shape)?;
        let array =
            py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "empty"), (shape, dtype))?;
        let untyped = array.cast::<PyUntypedArray>()?;
        let size = self.dtype.size_bytes();
        assert_eq!(
            untyped.len() * untyped.dtype().getattr("itemsize")?.extract::<usize>()?,
            numbers.len() * size
        );
        // SAFETY: an array that was just made, which nobody else has, of so many bytes.
        let bytes = unsafe {
            let data = (*untyped.as_array_ptr()).fields.data.cast::<u8>();
            std::slice::from_raw_parts_mut(data, numbers.len() * size)
        };
        for (element, number) in bytes.chunks_exact_mut(size).zip(numbers) {
            element.copy_from_slice(&number.value.wrapped(self.dtype).to_le_bytes());
            if cfg!(target_endian = "big") {
                element.reverse();
            }
        }
        // An index of nothing gives a scalar of an array without axes.
        if untyped.ndim() == 0 {
            array.get_item(pyo3::types::PyTuple::empty(py))
        } else {
            Ok(array)
        }
    }

    fn warn(&self, py: Python<'_>, numbers: &[Finished]) -> PyResult<()> {
        let mut remarks: Vec<Remark> = numbers.iter().filter_map(|number| number.remark).collect();
        remarks.sort_unstable();
        remarks.dedup();
        let op = self.op;
        for remark in remarks {
            let text = match remark {
                Remark::Empty => format!("{op} of no elements is NaN"),
                Remark::AllNan => format!("{op} of NaN alone is NaN"),
                Remark::Freedom => format!("degrees of freedom <= 0: {op} is NaN"),
                Remark::Wide | Remark::Wrapped => format!(
                    "{op} is past 64 bits, of which the lowest are given, as NumPy does; dtype=\"float64\" rounds the exact result"
                ),
            };
            let text = CString::new(text).expect("no zeros in it");
            let category = py.get_type::<PyRuntimeWarning>();
            PyErr::warn(py, &category, &text, 3)?;
        }
        Ok(())
    }
}
