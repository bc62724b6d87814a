//! Exact sums, in digits of workgroup memory.

use super::{BATCH_VECTORS, BLOCKS_PER_PARTIAL_MAX, Block};
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::sum::unit_exponent;

const DIGITS: &str = include_str!("../../../shaders/shared/digits.wgsl");
const ANCHOR: &str = include_str!("../../../shaders/shared/anchor.wgsl");
const BLOCKS: &str = include_str!("../../../shaders/shared/blocks.wgsl");
const DIRECT: &str = include_str!("../../../shaders/terms/direct.wgsl");
const WIDEN: &str = include_str!("../../../shaders/terms/widen.wgsl");
const HALVES: &str = include_str!("../../../shaders/terms/halves.wgsl");
const MULTIPLY: &str = include_str!("../../../shaders/terms/multiply.wgsl");
const PRODUCTS: &str = include_str!("../../../shaders/terms/products.wgsl");
const HALF_PRODUCTS: &str = include_str!("../../../shaders/terms/half_products.wgsl");
const SUM_F32: &str = include_str!("../../../shaders/op/sum_f32.wgsl");
const SUM_F64: &str = include_str!("../../../shaders/op/sum_f64.wgsl");
const SUM_INT: &str = include_str!("../../../shaders/op/sum_int.wgsl");
const DOT_F64: &str = include_str!("../../../shaders/op/dot_f64.wgsl");
const DOT_INT: &str = include_str!("../../../shaders/op/dot_int.wgsl");

/// Bits between the weights of neighbouring digits.
pub const DIGIT_BITS: u32 = 8;

/// How terms are added to digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// As binary32: `op/sum_f32.wgsl`.
    F32,
    /// As binary64: `op/sum_f64.wgsl`.
    F64,
    /// As integers: `op/sum_int.wgsl`.
    Int,
    /// As products of binary64: `op/dot_f64.wgsl`.
    DotF64,
    /// As products of integers: `op/dot_int.wgsl`.
    DotInt,
}

impl Op {
    /// The largest exponent of a finite term, zero if terms have none.
    const fn exponent_max(self) -> u32 {
        match self {
            Op::F32 => 254,
            Op::F64 | Op::DotF64 => 2046,
            Op::Int | Op::DotInt => 0,
        }
    }

    /// Classes of exponents by which a block's window is placed, if it has one:
    /// `shared/anchor.wgsl`.
    const fn classes(self) -> u32 {
        match self {
            Op::F32 | Op::F64 => self.exponent_max() / 8 + 1,
            Op::Int | Op::DotF64 | Op::DotInt => 1,
        }
    }
}

/// How terms are made of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// They are the elements, or their magnitudes.
    Direct,
    /// The same of 16-bit floats, as binary32.
    Halves,
    /// Products of binary32, as binary64.
    Products,
    /// Products of 16-bit floats, as binary64.
    HalfProducts,
    /// By the operation itself.
    Itself,
}

impl Made {
    /// Calls of `lift` for each batch of vectors: how many times wider terms
    /// are than elements.
    const fn lifts(self) -> u32 {
        match self {
            Made::Direct | Made::Itself => 1,
            Made::Halves | Made::Products => 2,
            Made::HalfProducts => 4,
        }
    }
}

/// A kernel that sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    op: Op,
    made: Made,
    term: Term,
    threads: u32,
    batches: u32,
    digits: u32,
    copies: u32,
    window_share: u32,
    /// Lowest bits of the digits' integer that the sum does not have: they are
    /// zeros.
    unused_bits: u32,
}

impl Digits {
    /// The kernel that sums terms of elements of `dtype` in blocks of this size.
    pub const fn new(dtype: DType, term: Term, block: Block) -> Digits {
        let product = matches!(term, Term::Square | Term::Product);
        let (op, made) = match dtype {
            DType::F32 if product => (Op::F64, Made::Products),
            DType::F32 => (Op::F32, Made::Direct),
            DType::F16 | DType::BF16 if product => (Op::F64, Made::HalfProducts),
            DType::F16 | DType::BF16 => (Op::F32, Made::Halves),
            DType::F64 if product => (Op::DotF64, Made::Itself),
            DType::F64 => (Op::F64, Made::Direct),
            _ if matches!(term, Term::Value) => (Op::Int, Made::Direct),
            _ => (Op::DotInt, Made::Itself),
        };
        // Lifts: a thread's state takes 128 floats, and 32 vectors of integers;
        // products of binary64 go to the digits one by one. Digits: one more
        // than the highest that is added to. Copies: what leaves room for
        // several workgroups of f64 in the 16 KiB of workgroup memory that
        // every adapter has.
        let (lifts, digits, copies, unit) = match op {
            Op::F32 => (8, 36, 8, unit_exponent(DType::F32, Term::Value)),
            Op::F64 => (16, 264, 4, unit_exponent(DType::F64, Term::Value)),
            Op::Int => (8, 11, 8, 0),
            Op::DotF64 => (8, 526, 4, unit_exponent(DType::F64, Term::Product)),
            Op::DotInt => (8, 19, 8, 0),
        };
        let batches = lifts / made.lifts();
        let batches = if batches < block.batches_max { batches } else { block.batches_max };
        let unused_bits = (unit_exponent(dtype, term) - unit) as u32;
        let Block { threads, window_share, .. } = block;
        Digits { op, made, term, threads, batches, digits, copies, window_share, unused_bits }
    }

    /// What is added up for each element.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Digits of the workgroup's fixed-point integer.
    pub fn digits(&self) -> usize {
        self.digits as usize
    }

    /// Lowest bits of the digits' integer that are zeros, below the unit of the
    /// sum.
    pub fn unused_bits(&self) -> u32 {
        self.unused_bits
    }

    pub(super) const fn block_vectors(&self) -> u32 {
        self.threads * self.batches * BATCH_VECTORS
    }

    /// Low and high digits, three counts of special terms and the count of
    /// blocks: `Partial` in `shared/digits.wgsl`.
    pub(super) const fn partial_bytes(&self) -> u32 {
        4 * (2 * self.digits + 4)
    }

    /// An upper bound of a thread's steps for a block: placing the window,
    /// gathering the elements of each vector, adding them, merging the thread's
    /// state and draining the digits.
    pub(super) const fn steps(&self, vector_elements: u32) -> u32 {
        let add = match self.op {
            Op::F32 | Op::F64 | Op::Int => 0,
            // Two products of eight halves, each of four products of pieces.
            Op::DotF64 => 2 * 8 * 6,
            // At most four elements of each of four words.
            Op::DotInt => 4 * 6,
        };
        let vectors = self.batches * BATCH_VECTORS;
        let drain = (self.digits / self.threads + 1) * (self.copies + 2);
        let place = 2 * (self.op.classes() / self.threads + 1);
        vectors * (vector_elements + 2 + add) + place + drain + 16
    }

    pub(super) fn source(&self, dtype: DType) -> (String, Vec<&'static str>) {
        // Without the sign bits, where magnitudes are summed.
        let keep = match (dtype, self.term) {
            (DType::F16 | DType::BF16, Term::Magnitude) => [0x7fff_7fff_u32; 4],
            (DType::F32, Term::Magnitude) => [0x7fff_ffff; 4],
            (DType::F64, Term::Magnitude) => [u32::MAX, 0x7fff_ffff, u32::MAX, 0x7fff_ffff],
            _ => [u32::MAX; 4],
        };
        let [x, y, z, w] = keep;
        let constants = format!(
            "const BATCHES: u32 = {}u;\n\
             const DIGITS: u32 = {}u;\n\
             const COPIES: u32 = {}u;\n\
             const EXPONENT_MAX: u32 = {}u;\n\
             const CLASSES: u32 = {}u;\n\
             const WINDOWED: bool = {};\n\
             const WINDOW_SHARE: u32 = {}u;\n\
             const KEEP: vec4<u32> = vec4<u32>({x:#x}u, {y:#x}u, {z:#x}u, {w:#x}u);\n\
             const PAIRED: bool = {};\n\
             const MAGNITUDE: bool = {};\n\
             const BRAIN: bool = {};\n",
            self.batches,
            self.digits,
            self.copies,
            self.op.exponent_max(),
            self.op.classes(),
            matches!(self.op, Op::F32 | Op::F64),
            self.window_share,
            self.term == Term::Product,
            self.term == Term::Magnitude,
            dtype == DType::BF16,
        );
        let operation = match self.op {
            Op::F32 => SUM_F32,
            Op::F64 => SUM_F64,
            Op::Int => SUM_INT,
            Op::DotF64 => DOT_F64,
            Op::DotInt => DOT_INT,
        };
        let terms: &[&str] = match self.made {
            Made::Direct => &[DIRECT],
            Made::Halves => &[WIDEN, HALVES],
            Made::Products => &[MULTIPLY, PRODUCTS],
            Made::HalfProducts => &[WIDEN, MULTIPLY, HALF_PRODUCTS],
            Made::Itself => &[],
        };
        (constants, [&[DIGITS, ANCHOR, operation], terms, &[BLOCKS]].concat())
    }

    /// Whether no number in the kernel can overflow: the bounds that the
    /// shaders' comments speak of. Fewer threads or batches only lower them.
    const fn fits(&self) -> bool {
        let vectors = (self.batches * self.made.lifts() * BATCH_VECTORS) as u64;
        let block_vectors = self.threads as u64 * vectors;
        // What a thread holds of one block. `merges` is its calls of `add_at`,
        // `far` the terms that may go to the digits one by one, `top` the
        // highest digit that is added to: that of the highest position, and how
        // far above it is added to.
        let (thread_fits, merges, far, top) = match self.op {
            // 24-bit significands in `high`, 25-bit windows ending at exponent
            // 254; an element at exponent 254 adds to two halves.
            Op::F32 => {
                let elements = 4 * vectors;
                let high = elements * ((1 << 24) - 1);
                let digit = (229 + 24) / DIGIT_BITS + 4;
                (high < 1 << 31, 3, 4 * block_vectors, digit)
            }
            // The rests of a batch of eight with its count of negatives, then
            // the sums of their halves over the batches, then what lies above
            // 2^54.
            Op::F64 => {
                let batch_elements = 2 * BATCH_VECTORS as u64;
                let rest = batch_elements * ((1 << 27) - 1) + batch_elements;
                let halves = vectors / BATCH_VECTORS as u64 * ((1 << 16) - 1);
                let top = 2 * vectors * (1 << 21);
                let fits = rest < 1 << 32 && halves < 1 << 31 && top < 1 << 31;
                let digit = (2023 + 54) / DIGIT_BITS + 4;
                (fits, 5, 2 * block_vectors, digit)
            }
            // Eight fields of 16 bits or sixteen of 8 in a vector.
            Op::Int => {
                let field = vectors * 8 * ((1 << 16) - 1);
                (field < 1 << 31, 4, 0, 48 / DIGIT_BITS + 4)
            }
            // Products of two significands at the highest exponents, as halves:
            // 106 bits, shifted by at most 7.
            Op::DotF64 => (true, 0, 2 * block_vectors, 2 * 2045 / DIGIT_BITS + 14),
            // To a field, an element of 64 bits adds at most four lower and
            // three upper halves, one of 8 bits a single product below 2^16.
            Op::DotInt => {
                let of_64_bits = 2 * 7;
                let of_8_bits = 16;
                let halves = if of_64_bits > of_8_bits { of_64_bits } else { of_8_bits };
                let field = vectors * halves * ((1 << 16) - 1);
                (field < 1 << 31, 8, 0, 112 / DIGIT_BITS + 4)
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
        let shared_bytes = 4 * (self.digits * self.copies + 3 + self.op.classes() + 3);
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
    let terms = [Term::Value, Term::Magnitude, Term::Square, Term::Product];
    let mut index = 0;
    while index < DType::ALL.len() {
        let mut term = 0;
        while term < terms.len() {
            assert!(Digits::new(DType::ALL[index], terms[term], Block::LARGE).fits());
            term += 1;
        }
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_reject_a_block_that_is_too_large() {
        for dtype in DType::ALL {
            for term in [Term::Value, Term::Magnitude, Term::Square, Term::Product] {
                let mut digits = Digits::new(dtype, term, Block::LARGE);
                digits.batches = 1 << 14;
                assert!(!digits.fits(), "{term:?} of {dtype}");
            }
        }
    }

    #[test]
    fn f32_fills_its_state_to_the_last_element() {
        let mut digits = Digits::new(DType::F32, Term::Value, Block::LARGE);
        digits.batches += 1;
        assert!(!digits.fits());
    }
}
