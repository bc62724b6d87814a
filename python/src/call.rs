//! What a rank asks for, in words, which must be the same at all ranks: states tell
//! reductions apart, but not what becomes of them.

use ::adsum::Op;
use ::adsum::finish::Options;
use ::adsum::manifest::Manifest;
use numpy::PyUntypedArray;
use pyo3::prelude::*;

/// One number of each output, which each rank begins with an element of its own.
pub fn number(
    op: Op,
    Options { skip_nan, ddof }: Options,
    initial: Option<&Bound<'_, PyUntypedArray>>,
) -> PyResult<String> {
    let ddof = if ddof == 0 { String::new() } else { format!(" with ddof={ddof}") };
    let first = match initial {
        Some(initial) => format!(" from {}", initial.str()?),
        None => String::new(),
    };
    Ok(format!("{op}{ddof}{first}{}", without_nan(skip_nan)))
}

/// Quantiles. Their shares may be zero with a sign, which means nothing.
pub fn quantiles(shares: &[f64], method: &str, skip_nan: bool) -> String {
    let shares: Vec<f64> = shares.iter().map(|share| share + 0.0).collect();
    format!("quantiles {shares:?} ({method}){}", without_nan(skip_nan))
}

/// Counts between edges.
pub fn histogram(
    bins: usize,
    edges: Option<&[f64]>,
    range: Option<(f64, f64)>,
    skip_nan: bool,
) -> String {
    let edges = edges.map_or_else(|| format!("{bins} bins"), |edges| format!("{edges:?}"));
    let range = range.map_or_else(String::new, |range| format!(" of {range:?}"));
    format!("histogram by {edges}{range}{}", without_nan(skip_nan))
}

/// What one pass tells.
pub fn stats(skip_nan: bool) -> String {
    format!("stats{}", without_nan(skip_nan))
}

/// A call along axes, if they are not all.
pub fn along(call: &str, axes: Option<&[usize]>) -> String {
    axes.map_or_else(|| call.to_owned(), |axes| format!("{call} along axes {axes:?}"))
}

/// A call on files: the first of them, how many there are, and what tells all their names and
/// shapes from others.
pub fn of_files(call: &str, manifest: &Manifest) -> String {
    let mut hasher = ::blake3::Hasher::new();
    for file in manifest.files() {
        let description = format!(
            "{:?} {} {:?} {:?} {}\n",
            file.path, file.layout.dtype, file.memory_order, file.shape, file.data_offset_bytes
        );
        hasher.update(description.as_bytes());
    }
    let first = manifest.files().first().map_or_else(String::new, |file| file.name());
    let count = manifest.files().len();
    let mark = &hasher.finalize().to_hex()[..8];
    format!("{call} of '{first}' (files: {count}, which are {mark})")
}

fn without_nan(skip_nan: bool) -> &'static str {
    if skip_nan { " without NaN" } else { "" }
}
