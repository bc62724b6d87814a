//! From the words that a device gives back to states.
//!
//! A device is not trusted more than a peer: what it says must be possible.

use super::kernel::{DIGIT_BITS, Digits, Fold, FoldOp, Kernel, Kind};
use crate::dtype::DType;
use crate::op::{self, Monoid};
use crate::reduction::bins::BinCounts;
use crate::reduction::bits::Bits;
use crate::reduction::extremum::{Extremes, Extremum, Found};
use crate::reduction::key;
use crate::reduction::product::Product;
use crate::reduction::sum::{Counts, Sum, is_signed, limb_count};
use crate::reduction::tally::Tally;
use crate::reduction::{CombineError, InvalidState, State, limbs};

/// Why words from a device are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPartials {
    /// Some dispatch did not run, or ran twice.
    #[error("it reduced {got} blocks where {expected} were sent")]
    Blocks {
        /// Blocks dispatched.
        expected: u64,
        /// Blocks that the partials count.
        got: u64,
    },
    /// Some elements were left out, or taken twice.
    #[error("it counted {got} elements where {expected} were sent")]
    Elements {
        /// Elements dispatched.
        expected: u64,
        /// Elements that the partials count.
        got: u64,
    },
    /// Digits that are no multiple of the sum's unit, or more than it holds.
    #[error("its answer is impossible: no sum of its elements has these digits")]
    Digits,
    /// The elements sent cannot have this state.
    #[error("its answer is impossible: {0}")]
    State(#[from] InvalidState),
    /// States that do not merge.
    #[error("its answer is impossible: {0}")]
    Merge(#[from] CombineError),
}

/// What a state was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Blocks that were reduced.
    pub blocks: u64,
    /// Elements that were reduced.
    pub elements: u64,
}

/// The state that the partials of a kernel are together.
///
/// # Errors
/// The words cannot be the state of what was dispatched.
pub fn state(
    monoid: &Monoid,
    kernel: &Kernel,
    words: &[u32],
    sent: Evidence,
) -> Result<State, InvalidPartials> {
    let partials = words.chunks_exact(kernel.partial_bytes() as usize / 4);
    let dtype = kernel.dtype();
    let identity = State::identity(monoid, dtype);
    match (kernel.kind(), monoid) {
        (Kind::Digits(digits), _) => sum(digits, dtype, partials, sent).map(State::Sum),
        (Kind::Fold(fold), _) => folded(fold, dtype, identity, partials, sent),
        (Kind::Bins(_), Monoid::Bins(bins)) => counted(bins, dtype, identity, partials, sent),
        (Kind::Bins(_), _) => unreachable!("only intervals are counted in"),
    }
}

fn sum<'a>(
    kernel: &Digits,
    dtype: DType,
    partials: impl Iterator<Item = &'a [u32]>,
    sent: Evidence,
) -> Result<Sum, InvalidPartials> {
    let digits = kernel.digits();
    let mut columns = vec![0i64; digits];
    let mut special = [0u64; 3];
    let mut blocks = 0;
    for partial in partials {
        let (low, rest) = partial.split_at(digits);
        let (high, counts) = rest.split_at(digits);
        for (column, (low, high)) in columns.iter_mut().zip(low.iter().zip(high)) {
            *column += i64::from(*low) + (i64::from(*high as i32) << 16);
        }
        for (total, count) in special.iter_mut().zip(counts) {
            *total += u64::from(*count);
        }
        blocks += u64::from(counts[3]);
    }
    check_blocks(blocks, sent)?;
    let term = kernel.term();
    let limbs =
        integer(&columns, kernel.unused_bits(), limb_count(dtype, term), is_signed(dtype, term))
            .ok_or(InvalidPartials::Digits)?;
    let [nan, positive_infinity, negative_infinity] = special;
    let counts = Counts { elements: sent.elements, nan, positive_infinity, negative_infinity };
    Ok(Sum::from_parts(dtype, term, counts, &limbs)?)
}

/// The integer of these digits without its lowest bits, in so many limbs;
/// `None` if bits that are left out, below or above, say anything.
fn integer(columns: &[i64], unused_bits: u32, count: usize, signed: bool) -> Option<Vec<u64>> {
    // The top digit reaches 64 bits above its place.
    let bits = DIGIT_BITS as usize * columns.len() + 64;
    let first = (unused_bits / 64) as usize;
    let mut all = vec![0; (bits / 64 + 1).max(first + count + 1)];
    for (digit, column) in (0..).zip(columns) {
        limbs::add_shifted(&mut all, i128::from(*column), DIGIT_BITS * digit);
    }
    if limbs::any_below(&all, unused_bits) {
        return None;
    }
    let sign = if limbs::is_negative(&all) { u64::MAX } else { 0 };
    let all = &all[first..];
    let shift = unused_bits % 64;
    let at = |index: usize| all.get(index).copied().unwrap_or(sign);
    let shifted = |index: usize| match shift {
        0 => at(index),
        _ => at(index) >> shift | at(index + 1) << (64 - shift),
    };
    let above_is_sign = (count..all.len()).all(|index| shifted(index) == sign);
    // The sign is the top bit of the limbs, or none has room in them.
    let top = if signed { shifted(count - 1) as i64 >> 63 } else { 0 };
    (above_is_sign && top as u64 == sign).then(|| (0..count).map(shifted).collect())
}

fn folded<'a>(
    kernel: &Fold,
    dtype: DType,
    mut total: State,
    partials: impl Iterator<Item = &'a [u32]>,
    sent: Evidence,
) -> Result<State, InvalidPartials> {
    let mut blocks = 0;
    for words in partials {
        let (state, count) = match kernel.op() {
            FoldOp::Extremum { indexed } => extremum(dtype, indexed, words)?,
            FoldOp::Tally => tally(dtype, words)?,
            FoldOp::Product => product(dtype, words)?,
            FoldOp::Bits => bits(dtype, words)?,
        };
        total.merge(&state)?;
        blocks += u64::from(count);
    }
    check_blocks(blocks, sent)?;
    check_elements(total, sent)
}

/// `Partial` in `op/bins.wgsl`.
fn counted<'a>(
    bins: &op::Bins,
    dtype: DType,
    mut total: State,
    partials: impl Iterator<Item = &'a [u32]>,
    sent: Evidence,
) -> Result<State, InvalidPartials> {
    let mut blocks = 0;
    for words in partials {
        let (own, counts) = words.split_at(4);
        let [nan, below, above] = [own[0], own[1], own[2]].map(u64::from);
        let counts = counts.iter().copied().map(u64::from).collect();
        let state = BinCounts::from_parts(dtype, bins, nan, below, above, counts)?;
        total.merge(&State::Bins(state))?;
        blocks += u64::from(own[3]);
    }
    check_blocks(blocks, sent)?;
    check_elements(total, sent)
}

fn check_elements(state: State, sent: Evidence) -> Result<State, InvalidPartials> {
    let (expected, got) = (sent.elements, state.elements());
    match got == expected {
        true => Ok(state),
        false => Err(InvalidPartials::Elements { expected, got }),
    }
}

fn check_blocks(got: u64, sent: Evidence) -> Result<(), InvalidPartials> {
    match got == sent.blocks {
        true => Ok(()),
        false => Err(InvalidPartials::Blocks { expected: sent.blocks, got }),
    }
}

/// A state and its blocks.
type Counted = Result<(State, u32), InvalidState>;

/// A number given as low and high words.
fn wide(words: &[u32]) -> u64 {
    u64::from(words[1]) << 32 | u64::from(words[0])
}

/// `State` in `op/extremum.wgsl`.
fn extremum(dtype: DType, indexed: bool, words: &[u32]) -> Counted {
    let [elements, nan, blocks] = [words[10], words[11], words[12]];
    let found = |at: usize| Found { key: wide(&words[at..]), index: wide(&words[at + 2..]) };
    let extremes = (nan < elements).then(|| Extremes { min: found(0), max: found(4) });
    let first_nan = (indexed && nan > 0).then(|| wide(&words[8..]));
    let (elements, nan) = (elements.into(), nan.into());
    let state = Extremum::from_parts(dtype, indexed, elements, nan, first_nan, extremes)?;
    Ok((State::Extremum(state), blocks))
}

/// `State` in `op/tally.wgsl`.
fn tally(dtype: DType, words: &[u32]) -> Counted {
    let [elements, nan, nonzero] = [words[0], words[1], words[2]].map(u64::from);
    Ok((State::Tally(Tally::from_parts(dtype, elements, nan, nonzero)?), words[3]))
}

/// `State` in `op/product.wgsl`.
fn product(dtype: DType, words: &[u32]) -> Counted {
    let (elements, zeros) = (u64::from(words[2]), u64::from(words[3]));
    let (negative, overflowed) = (words[4] & 1 != 0, words[5] != 0);
    let state = Product::from_parts(dtype, elements, zeros, negative, wide(words), overflowed)?;
    Ok((State::Product(state), words[6]))
}

/// `State` in `op/bits.wgsl`.
fn bits(dtype: DType, words: &[u32]) -> Counted {
    let [elements, blocks] = [words[6], words[7]];
    // Above the bits of the type no element has any.
    let and = if elements == 0 { key::largest(dtype) } else { wide(words) };
    let state =
        Bits::from_parts(dtype, elements.into(), and, wide(&words[2..]), wide(&words[4..]))?;
    Ok((State::Bits(state), blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::kernel::Block;
    use crate::op::Term;

    const VALUE: Monoid = Monoid::Sum(Term::Value);

    fn kernel(dtype: DType) -> (Kernel, usize) {
        let kernel = Kernel::new(&VALUE, dtype, Block::LARGE).expect("a kernel");
        let Kind::Digits(digits) = kernel.kind() else { panic!("sums have digits") };
        let digits = digits.digits();
        (kernel, digits)
    }

    /// Two partials of one block each, holding 5 - 2^16 and 2 * 2^8.
    fn words(kernel: &Kernel, digits: usize) -> Vec<u32> {
        let words = kernel.partial_bytes() as usize / 4;
        let mut all = vec![0; 2 * words];
        all[0] = 5;
        all[digits] = u32::MAX;
        all[words + 1] = 2;
        all[words - 1] = 1;
        all[2 * words - 1] = 1;
        all
    }

    #[test]
    fn digits_add_up_with_their_signs() {
        let (kernel, digits) = kernel(DType::I32);
        let mut expected = Sum::identity(DType::I32, Term::Value);
        expected.add_units(5 - 65536 + 512, 0);
        expected.add_counts(Counts { elements: 9, ..Counts::default() }).expect("few");
        let got =
            state(&VALUE, &kernel, &words(&kernel, digits), Evidence { blocks: 2, elements: 9 });
        assert_eq!(got, Ok(State::Sum(expected)));
    }

    #[test]
    fn a_missing_dispatch_and_an_impossible_sum_are_refused() {
        let (kernel, digits) = kernel(DType::I8);
        let missing =
            state(&VALUE, &kernel, &words(&kernel, digits), Evidence { blocks: 3, elements: 9 });
        assert_eq!(missing, Err(InvalidPartials::Blocks { expected: 3, got: 2 }));
        let impossible =
            state(&VALUE, &kernel, &words(&kernel, digits), Evidence { blocks: 2, elements: 9 });
        assert!(matches!(impossible, Err(InvalidPartials::State(_))), "{impossible:?}");
    }

    #[test]
    fn bits_below_the_unit_and_above_the_limbs_must_say_nothing() {
        assert_eq!(integer(&[0, 3], 8, 1, false), Some(vec![3]));
        assert_eq!(integer(&[0, -3], 3, 2, true), Some(vec![-96_i64 as u64, u64::MAX]));
        assert_eq!(integer(&[4], 3, 1, true), None);
        assert_eq!(integer(&[-8], 3, 1, false), None, "no sum of magnitudes is negative");
        let mut far = vec![0; 30];
        far[16] = -1;
        assert_eq!(integer(&far, 64, 1, true), None, "-2^64 has more than one limb");
        assert_eq!(integer(&far, 64, 2, true), Some(vec![0, u64::MAX]));
        assert_eq!(integer(&far, 128, 1, true), Some(vec![u64::MAX]));
    }
}
