//! The sum against big integers and against the laws of its group.

use num_bigint::BigInt;
use proptest::prelude::*;

use super::*;

fn to_big(sum: &Sum) -> BigInt {
    let mut bytes: Vec<u8> = sum.limbs().iter().flat_map(|limb| limb.to_le_bytes()).collect();
    if !sum.dtype().is_signed() {
        bytes.push(0);
    }
    BigInt::from_signed_bytes_le(&bytes)
}

/// The exact value of a finite float64 in units of 2^-1074, by shifting a big
/// integer.
fn units_of_f64(value: f64) -> BigInt {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction + (1 << 52)) << (exponent - 1),
    };
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

fn sum_of(dtype: DType, elements: &[u64]) -> Sum {
    let mut total = Sum::identity(dtype);
    for &bits in elements {
        total.merge(&Sum::lift(dtype, bits)).unwrap();
    }
    total
}

fn any_dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

fn elements() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..40)
}

/// Keeps the bits that an element of this type has.
fn cut(dtype: DType, elements: &[u64]) -> Vec<u64> {
    let unused = 64 - 8 * dtype.size_bytes() as u32;
    elements.iter().map(|bits| bits << unused >> unused).collect()
}

proptest! {
    #[test]
    fn lift_has_the_value_of_its_element(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let sum = Sum::lift(DType::F64, bits);
        if value.is_finite() {
            prop_assert_eq!(to_big(&sum), units_of_f64(value));
        } else {
            prop_assert_eq!(sum.counts().special(), Some(1));
        }
        // A float32 is a float64; its unit is 2^(1074 - 149) times as large.
        let single = f32::from_bits(bits as u32);
        if single.is_finite() {
            let widened = to_big(&Sum::lift(DType::F32, u64::from(bits as u32))) << (1074 - 149);
            prop_assert_eq!(widened, units_of_f64(f64::from(single)));
        }
        prop_assert_eq!(to_big(&Sum::lift(DType::I64, bits)), BigInt::from(bits as i64));
        prop_assert_eq!(to_big(&Sum::lift(DType::U64, bits)), BigInt::from(bits));
        let low = bits & 0xff;
        prop_assert_eq!(to_big(&Sum::lift(DType::I8, low)), BigInt::from(low as i8));
        prop_assert_eq!(to_big(&Sum::lift(DType::Bool, low)), BigInt::from(u8::from(low != 0)));
    }

    #[test]
    fn merge_is_commutative(dtype in any_dtype(), a in elements(), b in elements()) {
        let (a, b) = (sum_of(dtype, &cut(dtype, &a)), sum_of(dtype, &cut(dtype, &b)));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b).unwrap();
        ba.merge(&a).unwrap();
        prop_assert_eq!(ab, ba);
    }

    #[test]
    fn merge_is_associative(
        dtype in any_dtype(), a in elements(), b in elements(), c in elements(),
    ) {
        let [a, b, c] = [a, b, c].map(|elements| sum_of(dtype, &cut(dtype, &elements)));
        let (mut left, mut right) = (a.clone(), b.clone());
        left.merge(&b).unwrap();
        left.merge(&c).unwrap();
        right.merge(&c).unwrap();
        let mut outer = a;
        outer.merge(&right).unwrap();
        prop_assert_eq!(left, outer);
    }

    #[test]
    fn identity_is_neutral(dtype in any_dtype(), a in elements()) {
        let a = sum_of(dtype, &cut(dtype, &a));
        let (mut left, mut right) = (Sum::identity(dtype), a.clone());
        left.merge(&a).unwrap();
        right.merge(&Sum::identity(dtype)).unwrap();
        prop_assert_eq!(&left, &a);
        prop_assert_eq!(&right, &a);
    }

    #[test]
    fn unmerge_inverts_merge(dtype in any_dtype(), a in elements(), b in elements()) {
        let (a, b) = (sum_of(dtype, &cut(dtype, &a)), sum_of(dtype, &cut(dtype, &b)));
        let mut both = a.clone();
        both.merge(&b).unwrap();
        both.unmerge(&b).unwrap();
        prop_assert_eq!(both, a);
    }

    #[test]
    fn any_split_gives_the_same_state(
        dtype in any_dtype(), a in elements(), cuts in prop::collection::vec(0usize..40, 0..5),
    ) {
        let a = cut(dtype, &a);
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (a.len() + 1)).collect();
        bounds.extend([0, a.len()]);
        bounds.sort_unstable();
        let mut total = Sum::identity(dtype);
        for pair in bounds.windows(2).rev() {
            total.merge(&sum_of(dtype, &a[pair[0]..pair[1]])).unwrap();
        }
        prop_assert_eq!(total, sum_of(dtype, &a));
    }

    #[test]
    fn finish_is_the_nearest_float(values in prop::collection::vec(any::<f64>(), 1..20)) {
        let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let bits: Vec<u64> = finite.iter().map(|value| value.to_bits()).collect();
        let exact: BigInt = finite.iter().map(|&value| units_of_f64(value)).sum();
        let Ok(Value::F64(result)) = sum_of(DType::F64, &bits).finish(None) else { panic!() };
        prop_assume!(result.is_finite());
        // No float lies nearer: the distances to both neighbours are no shorter,
        // and an equal distance needs an even result.
        let distance = |value: f64| {
            let distance: BigInt = units_of_f64(value) - &exact;
            if distance < BigInt::from(0) { -distance } else { distance }
        };
        for neighbour in [result.next_up(), result.next_down()] {
            if neighbour.is_finite() {
                let (ours, theirs) = (distance(result), distance(neighbour));
                let even = result.to_bits() & 1 == 0;
                prop_assert!(ours < theirs || (ours == theirs && even), "{} {}", result, neighbour);
            }
        }
    }

    #[test]
    fn finish_to_float32_rounds_once(values in prop::collection::vec(any::<f32>(), 1..20)) {
        let bits: Vec<u64> = values
            .iter()
            .filter(|value| value.is_finite())
            .map(|value| u64::from(value.to_bits()))
            .collect();
        let sum = sum_of(DType::F32, &bits);
        let Ok(Value::F32(result)) = sum.finish(None) else { panic!() };
        prop_assume!(result.is_finite());
        let exact = to_big(&sum) << (1074 - 149);
        let distance = |value: f32| {
            let distance: BigInt = units_of_f64(f64::from(value)) - &exact;
            if distance < BigInt::from(0) { -distance } else { distance }
        };
        for neighbour in [result.next_up(), result.next_down()] {
            if neighbour.is_finite() {
                let (ours, theirs) = (distance(result), distance(neighbour));
                let even = result.to_bits() & 1 == 0;
                prop_assert!(ours < theirs || (ours == theirs && even));
            }
        }
    }
}

fn total_f64(values: &[f64]) -> f64 {
    let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
    match sum_of(DType::F64, &bits).finish(None) {
        Ok(Value::F64(total)) => total,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_overflows_on_the_way() {
    assert_eq!(total_f64(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(total_f64(&[f64::MAX, f64::MAX]), f64::INFINITY);
    assert_eq!(total_f64(&[-f64::MAX, -f64::MAX]), f64::NEG_INFINITY);
}

#[test]
fn overflow_begins_half_a_step_above_the_largest_number() {
    let half_step = 2_f64.powi(970);
    assert_eq!(total_f64(&[f64::MAX, half_step.next_down()]), f64::MAX);
    assert_eq!(total_f64(&[f64::MAX, half_step]), f64::INFINITY);
}

#[test]
fn special_values_follow_ieee_754() {
    let inf = f64::INFINITY;
    assert_eq!(total_f64(&[inf, 1.0, -f64::MAX]), inf);
    assert_eq!(total_f64(&[-inf, 1.0]), -inf);
    assert_eq!(total_f64(&[inf, -inf]).to_bits(), 0x7ff8_0000_0000_0000);
    assert_eq!(total_f64(&[f64::from_bits(0xfff0_0000_0000_0001), 1.0]).to_bits(), 0x7ff8 << 48);
}

#[test]
fn zeros_are_positive_and_tiny_sums_keep_their_sign() {
    assert_eq!(total_f64(&[]).to_bits(), 0);
    assert_eq!(total_f64(&[-0.0, -0.0]).to_bits(), 0);
    assert_eq!(total_f64(&[1e300, -1e300]).to_bits(), 0);
    let tiny = f64::from_bits(1);
    let sum = sum_of(DType::F64, &[(-tiny).to_bits()]);
    assert_eq!(sum.finish(Some(DType::F32)).unwrap(), Value::F32(-0.0));
}

#[test]
fn rounding_to_float32_is_not_done_by_way_of_float64() {
    // 1 + 2^-24 is a tie for float32; the last term lifts it above the tie but
    // is lost when the sum is first rounded to float64.
    let sum = sum_of(DType::F64, &[1.0, 2_f64.powi(-24), 2_f64.powi(-80)].map(f64::to_bits));
    assert_eq!(sum.finish(Some(DType::F32)).unwrap(), Value::F32(1.0_f32.next_up()));
    assert_eq!(sum.finish(None).unwrap(), Value::F64(1.0 + 2_f64.powi(-24)));
}

#[test]
fn integers_past_64_bits_stay_exact() {
    let sum = sum_of(DType::U64, &[u64::MAX; 3]);
    assert_eq!(sum.finish(None).unwrap(), Value::U128(3 * u128::from(u64::MAX)));
    let sum = sum_of(DType::I64, &[i64::MIN as u64; 3]);
    assert_eq!(sum.finish(None).unwrap(), Value::I128(3 * i128::from(i64::MIN)));
    assert_eq!(sum.finish(Some(DType::F64)).unwrap(), Value::F64(3.0 * i64::MIN as f64));
    // Above 2^127 the integer of an unsigned sum is still unsigned.
    let mut sum = Sum::identity(DType::U64);
    sum.add_units(i128::from(u64::MAX), 63);
    sum.add_units(i128::from(u64::MAX), 63);
    assert_eq!(sum.finish(None).unwrap(), Value::U128(u128::from(u64::MAX) << 64));
}

#[test]
fn outputs_that_make_no_sense_are_refused() {
    let error = Sum::identity(DType::F32).finish(Some(DType::I64)).unwrap_err();
    assert!(error.to_string().contains("float32 or float64"), "{error}");
    assert!(Sum::identity(DType::U8).finish(Some(DType::I64)).is_err());
    assert!(Sum::identity(DType::I8).finish(Some(DType::I64)).is_ok());
}

#[test]
fn combining_reports_what_does_not_fit_and_changes_nothing() {
    let mut sum = sum_of(DType::U8, &[7]);
    let before = sum.clone();
    let other = Sum::identity(DType::I8);
    let dtypes = CombineError::DTypes { left: DType::U8, right: DType::I8 };
    assert_eq!(sum.merge(&other), Err(dtypes));
    assert_eq!(sum.unmerge(&other), Err(dtypes));
    assert_eq!(sum.unmerge(&sum_of(DType::U8, &[1, 2])), Err(CombineError::NotContained));
    let mut full = Sum::identity(DType::U8);
    full.add_counts(Counts { elements: u64::MAX, ..Counts::default() }).unwrap();
    assert_eq!(sum.merge(&full), Err(CombineError::TooMany));
    assert_eq!(sum, before);
}
