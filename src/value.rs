//! Finished results: a number, its type and its bits.

use std::fmt;

use num_bigint::BigUint;

use crate::dtype::DType;

/// The result of a reduction in its output type.
///
/// Equality is that of type and bits: NaN equals itself, and -0 is not +0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    kind: ValueType,
    /// Two's complement, the lowest limb first; zeros above the type's width.
    limbs: [u64; 3],
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ValueType {
    /// An element type.
    Element(DType),
    /// An integer that 64 bits cannot hold, of 128 or 192 bits.
    Wide { signed: bool, bits: u32 },
}

impl Value {
    /// A value of an element type by its bits, of which those above the type's
    /// width are ignored.
    pub fn of(dtype: DType, bits: u64) -> Value {
        let bits = bits & u64::MAX >> (64 - 8 * dtype.size_bytes());
        Value { kind: ValueType::Element(dtype), limbs: [bits, 0, 0] }
    }

    /// A float64.
    pub fn float64(value: f64) -> Value {
        Value::of(DType::F64, value.to_bits())
    }

    /// An int64.
    pub fn int64(value: i64) -> Value {
        Value::of(DType::I64, value as u64)
    }

    /// An integer by its sign and magnitude: `dtype` if it fits, else 128 or
    /// 192 bits of the same signedness.
    ///
    /// # Panics
    /// If the magnitude is past 192 bits, or negative of an unsigned type.
    pub fn integer(dtype: DType, negative: bool, magnitude: &[u64]) -> Value {
        let mut limbs = [0; 3];
        for (index, &limb) in magnitude.iter().enumerate() {
            match limbs.get_mut(index) {
                Some(slot) => *slot = limb,
                None => assert_eq!(limb, 0, "an integer past 192 bits"),
            }
        }
        assert!(dtype.is_signed() || !negative, "a negative number of an unsigned type");
        let highest = limbs.iter().rposition(|&limb| limb != 0).unwrap_or(0);
        let mut used = 64 * highest as u32 + 64 - limbs[highest].leading_zeros();
        if dtype.is_signed() {
            // The most negative number of a width has one bit more than others.
            let single = limbs.iter().map(|limb| limb.count_ones()).sum::<u32>() == 1;
            used += u32::from(!(negative && single));
        }
        if negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        if used <= 8 * dtype.size_bytes() as u32 {
            return Value::of(dtype, limbs[0]);
        }
        let bits = if used <= 128 { 128 } else { 192 };
        limbs[2] = if bits == 128 { 0 } else { limbs[2] };
        Value { kind: ValueType::Wide { signed: dtype.is_signed(), bits }, limbs }
    }

    /// NumPy's name of the type, or `int128`, `uint128`, `int192` and
    /// `uint192`, which NumPy lacks.
    pub fn dtype_name(&self) -> String {
        match self.kind {
            ValueType::Element(dtype) => dtype.name().to_owned(),
            ValueType::Wide { signed: true, bits } => format!("int{bits}"),
            ValueType::Wide { signed: false, bits } => format!("uint{bits}"),
        }
    }

    /// The element type, unless the value is too wide for any.
    pub fn dtype(&self) -> Option<DType> {
        match self.kind {
            ValueType::Element(dtype) => Some(dtype),
            ValueType::Wide { .. } => None,
        }
    }

    /// The bits of the value as `0x` and the full width of its type in
    /// hexadecimal digits.
    pub fn bits(&self) -> String {
        let digits = match self.kind {
            ValueType::Element(dtype) => 2 * dtype.size_bytes(),
            ValueType::Wide { bits, .. } => bits as usize / 4,
        };
        let [low, middle, high] = self.limbs;
        let all = format!("{high:016x}{middle:016x}{low:016x}");
        format!("0x{}", &all[all.len() - digits..])
    }

    /// The little-endian bytes of a value of an element type; of a wider one
    /// the lowest eight.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        let size = self.dtype().map_or(8, DType::size_bytes);
        self.limbs[0].to_le_bytes()[..size].to_vec()
    }

    /// The lowest bits of an integer, as a value of `dtype`.
    pub fn wrapped(&self, dtype: DType) -> Value {
        Value::of(dtype, self.limbs[0])
    }

    /// Whether the value is an integer that 64 bits of its sign cannot hold.
    pub fn exceeds_64_bits(&self) -> bool {
        matches!(self.kind, ValueType::Wide { .. })
    }

    /// The value as a float64, exactly, if it is a float.
    pub fn as_f64(&self) -> Option<f64> {
        let bits = self.limbs[0];
        match self.dtype()? {
            DType::F64 => Some(f64::from_bits(bits)),
            DType::F32 => Some(f64::from(f32::from_bits(bits as u32))),
            DType::BF16 => Some(f64::from(f32::from_bits((bits as u32) << 16))),
            DType::F16 => Some(half::f16::from_bits(bits as u16).to_f64()),
            _ => None,
        }
    }

    /// The value as an integer, if it is one that 64 bits hold.
    pub fn as_i128(&self) -> Option<i128> {
        let dtype = self.dtype().filter(|dtype| !dtype.is_float())?;
        let unused = 64 - 8 * dtype.size_bytes() as u32;
        Some(match dtype.is_signed() {
            true => i128::from((self.limbs[0] << unused) as i64 >> unused),
            false => i128::from(self.limbs[0]),
        })
    }
}

impl fmt::Display for Value {
    /// The shortest decimal digits that read back to the same bits; NumPy's
    /// words for bools.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(value) = self.as_f64() {
            return match value {
                _ if value.is_nan() => f.write_str("nan"),
                _ if value.is_infinite() => f.write_str(if value > 0.0 { "inf" } else { "-inf" }),
                _ => f.write_str(&self.shortest(value)),
            };
        }
        match (self.kind, self.as_i128()) {
            (ValueType::Element(DType::Bool), Some(value)) => {
                f.write_str(if value != 0 { "True" } else { "False" })
            }
            (_, Some(value)) => write!(f, "{value}"),
            (ValueType::Wide { signed, bits }, _) => self.fmt_wide(f, signed, bits),
            (ValueType::Element(_), None) => unreachable!("elements are floats or fit"),
        }
    }
}

impl Value {
    fn shortest(&self, value: f64) -> String {
        let read_back: fn(f64) -> f64 = match self.dtype() {
            Some(DType::F32) => return format!("{:?}", value as f32),
            Some(DType::F16) => |value| half::f16::from_f64(value).to_f64(),
            Some(DType::BF16) => |value| half::bf16::from_f64(value).to_f64(),
            _ => return format!("{value:?}"),
        };
        // Five digits tell any two 16-bit floats apart.
        let rounded = |digits: usize| format!("{value:.digits$e}").parse::<f64>().ok();
        let shortest = (0..5).filter_map(rounded).find(|&short| read_back(short) == value);
        format!("{:?}", shortest.unwrap_or(value))
    }

    fn fmt_wide(&self, f: &mut fmt::Formatter<'_>, signed: bool, bits: u32) -> fmt::Result {
        let top = self.limbs[bits as usize / 64 - 1];
        let digits = self.limbs.iter().flat_map(|&limb| [limb as u32, (limb >> 32) as u32]);
        let number = BigUint::new(digits.collect());
        match signed && top >> 63 != 0 {
            true => write!(f, "-{}", (BigUint::from(1_u32) << bits) - number),
            false => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_the_full_width_of_their_type() {
        assert_eq!(Value::of(DType::F32, 0x3f80_0000).bits(), "0x3f800000");
        assert_eq!(Value::float64(-0.0).bits(), "0x8000000000000000");
        assert_eq!(Value::int64(-1).bits(), "0xffffffffffffffff");
        assert_eq!(Value::of(DType::U64, 1).bits(), "0x0000000000000001");
        assert_eq!(Value::of(DType::Bool, 1).bits(), "0x01");
        let wide = Value::integer(DType::I64, true, &[0, 1]);
        assert_eq!(wide.bits(), format!("0x{}{}", "f".repeat(16), "0".repeat(16)));
        assert_eq!(
            (wide.to_string(), wide.dtype_name()),
            ("-18446744073709551616".into(), "int128".into())
        );
    }

    #[test]
    fn integers_are_no_wider_than_they_must() {
        let name =
            |dtype, negative, limbs: &[u64]| Value::integer(dtype, negative, limbs).dtype_name();
        assert_eq!(name(DType::I64, true, &[1 << 63]), "int64");
        assert_eq!(name(DType::I64, false, &[1 << 63]), "int128");
        assert_eq!(name(DType::I64, false, &[0]), "int64");
        assert_eq!(name(DType::U64, false, &[u64::MAX, 0, 0]), "uint64");
        assert_eq!(name(DType::U64, false, &[0, 1]), "uint128");
        assert_eq!(name(DType::I64, true, &[0, 1 << 63]), "int128");
        assert_eq!(name(DType::I64, false, &[0, 1 << 63]), "int192");
        let square = Value::integer(DType::U64, false, &[0, 0, 1]);
        assert_eq!(
            (square.to_string(), square.dtype_name()),
            ("340282366920938463463374607431768211456".into(), "uint192".into())
        );
    }

    #[test]
    fn text_reads_back_to_the_same_bits() {
        for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 13.0] {
            let text = Value::float64(value).to_string();
            assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{text}");
        }
        assert_eq!(Value::float64(f64::NAN).to_string(), "nan");
        assert_eq!(Value::of(DType::F32, 0xff80_0000).to_string(), "-inf");
        assert_eq!(Value::of(DType::F16, 0x2e66).to_string(), "0.1");
        assert_eq!(Value::of(DType::F16, 0x7bff).to_string(), "65500.0");
        assert_eq!(Value::of(DType::BF16, 0x3dcd).to_string(), "0.1");
        assert_eq!(Value::of(DType::Bool, 1).to_string(), "True");
        assert_eq!(Value::of(DType::I8, 0xff).to_string(), "-1");
    }

    #[test]
    fn every_16_bit_float_reads_back() {
        for bits in 0..=u16::MAX {
            let value = half::f16::from_bits(bits);
            let text = Value::of(DType::F16, bits.into()).to_string();
            if value.is_finite() {
                let read = half::f16::from_f64(text.parse().expect("a number"));
                assert_eq!(read.to_bits(), bits, "{text}");
            }
        }
    }
}
