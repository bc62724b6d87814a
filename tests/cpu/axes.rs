//! Arrays reduced along an axis.

use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::backend::{Backend, Run};
use adsum::manifest::Block;
use adsum::site::Site;
use adsum::{ByteOrder, DType, Layout, Partial, Spec};

use super::data_kinds::{Random, all_monoids};
use super::oracle::{self, Data};
use super::{check, pairs_of_kinds};

/// Reduces an array along its middle axis, by runs of at most `run_elements`.
fn reduce(
    spec: &Spec,
    shape: [usize; 3],
    run_elements: u64,
    bytes: &[u8],
    second: (Layout, &[u8]),
) -> Partial {
    let [outer, reduced, inner] = shape.map(|length| length as u64);
    let block = Block { outer, reduced, inner, stride: inner };
    let site = Site { block, first_index: 12, fortran: None };
    let mut backend = CpuBackend::new(TILE_BYTES);
    let (all, size) = (outer * reduced * inner, spec.dtype.size_bytes());
    let mut runs = Vec::new();
    let mut start = 0;
    while start < all {
        let length = site.block_at(start..all, run_elements);
        runs.push(start..start + length);
        start += length;
    }
    let mut random = Random(run_elements);
    for i in (1..runs.len()).rev() {
        runs.swap(i, random.below(i + 1));
    }
    for run in runs {
        let place = site.place(run.clone());
        let cut = run.start as usize * size..run.end as usize * size;
        let second = spec.is_paired().then(|| (second.0, &second.1[cut.clone()]));
        let run = Run { layout: Layout::little(spec.dtype), bytes: &bytes[cut], second, place };
        backend.add(spec, site.outputs(), &run).expect("the CPU does not fail");
    }
    backend.flush(spec, site.outputs()).expect("the CPU does not fail")
}

/// Checks every state of every kind of data, in one run and in many.
fn check_shape(shape: [usize; 3], kinds: usize, run_elements: &[u64]) {
    let elements = shape.iter().product();
    for dtype in DType::ALL {
        let size = dtype.size_bytes();
        let all = pairs_of_kinds(dtype, elements, elements as u64);
        for (name, bytes, second) in all.into_iter().step_by(kinds) {
            let data = Data::new(dtype, &bytes).with_second(&second).starting_at(12);
            let big: Vec<u8> =
                second.chunks_exact(size).flat_map(|e| e.iter().rev().copied()).collect();
            let second = (Layout { dtype, byte_order: ByteOrder::Big }, &big[..]);
            for monoid in all_monoids(dtype) {
                let spec = Spec::of(dtype, monoid);
                let expected = oracle::partial_along(&spec, shape, &data);
                for &run in run_elements {
                    let partial = reduce(&spec, shape, run, &bytes, second);
                    check(&partial, &expected, &format!("{name} {shape:?} by {run} {spec:?}"));
                }
            }
        }
    }
}

#[test]
fn small_arrays_of_every_kind() {
    for shape in [[4, 9, 5], [7, 3, 1], [1, 2, 64], [5, 1, 6]] {
        check_shape(shape, 1, &[1, 10, 1000]);
    }
}

#[test]
fn long_rows() {
    check_shape([3, 9000, 1], 4, &[4000, 1 << 20]);
}

#[test]
fn rows_around_the_lengths_that_lines_are_worth() {
    for length in [511, 512, 2048, 4095, 4097] {
        check_shape([2, length, 1], 9, &[1 << 20]);
    }
}

#[test]
fn long_columns() {
    check_shape([1, 5000, 3], 4, &[700, 1 << 20]);
    check_shape([2, 70, 120], 5, &[500, 1 << 20]);
    // More rows than are added at once, and columns that are left over.
    check_shape([2, 300, 37], 5, &[1 << 20]);
}
