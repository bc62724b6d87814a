use std::cmp::Ordering;

use adsum::op::BINS_MAX;
use adsum::reduction::bins::BinCounts;
use adsum::reduction::extremum::Extremum;
use adsum::rounds::edges::{Edges, EdgesError, Histogram, OtherBins, Range};
use adsum::{DType, Value};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::elements::{Many, Real, any_dtype, cases, compare, count, data, element, real};

/// The histogram by comparing every element with every edge.
fn naive(dtype: DType, edges: &[Value], data: &[Many]) -> Histogram {
    let edges: Vec<Real> =
        edges.iter().map(|edge| real(DType::F64, edge.as_f64().unwrap().to_bits())).collect();
    let bins = edges.len() - 1;
    let mut histogram = Histogram { counts: vec![0; bins], below: 0, above: 0, nan: 0 };
    for &(bits, many) in data {
        let element = real(dtype, bits);
        if element == Real::Nan {
            histogram.nan += many;
            continue;
        }
        let at_least = |edge: &Real| compare(&element, edge) != Ordering::Less;
        let fits = |bin: usize| {
            let end = if bin + 1 == bins { Ordering::Equal } else { Ordering::Less };
            at_least(&edges[bin]) && compare(&element, &edges[bin + 1]) <= end
        };
        match (0..bins).find(|&bin| fits(bin)) {
            Some(bin) => histogram.counts[bin] += many,
            None if at_least(&edges[0]) => histogram.above += many,
            None => histogram.below += many,
        }
    }
    histogram
}

fn histogram(edges: &Edges, dtype: DType, data: &[Many]) -> Histogram {
    let bins = edges.bins();
    assert!(bins.is_valid());
    edges.histogram(&count(dtype, &bins, data)).unwrap()
}

/// Edges near elements of the type, and far from all of them.
fn edge(dtype: DType) -> impl Strategy<Value = f64> {
    let near = element(dtype).prop_map(move |bits| {
        let value = Value::of(dtype, bits);
        value.as_f64().or(value.as_i128().map(|integer| integer as f64)).unwrap()
    });
    let step = prop::sample::select(vec![0.0, 0.5, -0.5, 5e-324, -5e-324]);
    let other = prop::sample::select(vec![
        0.0,
        -0.0,
        5e-324,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9e15,
        1.8e19,
        -9.3e18,
    ]);
    let near = (near, step).prop_map(|(edge, step)| edge + step);
    prop_oneof![3 => near, 1 => other, 1 => -300.0..300.0_f64]
        .prop_filter("edges are numbers", |edge| !edge.is_nan())
}

fn ordered_edges(dtype: DType) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(edge(dtype), 2..12).prop_map(|mut edges| {
        edges.sort_by(|a, b| a.partial_cmp(b).unwrap());
        edges
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn explicit_bins_compare_exactly(
        (dtype, edges, data) in any_dtype()
            .prop_flat_map(|dtype| (Just(dtype), ordered_edges(dtype), data(dtype))),
    ) {
        let made = Edges::explicit(dtype, &edges).unwrap();
        let values: Vec<Value> = edges.iter().map(|&edge| Value::float64(edge)).collect();
        prop_assert_eq!(made.values(), values);
        prop_assert_eq!(histogram(&made, dtype, &data), naive(dtype, made.values(), &data));
    }

    #[test]
    fn linear_bins_compare_exactly(
        (dtype, low, high, bins, data) in any_dtype()
            .prop_flat_map(|dtype| {
                (Just(dtype), edge(dtype), edge(dtype), 1..40_usize, data(dtype))
            }),
    ) {
        let range = Range::Given { low: low.min(high), high: low.max(high) };
        if let Ok(made) = Edges::linear(dtype, range, bins) {
            prop_assert_eq!(histogram(&made, dtype, &data), naive(dtype, made.values(), &data));
        }
    }

    /// Over the range of the data nothing is left out but NaN, and inner edges
    /// compare exactly.
    #[test]
    fn bins_over_the_data_hold_all_of_it(
        (dtype, bins, data) in any_dtype()
            .prop_flat_map(|dtype| (Just(dtype), 1..40_usize, data(dtype))),
    ) {
        let mut data = data;
        data.retain(|&(bits, _)| !matches!(real(dtype, bits), Real::Infinite(_)));
        let mut extremum = Extremum::identity(dtype, false);
        data.iter().for_each(|&(bits, _)| extremum.add(bits, 0));
        let range = Range::of(&extremum.without_nan());
        if let Ok(made) = Edges::linear(dtype, range, bins) {
            let found = histogram(&made, dtype, &data);
            prop_assert_eq!((found.below, found.above), (0, 0));
            let mut expected = naive(dtype, made.values(), &data);
            expected.counts[0] += std::mem::take(&mut expected.below);
            expected.counts[bins - 1] += std::mem::take(&mut expected.above);
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn edges_are_those_of_numpy() {
    let recorded: Vec<Json> =
        serde_json::from_str(include_str!("../data/edges.json")).expect("a list of cases");
    assert!(recorded.len() > 1000, "only {} cases", recorded.len());
    for case in recorded {
        let dtype: DType = case["dtype"].as_str().unwrap().parse().unwrap();
        let words = |name: &str| -> Option<Vec<u64>> {
            let words = case[name].as_array()?.iter();
            Some(
                words
                    .map(|word| u64::from_str_radix(word.as_str().unwrap(), 16).unwrap())
                    .collect(),
            )
        };
        let range = match (words("data"), words("range")) {
            (Some(data), None) => Range::Data { low: data[0], high: data[1] },
            (None, Some(range)) => {
                Range::Given { low: f64::from_bits(range[0]), high: f64::from_bits(range[1]) }
            }
            _ => panic!("{case}: one of both"),
        };
        let bins = case["bins"].as_u64().unwrap() as usize;
        let made = Edges::linear(dtype, range, bins);
        let Some(name) = case["edges"].as_str() else {
            assert!(made.is_err(), "{case}: {:?}", made.map(|edges| edges.values().to_vec()));
            continue;
        };
        let made = made.unwrap_or_else(|error| panic!("{case}: {error}"));
        let edges: Vec<u64> = made
            .values()
            .iter()
            .map(|value| {
                assert_eq!(value.dtype_name(), name, "{case}");
                u64::from_str_radix(&value.bits()[2..], 16).unwrap()
            })
            .collect();
        assert_eq!(edges.len(), bins + 1, "{case}");
        match words("bits") {
            Some(expected) => assert!(edges == expected, "{case}: {edges:x?}"),
            None => {
                let fold = |state: u64, word: &u64| (state ^ word).wrapping_mul(0x100_0000_01b3);
                let hash = edges.iter().fold(0xcbf2_9ce4_8422_2325, fold);
                assert_eq!(format!("{hash:x}"), case["hash"].as_str().unwrap(), "{case}");
            }
        }
    }
}

#[test]
fn edges_that_cannot_be_are_refused() {
    let linear = |low, high, bins| Edges::linear(DType::F32, Range::Given { low, high }, bins);
    let explicit = |edges: &[f64]| Edges::explicit(DType::F32, edges);
    let nan = f64::NAN;
    let refused = [
        (linear(0.0, 1.0, 0), "a histogram of 0 bins cannot be made; give 1 to 65536 bins"),
        (linear(0.0, nan, 3), "the range from 0 to NaN is not finite; give finite ends"),
        (linear(1.0, 0.0, 3), "the range from 1 to 0 falls; give the lower end first"),
        (explicit(&[1.0]), "1 edges make no histogram; give 2 to 65537 edges"),
        (explicit(&[1.0, nan]), "edge 1 is nan; give numbers"),
        (
            explicit(&[1.0, 2.0, 1.5]),
            "edge 2 is 1.5, below the one before it, 2; give edges in order",
        ),
        (
            linear(16777216.0, 16777217.0, 2),
            "2 bins from 16777216 to 16777217 are too narrow or too wide for float32 edges; give fewer bins, another range, or the edges",
        ),
    ];
    for (refused, message) in refused {
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
    assert_eq!(linear(0.0, 1.0, BINS_MAX + 1), Err(EdgesError::Bins { bins: BINS_MAX + 1 }));
    let infinite = Range::Data { low: 0, high: f32::INFINITY.to_bits().into() };
    assert!(matches!(
        Edges::linear(DType::F32, infinite, 3),
        Err(EdgesError::DataNotFinite { .. })
    ));
    let edges = linear(0.0, 1.0, 2).unwrap();
    let other = BinCounts::identity(DType::F64, &edges.bins());
    assert_eq!(edges.histogram(&other), Err(OtherBins));
}

/// Where edges lie beside all that a type can hold.
#[test]
fn edges_past_the_type_leave_their_bins_empty() {
    let data: Vec<Many> = (0..=255).map(|bits| (bits, 1)).collect();
    let counts = |edges: &[f64]| {
        let histogram = histogram(&Edges::explicit(DType::I8, edges).unwrap(), DType::I8, &data);
        (histogram.below, histogram.counts, histogram.above)
    };
    assert_eq!(counts(&[-1e9, -500.0, 0.0, 1e9, 2e9]), (0, vec![0, 128, 128, 0], 0));
    assert_eq!(counts(&[-1e9, -500.0]), (0, vec![0], 256));
    assert_eq!(counts(&[500.0, 1e9, f64::INFINITY]), (256, vec![0, 0], 0));
    assert_eq!(counts(&[0.25, 0.5, 0.75]), (129, vec![0, 0], 127));
    assert_eq!(counts(&[127.0, 127.0]), (255, vec![1], 0));
    assert_eq!(counts(&[f64::NEG_INFINITY, f64::INFINITY]), (0, vec![256], 0));
}
