//! Files that NumPy wrote, against totals that Python's integers computed.
//!
//! The totals are taken again here with big integers, from the bytes that the
//! sources give and the layout that they report: no code in common with the
//! exact sums of this crate.

use std::path::{Path, PathBuf};

use adsum::dtype::{ByteOrder, DType, Layout};
use adsum::shard::Shard;
use adsum::source::{Options, Stream};
use num_bigint::BigInt;
use serde_json::Value;

use crate::fixture::{WAYS, contents, error_of, open_with};

/// A fraction's denominator: no float64 has a smaller unit than 2^-1074.
const UNIT_EXPONENT: u32 = 1074;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn totals() -> Vec<Value> {
    let text = std::fs::read_to_string(data("totals.json")).unwrap();
    let Value::Array(totals) = serde_json::from_str(&text).unwrap() else {
        panic!("totals.json is no list");
    };
    totals
}

#[test]
fn files_from_numpy_have_their_recorded_totals() {
    let totals = totals();
    assert_eq!(totals.len(), 39);
    for total in &totals {
        let name = total["file"].as_str().unwrap();
        for entry_bytes in [None, Some(40)] {
            let options = Options { entry_bytes, raw: None };
            let opened = open_with(&[data(name)], &options).unwrap();
            assert_eq!(opened.manifest.elements(), total["elements"].as_u64().unwrap(), "{name}");
            assert_eq!(opened.manifest.dtype().name(), total["dtype"], "{name}");
            assert_eq!(opened.warnings, [""; 0], "{name}");
            // One entry each time is enough for the only large file.
            if entry_bytes.is_some() && opened.manifest.bytes() > 10_000 {
                continue;
            }
            for access in WAYS {
                let bytes = contents(&opened.manifest, access).unwrap();
                check(total, &bytes, opened.manifest.files()[0].layout);
            }
        }
    }
}

#[test]
fn streams_from_numpy_have_their_recorded_totals() {
    for total in &totals() {
        let file = std::fs::File::open(data(total["file"].as_str().unwrap())).unwrap();
        let mut stream = Stream::open(file, &Options::default(), "-").unwrap();
        let mut bytes = Vec::new();
        while let Some(shard) = stream.next_shard(100_000).unwrap() {
            bytes.extend_from_slice(shard.read(0..shard.elements(), &mut Vec::new()).unwrap());
        }
        assert_eq!(stream.elements_expected(), total["elements"].as_u64());
        check(total, &bytes, stream.layout());
    }
}

#[test]
fn element_types_of_numpy_that_are_not_read_are_refused() {
    for (name, words) in [
        ("longdouble", "holds long double ('<f16')"),
        ("complex128", "holds complex numbers ('<c16')"),
        ("bytes", "holds text ('|S2')"),
        ("str", "holds text ('<U2')"),
        ("datetime64", "holds datetime64 ('<M8[ns]')"),
        ("timedelta64", "holds timedelta64 ('<m8[s]')"),
        ("void", "holds nameless 2-byte elements ('|V2')"),
        ("record", "holds records ('[...]')"),
    ] {
        let message = error_of(&data(&format!("refused_{name}.npy")), &Options::default());
        assert!(message.contains(words), "{name}: {message}");
    }
}

/// Compares the total of `bytes` with the recorded one.
fn check(total: &Value, bytes: &[u8], layout: Layout) {
    let mut sum = Some(BigInt::ZERO);
    for element in bytes.chunks_exact(layout.dtype.size_bytes()) {
        sum = sum.zip(units(element, layout)).map(|(sum, units)| sum + units);
    }
    let part = |key: &str| total[key].as_str().map(|digits| digits.parse::<BigInt>().unwrap());
    let expected = part("numerator")
        .map(|numerator| (numerator << UNIT_EXPONENT) / part("denominator").unwrap());
    assert_eq!(sum, expected, "{total}");
}

/// An element as a multiple of 2^-1074; none for infinities and NaN.
fn units(element: &[u8], layout: Layout) -> Option<BigInt> {
    let mut bytes = element.to_vec();
    if layout.byte_order == ByteOrder::Big {
        bytes.reverse();
    }
    let negative = bytes.last().is_some_and(|top| top & 0x80 != 0);
    bytes.resize(8, 0);
    let bits = u64::from_le_bytes(bytes.try_into().unwrap());
    let (fraction_bits, exponent_bits) = match layout.dtype {
        DType::F32 => (23, 8),
        DType::F64 => (52, 11),
        signed if signed.is_signed() && negative => {
            let modulus = BigInt::from(1) << (8 * element.len());
            return Some((BigInt::from(bits) - modulus) << UNIT_EXPONENT);
        }
        _ => return Some(BigInt::from(bits) << UNIT_EXPONENT),
    };
    let exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    let fraction = bits & ((1 << fraction_bits) - 1);
    if exponent == (1 << exponent_bits) - 1 {
        return None;
    }
    let significand = if exponent == 0 { fraction } else { fraction | 1 << fraction_bits };
    // The unit of the smallest exponent is 2^-149 for float32.
    let unit = if layout.dtype == DType::F32 { UNIT_EXPONENT - 149 } else { 0 };
    let magnitude = BigInt::from(significand) << (u64::from(unit) + exponent.max(1) - 1);
    Some(if negative { -magnitude } else { magnitude })
}
