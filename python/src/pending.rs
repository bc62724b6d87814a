//! Calls that were begun, and the arrays that they give.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ::adsum::communicator::{Element, GroupError, Received, Request};
use half::vec::HalfFloatVecExt;
use half::{bf16, f16};
use numpy::PyArray1;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::group::{forked, group_error};
use crate::threaded::Threaded;

/// Elements that lie in arrays of NumPy.
pub trait Lies: Element {
    /// The array of the elements, which keeps their memory. Those that NumPy, or its
    /// interface, has no type for are the integers of their bits.
    fn array(py: Python<'_>, values: Vec<Self>) -> Py<PyAny>;
}

macro_rules! lies {
    ($($element:ty => $convert:expr;)*) => {$(
        impl Lies for $element {
            fn array(py: Python<'_>, values: Vec<$element>) -> Py<PyAny> {
                PyArray1::from_vec(py, $convert(values)).into_any().unbind()
            }
        }
    )*};
}

lies! {
    i8 => std::convert::identity;
    i16 => std::convert::identity;
    i32 => std::convert::identity;
    i64 => std::convert::identity;
    u8 => std::convert::identity;
    u16 => std::convert::identity;
    u32 => std::convert::identity;
    u64 => std::convert::identity;
    f32 => std::convert::identity;
    f64 => std::convert::identity;
    f16 => |values: Vec<f16>| -> Vec<u16> { values.reinterpret_into() };
    bf16 => |values: Vec<bf16>| -> Vec<u16> { values.reinterpret_into() };
}

/// The sender and tag of a message.
type Origin = (usize, u32);

/// What a call gave: arrays, and where one came from.
struct Ended {
    blocks: Box<dyn Blocks>,
    from: Option<Origin>,
}

trait Blocks: Send {
    fn arrays(self: Box<Self>, py: Python<'_>) -> Vec<Py<PyAny>>;
}

impl<T: Lies> Blocks for Vec<Vec<T>> {
    fn arrays(self: Box<Self>, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.into_iter().map(|values| T::array(py, values)).collect()
    }
}

trait Running: Send {
    fn test(&mut self) -> bool;
    fn wait(self: Box<Self>) -> Result<Ended, GroupError>;
}

impl<T: Send, F: FnOnce(T) -> Ended + Send> Running for (Request<T>, F) {
    fn test(&mut self) -> bool {
        self.0.test()
    }

    fn wait(self: Box<Self>) -> Result<Ended, GroupError> {
        let (request, convert) = *self;
        request.wait().map(convert)
    }
}

/// A call that was begun.
#[pyclass(frozen, module = "adsum._adsum")]
pub struct Pending {
    running: Threaded<Mutex<Option<Box<dyn Running>>>>,
}

impl Pending {
    /// A call that ends with arrays.
    pub fn new<T: Send + 'static, E: Lies>(
        request: Request<T>,
        blocks: impl FnOnce(T) -> Vec<Vec<E>> + Send + 'static,
    ) -> Pending {
        let end = |result| Ended { blocks: Box::new(blocks(result)), from: None };
        Pending::of((request, end))
    }

    /// A message that is to come.
    pub fn received<E: Lies>(request: Request<Received<E>>) -> Pending {
        let end = |message: Received<E>| Ended {
            blocks: Box::new(vec![message.data]),
            from: Some((message.from, message.tag)),
        };
        Pending::of((request, end))
    }

    fn of(running: impl Running + 'static) -> Pending {
        Pending { running: Threaded::new(Mutex::new(Some(Box::new(running)))) }
    }

    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Box<dyn Running>>>> {
        let running = self.running.get().ok_or_else(|| forked("call"))?;
        Ok(running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Pending {
    /// Whether it has ended.
    fn test(&self) -> PyResult<bool> {
        Ok(self.lock()?.as_mut().is_none_or(|running| running.test()))
    }

    /// Waits for its arrays, and of a message the sender and tag.
    fn wait(&self, py: Python<'_>) -> PyResult<(Vec<Py<PyAny>>, Option<Origin>)> {
        let running = self.lock()?.take();
        let running =
            running.ok_or_else(|| PyRuntimeError::new_err("a call was waited for before"))?;
        let ended = py.detach(|| running.wait()).map_err(group_error)?;
        Ok((ended.blocks.arrays(py), ended.from))
    }
}
