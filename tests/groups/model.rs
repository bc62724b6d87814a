//! What calls give, computed in one place from the arrays of all ranks.

use adsum::DType;
use adsum::communicator::Operator;

use crate::oracle;

/// The sums of the arrays of some ranks, element by element: exact, rounded once.
pub fn sums_f32(all: &[Vec<f32>]) -> Vec<u32> {
    (0..all[0].len())
        .map(|place| {
            let bytes: Vec<u8> = all.iter().flat_map(|one| one[place].to_le_bytes()).collect();
            oracle::sum_bits_f32(&bytes)
        })
        .collect()
}

pub fn sums_f64(all: &[Vec<f64>]) -> Vec<u64> {
    (0..all[0].len())
        .map(|place| {
            let bytes: Vec<u8> = all.iter().flat_map(|one| one[place].to_le_bytes()).collect();
            oracle::sum_bits_f64(&bytes)
        })
        .collect()
}

/// The mean, as the oracle rounds a quotient.
pub fn means_f64(all: &[Vec<f64>]) -> Vec<u64> {
    (0..all[0].len())
        .map(|place| {
            let bytes: Vec<u8> = all.iter().flat_map(|one| one[place].to_le_bytes()).collect();
            oracle::sum(DType::F64, &bytes).quotient(all.len() as u64, DType::F64)
        })
        .collect()
}

pub fn bits32(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

pub fn bits64(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The fold of integers.
pub fn integers(operator: Operator, all: &[Vec<i64>]) -> Vec<i64> {
    let two = |a: i64, b: i64| match operator {
        Operator::Sum => a.wrapping_add(b),
        Operator::Prod => a.wrapping_mul(b),
        Operator::Min => a.min(b),
        Operator::Max => a.max(b),
        Operator::BitAnd => a & b,
        Operator::BitOr => a | b,
        Operator::BitXor => a ^ b,
        _ => unreachable!("the model has seven operators"),
    };
    let place = |place: usize| all.iter().map(|one| one[place]).reduce(two).expect("a rank");
    (0..all[0].len()).map(place).collect()
}

/// Operators that the model of integers has.
pub const OPERATORS: [Operator; 7] = [
    Operator::Sum,
    Operator::Prod,
    Operator::Min,
    Operator::Max,
    Operator::BitAnd,
    Operator::BitOr,
    Operator::BitXor,
];
