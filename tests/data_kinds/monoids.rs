//! Every kind of state over elements of one type.

use adsum::op::Bins;
use adsum::{DType, Monoid, Term};

use super::Random;

/// All that take elements of this type; the sum of products, which needs a
/// second data set, is the last.
pub fn all_monoids(dtype: DType) -> Vec<Monoid> {
    let others = [
        Monoid::Sum(Term::Value),
        Monoid::Sum(Term::Magnitude),
        Monoid::Sum(Term::Square),
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Tree,
        Monoid::Bits,
    ];
    let bins = all_bins(dtype).into_iter().map(Monoid::Bins);
    let all = others.into_iter().chain(bins).filter(|monoid| monoid.takes(dtype));
    all.chain([Monoid::Sum(Term::Product)]).collect()
}

/// Intervals of keys: one, a few with equal bounds, thousands over all keys,
/// thousands in a narrow range, and as many as keys allow at random.
fn all_bins(dtype: DType) -> Vec<Bins> {
    let width = 8 * dtype.size_bytes() as u32;
    let most = u64::MAX >> (64 - width);
    let middle = most / 2 + 1;
    let spread = |from: u64, to: u64, count: u64| -> Vec<u64> {
        let place =
            |i: u64| from + (u128::from(to - from) * u128::from(i) / u128::from(count)) as u64;
        (0..count).map(place).collect()
    };
    let mut random = Random(77);
    let mut scattered: Vec<u64> = (0..500).map(|_| random.next() & most).collect();
    scattered.sort_unstable();
    let near = middle + most / 5;
    let bins = |lower: Vec<u64>, last| Bins { lower: lower.into(), last };
    vec![
        bins(vec![0], most),
        bins(vec![middle], middle),
        bins(vec![middle - 3, middle, middle, middle, near], near + 1),
        bins(spread(0, most, 2048), most),
        bins(spread(middle, near, 2048), near),
        bins(spread(middle + 5, middle + 5 + most / 100, 61), most - 1),
        bins(scattered, most - most / 50),
        bins(vec![most / 3; 10], most / 3),
    ]
}
