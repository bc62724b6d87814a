//! Calls that were begun, and the arrays that they give.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use ::adsum::communicator::{Element, Envelope, GroupError, Raw, Received, Request};
use half::vec::HalfFloatVecExt;
use half::{bf16, f16};
use numpy::PyArray1;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::group::{forked, group_error};
use crate::interrupt;
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

/// The sender, tag, type of elements and bytes of a message.
pub type Known = (usize, u32, String, u64);

/// What is known of a message, as Python has it.
pub fn known(message: Envelope) -> Known {
    (message.from, message.tag, message.dtype.to_string(), message.length_bytes)
}

/// What a call gave: arrays, and what is known of the one that is a message.
struct Ended {
    blocks: Box<dyn Blocks>,
    message: Option<Known>,
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
    fn has_ended(&mut self, waker: Option<&Waker>) -> bool;
    fn cancel(&self) -> bool;
    fn wait(self: Box<Self>) -> Result<Ended, GroupError>;
}

impl<T: Send, F: FnOnce(T) -> Ended + Send> Running for (Request<T>, F) {
    fn has_ended(&mut self, waker: Option<&Waker>) -> bool {
        self.0.has_ended(waker)
    }

    fn cancel(&self) -> bool {
        self.0.cancel()
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
        let end = |result| Ended { blocks: Box::new(blocks(result)), message: None };
        Pending::of((request, end))
    }

    /// A message that is to come.
    pub fn received<E: Lies>(request: Request<Received<E>>) -> Pending {
        let end = |Received { from, tag, data }: Received<E>| {
            let length_bytes = size_of_val(data.as_slice()) as u64;
            let message = Envelope { from, tag, dtype: E::DTYPE, length_bytes };
            Ended { blocks: Box::new(vec![data]), message: Some(known(message)) }
        };
        Pending::of((request, end))
    }

    /// The bytes of a message that is to come.
    pub fn received_any(request: Request<Raw>) -> Pending {
        let end = |(message, bytes)| Ended {
            blocks: Box::new(vec![bytes]),
            message: Some(known(message)),
        };
        Pending::of((request, end))
    }

    /// What is known of a message that is to come.
    pub fn probed(request: Request<Envelope>) -> Pending {
        let end = |message| Ended {
            blocks: Box::new(Vec::<Vec<u8>>::new()),
            message: Some(known(message)),
        };
        Pending::of((request, end))
    }

    fn of(running: impl Running + 'static) -> Pending {
        Pending { running: Threaded::new(Mutex::new(Some(Box::new(running)))) }
    }

    fn has_ended(&self, waker: Option<&Waker>) -> PyResult<bool> {
        Ok(self.lock()?.as_mut().is_none_or(|running| running.has_ended(waker)))
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
        self.has_ended(None)
    }

    /// Ends a receive that no message has come for; whether it did.
    fn cancel(&self) -> PyResult<bool> {
        Ok(self.lock()?.as_ref().is_some_and(|running| running.cancel()))
    }

    /// Waits for its arrays, and of a message for what is known of it.
    fn wait(&self, py: Python<'_>) -> PyResult<(Vec<Py<PyAny>>, Option<Known>)> {
        let running = self.lock()?.take();
        let running =
            running.ok_or_else(|| PyRuntimeError::new_err("a call was waited for before"))?;
        let ended = py.detach(|| running.wait()).map_err(group_error)?;
        Ok((ended.blocks.arrays(py), ended.message))
    }
}

/// Wakes the thread that waits for one of several calls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until one of several calls has ended, and says which. A signal whose handler raises
/// ends the waiting alone.
#[pyfunction]
pub fn wait_any(py: Python<'_>, calls: Vec<Py<Pending>>) -> PyResult<usize> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let found: PyResult<Option<usize>> = py.detach(|| {
        loop {
            // All are asked, so that any of them wakes this thread.
            for (number, call) in calls.iter().enumerate() {
                if call.get().has_ended(Some(&waker))? {
                    return Ok(Some(number));
                }
            }
            if interrupt::has_come() {
                return Ok(None);
            }
            thread::park_timeout(interrupt::INTERVAL);
        }
    });
    found?.ok_or_else(|| interrupt::raised().expect("a signal has come"))
}
