//! The CPU backend against big integers, byte for byte.

mod data_kinds;
mod oracle;

use adsum::backend::Backend;
use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::{ByteOrder, DType, Layout, Partial, Spec};
use data_kinds::{Kind, all_kinds, f32_kinds, f64_kinds, floats};

fn sum(layout: Layout, runs: &[&[u8]]) -> Partial {
    let spec = Spec::sum(layout.dtype);
    let mut backend = CpuBackend::new(TILE_BYTES);
    for run in runs {
        backend.add(spec, layout, run).expect("the CPU does not fail");
    }
    backend.flush(spec).expect("the CPU does not fail")
}

#[track_caller]
fn check(dtype: DType, bytes: &[u8], what: &str) {
    let partial = sum(Layout::little(dtype), &[bytes]);
    let exact = oracle::sum(dtype, bytes);
    assert!(
        partial.to_bytes() == exact.partial_bytes(),
        "{dtype} {what}: {partial:?} is not {exact:?}"
    );
}

#[test]
fn every_kind_of_data_in_every_type_has_the_bits_of_the_oracle() {
    for dtype in DType::ALL {
        for (name, bytes) in all_kinds(dtype, 150_001, 1) {
            check(dtype, &bytes, &name);
        }
    }
}

#[test]
fn the_rounded_result_is_the_correctly_rounded_one() {
    for (kind, values) in f32_kinds(3001, 2) {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let value = sum(Layout::little(DType::F32), &[&bytes]).finish(None);
        let bits = format!("{:#010x}", oracle::sum_bits_f32(&bytes));
        assert_eq!(value.expect("a float").bits(), bits, "{kind:?}");
    }
    for (kind, values) in f64_kinds(3001, 2) {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let value = sum(Layout::little(DType::F64), &[&bytes]).finish(None);
        let bits = format!("{:#018x}", oracle::sum_bits_f64(&bytes));
        assert_eq!(value.expect("a float").bits(), bits, "{kind:?}");
    }
}

#[test]
fn every_length_around_an_edge_is_right() {
    // Quads and blocks of the bins, and blocks of the integer counters.
    let edges = [0_usize, 1, 4, 8, 1 << 13, 15 << 13, 1 << 16, 2 << 16, 1 << 20];
    for dtype in DType::ALL {
        let kind = if dtype.is_float() { "SpecialNearMax" } else { "random" };
        let mut data = all_kinds(dtype, (1 << 20) + 2, 3);
        let (_, bytes) = data.find(|(name, _)| name == kind).expect("a kind of this name");
        for edge in edges {
            for elements in edge.saturating_sub(1)..=edge + 1 {
                let what = format!("{elements} elements");
                check(dtype, &bytes[..elements * dtype.size_bytes()], &what);
            }
        }
    }
}

/// Equal values fill one bin as fast as can be: bins must be spilled before a
/// count or a sum of fractions runs into its neighbour. An early version of
/// the float64 bins spilled one addition too late.
#[test]
fn equal_values_never_overflow_a_bin() {
    let full = f64::from_bits(0x4fff_ffff_ffff_ffff);
    for elements in [(1 << 20) + 1, (1 << 22) - 1, (1 << 22) + 1] {
        let bytes = (-full).to_le_bytes().repeat(elements);
        check(DType::F64, &bytes, "equal values");
    }
    let full = f32::from_bits(0x4fff_ffff);
    for elements in [(1 << 19) - 1, (1 << 19) + 1, 3 << 18] {
        let bytes = full.to_le_bytes().repeat(elements);
        check(DType::F32, &bytes, "equal values");
    }
}

#[test]
fn byte_order_and_alignment_do_not_matter() {
    for dtype in DType::ALL {
        let size = dtype.size_bytes();
        for (name, little) in all_kinds(dtype, 5003, 4) {
            let expected = sum(Layout::little(dtype), &[&little]);
            let swapped = |element: &[u8]| element.iter().rev().copied().collect::<Vec<u8>>();
            let big: Vec<u8> = little.chunks_exact(size).flat_map(swapped).collect();
            let layout = Layout { dtype, byte_order: ByteOrder::Big };
            assert_eq!(sum(layout, &[&big]), expected, "{dtype} {name} big endian");
            let shifted = [&[0xa5], &little[..]].concat();
            let shifted = sum(Layout::little(dtype), &[&shifted[1..]]);
            assert_eq!(shifted, expected, "{dtype} {name} misaligned");
        }
    }
}

#[test]
fn any_cut_into_runs_gives_the_same_partial() {
    let values: Vec<f64> = floats(Kind::Wild, 200_000, 5);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let expected = sum(Layout::little(DType::F64), &[&bytes]);
    for run_bytes in [8, 24, 4096, 524_288 + 8] {
        // Runs of one element are many; a part of the data shows as much.
        let part = &bytes[..bytes.len().min(run_bytes * 5000)];
        let runs: Vec<&[u8]> = part.chunks(run_bytes).collect();
        let whole = if part.len() == bytes.len() {
            expected.clone()
        } else {
            sum(Layout::little(DType::F64), &[part])
        };
        assert_eq!(sum(Layout::little(DType::F64), &runs), whole, "{run_bytes}");
    }
}

#[test]
fn two_identical_shards_count_twice() {
    let values: Vec<f32> = floats(Kind::LogNormal, 10_000, 6);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let twice = sum(Layout::little(DType::F32), &[&bytes, &bytes]);
    let mut merged = sum(Layout::little(DType::F32), &[&bytes]);
    let copy = merged.clone();
    merged.merge(&copy).expect("one spec");
    assert_eq!(twice, merged);
    assert_eq!(twice.to_bytes(), oracle::sum(DType::F32, &bytes.repeat(2)).partial_bytes());
}
