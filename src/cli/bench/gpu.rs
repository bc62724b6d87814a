//! Adapters over data that is resident on them.

use std::io::IsTerminal;

use super::cpu::{DTYPES, dists, operations};
use super::data::Data;
use super::rows::{Parts, Row};
use super::{Rows, is_wanted, median, timed};
use crate::backend::DeviceKind;
use crate::cli::args::BenchGpuArgs;
use crate::cli::exit::{self, Blame, Failure};
use crate::device::{DeviceChoice, DeviceError, select};
use crate::dtype::{DType, Layout};
use crate::gpu::{Adapter, Cache, DataId, Options, Resident, ResidentError, Times, Tuning, takes};
use crate::op::{Monoid, Spec};
use crate::partial::Partial;
use crate::site::Site;

/// Measures, and prints row by row.
pub fn run(args: &BenchGpuArgs) -> Result<(), Failure> {
    let output = &args.output;
    let adapters = adapters(args)?;
    let devices = adapters.iter().map(|adapter| adapter.info().clone()).collect();
    let mut rows = Rows::begin("gpu", output, devices)?;
    for adapter in &adapters {
        // One data set and two side by side, each with what rounds it up.
        let budget = output.bytes.max(4 << 20).saturating_mul(3).saturating_add(1 << 20);
        let cache = Cache::of_user();
        let options = Options::default().tuned(tuning(args, adapter, &cache)?);
        let mut resident = Resident::open(adapter, &options, &cache, budget).map_err(failed)?;
        let kinds = DTYPES.iter().flat_map(|&dtype| dists(dtype).iter().map(move |&d| (dtype, d)));
        for (dtype, dist) in kinds {
            let wanted = |what: &str| is_wanted(output, &format!("{what} {dtype} {}", dist.name()));
            let mut cases: Vec<(String, Spec)> = operations(dtype)
                .into_iter()
                .map(|(op, _)| (op.to_string(), Spec { dtype, monoids: op.monoids(dtype) }))
                .filter(|(what, spec)| wanted(what) && takes(spec, &Site::line(1, 0)))
                .collect();
            if dtype == DType::I32 && wanted("read") {
                cases.insert(0, ("read".to_owned(), read()));
            }
            if !cases.is_empty() {
                let data = Data::new(dtype, dist, output.bytes)?;
                let mut bench = Bench { args, resident: &mut resident, data: &data };
                cases.iter().try_for_each(|(what, spec)| rows.push(bench.row(what, spec)?))?;
            }
        }
    }
    rows.end()
}

/// The blocks and grid of an adapter: as remembered, or measured now. Those of
/// software do not matter, so they are measured only on request.
fn tuning(args: &BenchGpuArgs, adapter: &Adapter, cache: &Cache) -> Result<Tuning, Failure> {
    let remembered = Tuning::remembered(adapter, cache);
    let is_software = adapter.info().kind == DeviceKind::Software;
    match remembered {
        Some(tuning) if !args.retune => Ok(tuning),
        None if is_software && !args.retune => Ok(Tuning::default()),
        _ => {
            let id = &adapter.info().id;
            let found = Tuning::find(adapter, cache, |done, all| {
                if std::io::stderr().is_terminal() {
                    exit::say(&format!("tuning {id}: {done} of {all}"));
                }
            })
            .map_err(failed)?;
            exit::say(&format!("{id}: {found}, remembered from now on"));
            Ok(found)
        }
    }
}

/// The least that a kernel can do with 32 bits: what a plain read is here.
fn read() -> Spec {
    Spec::of(DType::U32, Monoid::Bits)
}

/// Those that were asked for, or all hardware.
fn adapters(args: &BenchGpuArgs) -> Result<Vec<Adapter>, Failure> {
    if !args.device.is_empty() {
        let adapters = select(&args.device, Some(u64::MAX)).map_err(no_device)?.adapters;
        return match adapters.is_empty() {
            true => Err(Failure::new(
                Blame::Device,
                "'--device' names no adapter; 'adsum devices' lists them, and 'adsum bench cpu' measures the CPU",
            )),
            false => Ok(adapters),
        };
    }
    let adapters = select(&[DeviceChoice::Auto], Some(u64::MAX)).map_err(no_device)?.adapters;
    match adapters.is_empty() {
        true => Err(Failure::new(
            Blame::Device,
            "no GPU in hardware was found; 'adsum devices' lists what there is, and '--device' measures an adapter in software, too",
        )),
        false => Ok(adapters),
    }
}

fn no_device(error: DeviceError) -> Failure {
    Failure::new(Blame::Device, error)
}

fn failed(error: impl Into<ResidentError>) -> Failure {
    Failure::new(Blame::Device, error.into())
}

struct Bench<'a> {
    args: &'a BenchGpuArgs,
    resident: &'a mut Resident,
    data: &'a Data,
}

impl Bench<'_> {
    fn row(&mut self, what: &str, spec: &Spec) -> Result<Row, Failure> {
        let expected = self.data.expected(spec);
        let (upload_s, id) = self.send(spec.dtype, spec.is_paired())?;
        let (_, words) = self.send(DType::U32, false)?;
        let bytes = self.data.bytes() * if spec.is_paired() { 2 } else { 1 };
        let (mut rounds, mut wrong) = (Vec::new(), 0);
        // The first round warms up.
        for round in 0..=self.args.output.rounds {
            let (time, times, total) = self.reduce(spec, id)?;
            wrong += u64::from(total != expected);
            let (plain, ..) = self.reduce(&read(), words)?;
            if round > 0 {
                let plain = plain * bytes as f64 / self.data.bytes() as f64;
                rounds.push((time, time / plain, times));
            }
        }
        self.resident.remove(id);
        self.resident.remove(words);
        let time = median(rounds.iter().map(|round| round.0));
        let kernels: Option<Vec<f64>> = rounds.iter().map(|round| round.2.kernel_s).collect();
        let rate = bytes as f64 / time / 1e9;
        Ok(Row {
            what: what.to_owned(),
            dtype: spec.dtype.to_string(),
            dist: self.data.dist.name(),
            device: self.resident.info().id.clone(),
            bytes,
            gb_per_s: rate,
            vs_naive: Some(median(rounds.iter().map(|round| round.1))),
            pct_peak: self.args.peak.map(|peak| 100.0 * rate / peak),
            wrong,
            parts: Some(Parts {
                kernel_s: kernels.map(median),
                upload_s,
                readback_s: median(rounds.iter().map(|round| round.2.readback_s)),
            }),
        })
    }

    /// Sends the data, as elements of some type, and says how long it took.
    fn send(&mut self, dtype: DType, both: bool) -> Result<(f64, DataId), Failure> {
        let layout = Layout::little(dtype);
        let second = both.then(|| (layout, self.data.of(1)));
        let (seconds, id) = timed(|| self.resident.insert((layout, self.data.of(0)), second));
        Ok((seconds, id.map_err(failed)?))
    }

    /// Reduces once: the seconds of the kernels, or of all of it if the device has
    /// no clock.
    fn reduce(&mut self, spec: &Spec, id: DataId) -> Result<(f64, Times, Partial), Failure> {
        let (seconds, done) = timed(|| self.resident.reduce(spec, id));
        let (total, times) = done.map_err(failed)?;
        Ok((times.kernel_s.unwrap_or(seconds), times, total))
    }
}
