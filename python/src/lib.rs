//! The native half of the Python package `adsum`: converts, releases the GIL,
//! maps errors. What users see is in `adsum/__init__.py` and `adsum/MPI.py`.

use pyo3::prelude::*;

mod arrays;
mod files;
mod finish;
mod group;
mod interrupt;
mod partial;
mod pending;

/// The native half of adsum.
#[pymodule]
fn _adsum(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(arrays::reduce, module)?)?;
    module.add_function(wrap_pyfunction!(files::reduce_files, module)?)?;
    module.add_class::<partial::Partial>()?;
    group::register(module)
}
