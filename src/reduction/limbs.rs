//! Arithmetic on fixed-width integers held as little-endian `u64` limbs, in
//! two's complement, wrapping modulo 2^(64 * limbs).
//!
//! The width is fixed by the caller so that equal numbers have equal bytes.

/// Adds `value * 2^shift`. Bits past the top limb are lost, so a caller picks
/// a width that holds every sum it can form.
pub fn add_shifted(limbs: &mut [u64], value: i128, shift: u32) {
    let (first, bits) = ((shift / 64) as usize, shift % 64);
    let sign = if value < 0 { u64::MAX } else { 0 };
    let (low, high) = (value as u64, (value >> 64) as u64);
    // Three limbs hold a shifted i128; above them only its sign repeats.
    let window = if bits == 0 {
        [low, high, sign]
    } else {
        [low << bits, (high << bits) | (low >> (64 - bits)), (sign << bits) | (high >> (64 - bits))]
    };
    let mut carry = false;
    for (index, limb) in limbs.iter_mut().skip(first).enumerate() {
        let addend = window.get(index).copied().unwrap_or(sign);
        (*limb, carry) = add_with_carry(*limb, addend, carry);
        // Adding 0 without a carry, or -1 with one, changes nothing further up.
        if index >= 2 && carry == (sign != 0) {
            return;
        }
    }
}

/// Adds `other`, limb by limb. Both have the same width.
pub fn add(limbs: &mut [u64], other: &[u64]) {
    debug_assert_eq!(limbs.len(), other.len(), "widths differ");
    let mut carry = false;
    for (limb, addend) in limbs.iter_mut().zip(other) {
        (*limb, carry) = add_with_carry(*limb, *addend, carry);
    }
}

/// Subtracts `other`, limb by limb. Both have the same width.
pub fn subtract(limbs: &mut [u64], other: &[u64]) {
    debug_assert_eq!(limbs.len(), other.len(), "widths differ");
    // a - b = a + !b + 1
    let mut carry = true;
    for (limb, subtrahend) in limbs.iter_mut().zip(other) {
        (*limb, carry) = add_with_carry(*limb, !*subtrahend, carry);
    }
}

/// Whether the number is negative, read as two's complement.
pub fn is_negative(limbs: &[u64]) -> bool {
    limbs.last().is_some_and(|top| top >> 63 != 0)
}

/// Replaces the number by its negation.
pub fn negate(limbs: &mut [u64]) {
    let mut carry = true;
    for limb in limbs {
        (*limb, carry) = add_with_carry(!*limb, 0, carry);
    }
}

/// The position of the highest one bit, or `None` for zero. Reads the limbs as
/// unsigned.
pub fn highest_bit(limbs: &[u64]) -> Option<u32> {
    let top = limbs.iter().rposition(|&limb| limb != 0)?;
    Some(top as u32 * 64 + 63 - limbs[top].leading_zeros())
}

/// The bit at `position`; zero above the top limb.
pub fn bit(limbs: &[u64], position: u32) -> bool {
    limbs.get((position / 64) as usize).is_some_and(|limb| limb >> (position % 64) & 1 != 0)
}

/// Whether any bit below `position` is one.
pub fn any_below(limbs: &[u64], position: u32) -> bool {
    let whole = (position / 64) as usize;
    let rest = position % 64;
    limbs.iter().take(whole).any(|&limb| limb != 0)
        || (rest > 0 && limbs.get(whole).is_some_and(|limb| limb & ((1 << rest) - 1) != 0))
}

/// The 64 bits that start at `position`; zeros above the top limb.
pub fn extract(limbs: &[u64], position: u32) -> u64 {
    let (first, bits) = ((position / 64) as usize, position % 64);
    let at = |index: usize| limbs.get(index).copied().unwrap_or(0);
    if bits == 0 { at(first) } else { (at(first) >> bits) | (at(first + 1) << (64 - bits)) }
}

fn add_with_carry(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first | second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::{BigInt, Sign};
    use proptest::prelude::*;

    fn to_big(limbs: &[u64]) -> BigInt {
        let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        BigInt::from_signed_bytes_le(&bytes)
    }

    proptest! {
        #[test]
        fn add_shifted_adds_a_power_of_two_multiple(
            start in prop::collection::vec(any::<u64>(), 5),
            value in any::<i128>(),
            shift in 0u32..120,
        ) {
            let mut limbs = start.clone();
            limbs.push(if is_negative(&start) { u64::MAX } else { 0 });
            let expected = to_big(&limbs) + (BigInt::from(value) << shift);
            add_shifted(&mut limbs, value, shift);
            prop_assert_eq!(to_big(&limbs), expected);
        }

        #[test]
        fn add_subtract_negate_agree_with_big_integers(
            a in prop::collection::vec(any::<u64>(), 4),
            b in prop::collection::vec(any::<u64>(), 4),
        ) {
            let widen = |v: &[u64]| {
                let mut w = v.to_vec();
                w.push(if is_negative(v) { u64::MAX } else { 0 });
                w
            };
            let (a, b) = (widen(&a), widen(&b));
            let mut sum = a.clone();
            add(&mut sum, &b);
            prop_assert_eq!(to_big(&sum), to_big(&a) + to_big(&b));
            subtract(&mut sum, &b);
            prop_assert_eq!(&sum, &a);
            negate(&mut sum);
            prop_assert_eq!(to_big(&sum), -to_big(&a));
        }

        #[test]
        fn bit_queries_agree_with_big_integers(
            limbs in prop::collection::vec(any::<u64>(), 3),
            position in 0u32..192,
        ) {
            let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
            let big = BigInt::from_bytes_le(Sign::Plus, &bytes);
            prop_assert_eq!(bit(&limbs, position), big.bit(u64::from(position)));
            let low = &big % (BigInt::from(1) << position);
            prop_assert_eq!(any_below(&limbs, position), low != BigInt::from(0));
            let part: BigInt = (&big >> position) % (BigInt::from(1) << 64);
            prop_assert_eq!(BigInt::from(extract(&limbs, position)), part);
            prop_assert_eq!(highest_bit(&limbs).map_or(0, |p| u64::from(p) + 1), big.bits());
        }
    }
}
