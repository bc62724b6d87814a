//! The kernels: their constants, the proof that nothing in them overflows, and
//! their source text.
//!
//! A kernel's WGSL is a few lines of constants written here, then the pieces
//! under `shaders/`, one after the other. There is no preprocessor because
//! there is nothing to preprocess: every piece is whole WGSL, names are the
//! same for every operation, and what differs is a constant, which shader
//! compilers fold.
//!
//! There are three kinds. `digits` sums into a fixed-point integer that a
//! workgroup's threads share, `fold` merges states that fit a thread, and
//! `bins` counts in storage.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;
use crate::op::Monoid;
use crate::reduction::float::FloatFormat;

mod bins;
mod digits;
mod fold;

pub use bins::Bins;
pub use digits::{DIGIT_BITS, Digits};
pub use fold::{Fold, Op as FoldOp};

const WINDOW: &str = include_str!("../../shaders/shared/window.wgsl");
const PLACE: &str = include_str!("../../shaders/shared/place.wgsl");
const KEY: &str = include_str!("../../shaders/shared/key.wgsl");

/// Bytes of one vector load.
pub const VECTOR_BYTES: u32 = 16;

/// Vectors that a thread of a sum loads before it uses the first.
pub const BATCH_VECTORS: u32 = 4;

/// The least share of a block's sample, in sixteenths, for which a sum of floats
/// has a window, unless an adapter is known to be faster by another.
pub const WINDOW_SHARE: u32 = 8;

/// The most blocks that one partial of a workgroup or an output may hold before
/// the host clears it.
pub const BLOCKS_PER_PARTIAL_MAX: u32 = 1 << 15;

/// The most steps of loops that a thread takes in one dispatch. Drivers end
/// loops that seem endless: the strictest known, llvmpipe, after 2^16 steps of
/// all loops together.
pub const STEPS_MAX: u32 = 1 << 15;

/// The most axes over which a kernel adds up an element's place.
pub const AXES_MAX: usize = 12;

/// What one dispatch reduces: `Params` in `shared/window.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    /// Bytes of the run.
    pub bytes: u32,
    /// Blocks of each output.
    pub blocks: u32,
    /// Workgroups of the dispatch.
    pub workgroups: u32,
    /// 1 for a block of many outputs, 0 for a line.
    pub along_axis: u32,
    /// Outputs of the dispatch.
    pub outputs: u32,
    /// The first of them, counted from that of the run.
    pub first_output: u32,
    /// Elements of each output.
    pub reduced: u32,
    /// Elements from one element of an output to the next.
    pub inner: u32,
    /// The place of the element whose digits are all zero, as low and high
    /// words: of an output's first one, if there are no axes.
    pub first_index: [u32; 2],
    /// The vector that the second run starts with.
    pub second: u32,
    /// Intervals that elements are counted in.
    pub bins: u32,
    /// How far apart places are of elements that differ by one in what the axes
    /// leave of their numbers, as low and high words.
    pub stride: [u32; 2],
    /// How many axes there are.
    pub axes: u32,
    /// Fills the place up to the alignment of the axes.
    pub padding: u32,
    /// Of each axis its length, the digit of the run's first element, and how
    /// far apart neighbours' places are, as low and high words.
    pub axis: [[u32; 4]; AXES_MAX],
}

/// How many elements one workgroup reduces at a time, and how.
///
/// The default keeps a GPU busy; tests take small blocks, so that a thousand
/// elements are several blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    threads: u32,
    batches_max: u32,
    window_share: u32,
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
        Block { threads, batches_max, window_share: WINDOW_SHARE }
    }

    /// The same, where a sum of floats has a window of exponents only if that
    /// holds so many sixteenths of a sample of the block.
    pub const fn with_window_share(self, window_share: u32) -> Block {
        Block { window_share, ..self }
    }
}

/// What a kernel gathers, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An exact sum, in digits of workgroup memory.
    Digits(Digits),
    /// A state of a few words, in each thread.
    Fold(Fold),
    /// Counts of intervals, in storage.
    Bins(Bins),
}

/// One kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    dtype: DType,
    threads: u32,
    kind: Kind,
}

impl Kernel {
    /// The kernel of a state over elements of `dtype`, in blocks of this size;
    /// `None` if there is none.
    pub fn new(monoid: &Monoid, dtype: DType, block: Block) -> Option<Kernel> {
        let kind = match monoid {
            Monoid::Sum(term) => Kind::Digits(Digits::new(dtype, *term, block)),
            Monoid::Extremum { indexed } => {
                Kind::Fold(Fold::new(FoldOp::Extremum { indexed: *indexed }, block))
            }
            Monoid::Tally => Kind::Fold(Fold::new(FoldOp::Tally, block)),
            Monoid::Product => Kind::Fold(Fold::new(FoldOp::Product, block)),
            Monoid::Bits => Kind::Fold(Fold::new(FoldOp::Bits, block)),
            Monoid::Bins(bins) => Kind::Bins(Bins::new(bins.lower.len() as u32, block)),
            Monoid::Tree | Monoid::Multiset { .. } => return None,
        };
        Some(Kernel { dtype, threads: block.threads, kind })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// What it gathers.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Elements of one block.
    pub fn block_elements(&self) -> u32 {
        match &self.kind {
            Kind::Digits(digits) => {
                digits.block_vectors() * (VECTOR_BYTES / self.dtype.size_bytes() as u32)
            }
            Kind::Fold(fold) => fold.block_elements(),
            Kind::Bins(bins) => bins.block_elements(),
        }
    }

    /// Bytes of one `Partial` or `State`.
    pub fn partial_bytes(&self) -> u32 {
        match &self.kind {
            Kind::Digits(digits) => digits.partial_bytes(),
            Kind::Fold(fold) => fold.partial_bytes(),
            Kind::Bins(bins) => bins.partial_bytes(),
        }
    }

    /// Whether all workgroups share one partial, so that there is but one
    /// output. Else each has one of its own, or each output along an axis.
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Bins(_))
    }

    /// The most blocks that one partial may hold before the host clears it.
    pub fn blocks_max(&self) -> u32 {
        match &self.kind {
            Kind::Digits(_) | Kind::Fold(_) => BLOCKS_PER_PARTIAL_MAX,
            Kind::Bins(bins) => bins.blocks_max(),
        }
    }

    /// The most blocks that one workgroup may reduce in one dispatch, so that no
    /// thread takes more than [`STEPS_MAX`] steps.
    pub fn blocks_per_dispatch(&self) -> u32 {
        let steps = match &self.kind {
            Kind::Digits(digits) => digits.steps(VECTOR_BYTES / self.dtype.size_bytes() as u32),
            Kind::Fold(fold) => fold.steps(),
            Kind::Bins(bins) => bins.steps(),
        };
        (STEPS_MAX / steps).max(1)
    }

    /// Number of intervals in which elements are counted.
    pub fn bins(&self) -> u32 {
        match &self.kind {
            Kind::Digits(_) | Kind::Fold(_) => 0,
            Kind::Bins(bins) => bins.bins(),
        }
    }

    /// The kernel's source text.
    pub fn source(&self) -> String {
        let dtype = self.dtype;
        let common = format!(
            "const THREADS: u32 = {}u;\n\
             const ELEMENT_BITS: u32 = {}u;\n\
             const AXES_MAX: u32 = {AXES_MAX}u;\n\
             const SIGNED: bool = {};\n\
             const BOOLEAN: bool = {};\n",
            self.threads,
            8 * dtype.size_bytes(),
            dtype.is_signed(),
            dtype == DType::Bool,
        );
        let (constants, pieces) = match &self.kind {
            Kind::Digits(digits) => digits.source(dtype),
            Kind::Fold(fold) => fold.source(dtype),
            Kind::Bins(bins) => bins.source(dtype),
        };
        [&[&common, &constants, WINDOW], &pieces[..]].concat().join("\n")
    }
}

/// The constants of `shared/key.wgsl`.
fn key_constants(dtype: DType) -> String {
    let bits = 8 * dtype.size_bytes();
    let sign = if dtype.is_signed() { 1_u64 << (bits - 1) } else { 0 };
    let infinity = FloatFormat::of(dtype).map_or(0, |format| format.infinity);
    let words = |word: u64| format!("vec2<u32>({:#x}u, {:#x}u)", word as u32, word >> 32);
    format!(
        "const FLOAT: bool = {};\n\
         const SIGN: vec2<u32> = {};\n\
         const MASK: vec2<u32> = {};\n\
         const INFINITY: vec2<u32> = {};\n",
        dtype.is_float(),
        words(sign),
        words(u64::MAX >> (64 - bits)),
        words(infinity),
    )
}
