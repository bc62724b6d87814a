//! Ctrl-C while the GIL is released.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How often Python is asked whether a signal has come.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Asks Python now and then whether a signal has come, and keeps its exception.
pub struct Interrupt {
    asked: Cell<Instant>,
    raised: RefCell<Option<PyErr>>,
}

impl Interrupt {
    pub fn new() -> Interrupt {
        Interrupt { asked: Cell::new(Instant::now()), raised: RefCell::new(None) }
    }

    /// Whether to stop. Called without the GIL, on a thread of Python's.
    pub fn stop(&self) -> bool {
        if self.asked.get().elapsed() < INTERVAL {
            return false;
        }
        self.asked.set(Instant::now());
        let raised = Python::attach(|py| py.check_signals()).err();
        let stop = raised.is_some();
        if stop {
            self.raised.replace(raised);
        }
        stop
    }

    /// The exception that a signal's handler raised.
    pub fn into_raised(self) -> Option<PyErr> {
        self.raised.into_inner()
    }
}

thread_local! {
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Whether a signal has come whose handler raised an exception, which is kept for
/// [`raised`] on this thread. Called without the GIL, by threads that may outlive Python.
pub fn has_come() -> bool {
    let raised = Python::try_attach(|py| py.check_signals().err()).flatten();
    let has_come = raised.is_some();
    RAISED.set(raised);
    has_come
}

/// The exception by which this thread gave a call up.
pub fn raised() -> Option<PyErr> {
    RAISED.take()
}
