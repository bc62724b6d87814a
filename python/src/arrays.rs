//! Reductions of NumPy arrays, which are read where they lie.

use std::num::NonZero;
use std::str::FromStr;
use std::sync::OnceLock;

use ::adsum::array::{ArrayError, Reduction, View};
use ::adsum::finish::{FinishError, Finished, Options};
use ::adsum::op::MULTISET_MAX;
use ::adsum::reduction::{Element, State};
use ::adsum::rounds::Method;
use ::adsum::rounds::quantile::{Search, of_multiset};
use ::adsum::{ByteOrder, DType, Layout, Monoid, Op, Partial, Spec};
use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::errors::value_error;
use crate::finish::{Out, finish_one, numbers};
use crate::interrupt::Interrupt;
use crate::source::Group;

/// What of a reduction Python's keywords say besides the operation and the array.
#[derive(FromPyObject)]
pub struct How<'py> {
    /// For products of two arrays.
    second: Option<Bound<'py, PyUntypedArray>>,
    /// One element of the array's type that each output has besides its own.
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
            let initial = match &how.initial {
                Some(initial) => Some(run(py, {
                    let view = view_of(initial)?;
                    let spec = &spec;
                    move |stop| Reduction::new(spec, view).partial(stop)
                })?),
                None => None,
            };
            let excluded = how.excluded.as_ref().map(|counts| counts.as_slice()).transpose()?;
            let own = |position: usize, states: &[State]| {
                let mut states = states.to_vec();
                if let Some(counts) = excluded {
                    take_zeros(&spec, &mut states, counts[position] as u64);
                }
                states
            };
            let last = |mut states: Vec<State>| {
                if let Some(initial) = &initial {
                    add(&mut states, initial.states(0))?;
                }
                finish(&states)
            };
            match &how.comm {
                None => run(py, |stop| {
                    reduction.each(stop, |position, states| last(own(position, states)))
                })?,
                Some(comm) => {
                    let group = Group::new(comm)?;
                    let kept: Vec<usize> = shape_of(array, &axes, false);
                    let reduced = axes.iter().map(|&axis| array.shape()[axis] as u64).product();
                    let place = group.place(layout.dtype, &kept, reduced)?;
                    let reduction = reduction.from_index(place);
                    let states = run(py, |stop| reduction.each(stop, own))?;
                    let states = states.into_iter().flatten().collect();
                    let total = group.merge(Partial::from_states(&spec, states))?;
                    (0..total.outputs()).map(|output| last(total.states(output).to_vec())).collect()
                }
            }
        }
    };
    let found = found.into_iter().collect::<Result<Vec<_>, FinishError>>().map_err(value_error)?;
    let shape = shape_of(array, &axes, keepdims);
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

/// The shape that is left.
fn shape_of(array: &Bound<'_, PyUntypedArray>, axes: &[usize], keepdims: bool) -> Vec<usize> {
    let kept = |(axis, &length): (usize, &usize)| match axes.contains(&axis) {
        true => keepdims.then_some(1),
        false => Some(length),
    };
    array.shape().iter().enumerate().filter_map(kept).collect()
}

fn add(states: &mut [State], others: &[State]) -> Result<(), FinishError> {
    for (state, other) in states.iter_mut().zip(others) {
        state.merge(other).expect("one more element of the same type");
    }
    Ok(())
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

/// Quantiles along axes: an array whose first axis is that of `shares`.
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
) -> PyResult<Bound<'py, PyAny>> {
    let input = layout_of(array)?.dtype;
    takes(Op::Quantile, input)?;
    let axes = axes_of(py, &axes, array.ndim())?;
    let method = Method::from_str(method).map_err(value_error)?;
    let asked = dtype.map(str::parse::<DType>).transpose();
    let asked = asked.map_err(|error| PyTypeError::new_err(error.to_string()))?;
    // It checks the shares and the type.
    let search = Search::new(input, &shares, method, skip_nan, asked).map_err(value_error)?;
    let output = search.output();
    let length: usize = axes.iter().map(|&axis| array.shape()[axis]).product();
    let elements_max = u32::try_from(length.max(1)).unwrap_or(u32::MAX);
    if elements_max > MULTISET_MAX {
        return Err(value_error(format!(
            "quantiles of {length} elements each; along axes there may be {MULTISET_MAX}, take each by itself"
        )));
    }
    let spec = Spec::of(input, Monoid::Multiset { elements_max });
    let reduction = Reduction::new(&spec, view_of(array)?).along(&axes).threads(threads());
    let of_output = |_, states: &[State]| {
        let [State::Multiset(set)] = states else { unreachable!("the spec has one multiset") };
        let one = |&share: &f64| of_multiset(set, input, share, method, skip_nan, output);
        shares.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    let found = run(py, |stop| reduction.each(stop, of_output))?;
    let found = found.into_iter().collect::<Result<Vec<_>, _>>().map_err(value_error)?;
    let all: Vec<Finished> = (0..shares.len())
        .flat_map(|share| found.iter().map(move |one| one[share].into()))
        .collect();
    let mut shape = shape_of(array, &axes, keepdims);
    shape.insert(0, shares.len());
    Out { op: Op::Quantile, dtype: output }.array(py, &all, &shape, array)
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
