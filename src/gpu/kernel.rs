//! The kernels: their constants, the proof that nothing in them overflows, and
//! their source text.
//!
//! A kernel's WGSL is a few lines of constants written here, then the pieces
//! under `shaders/`, one after the other. There is no preprocessor because
//! there is nothing to preprocess: every piece is whole WGSL, names are the
//! same for every operation, and what differs is a constant, which shader
//! compilers fold.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;

const WINDOW: &str = include_str!("../../shaders/shared/window.wgsl");
const DIGITS: &str = include_str!("../../shaders/shared/digits.wgsl");
const BLOCKS: &str = include_str!("../../shaders/shared/blocks.wgsl");
const SUM_F32: &str = include_str!("../../shaders/op/sum_f32.wgsl");
const SUM_F64: &str = include_str!("../../shaders/op/sum_f64.wgsl");
const SUM_INT: &str = include_str!("../../shaders/op/sum_int.wgsl");

/// Bytes of one vector load.
pub const VECTOR_BYTES: u32 = 16;

/// Vectors that a thread loads before it uses the first.
pub const BATCH_VECTORS: u32 = 4;

/// Bits between the weights of neighbouring digits.
pub const DIGIT_BITS: u32 = 8;

/// The most blocks that one partial may sum before the host clears it.
pub const BLOCKS_PER_PARTIAL_MAX: u32 = 1 << 15;

/// What one dispatch sums: `Params` in `shared/window.wgsl`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    /// Bytes of the run.
    pub bytes: u32,
    /// Blocks of the run.
    pub blocks: u32,
    /// Workgroups of the dispatch.
    pub workgroups: u32,
    /// Makes the size a multiple of 16 bytes, as uniforms want it.
    pub padding: u32,
}

/// How many elements one workgroup sums between two drains of its digits.
///
/// The default keeps a GPU busy; tests take small blocks, so that a thousand
/// elements are several blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    threads: u32,
    batches_max: u32,
}

impl Block {
    /// 256 threads, each with as many elements as its state can take: 128 of
    /// most types.
    pub const LARGE: Block = Block::new(256, 16);

    /// A block of `threads` threads with at most `batches_max` batches each.
    ///
    /// # Panics
    /// If `threads` is no power of two in 8..=256, or `batches_max` is zero.
    pub const fn new(threads: u32, batches_max: u32) -> Block {
        assert!(threads.is_power_of_two() && 8 <= threads && threads <= 256);
        assert!(batches_max > 0);
        Block { threads, batches_max }
    }
}

/// The constants of one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    dtype: DType,
    threads: u32,
    batches: u32,
    digits: u32,
    copies: u32,
}

impl Kernel {
    /// The kernel that sums elements of `dtype` in blocks of this size.
    pub const fn sum(dtype: DType, block: Block) -> Kernel {
        // Batches: a thread's state takes 128 floats, and 32 vectors of
        // integers. Digits: one more than the highest that is added to.
        // Copies: what leaves room for several workgroups of f64 in the 16 KiB
        // of workgroup memory that every adapter has.
        let (batches, digits, copies) = match dtype {
            DType::F32 => (8, 36, 8),
            DType::F64 => (16, 264, 4),
            _ => (8, 11, 8),
        };
        let batches = if batches < block.batches_max { batches } else { block.batches_max };
        Kernel { dtype, threads: block.threads, batches, digits, copies }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Digits of the workgroup's fixed-point integer.
    pub fn digits(&self) -> usize {
        self.digits as usize
    }

    /// Bytes of one block.
    pub const fn block_bytes(&self) -> u32 {
        self.threads * self.batches * BATCH_VECTORS * VECTOR_BYTES
    }

    /// Bytes of one workgroup's `Partial` in `shared/digits.wgsl`: low and high
    /// digits, three counts of special elements and the count of blocks.
    pub const fn partial_bytes(&self) -> u32 {
        4 * (2 * self.digits + 4)
    }

    /// The kernel's source text.
    pub fn source(&self) -> String {
        let bits = 8 * self.dtype.size_bytes();
        let constants = format!(
            "const THREADS: u32 = {}u;\n\
             const BATCHES: u32 = {}u;\n\
             const DIGITS: u32 = {}u;\n\
             const COPIES: u32 = {}u;\n\
             const ELEMENT_BITS: u32 = {bits}u;\n\
             const SIGNED: bool = {};\n\
             const BOOLEAN: bool = {};\n",
            self.threads,
            self.batches,
            self.digits,
            self.copies,
            self.dtype.is_signed(),
            self.dtype == DType::Bool,
        );
        let operation = match self.dtype {
            DType::F32 => SUM_F32,
            DType::F64 => SUM_F64,
            _ => SUM_INT,
        };
        [&constants, WINDOW, DIGITS, operation, BLOCKS].join("\n")
    }

    /// Whether no number in the kernel can overflow: the bounds that the
    /// shaders' comments speak of. Fewer threads or batches only lower them.
    const fn fits(&self) -> bool {
        let vectors = (self.batches * BATCH_VECTORS) as u64;
        let block_vectors = self.threads as u64 * vectors;
        // What a thread holds of one block. `merges` is its calls of `add_at`,
        // `far` the elements that may go to the digits one by one, `top` the
        // position of the highest digit and how far above it is added to.
        let (thread_fits, merges, far, top) = match self.dtype {
            // 24-bit significands in `high`, 25-bit windows ending at exponent
            // 254; an element at exponent 254 adds to two halves.
            DType::F32 => {
                let elements = 4 * vectors;
                let high = elements * ((1 << 24) - 1);
                let digit = (229 + 24) / DIGIT_BITS + 4;
                (high < 1 << 31, 3, 4 * block_vectors, digit)
            }
            // The rests of a batch of eight with its count of negatives, then
            // the sums of their halves over the batches, then what lies above
            // 2^54.
            DType::F64 => {
                let batch_elements = 2 * BATCH_VECTORS as u64;
                let rest = batch_elements * ((1 << 27) - 1) + batch_elements;
                let halves = self.batches as u64 * ((1 << 16) - 1);
                let top = 2 * vectors * (1 << 21);
                let fits = rest < 1 << 32 && halves < 1 << 31 && top < 1 << 31;
                let digit = (2023 + 54) / DIGIT_BITS + 4;
                (fits, 5, 2 * block_vectors, digit)
            }
            // Eight fields of 16 bits or sixteen of 8 in a vector.
            _ => {
                let field = vectors * 8 * ((1 << 16) - 1);
                (field < 1 << 31, 4, 0, 48 / DIGIT_BITS + 4)
            }
        };
        // One digit of one block, all its copies together: an element adds at
        // most 2^15 to it, a merge less than 2^16 + 2^8.
        let digit = far * (1 << 15) + self.threads as u64 * merges * ((1 << 16) + (1 << 8));
        // One partial: a block adds at most 2^15 and one carry to `high`, and
        // no more special elements than the block has elements.
        let blocks = BLOCKS_PER_PARTIAL_MAX as u64;
        let high = blocks * ((1 << 15) + 1);
        let special = blocks * far;
        let shared_bytes = 4 * (self.digits * self.copies + 3 + 1);
        thread_fits
            && digit < 1 << 31
            && high < 1 << 31
            && special < 1 << 32
            && top < self.digits
            && self.copies.is_power_of_two()
            && shared_bytes <= 16 << 10
    }
}

const _: () = {
    let mut index = 0;
    while index < super::DTYPES.len() {
        assert!(Kernel::sum(super::DTYPES[index], Block::LARGE).fits());
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_reject_a_block_that_is_too_large() {
        for dtype in super::super::DTYPES {
            let mut kernel = Kernel::sum(dtype, Block::LARGE);
            kernel.batches = 1 << 14;
            assert!(!kernel.fits(), "{dtype}");
        }
    }

    #[test]
    fn f32_fills_its_state_to_the_last_element() {
        let mut kernel = Kernel::sum(DType::F32, Block::LARGE);
        kernel.batches += 1;
        assert!(!kernel.fits());
    }
}
