//! Graphics adapters as backends, through wgpu: Vulkan, Metal and DirectX 12.
//!
//! Sums are exact, so a GPU's partial has the same bits as a CPU's. WGSL's
//! floats promise too little for that: the kernels use integers alone
//! (`shaders/`). From the outside in: [`GpuBackend`] takes runs of elements,
//! `stream` carries them to the device through a ring of buffers, `plan` cuts
//! them into windows, `kernel` holds the shaders' constants and bounds, and
//! `partials` makes a sum of what comes back. No adapter's sums count before
//! [`self_test`] has examined it.

mod backend;
mod cache;
mod device;
pub mod kernel;
mod partials;
mod pipeline;
mod plan;
mod self_test;
mod stream;

pub use backend::{GpuBackend, Options};
pub use cache::Cache;
pub use device::{Adapter, AdapterLimits, adapters};
pub use self_test::{SelfTest, self_test};

use crate::dtype::DType;
use crate::op::{Monoid, Spec, Term};
use crate::site::Site;

/// Element types that have a kernel.
const DTYPES: [DType; 11] = [
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F32,
    DType::F64,
];

/// Whether there is a kernel for a reduction.
pub fn takes(spec: &Spec, site: &Site) -> bool {
    spec.monoids == [Monoid::Sum(Term::Value)]
        && site.outputs() == 1
        && DTYPES.contains(&spec.dtype)
}
