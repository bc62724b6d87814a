//! States of comparisons and counts, by comparing the numbers themselves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use adsum::DType;
use adsum::op::Bins;
use adsum::reduction::State;
use adsum::reduction::bins::BinCounts;
use adsum::reduction::bits::Bits;
use adsum::reduction::extremum::{Extremes, Extremum, Found};
use adsum::reduction::multiset::Multiset;
use adsum::reduction::product::Product;
use adsum::reduction::tally::Tally;

use super::Data;
use super::element::{Format, bits_of, float, integer};

fn is_nan(dtype: DType, bits: u64) -> bool {
    dtype.is_float() && float(dtype, bits).is_nan()
}

/// The order of two elements that are not NaN; -0 comes before +0.
fn compare(dtype: DType, a: u64, b: u64) -> Ordering {
    if !dtype.is_float() {
        return integer(dtype, a).cmp(&integer(dtype, b));
    }
    let (a, b) = (float(dtype, a), float(dtype, b));
    let order = a.partial_cmp(&b).expect("not NaN");
    order.then_with(|| a.is_sign_positive().cmp(&b.is_sign_positive()))
}

/// The order key of an element that is not NaN: how many bit patterns come
/// before it, where those of NaN keep their places at both ends.
pub fn key(dtype: DType, bits: u64) -> u64 {
    let Some(format) = Format::of(dtype) else {
        let below_zero = match dtype.is_signed() {
            true => 1_i128 << (8 * dtype.size_bytes() - 1),
            false => 0,
        };
        return (integer(dtype, bits) + below_zero) as u64;
    };
    match bits.checked_sub(format.sign()) {
        Some(magnitude) => format.sign() - 1 - magnitude,
        None => format.sign() + bits,
    }
}

/// The extremes, each with the lowest place that has it.
pub fn extremum(data: &Data<'_>, indexed: bool) -> State {
    let dtype = data.dtype;
    let (mut elements, mut nan, mut first_nan) = (0, 0, None);
    let mut extremes: Option<[(u64, u64); 2]> = None;
    for (number, bits) in bits_of(dtype, data.bytes).enumerate() {
        elements += 1;
        let place = if indexed { data.place(number) } else { 0 };
        if is_nan(dtype, bits) {
            nan += 1;
            if indexed {
                first_nan = Some(first_nan.map_or(place, |first: u64| first.min(place)));
            }
            continue;
        }
        let [min, max] = extremes.get_or_insert([(bits, place); 2]);
        let better = |found: &mut (u64, u64), wanted: Ordering| {
            let order = compare(dtype, bits, found.0);
            if order == wanted || (order == Ordering::Equal && place < found.1) {
                *found = (bits, place);
            }
        };
        better(min, Ordering::Less);
        better(max, Ordering::Greater);
    }
    let found = |(bits, index)| Found { key: key(dtype, bits), index };
    let extremes = extremes.map(|[min, max]| Extremes { min: found(min), max: found(max) });
    let state = Extremum::from_parts(dtype, indexed, elements, nan, first_nan, extremes);
    State::Extremum(state.expect("extremes"))
}

pub fn tally(data: &Data<'_>) -> State {
    let dtype = data.dtype;
    let count = |fits: &dyn Fn(u64) -> bool| {
        bits_of(dtype, data.bytes).filter(|&bits| fits(bits)).count() as u64
    };
    let nonzero = count(&|bits| match dtype.is_float() {
        true => float(dtype, bits) != 0.0,
        false => integer(dtype, bits) != 0,
    });
    let (elements, nan) = (count(&|_| true), count(&|bits| is_nan(dtype, bits)));
    State::Tally(Tally::from_parts(dtype, elements, nan, nonzero).expect("counts"))
}

/// The product of integers. It never falls, so once it is past 64 bits it
/// stays there, and its low 64 bits follow from those of the factors.
pub fn product(data: &Data<'_>) -> State {
    let dtype = data.dtype;
    let (mut elements, mut zeros, mut negatives) = (0, 0, 0);
    let (mut magnitude, mut overflowed) = (1_u128, false);
    for bits in bits_of(dtype, data.bytes) {
        let value = integer(dtype, bits);
        elements += 1;
        negatives += u64::from(value < 0);
        match value {
            0 => zeros += 1,
            _ => magnitude *= value.unsigned_abs(),
        }
        overflowed |= magnitude >= 1 << 64;
        magnitude %= 1 << 64;
    }
    let negative = negatives % 2 == 1;
    let state = Product::from_parts(dtype, elements, zeros, negative, magnitude as u64, overflowed);
    State::Product(state.expect("a product"))
}

pub fn bits(data: &Data<'_>) -> State {
    let all = || {
        bits_of(data.dtype, data.bytes).map(|bits| match data.dtype {
            DType::Bool => u64::from(bits != 0),
            _ => bits,
        })
    };
    let ones =
        if data.dtype == DType::Bool { 1 } else { u64::MAX >> (64 - 8 * data.dtype.size_bytes()) };
    let and = all().fold(ones, |a, b| a & b);
    let or = all().fold(0, |a, b| a | b);
    let xor = all().fold(0, |a, b| a ^ b);
    let state = Bits::from_parts(data.dtype, all().count() as u64, and, or, xor);
    State::Bits(state.expect("bits"))
}

/// Counts in intervals: an element belongs to the last one whose lower bound
/// is not above it.
pub fn bins(data: &Data<'_>, bins: &Bins) -> State {
    let dtype = data.dtype;
    let last_of_bound: BTreeMap<u64, usize> =
        bins.lower.iter().enumerate().map(|(bin, &bound)| (bound, bin)).collect();
    let (mut nan, mut below, mut above) = (0, 0, 0);
    let mut counts = vec![0; bins.lower.len()];
    for bits in bits_of(dtype, data.bytes) {
        if is_nan(dtype, bits) {
            nan += 1;
            continue;
        }
        let key = key(dtype, bits);
        match last_of_bound.range(..=key).next_back() {
            None => below += 1,
            Some((_, &bin)) if bin + 1 == counts.len() && key > bins.last => above += 1,
            Some((_, &bin)) => counts[bin] += 1,
        }
    }
    let state = BinCounts::from_parts(dtype, bins, nan, below, above, counts);
    State::Bins(state.expect("counts"))
}

/// How often each key is there.
pub fn multiset(data: &Data<'_>, elements_max: u32) -> State {
    let dtype = data.dtype;
    let (mut nan, mut keys) = (0, BTreeMap::new());
    for bits in bits_of(dtype, data.bytes) {
        match is_nan(dtype, bits) {
            true => nan += 1,
            false => *keys.entry(key(dtype, bits)).or_insert(0) += 1,
        }
    }
    let state = Multiset::from_parts(dtype, elements_max, nan, keys);
    State::Multiset(state.expect("a multiset"))
}
