//! NumPy arrays as the files of a manifest, for processors that `device=` chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::adsum::MemoryOrder;
use ::adsum::source::Held;
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{layout_of, memory_of};

/// Number of arrays so far, for their names.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The memory of an array, which lives as long as anybody reads it.
struct Kept {
    start: *const u8,
    bytes: usize,
    _array: Py<PyUntypedArray>,
}

// SAFETY: it is memory of the process that is only read, whatever the thread; Python's
// object is only kept, and is given back as `Py` does without the GIL.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `held` took it from the array, which lives as long as this, and whose memory
        // is there as long as the call that it was given to, which does not return before
        // its readers have ended. As for NumPy's own functions that release the GIL, nobody
        // may write to it meanwhile.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }
}

/// An array in C or Fortran order, where it lies.
///
/// # Panics
/// If it lies otherwise.
pub fn held(array: &Bound<'_, PyUntypedArray>) -> PyResult<Held> {
    let order = match (array.is_c_contiguous(), array.is_fortran_contiguous()) {
        (true, _) => MemoryOrder::C,
        (false, true) => MemoryOrder::Fortran,
        (false, false) => panic!("an array in another order"),
    };
    let (bytes, _) = memory_of(array, layout_of(array)?);
    let kept = Kept { start: bytes.as_ptr(), bytes: bytes.len(), _array: array.clone().unbind() };
    let shape = array.shape().iter().map(|&length| length as u64).collect();
    let name = format!("array {}", COUNT.fetch_add(1, Ordering::Relaxed));
    Ok(Held::new(&name, layout_of(array)?, order, shape, Arc::new(kept)))
}
