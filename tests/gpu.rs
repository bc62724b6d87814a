//! The GPU backend on a real adapter, hardware or software: exact sums against
//! big integers, and what happens around them. `tests/kernels.rs` has every other
//! state.

#![cfg(feature = "gpu")]

mod data_kinds;
mod oracle;

use std::time::Duration;

use adsum::backend::{Backend, BackendError, Place, Run};
use adsum::gpu::kernel::{BLOCKS_PER_PARTIAL_MAX, Block, Kernel};
use adsum::gpu::{Adapter, Cache, GpuBackend, Options, SelfTest, adapters, self_test};
use adsum::{ByteOrder, DType, Layout, Monoid, Partial, Spec, Term};
use data_kinds::{Kind, all_kinds, floats};
use oracle::Data;

/// The first adapter. Its absence is a failure: a test that skips itself
/// proves nothing.
fn adapter() -> Adapter {
    adapters().into_iter().next().expect(
        "no Vulkan, Metal or DirectX 12 adapter; on a machine without a GPU install a software \
         one, on Debian `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
}

fn kernel(dtype: DType, block: Block) -> Kernel {
    Kernel::new(&Monoid::Sum(Term::Value), dtype, block).expect("sums have kernels")
}

fn open(options: &Options) -> GpuBackend {
    GpuBackend::open(&adapter(), options).expect("the adapter opens")
}

/// Blocks of 2 KiB, windows of 6 KiB and tiles of 20 KiB, so that a few
/// thousand elements are several of each, and none divides the next.
fn small() -> Options {
    Options {
        block: Block::new(32, 1),
        tile_bytes: 20 << 10,
        window_bytes_max: Some(6 << 10),
        ..Options::default()
    }
}

fn add(backend: &mut GpuBackend, layout: Layout, bytes: &[u8]) -> Result<(), BackendError> {
    let place = Place::line(bytes.len() / layout.dtype.size_bytes(), 0);
    backend.add(&Spec::sum(layout.dtype), 1, &Run { layout, bytes, second: None, place })
}

fn sum(backend: &mut GpuBackend, layout: Layout, runs: &[&[u8]]) -> Partial {
    for run in runs {
        add(backend, layout, run).expect("the device works");
    }
    backend.flush(&Spec::sum(layout.dtype), 1).expect("the device works")
}

/// The exact sum of little-endian elements, by the oracle.
fn exact(dtype: DType, bytes: &[u8]) -> Partial {
    oracle::partial(&Spec::sum(dtype), &Data::new(dtype, bytes))
}

/// Sums little-endian elements and holds the result to the oracle.
#[track_caller]
fn check(backend: &mut GpuBackend, dtype: DType, bytes: &[u8], what: &str) {
    let partial = sum(backend, Layout::little(dtype), &[bytes]);
    let exact = exact(dtype, bytes);
    assert!(partial == exact, "{dtype} {what}: {partial:?} is not {exact:?}");
}

#[test]
fn every_kind_of_data_in_every_type_has_the_bits_of_the_oracle() {
    let mut backend = open(&Options::default());
    for dtype in DType::ALL {
        for (name, bytes) in all_kinds(dtype, 70_001, 1) {
            check(&mut backend, dtype, &bytes, &name);
        }
    }
}

#[test]
fn every_length_around_an_edge_is_right_for_any_number_of_workgroups() {
    for workgroups_max in [1, 3, 64] {
        let options = Options { workgroups_max, ..small() };
        let mut backend = open(&options);
        let tile = backend.tile_bytes();
        for dtype in DType::ALL {
            let size = dtype.size_bytes();
            let block = kernel(dtype, options.block).block_elements() as usize * size;
            let edges = [0, 16, block, 3 * block, 6 << 10, 12 << 10, tile, 2 * tile + block];
            let kind = if dtype.is_float() { "SpecialNearMax" } else { "random" };
            let longest = (2 * tile + block) / size + 1;
            let mut data = all_kinds(dtype, longest, 3);
            let (_, bytes) = data.find(|(name, _)| name == kind).expect("a kind of this name");
            for edge in edges {
                for elements in (edge / size).saturating_sub(1)..=edge / size + 1 {
                    let what = format!("{elements} elements, {workgroups_max} workgroups");
                    check(&mut backend, dtype, &bytes[..elements * size], &what);
                }
            }
        }
    }
}

#[test]
fn every_kind_is_right_in_blocks_of_any_size() {
    for block in [Block::new(8, 1), Block::new(64, 5), Block::new(128, 16)] {
        let mut backend = open(&Options { block, ..small() });
        for dtype in [DType::F32, DType::F64, DType::I64] {
            for (name, bytes) in all_kinds(dtype, 9001, 4) {
                check(&mut backend, dtype, &bytes, &format!("{name} in {block:?}"));
            }
        }
    }
}

#[test]
fn byte_order_and_alignment_of_the_source_do_not_matter() {
    let mut backend = open(&small());
    for dtype in DType::ALL {
        let (_, little) = all_kinds(dtype, 7001, 6).nth(3).expect("four kinds");
        let mut big = little.clone();
        big.chunks_exact_mut(dtype.size_bytes()).for_each(<[u8]>::reverse);
        let layout = Layout { dtype, byte_order: ByteOrder::Big };
        let expected = exact(dtype, &little);
        assert_eq!(sum(&mut backend, layout, &[&big]), expected, "{dtype}, big endian");
        for shift in 1..8 {
            let shifted = [&vec![0xff; shift][..], &little].concat();
            check(&mut backend, dtype, &shifted[shift..], &format!("shifted by {shift}"));
        }
    }
}

#[test]
fn runs_between_two_flushes_add_up_in_any_order() {
    let mut backend = open(&small());
    for dtype in DType::ALL {
        let layout = Layout::little(dtype);
        let size = dtype.size_bytes();
        let (_, bytes) = all_kinds(dtype, 20_000, 7).nth(3).expect("four kinds");
        let (first, rest) = bytes.split_at(size);
        let (second, third) = rest.split_at(5003 * size);
        let expected = exact(dtype, &bytes);
        for runs in [[first, second, third], [third, first, second], [second, third, first]] {
            assert_eq!(sum(&mut backend, layout, &runs), expected, "{dtype}");
        }
        let twice = sum(&mut backend, layout, &[second, second]);
        let mut doubled = sum(&mut backend, layout, &[second]);
        doubled.merge(&doubled.clone()).expect("one spec");
        assert_eq!(twice, doubled, "{dtype}, two identical shards");
    }
}

#[test]
fn what_earlier_runs_left_in_the_buffers_is_not_summed() {
    let mut backend = open(&small());
    let tile = backend.tile_bytes();
    for dtype in DType::ALL {
        let size = dtype.size_bytes();
        // All ones: NaN as a float, far from zero as an integer.
        let junk = vec![0xff; tile];
        let (_, bytes) = all_kinds(dtype, tile / size, 8).next().expect("a kind");
        for elements in [1, 2, 3, 5, 127, 512, 1025] {
            let expected = exact(dtype, &bytes[..elements * size]);
            // One tile of junk for each slot, then the run.
            sum(&mut backend, Layout::little(dtype), &[&junk, &junk]);
            let got = sum(&mut backend, Layout::little(dtype), &[&bytes[..elements * size]]);
            assert_eq!(got, expected, "{elements} of {dtype}");
        }
    }
}

#[test]
fn more_than_a_million_equal_elements_outside_of_every_window_are_right() {
    let mut backend = open(&Options::default());
    let single: Vec<f32> = floats(Kind::EqualOutside, (1 << 20) + 1, 9);
    let bytes: Vec<u8> = single.iter().flat_map(|x| x.to_le_bytes()).collect();
    check(&mut backend, DType::F32, &bytes, "equal");
    let double: Vec<f64> = floats(Kind::EqualOutside, (1 << 20) + 1, 9);
    let bytes: Vec<u8> = double.iter().flat_map(|x| x.to_le_bytes()).collect();
    check(&mut backend, DType::F64, &bytes, "equal");
}

#[test]
fn partials_are_read_before_one_overflows() {
    let options = Options { block: Block::new(8, 1), workgroups_max: 1, ..Options::default() };
    let mut backend = open(&options);
    let block_bytes = 2 * kernel(DType::I16, options.block).block_elements();
    let tile = vec![0x80; 1 << 20];
    let tiles = (block_bytes * (BLOCKS_PER_PARTIAL_MAX + 1)).div_ceil(tile.len() as u32);
    let runs: Vec<&[u8]> = (0..tiles).map(|_| &tile[..]).collect();
    let got = sum(&mut backend, Layout::little(DType::I16), &runs);
    assert_eq!(got, exact(DType::I16, &runs.concat()));
}

#[test]
fn buffers_stay_within_the_memory_allowed() {
    let memory_bytes = 3 << 20;
    let mut backend = open(&Options { memory_bytes, ..Options::default() });
    assert!(backend.memory_bytes() <= memory_bytes);
    assert!(backend.tile_bytes() >= 400 << 10, "{} bytes", backend.tile_bytes());
    let (name, bytes) = all_kinds(DType::F64, 200_000, 10).nth(3).expect("four kinds");
    check(&mut backend, DType::F64, &bytes, &name);

    let none = Options { memory_bytes: 100, ..Options::default() };
    let error = GpuBackend::open(&adapter(), &none).expect_err("100 bytes are too few");
    assert!(error.message.contains("100 bytes of memory are too few"), "{error}");
}

#[test]
fn a_lost_device_is_an_error_at_once_and_ever_after() {
    let spec = Spec::sum(DType::F32);
    let layout = Layout::little(DType::F32);
    for destroy_at_tile in 1..=5 {
        let options = Options { destroy_at_tile: Some(destroy_at_tile), ..small() };
        let mut backend = open(&options);
        let tile = vec![0; backend.tile_bytes()];
        let mut result = Ok(());
        for _ in 0..5 {
            result = result.and_then(|()| add(&mut backend, layout, &tile));
        }
        let error = result.and_then(|()| backend.flush(&spec, 1).map(drop));
        let error = error.expect_err("the device was destroyed");
        assert_eq!(error.device, "gpu:0");
        assert!(add(&mut backend, layout, &tile).is_err(), "after {error}");
        assert!(backend.flush(&spec, 1).is_err(), "after {error}");
    }
    // The adapter itself is as good as before.
    check(&mut open(&small()), DType::F32, &[0; 400], "zeros");
}

#[test]
fn a_device_that_does_not_answer_in_time_is_an_error() {
    let spec = Spec::sum(DType::F64);
    let (_, tile) = all_kinds(DType::F64, 1 << 20, 11).nth(3).expect("four kinds");
    // A single workgroup is slow, but a test that was put aside by a busy
    // machine may still find it done.
    let options = Options { timeout: Duration::ZERO, workgroups_max: 1, ..Options::default() };
    let attempt = || {
        let mut backend = open(&options);
        add(&mut backend, Layout::little(DType::F64), &tile)?;
        backend.flush(&spec, 1)
    };
    let error = (0..20).find_map(|_| attempt().err()).expect("no time at all");
    assert!(error.message.contains("no answer within 0 s"), "{error}");
}

#[test]
fn the_self_test_passes_and_is_remembered() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::at(directory.path());
    let adapter = adapter();
    let test = |options: &Options| self_test(&adapter, options, &cache);

    let broken = Options { destroy_at_tile: Some(40), ..small() };
    let error = test(&broken).expect_err("the device is lost on the way");
    assert_eq!(error.device, "gpu:0");
    assert_eq!(test(&small()), Ok(SelfTest { cached: false }), "only a pass is remembered");
    assert_eq!(test(&small()), Ok(SelfTest { cached: true }));
    assert_eq!(test(&Options::default()), Ok(SelfTest { cached: false }), "other kernels");
    assert_eq!(self_test(&adapter, &small(), &Cache::none()), Ok(SelfTest { cached: false }));
}

#[test]
fn adapters_are_numbered_with_software_last() {
    use adsum::backend::DeviceKind;
    let found = adapters();
    let kinds: Vec<bool> =
        found.iter().map(|adapter| adapter.info().kind == DeviceKind::Software).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
    for (number, adapter) in found.iter().enumerate() {
        assert_eq!(adapter.info().id, format!("gpu:{number}"));
        assert!(!adapter.info().name.is_empty());
        assert!(adapter.limits().binding_bytes_max >= 128 << 20);
    }
}
