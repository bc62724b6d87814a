//! Whole reductions of files that the page cache holds.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::data::{Data, Dist};
use super::naive::Naive;
use super::rows::Row;
use super::{Rows, cpu, is_wanted, median, timed};
use crate::cli::args::BenchFilesArgs;
use crate::cli::exit::{Blame, Failure};
use crate::device::DeviceChoice;
use crate::dtype::DType;
use crate::executor::Settings;
use crate::local::{LocalNode, Observer};
use crate::op::Spec;
use crate::partial::Partial;
use crate::sink::NewFile;
use crate::source::{self, Options, RawFormat};

/// Bytes that the naive way reads at once.
const BUFFER_BYTES: usize = 1 << 20;

/// How a file is read.
const WAYS: [(&str, bool); 2] = [("sum mapped", true), ("sum read", false)];

/// Measures, and prints row by row.
pub fn run(args: &BenchFilesArgs) -> Result<(), Failure> {
    let output = &args.output;
    let mut rows = Rows::begin("files", output, Vec::new())?;
    let directory = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    for dtype in [DType::F32, DType::F64] {
        let wanted = |what: &str| is_wanted(output, &format!("{what} {dtype} uniform"));
        if !WAYS.iter().any(|(what, _)| wanted(what)) {
            continue;
        }
        let data = Data::new(dtype, Dist::Uniform, output.bytes)?;
        let mut file = NewFile::create(&directory.join("adsum-bench.bin"), false)?;
        // In large pieces, as programs write arrays.
        for (number, piece) in data.of(0).chunks(16 << 20).enumerate() {
            file.write_at(piece, (number * (16 << 20)) as u64)?;
        }
        let threads = args.threads.map_or_else(cpu::cores, |threads| threads as usize);
        let bench = Bench { path: file.temporary(), data: &data, threads, rounds: output.rounds };
        for (what, map_files) in WAYS.into_iter().filter(|(what, _)| wanted(what)) {
            rows.push(bench.row(what, map_files)?)?;
        }
    }
    rows.end()
}

struct Bench<'a> {
    path: &'a Path,
    data: &'a Data,
    threads: usize,
    rounds: u64,
}

impl Bench<'_> {
    fn row(&self, what: &str, map_files: bool) -> Result<Row, Failure> {
        let dtype = self.data.dtype;
        let expected = self.data.expected(&Spec::sum(dtype));
        let (mut rounds, mut wrong) = (Vec::new(), 0);
        // The first round warms up.
        for round in 0..=self.rounds {
            let (time, total) = timed(|| self.reduce(map_files));
            wrong += u64::from(total? != expected);
            let (plain, read) = timed(|| self.naive(Naive::Read));
            read?;
            let (naive, read) = timed(|| self.naive(Naive::Sum));
            read?;
            if round > 0 {
                rounds.push((time, naive, plain));
            }
        }
        let of = |ratio: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(ratio));
        Ok(Row {
            what: what.to_owned(),
            dtype: dtype.to_string(),
            dist: self.data.dist.name(),
            device: "cpu".to_owned(),
            bytes: self.data.bytes(),
            gb_per_s: self.data.bytes() as f64 / of(|round| round.0) / 1e9,
            vs_naive: Some(of(|round| round.0 / round.1)),
            pct_peak: Some(100.0 * of(|round| round.2 / round.0)),
            wrong,
            parts: None,
        })
    }

    /// As `adsum sum` does it, from the name of the file to the total.
    fn reduce(&self, map_files: bool) -> Result<Partial, Failure> {
        let dtype = self.data.dtype;
        let options = Options { raw: Some(RawFormat::new(dtype)), entry_bytes: None };
        let manifest = source::open(&[self.path.into()], &options)?.manifest;
        let settings = Settings {
            devices: vec![DeviceChoice::Cpu],
            threads: self.threads,
            memory_bytes: 512 << 20,
            tile_bytes: None,
            map_files,
            input_bytes: Some(manifest.bytes()),
            remember_bytes: 0,
        };
        let mut node = LocalNode::start(&settings)?;
        let outcome = node.reduce(Arc::new(manifest), Spec::sum(dtype), None, &mut Silent)?;
        Ok(outcome.total)
    }

    /// Reads all of it on all threads, each a part in pieces, and adds it up.
    fn naive(&self, naive: Naive) -> Result<(), Failure> {
        let share = self.data.bytes().div_ceil(self.threads as u64);
        std::thread::scope(|scope| {
            let parts = (0..self.threads as u64)
                .map(|part| scope.spawn(move || self.naive_part(naive, part * share, share)));
            let parts: Vec<_> = parts.collect();
            parts.into_iter().try_for_each(|part| part.join().expect("it only reads"))
        })
        .map_err(|error| Failure::new(Blame::Input, error))
    }

    fn naive_part(&self, naive: Naive, start: u64, bytes: u64) -> std::io::Result<()> {
        use std::io::{Seek, SeekFrom};
        let mut file = std::fs::File::open(self.path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut part = file.take(bytes);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let got = part.read(&mut buffer)?;
            if got == 0 {
                return Ok(());
            }
            naive.here(self.data.dtype, &buffer[..got], &buffer[..got]);
        }
    }
}

/// Nobody looks on.
struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _bytes_done: u64) {}

    fn warning(&mut self, _text: &str) {}
}
