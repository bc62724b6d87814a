//! Counts and bitwise folds.

use num_traits::AsPrimitive;

use super::finder::Finder;
use super::line::{Line, merge};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::op;
use crate::reduction::State;
use crate::reduction::bins::BinCounts;
use crate::reduction::bits::Bits;
use crate::reduction::float::FloatFormat;
use crate::reduction::key::key;
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

/// Counts in intervals of keys.
pub struct Intervals {
    dtype: DType,
    bins: op::Bins,
    finder: Finder,
    /// Counts below all intervals, in each, above all, and of NaN.
    counts: Vec<u64>,
    elements: u64,
}

/// From so many elements for each interval on, counts of their own are worth
/// their emptying.
const ELEMENTS_PER_BIN_MIN: usize = 1;

impl Intervals {
    pub fn new(bins: &op::Bins, dtype: DType) -> Intervals {
        let counts = vec![0; bins.lower.len() + 3];
        Intervals { dtype, bins: bins.clone(), finder: Finder::new(bins), counts, elements: 0 }
    }

    #[inline(always)]
    fn count<W: Word>(&mut self, bytes: &[u8], key: impl Fn(u64) -> Option<u64>) {
        let nan = self.counts.len() - 1;
        for word in W::all(bytes) {
            let place = key(word.as_()).map_or(nan, |key| self.finder.find(key));
            self.counts[place] += 1;
        }
    }
}

impl Line for Intervals {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let elements = stretch.elements();
        if elements < ELEMENTS_PER_BIN_MIN * self.bins.lower.len() && self.elements == 0 {
            return stretch.each().for_each(|element| state.add(element));
        }
        self.elements += elements as u64;
        let bytes = stretch.bytes;
        match stretch.dtype {
            DType::Bool => self.count::<u8>(bytes, |x| key(DType::Bool, x)),
            DType::I8 => self.count::<u8>(bytes, |x| key(DType::I8, x)),
            DType::U8 => self.count::<u8>(bytes, |x| key(DType::U8, x)),
            DType::I16 => self.count::<u16>(bytes, |x| key(DType::I16, x)),
            DType::U16 => self.count::<u16>(bytes, |x| key(DType::U16, x)),
            DType::I32 => self.count::<u32>(bytes, |x| key(DType::I32, x)),
            DType::U32 => self.count::<u32>(bytes, |x| key(DType::U32, x)),
            DType::I64 => self.count::<u64>(bytes, |x| key(DType::I64, x)),
            DType::U64 => self.count::<u64>(bytes, |x| key(DType::U64, x)),
            DType::F16 => self.count::<u16>(bytes, |x| key(DType::F16, x)),
            DType::BF16 => self.count::<u16>(bytes, |x| key(DType::BF16, x)),
            DType::F32 => self.count::<u32>(bytes, |x| key(DType::F32, x)),
            DType::F64 => self.count::<u64>(bytes, |x| key(DType::F64, x)),
        }
    }

    fn settle(&mut self, state: &mut State) {
        if std::mem::take(&mut self.elements) == 0 {
            return;
        }
        let length = self.counts.len();
        let counts = std::mem::replace(&mut self.counts, vec![0; length]);
        let [below, bins @ .., above, nan] = &counts[..] else {
            unreachable!("there are three counts more than bins")
        };
        let made =
            BinCounts::from_parts(self.dtype, &self.bins, *nan, *below, *above, bins.to_vec());
        merge(state, State::Bins(made.expect("as many counts as bins")));
    }
}
