//! What every reduction is, by big integers and plain comparisons: the oracle
//! that every backend is held to.
//!
//! It shares no code with the crate's reductions. What it finds out is put into
//! the crate's states by their public constructors, which check it, so that
//! partials can be compared byte for byte.

#![allow(dead_code, reason = "each test file uses its part of the helpers")]
#![allow(unused_imports, reason = "each test file uses its part of the helpers")]

mod element;
mod order;
mod result;
mod sum;
mod tree;

use adsum::reduction::State;
use adsum::{DType, Monoid, Partial, Spec};

pub use element::Format;
pub use order::key;
pub use result::result;
pub use sum::{Exact, sum, sum_bits_f32, sum_bits_f64};
pub use tree::product_bits;

/// Little-endian elements of one output, with their places.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    pub dtype: DType,
    pub bytes: &'a [u8],
    /// The second data set of products.
    pub second: Option<&'a [u8]>,
    places: Places<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Places<'a> {
    From(u64),
    These(&'a [u64]),
}

impl<'a> Data<'a> {
    /// Elements at the places from zero on.
    pub fn new(dtype: DType, bytes: &'a [u8]) -> Data<'a> {
        Data { dtype, bytes, second: None, places: Places::From(0) }
    }

    /// With the second data set of products.
    pub fn with_second(self, second: &'a [u8]) -> Data<'a> {
        Data { second: Some(second), ..self }
    }

    /// At the places from `first` on.
    pub fn starting_at(self, first: u64) -> Data<'a> {
        Data { places: Places::From(first), ..self }
    }

    /// At these places, one for each element.
    pub fn at_places(self, places: &'a [u64]) -> Data<'a> {
        Data { places: Places::These(places), ..self }
    }

    fn place(&self, number: usize) -> u64 {
        match self.places {
            Places::From(first) => first + number as u64,
            Places::These(places) => places[number],
        }
    }
}

/// The state of one monoid.
pub fn state(monoid: &Monoid, data: &Data<'_>) -> State {
    match monoid {
        Monoid::Sum(term) => Exact::of(*term, data).state(),
        Monoid::Extremum { indexed } => order::extremum(data, *indexed),
        Monoid::Tally => order::tally(data),
        Monoid::Product => order::product(data),
        Monoid::Tree => tree::tree(data),
        Monoid::Bits => order::bits(data),
        Monoid::Bins(bins) => order::bins(data, bins),
        Monoid::Multiset { elements_max } => order::multiset(data, *elements_max),
    }
}

/// The partial of one output.
pub fn partial(spec: &Spec, data: &Data<'_>) -> Partial {
    let states = spec.monoids.iter().map(|monoid| state(monoid, data)).collect();
    Partial::from_states(spec, states)
}

/// The partial of a whole array of shape `(outer, reduced, inner)`, the last
/// axis fastest, reduced along the middle one; the places along it start at
/// those of `data`.
pub fn partial_along(spec: &Spec, shape: [usize; 3], data: &Data<'_>) -> Partial {
    let [outer, reduced, inner] = shape;
    let size = data.dtype.size_bytes();
    assert_eq!(data.bytes.len(), outer * reduced * inner * size, "the shape of the data");
    let mut states = Vec::new();
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let column = |bytes: &[u8]| -> Vec<u8> {
            let numbers = (0..reduced).map(|k| (o * reduced + k) * inner + i);
            numbers.flat_map(|n| bytes[n * size..(n + 1) * size].to_vec()).collect()
        };
        let (bytes, second) = (column(data.bytes), data.second.map(column));
        let line = Data { bytes: &bytes, second: second.as_deref(), ..*data };
        states.extend(spec.monoids.iter().map(|monoid| state(monoid, &line)));
    }
    Partial::from_states(spec, states)
}

/// The places in C order of an array's elements as they lie in Fortran order.
pub fn fortran_places(shape: &[u64]) -> Vec<u64> {
    let mut places = Vec::new();
    let mut at = vec![0; shape.len()];
    for _ in 0..shape.iter().product() {
        places.push(at.iter().zip(shape).fold(0, |place, (i, length)| place * length + i));
        // The first axis turns fastest.
        for (i, &length) in at.iter_mut().zip(shape) {
            *i += 1;
            if *i < length {
                break;
            }
            *i = 0;
        }
    }
    places
}

#[test]
fn the_oracle_rounds_two_terms_as_hardware_adds_them() {
    let doubles = [1.0, 0.1, -0.1, 1e16, 3.0, f64::MAX, 5e-324, -2.3e-308, 2f64.powi(53), -1e308];
    // An exact zero is +0 here, so -0 + -0 is too: hence the added zero.
    for a in doubles {
        for b in doubles {
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            assert_eq!(sum_bits_f64(&bytes), (a + b + 0.0).to_bits(), "{a} + {b}");
            let (a, b) = (a as f32, b as f32);
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            let expected = if (a + b).is_nan() { 0x7fc0_0000 } else { (a + b + 0.0).to_bits() };
            assert_eq!(sum_bits_f32(&bytes), expected, "{a} + {b}");
        }
        assert_eq!(sum(DType::F64, &a.to_le_bytes()).f32_bits(), (a as f32).to_bits());
    }
}

#[test]
fn the_oracle_rounds_roots_ratios_and_16_bits_as_hardware_does() {
    use adsum::Op;
    for (a, b) in [(3.0, 4.0), (0.1, 0.2), (1e-200, 3e-200), (1e200, 7e199), (2.0, 1.5)] {
        let a: f64 = a;
        let one = a.to_le_bytes();
        let two = [a.to_le_bytes(), f64::to_le_bytes(b)].concat();
        let of =
            |op, bytes: &[u8], output| result(op, &Data::new(DType::F64, bytes), false, 0, output);
        assert_eq!(of(Op::L2, &one, DType::F64), a.to_bits());
        assert_eq!(of(Op::Mean, &two, DType::F64), ((a + b) / 2.0).to_bits());
        // Half the distance is exact, unlike its square root's square.
        assert_eq!(of(Op::Std, &two, DType::F64), ((a - b) / 2.0).abs().to_bits());
        let half = half::f16::from_f64(a).to_bits();
        assert_eq!(of(Op::Sum, &one, DType::F16), u64::from(half));
        let bfloat = half::bf16::from_f64(a).to_bits();
        assert_eq!(of(Op::Sum, &one, DType::BF16), u64::from(bfloat));
    }
}
