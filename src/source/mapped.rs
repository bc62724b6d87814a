//! A range of a file that is mapped into memory.

use std::ops::Range;

use crate::dtype::Layout;
use crate::os::Mapping;
use crate::shard::{Shard, ShardError};

use super::local::FileRange;

/// Elements of a file that is read by touching it.
///
/// Pages that the file loses under way read as zeros (see `os::Mapping`), which
/// [`Shard::verify`] finds out; so does the next [`Shard::read`], to end early.
#[derive(Debug)]
pub struct MappedShard {
    range: FileRange,
    mapping: Mapping,
}

impl MappedShard {
    pub(super) fn new(range: FileRange, mapping: Mapping) -> MappedShard {
        MappedShard { range, mapping }
    }

    /// Says why a page was lost, if one was.
    fn check_pages(&self) -> Result<(), ShardError> {
        if !self.mapping.is_lost() {
            return Ok(());
        }
        // The file that shrank is the usual reason, and is told by its size.
        self.range.file.check()?;
        let name = &self.range.file.name;
        Err(ShardError::unreadable(format!(
            "'{name}' could not be read: a page of it was lost, by an error of the disk or because the file shrank for a moment; copy the file from a backup, or run again"
        )))
    }
}

impl Shard for MappedShard {
    fn layout(&self) -> Layout {
        self.range.layout
    }

    fn elements(&self) -> u64 {
        self.range.elements
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        _block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        self.check_pages()?;
        let size = self.range.layout.dtype.size_bytes();
        Ok(&self.mapping.bytes()[elements.start as usize * size..elements.end as usize * size])
    }

    fn verify(&self) -> Result<(), ShardError> {
        self.check_pages()?;
        self.range.file.check()
    }
}
