//! Counts in intervals of keys.
//!
//! Elements of 8 and 16 bits are counted by their bits, and each value finds
//! its interval when the counts are settled. Wider ones find theirs one by one.

use super::finder::Finder;
use super::line::{Line, merge};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::op::Bins;
use crate::reduction::State;
use crate::reduction::bins::BinCounts;
use crate::reduction::key::key;

/// Counts that are replicas of one another, so that equal elements do not wait
/// for one another.
const REPLICAS: usize = 2;

/// Fewer elements are not worth the settling of all counts.
const ELEMENTS_MIN: usize = 1024;

/// Counts of elements that are not yet in a state.
pub struct Intervals {
    dtype: DType,
    bins: Bins,
    finder: Finder,
    /// By place: below all intervals, in each of them, above all, and NaN. Or by
    /// the element's bits, where these are few.
    counts: Vec<[u64; REPLICAS]>,
    elements: u64,
}

impl Intervals {
    pub fn new(bins: &Bins, dtype: DType) -> Intervals {
        let counts = match dtype.size_bytes() {
            size @ (1 | 2) => 1 << (8 * size),
            _ => bins.lower.len() + 3,
        };
        Intervals {
            dtype,
            bins: bins.clone(),
            finder: Finder::new(bins),
            counts: vec![[0; REPLICAS]; counts],
            elements: 0,
        }
    }

    /// Counts elements at the places that `place` tells.
    #[inline(always)]
    fn count<W: Word>(&mut self, bytes: &[u8], place: impl Fn(&Finder, W) -> usize) {
        let (quads, rest) = W::quads(bytes);
        for quad in quads {
            for (number, word) in quad.into_iter().enumerate() {
                self.counts[place(&self.finder, word)][number % REPLICAS] += 1;
            }
        }
        rest.for_each(|word| self.counts[place(&self.finder, word)][0] += 1);
    }

    /// Counts by place, of all that was counted.
    fn by_place(&mut self) -> Vec<u64> {
        let counts = self.counts.iter_mut().map(|count| std::mem::take(count).iter().sum());
        if self.dtype.size_bytes() > 2 {
            return counts.collect();
        }
        let nan = self.bins.lower.len() + 2;
        let mut by_place = vec![0; nan + 1];
        for (bits, count) in (0..).zip(counts).filter(|&(_, count): &(u64, u64)| count > 0) {
            by_place[key(self.dtype, bits).map_or(nan, |key| self.finder.find(key))] += count;
        }
        by_place
    }
}

/// The place of a word by its key in the order of its type.
#[inline(always)]
fn place<W: Word>(nan: usize, key: impl Fn(u64) -> Option<u64>) -> impl Fn(&Finder, W) -> usize {
    move |finder, word| key(word.as_()).map_or(nan, |key| finder.find(key))
}

impl Line for Intervals {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let elements = stretch.elements();
        if self.elements == 0 && elements < ELEMENTS_MIN {
            return stretch.each().for_each(|element| state.add(element));
        }
        self.elements += elements as u64;
        let bytes = stretch.bytes;
        let nan = self.bins.lower.len() + 2;
        match stretch.dtype {
            DType::Bool | DType::I8 | DType::U8 => {
                self.count::<u8>(bytes, |_, bits| bits.into());
            }
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => {
                self.count::<u16>(bytes, |_, bits| bits.into());
            }
            DType::I32 => self.count::<u32>(bytes, place(nan, |bits| key(DType::I32, bits))),
            DType::U32 => self.count::<u32>(bytes, place(nan, |bits| key(DType::U32, bits))),
            DType::I64 => self.count::<u64>(bytes, place(nan, |bits| key(DType::I64, bits))),
            DType::U64 => self.count::<u64>(bytes, place(nan, |bits| key(DType::U64, bits))),
            DType::F32 => self.count::<u32>(bytes, place(nan, |bits| key(DType::F32, bits))),
            DType::F64 => self.count::<u64>(bytes, place(nan, |bits| key(DType::F64, bits))),
        }
    }

    fn settle(&mut self, state: &mut State) {
        if std::mem::take(&mut self.elements) == 0 {
            return;
        }
        let counts = self.by_place();
        let [below, bins @ .., above, nan] = &counts[..] else {
            unreachable!("there are three counts more than bins")
        };
        let made =
            BinCounts::from_parts(self.dtype, &self.bins, *nan, *below, *above, bins.to_vec());
        merge(state, State::Bins(made.expect("as many counts as bins")));
    }
}
