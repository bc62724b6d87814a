//! Reductions of NumPy arrays, which are read where they lie.

use std::num::NonZero;
use std::sync::OnceLock;

use ::adsum::array::{ArrayError, Reduction, View};
use ::adsum::finish::{FinishError, Options};
use ::adsum::op::MULTISET_MAX;
use ::adsum::reduction::State;
use ::adsum::{ByteOrder, DType, Layout, Monoid, Op, Partial, Spec};
use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::call;
use crate::errors::value_error;
use crate::extra::Extra;
use crate::finish::{Out, finish_one};
use crate::interrupt::Interrupt;
use crate::rounds::Quantiles;
use crate::source::Group;

/// What of a reduction Python's keywords say besides the operation and the array.
#[derive(FromPyObject)]
pub struct How<'py> {
    /// For products of two arrays.
    second: Option<Bound<'py, PyUntypedArray>>,
    /// One element that each output has besides its own: of the array's type, or of a wider
    /// one for sums and products of integers.
    initial: Option<Bound<'py, PyUntypedArray>>,
    /// For each output, how many of its elements are zeros that do not count.
    excluded: Option<PyReadonlyArray1<'py, i64>>,
    comm: Option<Bound<'py, PyAny>>,
}

/// Reduces `array` along `axes` or wholly.
#[pyfunction]
#[pyo3(signature = (op, array, axes, keepdims, dtype, ddof, skip_nan, how=None))]
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
    how: Option<How<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let layout = layout_of(array)?;
    takes(op, layout.dtype)?;
    let axes = match axes {
        Some(axes) => axes_of(py, &axes, array.ndim())?,
        None => (0..array.ndim()).collect(),
    };
    let out = Out::new(op, layout.dtype, dtype)?;
    let options = Options { skip_nan, ddof };
    let finish = |states: &[State]| finish_one(op, states, options, out.dtype);
    let spec = Spec { dtype: layout.dtype, monoids: op.monoids(layout.dtype) };
    let mut reduction = Reduction::new(&spec, view_of(array)?).along(&axes).threads(threads());
    let found = match &how {
        None => run(py, |stop| reduction.each(stop, |_, states| finish(states)))?,
        Some(how) => {
            if let Some(second) = &how.second {
                reduction = reduction.with(view_of(second)?);
            }
            let extra = Extra::new(py, op, &spec, how.initial.as_ref(), how.excluded.as_ref())?;
            let last = |states: Vec<State>| finish(&extra.with_initial(states));
            match &how.comm {
                None => run(py, |stop| {
                    reduction.each(stop, |output, states| last(extra.own(output, states)))
                })?,
                Some(comm) => {
                    let call = call::number(op, options, how.initial.as_ref())?;
                    let group = Group::new(comm, &along(&call, &axes, array))?;
                    let (place, _) = placed(&group, array, &axes)?;
                    let reduction = reduction.from_index(place);
                    let own = |output, states: &[State]| extra.own(output, states);
                    let states = run(py, |stop| reduction.each(stop, own))?;
                    let states = states.into_iter().flatten().collect();
                    let total = group.merge(Partial::from_states(&spec, states))?;
                    (0..total.outputs()).map(|output| last(total.states(output).to_vec())).collect()
                }
            }
        }
    };
    let found = found.into_iter().collect::<Result<Vec<_>, FinishError>>().map_err(value_error)?;
    out.results(py, &found, &shape_of(array, &axes, keepdims), array)
}

/// A call along axes of an array.
fn along(call: &str, axes: &[usize], array: &Bound<'_, PyUntypedArray>) -> String {
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    call::along(call, (axes.len() < array.ndim()).then_some(&axes))
}

/// The place of this rank's first element along reduced axes, and the length of those of
/// all ranks together.
fn placed(
    group: &Group<'_>,
    array: &Bound<'_, PyUntypedArray>,
    axes: &[usize],
) -> PyResult<(u64, u64)> {
    let reduced = axes.iter().map(|&axis| array.shape()[axis] as u64).product();
    group.place(layout_of(array)?.dtype, &shape_of(array, axes, false), reduced)
}

/// The shape that is left.
fn shape_of(array: &Bound<'_, PyUntypedArray>, axes: &[usize], keepdims: bool) -> Vec<usize> {
    let kept = |(axis, &length): (usize, &usize)| match axes.contains(&axis) {
        true => keepdims.then_some(1),
        false => Some(length),
    };
    array.shape().iter().enumerate().filter_map(kept).collect()
}

/// Quantiles along axes: an array whose first axis is that of `shares`. None if there are
/// too many elements for each to be kept.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn quantiles_along<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyUntypedArray>,
    axes: Vec<isize>,
    keepdims: bool,
    shares: Vec<f64>,
    method: &str,
    skip_nan: bool,
    dtype: Option<&str>,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let input = layout_of(array)?.dtype;
    let call = call::quantiles(&shares, method, skip_nan);
    let asked = Quantiles::new(input, shares, method, skip_nan, dtype)?;
    let axes = axes_of(py, &axes, array.ndim())?;
    let group = comm.map(|comm| Group::new(comm, &along(&call, &axes, array))).transpose()?;
    let length = match &group {
        Some(group) => placed(group, array, &axes)?.1,
        None => axes.iter().map(|&axis| array.shape()[axis] as u64).product(),
    };
    let is_nothing = shape_of(array, &axes, false).contains(&0);
    let length = if is_nothing { 1 } else { length.max(1) };
    let Ok(elements_max @ 1..=MULTISET_MAX) = u32::try_from(length) else { return Ok(None) };
    let spec = Spec::of(input, Monoid::Multiset { elements_max });
    let reduction = Reduction::new(&spec, view_of(array)?).along(&axes).threads(threads());
    let found = match &group {
        None => run(py, |stop| reduction.each(stop, |_, states| asked.of(states)))?,
        Some(group) => {
            let total = group.merge(run(py, |stop| reduction.partial(stop))?)?;
            (0..total.outputs()).map(|output| asked.of(total.states(output))).collect()
        }
    };
    let found = found.into_iter().collect::<PyResult<Vec<_>>>()?;
    asked.array(py, &found, &shape_of(array, &axes, keepdims), array).map(Some)
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
    let (bytes, offset) = memory_of(array, layout);
    View::new(layout, bytes, offset, array.shape(), array.strides())
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The bytes from the first to the last element as they lie, and where in them that of the
/// lowest indices starts.
pub fn memory_of<'a>(array: &'a Bound<'_, PyUntypedArray>, layout: Layout) -> (&'a [u8], usize) {
    let (shape, strides) = (array.shape(), array.strides());
    if shape.contains(&0) {
        return (&[], 0);
    }
    let size = layout.dtype.size_bytes() as isize;
    let reach = |sign: isize| {
        let far =
            shape.iter().zip(strides).map(|(&length, &stride)| (length as isize - 1) * stride);
        far.filter(|far| far.signum() == sign).sum::<isize>()
    };
    let (low, high) = (reach(-1), reach(1) + size);
    // SAFETY: NumPy keeps all elements of an array within one block of memory, which the
    // array, borrowed for 'a, keeps alive.
    let bytes = unsafe {
        let data = (*array.as_array_ptr()).fields.data.cast::<u8>().cast_const();
        std::slice::from_raw_parts(data.offset(low), (high - low) as usize)
    };
    (bytes, -low as usize)
}

/// Axes counted from the first, each once.
pub fn axes_of(py: Python<'_>, axes: &[isize], count: usize) -> PyResult<Vec<usize>> {
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
