//! Random arrays in random files, reduced in every way by this process, against
//! the oracle: shapes, element types, byte and memory orders, entries, tiles,
//! windows and threads are all chosen by proptest, which shrinks what fails.

#![cfg(feature = "files")]

mod oracle;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adsum::device::DeviceChoice;
use adsum::executor::Settings;
use adsum::local::{LocalNode, Observer};
use adsum::manifest::{Cut, Manifest, OutputOrder};
use adsum::source::{Options, open};
use adsum::{ByteOrder, DType, Monoid, Op, Partial, Spec};
use oracle::Data;
use proptest::prelude::*;

/// An array as a test thinks of it.
#[derive(Clone, Debug)]
struct Array {
    shape: Vec<usize>,
    /// Little-endian elements in C order.
    elements: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Case {
    dtype: DType,
    arrays: Vec<Array>,
    fortran: bool,
    byte_order: ByteOrder,
    op: Op,
    axis: Option<usize>,
    entry_bytes: u64,
    outputs_max: u64,
    window: u64,
    tile_bytes: u64,
    threads: usize,
    mapped: bool,
}

fn element(dtype: DType) -> impl Strategy<Value = Vec<u8>> {
    let size = dtype.size_bytes();
    let mask = u64::MAX >> (64 - 8 * size);
    let few = vec![0, 1, mask, mask >> 1, (mask >> 1) + 1, mask ^ (mask >> 4), 2, mask - 1];
    let word = prop_oneof![2 => any::<u64>(), 3 => prop::sample::select(few)];
    word.prop_map(move |word| match dtype {
        DType::Bool => vec![(word & 1) as u8],
        _ => word.to_le_bytes()[..size].to_vec(),
    })
}

fn array(dtype: DType, shape: Vec<usize>) -> impl Strategy<Value = Array> {
    let count = shape.iter().product::<usize>();
    prop::collection::vec(element(dtype), count)
        .prop_map(move |elements| Array { shape: shape.clone(), elements })
}

fn case() -> impl Strategy<Value = Case> {
    let ops = Op::ALL.into_iter().filter(|op| op.has_axis() && *op != Op::Quantile);
    let shape = prop::collection::vec(1..6_usize, 1..5);
    let firsts = prop::collection::vec(0..5_usize, 1..4);
    (
        prop::sample::select(DType::ALL.to_vec()),
        prop::sample::select(Vec::from_iter(ops)),
        shape,
        firsts,
    )
        .prop_filter("the operation takes the type", |(dtype, op, ..)| op.takes(*dtype))
        .prop_flat_map(|(dtype, op, shape, firsts)| {
            let axes = shape.len();
            let arrays: Vec<_> = firsts
                .into_iter()
                .map(|first| array(dtype, [&[first], &shape[1..]].concat()))
                .collect();
            let axis = match op {
                Op::Median => (0..axes).prop_map(Some).boxed(),
                _ => prop::option::of(0..axes).boxed(),
            };
            let how = (1..200_u64, 1..6_u64, 1..9_u64, 1..100_u64, 1..4_usize, any::<bool>());
            (Just((dtype, op)), arrays, axis, any::<(bool, bool)>(), how)
        })
        .prop_map(|((dtype, op), arrays, axis, (fortran, big), how)| {
            let (entry_bytes, outputs_max, window, tile_bytes, threads, mapped) = how;
            let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
            Case {
                dtype,
                arrays,
                fortran,
                byte_order,
                op,
                axis,
                entry_bytes,
                outputs_max,
                window,
                tile_bytes: tile_bytes + 7,
                threads,
                mapped,
            }
        })
}

/// The positions of an array's elements in the order in which they lie.
fn storage_order(shape: &[usize], fortran: bool) -> Vec<usize> {
    let count = shape.iter().product::<usize>();
    if !fortran {
        return (0..count).collect();
    }
    let c_index = |mut position: usize| {
        let (mut index, mut step) = (0, count);
        for &length in shape {
            step /= length;
            index += position % length * step;
            position /= length;
        }
        index
    };
    (0..count).map(c_index).collect()
}

fn write(case: &Case, array: &Array, path: &Path) {
    let kind = match case.dtype {
        DType::Bool => "b",
        DType::BF16 => unreachable!("is written raw"),
        dtype if dtype.is_float() => "f",
        dtype if dtype.is_signed() => "i",
        _ => "u",
    };
    let order = if case.byte_order == ByteOrder::Big { '>' } else { '<' };
    let shape: String = array.shape.iter().map(|length| format!("{length}, ")).collect();
    let fortran = if case.fortran { "True" } else { "False" };
    let mut header = format!(
        "{{'descr': '{order}{kind}{}', 'fortran_order': {fortran}, 'shape': ({shape}), }}",
        case.dtype.size_bytes()
    );
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    for position in storage_order(&array.shape, case.fortran) {
        let mut element = array.elements[position].clone();
        if case.byte_order == ByteOrder::Big {
            element.reverse();
        }
        file.extend(element);
    }
    std::fs::write(path, file).unwrap();
}

struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: u64) {}
    fn warning(&mut self, text: &str) {
        panic!("{text}");
    }
}

fn reduce(case: &Case, manifest: Manifest, spec: &Spec) -> Partial {
    let settings = Settings {
        devices: vec![DeviceChoice::Cpu],
        threads: case.threads,
        memory_bytes: 1 << 30,
        tile_bytes: Some(case.tile_bytes),
        map_files: case.mapped,
        input_bytes: None,
        remember_bytes: 0,
    };
    let mut node = LocalNode::start(&settings).unwrap();
    let deadline = Some(Duration::from_secs(60));
    let outcome = node.reduce(Arc::new(manifest), spec.clone(), deadline, &mut Silent).unwrap();
    outcome.total
}

/// All arrays as one, joined along the first axis.
fn joined(case: &Case) -> Array {
    let mut shape = case.arrays[0].shape.clone();
    shape[0] = case.arrays.iter().map(|array| array.shape[0]).sum();
    let elements = case.arrays.iter().flat_map(|array| array.elements.clone()).collect();
    Array { shape, elements }
}

fn check_number(case: &Case, manifest: Manifest, spec: &Spec) {
    let got = reduce(case, manifest, spec);
    // A product follows the elements as they lie, all else is in C order.
    let stored = spec.monoids == [Monoid::Tree] && case.fortran;
    let bytes: Vec<u8> = case
        .arrays
        .iter()
        .flat_map(|array| {
            let order = storage_order(&array.shape, stored);
            order.into_iter().flat_map(|position| array.elements[position].clone())
        })
        .collect();
    assert_eq!(got, oracle::partial(spec, &Data::new(case.dtype, &bytes)));
}

fn check_axis(case: &Case, manifest: &Manifest, spec: &Spec, axis: usize) {
    let whole = joined(case);
    let length = whole.shape[axis];
    let inner: usize = whole.shape[axis + 1..].iter().product();
    let outer: usize = whole.shape[..axis].iter().product();
    let order = OutputOrder::new(manifest.files(), axis).unwrap();
    let outputs = (outer * inner) as u64;
    let mut seen = vec![false; outputs as usize];
    let mut first = 0;
    while first < outputs {
        let end = outputs.min(first + case.window);
        let cut = Cut::Axis {
            entry_bytes: case.entry_bytes,
            axis: axis as u8,
            outputs: first..end,
            outputs_max: case.outputs_max,
        };
        let window = Manifest::cut(manifest.files().to_vec(), cut).unwrap();
        let got = reduce(case, window, spec);
        assert_eq!(got.outputs() as u64, end - first);
        for output in first..end {
            let position = order.position(output) as usize;
            assert!(!std::mem::replace(&mut seen[position], true), "output {position} twice");
            let (o, i) = (position / inner, position % inner);
            let bytes: Vec<u8> = (0..length)
                .flat_map(|k| whole.elements[(o * length + k) * inner + i].clone())
                .collect();
            let expected = oracle::partial(spec, &Data::new(case.dtype, &bytes));
            assert_eq!(got.states((output - first) as usize), expected.states(0), "{position}");
        }
        first = end;
    }
    assert!(seen.into_iter().all(|seen| seen));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_data_set_reduces_to_what_the_oracle_says(case in case()) {
        // No .npy type names bfloat16.
        prop_assume!(case.dtype != DType::BF16);
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<OsString> = (0..case.arrays.len())
            .map(|number| folder.path().join(format!("{number}.npy")).into_os_string())
            .collect();
        for (array, path) in case.arrays.iter().zip(&paths) {
            write(&case, array, Path::new(path));
        }
        let options = Options { raw: None, entry_bytes: Some(case.entry_bytes) };
        let manifest = open(&paths, &options).unwrap().manifest;
        let spec = match case.op {
            Op::Median => Spec::of(case.dtype, Monoid::Multiset { elements_max: 20 }),
            op => Spec { dtype: case.dtype, monoids: op.monoids(case.dtype) },
        };
        match case.axis {
            None => check_number(&case, manifest, &spec),
            Some(axis) => check_axis(&case, &manifest, &spec, axis),
        }
    }
}
