//! Small arrays full of hard values, and their sums by an oracle that shares
//! no code with the library: big integers, and the standard library's parser
//! for the one rounding.

use std::sync::Arc;

use adsum::backend::reference;
use adsum::manifest::{Entry, Manifest, imaginary_file};
use adsum::{ByteOrder, DType, Partial, Spec};
use num_bigint::BigInt;

use crate::chance::Chance;

/// A data set, its manifest, and what its sum must be.
#[derive(Debug)]
pub struct Data {
    pub spec: Spec,
    pub manifest: Arc<Manifest>,
    /// The bytes of each file.
    files: Vec<Vec<u8>>,
    pub expected: Expected,
}

/// What the oracle says.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub elements: u64,
    /// The bits of the sum as the library prints them.
    pub bits: String,
}

impl Data {
    /// `files` files of up to `entries_max` entries of up to three elements.
    pub fn random(chance: &mut Chance, dtype: DType, files: usize, entries_max: u64) -> Data {
        let elements_per_entry = chance.number(1..=3);
        let name = chance.word();
        let lengths: Vec<u64> =
            (0..files).map(|_| chance.number(0..=entries_max * elements_per_entry)).collect();
        let tame = chance.per_mille(500);
        let files = lengths
            .iter()
            .map(|&length| (0..length).flat_map(|_| element(chance, dtype, tame)).collect())
            .collect();
        Data::new(dtype, name, elements_per_entry, files)
    }

    /// One element per entry: the bytes 0, 1, 2, ... over and over.
    pub fn counting(files: usize, entries_per_file: usize) -> Data {
        let file: Vec<u8> = (0..entries_per_file).map(|index| index as u8).collect();
        Data::new(DType::U8, 0, 1, vec![file; files])
    }

    fn new(dtype: DType, name: u64, elements_per_entry: u64, files: Vec<Vec<u8>>) -> Data {
        let size = dtype.size_bytes();
        let listed = files.iter().enumerate().map(|(index, bytes)| {
            imaginary_file(&format!("{name:x}/{index}.npy"), dtype, (bytes.len() / size) as u64)
        });
        let manifest =
            Manifest::with_entry_bytes(listed.collect(), elements_per_entry * size as u64)
                .expect("files of a data set");
        let expected = oracle(dtype, &files.concat());
        Data { spec: Spec::sum(dtype), manifest: Arc::new(manifest), files, expected }
    }

    /// The partial of an entry; with `elements` fewer at its end it is a lie.
    pub fn reduce(&self, entry: &Entry, fewer: u64) -> Partial {
        let size = self.spec.dtype.size_bytes();
        let end = entry.elements.end - fewer;
        let bytes = entry.elements.start as usize * size..end as usize * size;
        reference::reduce_line(
            &self.spec,
            ByteOrder::NATIVE,
            &self.files[entry.file as usize][bytes],
        )
    }
}

/// The bytes of one element: cancelling, tiny, huge; now and then special.
fn element(chance: &mut Chance, dtype: DType, tame: bool) -> Vec<u8> {
    let sign = |chance: &mut Chance| chance.word() << 63;
    match dtype {
        DType::F64 => {
            let magnitude = match chance.index(if tame { 6 } else { 40 }) {
                0 => 0.0_f64.to_bits(),
                1 => f64::MAX.to_bits(),
                2 => chance.number(1..=9),
                3 => 1.0_f64.to_bits() + chance.number(0..=1),
                36 => f64::INFINITY.to_bits(),
                37 => f64::NAN.to_bits(),
                _ => chance.number(0..=f64::MAX.to_bits()),
            };
            (magnitude | sign(chance)).to_ne_bytes().to_vec()
        }
        DType::F32 => {
            let magnitude = match chance.index(if tame { 6 } else { 40 }) {
                0 => 0.0_f32.to_bits(),
                1 => f32::MAX.to_bits(),
                2 => chance.number(1..=9) as u32,
                3 => 1.0_f32.to_bits() + chance.number(0..=1) as u32,
                36 => f32::INFINITY.to_bits(),
                37 => f32::NAN.to_bits(),
                _ => chance.number(0..=u64::from(f32::MAX.to_bits())) as u32,
            };
            (magnitude | (sign(chance) >> 32) as u32).to_ne_bytes().to_vec()
        }
        DType::I64 => {
            let value = match chance.index(4) {
                0 => i64::MIN,
                1 => i64::MAX,
                2 => chance.number(0..=9) as i64 - 5,
                _ => chance.word() as i64,
            };
            value.to_ne_bytes().to_vec()
        }
        _ => vec![chance.word() as u8; dtype.size_bytes()],
    }
}

fn oracle(dtype: DType, bytes: &[u8]) -> Expected {
    let elements = (bytes.len() / dtype.size_bytes()) as u64;
    let bits = match dtype {
        DType::F64 => {
            let values = bytes.as_chunks().0.iter().map(|value| f64::from_ne_bytes(*value));
            let sum = match float_sum(values) {
                FloatSum::NaN => f64::from_bits(0x7ff8_0000_0000_0000),
                FloatSum::Infinite(infinity) => infinity,
                FloatSum::Digits(digits) => digits.parse().expect("decimal digits"),
            };
            format!("{:#018x}", sum.to_bits())
        }
        DType::F32 => {
            let values = bytes.as_chunks().0.iter().map(|value| f32::from_ne_bytes(*value));
            let sum = match float_sum(values.map(f64::from)) {
                FloatSum::NaN => f32::from_bits(0x7fc0_0000),
                FloatSum::Infinite(infinity) => infinity as f32,
                FloatSum::Digits(digits) => digits.parse().expect("decimal digits"),
            };
            format!("{:#010x}", sum.to_bits())
        }
        DType::I64 => {
            let values = bytes.as_chunks().0.iter().map(|value| i64::from_ne_bytes(*value));
            let sum: BigInt = values.map(BigInt::from).sum();
            match i64::try_from(&sum) {
                Ok(sum) => format!("{sum:#018x}"),
                Err(_) => format!("{:#034x}", i128::try_from(&sum).expect("few elements")),
            }
        }
        DType::U8 => format!("{:#018x}", bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>()),
        other => panic!("the oracle does not know {other}"),
    };
    Expected { elements, bits }
}

/// An exact sum of floats.
enum FloatSum {
    NaN,
    Infinite(f64),
    /// All decimal digits of a finite sum.
    Digits(String),
}

fn float_sum(values: impl Iterator<Item = f64>) -> FloatSum {
    // In units of 2^-1074: an f64 is an integer there.
    let mut sum = BigInt::from(0);
    let (mut nan, mut infinite) = (false, Vec::new());
    for value in values {
        nan |= value.is_nan();
        if value.is_infinite() {
            infinite.push(value);
        } else if !value.is_nan() {
            let exponent = (value.to_bits() >> 52 & 0x7ff) as u32;
            let fraction = value.to_bits() & ((1 << 52) - 1);
            let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
            let magnitude = BigInt::from(significand) << exponent.saturating_sub(1);
            sum += if value.is_sign_negative() { -magnitude } else { magnitude };
        }
    }
    if nan || infinite.windows(2).any(|pair| pair[0] != pair[1]) {
        FloatSum::NaN
    } else if let Some(&infinity) = infinite.first() {
        FloatSum::Infinite(infinity)
    } else {
        // n / 2^1074 = n * 5^1074 / 10^1074, and zero has no sign here.
        FloatSum::Digits(format!("{}e-1074", sum * BigInt::from(5).pow(1074)))
    }
}
