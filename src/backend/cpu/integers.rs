//! Exact sums of integers, of their magnitudes, squares and products.
//!
//! Terms are added in counters just wide enough for a block of them, many side by side
//! which fill vectors, and in 128 bits across blocks.
//!
//! | elements | term | counter | terms of a counter | its largest sum |
//! |---|---|---|---|---|
//! | 8 bits | value | i16 | 2^7 | 2^7 * 255 < 2^15 |
//! | 8 bits | product | i32 | 2^14 | 2^14 * 255^2 < 2^30 |
//! | 16 bits | value | i32 | 2^14 | 2^14 * 2^16 = 2^30 |
//! | 16 bits | product | i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 32 bits | value | i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 64 bits | value, by halves | 2 x i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 32 bits | product, by halves | 2 x i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 64 bits | product, by halves | 2 x i128 | all | 2^63 elements * 2^64 |

use super::lanes::Lanes;
use super::line::{Line, count_elements, sum_of};
use super::simd::{Loop, Vectors};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::State;

/// Sums of one term.
pub struct Integers {
    term: Term,
    vectors: Vectors,
}

impl Integers {
    pub fn new(term: Term) -> Integers {
        Integers { term, vectors: Vectors::new() }
    }
}

struct Total<'a> {
    term: Term,
    stretch: &'a Stretch<'a>,
}

impl Loop for Total<'_> {
    type Output = [i128; 2];

    #[inline(always)]
    fn run(self) -> [i128; 2] {
        total(self.term, self.stretch)
    }
}

impl Line for Integers {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        let [low, high] = self.vectors.run(Total { term: self.term, stretch });
        sum.add_units(low, 0);
        if high != 0 {
            sum.add_units(high, 64);
        }
        count_elements(stretch, sum);
    }
}

/// The sum of all terms as `low + 2^64 * high`.
#[inline(always)]
fn total(term: Term, stretch: &Stretch<'_>) -> [i128; 2] {
    let (bytes, second) = stretch.factors(term);
    let pairs = [bytes, second];
    let single = |[total]: [i128; 1]| [total, 0];
    let halves = |[low, high]: [i128; 2]| [low + (high << 32), 0];
    match (stretch.dtype, term) {
        (DType::Bool, Term::Product) => {
            single(i32::sums_of_pairs(
                pairs,
                |a: u8, b: u8| [i32::from(a != 0) * i32::from(b != 0)],
            ))
        }
        (DType::Bool, _) => single(i16::sums(bytes, |x: u8| [i16::from(x != 0)])),
        (DType::I8, Term::Value) => single(i16::sums(bytes, |x: i8| [i16::from(x)])),
        (DType::I8, Term::Magnitude) => {
            single(i16::sums(bytes, |x: i8| [i16::from(x.unsigned_abs())]))
        }
        (DType::I8, Term::Square) => {
            single(i32::sums(bytes, |x: i8| [i32::from(x) * i32::from(x)]))
        }
        (DType::I8, _) => {
            single(i32::sums_of_pairs(pairs, |a: i8, b: i8| [i32::from(a) * i32::from(b)]))
        }
        (DType::U8, Term::Value | Term::Magnitude) => {
            single(i16::sums(bytes, |x: u8| [i16::from(x)]))
        }
        (DType::U8, Term::Square) => {
            single(i32::sums(bytes, |x: u8| [i32::from(x) * i32::from(x)]))
        }
        (DType::U8, _) => {
            single(i32::sums_of_pairs(pairs, |a: u8, b: u8| [i32::from(a) * i32::from(b)]))
        }
        (DType::I16, Term::Value) => single(i32::sums(bytes, |x: i16| [i32::from(x)])),
        (DType::I16, Term::Magnitude) => {
            single(i32::sums(bytes, |x: i16| [i32::from(x.unsigned_abs())]))
        }
        (DType::I16, Term::Square) => single(i64::sums(bytes, |x: i16| {
            [i64::from(u32::from(x.unsigned_abs()) * u32::from(x.unsigned_abs()))]
        })),
        (DType::I16, _) => single(i64::sums_of_pairs(pairs, |a: i16, b: i16| {
            [i64::from(i32::from(a) * i32::from(b))]
        })),
        (DType::U16, Term::Value | Term::Magnitude) => {
            single(i32::sums(bytes, |x: u16| [i32::from(x)]))
        }
        (DType::U16, Term::Square) => {
            single(i64::sums(bytes, |x: u16| [i64::from(u32::from(x) * u32::from(x))]))
        }
        (DType::U16, _) => single(i64::sums_of_pairs(pairs, |a: u16, b: u16| {
            [i64::from(u32::from(a) * u32::from(b))]
        })),
        (DType::I32, Term::Value) => single(i64::sums(bytes, |x: i32| [i64::from(x)])),
        (DType::I32, Term::Magnitude) => {
            single(i64::sums(bytes, |x: i32| [i64::from(x.unsigned_abs())]))
        }
        (DType::I32, _) => halves(i64::sums_of_pairs(pairs, |a: i32, b: i32| {
            let product = i64::from(a) * i64::from(b);
            [i64::from(product as u32), product >> 32]
        })),
        (DType::U32, Term::Value | Term::Magnitude) => {
            single(i64::sums(bytes, |x: u32| [i64::from(x)]))
        }
        (DType::U32, _) => halves(i64::sums_of_pairs(pairs, |a: u32, b: u32| {
            let product = u64::from(a) * u64::from(b);
            [i64::from(product as u32), (product >> 32) as i64]
        })),
        (DType::I64, Term::Value) => {
            halves(i64::sums(bytes, |x: i64| [i64::from(x as u32), x >> 32]))
        }
        (DType::I64, Term::Magnitude) => halves(i64::sums(bytes, |x: i64| {
            let magnitude = x.unsigned_abs();
            [i64::from(magnitude as u32), (magnitude >> 32) as i64]
        })),
        (DType::I64, _) => wide(bytes, second, |a: i64, b: i64| {
            let product = i128::from(a) * i128::from(b);
            (product as u64, product >> 64)
        }),
        (DType::U64, Term::Value | Term::Magnitude) => {
            halves(i64::sums(bytes, |x: u64| [i64::from(x as u32), (x >> 32) as i64]))
        }
        (DType::U64, _) => wide(bytes, second, |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            (product as u64, (product >> 64) as i128)
        }),
        (DType::F16 | DType::BF16 | DType::F32 | DType::F64, _) => {
            unreachable!("floats are summed otherwise")
        }
    }
}

/// An integer that terms are added in, `K` of each element.
trait Counter: Copy {
    /// The sums of terms of one element each.
    fn sums<W: Word, const K: usize>(
        bytes: &[u8],
        terms: impl Fn(W) -> [Self; K] + Copy,
    ) -> [i128; K];

    /// The sums of terms of two elements each.
    fn sums_of_pairs<W: Word, const K: usize>(
        factors: [&[u8]; 2],
        terms: impl Fn(W, W) -> [Self; K] + Copy,
    ) -> [i128; K];
}

/// Counters of so many lanes, which fill 128 bytes, each for so many terms.
macro_rules! counter {
    ($counter:ty, $lanes:literal, $terms:expr) => {
        impl Counter for $counter {
            #[inline(always)]
            fn sums<W: Word, const K: usize>(
                bytes: &[u8],
                terms: impl Fn(W) -> [Self; K] + Copy,
            ) -> [i128; K] {
                let block = $terms * $lanes * size_of::<W>();
                let mut totals = [0; K];
                for block in bytes.chunks(block) {
                    let step = |sums: &mut [Self; K], x| {
                        sums.iter_mut().zip(terms(x)).for_each(|(sum, term)| *sum += term);
                    };
                    add_to(&mut totals, Lanes::<Self, K, $lanes>::of(block, [0; K], step));
                }
                totals
            }

            #[inline(always)]
            fn sums_of_pairs<W: Word, const K: usize>(
                [first, second]: [&[u8]; 2],
                terms: impl Fn(W, W) -> [Self; K] + Copy,
            ) -> [i128; K] {
                let block = $terms * $lanes * size_of::<W>();
                let mut totals = [0; K];
                for (first, second) in first.chunks(block).zip(second.chunks(block)) {
                    let step = |sums: &mut [Self; K], a, b| {
                        sums.iter_mut().zip(terms(a, b)).for_each(|(sum, term)| *sum += term);
                    };
                    let pairs = [first, second];
                    add_to(&mut totals, Lanes::<Self, K, $lanes>::of_pairs(pairs, [0; K], step));
                }
                totals
            }
        }

        const _: () = assert!($lanes <= $terms, "one counter has those after the last group");
    };
}

counter!(i16, 64, 1 << 7);
counter!(i32, 32, 1 << 14);
counter!(i64, 16, 1 << 20);

/// Adds the sums of all lanes of a block.
#[inline(always)]
fn add_to<A: Copy + Into<i64>, const K: usize, const N: usize>(
    totals: &mut [i128; K],
    lanes: Lanes<A, K, N>,
) {
    let sums = lanes.join([0_i64; K], |totals, sums| {
        totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += sum.into());
    });
    totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += i128::from(sum));
}

/// The sum of terms of 128 bits, by their low halves and the rest.
#[inline(always)]
fn wide<W: Word>(bytes: &[u8], second: &[u8], term: impl Fn(W, W) -> (u64, i128)) -> [i128; 2] {
    let (mut low, mut high) = (0, 0);
    W::all(bytes).zip(W::all(second)).map(|(a, b)| term(a, b)).for_each(|(l, h)| {
        low += i128::from(l);
        high += h;
    });
    [low, high]
}
