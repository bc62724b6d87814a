//! Columns of an array: runs of elements with gaps between them.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::Layout;
use crate::manifest::Block;
use crate::shard::{Shard, ShardError};

/// The elements of a block, gathered run by run from the shard that spans it.
pub struct StridedShard {
    span: Arc<dyn Shard>,
    block: Block,
}

impl StridedShard {
    /// The elements of `block`, whose first is that of `span`.
    pub(super) fn new(span: Arc<dyn Shard>, block: Block) -> StridedShard {
        StridedShard { span, block }
    }
}

impl Shard for StridedShard {
    fn layout(&self) -> Layout {
        self.span.layout()
    }

    fn elements(&self) -> u64 {
        self.block.outer * self.block.reduced * self.block.inner
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        let Block { inner, stride, .. } = self.block;
        let column = elements.start % inner;
        if column + (elements.end - elements.start) <= inner {
            let start = elements.start / inner * stride + column;
            return self.span.read(start..start + elements.end - elements.start, block);
        }
        block.clear();
        let mut piece = Vec::new();
        let mut next = elements.start;
        while next < elements.end {
            let column = next % inner;
            let length = (inner - column).min(elements.end - next);
            let start = next / inner * stride + column;
            block.extend_from_slice(self.span.read(start..start + length, &mut piece)?);
            next += length;
        }
        Ok(block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        self.span.verify()
    }
}
