//! Reductions of NumPy arrays, which are read where they lie.

use std::num::NonZero;
use std::sync::OnceLock;

use ::adsum::array::{ArrayError, Reduction, View};
use ::adsum::finish::{FinishError, Finished, Options};
use ::adsum::{ByteOrder, DType, Layout, Op, Spec};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::finish::{Out, finish_one, numbers};
use crate::interrupt::Interrupt;

/// Reduces `array`, with `second` for products of two, along `axes` or wholly.
#[pyfunction]
#[pyo3(signature = (op, array, axes, keepdims, dtype, ddof, skip_nan, second=None))]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn reduce<'py>(
    py: Python<'py>,
    op: &str,
    array: &Bound<'py, PyUntypedArray>,
    axes: Option<Vec<isize>>,
    keepdims: bool,
    dtype: Option<&str>,
    ddof: i64,
    skip_nan: bool,
    second: Option<&Bound<'py, PyUntypedArray>>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let layout = layout_of(array)?;
    takes(op, layout.dtype)?;
    let axes = match axes {
        Some(axes) => axes_of(py, &axes, array.ndim())?,
        None => (0..array.ndim()).collect(),
    };
    let out = Out::new(op, layout.dtype, dtype)?;
    let spec = Spec { dtype: layout.dtype, monoids: op.monoids(layout.dtype) };
    let mut reduction = Reduction::new(&spec, view_of(array)?).along(&axes).threads(threads());
    if let Some(second) = second {
        reduction = reduction.with(view_of(second)?);
    }
    let options = Options { skip_nan, ddof };
    let found =
        run(py, |stop| reduction.each(stop, |states| finish_one(op, states, options, out.dtype)))?;
    let found = found.into_iter().collect::<Result<Vec<_>, FinishError>>();
    let found = found.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let kept = |(axis, &length): (usize, &usize)| match axes.contains(&axis) {
        true => keepdims.then_some(1),
        false => Some(length),
    };
    let shape: Vec<usize> = array.shape().iter().enumerate().filter_map(kept).collect();
    let one = |which: usize| {
        let number =
            |both: &[Option<Finished>; 2]| both[which].expect("as many as the operation has");
        let all: Vec<Finished> = found.iter().map(number).collect();
        out.array(py, &all, &shape, array)
    };
    match numbers(op) {
        1 => one(0),
        _ => Ok((one(0)?, one(1)?).into_pyobject(py)?.into_any()),
    }
}

/// Works without the GIL until it ends, or a signal has come.
pub fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, ArrayError> + Send,
) -> PyResult<T> {
    let (result, raised) = py.detach(|| {
        let interrupt = Interrupt::new();
        let result = work(&|| interrupt.stop());
        (result, interrupt.into_raised())
    });
    match (result, raised) {
        (Ok(result), _) => Ok(result),
        (Err(_), Some(raised)) => Err(raised),
        (Err(error), None) => Err(PyRuntimeError::new_err(error.to_string())),
    }
}

/// The operation of a name.
pub fn op_named(name: &str) -> PyResult<Op> {
    name.parse().map_err(|error: ::adsum::op::UnknownOp| PyValueError::new_err(error.to_string()))
}

/// Refuses elements that the operation does not take.
pub fn takes(op: Op, dtype: DType) -> PyResult<()> {
    match op.takes(dtype) {
        true => Ok(()),
        false => Err(PyTypeError::new_err(format!(
            "{op} does not take {dtype}, only {}; convert with x.astype(...)",
            op.types_name()
        ))),
    }
}

/// How many threads reduce a large array.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Type and byte order of the elements.
pub fn layout_of(array: &Bound<'_, PyUntypedArray>) -> PyResult<Layout> {
    let descr = array.dtype();
    let dtype = match (descr.kind(), descr.itemsize()) {
        (b'b', 1) => DType::Bool,
        (b'i', 1) => DType::I8,
        (b'i', 2) => DType::I16,
        (b'i', 4) => DType::I32,
        (b'i', 8) => DType::I64,
        (b'u', 1) => DType::U8,
        (b'u', 2) => DType::U16,
        (b'u', 4) => DType::U32,
        (b'u', 8) => DType::U64,
        (b'f', 2) => DType::F16,
        (b'f', 4) => DType::F32,
        (b'f', 8) => DType::F64,
        _ if descr.getattr("name")?.extract::<String>()? == "bfloat16" => DType::BF16,
        (kind, _) => {
            let name = descr.str()?;
            let way_out = match kind {
                b'c' => "reduce x.real and x.imag",
                b'f' => "convert with x.astype(numpy.float64), which rounds",
                b'O' => "convert with x.astype(numpy.float64), or a type of integers",
                b'S' | b'U' | b'T' => "convert with x.astype(numpy.float64) if it holds numbers",
                b'M' | b'm' => "reduce x.view(numpy.int64), which counts in its unit",
                _ => "reduce one field of it, as x['name']",
            };
            return Err(PyTypeError::new_err(format!(
                "adsum takes bool, int8 to int64, uint8 to uint64, float16, float32 and float64, not {name}; {way_out}"
            )));
        }
    };
    let byte_order = match descr.byteorder() {
        b'<' => ByteOrder::Little,
        b'>' => ByteOrder::Big,
        _ => ByteOrder::NATIVE,
    };
    Ok(Layout { dtype, byte_order })
}

/// The array where it lies. It must outlive the view, and nobody may write to it
/// meanwhile, as for NumPy's own functions that release the GIL.
pub fn view_of<'a>(array: &'a Bound<'_, PyUntypedArray>) -> PyResult<View<'a>> {
    let layout = layout_of(array)?;
    let (shape, strides) = (array.shape(), array.strides());
    let size = layout.dtype.size_bytes() as isize;
    let reach = |sign: isize| {
        let far =
            shape.iter().zip(strides).map(|(&length, &stride)| (length as isize - 1) * stride);
        far.filter(|far| far.signum() == sign).sum::<isize>()
    };
    let bytes: &[u8] = match shape.contains(&0) {
        true => &[],
        false => {
            let (low, high) = (reach(-1), reach(1) + size);
            // SAFETY: NumPy keeps all elements of an array within one block of memory, which
            // the array, borrowed for 'a, keeps alive.
            unsafe {
                let data = (*array.as_array_ptr()).fields.data.cast::<u8>().cast_const();
                std::slice::from_raw_parts(data.offset(low), (high - low) as usize)
            }
        }
    };
    let offset = if bytes.is_empty() { 0 } else { -reach(-1) };
    View::new(layout, bytes, offset as usize, shape, strides)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Axes counted from the first, each once.
fn axes_of(py: Python<'_>, axes: &[isize], count: usize) -> PyResult<Vec<usize>> {
    let mut found = Vec::new();
    for &axis in axes {
        let index = if axis < 0 { axis + count as isize } else { axis };
        if !(0..count as isize).contains(&index) {
            let error = py.import("numpy.exceptions")?.getattr("AxisError")?;
            return Err(PyErr::from_value(error.call1((axis, count))?));
        }
        if found.contains(&(index as usize)) {
            return Err(PyValueError::new_err("duplicate value in 'axis'"));
        }
        found.push(index as usize);
    }
    Ok(found)
}
