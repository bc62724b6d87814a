//! Counts of elements in intervals, in storage.

use super::{BATCH_VECTORS, Block, KEY, key_constants};
use crate::dtype::DType;

const BINS: &str = include_str!("../../../shaders/op/bins.wgsl");

/// A kernel that counts. All workgroups share one partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    threads: u32,
    /// Elements of a block for each thread.
    thread_elements: u32,
    /// Number of intervals, which the source does not depend on.
    bins: u32,
}

impl Bins {
    /// The kernel of so many intervals in blocks of this size.
    pub const fn new(bins: u32, block: Block) -> Bins {
        let thread_elements = BATCH_VECTORS * block.batches_max;
        Bins { threads: block.threads, thread_elements, bins }
    }

    /// Number of intervals.
    pub fn bins(&self) -> u32 {
        self.bins
    }

    pub(super) const fn block_elements(&self) -> u32 {
        self.threads * self.thread_elements
    }

    /// Four counts, then those of the intervals: `Partial` in `op/bins.wgsl`.
    pub(super) const fn partial_bytes(&self) -> u32 {
        4 * (4 + self.bins)
    }

    /// No count is more than that of elements.
    pub(super) const fn blocks_max(&self) -> u32 {
        u32::MAX / self.block_elements()
    }

    /// An upper bound of a thread's steps for a block: a search among 2^16
    /// intervals for each element.
    pub(super) const fn steps(&self) -> u32 {
        self.thread_elements * 20 + 4
    }

    pub(super) fn source(&self, dtype: DType) -> (String, Vec<&'static str>) {
        let constants = format!("const THREAD_ELEMENTS: u32 = {}u;\n", self.thread_elements);
        (constants + &key_constants(dtype), vec![KEY, BINS])
    }
}
