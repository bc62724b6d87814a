//! The sum of each term against big integers, the laws of its group, and its
//! bytes.

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

use super::*;

const TERMS: [Term; 4] = [Term::Value, Term::Magnitude, Term::Square, Term::Product];

/// Numbers of this oracle are integers in units of 2^-2148, of which every
/// product of two elements is a multiple.
const ONE: u32 = 2148;

/// The weight of bit 0 as the documentation says it.
fn unit(dtype: DType, term: Term) -> i32 {
    let single = match dtype {
        DType::F16 => -24,
        DType::BF16 | DType::F32 => -149,
        DType::F64 => -1074,
        _ => 0,
    };
    if matches!(term, Term::Value | Term::Magnitude) { single } else { 2 * single }
}

/// The exact integer of a sum, in units of 2^-2148.
fn to_big(sum: &Sum) -> BigInt {
    let mut bytes: Vec<u8> = sum.limbs().iter().flat_map(|limb| limb.to_le_bytes()).collect();
    let signed = sum.dtype().is_signed() && matches!(sum.term(), Term::Value | Term::Product);
    if !signed {
        bytes.push(0);
    }
    BigInt::from_signed_bytes_le(&bytes) << (ONE as i32 + unit(sum.dtype(), sum.term()))
}

/// The exact value of a finite float64, by shifting a big integer.
fn big_of_f64(value: f64) -> BigInt {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction + (1 << 52)) << (exponent - 1),
    } << (ONE - 1074);
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

/// The value of a float by the standard library and `half`, all of them exact.
fn float(dtype: DType, bits: u64) -> Option<f64> {
    match dtype {
        DType::F16 => Some(half::f16::from_bits(bits as u16).to_f64()),
        DType::BF16 => Some(half::bf16::from_bits(bits as u16).to_f64()),
        DType::F32 => Some(f64::from(f32::from_bits(bits as u32))),
        DType::F64 => Some(f64::from_bits(bits)),
        _ => None,
    }
}

fn integer(dtype: DType, bits: u64) -> BigInt {
    match dtype {
        DType::Bool => BigInt::from(u8::from(bits != 0)),
        DType::I8 => BigInt::from(bits as i8),
        DType::I16 => BigInt::from(bits as i16),
        DType::I32 => BigInt::from(bits as i32),
        DType::I64 => BigInt::from(bits as i64),
        _ => BigInt::from(bits),
    }
}

/// A term of this oracle: a number, or the special value that it is.
fn term_of(dtype: DType, term: Term, bits: u64, second: u64) -> Result<BigInt, f64> {
    let (a, b) = (float(dtype, bits), float(dtype, second));
    let (a, b) = match term {
        Term::Value | Term::Magnitude => (a, Some(1.0)),
        Term::Square => (a, a),
        Term::Product => (a, b),
    };
    if let (Some(a), Some(b)) = (a, b)
        && !(a.is_finite() && b.is_finite())
    {
        return Err(if term == Term::Magnitude { a.abs() } else { a * b });
    }
    let big = |bits| match float(dtype, bits) {
        Some(value) => big_of_f64(value),
        None => integer(dtype, bits) << ONE,
    };
    Ok(match term {
        Term::Value => big(bits),
        Term::Magnitude => BigInt::from(big(bits).magnitude().clone()),
        Term::Square => (big(bits) * big(bits)) >> ONE,
        Term::Product => (big(bits) * big(second)) >> ONE,
    })
}

/// The sum of terms by this oracle, with its counts.
fn oracle(dtype: DType, term: Term, elements: &[(u64, u64)]) -> (BigInt, Counts) {
    let mut counts = Counts { elements: elements.len() as u64, ..Counts::default() };
    let mut total = BigInt::from(0);
    for &(bits, second) in elements {
        match term_of(dtype, term, bits, second) {
            Ok(value) => total += value,
            Err(special) if special.is_nan() => counts.nan += 1,
            Err(special) if special > 0.0 => counts.positive_infinity += 1,
            Err(_) => counts.negative_infinity += 1,
        }
    }
    (total, counts)
}

fn sum_of(dtype: DType, term: Term, elements: &[(u64, u64)]) -> Sum {
    let mut total = Sum::identity(dtype, term);
    for &(bits, second) in elements {
        total.merge(&Sum::lift(dtype, term, bits, second)).unwrap();
    }
    total
}

/// The sum of elements alone, without partners.
fn values_of(dtype: DType, elements: &[u64]) -> Sum {
    let elements: Vec<(u64, u64)> = elements.iter().map(|&bits| (bits, 0)).collect();
    sum_of(dtype, Term::Value, &elements)
}

fn any_kind() -> impl Strategy<Value = (DType, Term)> {
    (prop::sample::select(DType::ALL.to_vec()), prop::sample::select(TERMS.to_vec()))
}

/// Bits that an element of this type has: any, or some that meet often.
fn element(dtype: DType, word: u64) -> u64 {
    let mask = u64::MAX >> (64 - 8 * dtype.size_bytes());
    let top = mask ^ (mask >> 1);
    let few = [0, 1, mask, top, top | 1, mask >> 1, mask >> 2, mask ^ (mask >> 4)];
    match word % 3 {
        0 => few[(word / 3 % 8) as usize],
        _ => word & mask,
    }
}

fn cut(dtype: DType, words: &[(u64, u64)]) -> Vec<(u64, u64)> {
    words.iter().map(|&(a, b)| (element(dtype, a), element(dtype, b))).collect()
}

fn words() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec(any::<(u64, u64)>(), 0..24)
}

/// The value of a magnitude's bits, where infinity is what would come next.
fn step(dtype: DType, bits: u64) -> BigInt {
    let value = |bits| big_of_f64(float(dtype, bits).expect("a float"));
    match float(dtype, bits) {
        Some(infinity) if infinity.is_infinite() => 2 * value(bits - 1) - value(bits - 2),
        _ => value(bits),
    }
}

/// Whether no float of the type lies nearer to `exact` than the one with these
/// bits, nor as near with an even significand.
fn is_nearest(dtype: DType, bits: u64, exact: &BigInt) -> bool {
    let sign = 1 << (8 * dtype.size_bytes() - 1);
    let (magnitude, negative) = (bits & !sign, bits & sign != 0);
    let exact = if negative { -exact } else { exact.clone() };
    let distance = |bits| (step(dtype, bits) - &exact).magnitude().clone();
    let ours = distance(magnitude);
    let infinite = float(dtype, magnitude).is_some_and(f64::is_infinite);
    let beats = |theirs: BigUint| ours < theirs || (ours == theirs && magnitude & 1 == 0);
    let below = magnitude.checked_sub(1).is_none_or(|below| {
        // Past infinity everything is infinite.
        (infinite && exact >= step(dtype, magnitude)) || beats(distance(below))
    });
    below && (infinite || beats(distance(magnitude + 1)))
}

proptest! {
    #[test]
    fn a_sum_is_that_of_big_integers((dtype, term) in any_kind(), elements in words()) {
        let elements = cut(dtype, &elements);
        let (exact, counts) = oracle(dtype, term, &elements);
        let sum = sum_of(dtype, term, &elements);
        prop_assert_eq!(to_big(&sum), exact);
        prop_assert_eq!(sum.counts(), counts);
        // Adding is merging what was lifted.
        let mut added = Sum::identity(dtype, term);
        elements.iter().for_each(|&(bits, second)| added.add(bits, second));
        prop_assert_eq!(added, sum);
    }

    #[test]
    fn merge_is_commutative((dtype, term) in any_kind(), a in words(), b in words()) {
        let (a, b) = (sum_of(dtype, term, &cut(dtype, &a)), sum_of(dtype, term, &cut(dtype, &b)));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b).unwrap();
        ba.merge(&a).unwrap();
        prop_assert_eq!(ab, ba);
    }

    #[test]
    fn merge_is_associative(
        (dtype, term) in any_kind(), a in words(), b in words(), c in words(),
    ) {
        let [a, b, c] = [a, b, c].map(|elements| sum_of(dtype, term, &cut(dtype, &elements)));
        let (mut left, mut right) = (a.clone(), b.clone());
        left.merge(&b).unwrap();
        left.merge(&c).unwrap();
        right.merge(&c).unwrap();
        let mut outer = a;
        outer.merge(&right).unwrap();
        prop_assert_eq!(left, outer);
    }

    #[test]
    fn identity_is_neutral((dtype, term) in any_kind(), a in words()) {
        let a = sum_of(dtype, term, &cut(dtype, &a));
        let (mut left, mut right) = (Sum::identity(dtype, term), a.clone());
        left.merge(&a).unwrap();
        right.merge(&Sum::identity(dtype, term)).unwrap();
        prop_assert_eq!(&left, &a);
        prop_assert_eq!(&right, &a);
    }

    #[test]
    fn unmerge_inverts_merge((dtype, term) in any_kind(), a in words(), b in words()) {
        let (a, b) = (sum_of(dtype, term, &cut(dtype, &a)), sum_of(dtype, term, &cut(dtype, &b)));
        let mut both = a.clone();
        both.merge(&b).unwrap();
        both.unmerge(&b).unwrap();
        prop_assert_eq!(both, a);
    }

    #[test]
    fn any_split_gives_the_same_state(
        (dtype, term) in any_kind(), a in words(), cuts in prop::collection::vec(0usize..40, 0..5),
    ) {
        let a = cut(dtype, &a);
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (a.len() + 1)).collect();
        bounds.extend([0, a.len()]);
        bounds.sort_unstable();
        let mut total = Sum::identity(dtype, term);
        for pair in bounds.windows(2).rev() {
            total.merge(&sum_of(dtype, term, &a[pair[0]..pair[1]])).unwrap();
        }
        prop_assert_eq!(total, sum_of(dtype, term, &a));
    }

    #[test]
    fn finish_is_the_nearest_float(
        (dtype, term) in any_kind(),
        output in prop::sample::select(vec![DType::F16, DType::BF16, DType::F32, DType::F64]),
        elements in words(),
    ) {
        let elements = cut(dtype, &elements);
        let (exact, counts) = oracle(dtype, term, &elements);
        let sum = sum_of(dtype, term, &elements);
        let value = sum.finish(output);
        prop_assert_eq!(value.dtype(), Some(output));
        let bits = u64::from_str_radix(&value.bits()[2..], 16).unwrap();
        let total = float(output, bits).expect("a float");
        match (counts.nan, counts.positive_infinity, counts.negative_infinity) {
            (0, 0, 0) => {
                prop_assert!(!total.is_nan());
                prop_assert_eq!(total.is_sign_negative(), exact < BigInt::from(0));
                prop_assert!(is_nearest(output, bits, &exact), "{} of {}", value, text_of(&exact));
            }
            (0, _, 0) => prop_assert_eq!(total, f64::INFINITY),
            (0, 0, _) => prop_assert_eq!(total, f64::NEG_INFINITY),
            _ => prop_assert!(total.is_nan() && total.is_sign_positive()),
        }
    }

    #[test]
    fn an_integer_sum_comes_out_whole((dtype, term) in any_kind(), elements in words()) {
        prop_assume!(!dtype.is_float());
        let elements = cut(dtype, &elements);
        let (exact, _) = oracle(dtype, term, &elements);
        let output = if dtype.is_signed() { DType::I64 } else { DType::U64 };
        let value = sum_of(dtype, term, &elements).finish(output);
        prop_assert_eq!(value.to_string(), (exact >> ONE).to_string());
    }

    #[test]
    fn without_nan_is_the_sum_of_the_others((dtype, term) in any_kind(), elements in words()) {
        let elements = cut(dtype, &elements);
        let is_nan = |&(bits, second): &(u64, u64)| {
            term_of(dtype, term, bits, second).is_err_and(f64::is_nan)
        };
        let others: Vec<(u64, u64)> =
            elements.iter().copied().filter(|element| !is_nan(element)).collect();
        let sum = sum_of(dtype, term, &elements);
        prop_assert_eq!(sum.without_nan(), sum_of(dtype, term, &others));
    }

    #[test]
    fn bytes_have_one_spelling((dtype, term) in any_kind(), elements in words()) {
        let sum = sum_of(dtype, term, &cut(dtype, &elements));
        let mut bytes = Vec::new();
        sum.encode(&mut bytes);
        let mut from = Bytes(&bytes);
        prop_assert_eq!(Sum::decode(dtype, term, &mut from), Ok(sum.clone()));
        prop_assert!(from.0.is_empty());
        let (start, trimmed) = sum.trimmed();
        let trimmed_end = start + trimmed.len();
        let limbs = sum.limbs();
        let spelling = |first: usize, end: usize| {
            let mut bytes = Vec::new();
            sum.counts().to_array().into_iter().for_each(|count| put_number(&mut bytes, count));
            put_number(&mut bytes, first as u64);
            put_number(&mut bytes, (end - first) as u64);
            limbs[first..end].iter().for_each(|&limb| put_word(&mut bytes, limb));
            bytes
        };
        prop_assert_eq!(&spelling(start, trimmed_end), &bytes);
        let all = limbs.len();
        for first in 0..=start {
            for end in trimmed_end..=all {
                let decoded = Sum::decode(dtype, term, &mut Bytes(&spelling(first, end)));
                let canonical = (first, end) == (start, trimmed_end);
                prop_assert_eq!(decoded.is_ok(), canonical, "{}..{} of {}", first, end, all);
            }
        }
    }
}

fn text_of(exact: &BigInt) -> String {
    format!("{exact} * 2^-{ONE}")
}

fn total_f64(values: &[f64]) -> f64 {
    let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
    values_of(DType::F64, &bits).finish(DType::F64).as_f64().expect("a float64")
}

#[test]
fn nothing_overflows_on_the_way() {
    assert_eq!(total_f64(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(total_f64(&[f64::MAX, f64::MAX]), f64::INFINITY);
    assert_eq!(total_f64(&[-f64::MAX, -f64::MAX]), f64::NEG_INFINITY);
    let max = f64::MAX.to_bits();
    let pairs = [(max, max), (max, (-f64::MAX).to_bits()), (2_f64.to_bits(), 3_f64.to_bits())];
    let dot = sum_of(DType::F64, Term::Product, &pairs);
    assert_eq!(dot.finish(DType::F64), Value::float64(6.0));
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

/// What a term is where an operand is no finite number, for each pair of
/// operands in turn, in every float type.
#[test]
fn products_of_special_values_follow_ieee_754() {
    let [nan, plus, minus] =
        [(1, 0, 0), (0, 1, 0), (0, 0, 1)].map(|(nan, positive_infinity, negative_infinity)| {
            Counts { elements: 1, nan, positive_infinity, negative_infinity }
        });
    let none = Counts { elements: 1, ..Counts::default() };
    let (zero, inf) = (0.0, f64::INFINITY);
    let products = [
        (f64::NAN, 1.0, nan),
        (1.0, f64::NAN, nan),
        (f64::NAN, inf, nan),
        (f64::NAN, zero, nan),
        (inf, zero, nan),
        (-zero, -inf, nan),
        (inf, inf, plus),
        (-inf, -inf, plus),
        (inf, -inf, minus),
        (inf, 2.0, plus),
        (-2.0, inf, minus),
        (-0.5, -inf, plus),
        (2.0, -2.0, none),
        (zero, zero, none),
    ];
    let squares = [(f64::NAN, nan), (inf, plus), (-inf, plus), (-2.0, none), (-zero, none)];
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let bits = |value: f64| match dtype {
            DType::F16 => half::f16::from_f64(value).to_bits().into(),
            DType::BF16 => half::bf16::from_f64(value).to_bits().into(),
            DType::F32 => u64::from((value as f32).to_bits()),
            _ => value.to_bits(),
        };
        for (a, b, counts) in products {
            let sum = Sum::lift(dtype, Term::Product, bits(a), bits(b));
            assert_eq!(sum.counts(), counts, "{dtype} {a} * {b}");
        }
        for (a, counts) in squares {
            for term in [Term::Square, Term::Magnitude] {
                let sum = Sum::lift(dtype, term, bits(a), bits(1.0));
                assert_eq!(sum.counts(), counts, "{dtype} {term:?} of {a}");
            }
        }
    }
}

#[test]
fn zeros_are_positive_and_tiny_sums_keep_their_sign() {
    assert_eq!(total_f64(&[]).to_bits(), 0);
    assert_eq!(total_f64(&[-0.0, -0.0]).to_bits(), 0);
    assert_eq!(total_f64(&[1e300, -1e300]).to_bits(), 0);
    let tiny = f64::from_bits(1);
    let sum = values_of(DType::F64, &[(-tiny).to_bits()]);
    assert_eq!(sum.finish(DType::F32), Value::of(DType::F32, u64::from((-0.0_f32).to_bits())));
}

#[test]
fn rounding_to_float32_is_not_done_by_way_of_float64() {
    // 1 + 2^-24 is a tie for float32; the last term lifts it above the tie but
    // is lost when the sum is first rounded to float64.
    let sum = values_of(DType::F64, &[1.0, 2_f64.powi(-24), 2_f64.powi(-80)].map(f64::to_bits));
    let up = u64::from(1.0_f32.next_up().to_bits());
    assert_eq!(sum.finish(DType::F32), Value::of(DType::F32, up));
    assert_eq!(sum.finish(DType::F64), Value::float64(1.0 + 2_f64.powi(-24)));
}

#[test]
fn integers_past_64_bits_stay_exact() {
    let wide = |value: Value| (value.to_string(), value.dtype_name());
    let sum = values_of(DType::U64, &[u64::MAX; 3]);
    let expected = (3 * u128::from(u64::MAX)).to_string();
    assert_eq!(wide(sum.finish(DType::U64)), (expected, "uint128".to_owned()));
    let sum = values_of(DType::I64, &[i64::MIN as u64; 3]);
    let expected = (3 * i128::from(i64::MIN)).to_string();
    assert_eq!(wide(sum.finish(DType::I64)), (expected, "int128".to_owned()));
    assert_eq!(sum.finish(DType::F64), Value::float64(3.0 * i64::MIN as f64));
    // Above 2^127 the integer of an unsigned sum is still unsigned.
    let mut sum = Sum::identity(DType::U64, Term::Value);
    sum.add_units(i128::from(u64::MAX), 63);
    sum.add_units(i128::from(u64::MAX), 63);
    let expected = (u128::from(u64::MAX) << 64).to_string();
    assert_eq!(wide(sum.finish(DType::U64)), (expected, "uint128".to_owned()));
    // The square of the smallest number needs 127 bits, four of them 129.
    let squares = sum_of(DType::I64, Term::Square, &[(i64::MIN as u64, 0); 4]);
    let expected = (BigInt::from(1) << 128_u32).to_string();
    assert_eq!(wide(squares.finish(DType::I64)), (expected, "int192".to_owned()));
}

#[test]
fn combining_reports_what_does_not_fit_and_changes_nothing() {
    let mut sum = values_of(DType::U8, &[7]);
    let before = sum.clone();
    for other in [Sum::identity(DType::I8, Term::Value), Sum::identity(DType::U8, Term::Magnitude)]
    {
        assert_eq!(sum.merge(&other), Err(CombineError::Kinds));
        assert_eq!(sum.unmerge(&other), Err(CombineError::Kinds));
    }
    let two = values_of(DType::U8, &[1, 2]);
    assert_eq!(sum.unmerge(&two), Err(CombineError::NotContained));
    // As many elements, but no remainder that none can make.
    for other in [6, 8] {
        let other = values_of(DType::U8, &[other]);
        assert_eq!(sum.unmerge(&other), Err(CombineError::NotContained));
    }
    let mut full = Sum::identity(DType::U8, Term::Value);
    full.add_counts(Counts { elements: u64::MAX, ..Counts::default() }).unwrap();
    assert_eq!(sum.merge(&full), Err(CombineError::TooMany));
    assert_eq!(sum, before);
}

/// The terms of largest magnitude: one that is most positive, and one that is
/// most negative where there is such.
fn extremes(dtype: DType, term: Term) -> Vec<(u64, u64)> {
    let bits = 8 * dtype.size_bytes() as u32;
    let (most, least) = match dtype {
        DType::F16 => (0x7bff, Some(0xfbff)),
        DType::BF16 => (0x7f7f, Some(0xff7f)),
        DType::F32 => (0x7f7f_ffff, Some(0xff7f_ffff)),
        DType::F64 => (f64::MAX.to_bits(), Some((-f64::MAX).to_bits())),
        DType::Bool => (1, None),
        _ if dtype.is_signed() => ((1 << (bits - 1)) - 1, Some(1 << (bits - 1))),
        _ => (u64::MAX >> (64 - bits), None),
    };
    match (term, least) {
        (Term::Value, Some(least)) => vec![(most, 0), (least, 0)],
        // The smallest integer has the largest magnitude.
        (Term::Magnitude | Term::Square, Some(least)) => vec![(least, 0)],
        (Term::Product, Some(least)) => vec![(least, least), (most, least)],
        (_, None) => vec![(most, most)],
    }
}

#[test]
fn a_sum_from_outside_is_what_so_many_elements_can_make() {
    for dtype in DType::ALL {
        for term in TERMS {
            for extreme in extremes(dtype, term) {
                let three = sum_of(dtype, term, &[extreme; 3]);
                let with = |elements: u64, limbs: &[u64]| {
                    let counts = Counts { elements, ..Counts::default() };
                    Sum::from_parts(dtype, term, counts, limbs)
                };
                assert_eq!(with(3, &three.limbs()), Ok(three.clone()), "{dtype} {term:?}");
                let refused = Err(InvalidState::Magnitude { elements: 2 });
                assert_eq!(with(2, &three.limbs()), refused, "{dtype} {term:?}");
                // One unit more than three elements, away from zero. A product
                // of two signs falls short of the bound by its odd element.
                let mut more = three.clone();
                let negative = to_big(&three) < BigInt::from(0);
                more.add_units(if negative { -1 } else { 1 }, 0);
                let odd = !dtype.is_float() && term == Term::Product && negative;
                let refused = Err(InvalidState::Magnitude { elements: 3 });
                assert!(odd || with(3, &more.limbs()) == refused, "{dtype} {term:?}");
            }
        }
    }
}

/// Past every count that 64 bits hold the integer would still have room.
#[test]
fn the_limbs_hold_all_elements_that_can_be_counted() {
    for dtype in DType::ALL {
        for term in TERMS {
            for (bits, second) in extremes(dtype, term) {
                let largest = term_of(dtype, term, bits, second).expect("a finite term");
                let all = (largest * u64::MAX) >> (ONE as i32 + unit(dtype, term));
                let width = 64 * limb_count(dtype, term) as u64 - u64::from(is_signed(dtype, term));
                assert!(all.bits() <= width, "{dtype} {term:?}");
                let sign = if all < BigInt::from(0) { 0xff } else { 0 };
                let mut bytes = all.to_signed_bytes_le();
                bytes.resize(8 * limb_count(dtype, term) + 1, sign);
                let limbs: Vec<u64> =
                    bytes.as_chunks::<8>().0.iter().map(|limb| u64::from_le_bytes(*limb)).collect();
                let counts = Counts { elements: u64::MAX, ..Counts::default() };
                let sum = Sum::from_parts(dtype, term, counts, &limbs).expect("just so many");
                assert_eq!(to_big(&sum) >> (ONE as i32 + unit(dtype, term)), all);
            }
            assert_eq!(unit_exponent(dtype, term), unit(dtype, term), "{dtype} {term:?}");
        }
    }
}

#[test]
fn counts_from_outside_must_fit_together() {
    let from = |dtype, term, counts: [u64; 4]| {
        let limbs = vec![0; limb_count(dtype, term)];
        Sum::from_parts(dtype, term, Counts::from_array(counts), &limbs).map(|_| ())
    };
    let refused = |elements| Err(InvalidState::Counts { elements });
    for term in TERMS {
        assert_eq!(from(DType::F32, term, [3, 1, 2, 0]), Ok(()));
        assert_eq!(from(DType::F32, term, [2, 1, 2, 0]), refused(2));
        // Magnitudes and squares have no sign.
        let signed = matches!(term, Term::Value | Term::Product);
        let expected = if signed { Ok(()) } else { refused(2) };
        assert_eq!(from(DType::F64, term, [2, 1, 0, 1]), expected, "{term:?}");
        // Three counts whose sum is past 64 bits.
        assert_eq!(from(DType::F64, term, [9, u64::MAX, u64::MAX, 0]), refused(9));
        // Integers are never special.
        assert_eq!(from(DType::I32, term, [3, 1, 0, 0]), refused(3));
        assert_eq!(from(DType::Bool, term, [3, 0, 1, 0]), refused(3));
    }
    let wrong = [0; 7];
    let short = Sum::from_parts(DType::F32, Term::Value, Counts::default(), &wrong);
    assert_eq!(short, Err(InvalidState::Short));
}

#[test]
fn few_bytes_spell_what_is_mostly_zeros() {
    let length = |dtype, term, elements: &[(u64, u64)]| {
        let mut bytes = Vec::new();
        sum_of(dtype, term, elements).encode(&mut bytes);
        bytes.len()
    };
    for dtype in DType::ALL {
        for term in TERMS {
            assert_eq!(length(dtype, term, &[]), 6, "{dtype} {term:?}");
        }
    }
    // One limb of 34, whatever its sign.
    assert_eq!(length(DType::F64, Term::Value, &[(1.0_f64.to_bits(), 0)]), 14);
    assert_eq!(length(DType::F64, Term::Value, &[((-1.0_f64).to_bits(), 0)]), 14);
    assert_eq!(length(DType::I8, Term::Value, &[(0xff, 0)]), 14);
    // The highest bit of a limb is no sign yet.
    assert_eq!(length(DType::U64, Term::Value, &[(u64::MAX, 0)]), 14);
    assert_eq!(length(DType::I64, Term::Magnitude, &[(i64::MIN as u64, 0)]), 14);
    assert_eq!(length(DType::I64, Term::Product, &[(i64::MIN as u64, u64::MAX)]), 22);
}
