//! Products of floats, by the tree over their places.
//!
//! Whole aligned blocks are multiplied level by level in float64. Of a complete
//! subtree only the significand depends on the order of multiplications; the
//! exponents of all leaves and of all carries are summed as they come.

use super::line::{Line, merge};
use super::stretch::Stretch;
use super::widen::{BF16, F16, F32, Widen};
use super::word::Word;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::float::{BINARY64, Float};
use crate::reduction::tree::{Block, Tree};

/// A block has `2^LEVEL` elements.
const LEVEL: u8 = 8;
const BLOCK_ELEMENTS: usize = 1 << LEVEL;

const FRACTION_BITS: u32 = BINARY64.precision - 1;
const FRACTION: u64 = (1 << FRACTION_BITS) - 1;
const ONE: u64 = 1.0_f64.to_bits();
const BIAS: i64 = (ONE >> FRACTION_BITS) as i64;
const LEAST_NORMAL: u64 = 1 << FRACTION_BITS;

/// Products by a tree.
pub struct Leaves;

impl Line for Leaves {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        match state {
            // Runs mostly come in order.
            State::Tree(tree) if tree.ends_before(stretch.index(0)) => add_to(tree, stretch),
            _ => {
                let mut tree = Tree::identity(stretch.dtype);
                add_to(&mut tree, stretch);
                merge(state, State::Tree(tree));
            }
        }
    }
}

/// Adds elements whose places come after those of the tree.
fn add_to(tree: &mut Tree, stretch: &Stretch<'_>) {
    match stretch.dtype {
        DType::F16 => multiply(tree, stretch, widened::<F16>),
        DType::BF16 => multiply(tree, stretch, widened::<BF16>),
        DType::F32 => multiply(tree, stretch, widened::<F32>),
        _ => multiply(tree, stretch, f64::from_bits),
    }
}

#[inline(always)]
fn widened<F: Widen>(word: F::Word) -> f64 {
    F::to_f32(word).into()
}

#[inline(always)]
fn multiply<W: Word>(tree: &mut Tree, stretch: &Stretch<'_>, widen: impl Fn(W) -> f64) {
    let start = stretch.index(0);
    let elements = stretch.elements();
    let until_aligned = start.next_multiple_of(BLOCK_ELEMENTS as u64) - start;
    let head = (until_aligned as usize).min(elements);
    let (head, rest) = stretch.bytes.split_at(head * size_of::<W>());
    let mut index = start;
    let add_each = |tree: &mut Tree, bytes: &[u8], index: u64| {
        for (index, word) in (index..).zip(W::all(bytes)) {
            tree.add(word.as_(), index);
        }
    };
    add_each(tree, head, index);
    index += (head.len() / size_of::<W>()) as u64;
    let blocks = rest.chunks_exact(BLOCK_ELEMENTS * size_of::<W>());
    let tail = blocks.remainder();
    for block in blocks {
        let mut leaves = [0; BLOCK_ELEMENTS];
        leaves.iter_mut().zip(W::all(block)).for_each(|(leaf, word)| *leaf = widen(word).to_bits());
        tree.add_block(product(leaves, index));
        index += BLOCK_ELEMENTS as u64;
    }
    add_each(tree, tail, index);
}

/// The product of a whole block of bits of float64.
fn product(mut leaves: [u64; BLOCK_ELEMENTS], start: u64) -> Block {
    let mut block = Block { start, level: LEVEL, ..Block::default() };
    let magnitude = |leaf: &u64| leaf & !BINARY64.sign_bit();
    let is_plain =
        |leaf| magnitude(leaf).wrapping_sub(LEAST_NORMAL) < BINARY64.infinity - LEAST_NORMAL;
    if leaves.iter().fold(true, |plain, leaf| plain & is_plain(leaf)) {
        let signs = leaves.iter().fold(0, |signs, leaf| signs ^ leaf);
        block.negative = signs & BINARY64.sign_bit() != 0;
    } else {
        leaves.iter_mut().for_each(|leaf| take_special(leaf, &mut block));
    }
    let mut exponents = 0;
    for leaf in &mut leaves {
        exponents += (magnitude(leaf) >> FRACTION_BITS) as i64 - BIAS;
        *leaf = *leaf & FRACTION | ONE;
    }
    let mut level = &mut leaves[..];
    let mut spare = &mut [0; BLOCK_ELEMENTS / 2][..];
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        for (product, &[left, right]) in spare.iter_mut().zip(pairs) {
            let bits = (f64::from_bits(left) * f64::from_bits(right)).to_bits();
            exponents += (bits >> FRACTION_BITS) as i64 - BIAS;
            *product = bits & FRACTION | ONE;
        }
        let half = level.len() / 2;
        (level, spare) = (&mut spare[..half], level);
    }
    Block { significand: level[0], exponent: block.exponent + exponents, ..block }
}

/// Counts a leaf that is not a normal number, and makes it one.
fn take_special(leaf: &mut u64, block: &mut Block) {
    let mut sign = *leaf & BINARY64.sign_bit() != 0;
    match BINARY64.decode(*leaf) {
        Float::Nan => {
            block.nan += 1;
            sign = false;
            *leaf = ONE;
        }
        Float::Infinite { .. } => {
            block.infinities += 1;
            *leaf = ONE;
        }
        Float::Finite { significand: 0, .. } => {
            block.zeros += 1;
            *leaf = ONE;
        }
        Float::Finite { significand, shift: 0, .. } if significand < LEAST_NORMAL => {
            // An integer of the same digits is a normal number.
            *leaf = (significand as f64).to_bits();
            block.exponent += i64::from(BINARY64.exponent_min);
        }
        Float::Finite { .. } => {}
    }
    block.negative ^= sign;
}
