//! The native half of the Python package `adsum`: converts, releases the GIL,
//! maps errors. What users see is in `adsum/__init__.py` and `adsum/MPI.py`.

use pyo3::prelude::*;

mod arrays;
mod cluster;
mod command;
mod errors;
mod files;
mod finish;
mod group;
mod interrupt;
mod partial;
mod pending;
mod rounds;
mod source;

/// The native half of adsum.
#[pymodule]
fn _adsum(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(arrays::reduce, module)?)?;
    module.add_function(wrap_pyfunction!(command::command, module)?)?;
    module.add_function(wrap_pyfunction!(arrays::quantiles_along, module)?)?;
    module.add_function(wrap_pyfunction!(files::reduce_files_along, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::number, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::quantiles, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::summary, module)?)?;
    module.add("ALONG_MAX", ::adsum::op::MULTISET_MAX)?;
    module.add_function(wrap_pyfunction!(rounds::histogram, module)?)?;
    module.add_class::<cluster::Connection>()?;
    module.add_class::<files::Files>()?;
    module.add_class::<partial::Partial>()?;
    group::register(module)
}
