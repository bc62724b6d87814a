//! The data of one entry, as backends read it.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dtype::Layout;

/// An immutable run of elements that several threads may read at once.
///
/// Element numbers count from the shard's own start, in the order in which the
/// elements lie in storage.
pub trait Shard: Send + Sync {
    /// Type and byte order of the elements.
    fn layout(&self) -> Layout;

    /// Number of elements.
    fn elements(&self) -> u64;

    /// The bytes of `elements`, borrowed from the shard where it lies in
    /// memory, else read into `block`, which grows as needed and is reused.
    /// The bytes have no particular alignment.
    ///
    /// # Errors
    /// The data could not be read. The shard stays usable.
    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError>;

    /// The elements at the same places of a second data set, where two are
    /// reduced together.
    fn second(&self) -> Option<&dyn Shard> {
        None
    }

    /// Says whether everything read so far was what the manifest names.
    ///
    /// Asked once, after the last read; a partial counts only if it says yes.
    ///
    /// # Errors
    /// The data changed, shrank or was lost since the manifest was made.
    fn verify(&self) -> Result<(), ShardError>;
}

/// Whose fault it is that a shard gave no partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ShardErrorKind {
    /// The data cannot be opened or read, or is not what its header says.
    Unreadable,
    /// The data changed since the manifest was made.
    Changed,
    /// No processor is left that could reduce it.
    NoBackend,
    /// A defect of this program.
    Internal,
}

/// Why a shard gave no partial. It travels to the node that asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct ShardError {
    /// What kind of failure it is.
    pub kind: ShardErrorKind,
    /// The file, what is wrong with it, and the way out, for a person.
    pub message: String,
}

impl ShardError {
    /// A failure to read, with its message.
    pub fn unreadable(message: impl Into<String>) -> ShardError {
        ShardError { kind: ShardErrorKind::Unreadable, message: message.into() }
    }

    /// Data that changed, with its message.
    pub fn changed(message: impl Into<String>) -> ShardError {
        ShardError { kind: ShardErrorKind::Changed, message: message.into() }
    }
}

/// Two shards of as many elements each, read side by side.
pub struct PairedShard {
    first: Arc<dyn Shard>,
    second: Arc<dyn Shard>,
}

impl PairedShard {
    /// The elements of `first`, each with that of `second` at the same place.
    ///
    /// # Panics
    /// If the two are not as long, or not of the same type.
    pub fn new(first: Arc<dyn Shard>, second: Arc<dyn Shard>) -> PairedShard {
        assert_eq!(first.elements(), second.elements(), "shards of different lengths");
        assert_eq!(first.layout().dtype, second.layout().dtype, "shards of different types");
        PairedShard { first, second }
    }
}

impl Shard for PairedShard {
    fn layout(&self) -> Layout {
        self.first.layout()
    }

    fn elements(&self) -> u64 {
        self.first.elements()
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        self.first.read(elements, block)
    }

    fn second(&self) -> Option<&dyn Shard> {
        Some(&*self.second)
    }

    fn verify(&self) -> Result<(), ShardError> {
        self.first.verify()?;
        self.second.verify()
    }
}

/// Elements that lie in memory.
#[derive(Debug)]
pub struct MemoryShard {
    layout: Layout,
    bytes: Vec<u8>,
}

impl MemoryShard {
    /// A shard over `bytes`, a run of whole elements.
    ///
    /// # Panics
    /// If `bytes` ends inside an element.
    pub fn new(layout: Layout, bytes: Vec<u8>) -> MemoryShard {
        assert_eq!(bytes.len() % layout.dtype.size_bytes(), 0, "bytes end inside an element");
        MemoryShard { layout, bytes }
    }
}

impl Shard for MemoryShard {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn elements(&self) -> u64 {
        (self.bytes.len() / self.layout.dtype.size_bytes()) as u64
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        _block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        let size = self.layout.dtype.size_bytes();
        Ok(&self.bytes[elements.start as usize * size..elements.end as usize * size])
    }

    fn verify(&self) -> Result<(), ShardError> {
        Ok(())
    }
}
