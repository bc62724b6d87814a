//! The command line, as a program of Python's.

use std::ffi::OsString;

use ::adsum::cli::{self, Program};
use pyo3::prelude::*;

/// Runs the command line with these arguments, the program's name first; the code to exit
/// with. `again` are the words that start it again, to be followed by its arguments.
///
/// The process must do nothing else: it takes over signals, and may end the process.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>, again: Vec<OsString>) -> u8 {
    py.detach(|| cli::run(Program { arguments, again }))
}
