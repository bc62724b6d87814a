//! A range of a file that is read into the caller's block.

use std::io;
use std::ops::Range;

use crate::dtype::Layout;
use crate::os;
use crate::shard::{Shard, ShardError};

use super::identity;
use super::local::FileRange;

/// Elements of a file, read where and when they are asked for. Several threads
/// read at once: no read moves a position that another one uses.
#[derive(Debug)]
pub struct PositionalShard {
    range: FileRange,
}

impl PositionalShard {
    pub(super) fn new(range: FileRange) -> PositionalShard {
        PositionalShard { range }
    }
}

impl Shard for PositionalShard {
    fn layout(&self) -> Layout {
        self.range.layout
    }

    fn elements(&self) -> u64 {
        self.range.elements
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        assert!(elements.end <= self.range.elements, "elements {elements:?} are past the shard");
        let size = self.range.layout.dtype.size_bytes();
        let bytes = (elements.end - elements.start) as usize * size;
        // The block is not shortened, so its bytes are set to zero only once.
        if block.len() < bytes {
            block.resize(bytes, 0);
        }
        let block = &mut block[..bytes];
        self.fill(block, self.range.start_bytes + elements.start * size as u64)?;
        Ok(block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        self.range.file.check()
    }
}

impl PositionalShard {
    /// Fills `block` with the bytes of the file from `start_bytes` on, in as
    /// many reads as it takes.
    fn fill(&self, block: &mut [u8], start_bytes: u64) -> Result<(), ShardError> {
        let name = &self.range.file.name;
        let mut filled = 0;
        while filled < block.len() {
            let offset = start_bytes + filled as u64;
            match os::read_at(&self.range.file.file, &mut block[filled..], offset) {
                Ok(0) => {
                    return Err(identity::changed(name, &format!("it ends at byte {offset}")));
                }
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(ShardError::unreadable(format!(
                        "'{name}' could not be read at byte {offset}: {error}"
                    )));
                }
            }
        }
        Ok(())
    }
}
