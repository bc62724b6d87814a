//! Counts of elements of a kind, and bitwise folds.

use num_traits::AsPrimitive;

use super::line::{Line, merge};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::bits::Bits;
use crate::reduction::float::FloatFormat;
use crate::reduction::tally::Tally;

/// Elements that are not zero, and NaN.
pub struct Tallies;

impl Line for Tallies {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let [nonzero, nan] = match stretch.dtype.size_bytes() {
            1 => tally::<u8>(stretch),
            2 => tally::<u16>(stretch),
            4 => tally::<u32>(stretch),
            _ => tally::<u64>(stretch),
        };
        let elements = stretch.elements() as u64;
        let made = Tally::from_parts(stretch.dtype, elements, nan, nonzero);
        merge(state, State::Tally(made.expect("NaN is not zero")));
    }
}

fn tally<W: Word>(stretch: &Stretch<'_>) -> [u64; 2] {
    match FloatFormat::of(stretch.dtype) {
        None => [count(stretch.bytes, |x: W| x != W::zero()), 0],
        Some(format) => {
            let word = |bits| W::from(bits).expect("bits of this width");
            let (magnitude, infinity) = (!word(format.sign_bit()), word(format.infinity));
            [
                count(stretch.bytes, |x: W| x & magnitude != W::zero()),
                count(stretch.bytes, |x: W| x & magnitude > infinity),
            ]
        }
    }
}

/// Number of words that fit, counted in words of their own size for as many
/// as these can count, so that vectors are filled.
#[inline(always)]
pub fn count<W: Word>(bytes: &[u8], fits: impl Fn(W) -> bool) -> u64 {
    let block = (1 << W::BITS.min(16)) - 1;
    let counts = bytes.chunks(block * size_of::<W>()).map(|block| {
        let one = |word| if fits(word) { W::one() } else { W::zero() };
        let count = W::all(block).fold(W::zero(), |count, word| count.wrapping_add(&one(word)));
        AsPrimitive::<u64>::as_(count) & u64::MAX >> (64 - W::BITS)
    });
    counts.sum()
}

/// Bitwise and, or, exclusive or.
pub struct Folds;

impl Line for Folds {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let (dtype, bytes) = (stretch.dtype, stretch.bytes);
        let [and, or, xor] = match dtype {
            DType::Bool => fold(bytes, |x: u8| u8::from(x != 0)),
            _ => match dtype.size_bytes() {
                1 => fold(bytes, |x: u8| x),
                2 => fold(bytes, |x: u16| x),
                4 => fold(bytes, |x: u32| x),
                _ => fold(bytes, |x: u64| x),
            },
        };
        let elements = stretch.elements() as u64;
        if elements > 0 {
            let made = Bits::from_parts(dtype, elements, and, or, xor);
            merge(state, State::Bits(made.expect("what elements have in common")));
        }
    }
}

#[inline(always)]
fn fold<W: Word>(bytes: &[u8], word: impl Fn(W) -> W) -> [u64; 3] {
    let (mut and, mut or, mut xor) = (!W::zero(), W::zero(), W::zero());
    for word in W::all(bytes).map(word) {
        and = and & word;
        or = or | word;
        xor = xor ^ word;
    }
    [and, or, xor].map(|word| word.as_())
}
