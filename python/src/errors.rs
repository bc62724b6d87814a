//! Failures as Python's exceptions.

use ::adsum::cli::{Blame, Failure};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A failure of a cluster as the exception of `adsum` that says whose fault it is.
pub fn raised(py: Python<'_>, failure: &Failure) -> PyErr {
    let name = match failure.blame {
        Blame::Incomplete | Blame::Partial => "IncompleteError",
        Blame::Deadline => "DeadlineError",
        Blame::Identity => "IdentityError",
        Blame::Cluster => "UnreachableError",
        Blame::Usage | Blame::Input | Blame::Numeric => "DataError",
        Blame::Internal | Blame::Device | Blame::Interrupted => "ClusterError",
    };
    let message = in_python(&failure.message);
    let class = py.import("adsum._errors").and_then(|errors| errors.getattr(name));
    match class.and_then(|class| class.call1((message,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// An error of what was asked for.
pub fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(in_python(&error.to_string()))
}

/// A message whose ways out are flags of the command line, with keywords in their place:
/// `allow_partial=` for `'--allow-partial'`.
fn in_python(message: &str) -> String {
    let mut parts = message.split("'--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('\'') {
            Some((flag, rest)) => {
                let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
                text.push_str(&format!("{}={value}{rest}", name.replace('-', "_")));
            }
            None => text.push_str(part),
        }
    }
    text
}
