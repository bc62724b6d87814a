//! Equal elements fill one bin as fast as can be: it must be emptied before it
//! overflows. On processors with vectors they never come to a bin, so lines are made
//! here as on one without.

use super::*;
use crate::backend::Place;
use crate::backend::cpu::simd::without_floats;

const TERMS: [Term; 4] = [Term::Value, Term::Magnitude, Term::Square, Term::Product];

/// Numbers with all fraction bits set: of both signs, near the largest, subnormal.
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

/// The sum of so many equal elements, by doubling.
fn repeated(dtype: DType, term: Term, bits: u64, mut elements: u64) -> Sum {
    let mut power = Sum::lift(dtype, term, bits, bits);
    let mut total = Sum::identity(dtype, term);
    while elements > 0 {
        if elements & 1 == 1 {
            total.merge(&power).expect("one kind");
        }
        power.merge(&power.clone()).expect("one kind");
        elements /= 2;
    }
    total
}

fn check(dtype: DType, term: Term, bits: u64, elements: usize) {
    let bytes = bits.to_le_bytes()[..dtype.size_bytes()].repeat(elements);
    let monoid = Monoid::Sum(term);
    let mut state = State::identity(&monoid, dtype);
    let mut line = without_floats(|| line(&monoid, dtype));
    let place = Place::line(elements, 0);
    let (bytes, second) = (&bytes[..], Some(&bytes[..]));
    line.add(&Stretch { dtype, bytes, second, place, start: 0 }, &mut state);
    line.settle(&mut state);
    let expected = repeated(dtype, term, bits, elements as u64);
    assert_eq!(state, State::Sum(expected), "{elements} times {bits:#x} {dtype} {term:?}");
}

#[test]
fn equal_floats_never_overflow_a_bin() {
    // Narrow bins are emptied after 2^15 additions in each of 4 replicas, those of
    // products of float64 after 2^21 in as many.
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        for (bits, term) in full(dtype).into_iter().flat_map(|bits| TERMS.map(|term| (bits, term)))
        {
            for elements in [(1 << 17) - 1, (1 << 17) + 1] {
                check(dtype, term, bits, elements);
            }
        }
        for term in TERMS {
            check(dtype, term, full(dtype)[2], (1 << 23) + 5);
        }
    }
}
