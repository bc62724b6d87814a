//! What a cluster has: which arrays there are by name, who holds them, and which
//! were there once.
//!
//! Pure: nothing here reads a disk or a clock.

use serde::{Deserialize, Serialize};

use crate::dtype::{Layout, MemoryOrder};
use crate::manifest::Digest;

/// An array as the header of its file describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Array {
    /// Type and byte order of the elements.
    pub layout: Layout,
    /// Which axis varies fastest.
    pub memory_order: MemoryOrder,
    /// Lengths of the axes.
    pub shape: Vec<u64>,
}

/// A file as its node offers it to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its path under the node's data directory, parts joined by `/`.
    pub name: String,
    /// What lies in it.
    pub array: Array,
    /// Its contents, as soon as they have been hashed.
    pub digest: Option<Digest>,
    /// The state of the file at its node.
    pub identity: crate::manifest::FileIdentity,
}
