use adsum::op::Bins;
use adsum::reduction::bins::BinCounts;
use adsum::rounds::Method;
use adsum::rounds::quantile::{AbsorbError, QuantileError, Quantiles, SHARES_MAX, Search};
use adsum::{DType, Value};
use num_bigint::BigInt;
use proptest::prelude::*;

use crate::elements::{
    Many, Real, any_dtype, cases, compare, count, data, format, infinity, nearest, real, width,
};

/// Makes all rounds; the quantiles and how many rounds there were.
fn search(mut search: Search, dtype: DType, data: &[Many]) -> (Result<Quantiles, String>, usize) {
    let mut rounds = 0;
    while let Some(bins) = search.next() {
        assert!(bins.is_valid() && bins.lower.windows(2).all(|pair| pair[0] < pair[1]));
        search.absorb(&count(dtype, &bins, data)).unwrap();
        rounds += 1;
        assert!(rounds < 20, "too many rounds");
    }
    (search.finish().map_err(|error| error.to_string()), rounds)
}

/// One quantile by sorting, or `None` if it is NaN.
fn oracle(
    dtype: DType,
    data: &[Many],
    share: f64,
    method: Method,
    skip_nan: bool,
    output: DType,
) -> Option<u64> {
    let is_nan = |&&(bits, _): &&Many| real(dtype, bits) == Real::Nan;
    if !skip_nan && data.iter().any(|many| is_nan(&many)) {
        return None;
    }
    let mut sorted: Vec<Many> = data.iter().filter(|many| !is_nan(many)).copied().collect();
    let negative = |bits: u64| dtype.is_float() && bits >> (width(dtype) - 1) != 0;
    sorted.sort_by(|a, b| {
        let order = compare(&real(dtype, a.0), &real(dtype, b.0));
        order.then(negative(b.0).cmp(&negative(a.0)))
    });
    let elements: u64 = sorted.iter().map(|(_, many)| many).sum();
    if elements == 0 {
        return None;
    }
    let at = |rank: u64| {
        let mut left = rank;
        for &(bits, many) in &sorted {
            match left.checked_sub(many) {
                Some(rest) => left = rest,
                None => return bits,
            }
        }
        panic!("rank {rank} of {elements}")
    };
    let Real::Finite(share) = real(DType::F64, share.to_bits()) else { panic!("a finite share") };
    let one = BigInt::from(1) << 1074;
    let position = share * BigInt::from(elements - 1);
    let low: BigInt = &position / &one;
    let way: BigInt = &position % &one;
    let low = u64::try_from(low).unwrap();
    let high = low + u64::from(way != BigInt::ZERO);
    let (a, b) = (at(low), at(high));
    let half = &one / 2;
    let (a, b, way) = match method {
        Method::Linear => (a, b, way),
        Method::Midpoint if low != high => (a, b, half),
        Method::Midpoint | Method::Lower => (a, a, BigInt::ZERO),
        Method::Higher => (b, b, BigInt::ZERO),
        Method::Nearest => {
            let down = way < half || (way == half && low % 2 == 0);
            let taken = if down { a } else { b };
            (taken, taken, BigInt::ZERO)
        }
    };
    if a == b || way == BigInt::ZERO {
        if dtype == output {
            return Some(a);
        }
        let sign = 1_u64 << (width(output) - 1);
        return Some(match real(dtype, a) {
            Real::Infinite(negative) => infinity(output)? | if negative { sign } else { 0 },
            Real::Finite(value) if value == BigInt::ZERO && negative(a) => sign,
            Real::Finite(value) => nearest(&value, 1074, output),
            Real::Nan => panic!("NaN was left out"),
        });
    }
    match (real(dtype, a), real(dtype, b)) {
        (Real::Infinite(_), Real::Infinite(_)) => None,
        (Real::Infinite(_), _) => Some(infinity(output)? | 1 << (width(output) - 1)),
        (_, Real::Infinite(_)) => infinity(output),
        (Real::Finite(a), Real::Finite(b)) => {
            Some(nearest(&(&a * &one + (b - a) * way), 2148, output))
        }
        _ => panic!("NaN was left out"),
    }
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..=1.0_f64,
        2 => (1..20_u64, 0..20_u64).prop_map(|(n, k)| k.min(n) as f64 / n as f64),
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, 0.5, 5e-324, 1.0 - f64::EPSILON / 2.0]),
        1 => (0..1023_u64 << 52).prop_map(f64::from_bits),
    ]
}

fn output(dtype: DType, method: Method, asked: u8) -> Option<DType> {
    match asked {
        0 => Some(DType::F64),
        1 => Some(DType::F32),
        2 => Some(DType::F16),
        3 => Some(DType::BF16),
        4 if method.is_element() => Some(dtype),
        _ => None,
    }
}

fn question() -> impl Strategy<Value = (DType, Vec<Many>, Vec<f64>, Method, bool, Option<DType>)> {
    let method = prop::sample::select(Method::ALL.to_vec());
    (any_dtype(), method, any::<bool>(), 0..12_u8).prop_flat_map(|(dtype, method, skip, asked)| {
        let output = output(dtype, method, asked);
        let shares = prop_oneof![
            4 => prop::collection::vec(share(), 1..4),
            1 => prop::collection::vec(share(), 4..40),
        ];
        (Just(dtype), data(dtype), shares, Just(method), Just(skip), Just(output))
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn quantiles_are_those_of_sorted_elements(
        (dtype, data, shares, method, skip_nan, asked) in question(),
    ) {
        let new = Search::new(dtype, &shares, method, skip_nan, asked).unwrap();
        let output = new.output();
        let (found, rounds) = search(new, dtype, &data);
        prop_assert!(rounds <= most_rounds(dtype, shares.len()), "{rounds} rounds");
        let expected: Vec<Option<u64>> = shares
            .iter()
            .map(|&share| oracle(dtype, &data, share, method, skip_nan, output))
            .collect();
        if format(output).is_none() && data.is_empty() {
            prop_assert_eq!(found, Err(QuantileError::Empty { output }.to_string()));
            return Ok(());
        }
        let found = found.unwrap();
        let nan = infinity(output).map(|bits| bits + (1 << (format(output).unwrap().0 - 2)));
        let expected: Vec<Value> = expected
            .into_iter()
            .map(|bits| Value::of(output, bits.or(nan).unwrap()))
            .collect();
        prop_assert_eq!(found.values, expected);
        prop_assert_eq!(found.elements, data.iter().map(|(_, many)| many).sum::<u64>());
    }

    /// Whatever a round has counted, nothing panics.
    #[test]
    fn counts_that_contradict_are_errors_or_quantiles(
        dtype in any_dtype(), shares in prop::collection::vec(share(), 1..6), seed in any::<u64>(),
    ) {
        let mut search = Search::new(dtype, &shares, Method::Linear, true, None).unwrap();
        let mut word = seed;
        let mut random = move |below: u64| {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (word >> 33) % below
        };
        while let Some(bins) = search.next() {
            let mut counts = vec![0; bins.lower.len()];
            for _ in 0..10 {
                counts[random(bins.lower.len() as u64) as usize] += 1;
            }
            // Ten elements in each round, some of them elsewhere.
            let (mut below, mut above) = (0, 0);
            for slot in counts.iter_mut().filter(|slot| **slot > 0) {
                match random(8) {
                    0 => below += std::mem::take(slot),
                    1 => above += std::mem::take(slot),
                    _ => {}
                }
            }
            let counts = BinCounts::from_parts(dtype, &bins, 0, below, above, counts).unwrap();
            let before = search.clone();
            if let Err(error) = search.absorb(&counts) {
                prop_assert_eq!(error, AbsorbError::Changed);
                prop_assert_eq!(search, before);
                return Ok(());
            }
        }
        search.finish().unwrap();
    }
}

fn most_rounds(dtype: DType, shares: usize) -> usize {
    match dtype.size_bytes() {
        1 | 2 => 1,
        4 => 3,
        _ if shares == 1 => 6,
        _ => 10,
    }
}

#[test]
fn one_block_takes_few_rounds() {
    let rounds = |dtype, shares: &[f64], data: &[Many]| {
        let new = Search::new(dtype, shares, Method::Linear, false, None).unwrap();
        search(new, dtype, data).1
    };
    assert_eq!(rounds(DType::Bool, &[0.5], &[(1, 7)]), 1);
    assert_eq!(rounds(DType::F16, &[0.1, 0.5, 0.9], &[(0x3c00, 3), (0xbc00, 9)]), 1);
    assert_eq!(rounds(DType::F32, &[0.5], &[(0x3f80_0000, 3), (0x3f80_0001, 3)]), 2);
    assert_eq!(rounds(DType::F64, &[0.5], &[(1, 3), (2, 3)]), 5);
    assert_eq!(rounds(DType::F64, &[0.5], &[(1, 3), (1 << 62, 3)]), 6);
    assert_eq!(rounds(DType::F64, &[0.5], &[]), 1);
    assert_eq!(rounds(DType::F64, &[0.5], &[(f64::NAN.to_bits(), 1), (1, 3)]), 1);
}

#[test]
fn as_many_shares_as_allowed_are_found() {
    let shares: Vec<f64> =
        (0..SHARES_MAX).map(|share| share as f64 / (SHARES_MAX - 1) as f64).collect();
    let mut data: Vec<Many> = (0..6000_u64)
        .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !(1 << 62), 1))
        .collect();
    for dtype in [DType::U64, DType::F64, DType::I32] {
        let mask = u64::MAX >> (64 - width(dtype));
        data.iter_mut().for_each(|(bits, _)| *bits &= mask);
        let new = Search::new(dtype, &shares, Method::Lower, false, None).unwrap();
        let (found, rounds) = search(new, dtype, &data);
        assert!(rounds <= 14, "{rounds}");
        let found = found.unwrap().values;
        for (index, &share) in shares.iter().enumerate().step_by(97) {
            let expected = oracle(dtype, &data, share, Method::Lower, false, dtype);
            assert_eq!(found[index], Value::of(dtype, expected.unwrap()), "{share}");
        }
    }
}

#[test]
fn quantiles_follow_numpy_where_it_is_exact() {
    let quantile = |data: &[f64], share, method| {
        let data: Vec<Many> = data.iter().map(|x| (x.to_bits(), 1)).collect();
        let new = Search::new(DType::F64, &[share], method, false, None).unwrap();
        search(new, DType::F64, &data).0.unwrap().values[0].as_f64().unwrap()
    };
    let data = [3.0, 1.0, 0.0, 4.0, 2.0];
    let expected = [
        (Method::Linear, 0.5, 1.5),
        (Method::Lower, 0.0, 1.0),
        (Method::Higher, 1.0, 2.0),
        (Method::Midpoint, 0.5, 1.5),
        (Method::Nearest, 0.0, 2.0),
    ];
    for (method, eighth, three_eighths) in expected {
        assert_eq!(quantile(&data, 0.125, method), eighth, "{method}");
        assert_eq!(quantile(&data, 0.375, method), three_eighths, "{method}");
    }
    // Where NumPy overflows or takes inf from inf.
    let (big, inf) = (1.7e308, f64::INFINITY);
    assert_eq!(quantile(&[-big, big], 0.5, Method::Linear), 0.0);
    assert_eq!(quantile(&[inf, inf], 0.5, Method::Linear), inf);
    assert_eq!(quantile(&[1.0, inf], 0.0, Method::Linear), 1.0);
    assert_eq!(quantile(&[1.0, inf], 0.75, Method::Linear), inf);
    assert_eq!(quantile(&[-inf, 1.0], 0.25, Method::Linear), -inf);
    assert!(quantile(&[-inf, inf], 0.25, Method::Linear).is_nan());
    assert!(quantile(&[-0.0, -0.0], 0.5, Method::Linear).is_sign_negative());
}

#[test]
fn questions_without_an_answer_are_refused() {
    let new = |dtype, shares: &[f64], output| {
        Search::new(dtype, shares, Method::Linear, false, output).map_err(|error| error.to_string())
    };
    let refused = [
        (new(DType::F32, &[], None), "0 quantiles cannot be found at once; ask for 1 to 2048"),
        (
            new(DType::F32, &[0.5, 1.5], None),
            "there is no quantile at 1.5; give numbers from 0 to 1",
        ),
        (
            new(DType::F32, &[f64::NAN], None),
            "there is no quantile at NaN; give numbers from 0 to 1",
        ),
        (
            new(DType::I8, &[0.5], Some(DType::I8)),
            "linear quantiles of int8 have no int8 form; use float32, float64, float16, bfloat16",
        ),
    ];
    for (refused, message) in refused {
        assert_eq!(refused.unwrap_err(), message);
    }
    assert!("cubic".parse::<Method>().is_err());
    for method in Method::ALL {
        assert_eq!(method.name().parse(), Ok(method));
    }
    let mut search = new(DType::U8, &[0.5], None).unwrap();
    let bins = search.next().unwrap();
    let other = Bins { lower: [0].into(), last: 255 };
    for counts in [BinCounts::identity(DType::I8, &bins), BinCounts::identity(DType::U8, &other)] {
        assert_eq!(search.absorb(&counts), Err(AbsorbError::OtherBins));
    }
    let counts = BinCounts::identity(DType::U8, &bins);
    search.absorb(&counts).unwrap();
    assert_eq!(search.absorb(&counts), Err(AbsorbError::OtherBins));
}
