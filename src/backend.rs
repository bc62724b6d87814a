//! Processors that turn runs of elements into partials.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dtype::Layout;
use crate::op::Spec;
use crate::partial::Partial;
use crate::site::Site;

pub use crate::site::{Order, Place};

pub mod cpu;
pub mod reference;

/// What kind of processor a backend runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// Processor cores.
    Cpu,
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    IntegratedGpu,
    /// A GPU lent by a virtual machine.
    VirtualGpu,
    /// A graphics driver that computes on the processor.
    Software,
    /// The driver does not say.
    Other,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::Cpu => "cpu",
            DeviceKind::DiscreteGpu => "discrete-gpu",
            DeviceKind::IntegratedGpu => "integrated-gpu",
            DeviceKind::VirtualGpu => "virtual-gpu",
            DeviceKind::Software => "software",
            DeviceKind::Other => "other",
        })
    }
}

/// A device as reports name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, or `gpu:N` with the adapter's number on this machine.
    pub id: String,
    /// The maker's name of it.
    pub name: String,
    /// What kind of processor it is.
    pub kind: DeviceKind,
    /// The interface it is driven by: `cpu`, `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// The driver and its version; empty for the CPU.
    pub driver: String,
}

/// A run of elements, as a backend takes it.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Type and byte order of the elements.
    pub layout: Layout,
    /// Whole elements, of no particular alignment.
    pub bytes: &'a [u8],
    /// The elements at the same places of a second data set, as many and of the
    /// same type, for specs that are paired.
    pub second: Option<(Layout, &'a [u8])>,
    /// Where the elements belong.
    pub place: Place<'a>,
}

/// Whether a reduction is taken: its spec, and where its elements belong.
pub type Takes = fn(&Spec, &Site) -> bool;

/// One worker of a node: a CPU thread, or an adapter with its host thread.
///
/// A worker adds runs of elements and flushes now and then; between two
/// flushes it holds the only copy of their states, so its caller remembers what
/// it added and gives those runs to another worker if this one fails.
pub trait Backend: Send {
    /// The device as reports name it.
    fn info(&self) -> &DeviceInfo;

    /// The number of bytes it takes best in one [`Backend::add`].
    fn tile_bytes(&self) -> usize;

    /// Which reductions it takes; all, unless it says otherwise.
    fn takes(&self) -> Takes {
        |_, _| true
    }

    /// Adds a run of whole elements to what the next flush returns, in which
    /// there are `outputs` outputs. The run may still be on its way to the
    /// device when this returns; its bytes are not needed any more. All runs
    /// between two flushes have one spec and one number of outputs, and come in
    /// the order of their elements, though there may be gaps.
    ///
    /// # Errors
    /// The device failed: everything since the last flush is lost, and the
    /// backend must not be used again.
    fn add(&mut self, spec: &Spec, outputs: usize, run: &Run<'_>) -> Result<(), BackendError>;

    /// Waits for the device and returns the partial of everything added since
    /// the last flush.
    ///
    /// # Errors
    /// As [`Backend::add`].
    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError>;
}

/// A device that failed and must not be used again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {device} failed: {message}")]
pub struct BackendError {
    /// The device's id.
    pub device: String,
    /// What its driver said.
    pub message: String,
}
