//! A data set that no disk holds, and an executor that reduces it.
//!
//! Element `i` of every file is a function of `i`, so that each process of a
//! test has the same data, and its sum is known without any code of adsum.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adsum::backend::reference;
use adsum::backend::{DeviceInfo, DeviceKind};
use adsum::driver::{Completions, Executor};
use adsum::dtype::{ByteOrder, DType};
use adsum::engine::{Computed, Holders, JobRequest, Outcome, Usage};
use adsum::finish::{Options, finish};
use adsum::manifest::{JobId, Manifest, imaginary_file};
use adsum::node::{Equipment, random_request_id};
use adsum::op::{Op, Spec};
use adsum::shard::ShardError;
use adsum::value::Value;

pub const ENTRY_ELEMENTS: u64 = 100;

/// A manifest of so many entries, all but the last of them whole.
pub fn manifest(entries: u64) -> Arc<Manifest> {
    let file = imaginary_file("imaginary", DType::I16, entries * ENTRY_ELEMENTS - 1);
    let manifest = Manifest::with_entry_bytes(vec![file], ENTRY_ELEMENTS * 2);
    Arc::new(manifest.expect("a valid file"))
}

/// A request to sum all of it.
pub fn request(entries: u64) -> JobRequest {
    JobRequest {
        id: random_request_id(),
        manifest: manifest(entries),
        spec: Spec::sum(DType::I16),
        holders: Holders::Everyone,
        deadline: None,
    }
}

/// Panics unless the outcome is the sum of [`request`] over so many entries.
pub fn check(outcome: &Outcome, entries: u64) {
    let expected: i64 = (0..entries * ENTRY_ELEMENTS - 1).map(|i| i64::from(element(i))).sum();
    let total = finish(Op::Sum, outcome.total.states(0), Options::default(), DType::I64);
    assert_eq!(total.map(|total| total.value), Ok(Value::int64(expected)));
    assert_eq!(outcome.coverage.entries() as u64, entries);
}

fn element(index: u64) -> i16 {
    (index.wrapping_mul(7919) % 20011) as i16 - 10000
}

/// Reduces entries of imaginary files, each on a thread of its own that first
/// waits for `delay`.
pub struct ImaginaryExecutor {
    completions: Completions,
    delay: Duration,
    pub log: Arc<Mutex<Log>>,
}

/// What an executor was asked for.
#[derive(Debug, Default)]
pub struct Log {
    pub started: usize,
    pub abandoned: HashSet<JobId>,
}

/// An executor's processors, and its log.
pub fn equipment(
    completions: Completions,
    workers: usize,
    delay: Duration,
) -> (Equipment<ImaginaryExecutor>, Arc<Mutex<Log>>) {
    let log = Arc::default();
    let executor = ImaginaryExecutor { completions, delay, log: Arc::clone(&log) };
    let device = DeviceInfo {
        id: "cpu".to_owned(),
        name: "imaginary".to_owned(),
        kind: DeviceKind::Cpu,
        backend: "cpu".to_owned(),
        driver: String::new(),
    };
    (Equipment { executor, workers, devices: vec![device] }, log)
}

impl Executor for ImaginaryExecutor {
    fn start(&mut self, job: JobId, spec: Spec, manifest: &Arc<Manifest>, position: u32) {
        self.log.lock().expect("no test panics with the log").started += 1;
        let (completions, delay) = (self.completions.clone(), self.delay);
        let manifest = Arc::clone(manifest);
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            let outcome = reduce(spec, &manifest, position);
            completions.report(job, position, outcome);
        });
    }

    fn abandon(&mut self, job: JobId) {
        self.log.lock().expect("no test panics with the log").abandoned.insert(job);
    }
}

fn reduce(spec: Spec, manifest: &Manifest, position: u32) -> Result<Computed, ShardError> {
    let entry = manifest.entry(position).expect("the engine asks for entries of the job");
    let bytes: Vec<u8> = entry.elements.clone().flat_map(|i| element(i).to_le_bytes()).collect();
    let partial = reference::reduce_line(&spec, ByteOrder::Little, &bytes);
    let usage = Usage { device: 0, tiles: 1, bytes: bytes.len() as u64, busy_ns: 1 };
    Ok(Computed { partial, usage: vec![usage] })
}
