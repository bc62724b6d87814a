//! Every kernel on a real adapter, hardware or software, against the slow
//! reference: every state of every type, on data chosen to break it, in lengths
//! around the edges of blocks, windows and tiles, as lines and along axes.
//! Partials are compared whole, so nothing hides behind rounding.

#![cfg(feature = "gpu")]

mod data_kinds;
mod oracle;

use adsum::backend::{Backend as _, Order, Place, Run, reference};
use adsum::gpu::kernel::{Block, Kernel};
use adsum::gpu::{Adapter, Cache, GpuBackend, Options, adapters};
use adsum::op::{BINS_MAX, Bins};
use adsum::{DType, Layout, Monoid, Op, Partial, Spec, Term};
use data_kinds::{all_kinds, all_monoids};
use oracle::Data;

/// The first adapter. Its absence is a failure: a test that skips itself
/// proves nothing.
fn adapter() -> Adapter {
    adapters().into_iter().next().expect(
        "no Vulkan, Metal or DirectX 12 adapter; on a machine without a GPU install a software \
         one, on Debian `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
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
        short_axes: true,
        ..Options::default()
    }
}

/// Every state that has a kernel, over elements of this type, each by itself.
fn specs(dtype: DType) -> impl Iterator<Item = Spec> {
    let has_kernel = move |monoid: &Monoid| Kernel::new(monoid, dtype, Block::LARGE).is_some();
    let monoids = all_monoids(dtype).into_iter().filter(has_kernel);
    monoids.map(move |monoid| Spec::of(dtype, monoid))
}

/// Those that reduce along an axis, too.
fn axis_specs(dtype: DType) -> impl Iterator<Item = Spec> {
    specs(dtype).filter(|spec| !matches!(spec.monoids[..], [Monoid::Bins(_)]))
}

/// A run of one output or many, in an array `(outer, reduced, inner)`.
fn place(outer: usize, reduced: usize, inner: usize, first_index: u64) -> Place<'static> {
    Place { outer, reduced, inner, first_output: 0, first_index, order: Order::Linear }
}

#[track_caller]
fn reduce(backend: &mut GpuBackend, spec: &Spec, outputs: usize, run: &Run<'_>) -> Partial {
    backend
        .add(spec, outputs, run)
        .and_then(|()| backend.flush(spec, outputs))
        .unwrap_or_else(|error| panic!("{spec:?} {:?}: {error}", run.place))
}

/// Reduces two data sets, the second of which only products take.
#[track_caller]
fn check(backend: &mut GpuBackend, spec: &Spec, place: Place<'_>, data: [&[u8]; 2], what: &str) {
    let layout = Layout::little(spec.dtype);
    let outputs = place.outer * place.inner;
    let run = Run { layout, bytes: data[0], second: Some((layout, data[1])), place };
    let expected = reference::reduce(spec, outputs, &run);
    let got = reduce(backend, spec, outputs, &run);
    assert_same(&got, &expected, spec, what, place);
}

#[track_caller]
fn assert_same(got: &Partial, expected: &Partial, spec: &Spec, what: &str, place: Place<'_>) {
    if got == expected {
        return;
    }
    let outputs = 0..got.outputs();
    let wrong = outputs.clone().find(|&o| got.states(o) != expected.states(o));
    let output = wrong.expect("one differs");
    panic!(
        "{spec:?} {what} {place:?}: output {output} is\n{:?}, not\n{:?}",
        got.states(output),
        expected.states(output)
    );
}

/// Two data sets of each kind, little-endian: the kind, and the one after the
/// next, so that products are of different ones.
fn kinds(dtype: DType, count: usize, seed: u64) -> Vec<(String, [Vec<u8>; 2])> {
    let kinds: Vec<(String, Vec<u8>)> = all_kinds(dtype, count, seed).collect();
    let pair = |(number, (name, bytes)): (usize, &(String, Vec<u8>))| {
        let second = kinds[(number + 2) % kinds.len()].1.clone();
        (name.clone(), [bytes.clone(), second])
    };
    kinds.iter().enumerate().map(pair).collect()
}

#[test]
fn every_state_of_every_kind_of_data_is_that_of_the_reference() {
    let mut backend = open(&small());
    for dtype in DType::ALL {
        let kinds = kinds(dtype, 2601, 1);
        // All kinds of one spec in turn: its kernels stay bound.
        for spec in specs(dtype) {
            for (name, [first, second]) in &kinds {
                check(&mut backend, &spec, Place::line(2601, 7), [first, second], name);
            }
        }
    }
}

#[test]
fn sums_are_right_with_and_without_windows() {
    // Windows for all samples, for narrow ones, and for none.
    for share in [0, 15, 17] {
        let block = Block::new(32, 1).with_window_share(share);
        let mut backend = open(&Options { block, ..small() });
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let kinds = kinds(dtype, 2601, 9);
            for spec in specs(dtype).filter(|spec| matches!(spec.monoids[..], [Monoid::Sum(_)])) {
                for (name, [first, second]) in &kinds {
                    let what = format!("{name}, {share} sixteenths");
                    check(&mut backend, &spec, Place::line(2601, 7), [first, second], &what);
                }
            }
        }
    }
}

#[test]
fn large_blocks_are_right_as_well() {
    let mut backend = open(&Options::default());
    for dtype in DType::ALL {
        let kinds = kinds(dtype, 40_001, 2);
        for spec in specs(dtype) {
            // The oracle is faster than the slow reference.
            for (name, [first, second]) in kinds.iter().step_by(7) {
                let data = Data::new(dtype, first).with_second(second).starting_at(3);
                let expected = oracle::partial(&spec, &data);
                let layout = Layout::little(dtype);
                let place = Place::line(40_001, 3);
                let run = Run { layout, bytes: first, second: Some((layout, second)), place };
                let got = reduce(&mut backend, &spec, 1, &run);
                assert_same(&got, &expected, &spec, name, place);
            }
        }
    }
}

#[test]
fn every_state_along_every_kind_of_axis_is_that_of_the_reference() {
    let mut backend = open(&small());
    // Rows, columns, slabs; outputs with more than a block, more outputs than
    // workgroups, more of them than partials, and pieces of columns.
    let shapes = [
        (3, 700, 1),
        (1, 5, 300),
        (2, 37, 11),
        (600, 2, 1),
        (1, 2, 1500),
        (40, 1, 40),
        (1, 1200, 2),
    ];
    for dtype in DType::ALL {
        for (number, (outer, reduced, inner)) in shapes.into_iter().enumerate() {
            let kinds = kinds(dtype, outer * reduced * inner, 3);
            for (nth, spec) in axis_specs(dtype).enumerate() {
                let place = place(outer, reduced, inner, u64::from(u32::MAX) - 1);
                let (name, [first, second]) = &kinds[(number + 3 * nth) % kinds.len()];
                check(&mut backend, &spec, place, [first, second], name);
            }
        }
    }
}

#[test]
fn every_length_around_an_edge_is_right_for_any_number_of_workgroups() {
    for workgroups_max in [1, 5] {
        let options = Options { workgroups_max, ..small() };
        let mut backend = open(&options);
        let tile = backend.tile_bytes();
        for dtype in DType::ALL {
            let size = dtype.size_bytes();
            let longest = (2 * tile + (2 << 10)) / size + 1;
            let kind = if dtype.is_float() { "SpecialNearMax" } else { "random" };
            let kinds = kinds(dtype, longest, 4);
            let (_, data) = kinds.iter().find(|(name, _)| name == kind).expect("a kind");
            for spec in specs(dtype) {
                let kernel = Kernel::new(&spec.monoids[0], dtype, options.block).expect("a kernel");
                let block = kernel.block_elements() as usize;
                let window = (6 << 10) / size;
                let edges = [0, 1, 16, block, 3 * block, window / 2, window, tile / size, longest];
                for edge in edges {
                    for count in edge.saturating_sub(1)..=(edge + 1).min(longest) {
                        let [first, second] = [0, 1].map(|i| &data[i][..count * size]);
                        let place = Place::line(count, (1 << 32) - 100);
                        let what = format!("{workgroups_max} workgroups");
                        check(&mut backend, &spec, place, [first, second], &what);
                    }
                }
            }
        }
    }
}

#[test]
fn specs_of_several_states_have_all_of_them() {
    let mut backend = open(&small());
    for dtype in DType::ALL {
        let all: Vec<Monoid> = specs(dtype).flat_map(|spec| spec.monoids).collect();
        let kinds = kinds(dtype, 6000, 5);
        for (number, monoids) in all.windows(3).chain(all.windows(4)).enumerate() {
            let spec = Spec { dtype, monoids: monoids.to_vec() };
            let counting = monoids.iter().filter(|m| matches!(m, Monoid::Bins(_))).count();
            let (name, [first, second]) = &kinds[number % kinds.len()];
            if counting <= 1 {
                check(&mut backend, &spec, Place::line(6000, 0), [first, second], name);
            }
            if counting == 0 {
                check(&mut backend, &spec, place(3, 40, 50, 9), [first, second], name);
            }
        }
    }
}

#[test]
fn a_backend_examines_each_kernel_before_it_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::at(directory.path());
    let entries = || std::fs::read_dir(directory.path()).map_or(0, Iterator::count);
    let spec = Spec { dtype: DType::F16, monoids: Op::Stats.monoids(DType::F16) };
    let [(name, [first, second]), ..] = &kinds(DType::F16, 5000, 6)[..] else { panic!("kinds") };
    for _ in 0..2 {
        let mut backend =
            GpuBackend::open_examined(&adapter(), &small(), &cache).expect("the adapter opens");
        for _ in 0..2 {
            check(&mut backend, &spec, Place::line(5000, 0), [first, second], name);
            assert_eq!(entries(), spec.monoids.len());
        }
    }
}

#[test]
fn axes_of_any_length_are_right_wherever_they_are_reduced() {
    let mut backend = open(&Options::default());
    for dtype in [DType::U8, DType::F16, DType::F64] {
        for (outer, reduced, inner) in [(2, 4, 900), (3, 3000, 2), (2, 1, 1)] {
            let kinds = kinds(dtype, outer * reduced * inner, 7);
            let (name, [first, second]) = &kinds[0];
            for spec in axis_specs(dtype) {
                let place = place(outer, reduced, inner, 0);
                check(&mut backend, &spec, place, [first, second], name);
            }
        }
    }
}

#[test]
fn places_of_fortran_arrays_are_in_c_order() {
    let binary = [2; 13];
    let shapes: [&[u64]; 6] =
        [&[3, 1, 91, 30], &[8190], &[1, 8190], &[1638, 5], &[5, 1638], &[2, 3, 5, 7, 3, 13]];
    let shapes = shapes.into_iter().chain([&binary[..]]);
    for (options, step) in [(small(), 1), (Options::default(), 9)] {
        let mut backend = open(&options);
        for (shape, dtype) in
            shapes.clone().flat_map(|s| DType::ALL.map(|dtype| (s, dtype))).step_by(step)
        {
            let spec = Spec::of(dtype, Monoid::Extremum { indexed: true });
            let places = oracle::fortran_places(shape).into_iter().map(|place| place + 900);
            let places: Vec<u64> = places.collect();
            let layout = Layout::little(dtype);
            for (name, bytes) in all_kinds(dtype, places.len(), 8) {
                let expected = oracle::partial(&spec, &Data::new(dtype, &bytes).at_places(&places));
                // Runs that start within an axis, and come in any order.
                let runs = bytes.chunks(3001 * dtype.size_bytes()).enumerate();
                for (number, bytes) in runs.rev() {
                    let start = 3001 * number as u64;
                    let order = Order::Fortran { shape, start, offset: 900 };
                    let place = Place { order, ..Place::line(bytes.len() / dtype.size_bytes(), 0) };
                    let run = Run { layout, bytes, second: None, place };
                    backend.add(&spec, 1, &run).expect("the device works");
                }
                let got = backend.flush(&spec, 1).expect("the device works");
                let what = format!("{name} of shape {shape:?}");
                assert_same(&got, &expected, &spec, &what, Place::line(places.len(), 900));
            }
        }
    }
}

#[test]
fn counts_are_read_before_one_overflows() {
    // So many blocks that the host reads several times between two flushes.
    let options = Options { block: Block::new(8, 1), workgroups_max: 1, ..Options::default() };
    let mut backend = open(&options);
    let spec = Spec::of(DType::U8, Monoid::Tally);
    let data: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 3) as u8).collect();
    let layout = Layout::little(DType::U8);
    let run = Run { layout, bytes: &data, second: None, place: Place::line(data.len(), 0) };
    let mut expected = reference::reduce(&spec, 1, &run);
    expected.merge(&expected.clone()).expect("few elements");
    backend.add(&spec, 1, &run).expect("the device works");
    assert_same(&reduce(&mut backend, &spec, 1, &run), &expected, &spec, "twice", run.place);
}

#[test]
fn the_most_intervals_are_counted_in_with_the_least_memory() {
    let memory_bytes = 2 << 20;
    let mut backend = open(&Options { memory_bytes, ..Options::default() });
    let lower: Vec<u64> = (0..BINS_MAX as u64).collect();
    let bins = Bins { lower: lower.into(), last: BINS_MAX as u64 - 1 };
    let data: Vec<u8> =
        (0..60_000_u16).flat_map(|n| (n / 3).wrapping_pow(2).to_le_bytes()).collect();
    let monoids = vec![Monoid::Tally, Monoid::Bins(bins), Monoid::Sum(Term::Square), Monoid::Bits];
    let spec = Spec { dtype: DType::U16, monoids };
    check(&mut backend, &spec, Place::line(60_000, 0), [&data, &data], "squares");
}
