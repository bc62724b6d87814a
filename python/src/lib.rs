//! The native half of the Python package `adsum`: converts, releases the GIL,
//! maps errors. What users see is in `adsum/__init__.py` and `adsum/MPI.py`.

use pyo3::prelude::*;

mod arrays;
mod axes;
mod call;
mod cluster;
mod command;
mod errors;
mod extra;
mod files;
mod finish;
mod group;
mod held;
mod interrupt;
mod partial;
mod pending;
mod rounds;
mod source;
mod threaded;

/// The native half of adsum.
#[pymodule]
fn _adsum(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(arrays::reduce, module)?)?;
    module.add_function(wrap_pyfunction!(command::command, module)?)?;
    module.add_function(wrap_pyfunction!(arrays::quantiles_along, module)?)?;
    module.add_function(wrap_pyfunction!(files::reduce_files, module)?)?;
    module.add_function(wrap_pyfunction!(files::quantiles_of_files, module)?)?;
    module.add_function(wrap_pyfunction!(files::dot_of_files, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::quantiles, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::summary, module)?)?;
    module.add_function(wrap_pyfunction!(rounds::histogram, module)?)?;
    module.add_class::<cluster::Connection>()?;
    module.add_class::<files::Files>()?;
    module.add_class::<partial::Partial>()?;
    group::register(module)
}
