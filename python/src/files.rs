//! Reductions of files, as the command line makes them.

use std::ffi::{CString, OsString};
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ::adsum::device::DeviceChoice;
use ::adsum::executor::Settings;
use ::adsum::finish::{Finished, Options};
use ::adsum::local::{LocalNode, Observer};
use ::adsum::manifest::{Cut, ENTRY_BYTES, Manifest, OutputOrder, axis_outputs};
use ::adsum::source;
use ::adsum::{DType, Partial, Spec};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyUserWarning};
use pyo3::prelude::*;

use crate::arrays::{axes_of, op_named, takes, threads};
use crate::errors::value_error;
use crate::finish::{Out, finish_one, numbers};
use crate::interrupt::INTERVAL;
use crate::source::{Group, Source};

/// The most memory that a reduction of files takes, in bytes.
const MEMORY_BYTES: u64 = 512 << 20;

/// The most bytes of the states of one entry along an axis, and of one window of outputs.
const ENTRY_STATE_BYTES: u64 = 1 << 20;
const WINDOW_STATE_BYTES: u64 = 32 << 20;

/// Files as Python names them.
#[pyclass(frozen)]
pub struct Files {
    patterns: Vec<OsString>,
    devices: Vec<DeviceChoice>,
    progress: Option<Py<PyAny>>,
}

#[pymethods]
impl Files {
    /// Paths and globs, in this order. `devices` are those of `--device`; `progress` is
    /// called with the bytes that are done, and all.
    #[new]
    fn new(patterns: Vec<OsString>, devices: Vec<String>, progress: Option<Py<PyAny>>) -> Files {
        let choice = |name: &String| name.parse().expect("any text is a choice");
        let devices: Vec<DeviceChoice> = devices.iter().map(choice).collect();
        Files { patterns, devices, progress }
    }
}

/// Files that are there.
pub struct Opened<'py> {
    files: Bound<'py, Files>,
    manifest: Arc<Manifest>,
    group: Option<Group<'py>>,
    warnings: Vec<String>,
}

impl<'py> Opened<'py> {
    pub fn new(files: Bound<'py, Files>, group: Option<Group<'py>>) -> PyResult<Opened<'py>> {
        let patterns = &files.get().patterns;
        let data = files.py().detach(|| source::open(patterns, &source::Options::default()));
        let data = data.map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Opened { files, manifest: Arc::new(data.manifest), group, warnings: data.warnings })
    }

    /// The partial of a manifest over these files, of which each rank reduces its share.
    fn reduce(
        &mut self,
        py: Python<'_>,
        manifest: &Arc<Manifest>,
        spec: &Spec,
    ) -> PyResult<Partial> {
        let share = self.group.as_ref().map(|group| {
            let entries = manifest.entries().len() as u64;
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
        let Some(group) = &self.group else { return Ok(partial) };
        let total = group.merge(partial)?;
        if total.elements() != manifest.elements() {
            return Err(value_error(format!(
                "the ranks have reduced {} elements of files that have {} at rank {}; give all ranks the same files",
                total.elements(),
                manifest.elements(),
                group.rank
            )));
        }
        Ok(total)
    }

    /// Reduces on a thread of its own, which a signal leaves to itself.
    fn reduce_here(
        &mut self,
        py: Python<'_>,
        manifest: &Arc<Manifest>,
        spec: &Spec,
        share: Option<Range<u32>>,
        bytes: u64,
    ) -> PyResult<Partial> {
        let settings = Settings {
            devices: self.files.get().devices.clone(),
            threads: threads(),
            memory_bytes: MEMORY_BYTES,
            tile_bytes: None,
            // A file that shrinks must not end Python.
            map_files: false,
            input_bytes: Some(bytes),
            remember_bytes: 0,
        };
        let (sender, said) = channel();
        let (manifest, spec) = (Arc::clone(manifest), spec.clone());
        std::thread::spawn(move || {
            let mut teller = Teller(sender);
            let ended = reduce(&settings, manifest, spec, share, &mut teller);
            // Nobody listens after a signal.
            let _ = teller.0.send(Said::Ended(Box::new(ended)));
        });
        let said = Mutex::new(said);
        let mut done = None;
        loop {
            let heard = py.detach(|| hear(&said));
            match heard {
                Ok(Said::Ended(ended)) => return ended.map_err(PyOSError::new_err),
                Ok(Said::Warning(text)) => self.warnings.push(text),
                Ok(Said::Progress(bytes_done)) if done != Some(bytes_done) => {
                    done = Some(bytes_done);
                    if let Some(progress) = &self.files.get().progress {
                        progress.call1(py, (bytes_done, bytes))?;
                    }
                }
                Ok(Said::Progress(_)) => {}
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the reduction of files panicked"));
                }
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

/// Reduces files along an axis; those of several are one array, joined along the first.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
pub fn reduce_files_along<'py>(
    py: Python<'py>,
    op: &str,
    files: &Bound<'py, Files>,
    axis: isize,
    keepdims: bool,
    dtype: Option<&str>,
    ddof: i64,
    skip_nan: bool,
    like: &Bound<'py, PyUntypedArray>,
    comm: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let group = comm.map(Group::new).transpose()?;
    let mut opened = Opened::new(files.clone(), group)?;
    let input = opened.dtype();
    takes(op, input)?;
    let out = Out::new(op, input, dtype)?;
    let all = opened.manifest.files().to_vec();
    let axis = axes_of(py, &[axis], all[0].shape.len())?[0];
    let order = OutputOrder::new(&all, axis).map_err(value_error)?;
    let outputs = axis_outputs(&all, axis).map_err(value_error)?;
    let spec = Spec { dtype: input, monoids: op.monoids(input) };
    let state_bytes: u64 = spec.monoids.iter().map(|monoid| monoid.state_bytes(input)).sum();
    let window = (WINDOW_STATE_BYTES / state_bytes).max(1);
    let mut found: [Vec<Option<Finished>>; 2] = Default::default();
    found[..numbers(op)].iter_mut().for_each(|one| one.resize(outputs as usize, None));
    let mut first = 0;
    while first < outputs {
        let range = first..outputs.min(first + window);
        let cut = Cut::Axis {
            entry_bytes: ENTRY_BYTES,
            axis: axis as u8,
            outputs: range.clone(),
            outputs_max: (ENTRY_STATE_BYTES / state_bytes).max(1),
        };
        let manifest = Arc::new(Manifest::cut(all.clone(), cut).map_err(value_error)?);
        let total = opened.reduce(py, &manifest, &spec)?;
        for (index, output) in range.clone().enumerate() {
            let options = Options { skip_nan, ddof };
            let both = finish_one(op, total.states(index), options, out.dtype);
            let position = order.position(output) as usize;
            for (all, one) in found.iter_mut().zip(both.map_err(value_error)?) {
                if let Some(place) = all.get_mut(position) {
                    *place = one;
                }
            }
        }
        first = range.end;
    }
    opened.warn(py)?;
    let mut shape: Vec<usize> = order.shape().iter().map(|&length| length as usize).collect();
    if keepdims {
        shape.insert(axis, 1);
    }
    let array = |all: &[Option<Finished>]| {
        let all: Vec<Finished> = all.iter().map(|one| one.expect("every output")).collect();
        out.array(py, &all, &shape, like)
    };
    match numbers(op) {
        1 => array(&found[0]),
        _ => Ok((array(&found[0])?, array(&found[1])?).into_pyobject(py)?.into_any()),
    }
}

/// What the thread that reduces says.
enum Said {
    Progress(u64),
    Warning(String),
    Ended(Box<Result<Partial, String>>),
}

fn hear(said: &Mutex<Receiver<Said>>) -> Result<Said, RecvTimeoutError> {
    said.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(INTERVAL)
}

fn reduce(
    settings: &Settings,
    manifest: Arc<Manifest>,
    spec: Spec,
    share: Option<Range<u32>>,
    teller: &mut Teller,
) -> Result<Partial, String> {
    let mut node = LocalNode::start(settings).map_err(|error| error.to_string())?;
    node.warnings().to_vec().iter().for_each(|warning| teller.warning(warning));
    let partial = match share {
        Some(positions) => node.reduce_part(&manifest, positions, &spec, teller),
        None => node.reduce(manifest, spec, None, teller).map(|outcome| outcome.total),
    };
    partial.map_err(|error| error.to_string())
}

struct Teller(Sender<Said>);

impl Observer for Teller {
    fn progress(&mut self, bytes_done: u64) {
        // Nobody listens after a signal.
        let _ = self.0.send(Said::Progress(bytes_done));
    }

    fn warning(&mut self, text: &str) {
        let _ = self.0.send(Said::Warning(text.to_owned()));
    }
}
