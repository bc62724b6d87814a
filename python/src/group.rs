//! Groups of ranks: what `adsum/MPI.py` is made of. Arrays come here contiguous,
//! aligned and in native byte order, objects as bytes.

use std::sync::{Arc, PoisonError, RwLock};

use ::adsum::DType;
use ::adsum::communicator::{self, Communicator, Element, Operator};
use ::adsum::launch::{Given, Launch, LaunchError};
use ::adsum::rendezvous::{Config, environment};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrays::layout_of;

pyo3::create_exception!(
    adsum,
    GroupError,
    PyRuntimeError,
    "A call of a group of ranks failed: a rank died or left, ranks made different calls, or a deadline passed."
);

/// Adds what is here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("GroupError", module.py().get_type::<GroupError>())?;
    module.add_class::<Group>()
}

fn group_error(error: impl std::fmt::Display) -> PyErr {
    GroupError::new_err(error.to_string())
}

/// One communicator, as this rank sees it.
#[pyclass(frozen, module = "adsum._adsum")]
pub struct Group {
    communicator: RwLock<Option<Arc<Communicator>>>,
    rank: usize,
    size: usize,
}

impl From<Communicator> for Group {
    fn from(communicator: Communicator) -> Group {
        let (rank, size) = (communicator.rank(), communicator.size());
        Group { communicator: RwLock::new(Some(Arc::new(communicator))), rank, size }
    }
}

/// Runs a call for the element type of an array.
macro_rules! of_type {
    ($dtype:expr, $call:ident($($arg:expr),*)) => {
        match $dtype {
            DType::Bool | DType::U8 => $call::<u8>($($arg),*),
            DType::I8 => $call::<i8>($($arg),*),
            DType::I16 => $call::<i16>($($arg),*),
            DType::I32 => $call::<i32>($($arg),*),
            DType::I64 => $call::<i64>($($arg),*),
            DType::U16 => $call::<u16>($($arg),*),
            DType::U32 => $call::<u32>($($arg),*),
            DType::U64 => $call::<u64>($($arg),*),
            DType::F16 => $call::<half::f16>($($arg),*),
            DType::BF16 => $call::<half::bf16>($($arg),*),
            DType::F32 => $call::<f32>($($arg),*),
            DType::F64 => $call::<f64>($($arg),*),
        }
    };
}

#[pymethods]
impl Group {
    /// The group that this process was started in, whom it meets; alone if nothing
    /// started it as a rank.
    #[staticmethod]
    fn connect(py: Python<'_>) -> PyResult<Group> {
        let launch = match Launch::resolve(&Given::default(), &environment()) {
            Ok(launch) => launch,
            Err(LaunchError::NoLauncher { .. }) => return Ok(Communicator::solo().into()),
            Err(error) => return Err(group_error(error)),
        };
        let config = communicator::Config::default();
        let met = py.detach(|| Communicator::from_launch(&launch, &Config::default(), config));
        met.map(Group::from).map_err(group_error)
    }

    /// A group of this process alone.
    #[staticmethod]
    fn solo() -> Group {
        Communicator::solo().into()
    }

    #[getter]
    fn rank(&self) -> usize {
        self.rank
    }

    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    /// Gives it back; later calls are errors.
    fn leave(&self, py: Python<'_>) {
        let left = self.communicator.write().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(left));
    }

    fn barrier(&self, py: Python<'_>) -> PyResult<()> {
        let group = self.group()?;
        py.detach(|| group.barrier()).map_err(group_error)
    }

    /// A collective call whose result is put where what was given is.
    fn collective(
        &self,
        py: Python<'_>,
        call: &str,
        array: &Bound<'_, PyUntypedArray>,
        op: Option<&str>,
        root: usize,
    ) -> PyResult<()> {
        let dtype = layout_of(array)?.dtype;
        let operator = op.map(|name| operator_of(name, dtype)).transpose()?;
        let group = self.group()?;
        of_type!(dtype, collective(py, &group, call, array, operator, root))
    }

    fn all_gather_bytes(&self, py: Python<'_>, mine: Vec<u8>) -> PyResult<Vec<Py<PyBytes>>> {
        let group = self.group()?;
        let all = py.detach(|| group.all_gather_v(&mine)).map_err(group_error)?;
        Ok(to_python(py, all))
    }

    fn gather_bytes(
        &self,
        py: Python<'_>,
        mine: Vec<u8>,
        root: usize,
    ) -> PyResult<Option<Vec<Py<PyBytes>>>> {
        let group = self.group()?;
        let all = py.detach(|| group.gather_v(&mine, root)).map_err(group_error)?;
        Ok(all.map(|all| to_python(py, all)))
    }

    fn scatter_bytes(
        &self,
        py: Python<'_>,
        all: Vec<Vec<u8>>,
        root: usize,
    ) -> PyResult<Py<PyBytes>> {
        let group = self.group()?;
        let mine = py.detach(|| group.scatter_v(&all, root)).map_err(group_error)?;
        Ok(PyBytes::new(py, &mine).unbind())
    }

    fn all_to_all_bytes(&self, py: Python<'_>, all: Vec<Vec<u8>>) -> PyResult<Vec<Py<PyBytes>>> {
        let group = self.group()?;
        let all = py.detach(|| group.all_to_all_v(&all)).map_err(group_error)?;
        Ok(to_python(py, all))
    }

    fn broadcast_bytes(&self, py: Python<'_>, mine: Vec<u8>, root: usize) -> PyResult<Py<PyBytes>> {
        let group = self.group()?;
        let bytes = py.detach(|| {
            // Only the root knows the length.
            let length = group.broadcast(&[mine.len() as u64], root)?[0] as usize;
            let mut bytes = if self.rank == root { mine } else { vec![0; length] };
            group.broadcast_in_place(&mut bytes, root).map(|()| bytes)
        });
        Ok(PyBytes::new(py, &bytes.map_err(group_error)?).unbind())
    }

    /// Another communicator of the same ranks.
    fn dup(&self, py: Python<'_>) -> PyResult<Group> {
        let group = self.group()?;
        py.detach(|| group.dup()).map(Group::from).map_err(group_error)
    }

    /// The communicator of the ranks of one color, or None without one.
    fn split(&self, py: Python<'_>, color: Option<u32>, key: i64) -> PyResult<Option<Group>> {
        let group = self.group()?;
        let part = py.detach(|| group.split(color, key)).map_err(group_error)?;
        Ok(part.map(Group::from))
    }
}

impl Group {
    fn group(&self) -> PyResult<Arc<Communicator>> {
        let kept = self.communicator.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone().ok_or_else(|| GroupError::new_err("this communicator was freed"))
    }
}

fn to_python(py: Python<'_>, all: Vec<Vec<u8>>) -> Vec<Py<PyBytes>> {
    all.into_iter().map(|bytes| PyBytes::new(py, &bytes).unbind()).collect()
}

/// The operator of a name, where it takes these elements.
fn operator_of(name: &str, dtype: DType) -> PyResult<Operator> {
    let found = Operator::ALL.into_iter().find(|operator| operator.name() == name);
    let operator = found.ok_or_else(|| PyValueError::new_err(format!("no operator '{name}'")))?;
    match operator.takes(dtype) && !operator.is_located() {
        true => Ok(operator),
        false => Err(PyTypeError::new_err(format!("the operator '{name}' does not take {dtype}"))),
    }
}

fn collective<T: Element>(
    py: Python<'_>,
    group: &Communicator,
    call: &str,
    array: &Bound<'_, PyUntypedArray>,
    operator: Option<Operator>,
    root: usize,
) -> PyResult<()> {
    let flags = |name| array.getattr("flags")?.getattr(name)?.extract::<bool>();
    // What is not written to may be for reading alone.
    let reads = match call {
        "reduce" | "gather" => group.rank() != root,
        "broadcast" | "scatter" => group.rank() == root,
        _ => false,
    };
    if !flags("c_contiguous")? || !flags("aligned")? || !(reads || flags("writeable")?) {
        return Err(PyValueError::new_err(
            "an array for a group is contiguous, aligned and writeable",
        ));
    }
    // SAFETY: the array is contiguous, aligned and of this type, of which all bytes are
    // elements; it is kept alive by the caller, who lends it to this call as to MPI.
    let data = unsafe {
        match array.len() {
            0 => &mut [][..],
            length => std::slice::from_raw_parts_mut(
                (*array.as_array_ptr()).fields.data.cast::<T>(),
                length,
            ),
        }
    };
    let operator =
        || operator.ok_or_else(|| PyValueError::new_err(format!("{call} needs an operator")));
    let done = match call {
        "all_reduce" => {
            let operator = operator()?;
            py.detach(|| group.all_reduce_in_place(data, operator))
        }
        "reduce" => {
            let operator = operator()?;
            py.detach(|| group.reduce_in_place(data, operator, root))
        }
        "scan" => {
            let operator = operator()?;
            py.detach(|| group.scan_in_place(data, operator))
        }
        "exscan" => {
            let operator = operator()?;
            py.detach(|| group.exscan_in_place(data, operator))
        }
        "reduce_scatter_block" => {
            let operator = operator()?;
            py.detach(|| group.reduce_scatter_block_in_place(data, operator))
        }
        "broadcast" => py.detach(|| group.broadcast_in_place(data, root)),
        "all_gather" => py.detach(|| group.all_gather_in_place(data)),
        "gather" => py.detach(|| group.gather_in_place(data, root)),
        "scatter" => py.detach(|| group.scatter_in_place(data, root)),
        "all_to_all" => py.detach(|| group.all_to_all_in_place(data)),
        _ => return Err(PyValueError::new_err(format!("no collective call '{call}'"))),
    };
    done.map_err(group_error)
}
