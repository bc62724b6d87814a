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

use super::lanes::Lanes;
use super::line::{Line, merge};
use super::simd::{Loop, Vectors};
use super::stretch::Stretch;
use super::word::{Groups, Word};
use crate::backend::Order;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::extremum::{self, Extremum, Found};
use crate::reduction::float::FloatFormat;

/// Bytes of one block: few enough that its second reading is from the innermost cache.
const BLOCK_BYTES: usize = 8192;
/// Elements among which the wanted one is looked for at once.
const GROUP: usize = 64;

/// Extremes, with their places if `indexed`.
pub struct Extremes {
    indexed: bool,
    vectors: Vectors,
}

impl Extremes {
    pub fn new(indexed: bool) -> Extremes {
        Extremes { indexed, vectors: Vectors::new() }
    }
}

impl Line for Extremes {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let before = match state {
            State::Extremum(extremum) => extremum.extremes(),
            _ => unreachable!("a line is of the same kind as its state"),
        };
        let made = self.vectors.run(Scan { stretch, indexed: self.indexed, before });
        merge(state, State::Extremum(made));
    }
}

/// Finds the extremes of a stretch, and those before if they are as good: merged
/// with what they are of, they change nothing.
struct Scan<'a> {
    stretch: &'a Stretch<'a>,
    indexed: bool,
    before: Option<extremum::Extremes>,
}

impl Loop for Scan<'_> {
    type Output = Extremum;

    #[inline(always)]
    fn run(self) -> Extremum {
        match self.stretch.dtype {
            DType::Bool => self.scan::<_, 64>(|x: i8| i8::from(x != 0) ^ i8::MIN),
            DType::I8 => self.scan::<_, 64>(|x: i8| x),
            DType::I16 => self.scan::<_, 32>(|x: i16| x),
            DType::I32 => self.scan::<_, 16>(|x: i32| x),
            DType::I64 => self.scan::<_, 16>(|x: i64| x),
            DType::U8 => self.scan::<_, 64>(|x: i8| x ^ i8::MIN),
            DType::U16 => self.scan::<_, 32>(|x: i16| x ^ i16::MIN),
            DType::U32 => self.scan::<_, 16>(|x: i32| x ^ i32::MIN),
            DType::U64 => self.scan::<_, 16>(|x: i64| x ^ i64::MIN),
            DType::F16 | DType::BF16 => self.scan::<_, 32>(|x: i16| x ^ (x >> 15 & i16::MAX)),
            DType::F32 => self.scan::<_, 16>(|x: i32| x ^ (x >> 31 & i32::MAX)),
            DType::F64 => self.scan::<_, 8>(|x: i64| x ^ (x >> 63 & i64::MAX)),
        }
    }
}

/// The best key so far, and its lowest place.
#[derive(Clone, Copy)]
struct Best<W> {
    key: W,
    index: u64,
}

impl Scan<'_> {
    #[inline(always)]
    fn scan<W: Word, const N: usize>(&self, key: impl Fn(W) -> W + Copy) -> Extremum {
        let stretch = self.stretch;
        let dtype = stretch.dtype;
        // Keys of numbers lie between those of the infinities.
        let most = FloatFormat::of(dtype).map_or(W::max_value(), |format| {
            W::from(format.infinity).expect("a positive number of this width")
        });
        let (mut nan, mut first_nan) = (0, None);
        let mut extremes =
            self.before.map(|extremum::Extremes { min, max }| [min, max].map(Best::of_found));
        let size = size_of::<W>();
        for (number, block) in stretch.bytes.chunks(BLOCK_BYTES).enumerate() {
            let start = number * BLOCK_BYTES / size;
            let place = Places { stretch, start, indexed: self.indexed };
            let keys = W::all(block).map(key);
            let none = [W::max_value(), W::min_value()];
            let lanes = Lanes::<W, 2, N>::of(block, none, |[min, max], word| {
                let key = key(word);
                *min = (*min).min(key);
                *max = (*max).max(key);
            });
            let [mut min, mut max] = lanes.join(none, |[min, max], [a, b]| {
                *min = (*min).min(*a);
                *max = (*max).max(*b);
            });
            if max > most || min < !most {
                let is_nan = |key: W| key > most || key < !most;
                let nan_here = keys.clone().filter(|&key| is_nan(key)).count();
                nan += nan_here as u64;
                let lowest = place.lowest(block, key, is_nan);
                first_nan = Some(first_nan.map_or(lowest, |first: u64| first.min(lowest)));
                if nan_here == keys.len() {
                    continue;
                }
                (min, max) = (W::max_value(), W::min_value());
                for key in keys {
                    min = min.min(if is_nan(key) { W::max_value() } else { key });
                    max = max.max(if is_nan(key) { W::min_value() } else { key });
                }
            }
            let find =
                |wanted| Best { key: wanted, index: place.lowest(block, key, |key| key == wanted) };
            extremes = Some(match extremes {
                None => [find(min), find(max)],
                Some([least, largest]) => [
                    if min < least.key || (min == least.key && place.may_be_below(least.index)) {
                        least.or_better(find(min))
                    } else {
                        least
                    },
                    if max > largest.key
                        || (max == largest.key && place.may_be_below(largest.index))
                    {
                        largest.or_better(find(max))
                    } else {
                        largest
                    },
                ],
            });
        }
        let elements = stretch.elements() as u64;
        let extremes = extremes.filter(|_| elements > nan);
        let extremes = extremes
            .map(|[min, max]| extremum::Extremes { min: min.to_found(), max: max.to_found() });
        let first_nan = first_nan.filter(|_| self.indexed);
        Extremum::from_parts(dtype, self.indexed, elements, nan, first_nan, extremes)
            .expect("what was found in elements of the type")
    }
}

impl<W: Word> Best<W> {
    fn of_found(found: Found) -> Best<W> {
        let unused = 64 - W::BITS;
        let signed = (found.key << unused) as i64 >> unused;
        let key = W::from(signed).expect("a number of this width") ^ W::min_value();
        Best { key, index: found.index }
    }

    fn to_found(self) -> Found {
        let bits: u64 = (self.key ^ W::min_value()).as_();
        Found { key: bits & u64::MAX >> (64 - W::BITS), index: self.index }
    }

    /// The better of two, of which `new` has at least as good a key.
    fn or_better(self, new: Best<W>) -> Best<W> {
        if new.key == self.key && self.index < new.index { self } else { new }
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
    /// Whether an element of the block may have a lower place than this.
    fn may_be_below(&self, index: u64) -> bool {
        let place = &self.stretch.place;
        self.indexed && (place.order != Order::Linear || self.stretch.index(self.start) < index)
    }

    /// The lowest place of the elements whose keys fit, of which there is one at
    /// least.
    #[inline(always)]
    fn lowest<W: Word>(
        &self,
        block: &[u8],
        key: impl Fn(W) -> W + Copy,
        fits: impl Fn(W) -> bool + Copy,
    ) -> u64 {
        if !self.indexed {
            return 0;
        }
        let fits = |word: W| fits(key(word));
        // Groups first: whether any of many fits is vector code.
        let fits_any = |group: &[W::Bytes; GROUP]| {
            group.iter().fold(false, |any, &word| any | fits(W::of(word)))
        };
        let whole = Groups::<W, GROUP>::of(block).whole;
        let group = whole.iter().position(fits_any).unwrap_or(whole.len());
        let rest = &block[group * GROUP * size_of::<W>()..];
        let mut fitting =
            (self.start + group * GROUP..).zip(W::all(rest)).filter(|&(_, word)| fits(word));
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
