//! The interval of a key, found by two tables instead of a search.
//!
//! Keys are cut into equal cells, and each cell again into as many equal parts
//! as the bounds in it make worthwhile: the bounds of a histogram are even for
//! values, thus dense for keys at the upper end of each power of two and sparse
//! at the lower. A part knows how many bounds lie below it, and mostly holds one
//! at most; those with more are searched.

use std::sync::Arc;

use crate::op::Bins;

/// Bits of a key that tell its cell.
const CELL_BITS: u32 = 12;

/// Finds the place of a key: 0 below all intervals, then one for each interval,
/// and one above all of them.
pub struct Finder {
    /// The lower bounds.
    bounds: Arc<[u64]>,
    last: u64,
    /// The lowest bound above the first. Below it are but two places.
    start: u64,
    /// The place of keys from the first bound to `start`.
    first: usize,
    /// The last bound. From there on there are but two places again.
    end: u64,
    /// The largest distance from `start` that the tables tell.
    span: u64,
    /// How far a distance is shifted to its cell.
    shift: u32,
    cells: Vec<Cell>,
    /// The parts of all cells.
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
struct Cell {
    /// How far a distance is shifted to tell its part.
    shift: u32,
    /// What is added to that to give the part's number, modulo 2^32.
    offset: u32,
}

#[derive(Clone, Copy)]
struct Part {
    /// The first bound above its start.
    bound: u64,
    /// How many bounds lie at or below its start.
    place: u32,
    /// Whether more than one bound lies in it.
    is_dense: bool,
}

impl Finder {
    /// Tables for valid bins.
    pub fn new(bins: &Bins) -> Finder {
        let bounds = &bins.lower;
        let (lowest, end) = (bounds[0], bounds[bounds.len() - 1]);
        let first = bounds.partition_point(|&bound| bound <= lowest);
        let start = bounds.get(first).copied().unwrap_or(end);
        let span = (end - start).saturating_sub(1);
        let shift = (u64::BITS - span.leading_zeros()).saturating_sub(CELL_BITS);
        let (mut cells, mut parts) = (Vec::new(), Vec::new());
        for cell in 0..=span >> shift {
            let at = start + (cell << shift);
            let below = |key: u64| bounds.partition_point(|&bound| bound <= key);
            let size = 1_u64 << shift;
            let inside = below(at.saturating_add(size - 1)) - below(at);
            let split = (2 * inside).next_power_of_two().ilog2().min(shift);
            let (part, shift) = (size >> split, shift - split);
            let before = ((at - start) >> shift) as u32;
            cells.push(Cell { shift, offset: (parts.len() as u32).wrapping_sub(before) });
            parts.extend((0..1_u64 << split).map(|number| {
                let at = at.saturating_add(number * part);
                let place = below(at);
                let inside = below(at.saturating_add(part - 1)) - place;
                let bound = bounds.get(place).copied().unwrap_or(u64::MAX);
                Part { bound, place: place as u32, is_dense: inside > 1 }
            }));
        }
        Finder {
            bounds: Arc::clone(bounds),
            last: bins.last,
            start,
            first,
            end,
            span,
            shift,
            cells,
            parts,
        }
    }

    /// The place of a key.
    #[inline(always)]
    pub fn find(&self, key: u64) -> usize {
        let intervals = self.bounds.len();
        let distance = key.saturating_sub(self.start).min(self.span);
        let Cell { shift, offset } = self.cells[(distance >> self.shift) as usize];
        let part = self.parts[((distance >> shift) as u32).wrapping_add(offset) as usize];
        let inside = self.start + distance;
        let place = match part.is_dense {
            true => self.search(part.place as usize, inside),
            false => part.place as usize + usize::from(part.bound <= inside),
        };
        if key < self.start {
            return if key < self.bounds[0] { 0 } else { self.first };
        }
        if key >= self.end {
            return intervals + usize::from(key > self.last);
        }
        place
    }

    /// How many bounds lie at or below a key, of which `place` are known to.
    #[cold]
    fn search(&self, place: usize, key: u64) -> usize {
        place + self.bounds[place..].partition_point(|&bound| bound <= key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(bins: &Bins, key: u64) -> usize {
        match bins.bin_of(key) {
            Err(false) => 0,
            Ok(bin) => bin + 1,
            Err(true) => bins.lower.len() + 1,
        }
    }

    fn bound() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..20_u64, (u64::MAX - 20)..=u64::MAX, 1000..5000_u64]
    }

    proptest! {
        #[test]
        fn tables_tell_what_a_search_does(
            mut lower in prop::collection::vec(bound(), 1..300),
            last in bound(),
            keys in prop::collection::vec(bound(), 100),
        ) {
            lower.sort_unstable();
            let bins = Bins { lower: lower.clone().into(), last };
            let finder = Finder::new(&bins);
            let near = lower.iter().flat_map(|&bound| {
                [bound.saturating_sub(1), bound, bound.saturating_add(1)]
            });
            for key in keys.into_iter().chain(near).chain([0, last, u64::MAX]) {
                prop_assert_eq!(finder.find(key), place(&bins, key), "{}", key);
            }
        }
    }
}
