//! Groups of ranks: what `adsum/MPI.py` is made of. Arrays come here contiguous,
//! aligned and in native byte order; what a call gives are arrays of one axis.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use ::adsum::DType;
use ::adsum::communicator::{self, Communicator, Operator};
use ::adsum::launch::{Given, Launch, LaunchError};
use ::adsum::rendezvous::{Config, environment};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::layout_of;
use crate::interrupt;
use crate::pending::{Known, Lies, Pending, known, wait_any};
use crate::threaded::Threaded;

// In Python, since it has methods.
pyo3::import_exception!(adsum._mpi.errors, GroupError);

/// Adds what is here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("GroupError", module.py().get_type::<GroupError>())?;
    module.add_class::<Pending>()?;
    module.add_function(wrap_pyfunction!(wait_any, module)?)?;
    module.add_class::<Group>()
}

/// The exception of an error, or that of the signal by which the call was given up.
pub fn group_error(error: communicator::GroupError) -> PyErr {
    use communicator::GroupError as Error;
    let class = match error {
        Error::PeerLost { .. } | Error::Expelled { .. } | Error::Minority { .. } => {
            "ERR_PROC_FAILED"
        }
        Error::Closed => "ERR_COMM",
        Error::Message { .. } => "ERR_TYPE",
        Error::Operator { .. } => "ERR_OP",
        Error::Rank { .. } => "ERR_RANK",
        Error::Length { .. } => "ERR_COUNT",
        _ => "ERR_OTHER",
    };
    interrupt::raised().unwrap_or_else(|| GroupError::new_err((error.to_string(), class)))
}

/// One communicator, as this rank sees it.
#[pyclass(frozen, module = "adsum._adsum")]
pub struct Group {
    communicator: RwLock<Option<Arc<Threaded<Communicator>>>>,
    rank: usize,
    size: usize,
}

impl From<Communicator> for Group {
    fn from(communicator: Communicator) -> Group {
        let (rank, size) = (communicator.rank(), communicator.size());
        let communicator = Threaded::new(communicator.until(interrupt::has_come));
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
        let met = py.detach(|| {
            let launch = match Launch::resolve(&Given::default(), &environment()) {
                Ok(launch) => launch,
                Err(LaunchError::NoLauncher { .. }) => return Ok(Communicator::solo()),
                Err(error) => return Err(error.to_string()),
            };
            let config = communicator::Config::default();
            let met = Communicator::from_launch(&launch, &Config::default(), config);
            met.map_err(|error| error.to_string())
        });
        met.map(Group::from).map_err(|error| GroupError::new_err((error, "ERR_OTHER")))
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

    /// Folds the arrays of all ranks into this one, which is lent for the time.
    fn all_reduce(
        &self,
        py: Python<'_>,
        array: &Bound<'_, PyUntypedArray>,
        op: &str,
    ) -> PyResult<()> {
        let dtype = layout_of(array)?.dtype;
        let operator = operator_of(op, dtype)?;
        of_type!(dtype, all_reduce(py, &*self.group()?, array, operator))
    }

    /// Copies the array of the root into this one, which is lent for the time.
    fn broadcast(
        &self,
        py: Python<'_>,
        array: &Bound<'_, PyUntypedArray>,
        root: usize,
    ) -> PyResult<()> {
        of_type!(layout_of(array)?.dtype, broadcast(py, &*self.group()?, array, root))
    }

    /// Folds `other` into `into`, here.
    fn reduce_local(
        &self,
        other: &Bound<'_, PyUntypedArray>,
        into: &Bound<'_, PyUntypedArray>,
        op: &str,
    ) -> PyResult<()> {
        let dtype = layout_of(into)?.dtype;
        if layout_of(other)?.dtype != dtype {
            return Err(PyValueError::new_err("arrays of two types cannot be folded"));
        }
        let operator = operator_of(op, dtype)?;
        of_type!(dtype, reduce_local(&*self.group()?, other, into, operator))
    }

    /// Begins a collective call by its name, on a copy of the array.
    ///
    /// `op` is for calls that fold; `counts` has the length of one block for each rank where
    /// they differ.
    fn begin(
        &self,
        call: &str,
        array: &Bound<'_, PyUntypedArray>,
        op: Option<&str>,
        root: usize,
        counts: Vec<usize>,
    ) -> PyResult<Pending> {
        let dtype = layout_of(array)?.dtype;
        let operator = op.map(|name| operator_of(name, dtype)).transpose()?;
        of_type!(dtype, begin(&*self.group()?, call, array, operator, root, &counts))
    }

    /// Begins to send a copy of the array to a rank. It ends when it is on its way, or not
    /// before a receive there takes it.
    fn send(
        &self,
        array: &Bound<'_, PyUntypedArray>,
        to: usize,
        tag: u32,
        until_received: bool,
    ) -> PyResult<Pending> {
        of_type!(layout_of(array)?.dtype, send(&*self.group()?, array, to, tag, until_received))
    }

    /// Begins to receive an array of the type of `like`, of any length.
    fn receive(
        &self,
        like: &Bound<'_, PyUntypedArray>,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> PyResult<Pending> {
        of_type!(layout_of(like)?.dtype, receive(&*self.group()?, from, tag))
    }

    /// Begins to receive the bytes of a message of any type.
    fn receive_any(&self, from: Option<usize>, tag: Option<u32>) -> PyResult<Pending> {
        Ok(Pending::received_any(self.group()?.receive_any_async(from, tag)))
    }

    /// The same of a message that is there; None if none is.
    fn receive_any_now(&self, from: Option<usize>, tag: Option<u32>) -> PyResult<Option<Pending>> {
        let found = self.group()?.receive_any_now(from, tag).map_err(group_error)?;
        Ok(found.map(Pending::received_any))
    }

    /// Begins to wait for a message, which stays where it is.
    fn probe(&self, from: Option<usize>, tag: Option<u32>) -> PyResult<Pending> {
        Ok(Pending::probed(self.group()?.probe_async(from, tag)))
    }

    /// What is known of a message that is there; None if none is.
    fn probe_now(&self, from: Option<usize>, tag: Option<u32>) -> PyResult<Option<Known>> {
        let found = self.group()?.probe_now(from, tag).map_err(group_error)?;
        Ok(found.map(known))
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
    fn group(&self) -> PyResult<Ours> {
        let kept = self.communicator.read().unwrap_or_else(PoisonError::into_inner).clone();
        let kept =
            kept.ok_or_else(|| GroupError::new_err(("this communicator was freed", "ERR_COMM")))?;
        match kept.get() {
            Some(_) => Ok(Ours(kept)),
            // Alone, a child is as its parent.
            None if self.size == 1 => {
                let Group { communicator, .. } = Group::solo();
                let alone = communicator.into_inner().unwrap_or_else(PoisonError::into_inner);
                *self.communicator.write().unwrap_or_else(PoisonError::into_inner) = alone;
                self.group()
            }
            None => Err(forked("communicator")),
        }
    }
}

/// A communicator of this process.
struct Ours(Arc<Threaded<Communicator>>);

impl Deref for Ours {
    type Target = Communicator;

    fn deref(&self) -> &Communicator {
        self.0.get().expect("it was when it was taken, and a process stays the same")
    }
}

/// The exception of what another process has begun.
pub fn forked(what: &str) -> PyErr {
    let message = format!(
        "this {what} is that of the process that this one was forked from, which is the rank; make calls there"
    );
    GroupError::new_err((message, "ERR_COMM"))
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

fn has_flag(array: &Bound<'_, PyUntypedArray>, name: &str) -> PyResult<bool> {
    array.getattr("flags")?.getattr(name)?.extract()
}

/// The elements of an array, to be read.
fn elements<'a, T: Lies>(array: &'a Bound<'_, PyUntypedArray>) -> PyResult<&'a [T]> {
    if !has_flag(array, "c_contiguous")? || !has_flag(array, "aligned")? {
        return Err(PyValueError::new_err("an array for a group is contiguous and aligned"));
    }
    if array.is_empty() {
        return Ok(&[]);
    }
    // SAFETY: the array is contiguous, aligned and of this type, of which all bytes are
    // elements; it lives as long as it is borrowed, and who calls lends it as to MPI.
    unsafe {
        let start = (*array.as_array_ptr()).fields.data.cast::<T>();
        Ok(std::slice::from_raw_parts(start, array.len()))
    }
}

/// The elements of an array, to be written.
#[expect(clippy::mut_from_ref, reason = "the memory is NumPy's")]
fn elements_mut<'a, T: Lies>(array: &'a Bound<'_, PyUntypedArray>) -> PyResult<&'a mut [T]> {
    if !has_flag(array, "writeable")? {
        return Err(PyValueError::new_err("an array to receive into is writeable"));
    }
    let elements = elements::<T>(array)?;
    // SAFETY: as for those to be read; NumPy says that it may be written.
    Ok(unsafe { std::slice::from_raw_parts_mut(elements.as_ptr().cast_mut(), elements.len()) })
}

fn all_reduce<T: Lies>(
    py: Python<'_>,
    group: &Communicator,
    array: &Bound<'_, PyUntypedArray>,
    operator: Operator,
) -> PyResult<()> {
    let data = elements_mut::<T>(array)?;
    py.detach(|| group.all_reduce_in_place(data, operator)).map_err(group_error)
}

fn broadcast<T: Lies>(
    py: Python<'_>,
    group: &Communicator,
    array: &Bound<'_, PyUntypedArray>,
    root: usize,
) -> PyResult<()> {
    if group.rank() != root {
        let data = elements_mut::<T>(array)?;
        return py.detach(|| group.broadcast_in_place(data, root)).map_err(group_error);
    }
    // What is sent may be for reading alone.
    let data = elements::<T>(array)?;
    py.detach(|| group.broadcast(data, root)).map_err(group_error)?;
    Ok(())
}

fn reduce_local<T: Lies>(
    group: &Communicator,
    other: &Bound<'_, PyUntypedArray>,
    into: &Bound<'_, PyUntypedArray>,
    operator: Operator,
) -> PyResult<()> {
    let other = elements::<T>(other)?.to_vec();
    group.reduce_local(elements_mut::<T>(into)?, &other, operator).map_err(group_error)
}

fn begin<T: Lies>(
    group: &Communicator,
    call: &str,
    array: &Bound<'_, PyUntypedArray>,
    operator: Option<Operator>,
    root: usize,
    counts: &[usize],
) -> PyResult<Pending> {
    let data = elements::<T>(array)?;
    let operator =
        || operator.ok_or_else(|| PyValueError::new_err(format!("{call} needs an operator")));
    let one = |data: Vec<T>| vec![data];
    let some = |data: Option<Vec<T>>| data.into_iter().collect();
    Ok(match call {
        "barrier" => Pending::new(group.barrier_async(), |()| Vec::<Vec<T>>::new()),
        "all_reduce" => Pending::new(group.all_reduce_async(data, operator()?), one),
        "reduce" => Pending::new(group.reduce_async(data, operator()?, root), some),
        "scan" => Pending::new(group.scan_async(data, operator()?), one),
        "exscan" => Pending::new(group.exscan_async(data, operator()?), some),
        "reduce_scatter" => {
            Pending::new(group.reduce_scatter_async(data, counts, operator()?), one)
        }
        "broadcast" => Pending::new(group.broadcast_async(data, root), one),
        "all_gather" => Pending::new(group.all_gather_async(data), one),
        "gather" => Pending::new(group.gather_async(data, root), some),
        "scatter" => Pending::new(group.scatter_async(data, root), one),
        "all_to_all" => Pending::new(group.all_to_all_async(data), one),
        "all_gather_v" => Pending::new(group.all_gather_v_async(data), |all| all),
        "gather_v" => Pending::new(group.gather_v_async(data, root), Option::unwrap_or_default),
        "scatter_v" => Pending::new(group.scatter_v_async(&parts(data, counts)?, root), one),
        "all_to_all_v" => Pending::new(group.all_to_all_v_async(&parts(data, counts)?), |all| all),
        _ => return Err(PyValueError::new_err(format!("no collective call '{call}'"))),
    })
}

/// The blocks of an array, one after the other.
fn parts<T: Lies>(mut data: &[T], counts: &[usize]) -> PyResult<Vec<Vec<T>>> {
    let mut parts = Vec::with_capacity(counts.len());
    for &count in counts {
        let Some((part, rest)) = data.split_at_checked(count) else {
            return Err(PyValueError::new_err("blocks of more elements than the array has"));
        };
        parts.push(part.to_vec());
        data = rest;
    }
    Ok(parts)
}

fn send<T: Lies>(
    group: &Communicator,
    array: &Bound<'_, PyUntypedArray>,
    to: usize,
    tag: u32,
    until_received: bool,
) -> PyResult<Pending> {
    let data = elements::<T>(array)?;
    let request = match until_received {
        true => group.deliver_async(data, to, tag),
        false => group.send_async(data, to, tag),
    };
    Ok(Pending::new(request, |()| Vec::<Vec<T>>::new()))
}

fn receive<T: Lies>(
    group: &Communicator,
    from: Option<usize>,
    tag: Option<u32>,
) -> PyResult<Pending> {
    Ok(Pending::received(group.receive_async::<T>(from, tag)))
}
