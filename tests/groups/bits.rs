//! What operators make of elements of every type, as bits: by the oracle, one column of
//! contributions after the other.

use adsum::DType;
use adsum::communicator::{Element, Operator};
use half::{bf16, f16};

use crate::chance::Chance;
use crate::oracle::{self, Data, Format};

/// Elements that a test makes of bits, and compares by them.
pub trait Bits: Element {
    fn of_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! integers {
    ($($integer:ty, $unsigned:ty);*) => {$(
        impl Bits for $integer {
            fn of_bits(bits: u64) -> $integer {
                bits as $integer
            }

            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
        }
    )*};
}

macro_rules! floats {
    ($($float:ty, $unsigned:ty);*) => {$(
        impl Bits for $float {
            fn of_bits(bits: u64) -> $float {
                <$float>::from_bits(bits as $unsigned)
            }

            fn bits(self) -> u64 {
                self.to_bits().into()
            }
        }
    )*};
}

integers!(i8, u8; i16, u16; i32, u32; i64, u64; u8, u8; u16, u16; u32, u32; u64, u64);
floats!(f16, u16; bf16, u16; f32, u32; f64, u64);

impl Bits for bool {
    fn of_bits(bits: u64) -> bool {
        bits & 1 == 1
    }

    fn bits(self) -> u64 {
        self.into()
    }
}

/// All bits of an element.
fn mask(dtype: DType) -> u64 {
    match dtype {
        DType::Bool => 1,
        _ => u64::MAX >> (64 - 8 * dtype.size_bytes()),
    }
}

/// Elements by chance: of integers any, of floats also many of like exponents, so that
/// they cancel and round, and some that are special.
pub fn by_chance(dtype: DType, count: usize, seed: u64) -> Vec<u64> {
    let mut chance = Chance::new(seed);
    let element = |_| {
        let any = chance.word() & mask(dtype);
        let Some(format) = Format::of(dtype) else {
            // Zeros and equal ones are as rare by chance as they are telling.
            let few = [any, any, any, any, 0, 1, mask(dtype), mask(dtype) >> 1];
            return chance.pick(&few);
        };
        let (sign, infinity) = (any & format.sign(), format.infinity());
        let fraction = any & ((1 << format.fraction_bits) - 1);
        // The exponent of one, and some below it.
        let exponent = (1 << (format.exponent_bits - 1)) - 1 - chance.number(0..=12);
        match chance.index(24) {
            0 => chance.pick(&[infinity, infinity | format.sign(), infinity + 1, 0, infinity - 1]),
            1 => sign,
            2 => sign | fraction,
            3..6 => any,
            _ => sign | exponent << format.fraction_bits | fraction,
        }
    };
    (0..count).map(element).collect()
}

fn is_nan(dtype: DType, bits: u64) -> bool {
    Format::of(dtype).is_some_and(|format| bits & !format.sign() > format.infinity())
}

/// The fold of one column: the contributions of ranks, in order, to one element.
pub fn fold(operator: Operator, dtype: DType, column: &[u64]) -> u64 {
    let size = dtype.size_bytes();
    let bytes: Vec<u8> =
        column.iter().flat_map(|bits| bits.to_le_bytes()[..size].to_vec()).collect();
    let format = Format::of(dtype);
    let truths = column.iter().filter(|&&bits| match format {
        Some(format) => bits & !format.sign() != 0,
        None => bits != 0,
    });
    let truth = |is_true: bool| match (is_true, format) {
        (false, _) => 0,
        (true, None) => 1,
        (true, Some(format)) => ((1 << (format.exponent_bits - 1)) - 1) << format.fraction_bits,
    };
    let all = column.iter().copied();
    match operator {
        Operator::Sum if format.is_some() => oracle::sum(dtype, &bytes).quotient(1, dtype),
        Operator::Mean => oracle::sum(dtype, &bytes).quotient(column.len() as u64, dtype),
        Operator::Prod if format.is_some() => {
            oracle::product_bits(&Data::new(dtype, &bytes), false, dtype)
        }
        Operator::Sum => all.fold(0, u64::wrapping_add) & mask(dtype),
        Operator::Prod => all.fold(1, u64::wrapping_mul) & mask(dtype),
        Operator::Min | Operator::MinLoc | Operator::Max | Operator::MaxLoc => {
            let indexed: Vec<(u64, u64)> = all.map(|bits| (bits, 0)).collect();
            located(operator, dtype, &indexed).0
        }
        Operator::LogicalAnd => truth(truths.count() == column.len()),
        Operator::LogicalOr => truth(truths.count() > 0),
        Operator::LogicalXor => truth(truths.count() % 2 == 1),
        Operator::BitAnd => all.fold(mask(dtype), |a, b| a & b),
        Operator::BitOr => all.fold(0, |a, b| a | b),
        Operator::BitXor => all.fold(0, |a, b| a ^ b),
    }
}

/// The extreme of one column whose elements have indices.
pub fn located(operator: Operator, dtype: DType, column: &[(u64, u64)]) -> (u64, u64) {
    let largest = matches!(operator, Operator::Max | Operator::MaxLoc);
    let nan = column.iter().filter(|(bits, _)| is_nan(dtype, *bits)).map(|(_, index)| *index);
    if let Some(index) = nan.min() {
        return (Format::of(dtype).expect("a float").quiet_nan(), index);
    }
    let order = |&&(bits, index): &&(u64, u64)| {
        let key = oracle::key(dtype, bits);
        (if largest { u64::MAX - key } else { key }, index)
    };
    *column.iter().min_by_key(order).expect("a rank")
}
