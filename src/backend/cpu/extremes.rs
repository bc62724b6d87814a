//! Extremes, and where they are first.
//!
//! Each block is read once for its smallest and largest key, a loop that
//! compilers turn into vector code. Only where one of them is better than what
//! was found before, the block is read again for its place.
//!
//! Keys are signed here, since that is what processors compare: those of
//! [`key`](crate::reduction::key) without the topmost bit turned. NaN has keys,
//! too, but beyond those of the infinities, so that the two extremes of a block
//! tell whether there is any in it.

use super::line::{Line, merge};
use super::stretch::Stretch;
use super::word::Word;
use crate::backend::Order;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::extremum::{self, Extremum, Found};
use crate::reduction::float::FloatFormat;

/// Elements of one block: few enough that its second reading is from the
/// innermost cache.
const BLOCK_ELEMENTS: usize = 2048;

/// Extremes, with their places if `indexed`.
pub struct Extremes {
    pub indexed: bool,
}

impl Line for Extremes {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let made = match stretch.dtype {
            DType::Bool => self.scan(stretch, |x: i8| i8::from(x != 0) ^ i8::MIN),
            DType::I8 => self.scan(stretch, |x: i8| x),
            DType::I16 => self.scan(stretch, |x: i16| x),
            DType::I32 => self.scan(stretch, |x: i32| x),
            DType::I64 => self.scan(stretch, |x: i64| x),
            DType::U8 => self.scan(stretch, |x: i8| x ^ i8::MIN),
            DType::U16 => self.scan(stretch, |x: i16| x ^ i16::MIN),
            DType::U32 => self.scan(stretch, |x: i32| x ^ i32::MIN),
            DType::U64 => self.scan(stretch, |x: i64| x ^ i64::MIN),
            DType::F16 | DType::BF16 => self.scan(stretch, |x: i16| x ^ (x >> 15 & i16::MAX)),
            DType::F32 => self.scan(stretch, |x: i32| x ^ (x >> 31 & i32::MAX)),
            DType::F64 => self.scan(stretch, |x: i64| x ^ (x >> 63 & i64::MAX)),
        };
        merge(state, State::Extremum(made));
    }
}

/// The best key so far, and its lowest place.
#[derive(Clone, Copy)]
struct Best<W> {
    key: W,
    index: u64,
}

impl Extremes {
    #[inline(always)]
    fn scan<W: Word>(&self, stretch: &Stretch<'_>, key: impl Fn(W) -> W + Copy) -> Extremum {
        let dtype = stretch.dtype;
        // Keys of numbers lie between those of the infinities.
        let most = FloatFormat::of(dtype).map_or(W::max_value(), |format| {
            W::from(format.infinity).expect("a positive number of this width")
        });
        let (mut nan, mut first_nan) = (0, None);
        let mut extremes: Option<[Best<W>; 2]> = None;
        let size = size_of::<W>();
        for (number, block) in stretch.bytes.chunks(BLOCK_ELEMENTS * size).enumerate() {
            let place = Places { stretch, start: number * BLOCK_ELEMENTS, indexed: self.indexed };
            let keys = W::all(block).map(key);
            let (mut min, mut max) = (W::max_value(), W::min_value());
            for key in keys.clone() {
                min = min.min(key);
                max = max.max(key);
            }
            if max > most || min < !most {
                let is_nan = |key: W| key > most || key < !most;
                let nan_here = keys.clone().filter(|&key| is_nan(key)).count();
                nan += nan_here as u64;
                let lowest = place.lowest(keys.clone(), is_nan);
                first_nan = Some(first_nan.map_or(lowest, |first: u64| first.min(lowest)));
                if nan_here == keys.len() {
                    continue;
                }
                (min, max) = (W::max_value(), W::min_value());
                for key in keys.clone() {
                    min = min.min(if is_nan(key) { W::max_value() } else { key });
                    max = max.max(if is_nan(key) { W::min_value() } else { key });
                }
            }
            let find = |wanted| Best {
                key: wanted,
                index: place.lowest(keys.clone(), |key| key == wanted),
            };
            extremes = Some(match extremes {
                None => [find(min), find(max)],
                Some([least, largest]) => [
                    if min < least.key || (min == least.key && place.may_be_lower()) {
                        place.better(least, find(min))
                    } else {
                        least
                    },
                    if max > largest.key || (max == largest.key && place.may_be_lower()) {
                        place.better(largest, find(max))
                    } else {
                        largest
                    },
                ],
            });
        }
        let found = |best: Best<W>| {
            let bits: u64 = (best.key ^ W::min_value()).as_();
            Found { key: bits & u64::MAX >> (64 - W::BITS), index: best.index }
        };
        let extremes =
            extremes.map(|[min, max]| extremum::Extremes { min: found(min), max: found(max) });
        let first_nan = first_nan.filter(|_| self.indexed);
        let elements = stretch.elements() as u64;
        Extremum::from_parts(dtype, self.indexed, elements, nan, first_nan, extremes)
            .expect("what was found in elements of the type")
    }
}

/// The places of a block.
#[derive(Clone, Copy)]
struct Places<'a> {
    stretch: &'a Stretch<'a>,
    /// The number of the block's first element in the stretch.
    start: usize,
    indexed: bool,
}

impl Places<'_> {
    /// Whether an element may have a lower place than one of an earlier block.
    fn may_be_lower(&self) -> bool {
        self.indexed && self.stretch.place.order != Order::Linear
    }

    /// The better of two, of which `new` has at least as good a key.
    fn better<W: Word>(&self, old: Best<W>, new: Best<W>) -> Best<W> {
        if new.key == old.key && old.index < new.index { old } else { new }
    }

    /// The lowest place of the keys that fit, of which there is one at least.
    fn lowest<W: Word>(
        &self,
        keys: impl Iterator<Item = W> + Clone,
        fits: impl Fn(W) -> bool,
    ) -> u64 {
        if !self.indexed {
            return 0;
        }
        let mut fitting = (self.start..).zip(keys).filter(|&(_, key)| fits(key));
        let place = |number| self.stretch.index(number);
        let (first, _) = fitting.next().expect("a key that was seen");
        let Order::Fortran { shape, start, .. } = self.stretch.place.order else {
            return place(first);
        };
        // Places rise along the first axis, so only the first of each run along
        // it can be the lowest.
        let length = shape.first().copied().unwrap_or(1);
        let run = |number: usize| (start + self.stretch.start + number as u64) / length;
        let (mut lowest, mut current) = (place(first), run(first));
        for (number, _) in fitting {
            if run(number) != current {
                current = run(number);
                lowest = lowest.min(place(number));
            }
        }
        lowest
    }
}
