//! States of a few words, which each thread keeps for itself.

use super::{AXES_MAX, BATCH_VECTORS, BLOCKS_PER_PARTIAL_MAX, Block, KEY, PLACE, key_constants};
use crate::dtype::DType;

const FOLD: &str = include_str!("../../../shaders/shared/fold.wgsl");
const EXTREMUM: &str = include_str!("../../../shaders/op/extremum.wgsl");
const TALLY: &str = include_str!("../../../shaders/op/tally.wgsl");
const PRODUCT: &str = include_str!("../../../shaders/op/product.wgsl");
const BITS: &str = include_str!("../../../shaders/op/bits.wgsl");

/// Which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `op/extremum.wgsl`
    Extremum {
        /// Whether places are kept.
        indexed: bool,
    },
    /// `op/tally.wgsl`
    Tally,
    /// `op/product.wgsl`
    Product,
    /// `op/bits.wgsl`
    Bits,
}

impl Op {
    /// Words of the state. Those of all threads together are within the 16 KiB
    /// of workgroup memory that every adapter has.
    const fn words(self) -> u32 {
        match self {
            Op::Extremum { .. } => 14,
            Op::Tally => 4,
            Op::Product | Op::Bits => 8,
        }
    }
}

/// A kernel that folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    op: Op,
    threads: u32,
    /// Elements of a block for each thread.
    thread_elements: u32,
}

impl Fold {
    /// The kernel of this state in blocks of this size.
    pub const fn new(op: Op, block: Block) -> Fold {
        let thread_elements = BATCH_VECTORS * block.batches_max;
        Fold { op, threads: block.threads, thread_elements }
    }

    /// Which state it is.
    pub fn op(&self) -> Op {
        self.op
    }

    pub(super) const fn block_elements(&self) -> u32 {
        self.threads * self.thread_elements
    }

    pub(super) const fn partial_bytes(&self) -> u32 {
        4 * self.op.words()
    }

    /// An upper bound of a thread's steps for a block: its elements, each over
    /// the axes of its place if that is kept, and the tree of 256 threads if the
    /// block is the only one of its output.
    pub(super) const fn steps(&self) -> u32 {
        let for_element = if self.is_indexed() { 1 + AXES_MAX as u32 } else { 1 };
        self.thread_elements * for_element + 16
    }

    const fn is_indexed(&self) -> bool {
        matches!(self.op, Op::Extremum { indexed: true })
    }

    pub(super) fn source(&self, dtype: DType) -> (String, Vec<&'static str>) {
        let constants = format!(
            "const THREAD_ELEMENTS: u32 = {}u;\nconst INDEXED: bool = {};\n{}",
            self.thread_elements,
            self.is_indexed(),
            key_constants(dtype),
        );
        let operation = match self.op {
            Op::Extremum { .. } => EXTREMUM,
            Op::Tally => TALLY,
            Op::Product => PRODUCT,
            Op::Bits => BITS,
        };
        (constants, vec![PLACE, KEY, operation, FOLD])
    }

    /// Whether no count can overflow: none is more than that of elements.
    const fn fits(&self) -> bool {
        let elements = BLOCKS_PER_PARTIAL_MAX as u64 * self.block_elements() as u64;
        elements < 1 << 32 && self.threads * self.partial_bytes() <= 16 << 10
    }
}

const _: () = {
    let ops = [Op::Extremum { indexed: true }, Op::Tally, Op::Product, Op::Bits];
    let mut index = 0;
    while index < ops.len() {
        assert!(Fold::new(ops[index], Block::LARGE).fits());
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_reject_a_block_that_is_too_large() {
        let mut fold = Fold::new(Op::Tally, Block::LARGE);
        fold.thread_elements = 1 << 9;
        assert!(!fold.fits());
    }
}
