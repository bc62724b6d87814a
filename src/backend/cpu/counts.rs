//! Counts of elements of a kind, and bitwise folds.

use num_traits::AsPrimitive;

use super::line::{Line, merge};
use super::simd::{Loop, Vectors};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::bits::Bits;
use crate::reduction::float::FloatFormat;
use crate::reduction::tally::Tally;

/// Elements that are not zero, and NaN.
pub struct Tallies {
    vectors: Vectors,
}

impl Tallies {
    pub fn new() -> Tallies {
        Tallies { vectors: Vectors::new() }
    }
}

struct Tallied<'a>(&'a Stretch<'a>);

impl Loop for Tallied<'_> {
    type Output = [u64; 2];

    #[inline(always)]
    fn run(self) -> [u64; 2] {
        match self.0.dtype.size_bytes() {
            1 => tally::<u8>(self.0),
            2 => tally::<u16>(self.0),
            4 => tally::<u32>(self.0),
            _ => tally::<u64>(self.0),
        }
    }
}

impl Line for Tallies {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let [nonzero, nan] = self.vectors.run(Tallied(stretch));
        let elements = stretch.elements() as u64;
        let made = Tally::from_parts(stretch.dtype, elements, nan, nonzero);
        merge(state, State::Tally(made.expect("NaN is not zero")));
    }
}

#[inline(always)]
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
pub struct Folds {
    vectors: Vectors,
}

impl Folds {
    pub fn new() -> Folds {
        Folds { vectors: Vectors::new() }
    }
}

struct Folded<'a>(&'a Stretch<'a>);

impl Loop for Folded<'_> {
    type Output = [u64; 3];

    #[inline(always)]
    fn run(self) -> [u64; 3] {
        let Stretch { dtype, bytes, .. } = *self.0;
        match (dtype, dtype.size_bytes()) {
            (DType::Bool, _) => fold(bytes, |x: u8| u8::from(x != 0)),
            (_, 1) => fold(bytes, |x: u8| x),
            (_, 2) => fold(bytes, |x: u16| x),
            (_, 4) => fold(bytes, |x: u32| x),
            _ => fold(bytes, |x: u64| x),
        }
    }
}

impl Line for Folds {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let [and, or, xor] = self.vectors.run(Folded(stretch));
        let elements = stretch.elements() as u64;
        if elements > 0 {
            let made = Bits::from_parts(stretch.dtype, elements, and, or, xor);
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
