//! Exact sums of floats, rounded once, at the speed of plain additions.
//!
//! A block is added in float64 with a check of every addition: what it lost is
//! found by the six operations of Knuth's TwoSum, and is exact itself.
//!
//! ```text
//!   float16 .. float32        s <- s + x, lost;   exact where nothing was lost
//!   float64                   s <- s + x, lost;  e <- e + lost, lost2
//!                             s + e is exact where nothing was lost the second time
//! ```
//!
//! So the sum is one float64, or two, and is rounded once to the type of the elements.
//! An element of a block in which a check failed is added again by itself: as two float64
//! of any type, and where that is not exact either, or there is a NaN or infinity, by
//! the library's exact state, whose rules are the law. For two contributions of float32
//! or float64 there is a shorter way ([`pair`]). Which way an element goes changes its
//! time and never its bits.

use super::pair;
use crate::backend::cpu::simd::{self, Loop, Vectors};
use crate::backend::cpu::widen::{self, Widen};
use crate::backend::cpu::word::Word;
use crate::backend::reference::element_bits;
use crate::dtype::{DType, Layout};
use crate::op::Term;
use crate::reduction::float::{BFLOAT16, BINARY16, BINARY64, FloatFormat};
use crate::reduction::moments;
use crate::reduction::round;
use crate::reduction::sum::Sum;

/// Elements of a block: their sums stay in the first cache.
const BLOCK: usize = 256;

/// Sums, or means, of the contributions of each element.
pub fn exact(dtype: DType, contributions: &[&[u8]], out: &mut [u8], mean: bool) {
    if let (&[a, b], false, true) = (contributions, mean, simd::has_default_floats()) {
        match dtype {
            DType::F32 => return pair::add::<f32>(a, b, out),
            DType::F64 => return pair::add::<f64>(a, b, out),
            _ => {}
        }
    }
    match dtype {
        DType::F16 => blocks::<Narrow<widen::F16>>(dtype, contributions, out, mean),
        DType::BF16 => blocks::<Narrow<widen::BF16>>(dtype, contributions, out, mean),
        DType::F32 => blocks::<Narrow<widen::F32>>(dtype, contributions, out, mean),
        DType::F64 => blocks::<Double>(dtype, contributions, out, mean),
        _ => unreachable!("exact sums are of floats"),
    }
}

/// A float format, read as float64.
trait Source {
    const SIZE: usize;
    /// Whether sums take two float64.
    const DOUBLE: bool;
    fn read(bytes: &[u8]) -> f64;
}

struct Double;

impl Source for Double {
    const SIZE: usize = 8;
    const DOUBLE: bool = true;

    #[inline(always)]
    fn read(bytes: &[u8]) -> f64 {
        f64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }
}

struct Narrow<F>(std::marker::PhantomData<F>);

impl<F: Widen> Source for Narrow<F> {
    const SIZE: usize = size_of::<F::Word>();
    const DOUBLE: bool = false;

    #[inline(always)]
    fn read(bytes: &[u8]) -> f64 {
        f64::from(F::to_f32(F::Word::of(F::Word::split(bytes)[0])))
    }
}

fn format(dtype: DType) -> FloatFormat {
    FloatFormat::of(dtype).expect("a float")
}

fn blocks<S: Source>(dtype: DType, contributions: &[&[u8]], out: &mut [u8], mean: bool) {
    // Where a thread's floats are not those of IEEE 754, integers do it.
    let plain = simd::has_default_floats();
    let vectors = Vectors::new();
    let mut start = 0;
    for out in out.chunks_mut(BLOCK * S::SIZE) {
        let mut sums = [[0.0; BLOCK]; 2];
        let block = Block::<S> {
            contributions,
            start,
            length: out.len(),
            sums: &mut sums,
            of: std::marker::PhantomData,
        };
        let divisor = mean.then_some(contributions.len() as u64);
        if plain && vectors.run(block) {
            put::<S>(dtype, &sums, divisor, vectors, out, contributions, start);
        } else {
            for (number, out) in out.chunks_exact_mut(S::SIZE).enumerate() {
                let at = start + number * S::SIZE;
                let bits = single::<S>(dtype, contributions, at, divisor, plain);
                out.copy_from_slice(&bits.to_le_bytes()[..S::SIZE]);
            }
        }
        start += out.len();
    }
}

/// What adding `b` to `a` gives, and what it lost.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// One block of all contributions. Its output says whether all was exact.
struct Block<'a, S> {
    contributions: &'a [&'a [u8]],
    start: usize,
    length: usize,
    /// The sums, and what was lost of them.
    sums: &'a mut [[f64; BLOCK]; 2],
    of: std::marker::PhantomData<S>,
}

impl<S: Source> Loop for Block<'_, S> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let [sums, rests] = self.sums;
        let mut lost_bits = 0_u64;
        for contribution in self.contributions {
            let elements = contribution[self.start..self.start + self.length].chunks_exact(S::SIZE);
            for ((sum, rest), element) in sums.iter_mut().zip(rests.iter_mut()).zip(elements) {
                let (next, lost) = two_sum(*sum, S::read(element));
                *sum = next;
                if S::DOUBLE {
                    let (next, lost) = two_sum(*rest, lost);
                    *rest = next;
                    lost_bits |= lost.to_bits();
                } else {
                    lost_bits |= lost.to_bits();
                }
            }
        }
        // NaN, which infinities leave here, has bits below the sign, too.
        lost_bits << 1 == 0
    }
}

/// The nearest float32 of each sum.
struct Rounded<'a> {
    sums: &'a [f64; BLOCK],
    out: &'a mut [u8],
}

impl Loop for Rounded<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, &sum) in self.out.chunks_exact_mut(4).zip(self.sums) {
            out.copy_from_slice(&(sum as f32).to_le_bytes());
        }
    }
}

/// Writes a block whose sums are exact.
fn put<S: Source>(
    dtype: DType,
    sums: &[[f64; BLOCK]; 2],
    divisor: Option<u64>,
    vectors: Vectors,
    out: &mut [u8],
    contributions: &[&[u8]],
    start: usize,
) {
    if dtype == DType::F32 && divisor.is_none() {
        return vectors.run(Rounded { sums: &sums[0], out });
    }
    for (number, out) in out.chunks_exact_mut(S::SIZE).enumerate() {
        let (sum, rest) = (sums[0][number], sums[1][number]);
        let bits = match (divisor, S::DOUBLE) {
            (None, true) => (sum + rest).to_bits(),
            (None, false) => narrow(sum, dtype),
            _ => match quotient(sum, rest, divisor, dtype) {
                Some(bits) => bits,
                None => by_state(dtype, contributions, start + number * S::SIZE, divisor),
            },
        };
        out.copy_from_slice(&bits.to_le_bytes()[..S::SIZE]);
    }
}

/// The bits of a float64 in a narrower format.
fn narrow(value: f64, dtype: DType) -> u64 {
    match dtype {
        DType::F32 => u64::from((value as f32).to_bits()),
        DType::BF16 => round::convert(value.to_bits(), BINARY64, BFLOAT16),
        DType::F16 => round::convert(value.to_bits(), BINARY64, BINARY16),
        _ => value.to_bits(),
    }
}

/// A float64 between `value` and its neighbour towards `rest`, which stands for
/// all that lies there: the one of the two whose last bit is odd. Rounding it to
/// fewer bits gives what rounding the exact value gives.
fn to_odd(value: f64, rest: f64) -> f64 {
    if rest == 0.0 || value.to_bits() & 1 == 1 {
        return value;
    }
    let away = (value > 0.0) == (rest > 0.0);
    f64::from_bits(if away { value.to_bits() + 1 } else { value.to_bits() - 1 })
}

/// The bits of `sum + rest`, divided, where float64 can tell.
fn quotient(sum: f64, rest: f64, divisor: Option<u64>, dtype: DType) -> Option<u64> {
    let (sum, rest) = two_sum(sum, rest);
    let Some(divisor) = divisor else {
        return Some(match dtype {
            DType::F64 => sum.to_bits(),
            _ => narrow(to_odd(sum, rest), dtype),
        });
    };
    let divisor = divisor as f64;
    let whole = sum == 0.0 || sum.abs() > BINARY64_SAFE;
    if rest != 0.0 || !whole || !sum.is_finite() {
        return None;
    }
    let quotient = sum / divisor;
    Some(match dtype {
        DType::F64 => quotient.to_bits(),
        _ => {
            let left = (-quotient).mul_add(divisor, sum);
            narrow(to_odd(quotient, left), dtype)
        }
    })
}

/// From here on a quotient and what is left of it are normal numbers.
const BINARY64_SAFE: f64 = 1e-250;

/// One element by itself.
fn single<S: Source>(
    dtype: DType,
    contributions: &[&[u8]],
    at: usize,
    divisor: Option<u64>,
    plain: bool,
) -> u64 {
    let (mut sum, mut rest, mut exact) = (0.0, 0.0, plain);
    for contribution in contributions {
        let (next, lost) = two_sum(sum, S::read(&contribution[at..at + S::SIZE]));
        sum = next;
        let (next, lost) = two_sum(rest, lost);
        rest = next;
        exact &= lost == 0.0;
    }
    let found = if exact { quotient(sum, rest, divisor, dtype) } else { None };
    found.unwrap_or_else(|| by_state(dtype, contributions, at, divisor))
}

/// One element by the library's exact state.
fn by_state(dtype: DType, contributions: &[&[u8]], at: usize, divisor: Option<u64>) -> u64 {
    let (size, layout) = (dtype.size_bytes(), Layout::little(dtype));
    let mut sum = Sum::identity(dtype, Term::Value);
    for contribution in contributions {
        sum.add(element_bits(layout, &contribution[at..at + size]), 0);
    }
    match divisor {
        Some(_) => moments::mean(&sum, format(dtype)),
        None => {
            let mut bits = [0; 8];
            bits[..size].copy_from_slice(&sum.finish(dtype).to_le_bytes());
            u64::from_le_bytes(bits)
        }
    }
}
