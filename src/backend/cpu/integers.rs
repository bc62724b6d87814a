//! Exact sums of integers: counters wide enough for a block, and 128 bits
//! across blocks. The loops have no dependence that a compiler could not turn
//! into vector code.

use crate::dtype::{ByteOrder, DType};

/// Elements of one block: 2^20 elements of 32 bits sum to less than 2^52, and
/// the 32-bit halves of 64-bit elements likewise.
const BLOCK_ELEMENTS: usize = 1 << 20;

/// The sum of a run of integers or bools.
///
/// # Panics
/// For floats, which have bins.
pub fn sum(dtype: DType, byte_order: ByteOrder, bytes: &[u8]) -> i128 {
    let big = byte_order == ByteOrder::Big;
    match dtype {
        DType::Bool => narrow(bytes, |[byte]: [u8; 1]| i64::from(byte != 0)),
        DType::I8 => narrow(bytes, |b: [u8; 1]| i64::from(i8::from_le_bytes(b))),
        DType::U8 => narrow(bytes, |b: [u8; 1]| i64::from(u8::from_le_bytes(b))),
        DType::I16 if big => narrow(bytes, |b| i64::from(i16::from_be_bytes(b))),
        DType::I16 => narrow(bytes, |b| i64::from(i16::from_le_bytes(b))),
        DType::U16 if big => narrow(bytes, |b| i64::from(u16::from_be_bytes(b))),
        DType::U16 => narrow(bytes, |b| i64::from(u16::from_le_bytes(b))),
        DType::I32 if big => narrow(bytes, |b| i64::from(i32::from_be_bytes(b))),
        DType::I32 => narrow(bytes, |b| i64::from(i32::from_le_bytes(b))),
        DType::U32 if big => narrow(bytes, |b| i64::from(u32::from_be_bytes(b))),
        DType::U32 => narrow(bytes, |b| i64::from(u32::from_le_bytes(b))),
        DType::I64 if big => wide(bytes, u64::from_be_bytes, |high| high as i64 >> 32),
        DType::I64 => wide(bytes, u64::from_le_bytes, |high| high as i64 >> 32),
        DType::U64 if big => wide(bytes, u64::from_be_bytes, |high| (high >> 32) as i64),
        DType::U64 => wide(bytes, u64::from_le_bytes, |high| (high >> 32) as i64),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
            unreachable!("floats are summed in exponent bins")
        }
    }
}

/// The sum of elements of at most 32 bits.
#[inline(always)]
fn narrow<const N: usize>(bytes: &[u8], widen: impl Fn([u8; N]) -> i64) -> i128 {
    let blocks = bytes.chunks(BLOCK_ELEMENTS * N);
    let sums = blocks.map(|block| block.as_chunks().0.iter().map(|&b| widen(b)).sum::<i64>());
    sums.map(i128::from).sum()
}

/// The sum of 64-bit elements, by halves: the low ones unsigned, the high ones
/// as `high_half` reads them, with or without a sign.
#[inline(always)]
fn wide(bytes: &[u8], read: impl Fn([u8; 8]) -> u64, high_half: impl Fn(u64) -> i64) -> i128 {
    let mut total = 0;
    for block in bytes.chunks(BLOCK_ELEMENTS * 8) {
        let (mut low, mut high) = (0_u64, 0_i64);
        for &element in block.as_chunks().0 {
            let bits = read(element);
            low += bits & 0xffff_ffff;
            high += high_half(bits);
        }
        total += i128::from(low) + (i128::from(high) << 32);
    }
    total
}
