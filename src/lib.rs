//! Exact reductions over arrays that lie on many machines, on whatever
//! processors those machines have.
//!
//! A sum is carried as an exact integer ([`Partial`]), and every other state
//! as something that merges as freely, so merging has no order: the answer has
//! the same bits from any set of machines, CPU cores and GPUs, also when nodes
//! die on the way. `docs/architecture.md` is the map of this crate,
//! `docs/numerics.md` the meaning of every operation, the reasons and bounds.

// Core: no I/O, no clock, no features.
pub mod backend;
mod bounded;
mod buffers;
pub mod catalogue;
pub mod collective;
pub mod dtype;
pub mod engine;
pub mod finish;
pub mod fold;
pub mod group;
pub mod launch;
pub mod ledger;
pub mod manifest;
pub mod op;
pub mod partial;
pub mod placement;
pub mod reduction;
pub mod rounds;
pub mod shard;
pub mod site;
pub mod value;
pub mod wire;

// Edges: files, processors, network. Processors and network never meet here.
pub mod array;
pub mod communicator;
pub mod compute;
pub mod device;
#[cfg(feature = "net")]
pub mod driver;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "files")]
pub mod inventory;
#[cfg(feature = "net")]
pub mod membership;
#[cfg(feature = "net")]
pub mod node;
#[cfg(feature = "files")]
mod os;
#[cfg(feature = "net")]
pub mod rendezvous;
#[cfg(feature = "net")]
pub mod service;
#[cfg(feature = "files")]
pub mod sink;
#[cfg(feature = "files")]
pub mod source;
#[cfg(feature = "files")]
pub mod store;
#[cfg(feature = "net")]
pub mod transport;

// What puts the edges together.
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "net")]
pub mod client;
#[cfg(feature = "files")]
pub mod executor;
#[cfg(feature = "files")]
pub mod local;

pub use dtype::{ByteOrder, DType, Layout, MemoryOrder};
pub use op::{Monoid, Op, Spec, Term};
pub use partial::Partial;
pub use value::Value;
