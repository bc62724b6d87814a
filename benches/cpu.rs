//! What one CPU thread needs for each state of each type: nanoseconds per
//! element beside those of a plain read, for one number, for rows and for
//! columns.
//!
//! `cargo bench --bench cpu -- [FILTER]..`; filters are parts of a row's name.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::backend::{Backend, Place, Run};
use adsum::op::Bins;
use adsum::reduction::key::key;
use adsum::{DType, Layout, Monoid, Spec, Term};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// Bytes of each data set: more than caches hold.
const BYTES: usize = 64 << 20;
/// Everything is done again until it has taken so long, for the system's clock
/// of a thread is coarse.
const LEAST: Duration = Duration::from_millis(300);

fn main() {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!("| type | state | data | shape | ns/element | plain read |");
    println!("|---|---|---|---|---|---|");
    for dtype in DType::ALL {
        let read = plain_read(dtype);
        for (data, bytes) in data_sets(dtype) {
            for (name, monoids) in specs(dtype) {
                let spec = Spec { dtype, monoids };
                for (form, shape) in shapes(dtype, &spec) {
                    let row = format!("| {dtype} | {name} | {data} | {form} |");
                    if filters.iter().all(|filter| row.contains(filter)) {
                        let bytes = &bytes[..shape.iter().product::<usize>() * dtype.size_bytes()];
                        let time = nanoseconds(&spec, shape, bytes);
                        println!("{row} {time:.2} | {read:.2} |");
                    }
                }
            }
        }
    }
}

/// All elements as one number, rows and columns of two lengths, and columns of
/// which a tile holds few elements.
fn shapes(dtype: DType, spec: &Spec) -> Vec<(&'static str, [usize; 3])> {
    let all = BYTES / dtype.size_bytes();
    let mut shapes = vec![("one", [1, all, 1])];
    if !spec.monoids.iter().any(|monoid| matches!(monoid, Monoid::Bins(_))) {
        shapes.extend([
            ("rows of 16", [1 << 18, 16, 1]),
            ("rows of 1024", [all >> 10, 1024, 1]),
            ("columns of 16", [1, 16, 1 << 18]),
            ("columns of many", [1, all >> 10, 1024]),
        ]);
    }
    shapes
}

fn specs(dtype: DType) -> Vec<(&'static str, Vec<Monoid>)> {
    let (value, square) = (Monoid::Sum(Term::Value), Monoid::Sum(Term::Square));
    let all = [
        ("sum", vec![value.clone()]),
        ("l1", vec![Monoid::Sum(Term::Magnitude)]),
        ("sumsq", vec![square.clone()]),
        ("dot", vec![Monoid::Sum(Term::Product)]),
        ("min", vec![Monoid::Extremum { indexed: false }]),
        ("argmin", vec![Monoid::Extremum { indexed: true }]),
        ("count", vec![Monoid::Tally]),
        ("prod", vec![Monoid::Product]),
        ("prod", vec![Monoid::Tree]),
        ("bits", vec![Monoid::Bits]),
        ("var", vec![value.clone(), square.clone()]),
        ("stats", vec![value, square, Monoid::Extremum { indexed: false }]),
        ("histogram", vec![Monoid::Bins(even_bins(dtype))]),
    ];
    all.into_iter().filter(|(_, monoids)| monoids.iter().all(|m| m.takes(dtype))).collect()
}

/// 2048 intervals: of even values from -4 to 4 for floats, else of all keys.
fn even_bins(dtype: DType) -> Bins {
    let count = 2048;
    let lower = (0..count).map(|i| {
        let value = -4.0 + 8.0 * f64::from(i) / f64::from(count);
        let bits = match dtype {
            DType::F16 => half::f16::from_f64(value).to_bits().into(),
            DType::BF16 => half::bf16::from_f64(value).to_bits().into(),
            DType::F32 => (value as f32).to_bits().into(),
            DType::F64 => value.to_bits(),
            _ => {
                let keys = u64::MAX >> (64 - 8 * dtype.size_bytes());
                return (u128::from(keys) * i as u128 / count as u128) as u64;
            }
        };
        key(dtype, bits).expect("not NaN")
    });
    let lower: Vec<u64> = lower.collect();
    Bins { last: u64::MAX, lower: lower.into() }
}

/// Random bits of integers; normal and random bits of floats.
fn data_sets(dtype: DType) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = SmallRng::seed_from_u64(1);
    let mut wild = vec![0; BYTES];
    random.fill_bytes(&mut wild);
    let mut normal = || {
        let (radius, angle): (f64, f64) = (random.random(), random.random());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    };
    // A part of the data again and again: its making takes time.
    let part = (1 << 20) / dtype.size_bytes();
    let mut repeat = |bytes: &dyn Fn(f64) -> Vec<u8>| {
        let part: Vec<u8> = (0..part).flat_map(|_| bytes(normal())).collect();
        part.repeat(BYTES / part.len())
    };
    let normal = match dtype {
        DType::F16 => repeat(&|x| half::f16::from_f64(x).to_le_bytes().into()),
        DType::BF16 => repeat(&|x| half::bf16::from_f64(x).to_le_bytes().into()),
        DType::F32 => repeat(&|x| (x as f32).to_le_bytes().into()),
        DType::F64 => repeat(&|x| x.to_le_bytes().into()),
        _ => return vec![("random", wild)],
    };
    // Without NaN and infinities: one bit of the exponent is cleared.
    let size = dtype.size_bytes();
    for element in wild.chunks_exact_mut(size) {
        element[size - 1] &= 0xbf;
    }
    vec![("normal", normal), ("random", wild)]
}

fn nanoseconds(spec: &Spec, shape: [usize; 3], bytes: &[u8]) -> f64 {
    let [outer, reduced, inner] = shape;
    let (layout, size) = (Layout::little(spec.dtype), spec.dtype.size_bytes());
    let outputs = outer * inner;
    let mut backend = CpuBackend::new(TILE_BYTES);
    // Whole rows, or whole lines of columns, as many as a tile holds.
    let unit = if outer > 1 { reduced * size } else { inner * size };
    let tile = (TILE_BYTES / unit).max(1) * unit;
    let (mut taken, mut rounds) = (Duration::ZERO, 0);
    while taken < LEAST {
        rounds += 1;
        let start = clock();
        for (number, tile) in bytes.chunks(tile).enumerate() {
            let units = tile.len() / unit;
            let first = number * (TILE_BYTES / unit).max(1);
            let line = Place::line(0, 0);
            let place = match (outer > 1, inner > 1) {
                (true, _) => Place { outer: units, reduced, first_output: first, ..line },
                (_, true) => Place { reduced: units, inner, first_index: first as u64, ..line },
                _ => Place::line(units, first as u64),
            };
            let run = Run { layout, bytes: tile, second: Some((layout, tile)), place };
            backend.add(spec, outputs, &run).expect("the CPU does not fail");
        }
        taken += clock() - start;
        black_box(backend.flush(spec, outputs).expect("the CPU does not fail"));
    }
    taken.as_secs_f64() * 1e9 * size as f64 / (rounds * bytes.len()) as f64
}

/// Time that this thread has had on a processor, where the system tells (Linux
/// does), so that other programs do not count; else the time that has passed.
fn clock() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// Nanoseconds to read an element and do next to nothing with it.
fn plain_read(dtype: DType) -> f64 {
    let bytes = vec![1_u8; BYTES];
    let (start, mut rounds) = (clock(), 0);
    while clock() - start < LEAST {
        rounds += 1;
        let words = black_box(&bytes[..]).as_chunks::<8>().0;
        black_box(words.iter().fold(0, |all, word| all ^ u64::from_le_bytes(*word)));
    }
    (clock() - start).as_secs_f64() * 1e9 * dtype.size_bytes() as f64 / (rounds * BYTES) as f64
}
