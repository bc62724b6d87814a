//! Every kernel on a real adapter, hardware or software, against the slow
//! reference: every state of every type, on data chosen to break it, in lengths
//! around the edges of blocks, windows and tiles, as lines and along axes.
//! Partials are compared whole, so nothing hides behind rounding.

#![cfg(feature = "gpu")]

use adsum::backend::{Backend as _, Order, Place, Run, reference};
use adsum::gpu::kernel::{Block, Kernel};
use adsum::gpu::{Adapter, GpuBackend, Options, adapters};
use adsum::op::{Monoid, Spec, Term};
use adsum::{DType, Layout, Partial};

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
        ..Options::default()
    }
}

const TERMS: [Term; 4] = [Term::Value, Term::Magnitude, Term::Square, Term::Product];

/// Every state that has a kernel, over elements of this type.
fn monoids(dtype: DType) -> Vec<Monoid> {
    let sums = TERMS.map(Monoid::Sum).into_iter();
    let others = [
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Bits,
    ];
    sums.chain(others).filter(|monoid| monoid.takes(dtype)).collect()
}

/// Splitmix64 (Steele, Lea, Flood, 2014).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Kinds of data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    /// Any bits.
    Random,
    /// The same few elements again and again: zeros of both signs, the least
    /// and the most, ones, and what is special of floats.
    Edges,
    /// Elements that are no NaN and near one another, with many ties.
    Near,
    /// One and minus one, rarely anything else: products that do not overflow.
    Ones,
    /// All bits set: NaN as a float.
    Full,
    /// Zeros, with a single element that is not.
    Single,
    /// Floats of small exponents and subnormals.
    Small,
}

const KINDS: [Data; 7] =
    [Data::Random, Data::Edges, Data::Near, Data::Ones, Data::Full, Data::Single, Data::Small];

/// The bits below the sign, of a float the exponent and fraction, as
/// (fraction bits, infinity).
fn format(dtype: DType) -> Option<(u32, u64)> {
    match dtype {
        DType::F16 => Some((10, 0x7c00)),
        DType::BF16 => Some((7, 0x7f80)),
        DType::F32 => Some((23, 0x7f80_0000)),
        DType::F64 => Some((52, 0x7ff0_0000_0000_0000)),
        _ => None,
    }
}

fn one(dtype: DType) -> u64 {
    match dtype {
        DType::F16 => 0x3c00,
        DType::BF16 => 0x3f80,
        DType::F32 => 0x3f80_0000,
        DType::F64 => 0x3ff0_0000_0000_0000,
        _ => 1,
    }
}

fn elements(dtype: DType, data: Data, count: usize, seed: u64) -> Vec<u8> {
    let size = dtype.size_bytes();
    let sign = 1_u64 << (8 * size - 1);
    let mut seed = seed;
    let edges: Vec<u64> = match format(dtype) {
        Some((_, infinity)) => {
            let positive =
                [0, 1, 2, one(dtype), infinity - 1, infinity, infinity + 1, infinity >> 1];
            positive.iter().flat_map(|x| [*x, x | sign]).collect()
        }
        None => vec![0, 1, 2, 3, sign - 1, sign, sign + 1, u64::MAX, u64::MAX - 1, 0xff],
    };
    let element = |index: usize| {
        let bits = random(&mut seed);
        match (data, format(dtype)) {
            (Data::Random, _) => bits,
            (Data::Edges, _) => edges[(bits % edges.len() as u64) as usize],
            (Data::Near, Some((fraction, _))) => {
                one(dtype)
                    ^ (bits & (sign | 3 | 1 << (fraction - 1)))
                    ^ bits >> 60 << (fraction - 2)
            }
            (Data::Near, None) => bits % 5,
            (Data::Ones, Some(_)) => one(dtype) | bits & sign,
            (Data::Ones, None) => match bits >> 57 {
                0 => 2,
                n if n % 2 == 0 => 1,
                _ if dtype.is_signed() => u64::MAX,
                _ => 1,
            },
            (Data::Full, _) => u64::MAX,
            (Data::Single, _) => {
                if index == count / 2 {
                    one(dtype) | sign
                } else {
                    0
                }
            }
            (Data::Small, Some((fraction, _))) => {
                bits & (sign | ((1 << fraction) - 1)) | ((bits >> 60) % 4) << fraction
            }
            (Data::Small, None) => bits >> (bits % 64),
        }
    };
    (0..count).map(element).flat_map(|bits| bits.to_le_bytes().into_iter().take(size)).collect()
}

/// A run of one output or many, in an array `(outer, reduced, inner)`.
fn place(outer: usize, reduced: usize, inner: usize, first_index: u64) -> Place<'static> {
    Place { outer, reduced, inner, first_output: 0, first_index, order: Order::Linear }
}

#[track_caller]
fn check(backend: &mut GpuBackend, spec: &Spec, place: Place<'_>, data: [&[u8]; 2], what: &str) {
    let layout = Layout::little(spec.dtype);
    let second = spec.is_paired().then_some((layout, data[1]));
    let outputs = place.outer * place.inner;
    let run = Run { layout, bytes: data[0], second, place };
    let expected = reference::reduce(spec, outputs, &run);
    let got = backend
        .add(spec, outputs, &run)
        .and_then(|()| backend.flush(spec, outputs))
        .unwrap_or_else(|error| panic!("{spec:?} {what} {place:?}: {error}"));
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

fn specs(dtype: DType) -> impl Iterator<Item = Spec> {
    monoids(dtype).into_iter().map(move |monoid| Spec::of(dtype, monoid))
}

#[test]
fn every_state_of_every_kind_of_data_is_that_of_the_reference() {
    let mut backend = open(&small());
    for dtype in DType::ALL {
        for data in KINDS {
            let (first, second) = (elements(dtype, data, 4001, 1), elements(dtype, data, 4001, 2));
            for spec in specs(dtype) {
                let what = format!("{data:?}");
                check(&mut backend, &spec, Place::line(4001, 7), [&first, &second], &what);
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
        (1, 2, 4000),
        (40, 1, 40),
        (1, 1200, 2),
    ];
    for dtype in DType::ALL {
        for (number, (outer, reduced, inner)) in shapes.into_iter().enumerate() {
            let kind = KINDS[(number + usize::from(dtype.code())) % KINDS.len()];
            let count = outer * reduced * inner;
            let (first, second) =
                (elements(dtype, kind, count, 3), elements(dtype, kind, count, 4));
            for spec in specs(dtype) {
                let place = place(outer, reduced, inner, u64::from(u32::MAX) - 1);
                check(&mut backend, &spec, place, [&first, &second], &format!("{kind:?}"));
            }
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
            let longest = (2 * tile + (2 << 10)) / size + 1;
            let data = [1, 2].map(|seed| elements(dtype, Data::Edges, longest, seed));
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
        let all = monoids(dtype);
        for monoids in all.windows(3).chain(all.windows(4)) {
            let spec = Spec { dtype, monoids: monoids.to_vec() };
            let data = [5, 6].map(|seed| elements(dtype, Data::Edges, 6000, seed));
            for place in [Place::line(6000, 0), place(3, 40, 50, 9)] {
                check(&mut backend, &spec, place, [&data[0], &data[1]], "several");
            }
        }
    }
}
