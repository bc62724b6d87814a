//! Reductions of files, as the command line makes them.

use std::ffi::OsString;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ::adsum::executor::Settings;
use ::adsum::finish::{Finished, Options};
use ::adsum::local::{LocalNode, Observer};
use ::adsum::source;
use ::adsum::{Partial, Spec};
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;

use crate::arrays::{op_named, takes, threads};
use crate::finish::{Out, finish_one, numbers};
use crate::interrupt::INTERVAL;

/// The most memory that a reduction of files takes, in bytes.
const MEMORY_BYTES: u64 = 512 << 20;

/// Reduces all elements of the `.npy` files that paths and globs name, in that order.
/// `like` is any array.
#[pyfunction]
pub fn reduce_files<'py>(
    py: Python<'py>,
    op: &str,
    patterns: Vec<OsString>,
    dtype: Option<&str>,
    ddof: i64,
    skip_nan: bool,
    like: &Bound<'py, PyUntypedArray>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = op_named(op)?;
    let data = py.detach(|| source::open(&patterns, &source::Options::default()));
    let data = data.map_err(|error| PyOSError::new_err(error.to_string()))?;
    let input = data.manifest.dtype();
    takes(op, input)?;
    let out = Out::new(op, input, dtype)?;
    let mut warnings = data.warnings;
    let spec = Spec { dtype: input, monoids: op.monoids(input) };
    let total = total(py, data.manifest, spec, &mut warnings)?;
    for warning in warnings {
        let text = std::ffi::CString::new(warning)
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 3)?;
    }
    let found = finish_one(op, total.states(0), Options { skip_nan, ddof }, out.dtype);
    let found = found.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let number = |one: Option<Finished>| out.array(py, &[one.expect("a number")], &[], like);
    match numbers(op) {
        1 => number(found[0]),
        _ => Ok((number(found[0])?, number(found[1])?).into_pyobject(py)?.into_any()),
    }
}

/// Reduces on a thread of its own, which a signal leaves to itself.
fn total(
    py: Python<'_>,
    manifest: ::adsum::manifest::Manifest,
    spec: Spec,
    warnings: &mut Vec<String>,
) -> PyResult<Partial> {
    let settings = Settings {
        devices: Vec::new(),
        threads: threads(),
        memory_bytes: MEMORY_BYTES,
        tile_bytes: None,
        // A file that shrinks must not end Python.
        map_files: false,
        input_bytes: Some(manifest.bytes()),
        remember_bytes: 0,
    };
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let reduce = || -> Result<(Partial, Vec<String>), String> {
            let mut node = LocalNode::start(&settings).map_err(|error| error.to_string())?;
            let mut heard = Heard(node.warnings().to_vec());
            let outcome = node.reduce(Arc::new(manifest), spec, None, &mut heard);
            let outcome = outcome.map_err(|error| error.to_string())?;
            Ok((outcome.total, heard.0))
        };
        // Nobody listens after a signal.
        let _ = sender.send(reduce());
    });
    let ended = Mutex::new(ended);
    let wait = || ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(INTERVAL);
    loop {
        match py.detach(wait) {
            Ok(Ok((total, heard))) => {
                warnings.extend(heard);
                return Ok(total);
            }
            Ok(Err(message)) => return Err(PyOSError::new_err(message)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("the reduction of files panicked"));
            }
        }
    }
}

/// What should be known besides the result.
struct Heard(Vec<String>);

impl Observer for Heard {
    fn progress(&mut self, _bytes_done: u64) {}

    fn warning(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}
