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
/// kept in vectors. Steps change them in place: small arrays that are returned become one
/// integer, which is not kept there either.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<A, const K: usize, const N: usize> {
    /// If there was a group.
    lanes: Option<[[A; N]; K]>,
    rest: [A; K],
}

impl<A: Copy, const K: usize, const N: usize> Lanes<A, K, N> {
    /// Folds the words of bytes.
    #[inline(always)]
    pub fn of<W: Word>(bytes: &[u8], start: [A; K], step: impl Fn(&mut [A; K], W)) -> Self {
        let (groups, last) = W::split(bytes).as_chunks::<N>();
        let mut rest = start;
        for &word in last {
            step(&mut rest, W::of(word));
        }
        if groups.is_empty() {
            return Lanes { lanes: None, rest };
        }
        let mut lanes = start.map(|start| [start; N]);
        for group in groups {
            prefetch::streamed(group);
            for lane in 0..N {
                let mut next = std::array::from_fn(|k| lanes[k][lane]);
                step(&mut next, W::of(group[lane]));
                (0..K).for_each(|k| lanes[k][lane] = next[k]);
            }
        }
        Lanes { lanes: Some(lanes), rest }
    }

    /// Folds the pairs of words of bytes that are as many.
    #[inline(always)]
    pub fn of_pairs<W: Word>(
        [first, second]: [&[u8]; 2],
        start: [A; K],
        step: impl Fn(&mut [A; K], W, W),
    ) -> Self {
        let [(first, first_last), (second, second_last)] =
            [first, second].map(|bytes| W::split(bytes).as_chunks::<N>());
        let mut rest = start;
        for (&a, &b) in first_last.iter().zip(second_last) {
            step(&mut rest, W::of(a), W::of(b));
        }
        if first.is_empty() {
            return Lanes { lanes: None, rest };
        }
        let mut lanes = start.map(|start| [start; N]);
        for (a, b) in first.iter().zip(second) {
            prefetch::streamed(a);
            prefetch::streamed(b);
            for lane in 0..N {
                let mut next = std::array::from_fn(|k| lanes[k][lane]);
                step(&mut next, W::of(a[lane]), W::of(b[lane]));
                (0..K).for_each(|k| lanes[k][lane] = next[k]);
            }
        }
        Lanes { lanes: Some(lanes), rest }
    }

    /// All of them, added to what `all` is.
    #[inline(always)]
    pub fn join<B>(self, mut all: B, join: impl Fn(&mut B, &[A; K])) -> B {
        join(&mut all, &self.rest);
        if let Some(lanes) = self.lanes {
            let values = |lane: usize| std::array::from_fn(|k| lanes[k][lane]);
            (0..N).for_each(|lane| join(&mut all, &values(lane)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums and largest words, by lanes and one by one, of so many words from an odd address on.
    #[test]
    fn lanes_and_rest_are_all_words() {
        let bytes: Vec<u8> = (0..1000_u32).map(|x| (x * x % 251) as u8).collect();
        for words in 0..100 {
            let (a, b) = (&bytes[1..1 + 2 * words], &bytes[501..501 + 2 * words]);
            let each = |bytes| <u16 as Word>::all(bytes).map(u64::from);
            let step = |[sum, most]: &mut [u64; 2], x: u64| {
                *sum += x;
                *most = x.max(*most);
            };
            let join = |all: &mut [u64; 2], lane: &[u64; 2]| {
                all[0] += lane[0];
                all[1] = all[1].max(lane[1]);
            };
            let found = Lanes::<u64, 2, 16>::of(a, [0; 2], |all, x: u16| step(all, x.into()));
            let expected = [each(a).sum(), each(a).max().unwrap_or(0)];
            assert_eq!(found.join([0; 2], join), expected, "{words} words");

            let found = Lanes::<u64, 2, 16>::of_pairs([a, b], [0; 2], |all, a: u16, b: u16| {
                step(all, u64::from(a) * u64::from(b));
            });
            let products: Vec<u64> = each(a).zip(each(b)).map(|(a, b)| a * b).collect();
            let expected = [products.iter().sum(), products.iter().max().copied().unwrap_or(0)];
            assert_eq!(found.join([0; 2], join), expected, "{words} pairs");
        }
    }
}
