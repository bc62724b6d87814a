//! The CPU backend against big integers and plain comparisons, byte for byte.

mod data_kinds;
mod oracle;

#[path = "cpu/axes.rs"]
mod axes;
#[path = "cpu/bounds.rs"]
mod bounds;
#[path = "cpu/lines.rs"]
mod lines;

use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::backend::{Backend, Place, Run};
use adsum::{DType, Layout, Partial, Spec};

/// Little-endian elements from place 0 on, as one run; the second data set is
/// there for products.
fn reduce(spec: &Spec, bytes: &[u8], second: &[u8]) -> Partial {
    let mut backend = CpuBackend::new(TILE_BYTES);
    add(&mut backend, spec, 0, bytes, second);
    flush(&mut backend, spec)
}

/// Adds little-endian elements of one output from a place on.
fn add(backend: &mut CpuBackend, spec: &Spec, first: u64, bytes: &[u8], second: &[u8]) {
    let layout = Layout::little(spec.dtype);
    let place = Place::line(bytes.len() / spec.dtype.size_bytes(), first);
    let run = Run { layout, bytes, second: Some((layout, second)), place };
    backend.add(spec, 1, &run).expect("the CPU does not fail");
}

fn flush(backend: &mut CpuBackend, spec: &Spec) -> Partial {
    backend.flush(spec, 1).expect("the CPU does not fail")
}

/// Panics unless a partial and its bytes are those of the oracle.
#[track_caller]
fn check(partial: &Partial, expected: &Partial, what: &str) {
    assert!(
        partial == expected && partial.to_bytes() == expected.to_bytes(),
        "{what}: {partial:?} is not {expected:?}"
    );
}

/// All kinds of data of a type, each with the second data set of its products.
fn pairs_of_kinds(dtype: DType, elements: usize, seed: u64) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let kinds: Vec<(String, Vec<u8>)> = data_kinds::all_kinds(dtype, elements, seed).collect();
    let second = |number: usize| kinds[(number + 3) % kinds.len()].1.clone();
    kinds
        .iter()
        .enumerate()
        .map(|(number, (name, bytes))| (name.clone(), bytes.clone(), second(number)))
        .collect()
}
