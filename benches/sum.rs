//! The exact sum beside a naive one: the same data, all cores, the same run.
//!
//! `cargo bench` prints criterion's times and, last, a table of paired rounds:
//! GB/s of element bytes, and the ratio of the exact sum's time to the naive
//! sum's (vector lanes of the element's own type, rounding at every step).
//! Every answer is checked before it is timed: against big integers, and the
//! naive sum against the exact one.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adsum::backend::Backend;
use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::compute::{Compute, Notice, Task, TaskKey};
use adsum::finish::{Options, finish};
use adsum::gpu::{self, GpuBackend};
use adsum::manifest::{ENTRY_BYTES, JobId};
use adsum::shard::{MemoryShard, Shard};
use adsum::site::Site;
use adsum::{DType, Layout, Op, Partial, Spec, Value};
use criterion::{Criterion, Throughput};
use num_bigint::BigInt;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Bytes of each CPU data set: far more than any cache holds.
const CPU_BYTES: usize = 256 << 20;
/// Bytes for an adapter in software, which is many times slower.
const SOFTWARE_BYTES: usize = 32 << 20;
/// Rounds of the paired comparison.
const ROUNDS: usize = 15;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut table = Vec::new();
    for case in cases(CPU_BYTES) {
        let exact = Exact::new(&case, cpu_backends());
        run(&mut criterion, &mut table, &case, "cpu", &exact);
    }
    for adapter in gpu::adapters() {
        let software = adapter.info().kind == adsum::backend::DeviceKind::Software;
        for case in cases(if software { SOFTWARE_BYTES } else { 1 << 30 }) {
            let backend = GpuBackend::open(&adapter, &gpu::Options::default());
            let backend = backend.expect("the adapter opens");
            let exact = Exact::new(&case, vec![Box::new(backend)]);
            let device = format!("{} ({})", adapter.info().id, adapter.info().kind);
            run(&mut criterion, &mut table, &case, &device, &exact);
        }
    }
    criterion.final_summary();
    println!("\n{} cores; medians of {ROUNDS} paired rounds", cores());
    println!(
        "| data | MiB | device | exact GB/s | naive GB/s, all cores | exact time / naive time |"
    );
    println!("|---|---|---|---|---|---|");
    for row in table {
        println!("{row}");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn cpu_backends() -> Vec<Box<dyn Backend>> {
    (0..cores()).map(|_| Box::new(CpuBackend::new(TILE_BYTES)) as Box<dyn Backend>).collect()
}

/// One data set, in shards as a node has them.
struct Case {
    name: &'static str,
    spec: Spec,
    bytes: usize,
    shards: Vec<Arc<dyn Shard>>,
    naive: NaiveSum,
}

type NaiveSum = Box<dyn Fn() -> f64>;

fn cases(bytes: usize) -> Vec<Case> {
    let mut random = SmallRng::seed_from_u64(1);
    let n32 = bytes / 4;
    let n64 = bytes / 8;
    let uniform32: Vec<f32> = (0..n32).map(|_| random.random()).collect();
    let wild32: Vec<f32> = (0..n32).map(|_| finite32(random.random())).collect();
    let uniform64: Vec<f64> = (0..n64).map(|_| random.random()).collect();
    let wild64: Vec<f64> = (0..n64).map(|_| finite64(random.random())).collect();
    vec![
        case("float32 uniform", DType::F32, uniform32, naive_f32),
        case("float32 random bits", DType::F32, wild32, naive_f32),
        case("float64 uniform", DType::F64, uniform64, naive_f64),
        case("float64 random bits", DType::F64, wild64, naive_f64),
    ]
}

/// Random bits without NaN and infinity.
fn finite32(bits: u32) -> f32 {
    let value = f32::from_bits(bits);
    if value.is_finite() { value } else { f32::from_bits(bits & !(1 << 30)) }
}

fn finite64(bits: u64) -> f64 {
    let value = f64::from_bits(bits);
    if value.is_finite() { value } else { f64::from_bits(bits & !(1 << 62)) }
}

fn case<T: bytemuck::Pod + Sync>(
    name: &'static str,
    dtype: DType,
    values: Vec<T>,
    naive: fn(&[T]) -> f64,
) -> Case {
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let shards = bytes
        .chunks(ENTRY_BYTES as usize)
        .map(|chunk| {
            Arc::new(MemoryShard::new(Layout::little(dtype), chunk.to_vec())) as Arc<dyn Shard>
        })
        .collect();
    let bytes = bytes.len();
    let naive = Box::new(move || {
        let share = values.len().div_ceil(cores());
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                values.chunks(share).map(|part| scope.spawn(move || naive(part))).collect();
            threads.into_iter().map(|thread| thread.join().expect("it only adds")).sum()
        })
    });
    Case { name, spec: Spec::sum(dtype), bytes, shards, naive }
}

/// 64 running sums, which compilers turn into full vectors.
#[inline(always)]
fn lanes_f32(values: &[f32]) -> f64 {
    let mut sums = [0_f32; 64];
    for chunk in values.as_chunks::<64>().0 {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    f64::from(sums.iter().sum::<f32>())
}

#[inline(always)]
fn lanes_f64(values: &[f64]) -> f64 {
    let mut sums = [0_f64; 32];
    for chunk in values.as_chunks::<32>().0 {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn lanes_f32_avx2(values: &[f32]) -> f64 {
    lanes_f32(values)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn lanes_f64_avx2(values: &[f64]) -> f64 {
    lanes_f64(values)
}

fn naive_f32(values: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as the line above has found.
        return unsafe { lanes_f32_avx2(values) };
    }
    lanes_f32(values)
}

fn naive_f64(values: &[f64]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as the line above has found.
        return unsafe { lanes_f64_avx2(values) };
    }
    lanes_f64(values)
}

/// The exact sum by the tile queue, over data that lies in memory.
struct Exact {
    compute: Compute,
    notices: Mutex<Receiver<Notice>>,
}

impl Exact {
    fn new(case: &Case, backends: Vec<Box<dyn Backend>>) -> Exact {
        let (sender, notices) = channel();
        let compute = Compute::start(backends, case.shards.len(), move |notice| {
            // The receiver lives as long as the benchmark.
            let _ = sender.send(notice);
        });
        let exact =
            Exact { compute: compute.expect("threads start"), notices: Mutex::new(notices) };
        let total = exact.sum(case);
        let sum = finish(Op::Sum, total.states(0), Options::default(), DType::F64);
        let oracle = Value::float64(oracle(case));
        assert_eq!(sum.map(|sum| sum.value), Ok(oracle), "{}", case.name);
        exact
    }

    fn sum(&self, case: &Case) -> Partial {
        for (position, shard) in case.shards.iter().enumerate() {
            let key = TaskKey { job: JobId([0; 32]), position: position as u32 };
            let site = Site::line(shard.elements(), 0);
            let task = Task { key, spec: case.spec.clone(), shard: Arc::clone(shard), site };
            self.compute.submit(task).expect("the queue holds every shard");
        }
        let notices = self.notices.lock().expect("one thread measures");
        let mut total = Partial::identity(&case.spec, 1);
        for _ in &case.shards {
            match notices.recv().expect("the workers live") {
                Notice::Completed(completion) => {
                    let partial = completion.outcome.expect("memory can be read");
                    total.merge(&partial).expect("one spec");
                }
                Notice::DeviceDropped(text) => panic!("{text}"),
            }
        }
        total
    }
}

/// The sum by big integers, rounded by decimal text: nothing of it is ours.
fn oracle(case: &Case) -> f64 {
    let size = case.spec.dtype.size_bytes();
    let mut block = Vec::new();
    let mut total = BigInt::ZERO;
    // 2^63 units at a time: significands of one exponent are added in 128 bits.
    let mut by_exponent = vec![0_i128; 2048];
    for shard in &case.shards {
        let bytes = shard.read(0..shard.elements(), &mut block).expect("memory can be read");
        for element in bytes.chunks_exact(size) {
            let value = match element.try_into() {
                Ok(four) => f64::from(f32::from_le_bytes(four)),
                Err(_) => f64::from_le_bytes(element.try_into().expect("eight bytes")),
            };
            let bits = value.to_bits();
            let exponent = (bits >> 52 & 2047) as usize;
            let fraction = (bits & ((1 << 52) - 1)) as i128;
            let significand = if exponent == 0 { fraction } else { fraction | 1 << 52 };
            let signed = if value.is_sign_negative() { -significand } else { significand };
            by_exponent[exponent] += signed;
        }
    }
    for (exponent, sum) in by_exponent.into_iter().enumerate() {
        total += BigInt::from(sum) << (exponent.max(1) - 1);
    }
    // value = total / 2^1074 = total * 5^1074 / 10^1074, exactly.
    let decimal = total * BigInt::from(5).pow(1074);
    format!("{decimal}e-1074").parse().expect("digits and an exponent")
}

fn run(
    criterion: &mut Criterion,
    table: &mut Vec<String>,
    case: &Case,
    device: &str,
    exact: &Exact,
) {
    let mut group = criterion.benchmark_group(format!("{} on {device}", case.name));
    group.throughput(Throughput::Bytes(case.bytes as u64));
    group.bench_function("exact", |bencher| bencher.iter(|| black_box(exact.sum(case))));
    group.bench_function("naive", |bencher| bencher.iter(|| black_box((case.naive)())));
    group.finish();

    let mut rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (seconds(|| exact.sum(case)), seconds(&case.naive))).collect();
    let ratio = median(rounds.iter().map(|(exact, naive)| exact / naive).collect());
    let rate = |seconds: f64| case.bytes as f64 / seconds / 1e9;
    let exact = rate(median(rounds.iter().map(|round| round.0).collect()));
    let naive = rate(median(rounds.drain(..).map(|round| round.1).collect()));
    let mebibytes = case.bytes >> 20;
    table.push(format!(
        "| {} | {mebibytes} | {device} | {exact:.2} | {naive:.2} | {ratio:.2} |",
        case.name
    ));
}

fn seconds<T>(work: impl Fn() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
