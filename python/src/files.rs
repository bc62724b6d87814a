//! Reductions of files, as the command line makes them, and of arrays by the same
//! processors.

use std::ffi::{CString, OsString};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ::adsum::device::DeviceChoice;
use ::adsum::executor::{self, Settings};
use ::adsum::finish::Options;
use ::adsum::local::{LocalNode, Observer};
use ::adsum::manifest::{File, Manifest, joined_shape};
use ::adsum::op::MULTISET_MAX;
use ::adsum::reduction::State;
use ::adsum::source::{self, Held, Mask};
use ::adsum::{DType, Monoid, Partial, Spec};
use numpy::{PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyUserWarning};
use pyo3::prelude::*;

use crate::arrays::{axes_of, op_named, takes, threads};
use crate::axes::Axes;
use crate::call;
use crate::errors::value_error;
use crate::extra::Extra;
use crate::finish::{Out, finish_one};
use crate::held::held;
use crate::interrupt::INTERVAL;
use crate::rounds::{Quantiles, number_of};
use crate::source::{Group, Source};

/// The most memory that a reduction of files takes, in bytes.
const MEMORY_BYTES: u64 = 512 << 20;

/// Files that are there, in the states that they have; or an array in their place.
#[pyclass(frozen)]
pub struct Files {
    manifest: Arc<Manifest>,
    held: Option<Held>,
    /// Those that nobody was told.
    warnings: Mutex<Vec<String>>,
    devices: Vec<DeviceChoice>,
    progress: Option<Py<PyAny>>,
}

#[pymethods]
impl Files {
    /// Paths and globs, in this order. `devices` are those of `--device`; `progress` is
    /// called with the bytes that are done, and all.
    #[new]
    fn new(
        py: Python<'_>,
        patterns: Vec<OsString>,
        devices: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Files> {
        let devices = choices(&devices);
        let data = py.detach(|| source::open(&patterns, &source::Options::default()));
        let data = data.map_err(|error| PyOSError::new_err(error.to_string()))?;
        let (manifest, warnings) = (Arc::new(data.manifest), Mutex::new(data.warnings));
        Ok(Files { manifest, held: None, warnings, devices, progress })
    }

    /// An array in C or Fortran order, for the same devices.
    #[staticmethod]
    fn of_array(
        array: &Bound<'_, PyUntypedArray>,
        devices: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Files> {
        let held = held(array)?;
        let manifest = Manifest::new(vec![held.file().clone()]).map_err(value_error)?;
        let (manifest, devices) = (Arc::new(manifest), choices(&devices));
        if manifest.elements() == 0 {
            // Nothing will look at them.
            executor::check(&settings(devices.clone(), 0))
                .map_err(|error| PyOSError::new_err(error.to_string()))?;
        }
        Ok(Files { manifest, held: Some(held), warnings: Mutex::default(), devices, progress })
    }

    /// The name of the elements' type.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.manifest.dtype().name()
    }

    /// The lengths of the axes, joined along the first.
    #[getter]
    fn shape(&self) -> PyResult<Vec<u64>> {
        joined_shape(self.manifest.files()).map_err(value_error)
    }
}

fn choices(devices: &[String]) -> Vec<DeviceChoice> {
    devices.iter().map(|name| name.parse().expect("any text is a choice")).collect()
}

fn settings(devices: Vec<DeviceChoice>, input_bytes: u64) -> Settings {
    Settings {
        devices,
        threads: threads(),
        memory_bytes: MEMORY_BYTES,
        tile_bytes: None,
        // A file that shrinks must not end Python.
        map_files: false,
        input_bytes: Some(input_bytes),
        remember_bytes: 0,
    }
}

impl Files {
    /// The number of axes that each file has.
    fn ndim(&self) -> PyResult<usize> {
        let files = self.manifest.files();
        let axes = |file: &File| file.shape.len();
        match files.iter().find(|file| axes(file) != axes(&files[0])) {
            None => Ok(axes(&files[0])),
            Some(other) => Err(value_error(format!(
                "'{}' has {} axes, '{}' has {}, so that there is no result with the axes of both; leave keepdims out",
                files[0].name(),
                axes(&files[0]),
                other.name(),
                axes(other)
            ))),
        }
    }

    fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Files that are reduced, alone or by all ranks of a group: each its share of the same
/// files, or an array of its own.
pub struct Opened<'py> {
    files: Bound<'py, Files>,
    manifest: Arc<Manifest>,
    held: Vec<Held>,
    /// Of arrays of ranks, once it is known: where this rank's elements begin along the
    /// reduced axes, and how many all ranks have there.
    place: Option<(u64, u64)>,
    mask: Option<Arc<Mask>>,
    group: Option<Group<'py>>,
    /// The processors, started by the first pass.
    node: Option<LocalNode>,
    warnings: Vec<String>,
}

impl<'py> Opened<'py> {
    pub fn new(files: Bound<'py, Files>, group: Option<Group<'py>>) -> Opened<'py> {
        let (manifest, warnings) = (Arc::clone(&files.get().manifest), files.get().take_warnings());
        let held = files.get().held.iter().cloned().collect();
        Opened { files, manifest, held, place: None, mask: None, group, node: None, warnings }
    }

    /// How many elements all ranks have for each result. Of arrays, which lie one after the
    /// other along the reduced axes, each has `elements`, and results of this shape.
    fn joined(&mut self, shape: &[usize], elements: u64) -> PyResult<u64> {
        match &self.group {
            Some(group) if !self.held.is_empty() => {
                let place = match self.place {
                    Some(place) => place,
                    None => group.place(self.manifest.dtype(), shape, elements)?,
                };
                self.place = Some(place);
                Ok(place.1)
            }
            _ => Ok(elements),
        }
    }

    /// The partial of a manifest over these files, of which each rank reduces its share, or
    /// of the arrays of all ranks.
    pub fn reduce(
        &mut self,
        py: Python<'_>,
        manifest: &Arc<Manifest>,
        spec: &Spec,
    ) -> PyResult<Partial> {
        self.joined(&[], manifest.elements())?;
        let share = self.group.as_ref().map(|group| {
            let entries = manifest.entries().len() as u64;
            if self.place.is_some() {
                return 0..entries as u32;
            }
            let bound = |rank: u64| (entries * rank / group.size) as u32;
            bound(group.rank)..bound(group.rank + 1)
        });
        let bytes = match &share {
            Some(share) => {
                let entries = &manifest.entries()[share.start as usize..share.end as usize];
                entries.iter().map(|entry| manifest.entry_bytes(entry)).sum()
            }
            None => manifest.bytes(),
        };
        let partial = self.reduce_here(py, manifest, spec, share, bytes)?;
        let Some(group) = &self.group else { return partial.map_err(PyOSError::new_err) };
        // Of files each rank reduces a share, which must be of the same.
        let files = self.place.is_none().then_some(&*self.manifest);
        let total = group.merge_results(spec, partial, files)?;
        if self.place.is_none() && total.elements() != manifest.elements() {
            return Err(value_error(format!(
                "the ranks have reduced {} elements of files that have {} at rank {}; give all ranks the same files",
                total.elements(),
                manifest.elements(),
                group.rank
            )));
        }
        Ok(total)
    }

    /// Reduces on a thread of its own, which has ended when this returns: an exception may
    /// give the memory that it reads to others.
    fn reduce_here(
        &mut self,
        py: Python<'_>,
        manifest: &Arc<Manifest>,
        spec: &Spec,
        share: Option<Range<u32>>,
        bytes: u64,
    ) -> PyResult<Result<Partial, String>> {
        let settings = settings(self.files.get().devices.clone(), bytes);
        let (sender, said) = channel();
        let (manifest, spec) = (Arc::clone(manifest), spec.clone());
        let (mask, held, place) = (self.mask.clone(), self.held.clone(), self.place);
        let node = self.node.take();
        let stop = Arc::new(AtomicBool::new(false));
        let mut teller = Teller { sender, stop: Arc::clone(&stop) };
        let worker = std::thread::spawn(move || {
            let node = node.map_or_else(|| start(&settings, &mut teller), Ok);
            let ended = node.and_then(|node| {
                let node = node.holding(held, place.map_or(0, |(first, _)| first));
                let node = match mask {
                    Some(mask) => node.masked(mask),
                    None => node,
                };
                reduce(node, manifest, spec, share, &mut teller)
            });
            // Nobody listens after an exception.
            let _ = teller.sender.send(Said::Ended);
            ended
        });
        let listened = self.listen(py, &Mutex::new(said), bytes);
        stop.store(true, Ordering::Relaxed);
        let ended = py.detach(|| worker.join());
        listened?;
        let panicked = |_| PyRuntimeError::new_err("the reduction panicked");
        Ok(ended.map_err(panicked)?.map(|(partial, node)| {
            self.node = Some(node);
            partial
        }))
    }

    /// Tells of what is said until the end, or until a signal has come.
    fn listen(&mut self, py: Python<'_>, said: &Mutex<Receiver<Said>>, bytes: u64) -> PyResult<()> {
        let mut done = None;
        let mut asked = None::<Instant>;
        loop {
            // Also between passes, each of which may be shorter.
            if asked.is_none_or(|asked| asked.elapsed() >= INTERVAL) {
                py.check_signals()?;
                asked = Some(Instant::now());
            }
            match py.detach(|| hear(said)) {
                Ok(Said::Ended) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Said::Warning(text)) => self.warnings.push(text),
                Ok(Said::Progress(bytes_done)) if done != Some(bytes_done) => {
                    done = Some(bytes_done);
                    if let Some(progress) = &self.files.get().progress {
                        progress.call1(py, (bytes_done, bytes))?;
                    }
                }
                Ok(Said::Progress(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Source for Opened<'_> {
    fn dtype(&self) -> DType {
        self.manifest.dtype()
    }

    fn total(&mut self, py: Python<'_>, spec: &Spec) -> PyResult<Partial> {
        let manifest = Arc::clone(&self.manifest);
        self.reduce(py, &manifest, spec)
    }

    fn warn(&mut self, py: Python<'_>) -> PyResult<()> {
        warn(py, &std::mem::take(&mut self.warnings))
    }
}

/// Warnings of users' affairs.
pub fn warn(py: Python<'_>, warnings: &[String]) -> PyResult<()> {
    for warning in warnings {
        let text = CString::new(warning.as_str())
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 3)?;
    }
    Ok(())
}

/// What of a reduction of files Python's keywords say besides the operation.
#[derive(FromPyObject)]
pub struct How<'py> {
    /// One more element that each output has: of their type, or of a wider one for sums
    /// and products of integers.
    initial: Option<Bound<'py, PyUntypedArray>>,
    /// Which elements count: an array with the axes of the joined files, of which those
    /// of length 1 are for all.
    included: Option<PyReadonlyArrayDyn<'py, bool>>,
    /// The bits of what is reduced in the place of the others.
    neutral: u64,
    /// For each output, how many of these are zeros that do not count.
    excluded: Option<PyReadonlyArray1<'py, i64>>,
    comm: Option<Bound<'py, PyAny>>,
}

/// Reduces files along axes, or all their elements; several files are joined along their
/// first axis.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn reduce_files<'py>(
    py: Python<'py>,
    op: &str,
    files: &Bound<'py, Files>,
    axes: Option<Vec<isize>>,
    keepdims: bool,
    dtype: Option<&str>,
    ddof: i64,
    skip_nan: bool,
    like: &Bound<'py, PyUntypedArray>,
    how: How<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let input = files.get().manifest.dtype();
    takes(op, input)?;
    let left = Left::new(py, files.get(), axes, keepdims)?;
    let out = Out::new(op, input, dtype)?;
    let spec = Spec { dtype: input, monoids: op.monoids(input) };
    let extra = Extra::new(py, op, &spec, how.initial.as_ref(), how.excluded.as_ref())?;
    let options = Options { skip_nan, ddof };
    let call = call::number(op, options, how.initial.as_ref())?;
    let call = call::along(&call, left.axes.as_deref());
    let group = how.comm.as_ref().map(|comm| Group::new(comm, &call));
    let mut opened = Opened::new(files.clone(), group.transpose()?);
    if let Some(included) = &how.included {
        let shape: Vec<u64> = included.shape().iter().map(|&length| length as u64).collect();
        let flags = included.as_slice()?.to_vec();
        let mask = Mask::new(files.get().manifest.files(), &shape, flags, how.neutral);
        opened.mask = Some(Arc::new(mask));
    }
    opened.joined(&left.kept, left.elements)?;
    let finish = |output: usize, states: &[State]| {
        let states = extra.with_initial(extra.own(output, states));
        finish_one(op, &states, options, out.dtype).map_err(value_error)
    };
    let found = match &left.axes {
        None => vec![finish(0, opened.total(py, &spec)?.states(0))?],
        Some(axes) => {
            Axes::new(opened.manifest.files(), axes, &spec)?.each(py, &mut opened, &spec, finish)?
        }
    };
    opened.warn(py)?;
    out.results(py, &found, &left.shape, like)
}

/// Quantiles of files along axes, or of all their elements: an array whose first axis is
/// that of `shares`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn quantiles_of_files<'py>(
    py: Python<'py>,
    files: &Bound<'py, Files>,
    axes: Option<Vec<isize>>,
    keepdims: bool,
    shares: Vec<f64>,
    method: &str,
    skip_nan: bool,
    dtype: Option<&str>,
    like: &Bound<'py, PyUntypedArray>,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let call = call::quantiles(&shares, method, skip_nan);
    let asked = Quantiles::new(files.get().manifest.dtype(), shares, method, skip_nan, dtype)?;
    let left = Left::new(py, files.get(), axes, keepdims)?;
    let call = call::along(&call, left.axes.as_deref());
    let group = comm.map(|comm| Group::new(comm, &call)).transpose()?;
    let mut opened = Opened::new(files.clone(), group);
    let elements = opened.joined(&left.kept, left.elements)?;
    let found = match &left.axes {
        None => vec![asked.search(|spec| opened.total(py, spec))?],
        Some(axes) => {
            let dtype = opened.dtype();
            let spec = |elements_max| Spec::of(dtype, Monoid::Multiset { elements_max });
            let axes = Axes::new(opened.manifest.files(), axes, &spec(1))?;
            match u32::try_from(elements.max(1)) {
                Ok(elements_max @ 1..=MULTISET_MAX) => {
                    let of_one = |_, states: &[State]| asked.of(states);
                    axes.each(py, &mut opened, &spec(elements_max), of_one)?
                }
                // Too many to be kept: each result in several passes.
                _ => axes.each_by_rounds(py, &mut opened, |total| asked.search(total))?,
            }
        }
    };
    opened.warn(py)?;
    asked.array(py, &found, &left.shape, like)
}

/// The exact sum of the products of the elements of two data sets.
#[pyfunction]
pub fn dot_of_files<'py>(
    py: Python<'py>,
    first: &Bound<'py, Files>,
    second: &Bound<'py, Files>,
    dtype: Option<&str>,
    like: &Bound<'py, PyUntypedArray>,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let group = comm.map(|comm| Group::new(comm, "dot")).transpose()?;
    let mut opened = Opened::new(first.clone(), group);
    opened.warnings.extend(second.get().take_warnings());
    opened.held.extend(second.get().held.clone());
    let pairs = Manifest::pairs(&first.get().manifest, &second.get().manifest);
    opened.manifest = Arc::new(pairs.map_err(value_error)?);
    number_of(py, &mut opened, "dot", dtype, Options::default(), like)
}

/// What is left of the axes of files.
struct Left {
    /// Those that are reduced, in order, if they are not all.
    axes: Option<Vec<usize>>,
    /// The shape of the result, and without the axes that keepdims keeps.
    shape: Vec<usize>,
    kept: Vec<usize>,
    /// Number of elements of each result.
    elements: u64,
}

impl Left {
    fn new(
        py: Python<'_>,
        files: &Files,
        axes: Option<Vec<isize>>,
        keepdims: bool,
    ) -> PyResult<Left> {
        let Some(axes) = axes else {
            let axes = if keepdims { files.ndim()? } else { 0 };
            let elements = files.manifest.elements();
            return Ok(Left { axes: None, shape: vec![1; axes], kept: Vec::new(), elements });
        };
        let lengths = files.shape()?;
        let mut axes = axes_of(py, &axes, lengths.len())?;
        axes.sort_unstable();
        let shape = lengths.iter().enumerate().filter_map(|(axis, &length)| {
            let is_reduced = axes.contains(&axis);
            if is_reduced { keepdims.then_some(1) } else { Some(length as usize) }
        });
        let shape = shape.collect();
        let kept = (0..lengths.len()).filter(|axis| !axes.contains(axis));
        let kept = kept.map(|axis| lengths[axis] as usize).collect();
        let reduced = axes.iter().map(|&axis| lengths[axis]);
        let elements = reduced.fold(1_u64, u64::saturating_mul);
        Ok(Left { axes: (axes.len() < lengths.len()).then_some(axes), shape, kept, elements })
    }
}

/// What the thread that reduces says.
enum Said {
    Progress(u64),
    Warning(String),
    Ended,
}

fn hear(said: &Mutex<Receiver<Said>>) -> Result<Said, RecvTimeoutError> {
    said.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(INTERVAL)
}

fn start(settings: &Settings, teller: &mut Teller) -> Result<LocalNode, String> {
    let node = LocalNode::start(settings).map_err(|error| error.to_string())?;
    node.warnings().iter().for_each(|warning| teller.warning(warning));
    Ok(node)
}

/// The partial, and the node for the next pass.
fn reduce(
    mut node: LocalNode,
    manifest: Arc<Manifest>,
    spec: Spec,
    share: Option<Range<u32>>,
    teller: &mut Teller,
) -> Result<(Partial, LocalNode), String> {
    let partial = match share {
        Some(positions) => node.reduce_part(&manifest, positions, &spec, teller),
        None => node.reduce(manifest, spec, None, teller).map(|outcome| outcome.total),
    };
    partial.map(|partial| (partial, node)).map_err(|error| error.to_string())
}

struct Teller {
    sender: Sender<Said>,
    stop: Arc<AtomicBool>,
}

impl Observer for Teller {
    fn progress(&mut self, bytes_done: u64) {
        // Nobody listens after an exception.
        let _ = self.sender.send(Said::Progress(bytes_done));
    }

    fn warning(&mut self, text: &str) {
        let _ = self.sender.send(Said::Warning(text.to_owned()));
    }

    fn stops(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
