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

/// Counts elements by their bits.
fn count_bits<W: Word>(counts: &mut [[u64; REPLICAS]], bytes: &[u8]) {
    for (number, word) in W::all(bytes).enumerate() {
        let bits: u64 = word.as_();
        counts[bits as usize][number % REPLICAS] += 1;
    }
}

/// Counts elements by the places of their keys, NaN at the last. A function of
/// its own, so that a compiler knows that counting does not change the finder.
#[inline(never)]
fn count_keys<W: Word>(
    finder: &Finder,
    counts: &mut [[u64; REPLICAS]],
    bytes: &[u8],
    key: impl Fn(u64) -> Option<u64>,
) {
    let nan = counts.len() - 1;
    for (number, word) in W::all(bytes).enumerate() {
        let place = match key(word.as_()) {
            Some(key) => finder.find(key),
            None => nan,
        };
        counts[place][number % REPLICAS] += 1;
    }
}

impl Line for Intervals {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let elements = stretch.elements();
        if self.elements == 0 && elements < ELEMENTS_MIN {
            return stretch.each().for_each(|element| state.add(element));
        }
        self.elements += elements as u64;
        let bytes = stretch.bytes;
        let (finder, counts) = (&self.finder, &mut self.counts[..]);
        match stretch.dtype {
            DType::Bool | DType::I8 | DType::U8 => count_bits::<u8>(counts, bytes),
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => count_bits::<u16>(counts, bytes),
            DType::I32 => count_keys::<u32>(finder, counts, bytes, |x| key(DType::I32, x)),
            DType::U32 => count_keys::<u32>(finder, counts, bytes, |x| key(DType::U32, x)),
            DType::I64 => count_keys::<u64>(finder, counts, bytes, |x| key(DType::I64, x)),
            DType::U64 => count_keys::<u64>(finder, counts, bytes, |x| key(DType::U64, x)),
            DType::F32 => count_keys::<u32>(finder, counts, bytes, |x| key(DType::F32, x)),
            DType::F64 => count_keys::<u64>(finder, counts, bytes, |x| key(DType::F64, x)),
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
