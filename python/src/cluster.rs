//! `adsum.Cluster`: the questions that a cluster answers.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::adsum::cli::{self, Data, Failure, How};
use ::adsum::finish::Options;
use ::adsum::{DType, Partial, Spec};
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::errors::{raised, value_error};
use crate::files::warn;
use crate::interrupt::INTERVAL;
use crate::rounds::{Histogram, Summary, histogram_of, number_of, quantiles_of, summary_of};
use crate::source::Source;
use crate::threaded::Threaded;

/// How often a question is asked anew because data were lost meanwhile.
const REPEATS_MAX: u32 = 3;

/// How long a question that is given up takes to say so to the cluster.
const FAREWELL: Duration = Duration::from_millis(200);

/// A connection to a cluster, made when it is needed.
#[pyclass(frozen)]
pub struct Connection {
    hosts: Vec<String>,
    token: Option<PathBuf>,
    held: Mutex<Option<Threaded<cli::Cluster>>>,
}

#[pymethods]
impl Connection {
    #[new]
    fn new(hosts: Vec<String>, token: Option<PathBuf>) -> Connection {
        Connection { hosts, token, held: Mutex::new(None) }
    }

    /// Connects, if it is not.
    fn open(&self, py: Python<'_>) -> PyResult<()> {
        let held = py.detach(|| self.taken()).map_err(|failure| raised(py, &failure))?;
        self.give_back(held);
        Ok(())
    }

    /// Ends the connection.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }

    #[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
    fn number<'py>(
        &self,
        py: Python<'py>,
        op: &str,
        data: Wanted,
        dtype: Option<&str>,
        ddof: i64,
        skip_nan: bool,
        like: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = Options { skip_nan, ddof };
        self.ask(py, &data, |source| number_of(py, source, op, dtype, options, like))
    }

    #[expect(clippy::too_many_arguments, reason = "all that Python's keywords say")]
    fn quantiles<'py>(
        &self,
        py: Python<'py>,
        data: Wanted,
        shares: Vec<f64>,
        method: &str,
        skip_nan: bool,
        dtype: Option<&str>,
        like: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, &data, |source| {
            quantiles_of(py, source, &shares, method, skip_nan, dtype, like)
        })
    }

    fn summary(&self, py: Python<'_>, data: Wanted, skip_nan: bool) -> PyResult<Summary> {
        self.ask(py, &data, |source| summary_of(py, source, skip_nan))
    }

    fn histogram(
        &self,
        py: Python<'_>,
        data: Wanted,
        bins: usize,
        edges: Option<Vec<f64>>,
        range: Option<(f64, f64)>,
        skip_nan: bool,
    ) -> PyResult<Histogram> {
        self.ask(py, &data, |source| histogram_of(py, source, bins, edges.clone(), range, skip_nan))
    }
}

/// What of a cluster is asked, as Python says it.
#[derive(FromPyObject)]
struct Wanted {
    patterns: Vec<String>,
    /// Those of the data set with the other elements of pairs.
    second: Option<Vec<String>>,
    allow_partial: bool,
    each_node: bool,
    verify: bool,
    deadline_s: Option<f64>,
    progress: Option<Py<PyAny>>,
}

impl Connection {
    /// Asks something of a data set; anew of what is left, if some of it is lost meanwhile
    /// and a part is allowed.
    fn ask<T>(
        &self,
        py: Python<'_>,
        wanted: &Wanted,
        mut question: impl FnMut(&mut dyn Source) -> PyResult<T>,
    ) -> PyResult<T> {
        let deadline = wanted.deadline_s.map(Duration::try_from_secs_f64).transpose();
        let how = How {
            allow_partial: wanted.allow_partial,
            each_node: wanted.each_node,
            verify: wanted.verify,
            deadline: deadline.map_err(value_error)?,
        };
        let mut attempt = 0;
        loop {
            let mut held = py.detach(|| self.taken()).map_err(|failure| raised(py, &failure))?;
            let cluster = held.get_mut().expect("of this process");
            let second = wanted.second.as_deref();
            let found = py.detach(|| cluster.find(&wanted.patterns, second, how, attempt > 0));
            let data = found.map_err(|failure| raised(py, &failure))?;
            let mut source = Remote { data, progress: &wanted.progress, is_stopped: false };
            let answer = question(&mut source);
            let Remote { data, is_stopped, .. } = source;
            let lost = data.is_incomplete;
            drop(data);
            match is_stopped {
                true => py.detach(|| drop(held)),
                false => self.give_back(held),
            }
            attempt += 1;
            if answer.is_ok() || !how.allow_partial || !lost || attempt > REPEATS_MAX {
                return answer;
            }
        }
    }

    /// The connection that is there, or another one. Who asks at the same time on another
    /// thread has one of its own.
    fn taken(&self) -> Result<Threaded<cli::Cluster>, Failure> {
        match self.lock().take() {
            Some(held) if held.get().is_some() => Ok(held),
            _ => cli::Cluster::connect(&self.hosts, self.token.clone()).map(Threaded::new),
        }
    }

    fn give_back(&self, held: Threaded<cli::Cluster>) {
        self.lock().get_or_insert(held);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Threaded<cli::Cluster>>> {
        // What is held is whole at all times.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data set of a cluster.
struct Remote<'a> {
    data: Data<'a>,
    progress: &'a Option<Py<PyAny>>,
    /// A signal has ended the connection.
    is_stopped: bool,
}

impl Source for Remote<'_> {
    fn dtype(&self) -> DType {
        self.data.manifest.dtype()
    }

    fn total(&mut self, py: Python<'_>, spec: &Spec) -> PyResult<Partial> {
        let Remote { data, progress, is_stopped } = self;
        let (stopper, bytes) = (data.stopper(), data.manifest.bytes());
        let (sender, done) = channel();
        let done = Mutex::new(done);
        let hear = || done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(INTERVAL);
        std::thread::scope(|scope| {
            let work = scope.spawn(move || {
                // Nobody listens after a signal.
                data.reduce(spec, |bytes_done| {
                    let _ = sender.send(bytes_done);
                })
            });
            let told = loop {
                let told = match (py.detach(hear), &*progress) {
                    (Ok(bytes_done), Some(progress)) => {
                        progress.call1(py, (bytes_done, bytes)).map(drop)
                    }
                    (Ok(_), None) => Ok(()),
                    (Err(RecvTimeoutError::Timeout), _) => py.check_signals(),
                    (Err(RecvTimeoutError::Disconnected), _) => break Ok(()),
                };
                if told.is_err() {
                    *is_stopped = true;
                    py.detach(|| stopper.stop(FAREWELL));
                    break told;
                }
            };
            let result = py.detach(|| work.join());
            told?;
            match result {
                Ok(result) => result.map_err(|failure| raised(py, &failure)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn warn(&mut self, py: Python<'_>) -> PyResult<()> {
        warn(py, &std::mem::take(&mut self.data.warnings))?;
        let left_out = std::mem::take(&mut self.data.left_out);
        match left_out.is_empty() {
            true => Ok(()),
            false => {
                let text = format!("the result is of a part; left out: {}", left_out.join("; "));
                let class = py.import("adsum._errors")?.getattr("PartialResultWarning")?;
                let text = CString::new(text).map_err(value_error)?;
                PyErr::warn(py, &class, &text, 3)
            }
        }
    }
}
