//! Finished results: a number, its type and its bits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of a reduction in its output type.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Value {
    /// IEEE 754 binary32.
    F32(f32),
    /// IEEE 754 binary64.
    F64(f64),
    /// A signed integer of 64 bits.
    I64(i64),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A sum of signed integers that 64 bits cannot hold.
    I128(i128),
    /// A sum of unsigned integers that 64 bits cannot hold.
    U128(u128),
}

impl Value {
    /// NumPy's name of the type, or `int128` and `uint128`, which NumPy lacks.
    pub fn dtype_name(&self) -> &'static str {
        match self {
            Value::F32(_) => "float32",
            Value::F64(_) => "float64",
            Value::I64(_) => "int64",
            Value::U64(_) => "uint64",
            Value::I128(_) => "int128",
            Value::U128(_) => "uint128",
        }
    }

    /// The bits of the value as `0x` and the full width of its type in
    /// hexadecimal digits.
    pub fn bits(&self) -> String {
        match self {
            Value::F32(value) => format!("{:#010x}", value.to_bits()),
            Value::F64(value) => format!("{:#018x}", value.to_bits()),
            Value::I64(value) => format!("{value:#018x}"),
            Value::U64(value) => format!("{value:#018x}"),
            Value::I128(value) => format!("{value:#034x}"),
            Value::U128(value) => format!("{value:#034x}"),
        }
    }

    /// Whether the value is an integer that 64 bits of its sign cannot hold.
    pub fn exceeds_64_bits(&self) -> bool {
        matches!(self, Value::I128(_) | Value::U128(_))
    }
}

impl PartialEq for Value {
    /// Equality of type and bits: NaN equals itself, and -0 is not +0.
    fn eq(&self, other: &Value) -> bool {
        self.dtype_name() == other.dtype_name() && self.bits() == other.bits()
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    /// The shortest decimal digits that read back to the same bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::F32(value) => write_float(f, f64::from(*value), &format!("{value:?}")),
            Value::F64(value) => write_float(f, *value, &format!("{value:?}")),
            Value::I64(value) => write!(f, "{value}"),
            Value::U64(value) => write!(f, "{value}"),
            Value::I128(value) => write!(f, "{value}"),
            Value::U128(value) => write!(f, "{value}"),
        }
    }
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64, shortest: &str) -> fmt::Result {
    if value.is_nan() {
        f.write_str("nan")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { "inf" } else { "-inf" })
    } else {
        f.write_str(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_the_full_width_of_their_type() {
        assert_eq!(Value::F32(1.0).bits(), "0x3f800000");
        assert_eq!(Value::F64(-0.0).bits(), "0x8000000000000000");
        assert_eq!(Value::I64(-1).bits(), "0xffffffffffffffff");
        assert_eq!(Value::U64(1).bits(), "0x0000000000000001");
        assert_eq!(Value::I128(-1).bits(), format!("0x{}", "f".repeat(32)));
    }

    #[test]
    fn text_reads_back_to_the_same_bits() {
        for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 13.0] {
            let text = Value::F64(value).to_string();
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{text}");
        }
        assert_eq!(Value::F64(f64::NAN).to_string(), "nan");
        assert_eq!(Value::F32(f32::NEG_INFINITY).to_string(), "-inf");
    }
}
