//! Questions about all elements of a source: one number, quantiles, a histogram.

use std::str::FromStr;

use ::adsum::finish::{Finished, Options, finish, special};
use ::adsum::reduction::State;
use ::adsum::rounds::Method;
use ::adsum::rounds::edges::{Edges, Range};
use ::adsum::rounds::quantile::{Search, of_multiset};
use ::adsum::{DType, Monoid, Op, Partial, Spec, Value};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

use crate::arrays::{op_named, takes};
use crate::call;
use crate::errors::value_error;
use crate::finish::{Out, finish_one};
use crate::source::{self, Source};

/// Counts, edges and their type, and how many elements are below, above and NaN.
pub type Histogram = (Vec<u64>, Vec<f64>, &'static str, [u64; 3]);

/// How many elements, and NaN; then smallest, largest, mean, deviation, sum, norm.
pub type Summary = (u64, u64, f64, f64, f64, f64, f64, f64);

/// Quantiles of all elements, in the order of `shares`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn quantiles<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    shares: Vec<f64>,
    method: &str,
    skip_nan: bool,
    dtype: Option<&str>,
    like: &Bound<'py, PyUntypedArray>,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut source = source::open(data, comm, &call::quantiles(&shares, method, skip_nan))?;
    quantiles_of(py, &mut *source, &shares, method, skip_nan, dtype, like)
}

/// What one pass tells.
#[pyfunction]
pub fn summary(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    skip_nan: bool,
    comm: Option<&Bound<'_, PyAny>>,
) -> PyResult<Summary> {
    let mut source = source::open(data, comm, &call::stats(skip_nan))?;
    summary_of(py, &mut *source, skip_nan)
}

/// How many elements are between edges.
#[pyfunction]
pub fn histogram<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    bins: usize,
    edges: Option<Vec<f64>>,
    range: Option<(f64, f64)>,
    skip_nan: bool,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Histogram> {
    let call = call::histogram(bins, edges.as_deref(), range, skip_nan);
    let mut source = source::open(data, comm, &call)?;
    histogram_of(py, &mut *source, bins, edges, range, skip_nan)
}

pub fn number_of<'py>(
    py: Python<'py>,
    source: &mut dyn Source,
    op: &str,
    dtype: Option<&str>,
    options: Options,
    like: &Bound<'py, PyUntypedArray>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let input = source.dtype();
    takes(op, input)?;
    let out = Out::new(op, input, dtype)?;
    let total = source.total(py, &Spec { dtype: input, monoids: op.monoids(input) })?;
    source.warn(py)?;
    let found = finish_one(op, total.states(0), options, out.dtype).map_err(value_error)?;
    out.results(py, &[found], &[], like)
}

pub fn quantiles_of<'py>(
    py: Python<'py>,
    source: &mut dyn Source,
    shares: &[f64],
    method: &str,
    skip_nan: bool,
    dtype: Option<&str>,
    like: &Bound<'py, PyUntypedArray>,
) -> PyResult<Bound<'py, PyAny>> {
    let asked = Quantiles::new(source.dtype(), shares.to_vec(), method, skip_nan, dtype)?;
    let found = asked.search(|spec| source.total(py, spec))?;
    source.warn(py)?;
    asked.array(py, &[found], &[], like)
}

/// Quantiles of elements of one type, as they were asked for.
pub struct Quantiles {
    shares: Vec<f64>,
    method: Method,
    skip_nan: bool,
    search: Search,
    input: DType,
}

impl Quantiles {
    pub fn new(
        input: DType,
        shares: Vec<f64>,
        method: &str,
        skip_nan: bool,
        dtype: Option<&str>,
    ) -> PyResult<Quantiles> {
        takes(Op::Quantile, input)?;
        let method = Method::from_str(method).map_err(value_error)?;
        let asked = dtype.map(str::parse::<DType>).transpose();
        let asked = asked.map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let search = Search::new(input, &shares, method, skip_nan, asked).map_err(value_error)?;
        Ok(Quantiles { shares, method, skip_nan, search, input })
    }

    /// Those of the elements whose partial `total` gives, in several passes.
    pub fn search(
        &self,
        mut total: impl FnMut(&Spec) -> PyResult<Partial>,
    ) -> PyResult<Vec<Finished>> {
        let mut search = self.search.clone();
        while let Some(bins) = search.next() {
            let total = total(&Spec::of(self.input, Monoid::Bins(bins)))?;
            let [State::Bins(counts)] = total.states(0) else { return Err(other_states()) };
            search.absorb(counts).map_err(value_error)?;
        }
        let found = search.finish().map_err(value_error)?;
        Ok(found.values.into_iter().map(Finished::from).collect())
    }

    /// Those of elements that are kept.
    pub fn of(&self, states: &[State]) -> PyResult<Vec<Finished>> {
        let [State::Multiset(set)] = states else { return Err(other_states()) };
        let output = self.search.output();
        let one = |&share: &f64| {
            let value = of_multiset(set, self.input, share, self.method, self.skip_nan, output);
            value.map(Finished::from).map_err(value_error)
        };
        self.shares.iter().map(one).collect()
    }

    /// What was found for each output as an array, whose first axis is that of the shares.
    pub fn array<'py>(
        &self,
        py: Python<'py>,
        found: &[Vec<Finished>],
        shape: &[usize],
        like: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shares = 0..self.shares.len();
        let all = shares.flat_map(|share| found.iter().map(move |one| one[share]));
        let shape = [&[self.shares.len()], shape].concat();
        let out = Out { op: Op::Quantile, dtype: self.search.output() };
        out.array(py, &all.collect::<Vec<Finished>>(), &shape, like)
    }
}

pub fn histogram_of(
    py: Python<'_>,
    source: &mut dyn Source,
    bins: usize,
    edges: Option<Vec<f64>>,
    range: Option<(f64, f64)>,
    skip_nan: bool,
) -> PyResult<Histogram> {
    let input = source.dtype();
    takes(Op::Histogram, input)?;
    let edges = match (edges, range) {
        (Some(edges), _) => Edges::explicit(input, &edges),
        (None, Some((low, high))) => Edges::linear(input, Range::Given { low, high }, bins),
        (None, None) => {
            let spec = Spec::of(input, Monoid::Extremum { indexed: false });
            let total = source.total(py, &spec)?;
            let [State::Extremum(extremum)] = total.states(0) else { return Err(other_states()) };
            let numbers = if skip_nan { extremum.without_nan() } else { *extremum };
            if numbers.nan() > 0 {
                return Err(value_error(format!(
                    "{} of {} elements are NaN, so there is no range of all; give range=, bins= as edges, or skip_nan=True",
                    numbers.nan(),
                    numbers.elements()
                )));
            }
            Edges::linear(input, Range::of(&numbers), bins)
        }
    };
    let edges = edges.map_err(value_error)?;
    let total = source.total(py, &Spec::of(input, Monoid::Bins(edges.bins())))?;
    source.warn(py)?;
    let [State::Bins(counts)] = total.states(0) else { return Err(other_states()) };
    let found = edges.histogram(counts).map_err(value_error)?;
    let values = edges.values().iter().map(|edge| edge.as_f64().expect("an edge is a float"));
    let dtype = edges.values()[0].dtype().expect("an edge is a float").name();
    Ok((found.counts, values.collect(), dtype, [found.below, found.above, found.nan]))
}

pub fn summary_of(py: Python<'_>, source: &mut dyn Source, skip_nan: bool) -> PyResult<Summary> {
    let input = source.dtype();
    takes(Op::Stats, input)?;
    let total = source.total(py, &Spec { dtype: input, monoids: Op::Stats.monoids(input) })?;
    source.warn(py)?;
    let states = total.states(0);
    let nan = special(states).nan;
    // Extremes of nothing do not exist, and are of the elements' type.
    let extreme = |op| {
        let found = finish(op, states, Options { skip_nan, ddof: 0 }, input).ok();
        found.map_or(f64::NAN, |one| float(one.value))
    };
    let rounded = |op| {
        let found = finish(op, states, Options { skip_nan, ddof: 0 }, DType::F64);
        found.map(|one| float(one.value)).map_err(value_error)
    };
    Ok((
        total.elements() - if skip_nan { nan } else { 0 },
        nan,
        extreme(Op::Min),
        extreme(Op::Max),
        rounded(Op::Mean)?,
        rounded(Op::Std)?,
        rounded(Op::Sum)?,
        rounded(Op::L2)?,
    ))
}

/// The nearest float64.
fn float(value: Value) -> f64 {
    let integer = || value.as_i128().map(|integer| integer as f64);
    value.as_f64().or_else(integer).expect("an integer or a float")
}

fn other_states() -> PyErr {
    PyRuntimeError::new_err("a round gave other states than its own")
}
