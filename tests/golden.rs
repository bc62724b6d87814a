//! The bytes of partials, recorded in `tests/golden/partials.json` for who reads them with
//! other programs: a change of the format must be meant, and change its version.
//!
//! `ADSUM_WRITE_GOLDEN=1 cargo test --test golden` writes the file.

use std::path::Path;

use adsum::op::{Bins, Monoid, Spec, Term};
use adsum::partial::FORMAT_VERSION;
use adsum::reduction::{Element, key};
use adsum::{DType, Partial};
use serde_json::{Value, json};

/// Elements by their bits, in the order of their places; element `i` is of output
/// `i % outputs`.
struct Case {
    name: &'static str,
    spec: Spec,
    outputs: usize,
    elements: Vec<u64>,
    /// Of the second data set, for products of two.
    seconds: Vec<u64>,
    first_index: u64,
}

impl Case {
    fn new(name: &'static str, dtype: DType, monoids: &[Monoid], elements: &[u64]) -> Case {
        let spec = Spec { dtype, monoids: monoids.to_vec() };
        let elements = elements.to_vec();
        Case { name, spec, outputs: 1, elements, seconds: Vec::new(), first_index: 0 }
    }

    fn partial(&self) -> Partial {
        let mut partial = Partial::identity(&self.spec, self.outputs);
        for (number, &bits) in self.elements.iter().enumerate() {
            let second = self.seconds.get(number).copied().unwrap_or(0);
            let index = self.first_index + (number / self.outputs) as u64;
            let states = partial.states_mut(number % self.outputs);
            states.iter_mut().for_each(|state| state.add(Element { bits, second, index }));
        }
        partial
    }

    fn to_json(&self) -> Value {
        let partial = self.partial();
        let bytes: String = partial.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = |all: &[u64]| all.iter().map(|bits| format!("{bits:#x}")).collect::<Vec<_>>();
        json!({
            "name": self.name,
            "dtype": self.spec.dtype.name(),
            "states": self.spec.monoids.iter().map(name).collect::<Vec<_>>(),
            "outputs": self.outputs,
            "elements": hex(&self.elements),
            "seconds": hex(&self.seconds),
            "first_index": self.first_index,
            "bytes": bytes,
            "int64": partial.to_portable().ok(),
        })
    }
}

fn name(monoid: &Monoid) -> &'static str {
    match monoid {
        Monoid::Sum(Term::Value) => "sum of values",
        Monoid::Sum(Term::Magnitude) => "sum of magnitudes",
        Monoid::Sum(Term::Square) => "sum of squares",
        Monoid::Sum(Term::Product) => "sum of products",
        Monoid::Extremum { indexed: false } => "extremum",
        Monoid::Extremum { indexed: true } => "extremum with places",
        Monoid::Tally => "tally",
        Monoid::Product => "product",
        Monoid::Tree => "tree",
        Monoid::Bits => "bits",
        Monoid::Bins(_) => "bins",
        Monoid::Multiset { .. } => "multiset",
    }
}

fn cases() -> Vec<Case> {
    let value = Monoid::Sum(Term::Value);
    let sum = std::slice::from_ref(&value);
    let square = Monoid::Sum(Term::Square);
    let doubles = |all: &[f64]| all.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    let special = doubles(&[1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 2.5]);
    let wide = doubles(&[1e16, 1.0, -1e16, 5e-324, f64::MAX, -f64::MAX]);
    let some = doubles(&[3.0, -1.5, 0.0, 0.1, -7.25]);
    let bytes = |all: &[i8]| all.iter().map(|&number| u64::from(number as u8)).collect::<Vec<_>>();
    let key = |number: f64| key::key(DType::F64, number.to_bits()).expect("it is no NaN");
    let bins = Bins { lower: [key(-2.0), key(0.0), key(1.0)].into(), last: key(2.0) };
    let f64 = DType::F64;
    let dot = [Monoid::Sum(Term::Product)];
    vec![
        Case::new("no elements", f64, sum, &[]),
        Case::new("1.5 of float32", DType::F32, sum, &[0x3fc0_0000]),
        Case::new("numbers that cancel", f64, sum, &wide),
        Case::new("NaN and infinities", f64, sum, &special),
        Case::new("below zero", f64, sum, &doubles(&[-0.1, -0.2, -0.3])),
        Case::new("float16", DType::F16, sum, &[0x3c00, 0x0001, 0xfbff]),
        Case::new("bfloat16", DType::BF16, sum, &[0x3f80, 0x0001, 0xff7f]),
        Case::new("int8", DType::I8, sum, &bytes(&[-128, -128, 127, -5])),
        Case::new("int64 past 64 bits", DType::I64, sum, &[1 << 63, 1 << 63, 1 << 63]),
        Case::new("uint64 past 64 bits", DType::U64, sum, &[u64::MAX, u64::MAX, 7]),
        Case::new("bool", DType::Bool, sum, &[1, 0, 1, 1]),
        Case::new("magnitudes", f64, &[Monoid::Sum(Term::Magnitude)], &some),
        Case::new("squares", f64, std::slice::from_ref(&square), &some),
        Case::new("variance", f64, &[value.clone(), square.clone()], &some),
        Case {
            seconds: doubles(&[0.5, 1e300, 2.0, -3.0, 1e-300]),
            ..Case::new("products of two", f64, &dot, &some)
        },
        Case::new("extremes", f64, &[Monoid::Extremum { indexed: false }], &some),
        Case {
            first_index: 100,
            ..Case::new(
                "extremes with places",
                f64,
                &[Monoid::Extremum { indexed: true }],
                &special,
            )
        },
        Case::new(
            "extremes of int8",
            DType::I8,
            &[Monoid::Extremum { indexed: true }],
            &bytes(&[3, -4, 3, -4]),
        ),
        Case::new("tally", f64, &[Monoid::Tally], &special),
        Case::new("product of int8", DType::I8, &[Monoid::Product], &bytes(&[3, 0, -4, -128])),
        Case {
            first_index: 1,
            ..Case::new("product of floats from place 1", f64, &[Monoid::Tree], &some)
        },
        Case::new("bits", DType::U8, &[Monoid::Bits], &[0b1100, 0b1010, 0b1111]),
        Case::new("bins", f64, &[Monoid::Bins(bins)], &[&some[..], &special].concat()),
        Case::new(
            "multiset",
            f64,
            &[Monoid::Multiset { elements_max: 11 }],
            &[&some[..], &special].concat(),
        ),
        Case {
            outputs: 2,
            ..Case::new("two outputs", f64, &[value, square], &[&some[..], &wide].concat())
        },
    ]
}

#[test]
fn partials_have_the_bytes_that_were_recorded() {
    let cases: Vec<Value> = cases().iter().map(Case::to_json).collect();
    let got = json!({ "format_version": FORMAT_VERSION, "cases": cases });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/partials.json");
    if std::env::var_os("ADSUM_WRITE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&got).expect("plain JSON");
        std::fs::write(&path, text + "\n").expect("a file that can be written");
    }
    let text = std::fs::read_to_string(&path).expect("tests/golden/partials.json");
    let recorded: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(recorded["format_version"], got["format_version"]);
    let recorded = recorded["cases"].as_array().expect("a list of cases");
    assert_eq!(recorded.len(), cases.len());
    for (recorded, got) in recorded.iter().zip(&cases) {
        assert_eq!(
            recorded, got,
            "the format has changed: docs/partial-format.md and FORMAT_VERSION must, too"
        );
    }
}

#[test]
fn recorded_bytes_lead_back_to_their_partials() {
    for case in cases() {
        let partial = case.partial();
        assert_eq!(Partial::from_bytes(&partial.to_bytes()), Ok(partial), "{}", case.name);
    }
}
