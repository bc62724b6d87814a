//! Folds of many words in lanes side by side, as many as fill some vectors.
//!
//! Of a plain loop over words compilers make vector code as well, but they bring its lanes
//! together after each block, and there is no place for a hint to the memory in it.

use super::prefetch;
use super::word::Word;

/// What each of `N` lanes has made of every `N`-th word, and what was made of the few words
/// after the last group of `N`: less than `N`. All begin with `start`.
///
/// The values of a lane are `K` lists of lanes, not a list of structures, which would not be
/// kept in vectors.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<A, const K: usize, const N: usize> {
    lanes: [[A; N]; K],
    /// Whether there was a group.
    has_lanes: bool,
    rest: [A; K],
}

impl<A: Copy, const K: usize, const N: usize> Lanes<A, K, N> {
    /// Folds the words of bytes.
    #[inline(always)]
    pub fn of<W: Word>(bytes: &[u8], start: [A; K], step: impl Fn([A; K], W) -> [A; K]) -> Self {
        let (groups, rest) = W::split(bytes).as_chunks::<N>();
        let mut lanes = start.map(|start| [start; N]);
        for group in groups {
            prefetch::streamed(group);
            for lane in 0..N {
                let next = step(std::array::from_fn(|k| lanes[k][lane]), W::of(group[lane]));
                for k in 0..K {
                    lanes[k][lane] = next[k];
                }
            }
        }
        let rest = rest.iter().fold(start, |all, &word| step(all, W::of(word)));
        Lanes { lanes, has_lanes: !groups.is_empty(), rest }
    }

    /// Folds the pairs of words of bytes that are as many.
    #[inline(always)]
    pub fn of_pairs<W: Word>(
        [first, second]: [&[u8]; 2],
        start: [A; K],
        step: impl Fn([A; K], W, W) -> [A; K],
    ) -> Self {
        let [(a, rest_a), (b, rest_b)] =
            [first, second].map(|bytes| W::split(bytes).as_chunks::<N>());
        let mut lanes = start.map(|start| [start; N]);
        for (a, b) in a.iter().zip(b) {
            prefetch::streamed(a);
            prefetch::streamed(b);
            for lane in 0..N {
                let (a, b) = (W::of(a[lane]), W::of(b[lane]));
                let next = step(std::array::from_fn(|k| lanes[k][lane]), a, b);
                for k in 0..K {
                    lanes[k][lane] = next[k];
                }
            }
        }
        let rest = rest_a.iter().zip(rest_b);
        let rest = rest.fold(start, |all, (&a, &b)| step(all, W::of(a), W::of(b)));
        Lanes { lanes, has_lanes: !a.is_empty(), rest }
    }

    /// What each of the lists has: nothing but what was made of the rest if there was no group.
    #[inline(always)]
    pub fn lists(self) -> [impl Iterator<Item = A>; K] {
        let lanes = if self.has_lanes { N } else { 0 };
        let mut rest = self.rest.into_iter();
        self.lanes.map(|list| list.into_iter().take(lanes).chain(rest.next()))
    }
}
