//! Arrays that lie in this process's memory, in the place of files.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::{Layout, MemoryOrder};
use crate::manifest::{File, FileIdentity, element_count};
use crate::shard::{Shard, ShardError};

/// The bytes of an array's elements, which nobody changes while they are reduced.
pub type Memory = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// An array in memory, and what stands for it in a manifest.
#[derive(Clone)]
pub struct Held {
    file: File,
    memory: Memory,
}

impl Held {
    /// An array without gaps. Its name tells it from the others of a manifest.
    ///
    /// # Panics
    /// If the memory is not that of as many elements.
    pub fn new(
        name: &str,
        layout: Layout,
        memory_order: MemoryOrder,
        shape: Vec<u64>,
        memory: Memory,
    ) -> Held {
        let size_bytes = (*memory).as_ref().len() as u64;
        let elements = element_count(&shape).expect("what lies in memory can be counted");
        assert_eq!(elements * layout.dtype.size_bytes() as u64, size_bytes, "{shape:?}");
        let file = File {
            path: name.as_bytes().to_vec(),
            layout,
            memory_order,
            shape,
            data_offset_bytes: 0,
            identity: FileIdentity {
                device: 0,
                inode: 0,
                size_bytes,
                modified_ns: 0,
                changed_ns: 0,
            },
            digest: None,
            verified: false,
        };
        Held { file, memory }
    }

    /// What stands for it in a manifest.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Some of its elements.
    pub(super) fn shard(&self, elements: Range<u64>) -> HeldShard {
        HeldShard { memory: Arc::clone(&self.memory), layout: self.file.layout, elements }
    }
}

/// Elements of an array in memory.
pub(super) struct HeldShard {
    memory: Memory,
    layout: Layout,
    elements: Range<u64>,
}

impl Shard for HeldShard {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn elements(&self) -> u64 {
        self.elements.end - self.elements.start
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        _block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        assert!(elements.end <= self.elements(), "elements {elements:?} are past the shard");
        let at =
            |element| (self.elements.start + element) as usize * self.layout.dtype.size_bytes();
        Ok(&(*self.memory).as_ref()[at(elements.start)..at(elements.end)])
    }

    fn verify(&self) -> Result<(), ShardError> {
        Ok(())
    }
}
