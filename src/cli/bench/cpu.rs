//! All cores over data in memory.

use super::data::{Data, Dist};
use super::naive::Naive;
use super::rows::Row;
use super::tiles::Tiles;
use super::{Rows, is_wanted, median, timed};
use crate::backend::Backend;
use crate::backend::cpu::{CpuBackend, TILE_BYTES};
use crate::cli::args::BenchCpuArgs;
use crate::cli::exit::Failure;
use crate::dtype::DType;
use crate::manifest::ENTRY_BYTES;
use crate::op::{Op, Spec};

/// The operations of a type, each with what it is compared with.
pub fn operations(dtype: DType) -> Vec<(Op, Naive)> {
    let mut all = vec![(Op::Sum, if dtype.is_float() { Naive::Sum } else { Naive::Read })];
    if matches!(dtype, DType::F32 | DType::F64) {
        all.extend([(Op::Mean, Naive::Sum), (Op::Var, Naive::Moments), (Op::Std, Naive::Moments)]);
        all.extend([(Op::L2, Naive::Squares), (Op::Dot, Naive::Dot)]);
    }
    all.extend([Op::Min, Op::Max, Op::ArgMin, Op::ArgMax].map(|op| (op, Naive::Read)));
    all.extend([(Op::CountNonzero, Naive::Read), (Op::Stats, Naive::Read)]);
    all
}

/// The parts of `stats`, as they are asked for one by one.
const STATS_PARTS: [Op; 7] = [Op::Count, Op::Min, Op::Max, Op::Mean, Op::Std, Op::Sum, Op::L2];

/// Types that are measured.
pub const DTYPES: [DType; 7] =
    [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I64, DType::U8];

/// Distributions of a type: only floats have exponents.
pub fn dists(dtype: DType) -> &'static [Dist] {
    if matches!(dtype, DType::F32 | DType::F64) {
        &[Dist::Uniform, Dist::Wide, Dist::Lognormal]
    } else {
        &[Dist::Uniform]
    }
}

/// Measures, and prints row by row.
pub fn run(args: &BenchCpuArgs) -> Result<(), Failure> {
    let threads = args.threads.map_or_else(cores, |threads| threads as usize);
    let mut rows = Rows::begin("cpu", &args.output, Vec::new())?;
    let shards_max = (args.output.bytes / ENTRY_BYTES + 1) as usize;
    let backends: Vec<Box<dyn Backend>> =
        (0..threads).map(|_| Box::new(CpuBackend::new(TILE_BYTES)) as Box<dyn Backend>).collect();
    let tiles = Tiles::start(backends, shards_max)?;
    for dtype in DTYPES {
        for &dist in dists(dtype) {
            let wanted = |op: Op| is_wanted(&args.output, &format!("{op} {dtype} {}", dist.name()));
            let operations: Vec<(Op, Naive)> =
                operations(dtype).into_iter().filter(|&(op, _)| wanted(op)).collect();
            if operations.is_empty() {
                continue;
            }
            let data = Data::new(dtype, dist, args.output.bytes)?;
            for (op, naive) in operations {
                let bench =
                    Bench { tiles: &tiles, data: &data, threads, rounds: args.output.rounds };
                rows.push(bench.row(op, naive)?)?;
            }
        }
    }
    rows.end()
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Bench<'a> {
    tiles: &'a Tiles,
    data: &'a Data,
    threads: usize,
    rounds: u64,
}

impl Bench<'_> {
    fn row(&self, op: Op, naive: Naive) -> Result<Row, Failure> {
        let Data { dtype, dist, .. } = *self.data;
        let spec = Spec { dtype, monoids: op.monoids(dtype) };
        let shards = self.data.shards(&spec);
        let expected = self.data.expected(&spec);
        let bytes = self.data.bytes() * if spec.is_paired() { 2 } else { 1 };
        let parts: Vec<Spec> = STATS_PARTS
            .iter()
            .filter(|_| op == Op::Stats)
            .map(|part| Spec { dtype, monoids: part.monoids(dtype) })
            .collect();
        let (first, second) = (self.data.of(0), self.data.of(1));
        let (mut rounds, mut wrong) = (Vec::new(), 0);
        // The first round warms up.
        for round in 0..=self.rounds {
            let (time, total) = timed(|| self.tiles.reduce(&spec, &shards));
            wrong += u64::from(total? != expected);
            let (plain, ()) = timed(|| Naive::Read.run(dtype, first, second, self.threads));
            let (naive_time, done) = timed(|| match &parts[..] {
                [] => {
                    naive.run(dtype, first, second, self.threads);
                    Ok(())
                }
                // The other way to have them is one by one.
                parts => parts.iter().try_for_each(|part| {
                    self.tiles.reduce(part, &self.data.shards(part)).map(drop)
                }),
            });
            done?;
            let read = if spec.is_paired() { 2.0 * plain } else { plain };
            if round > 0 {
                rounds.push((time, naive_time, read));
            }
        }
        let of = |ratio: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(ratio));
        Ok(Row {
            what: op.to_string(),
            dtype: dtype.to_string(),
            dist: dist.name(),
            device: "cpu".to_owned(),
            bytes,
            gb_per_s: bytes as f64 / of(|round| round.0) / 1e9,
            vs_naive: Some(of(|round| round.0 / round.1)),
            pct_peak: Some(100.0 * of(|round| round.2 / round.0)),
            wrong,
            parts: None,
        })
    }
}
