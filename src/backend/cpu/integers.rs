//! Exact sums of integers, of their magnitudes, squares and products.
//!
//! Terms are added in counters just wide enough for a block of them, and in
//! 128 bits across blocks. The loops have no dependence that a compiler could
//! not turn into vector code.
//!
//! | elements | term | counter | terms of a block | largest sum of a block |
//! |---|---|---|---|---|
//! | 8 bits | value | i16 | 128 | 128 * 255 < 2^15 |
//! | 8 bits | product | i32 | 2^15 | 2^15 * 255^2 < 2^31 |
//! | 16 bits | value | i32 | 2^14 | 2^14 * 2^16 = 2^30 |
//! | 16 bits | product | i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 32 bits | value | i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 64 bits | value, by halves | 2 x i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 32 bits | product, by halves | 2 x i64 | 2^20 | 2^20 * 2^32 = 2^52 |
//! | 64 bits | product, by halves | 2 x i128 | all | 2^63 elements * 2^64 |

use std::ops::AddAssign;

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
    let (bytes, other) = stretch.factors(term);
    let single = |total| [total, 0];
    match (stretch.dtype, term) {
        (DType::Bool, Term::Product) => single(product(bytes, other, SMALL, |a: u8, b: u8| {
            i32::from(a != 0) * i32::from(b != 0)
        })),
        (DType::Bool, _) => single(value(bytes, 128, |x: u8| i16::from(x != 0))),
        (DType::I8, Term::Value) => single(value(bytes, 128, |x: i8| i16::from(x))),
        (DType::I8, Term::Magnitude) => {
            single(value(bytes, 128, |x: i8| i16::from(x.unsigned_abs())))
        }
        (DType::I8, Term::Square) => single(product(bytes, bytes, SMALL, |x: i8, _| {
            i32::from(x.unsigned_abs()) * i32::from(x.unsigned_abs())
        })),
        (DType::I8, _) => {
            single(product(bytes, other, SMALL, |a: i8, b: i8| i32::from(a) * i32::from(b)))
        }
        (DType::U8, Term::Value | Term::Magnitude) => {
            single(value(bytes, 128, |x: u8| i16::from(x)))
        }
        (DType::U8, _) => {
            single(product(bytes, other, SMALL, |a: u8, b: u8| i32::from(a) * i32::from(b)))
        }
        (DType::I16, Term::Value) => single(value(bytes, 1 << 14, |x: i16| i32::from(x))),
        (DType::I16, Term::Magnitude) => {
            single(value(bytes, 1 << 14, |x: i16| i32::from(x.unsigned_abs())))
        }
        (DType::I16, Term::Square) => single(product(bytes, bytes, LARGE, |x: i16, _| {
            i64::from(u32::from(x.unsigned_abs()) * u32::from(x.unsigned_abs()))
        })),
        (DType::I16, _) => single(product(bytes, other, LARGE, |a: i16, b: i16| {
            i64::from(i32::from(a) * i32::from(b))
        })),
        (DType::U16, Term::Value | Term::Magnitude) => {
            single(value(bytes, 1 << 14, |x: u16| i32::from(x)))
        }
        (DType::U16, _) => single(product(bytes, other, LARGE, |a: u16, b: u16| {
            i64::from(u32::from(a) * u32::from(b))
        })),
        (DType::I32, Term::Value) => single(value(bytes, LARGE, |x: i32| i64::from(x))),
        (DType::I32, Term::Magnitude) => {
            single(value(bytes, LARGE, |x: i32| i64::from(x.unsigned_abs())))
        }
        (DType::I32, _) => single(halves(bytes, other, |a: i32, b: i32| {
            let product = i64::from(a) * i64::from(b);
            (product as u32, product >> 32)
        })),
        (DType::U32, Term::Value | Term::Magnitude) => {
            single(value(bytes, LARGE, |x: u32| i64::from(x)))
        }
        (DType::U32, _) => single(halves(bytes, other, |a: u32, b: u32| {
            let product = u64::from(a) * u64::from(b);
            (product as u32, (product >> 32) as i64)
        })),
        (DType::I64, Term::Value) => single(halves(bytes, bytes, |x: i64, _| (x as u32, x >> 32))),
        (DType::I64, Term::Magnitude) => single(halves(bytes, bytes, |x: i64, _| {
            let magnitude = x.unsigned_abs();
            (magnitude as u32, (magnitude >> 32) as i64)
        })),
        (DType::I64, _) => wide(bytes, other, |a: i64, b: i64| {
            let product = i128::from(a) * i128::from(b);
            (product as u64, product >> 64)
        }),
        (DType::U64, Term::Value | Term::Magnitude) => {
            single(halves(bytes, bytes, |x: u64, _| (x as u32, (x >> 32) as i64)))
        }
        (DType::U64, _) => wide(bytes, other, |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            (product as u64, (product >> 64) as i128)
        }),
        (DType::F16 | DType::BF16 | DType::F32 | DType::F64, _) => {
            unreachable!("floats are summed otherwise")
        }
    }
}

/// Terms of a block whose products are below 2^16.
const SMALL: usize = 1 << 15;
/// Terms of a block where the counter has 64 bits and terms have 32.
const LARGE: usize = 1 << 20;

/// The sum of terms of one element each, added in `A` for `block` of them.
#[inline(always)]
fn value<W: Word, A: Default + Copy + AddAssign + Into<i64>>(
    bytes: &[u8],
    block: usize,
    term: impl Fn(W) -> A,
) -> i128 {
    let sums = bytes.chunks(block * size_of::<W>()).map(|block| {
        let mut sum = A::default();
        W::all(block).for_each(|x| sum += term(x));
        i128::from(sum.into())
    });
    sums.sum()
}

/// The sum of terms of two elements each, added in `A` for `block` of them.
#[inline(always)]
fn product<W: Word, A: Default + Copy + AddAssign + Into<i64>>(
    bytes: &[u8],
    second: &[u8],
    block: usize,
    term: impl Fn(W, W) -> A,
) -> i128 {
    let block = block * size_of::<W>();
    let sums = bytes.chunks(block).zip(second.chunks(block)).map(|(block, second)| {
        let mut sum = A::default();
        W::all(block).zip(W::all(second)).for_each(|(a, b)| sum += term(a, b));
        i128::from(sum.into())
    });
    sums.sum()
}

/// The sum of terms of 64 bits, by their low halves and the rest.
#[inline(always)]
fn halves<W: Word>(bytes: &[u8], second: &[u8], term: impl Fn(W, W) -> (u32, i64)) -> i128 {
    let block = LARGE * size_of::<W>();
    let sums = bytes.chunks(block).zip(second.chunks(block)).map(|(block, second)| {
        let (mut low, mut high) = (0_u64, 0_i64);
        W::all(block).zip(W::all(second)).map(|(a, b)| term(a, b)).for_each(|(l, h)| {
            low += u64::from(l);
            high += h;
        });
        i128::from(low) + (i128::from(high) << 32)
    });
    sums.sum()
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
