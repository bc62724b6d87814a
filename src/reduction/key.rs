//! Order keys: the bits of an element turned into an unsigned integer of the
//! same width whose order is that of the elements.
//!
//! Of floats, -0 comes before +0, and NaN has no key. The idea is old; see for
//! instance M. Herf, "Radix tricks", 2001.

use super::float::FloatFormat;
use crate::dtype::DType;

/// The key of an element, or `None` for NaN. `bits` are those of the element,
/// with zeros above; a bool is 1 for any byte but zero.
#[inline]
pub fn key(dtype: DType, bits: u64) -> Option<u64> {
    let Some(format) = FloatFormat::of(dtype) else {
        return Some(match dtype {
            DType::Bool => u64::from(bits != 0),
            _ if dtype.is_signed() => bits ^ sign(dtype),
            _ => bits,
        });
    };
    match format.is_nan(bits) {
        true => None,
        false if bits & sign(dtype) != 0 => Some(bits ^ mask(dtype)),
        false => Some(bits | sign(dtype)),
    }
}

/// The bits of the element that has this key.
#[inline]
pub fn bits(dtype: DType, key: u64) -> u64 {
    match (dtype.is_float(), dtype.is_signed()) {
        (true, _) if key & sign(dtype) == 0 => key ^ mask(dtype),
        (_, true) => key ^ sign(dtype),
        (_, false) => key,
    }
}

/// The largest key of any element that is not NaN.
pub fn largest(dtype: DType) -> u64 {
    match FloatFormat::of(dtype) {
        Some(format) => format.infinity | format.sign_bit(),
        None if dtype == DType::Bool => 1,
        None => mask(dtype),
    }
}

/// The smallest key of any element that is not NaN.
pub fn smallest(dtype: DType) -> u64 {
    match FloatFormat::of(dtype) {
        Some(format) => (format.infinity | format.sign_bit()) ^ mask(dtype),
        None => 0,
    }
}

const fn sign(dtype: DType) -> u64 {
    1 << (dtype.size_bytes() * 8 - 1)
}

const fn mask(dtype: DType) -> u64 {
    u64::MAX >> (64 - dtype.size_bytes() * 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_floats(a in any::<f64>(), b in any::<f64>()) {
            let order = |x: f64| key(DType::F64, x.to_bits());
            if a.is_nan() || b.is_nan() {
                prop_assert_eq!(order(a).is_none(), a.is_nan());
            } else {
                prop_assert_eq!(order(a).cmp(&order(b)), a.total_cmp(&b));
            }
            let (a, b) = (a as f32, b as f32);
            let order = |x: f32| key(DType::F32, x.to_bits().into());
            if !a.is_nan() && !b.is_nan() {
                prop_assert_eq!(order(a).cmp(&order(b)), a.total_cmp(&b));
            }
        }

        #[test]
        fn keys_are_in_the_order_of_integers(a in any::<i16>(), b in any::<i16>()) {
            let order = |x: i16| key(DType::I16, u64::from(x as u16));
            prop_assert_eq!(order(a).cmp(&order(b)), a.cmp(&b));
        }

        #[test]
        fn a_key_leads_back_to_its_element(
            dtype in prop::sample::select(DType::ALL.to_vec()), word in any::<u64>(),
        ) {
            let element = if dtype == DType::Bool { word & 1 } else { word & mask(dtype) };
            if let Some(key) = key(dtype, element) {
                prop_assert_eq!(bits(dtype, key), element);
                prop_assert!((smallest(dtype)..=largest(dtype)).contains(&key));
            }
        }
    }
}
