//! Equal elements fill one counter as fast as can be: it must be emptied
//! before it overflows. An early version of the float64 bins was emptied one
//! addition too late. (Bins alone: `src/backend/cpu/line/tests.rs`.)

use adsum::{DType, Monoid, Spec, Term};

use super::oracle::{self, Data};
use super::{check, reduce};

const TERMS: [Term; 4] = [Term::Value, Term::Magnitude, Term::Square, Term::Product];

/// Checks all sums of `elements` equal elements.
#[track_caller]
fn check_sums(dtype: DType, bits: u64, elements: usize) {
    let bytes = bits.to_le_bytes()[..dtype.size_bytes()].repeat(elements);
    for term in TERMS {
        let spec = Spec::of(dtype, Monoid::Sum(term));
        let expected = oracle::partial(&spec, &Data::new(dtype, &bytes).with_second(&bytes));
        let what = format!("{elements} times {bits:#x} {dtype} {term:?}");
        check(&reduce(&spec, &bytes, &bytes), &expected, &what);
    }
}

/// Numbers with all fraction bits set: of both signs, near one, near the
/// largest, and subnormal.
fn full(dtype: DType) -> [u64; 4] {
    match dtype {
        DType::F16 => [0x3bff, 0xbbff, 0xfbff, 0x83ff],
        DType::BF16 => [0x3f7f, 0xbf7f, 0xff7f, 0x807f],
        DType::F32 => [0x3f7f_ffff, 0xbf7f_ffff, 0xff7f_ffff, 0x807f_ffff],
        _ => [
            0x3fef_ffff_ffff_ffff,
            0xbfef_ffff_ffff_ffff,
            0xffef_ffff_ffff_ffff,
            0x800f_ffff_ffff_ffff,
        ],
    }
}

#[test]
fn equal_floats_never_overflow_whatever_adds_them() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        for bits in full(dtype) {
            for elements in [(1 << 17) - 1, (1 << 17) + 1] {
                check_sums(dtype, bits, elements);
            }
        }
        for elements in [(1 << 22) + 1, (1 << 23) + 5] {
            check_sums(dtype, full(dtype)[2], elements);
        }
    }
}

#[test]
fn equal_integers_never_overflow_a_counter() {
    for dtype in DType::ALL.into_iter().filter(|dtype| !dtype.is_float()) {
        let ones = u64::MAX >> (64 - 8 * dtype.size_bytes());
        let extremes = if dtype.is_signed() { [ones >> 1, (ones >> 1) + 1] } else { [ones, 1] };
        for bits in extremes {
            for elements in [(1 << 15) + 1, (1 << 20) + 1, (1 << 21) + 3] {
                check_sums(dtype, bits, elements);
            }
        }
    }
}

/// Words of 8 bits count up to 255, those of 16 up to 65,535.
#[test]
fn counts_never_overflow_a_word() {
    for dtype in DType::ALL {
        let bins = super::data_kinds::all_monoids(dtype)
            .into_iter()
            .filter(|monoid| matches!(monoid, Monoid::Bins(_)));
        let monoids = [Monoid::Tally, Monoid::Product, Monoid::Bits].into_iter().chain(bins);
        let monoids: Vec<Monoid> = monoids.filter(|monoid| monoid.takes(dtype)).collect();
        let ones = u64::MAX >> (64 - 8 * dtype.size_bytes());
        for bits in [ones, 1, 0] {
            for elements in [255, 256, 257, 65_535, 65_536, 65_537, 131_073] {
                let bytes = bits.to_le_bytes()[..dtype.size_bytes()].repeat(elements);
                for monoid in &monoids {
                    let spec = Spec::of(dtype, monoid.clone());
                    let expected = oracle::partial(&spec, &Data::new(dtype, &bytes));
                    let what = format!("{elements} times {bits:#x} {spec:?}");
                    check(&reduce(&spec, &bytes, &bytes), &expected, &what);
                }
            }
        }
    }
}
