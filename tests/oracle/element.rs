//! What the bits of an element mean.

use adsum::DType;

/// A binary floating-point format.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub exponent_bits: u32,
    pub fraction_bits: u32,
}

impl Format {
    pub fn of(dtype: DType) -> Option<Format> {
        let (exponent_bits, fraction_bits) = match dtype {
            DType::F16 => (5, 10),
            DType::BF16 => (8, 7),
            DType::F32 => (8, 23),
            DType::F64 => (11, 52),
            _ => return None,
        };
        Some(Format { exponent_bits, fraction_bits })
    }

    pub fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    pub fn sign(self) -> u64 {
        1 << (self.exponent_bits + self.fraction_bits)
    }

    pub fn quiet_nan(self) -> u64 {
        self.infinity() | 1 << (self.fraction_bits - 1)
    }

    /// Exponent of the smallest subnormal.
    pub fn least(self) -> i32 {
        2 - (1 << (self.exponent_bits - 1)) - self.fraction_bits as i32
    }
}

/// An element: of integers always a finite one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Nan,
    Infinite {
        negative: bool,
    },
    /// `magnitude * 2^exponent` with the sign bit beside it.
    Finite {
        negative: bool,
        magnitude: u128,
        exponent: i32,
    },
}

/// The elements of little-endian bytes, widened with zeros.
pub fn bits_of(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = u64> {
    let size = dtype.size_bytes();
    assert_eq!(bytes.len() % size, 0, "whole elements");
    bytes.chunks_exact(size).map(move |element| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(element);
        u64::from_le_bytes(wide)
    })
}

/// The numbers that little-endian bytes are.
pub fn numbers(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = Number> {
    bits_of(dtype, bytes).map(move |bits| number(dtype, bits))
}

pub fn number(dtype: DType, bits: u64) -> Number {
    let Some(format) = Format::of(dtype) else {
        let value = integer(dtype, bits);
        let (negative, magnitude) = (value < 0, value.unsigned_abs());
        return Number::Finite { negative, magnitude, exponent: 0 };
    };
    let fraction = bits % (1 << format.fraction_bits);
    let exponent = (bits >> format.fraction_bits) % (1 << format.exponent_bits);
    let negative = bits >= format.sign();
    if exponent == (1 << format.exponent_bits) - 1 {
        return if fraction == 0 { Number::Infinite { negative } } else { Number::Nan };
    }
    let (implicit, above) = match exponent {
        0 => (0, 0),
        _ => (1 << format.fraction_bits, exponent as i32 - 1),
    };
    let magnitude = u128::from(fraction + implicit);
    Number::Finite { negative, magnitude, exponent: format.least() + above }
}

/// The value of an integer or bool.
pub fn integer(dtype: DType, bits: u64) -> i128 {
    match dtype {
        DType::Bool => (bits != 0).into(),
        DType::I8 => (bits as i8).into(),
        DType::I16 => (bits as i16).into(),
        DType::I32 => (bits as i32).into(),
        DType::I64 => (bits as i64).into(),
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => bits.into(),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => panic!("{dtype} is no integer"),
    }
}

/// The value of a float as hardware and the `half` crate see it.
pub fn float(dtype: DType, bits: u64) -> f64 {
    match dtype {
        DType::F16 => half::f16::from_bits(bits as u16).to_f64(),
        DType::BF16 => half::bf16::from_bits(bits as u16).to_f64(),
        DType::F32 => f32::from_bits(bits as u32).into(),
        DType::F64 => f64::from_bits(bits),
        _ => panic!("{dtype} is no float"),
    }
}
