//! The product of floats, by a perfect binary tree over the elements' places.
//!
//! Products of floats round, so their order decides. Here it is fixed: leaf `k`
//! is the element at place `k`, and a node is the product of its two children.
//! A state is the list of the maximal complete subtrees of the elements that it
//! holds, so merging has no order and every sharding gives the same bits.
//!
//! ```text
//!   place      0   1   2   3   4   5   6
//!               \ /     \ /     \ /    |      seven elements: subtrees of
//!                x       x       x     |      4, 2 and 1, which `finish`
//!                 \     /        |     |      multiplies from the right:
//!                    x           |     |      x4 * (x2 * x1)
//! ```
//!
//! A node is a significand in [1, 2) and an exponent of 64 bits, so nothing
//! overflows on the way. Zeros, infinities and NaN are counted, and have a leaf
//! of 1. The result is reproducible, but unlike a sum not correctly rounded.

use super::codec::{Bytes, put_number, put_word};
use super::float::{BINARY64, Float, FloatFormat};
use super::{CombineError, InvalidState, round};
use crate::dtype::DType;
use crate::value::Value;

/// The most subtrees of a run of elements without a gap: two of each size.
pub const NODES_MAX: usize = 128;

/// The level of the largest subtrees: a petabyte of leaves.
const LEVEL_MAX: u8 = 47;

/// A complete subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Place of its first leaf, a multiple of its number of leaves.
    start: u64,
    /// It has `2^level` leaves.
    level: u8,
    /// Bits of a binary64 in [1, 2).
    significand: u64,
    exponent: i64,
}

impl Node {
    fn leaves(self) -> u64 {
        1 << self.level
    }

    /// Whether `right` is the other child of this one's parent.
    fn is_sibling(self, right: Node) -> bool {
        self.level == right.level
            && self.level < LEVEL_MAX
            && self.start.is_multiple_of(2 * self.leaves())
            && self.start + self.leaves() == right.start
    }

    fn times(self, right: Node) -> (u64, i64) {
        let product = f64::from_bits(self.significand) * f64::from_bits(right.significand);
        let exponent = self.exponent.saturating_add(right.exponent);
        match product >= 2.0 {
            true => ((product / 2.0).to_bits(), exponent.saturating_add(1)),
            false => (product.to_bits(), exponent),
        }
    }
}

/// What a backend found out of a complete subtree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Place of its first leaf, a multiple of its number of leaves.
    pub start: u64,
    /// It has `2^level` leaves.
    pub level: u8,
    /// Bits of a binary64 in [1, 2): the product of significands, multiplied in
    /// pairs of neighbours and made one of [1, 2) again at every level.
    pub significand: u64,
    /// The sum of all exponents.
    pub exponent: i64,
    /// Leaves that are NaN.
    pub nan: u64,
    /// Leaves that are zero.
    pub zeros: u64,
    /// Leaves that are infinite.
    pub infinities: u64,
    /// Whether an odd number of leaves that are not NaN has the sign bit.
    pub negative: bool,
}

/// The product of any number of floats of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    dtype: DType,
    elements: u64,
    nan: u64,
    zeros: u64,
    infinities: u64,
    /// Whether an odd number of elements that are not NaN has the sign bit.
    negative: bool,
    /// The maximal complete subtrees, in order of their places.
    nodes: Vec<Node>,
}

impl Tree {
    /// The product of no elements, which is 1.
    pub fn identity(dtype: DType) -> Tree {
        Tree {
            dtype,
            elements: 0,
            nan: 0,
            zeros: 0,
            infinities: 0,
            negative: false,
            nodes: Vec::new(),
        }
    }

    /// The product of one element at a place.
    pub fn lift(dtype: DType, bits: u64, index: u64) -> Tree {
        let mut tree = Tree::identity(dtype);
        tree.add(bits, index);
        tree
    }

    /// Merges one lifted element whose place comes after all others.
    ///
    /// # Panics
    /// For integers, whose products are exact.
    pub fn add(&mut self, bits: u64, index: u64) {
        let format = FloatFormat::of(self.dtype).expect("a tree is of floats");
        let (mut significand, mut exponent) = (1.0_f64.to_bits(), 0);
        self.elements += 1;
        match format.decode(bits) {
            Float::Nan => self.nan += 1,
            Float::Infinite { negative } => {
                self.infinities += 1;
                self.negative ^= negative;
            }
            Float::Finite { negative, significand: 0, .. } => {
                self.zeros += 1;
                self.negative ^= negative;
            }
            Float::Finite { negative, significand: digits, shift } => {
                self.negative ^= negative;
                // The highest one becomes the implicit one of [1, 2).
                let highest = 63 - digits.leading_zeros();
                let fraction = digits << (52 - highest) & !(1 << 52);
                significand = 1.0_f64.to_bits() | fraction;
                exponent = i64::from(highest + shift) + i64::from(format.exponent_min);
            }
        }
        self.push(Node { start: index, level: 0, significand, exponent });
    }

    /// Whether a place comes after those of all elements.
    pub fn ends_before(&self, place: u64) -> bool {
        self.nodes.last().is_none_or(|last| last.start + last.leaves() <= place)
    }

    /// Merges a complete subtree whose places come after all others.
    pub fn add_block(&mut self, block: Block) {
        let Block { start, level, significand, exponent, nan, zeros, infinities, negative } = block;
        debug_assert!(level <= LEVEL_MAX && start.is_multiple_of(1 << level), "a whole subtree");
        self.elements += 1 << level;
        self.nan += nan;
        self.zeros += zeros;
        self.infinities += infinities;
        self.negative ^= negative;
        self.push(Node { start, level, significand, exponent });
    }

    /// Appends a subtree and multiplies siblings as long as there are any.
    fn push(&mut self, mut node: Node) {
        while let Some(&left) = self.nodes.last().filter(|left| left.is_sibling(node)) {
            self.nodes.pop();
            let (significand, exponent) = left.times(node);
            node = Node { start: left.start, level: left.level + 1, significand, exponent };
        }
        self.nodes.push(node);
    }

    /// All elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Elements that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// Elements that are infinite.
    pub fn infinities(&self) -> u64 {
        self.infinities
    }

    /// Whether another state can be merged.
    ///
    /// # Errors
    /// Different types, or elements that both hold.
    pub fn can_merge(&self, other: &Tree) -> Result<(), CombineError> {
        self.all_nodes(other).map(|_| ())
    }

    /// The subtrees of both, in order.
    fn all_nodes(&self, other: &Tree) -> Result<Vec<Node>, CombineError> {
        if self.dtype != other.dtype {
            return Err(CombineError::Kinds);
        }
        let mut nodes = [&self.nodes[..], &other.nodes].concat();
        nodes.sort_unstable_by_key(|node| node.start);
        match nodes.windows(2).any(|pair| pair[1].start - pair[0].start < pair[0].leaves()) {
            true => Err(CombineError::Overlap),
            false => Ok(nodes),
        }
    }

    /// Merges another state.
    ///
    /// # Errors
    /// Different types, elements that both hold, or more than 2^64 - 1 of them.
    pub fn merge(&mut self, other: &Tree) -> Result<(), CombineError> {
        let nodes = self.all_nodes(other)?;
        self.elements = self.elements.checked_add(other.elements).ok_or(CombineError::TooMany)?;
        self.nodes.clear();
        nodes.into_iter().for_each(|node| self.push(node));
        self.nan += other.nan;
        self.zeros += other.zeros;
        self.infinities += other.infinities;
        self.negative ^= other.negative;
        Ok(())
    }

    /// The same product without its NaN, which count as 1.
    pub fn without_nan(&self) -> Tree {
        Tree { nan: 0, ..self.clone() }
    }

    /// The product, its last multiplication rounded once more to `output`.
    ///
    /// # Panics
    /// If the output is no float.
    pub fn finish(&self, output: DType) -> Value {
        let format = FloatFormat::of(output).expect("a product of floats is a float");
        let sign = if self.negative { format.sign_bit() } else { 0 };
        if self.nan > 0 || (self.infinities > 0 && self.zeros > 0) {
            return Value::of(output, format.quiet_nan());
        }
        if self.infinities > 0 {
            return Value::of(output, format.infinity | sign);
        }
        if self.zeros > 0 {
            return Value::of(output, sign);
        }
        let one = Node { start: 0, level: 0, significand: 1.0_f64.to_bits(), exponent: 0 };
        let product = self.nodes.iter().copied().rev().reduce(|right, left| {
            let (significand, exponent) = left.times(right);
            Node { significand, exponent, ..left }
        });
        let Node { significand, exponent, .. } = product.unwrap_or(one);
        let digits = significand & ((1 << 52) - 1) | 1 << 52;
        // Far past every format's range a larger exponent changes nothing.
        let unit = exponent.clamp(-(1 << 20), 1 << 20) as i32 - 52;
        Value::of(output, round::to_nearest_even(&[digits], unit, format) | sign)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        [self.elements, self.nan, self.zeros, self.infinities]
            .into_iter()
            .for_each(|count| put_number(to, count));
        to.push(self.negative.into());
        put_number(to, self.nodes.len() as u64);
        for node in &self.nodes {
            put_number(to, node.start);
            to.push(node.level);
            put_word(to, node.significand);
            put_word(to, node.exponent as u64);
        }
    }

    /// Reads what [`Tree::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, from: &mut Bytes) -> Result<Tree, InvalidState> {
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = from.number()?;
        }
        let [elements, nan, zeros, infinities] = counts;
        let special = nan.checked_add(zeros).and_then(|sum| sum.checked_add(infinities));
        let contradiction = InvalidState::Counts { elements };
        if special.is_none_or(|special| special > elements) || !dtype.is_float() {
            return Err(contradiction);
        }
        let negative = from.flag()?;
        let count = from.number()?;
        let mut tree = Tree { elements, nan, zeros, infinities, negative, ..Tree::identity(dtype) };
        let (mut end, mut leaves) = (0_u64, 0_u64);
        for _ in 0..count {
            let (start, level) = (from.number()?, from.byte()?);
            let (significand, exponent) = (from.word()?, from.word()? as i64);
            let node = Node { start, level, significand, exponent };
            let valid = level <= LEVEL_MAX
                && start.is_multiple_of(1 << level)
                && start >= end
                && significand >> 52 == 1.0_f64.to_bits() >> 52
                && exponent.unsigned_abs() <= (1_u64 << level) * EXPONENT_MAX;
            if !valid || tree.nodes.last().is_some_and(|left| left.is_sibling(node)) {
                return Err(InvalidState::Value);
            }
            end = start.checked_add(node.leaves()).ok_or(InvalidState::Value)?;
            leaves = leaves.checked_add(node.leaves()).ok_or(contradiction)?;
            tree.nodes.push(node);
        }
        if leaves == elements { Ok(tree) } else { Err(contradiction) }
    }
}

/// A bound of the exponent that one leaf brings, a carry of its product included.
const EXPONENT_MAX: u64 = BINARY64.exponent_min.unsigned_abs() as u64 + 1;

#[cfg(test)]
mod tests;
