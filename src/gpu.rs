//! Graphics adapters as backends, through wgpu: Vulkan, Metal and DirectX 12.
//!
//! States are exact, so a GPU's partial has the same bits as a CPU's. WGSL's
//! floats promise too little for that: the kernels use integers alone
//! (`shaders/`). From the outside in: [`GpuBackend`] takes runs of elements,
//! `piece` cuts them into what is sent at once, `dispatch` says what is done
//! with it, `stream` carries both to the device through a ring of buffers,
//! `plan` says what fits where, `numbering` where elements belong, `kernel` holds
//! the shaders' constants and bounds, and `partials` makes states of what comes
//! back. No kernel's results count before [`self_test`] has examined it.

mod backend;
mod cache;
mod device;
mod dispatch;
mod gather;
pub mod kernel;
mod numbering;
mod partials;
mod piece;
mod pipeline;
mod plan;
mod resident;
mod self_test;
mod staging;
mod stream;
mod timing;
mod tuning;

pub use backend::{GpuBackend, Options};
pub use cache::Cache;
pub use device::{Adapter, AdapterLimits, adapters};
pub use resident::{DataId, Resident, ResidentError, Times};
pub use self_test::{SelfTest, self_test};
pub use tuning::Tuning;

use crate::op::{Monoid, Spec};
use crate::site::Site;

/// Whether there are kernels for a reduction.
///
/// Products of floats, whose trees want their elements in order, are left to
/// the CPU. Elements that are only put in order are not worth sending: the
/// adapter's host thread does it.
pub fn takes(spec: &Spec, site: &Site) -> bool {
    let taken = |monoid: &Monoid| match monoid {
        Monoid::Sum(_) | Monoid::Extremum { .. } | Monoid::Tally => true,
        Monoid::Product | Monoid::Bits | Monoid::Multiset { .. } => true,
        Monoid::Bins(_) => site.outputs() == 1,
        Monoid::Tree => false,
    };
    let counting = spec.monoids.iter().filter(|monoid| matches!(monoid, Monoid::Bins(_)));
    spec.monoids.iter().all(taken) && counting.count() <= 1
}

/// Whether elements are put in order, which would be as much to read from the
/// device as to send. The host does it by itself.
fn is_sorted(spec: &Spec) -> bool {
    spec.monoids.iter().any(|monoid| matches!(monoid, Monoid::Multiset { .. }))
}
