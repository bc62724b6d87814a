//! Exact sums: terms are gathered by exponent in machine integers, then added
//! as `num_bigint` integers.

use adsum::reduction::State;
use adsum::reduction::sum::{Counts, Sum};
use adsum::{DType, Partial, Spec, Term};
use num_bigint::{BigInt, Sign};

use super::Data;
use super::element::{Number, numbers};
use super::result::{Real, float_bits};

/// The exact sum of a run of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    pub dtype: DType,
    pub term: Term,
    /// The sum of the finite terms in units of the dtype and term.
    pub units: BigInt,
    pub elements: u64,
    pub nan: u64,
    pub positive_infinity: u64,
    pub negative_infinity: u64,
}

/// Exponent of the unit, and limbs.
pub fn shape(dtype: DType, term: Term) -> (i32, usize) {
    let single = matches!(term, Term::Value | Term::Magnitude);
    match (dtype, single) {
        (DType::F16, true) => (-24, 2),
        (DType::F16, false) => (-48, 3),
        (DType::BF16 | DType::F32, true) => (-149, 6),
        (DType::BF16 | DType::F32, false) => (-298, 10),
        (DType::F64, true) => (-1074, 34),
        (DType::F64, false) => (-2148, 67),
        (_, true) => (0, 2),
        (_, false) => (0, 3),
    }
}

/// The product as IEEE 754 has it, exactly.
fn product(a: Number, b: Number) -> Number {
    let negative = |number| match number {
        Number::Infinite { negative } | Number::Finite { negative, .. } => negative,
        Number::Nan => false,
    };
    let sign = negative(a) != negative(b);
    match (a, b) {
        (Number::Nan, _) | (_, Number::Nan) => Number::Nan,
        (Number::Infinite { .. }, Number::Finite { magnitude: 0, .. })
        | (Number::Finite { magnitude: 0, .. }, Number::Infinite { .. }) => Number::Nan,
        (
            Number::Finite { magnitude: a, exponent: below, .. },
            Number::Finite { magnitude: b, exponent: above, .. },
        ) => Number::Finite { negative: sign, magnitude: a * b, exponent: below + above },
        _ => Number::Infinite { negative: sign },
    }
}

fn magnitude(number: Number) -> Number {
    match number {
        Number::Nan => Number::Nan,
        Number::Infinite { .. } => Number::Infinite { negative: false },
        Number::Finite { magnitude, exponent, .. } => {
            Number::Finite { negative: false, magnitude, exponent }
        }
    }
}

/// The terms that elements give.
pub fn terms<'a>(term: Term, data: &Data<'a>) -> Box<dyn Iterator<Item = Number> + 'a> {
    let elements = numbers(data.dtype, data.bytes);
    match term {
        Term::Value => Box::new(elements),
        Term::Magnitude => Box::new(elements.map(magnitude)),
        Term::Square => Box::new(elements.map(|x| product(x, x))),
        Term::Product => {
            let second = data.second.expect("a product has two data sets");
            let pairs = elements.zip(numbers(data.dtype, second));
            Box::new(pairs.map(|(x, y)| product(x, y)))
        }
    }
}

impl Exact {
    pub fn of(term: Term, data: &Data<'_>) -> Exact {
        let (unit, _) = shape(data.dtype, term);
        let mut exact = Exact {
            dtype: data.dtype,
            term,
            units: BigInt::ZERO,
            elements: 0,
            nan: 0,
            positive_infinity: 0,
            negative_infinity: 0,
        };
        // Low and high halves of the magnitudes of each exponent.
        let mut by_shift = Vec::new();
        for number in terms(term, data) {
            exact.elements += 1;
            match number {
                Number::Nan => exact.nan += 1,
                Number::Infinite { negative: false } => exact.positive_infinity += 1,
                Number::Infinite { negative: true } => exact.negative_infinity += 1,
                Number::Finite { negative, magnitude, exponent } => {
                    let shift = (exponent - unit) as usize;
                    if by_shift.len() <= shift {
                        by_shift.resize(shift + 1, [0_i128; 2]);
                    }
                    let halves = [magnitude as u64, (magnitude >> 64) as u64];
                    for (sum, half) in by_shift[shift].iter_mut().zip(halves) {
                        *sum += if negative { -i128::from(half) } else { i128::from(half) };
                    }
                }
            }
        }
        for (shift, [low, high]) in by_shift.into_iter().enumerate() {
            exact.units += BigInt::from(low) << shift;
            exact.units += BigInt::from(high) << (shift + 64);
        }
        exact
    }

    /// Elements that are not NaN, and what is left of them.
    pub fn without_nan(&self) -> Exact {
        Exact { elements: self.elements - self.nan, nan: 0, ..self.clone() }
    }

    /// The crate's state of this sum.
    pub fn state(&self) -> State {
        let (_, limbs) = shape(self.dtype, self.term);
        let mut integer = self.units.to_signed_bytes_le();
        let sign = if self.units.sign() == Sign::Minus { 0xff } else { 0 };
        // An unsigned integer may have a byte for its sign past the limbs.
        integer.resize(integer.len().max(8 * limbs), sign);
        assert!(integer[8 * limbs..].iter().all(|&byte| byte == sign), "it fits");
        let limbs: Vec<u64> = integer[..8 * limbs]
            .chunks_exact(8)
            .map(|limb| u64::from_le_bytes(limb.try_into().expect("eight bytes")))
            .collect();
        let counts = Counts {
            elements: self.elements,
            nan: self.nan,
            positive_infinity: self.positive_infinity,
            negative_infinity: self.negative_infinity,
        };
        let sum = Sum::from_parts(self.dtype, self.term, counts, &limbs).expect("a sum");
        assert_eq!(sum.limbs(), limbs, "{self:?}");
        State::Sum(sum)
    }

    /// The canonical bytes of the partial that holds this sum alone.
    pub fn partial_bytes(&self) -> Vec<u8> {
        let spec = Spec::of(self.dtype, adsum::Monoid::Sum(self.term));
        Partial::from_states(&spec, vec![self.state()]).to_bytes()
    }

    /// The special value that the counts make of the sum.
    pub fn special(&self) -> Option<Number> {
        match (self.nan, self.positive_infinity, self.negative_infinity) {
            (0, 0, 0) => None,
            (0, 1.., 0) => Some(Number::Infinite { negative: false }),
            (0, 0, 1..) => Some(Number::Infinite { negative: true }),
            _ => Some(Number::Nan),
        }
    }

    /// The sum divided by a positive integer, as bits of a float type, rounded
    /// to nearest even.
    pub fn quotient(&self, divisor: u64, output: DType) -> u64 {
        if let Some(special) = self.special() {
            return float_bits(special, output);
        }
        let real = Real::ratio(
            self.units.magnitude().clone(),
            divisor.into(),
            shape(self.dtype, self.term).0,
        );
        real.bits(self.units.sign() == Sign::Minus, output)
    }

    /// The sum as the bits of a binary32, rounded to nearest even.
    pub fn f32_bits(&self) -> u32 {
        self.quotient(1, DType::F32) as u32
    }

    /// The sum as the bits of a binary64, rounded to nearest even.
    pub fn f64_bits(&self) -> u64 {
        self.quotient(1, DType::F64)
    }
}

/// Sums little-endian elements.
pub fn sum(dtype: DType, bytes: &[u8]) -> Exact {
    Exact::of(Term::Value, &Data::new(dtype, bytes))
}

/// The correctly rounded sum of little-endian binary32 elements, as bits.
pub fn sum_bits_f32(bytes: &[u8]) -> u32 {
    sum(DType::F32, bytes).f32_bits()
}

/// The correctly rounded sum of little-endian binary64 elements, as bits.
pub fn sum_bits_f64(bytes: &[u8]) -> u64 {
    sum(DType::F64, bytes).f64_bits()
}
