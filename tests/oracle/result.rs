//! Finished results: real numbers rounded by a search for the two neighbouring
//! floats, without shifting bits out.

use std::cmp::Ordering;

use adsum::{DType, Op, Term};
use num_bigint::{BigInt, BigUint, Sign};

use super::Data;
use super::element::{Format, Number, float, integer};
use super::sum::{Exact, shape, terms};

/// A number that is not negative: `numerator / denominator * 2^exponent`, or
/// the square root of that.
#[derive(Clone, Debug)]
pub struct Real {
    numerator: BigUint,
    denominator: BigUint,
    exponent: i32,
    is_root: bool,
}

impl Real {
    pub fn ratio(numerator: BigUint, denominator: BigUint, exponent: i32) -> Real {
        Real { numerator, denominator, exponent, is_root: false }
    }

    pub fn root(self) -> Real {
        Real { is_root: true, ..self }
    }

    /// The order of this number and `units * 2^exponent`.
    fn compare(&self, units: &BigUint, exponent: i32) -> Ordering {
        let (units, exponent) =
            if self.is_root { (units * units, 2 * exponent) } else { (units.clone(), exponent) };
        let ours = self.numerator.clone() << (self.exponent - exponent).max(0) as u32;
        let theirs = (units * &self.denominator) << (exponent - self.exponent).max(0) as u32;
        ours.cmp(&theirs)
    }

    /// The bits of the nearest float of a type, ties to even.
    pub fn bits(&self, negative: bool, output: DType) -> u64 {
        let format = Format::of(output).expect("a float");
        // Everything in halves of the smallest subnormal, so that the middle
        // between two neighbours is a whole number. Infinity counts as the
        // power of two that follows the largest number.
        let unit = format.least() - 1;
        let units = |bits: u64| {
            let exponent = bits >> format.fraction_bits;
            let implicit = if exponent > 0 { 1 << format.fraction_bits } else { 0 };
            let significand = bits % (1 << format.fraction_bits) + implicit;
            BigUint::from(significand) << exponent.max(1)
        };
        // Bits of positive floats are in the order of their values: find the
        // last one that is not above the number.
        let (mut below, mut above) = (0, format.infinity());
        if self.compare(&units(above), unit) != Ordering::Less {
            below = above;
        }
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            match self.compare(&units(middle), unit) {
                Ordering::Less => above = middle,
                _ => below = middle,
            }
        }
        if below < format.infinity() {
            let middle = (units(below) + units(below + 1)) / 2_u32;
            match self.compare(&middle, unit) {
                Ordering::Greater => below += 1,
                Ordering::Equal => below += below % 2,
                Ordering::Less => {}
            }
        }
        if negative { below | format.sign() } else { below }
    }
}

/// The bits of a number in a float type.
pub fn float_bits(number: Number, output: DType) -> u64 {
    let format = Format::of(output).expect("a float");
    match number {
        Number::Nan => format.quiet_nan(),
        Number::Infinite { negative: false } => format.infinity(),
        Number::Infinite { negative: true } => format.infinity() | format.sign(),
        Number::Finite { negative, magnitude, exponent } => {
            Real::ratio(magnitude.into(), 1_u32.into(), exponent).bits(negative, output)
        }
    }
}

/// The bits of a result of sums, means, spreads or norms, in the type `output`.
pub fn result(op: Op, data: &Data<'_>, skip_nan: bool, ddof: i64, output: DType) -> u64 {
    let exact = |term| {
        let exact = Exact::of(term, data);
        if skip_nan { exact.without_nan() } else { exact }
    };
    let total = |term| {
        let exact = exact(term);
        match Format::of(output) {
            Some(_) => exact.quotient(1, output),
            None => lowest_64_bits(&exact.units),
        }
    };
    match op {
        Op::Sum => total(Term::Value),
        Op::L1 => total(Term::Magnitude),
        Op::SumSq => total(Term::Square),
        Op::Dot => total(Term::Product),
        Op::Mean => {
            let exact = exact(Term::Value);
            match exact.elements {
                0 => float_bits(Number::Nan, output),
                elements => exact.quotient(elements, output),
            }
        }
        Op::Var => spread(&exact(Term::Value), data, ddof)
            .map_or(float_bits(Number::Nan, output), |real| real.bits(false, output)),
        Op::Std => spread(&exact(Term::Value), data, ddof)
            .map_or(float_bits(Number::Nan, output), |real| real.root().bits(false, output)),
        Op::L2 => {
            let squares = exact(Term::Square);
            let unit = shape(data.dtype, Term::Square).0;
            match squares.special() {
                Some(special) => float_bits(special, output),
                None => Real::ratio(squares.units.magnitude().clone(), 1_u32.into(), unit)
                    .root()
                    .bits(false, output),
            }
        }
        Op::LInf => largest_magnitude(data, skip_nan, output),
        _ => panic!("{op} has an oracle of its own"),
    }
}

fn lowest_64_bits(integer: &BigInt) -> u64 {
    let low = integer.magnitude().iter_u64_digits().next().unwrap_or(0);
    if integer.sign() == Sign::Minus { low.wrapping_neg() } else { low }
}

/// The variance by its definition, the mean square of the distances from the
/// mean: with `n` elements that sum up to `S` it is
/// `sum (n x - S)^2 / (n^2 (n - ddof))`.
fn spread(sum: &Exact, data: &Data<'_>, ddof: i64) -> Option<Real> {
    let count = sum.elements;
    let freedom = i128::from(count) - i128::from(ddof);
    if sum.special().is_some() || freedom <= 0 || count == 0 {
        return None;
    }
    let (unit, _) = shape(data.dtype, Term::Value);
    let mut squares = BigInt::ZERO;
    for number in terms(Term::Value, data) {
        if let Number::Finite { negative, magnitude, exponent } = number {
            let magnitude = BigInt::from(magnitude) << (exponent - unit) as u32;
            let value = if negative { -magnitude } else { magnitude };
            let distance = value * count - &sum.units;
            squares += &distance * &distance;
        }
    }
    let denominator =
        BigUint::from(count) * BigUint::from(count) * BigUint::from(freedom.unsigned_abs());
    Some(Real::ratio(squares.magnitude().clone(), denominator, 2 * unit))
}

fn largest_magnitude(data: &Data<'_>, skip_nan: bool, output: DType) -> u64 {
    let bits = super::element::bits_of(data.dtype, data.bytes);
    if Format::of(data.dtype).is_none() {
        let magnitude =
            bits.map(|bits| integer(data.dtype, bits).unsigned_abs()).max().unwrap_or(0);
        return Real::ratio(magnitude.into(), 1_u32.into(), 0).bits(false, output);
    }
    let mut largest = 0.0_f64;
    for bits in bits {
        let value = float(data.dtype, bits).abs();
        if value.is_nan() && !skip_nan {
            return float_bits(Number::Nan, output);
        }
        largest = largest.max(value);
    }
    float_bits(super::element::number(DType::F64, largest.to_bits()), output)
}
