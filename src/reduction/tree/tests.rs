use proptest::prelude::*;

use super::*;

fn of(values: &[f64], first: u64) -> Tree {
    let mut tree = Tree::identity(DType::F64);
    for (index, value) in (first..).zip(values) {
        tree.add(value.to_bits(), index);
    }
    tree
}

/// The tree as its picture says it: whole nodes of `2^level` leaves, and what
/// is left multiplied from the right. Only for products that stay in range.
fn picture(values: &[f64]) -> f64 {
    match values.len() {
        0 => 1.0,
        1 => values[0],
        count => {
            let half = count.next_power_of_two() / 2;
            picture(&values[..half]) * picture(&values[half..])
        }
    }
}

proptest! {
    #[test]
    fn the_product_is_that_of_the_picture(values in prop::collection::vec(0.5..2.0_f64, 0..70)) {
        prop_assert_eq!(of(&values, 0).finish(DType::F64), Value::float64(picture(&values)));
    }

    #[test]
    fn no_cut_changes_a_bit(
        values in prop::collection::vec(any::<f64>(), 1..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        swap in any::<bool>(),
    ) {
        let whole = of(&values, 3);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(values.len())).collect();
        cuts.extend([0, values.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<Tree> =
            cuts.windows(2).map(|w| of(&values[w[0]..w[1]], 3 + w[0] as u64)).collect();
        if swap {
            parts.reverse();
        }
        let mut merged = Tree::identity(DType::F64);
        for part in &parts {
            merged.merge(part).expect("parts do not overlap");
        }
        prop_assert_eq!(&merged, &whole);
        let mut bytes = Vec::new();
        merged.encode(&mut bytes);
        prop_assert_eq!(Tree::decode(DType::F64, &mut Bytes(&bytes)), Ok(merged));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(tree) = Tree::decode(DType::F32, &mut Bytes(&bytes)) {
            let _ = tree.finish(DType::F64);
        }
    }
}

#[test]
fn nothing_overflows_on_the_way() {
    let value = |values: &[f64]| of(values, 0).finish(DType::F64);
    // The same significands in the middle of the range.
    let (large, small) = (1e300 * 2f64.powi(-996), 1e-300 * 2f64.powi(996));
    let expected = Value::float64(picture(&[large, large, small, small]));
    assert_eq!(value(&[1e300, 1e300, 1e-300, 1e-300]), expected);
    assert_eq!(value(&[f64::MAX; 3]), Value::float64(f64::INFINITY));
    assert_eq!(value(&[-5e-324; 3]), Value::float64(-0.0));
    assert_eq!(value(&[2f64.powi(-1074), 2f64.powi(1000), 2f64.powi(74)]), Value::float64(1.0));
}

#[test]
fn special_factors_follow_ieee_754() {
    let value = |values: &[f64]| of(values, 0).finish(DType::F64);
    assert_eq!(value(&[0.0, f64::INFINITY]), Value::float64(f64::NAN));
    assert_eq!(value(&[-2.0, f64::INFINITY]), Value::float64(f64::NEG_INFINITY));
    assert_eq!(value(&[-2.0, 0.0]), Value::float64(-0.0));
    assert_eq!(value(&[f64::NAN, 0.0]), Value::float64(f64::NAN));
    assert_eq!(of(&[f64::NAN, 3.0], 0).without_nan().finish(DType::F64), Value::float64(3.0));
}

#[test]
fn overlapping_parts_are_refused() {
    let mut tree = of(&[1.0, 2.0, 3.0], 0);
    assert_eq!(tree.merge(&of(&[2.0], 1)), Err(CombineError::Overlap));
    assert_eq!(tree, of(&[1.0, 2.0, 3.0], 0));
}
