//! Counts of elements of a kind, and bitwise folds.

use super::lanes::Lanes;
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
            1 => tally::<u8, 64>(self.0),
            2 => tally::<u16, 32>(self.0),
            4 => tally::<u32, 16>(self.0),
            _ => tally::<u64, 8>(self.0),
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
fn tally<W: Word, const N: usize>(stretch: &Stretch<'_>) -> [u64; 2] {
    let Some(format) = FloatFormat::of(stretch.dtype) else {
        let [nonzero] = count::<W, 1, N>(stretch.bytes, |x| [x != W::zero()]);
        return [nonzero, 0];
    };
    let word = |bits| W::from(bits).expect("bits of this width");
    let (magnitude, infinity) = (!word(format.sign_bit()), word(format.infinity));
    count::<W, 2, N>(stretch.bytes, |x| {
        let x = x & magnitude;
        [x != W::zero(), x > infinity]
    })
}

/// Numbers of words of each kind, counted in `N` words of their own size for as many
/// as these can count, so that vectors are filled.
#[inline(always)]
pub fn count<W: Word, const K: usize, const N: usize>(
    bytes: &[u8],
    kinds: impl Fn(W) -> [bool; K] + Copy,
) -> [u64; K] {
    let most = (1 << W::BITS.min(16)) - 1;
    // One count has the words after the last group.
    debug_assert!(N <= most);
    let mut totals = [0; K];
    for block in bytes.chunks(most * N * size_of::<W>()) {
        let step = |counts: &mut [W; K], word| {
            for (count, is_one) in counts.iter_mut().zip(kinds(word)) {
                *count = count.wrapping_add(&if is_one { W::one() } else { W::zero() });
            }
        };
        let lanes = Lanes::<W, K, N>::of(block, [W::zero(); K], step);
        totals = lanes.join(totals, |totals, counts| {
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count.as_() & u64::MAX >> (64 - W::BITS);
            }
        });
    }
    totals
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
            (DType::Bool, _) => fold::<_, 64>(bytes, |x: u8| u8::from(x != 0)),
            (_, 1) => fold::<_, 64>(bytes, |x: u8| x),
            (_, 2) => fold::<_, 32>(bytes, |x: u16| x),
            (_, 4) => fold::<_, 16>(bytes, |x: u32| x),
            _ => fold::<_, 8>(bytes, |x: u64| x),
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
fn fold<W: Word, const N: usize>(bytes: &[u8], word: impl Fn(W) -> W) -> [u64; 3] {
    let start = [!W::zero(), W::zero(), W::zero()];
    let lanes = Lanes::<W, 3, N>::of(bytes, start, |[and, or, xor], x| {
        let x = word(x);
        (*and, *or, *xor) = (*and & x, *or | x, *xor ^ x);
    });
    let all = lanes.join(start, |[and, or, xor], &[a, b, c]| {
        (*and, *or, *xor) = (*and & a, *or | b, *xor ^ c);
    });
    all.map(|word| word.as_())
}
