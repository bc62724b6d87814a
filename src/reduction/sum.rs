//! Exact sums: of elements, of their magnitudes, of their squares, and of the
//! products of two data sets.
//!
//! A sum is a fixed-point integer, two's complement, wide enough for every
//! term and every count, so adding never rounds and merging has no order
//! (U. Kulisch, "Computer Arithmetic and Validity", 2008, calls it a complete
//! register). Beside it stand the counts of elements, NaN and infinities. The
//! whole is a commutative group: `merge` adds and `unmerge` subtracts.
//!
//! | elements | unit of bit 0 | limbs | unit of squares, products | limbs |
//! |---|---|---|---|---|
//! | float16 | 2^-24 | 2 | 2^-48 | 3 |
//! | bfloat16, float32 | 2^-149 | 6 | 2^-298 | 10 |
//! | float64 | 2^-1074 | 34 | 2^-2148 | 67 |
//! | integers, bool | 1 | 2 | 1 | 3 |
//!
//! Each holds more terms of the largest magnitude than 64 bits count. The
//! integer of an unsigned type is unsigned; all others are signed. Element
//! counts are `u64` and checked, so the integer itself never overflows.

use super::codec::{Bytes, put_number, put_word};
use super::float::{BINARY32, Float, FloatFormat};
use super::register::Register;
use super::{CombineError, InvalidState, limbs, round};
use crate::dtype::DType;
use crate::op::Term;
use crate::value::Value;

/// How many elements a sum holds, and how many of its terms are no finite
/// number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// All elements, the special ones included.
    pub elements: u64,
    /// Terms that are NaN.
    pub nan: u64,
    /// Terms that are +infinity.
    pub positive_infinity: u64,
    /// Terms that are -infinity.
    pub negative_infinity: u64,
}

impl Counts {
    /// The counts as an array, in the order of canonical bytes.
    pub fn to_array(self) -> [u64; 4] {
        [self.elements, self.nan, self.positive_infinity, self.negative_infinity]
    }

    /// The counts from an array in the order of canonical bytes.
    pub fn from_array([elements, nan, positive_infinity, negative_infinity]: [u64; 4]) -> Counts {
        Counts { elements, nan, positive_infinity, negative_infinity }
    }

    /// NaN and infinities together, or `None` past 64 bits.
    pub fn special(self) -> Option<u64> {
        self.nan.checked_add(self.positive_infinity)?.checked_add(self.negative_infinity)
    }

    fn zip(self, other: Counts, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Counts> {
        let (a, b) = (self.to_array(), other.to_array());
        let mut out = [0; 4];
        for (out, (a, b)) in out.iter_mut().zip(a.into_iter().zip(b)) {
            *out = f(a, b)?;
        }
        Some(Counts::from_array(out))
    }
}

/// The exact sum over any number of elements of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    dtype: DType,
    term: Term,
    counts: Counts,
    integer: Register,
}

/// Number of limbs of the integer for elements of `dtype`.
pub const fn limb_count(dtype: DType, term: Term) -> usize {
    let single = matches!(term, Term::Value | Term::Magnitude);
    match dtype {
        DType::F16 => {
            if single {
                2
            } else {
                3
            }
        }
        DType::BF16 | DType::F32 => {
            if single {
                6
            } else {
                10
            }
        }
        DType::F64 => {
            if single {
                34
            } else {
                67
            }
        }
        DType::Bool
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64 => {
            if single {
                2
            } else {
                3
            }
        }
    }
}

/// Exponent of two that bit 0 of the integer weighs.
pub const fn unit_exponent(dtype: DType, term: Term) -> i32 {
    let unit = match dtype {
        // That of binary32, whose upper half it is.
        DType::BF16 => BINARY32.exponent_min,
        _ => match FloatFormat::of(dtype) {
            Some(format) => format.exponent_min,
            None => 0,
        },
    };
    match term {
        Term::Value | Term::Magnitude => unit,
        Term::Square | Term::Product => 2 * unit,
    }
}

/// How far the smallest subnormal of a float type lies above the unit of its
/// sums of elements.
const fn unit_shift(dtype: DType, format: FloatFormat) -> u32 {
    (format.exponent_min - unit_exponent(dtype, Term::Value)) as u32
}

/// Whether the integer can be negative.
pub const fn is_signed(dtype: DType, term: Term) -> bool {
    match term {
        Term::Value | Term::Product => dtype.is_signed(),
        Term::Magnitude | Term::Square => false,
    }
}

/// A finite element as `(negative, magnitude, shift)` in units of a sum of
/// elements, or the special value that it is.
fn parts(dtype: DType, bits: u64) -> Result<(bool, u64, u32), Float> {
    let Some(format) = FloatFormat::of(dtype) else {
        let width = dtype.size_bytes() as u32 * 8;
        return Ok(match dtype {
            DType::Bool => (false, u64::from(bits & 0xff != 0), 0),
            _ if dtype.is_signed() => {
                let value = (bits << (64 - width)) as i64 >> (64 - width);
                (value < 0, value.unsigned_abs(), 0)
            }
            _ => (false, bits, 0),
        });
    };
    match format.decode(bits) {
        Float::Finite { negative, significand, shift } => {
            Ok((negative, significand, shift + unit_shift(dtype, format)))
        }
        special => Err(special),
    }
}

impl Sum {
    /// The sum of no elements.
    pub fn identity(dtype: DType, term: Term) -> Sum {
        Sum { dtype, term, counts: Counts::default(), integer: Register::zero() }
    }

    /// The sum of one element, given by the bits of its little-endian bytes;
    /// `second` is the element of the second data set, for products alone.
    ///
    /// This is the definition that every faster path is held to.
    pub fn lift(dtype: DType, term: Term, bits: u64, second: u64) -> Sum {
        let mut sum = Sum::identity(dtype, term);
        sum.add(bits, second);
        sum
    }

    /// Merges one lifted element.
    pub fn add(&mut self, bits: u64, second: u64) {
        self.counts.elements += 1;
        match self.term {
            Term::Value => self.add_term(parts(self.dtype, bits)),
            Term::Magnitude => self.add_term(match parts(self.dtype, bits) {
                Ok((_, magnitude, shift)) => Ok((false, magnitude, shift)),
                Err(Float::Infinite { .. }) => Err(Float::Infinite { negative: false }),
                nan => nan,
            }),
            Term::Square => self.add_product(bits, bits),
            Term::Product => self.add_product(bits, second),
        }
    }

    fn add_term(&mut self, parts: Result<(bool, u64, u32), Float>) {
        match parts {
            Ok((negative, magnitude, shift)) => {
                let value = i128::from(magnitude);
                self.add_units(if negative { -value } else { value }, shift);
            }
            Err(special) => self.count_special(special),
        }
    }

    fn add_product(&mut self, a: u64, b: u64) {
        match (parts(self.dtype, a), parts(self.dtype, b)) {
            (Ok((a_negative, a, a_shift)), Ok((b_negative, b, b_shift))) => {
                let product = u128::from(a) * u128::from(b);
                self.add_magnitude(a_negative != b_negative, product, a_shift + b_shift);
            }
            (a, b) => self.count_special(product_of_special(a, b)),
        }
    }

    /// Adds a magnitude of up to 128 bits, in halves since twice it may need
    /// one bit more than an i128 has.
    fn add_magnitude(&mut self, negative: bool, magnitude: u128, shift: u32) {
        for (half, shift) in [(magnitude as u64, shift), ((magnitude >> 64) as u64, shift + 64)] {
            if half != 0 {
                let value = i128::from(half);
                self.add_units(if negative { -value } else { value }, shift);
            }
        }
    }

    fn count_special(&mut self, special: Float) {
        match special {
            Float::Nan => self.counts.nan += 1,
            Float::Infinite { negative: false } => self.counts.positive_infinity += 1,
            Float::Infinite { negative: true } => self.counts.negative_infinity += 1,
            Float::Finite { .. } => unreachable!("finite elements have parts"),
        }
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// What is added up for each element.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The counts of elements, NaN and infinities.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The integer's limbs, little endian, in units of [`unit_exponent`].
    pub fn limbs(&self) -> Vec<u64> {
        self.integer.all(limb_count(self.dtype, self.term))
    }

    /// Limbs of the integer with its sign, which has one for itself where it
    /// can only be positive.
    fn width(&self) -> usize {
        let own = usize::from(!is_signed(self.dtype, self.term));
        limb_count(self.dtype, self.term) + own
    }

    /// Adds `value * 2^shift` units to the integer, and nothing to the counts.
    ///
    /// For backends, which sum many elements into one such value; they add
    /// the elements' count with [`Sum::add_counts`].
    pub fn add_units(&mut self, value: i128, shift: u32) {
        let width = self.width();
        self.integer.add_shifted(value, shift, width);
    }

    /// Adds to the counts, and nothing to the integer.
    ///
    /// # Errors
    /// [`CombineError::TooMany`] past 2^64 - 1 elements.
    pub fn add_counts(&mut self, counts: Counts) -> Result<(), CombineError> {
        self.counts = self.counts.zip(counts, u64::checked_add).ok_or(CombineError::TooMany)?;
        Ok(())
    }

    /// Adds another sum. No order of merging changes the result.
    ///
    /// # Errors
    /// Different element types or terms, or more than 2^64 - 1 elements.
    pub fn merge(&mut self, other: &Sum) -> Result<(), CombineError> {
        self.same_kind(other)?;
        self.add_counts(other.counts)?;
        let width = self.width();
        self.integer.add(&other.integer, width);
        Ok(())
    }

    /// Takes away a sum that was merged before, exactly.
    ///
    /// # Errors
    /// Different element types or terms, a count that would fall below zero, or
    /// a remainder that no elements make.
    pub fn unmerge(&mut self, other: &Sum) -> Result<(), CombineError> {
        self.same_kind(other)?;
        let counts = self.counts.zip(other.counts, u64::checked_sub);
        let counts = counts.ok_or(CombineError::NotContained)?;
        let mut integer = self.integer.clone();
        integer.subtract(&other.integer, self.width());
        let left = Sum { counts, integer, ..*self };
        left.check().map_err(|_| CombineError::NotContained)?;
        *self = left;
        Ok(())
    }

    pub(super) fn same_kind(&self, other: &Sum) -> Result<(), CombineError> {
        match (self.dtype, self.term) == (other.dtype, other.term) {
            true => Ok(()),
            false => Err(CombineError::Kinds),
        }
    }

    /// The exact integer: whether it is negative, its magnitude in limbs, and
    /// how many bits above [`unit_exponent`] the lowest of them lies.
    pub fn sign_and_magnitude(&self) -> (bool, Vec<u64>, u32) {
        let (first, limbs) = self.integer.shortest();
        let negative = self.integer.is_negative();
        let mut magnitude = limbs.to_vec();
        if negative {
            limbs::negate(&mut magnitude);
        }
        (negative, magnitude, 64 * first as u32)
    }

    /// The special value that special terms make of the sum, if there are any:
    /// any NaN, or infinities of both signs, are NaN.
    pub fn special(&self) -> Option<Float> {
        match (self.counts.nan, self.counts.positive_infinity, self.counts.negative_infinity) {
            (0, 0, 0) => None,
            (0, 1.., 0) => Some(Float::Infinite { negative: false }),
            (0, 0, 1..) => Some(Float::Infinite { negative: true }),
            _ => Some(Float::Nan),
        }
    }

    /// The same as a sum of another type, which must have no coarser unit and be as
    /// wide: int64, uint64 or float64 of the types of their kind, float64 of all.
    pub fn widened(&self, dtype: DType) -> Sum {
        let units = unit_exponent(self.dtype, self.term) - unit_exponent(dtype, self.term);
        let mut wide = Sum { counts: self.counts, ..Sum::identity(dtype, self.term) };
        let (negative, magnitude, shift) = self.sign_and_magnitude();
        for (limb, shift) in magnitude.into_iter().zip((units as u32 + shift..).step_by(64)) {
            let value = i128::from(limb);
            wide.add_units(if negative { -value } else { value }, shift);
        }
        wide
    }

    /// The same sum without its NaN terms and what counts them.
    pub fn without_nan(&self) -> Sum {
        let elements = self.counts.elements - self.counts.nan;
        Sum { counts: Counts { elements, nan: 0, ..self.counts }, ..self.clone() }
    }

    /// The result rounded once to nearest even, straight to `output`.
    ///
    /// Any NaN, or infinities of both signs, give the canonical quiet NaN; one
    /// kind of infinity gives itself. An exact zero is +0.0; a nonzero sum
    /// keeps its sign when it rounds to zero. A sum of integers in an integer
    /// type comes out wider where 64 bits cannot hold it.
    pub fn finish(&self, output: DType) -> Value {
        match FloatFormat::of(output) {
            Some(format) => Value::of(output, self.round(format)),
            None => {
                let (negative, magnitude, shift) = self.sign_and_magnitude();
                let zeros = vec![0; (shift / 64) as usize];
                Value::integer(output, negative, &[zeros, magnitude].concat())
            }
        }
    }

    /// The bits of the sum in `format`, its sign included.
    fn round(&self, format: FloatFormat) -> u64 {
        match self.special() {
            Some(special) => round::special(special, format),
            None => {
                let (negative, magnitude, shift) = self.sign_and_magnitude();
                let unit = unit_exponent(self.dtype, self.term) + shift as i32;
                let bits = round::to_nearest_even(&magnitude, unit, format);
                if negative { bits | format.sign_bit() } else { bits }
            }
        }
    }

    /// Builds a sum from parts that came from outside.
    ///
    /// # Errors
    /// The first rule that the parts break: a sum of `finite` elements lies
    /// within `finite` times the largest term, special elements are no more
    /// than all elements, integers have no special ones.
    pub fn from_parts(
        dtype: DType,
        term: Term,
        counts: Counts,
        limbs: &[u64],
    ) -> Result<Sum, InvalidState> {
        if limbs.len() != limb_count(dtype, term) {
            return Err(InvalidState::Short);
        }
        let mut signed = limbs.to_vec();
        if !is_signed(dtype, term) {
            signed.push(0);
        }
        let sum = Sum { dtype, term, counts, integer: Register::new(&signed) };
        sum.check()?;
        Ok(sum)
    }

    fn check(&self) -> Result<(), InvalidState> {
        let Sum { dtype, term, counts, .. } = *self;
        let special = counts.special().unwrap_or(u64::MAX);
        let has_negative = matches!(term, Term::Value | Term::Product);
        if special > counts.elements
            || (!dtype.is_float() && special > 0)
            || (!has_negative && counts.negative_infinity > 0)
        {
            return Err(InvalidState::Counts { elements: counts.elements });
        }
        let too_large = Err(InvalidState::Magnitude { elements: counts.elements });
        let negative = self.integer.is_negative();
        if negative && !is_signed(dtype, term) {
            return too_large;
        }
        let mut magnitude = self.limbs();
        if negative {
            limbs::negate(&mut magnitude);
        }
        let finite = u128::from(counts.elements - special);
        let (largest, shift) = magnitude_max(dtype, term, negative);
        // Two limbs more than the state: the bound itself may need them.
        let mut room = vec![0; magnitude.len() + 2];
        for (half, above) in [(largest as u64, 0), ((largest >> 64) as u64, 64)] {
            let bound = finite * u128::from(half);
            limbs::add_shifted(&mut room, i128::from(bound as u64), shift + above);
            limbs::add_shifted(&mut room, i128::from((bound >> 64) as u64), shift + above + 64);
        }
        limbs::subtract(&mut room, &[&magnitude[..], &[0, 0]].concat());
        if limbs::is_negative(&room) { too_large } else { Ok(()) }
    }

    /// Appends the canonical bytes: the four counts, then the limbs without
    /// the zeros below and the repeated sign above: how many are left out
    /// below, how many follow, and these.
    pub fn encode(&self, to: &mut Vec<u8>) {
        self.counts.to_array().into_iter().for_each(|count| put_number(to, count));
        let (first, limbs) = self.trimmed();
        put_number(to, first as u64);
        put_number(to, limbs.len() as u64);
        limbs.iter().for_each(|&limb| put_word(to, limb));
    }

    /// The limbs that are left without zeros below and repeated signs above,
    /// and how many zeros were below.
    fn trimmed(&self) -> (usize, &[u64]) {
        match self.integer.shortest() {
            (_, []) => (limb_count(self.dtype, self.term), &[]),
            // Only the sign of a number that can be but positive.
            (first, [limbs @ .., 0]) if !is_signed(self.dtype, self.term) => (first, limbs),
            trimmed => trimmed,
        }
    }

    /// Reads what [`Sum::encode`] wrote.
    ///
    /// # Errors
    /// The first rule that the bytes break.
    pub fn decode(dtype: DType, term: Term, from: &mut Bytes) -> Result<Sum, InvalidState> {
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = from.number()?;
        }
        let mut limbs = vec![0; limb_count(dtype, term)];
        let (first, count) = (from.number()?, from.number()?);
        let end = first.checked_add(count).filter(|&end| end <= limbs.len() as u64);
        let (first, end) = (first as usize, end.ok_or(InvalidState::Number)? as usize);
        for limb in &mut limbs[first..end] {
            *limb = from.word()?;
        }
        if is_signed(dtype, term) && end > first {
            let sign = sign_of(limbs[end - 1]);
            limbs[end..].fill(sign);
        }
        let sum = Sum::from_parts(dtype, term, Counts::from_array(counts), &limbs)?;
        match sum.trimmed() == (first, &limbs[first..end]) {
            true => Ok(sum),
            false => Err(InvalidState::Number),
        }
    }
}

/// The limb that repeats the sign of the one below it.
fn sign_of(limb: u64) -> u64 {
    (limb as i64 >> 63) as u64
}

/// What a product with at least one special factor is.
fn product_of_special(
    a: Result<(bool, u64, u32), Float>,
    b: Result<(bool, u64, u32), Float>,
) -> Float {
    // The sign of a factor that is not NaN, and whether it is zero.
    let sign = |factor| match factor {
        Ok((negative, magnitude, _)) => Some((negative, magnitude == 0)),
        Err(Float::Infinite { negative }) => Some((negative, false)),
        Err(_) => None,
    };
    match (sign(a), sign(b)) {
        (Some((a, false)), Some((b, false))) => Float::Infinite { negative: a != b },
        _ => Float::Nan,
    }
}

/// The largest magnitude that one finite term can have, as a significand of up
/// to 128 bits and a shift, in units of bit 0.
fn magnitude_max(dtype: DType, term: Term, negative: bool) -> (u128, u32) {
    let (largest, shift) = match FloatFormat::of(dtype) {
        Some(format) => {
            ((1_u64 << format.precision) - 1, format.shift_max() + unit_shift(dtype, format))
        }
        None => {
            let bits = dtype.size_bytes() as u32 * 8;
            let largest = match dtype {
                DType::Bool => 1,
                _ if !dtype.is_signed() => u64::MAX >> (64 - bits),
                // Only the smallest number has this magnitude.
                _ if negative || term != Term::Value => 1 << (bits - 1),
                _ => (1 << (bits - 1)) - 1,
            };
            (largest, 0)
        }
    };
    match term {
        Term::Value | Term::Magnitude => (largest.into(), shift),
        Term::Square | Term::Product => (u128::from(largest) * u128::from(largest), 2 * shift),
    }
}

#[cfg(test)]
mod tests;
