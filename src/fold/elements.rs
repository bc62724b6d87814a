//! Operators that fold two elements at a time and never round.

use super::Operator;
use crate::backend::cpu::simd::{Loop, Vectors};
use crate::dtype::DType;

/// Bytes of the result that stay in the first cache while all contributions are
/// folded into them.
const BLOCK_BYTES: usize = 4096;

/// Folds by an operator that is neither a sum of floats nor located.
pub fn in_pairs(operator: Operator, dtype: DType, contributions: &[&[u8]], out: &mut [u8]) {
    let mut start = 0;
    for out in out.chunks_mut(BLOCK_BYTES) {
        let range = start..start + out.len();
        start = range.end;
        let (first, others) = contributions.split_first().expect("at least one");
        out.copy_from_slice(&first[range.clone()]);
        // The first with itself brings it into the form of results.
        let unchanged = matches!(
            operator,
            Operator::Sum | Operator::Prod | Operator::BitXor | Operator::LogicalXor
        );
        if others.is_empty() && !unchanged {
            pair(operator, dtype, &first[range.clone()], out);
        }
        if operator == Operator::LogicalXor {
            // Parity is that of truths, not of bits.
            truths(dtype, out);
        }
        for other in others {
            pair(operator, dtype, &other[range.clone()], out);
        }
        if others.is_empty() && dtype == DType::Bool {
            truths(dtype, out);
        }
    }
}

fn truths(dtype: DType, out: &mut [u8]) {
    let copy = out.to_vec();
    pair(Operator::LogicalOr, dtype, &copy, out);
}

/// Folds `other` into `out`.
fn pair(operator: Operator, dtype: DType, other: &[u8], out: &mut [u8]) {
    match dtype {
        DType::Bool => boolean(operator, other, out),
        DType::I8 => integer::<i8>(operator, other, out),
        DType::I16 => integer::<i16>(operator, other, out),
        DType::I32 => integer::<i32>(operator, other, out),
        DType::I64 => integer::<i64>(operator, other, out),
        DType::U8 => integer::<u8>(operator, other, out),
        DType::U16 => integer::<u16>(operator, other, out),
        DType::U32 => integer::<u32>(operator, other, out),
        DType::U64 => integer::<u64>(operator, other, out),
        DType::F32 => float::<f32>(operator, other, out),
        DType::F64 => float::<f64>(operator, other, out),
        DType::F16 => float::<half::f16>(operator, other, out),
        DType::BF16 => float::<half::bf16>(operator, other, out),
    }
}

/// What little-endian bytes of fixed size spell.
trait Bits: Copy {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! bits {
    ($($word:ty),*) => {$(
        impl Bits for $word {
            const SIZE: usize = size_of::<$word>();
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                <$word>::from_le_bytes(bytes.try_into().expect("one element"))
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

bits!(i8, i16, i32, i64, u8, u16, u32, u64);

/// A loop that folds each element of `other` into that of `out`.
struct Pairs<'a, T, F> {
    other: &'a [u8],
    out: &'a mut [u8],
    fold: F,
    of: std::marker::PhantomData<T>,
}

impl<T: Bits, F: Fn(T, T) -> T> Loop for Pairs<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.out.chunks_exact_mut(T::SIZE).zip(self.other.chunks_exact(T::SIZE));
        for (out, other) in pairs {
            (self.fold)(T::read(out), T::read(other)).write(out);
        }
    }
}

fn each<T: Bits>(other: &[u8], out: &mut [u8], fold: impl Fn(T, T) -> T) {
    Vectors::new().run(Pairs { other, out, fold, of: std::marker::PhantomData });
}

trait Integer: Bits + Ord + num_traits::PrimInt {
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
}

macro_rules! integer {
    ($($word:ty),*) => {$(
        impl Integer for $word {
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
        }
    )*};
}

integer!(i8, i16, i32, i64, u8, u16, u32, u64);

fn integer<T: Integer>(operator: Operator, other: &[u8], out: &mut [u8]) {
    let truth = |is: bool| if is { T::one() } else { T::zero() };
    let zero = T::zero();
    match operator {
        Operator::Sum => each(other, out, T::plus),
        Operator::Prod => each(other, out, T::times),
        Operator::Min => each(other, out, |a: T, b| a.min(b)),
        Operator::Max => each(other, out, |a: T, b| a.max(b)),
        Operator::LogicalAnd => each(other, out, |a: T, b| truth(a != zero && b != zero)),
        Operator::LogicalOr => each(other, out, |a: T, b| truth(a != zero || b != zero)),
        Operator::LogicalXor => each(other, out, |a: T, b| truth((a != zero) != (b != zero))),
        Operator::BitAnd => each(other, out, |a: T, b| a & b),
        Operator::BitOr => each(other, out, |a: T, b| a | b),
        Operator::BitXor => each(other, out, |a: T, b| a ^ b),
        Operator::MinLoc | Operator::MaxLoc | Operator::Mean => {
            unreachable!("{operator} of integers in pairs")
        }
    }
}

/// Any byte but zero is true.
fn boolean(operator: Operator, other: &[u8], out: &mut [u8]) {
    let of = |fold: fn(bool, bool) -> bool| move |a: u8, b: u8| u8::from(fold(a != 0, b != 0));
    match operator {
        Operator::Min | Operator::LogicalAnd | Operator::BitAnd => {
            each(other, out, of(|a, b| a & b));
        }
        Operator::Max | Operator::LogicalOr | Operator::BitOr => each(other, out, of(|a, b| a | b)),
        Operator::LogicalXor | Operator::BitXor => each(other, out, of(|a, b| a ^ b)),
        _ => unreachable!("{operator} of bools"),
    }
}

/// A float by its bits.
trait FloatBits {
    type Word: Bits + Ord + num_traits::PrimInt;
    /// The bits of infinity; larger magnitudes are NaN.
    const TOP: Self::Word;
    const QUIET_NAN: Self::Word;
    const ONE: Self::Word;
    /// An integer with the order of the floats, and back.
    fn flip(bits: Self::Word) -> Self::Word;
}

macro_rules! float_bits {
    ($($float:ty, $word:ty, $unsigned:ty, $one:expr);*) => {$(
        impl FloatBits for $float {
            type Word = $word;
            const TOP: $word = <$float>::INFINITY.to_bits() as $word;
            const QUIET_NAN: $word = Self::TOP | (Self::TOP & -Self::TOP) >> 1;
            const ONE: $word = $one.to_bits() as $word;
            #[inline(always)]
            fn flip(bits: $word) -> $word {
                bits ^ ((bits >> (<$word>::BITS - 1)) as $unsigned >> 1) as $word
            }
        }
    )*};
}

float_bits!(f32, i32, u32, 1.0_f32; f64, i64, u64, 1.0_f64;
    half::f16, i16, u16, half::f16::ONE; half::bf16, i16, u16, half::bf16::ONE);

fn float<F: FloatBits>(operator: Operator, other: &[u8], out: &mut [u8]) {
    use num_traits::{One, Zero};
    let magnitude = |bits: F::Word| bits & !(F::Word::one() << (8 * F::Word::SIZE - 1));
    let is_true = move |bits: F::Word| magnitude(bits) != F::Word::zero();
    let truth = |is: bool| if is { F::ONE } else { F::Word::zero() };
    let extreme = move |pick: fn(F::Word, F::Word) -> F::Word| {
        move |a: F::Word, b: F::Word| {
            let nan = magnitude(a) > F::TOP || magnitude(b) > F::TOP;
            let found = F::flip(pick(F::flip(a), F::flip(b)));
            if nan { F::QUIET_NAN } else { found }
        }
    };
    match operator {
        Operator::Min => each(other, out, extreme(|a, b| a.min(b))),
        Operator::Max => each(other, out, extreme(|a, b| a.max(b))),
        Operator::LogicalAnd => each(other, out, |a, b| truth(is_true(a) && is_true(b))),
        Operator::LogicalOr => each(other, out, |a, b| truth(is_true(a) || is_true(b))),
        Operator::LogicalXor => each(other, out, |a, b| truth(is_true(a) != is_true(b))),
        _ => unreachable!("{operator} of floats in pairs"),
    }
}
