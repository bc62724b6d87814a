//! The queue with devices that fail, panic, lie or are slow.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::backend::cpu::CpuBackend;
use crate::backend::reference;
use crate::backend::{BackendError, DeviceKind, Run};
use crate::dtype::{ByteOrder, DType, Layout};
use crate::finish::{Options, finish};
use crate::manifest::fortran_to_c;
use crate::op::{Monoid, Op, Term};
use crate::shard::{MemoryShard, PairedShard};
use crate::site::Fortran;
use crate::value::Value;

const PATIENCE: Duration = Duration::from_secs(30);

fn spec() -> Spec {
    Spec::sum(DType::F64)
}

fn data(seed: u64) -> Vec<u8> {
    (0..5000_u64).flat_map(|i| (((i * seed) as f64).sqrt() - 30.0).to_le_bytes()).collect()
}

fn task(position: u32, bytes: Vec<u8>) -> Task {
    let shard = Arc::new(MemoryShard::new(Layout::little(DType::F64), bytes));
    let site = Site::line(shard.elements(), 0);
    Task { key: TaskKey { job: JobId([0; 32]), position }, spec: spec(), shard, site }
}

fn start(backends: Vec<Box<dyn Backend>>) -> (Compute, Receiver<Notice>) {
    let (sender, receiver) = channel();
    let compute = Compute::start(backends, 64, move |notice| {
        // The test may have seen enough and gone.
        let _ = sender.send(notice);
    });
    (compute.unwrap(), receiver)
}

fn next_completion(receiver: &Receiver<Notice>) -> Completion {
    loop {
        match receiver.recv_timeout(PATIENCE).expect("a task must end") {
            Notice::Completed(completion) => return completion,
            Notice::DeviceDropped(_) => {}
        }
    }
}

/// A CPU thread that misbehaves after some tiles.
struct Faulty {
    inner: CpuBackend,
    info: DeviceInfo,
    tiles_left: usize,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    AddFails,
    FlushFails,
    Panics,
    LosesElements,
}

impl Faulty {
    fn boxed(fault: Fault, tiles_left: usize) -> Box<dyn Backend> {
        let info = DeviceInfo {
            id: "gpu:7".into(),
            name: "faulty".into(),
            kind: DeviceKind::Other,
            backend: "test".into(),
            driver: String::new(),
        };
        Box::new(Faulty { inner: CpuBackend::new(512), info, tiles_left, fault })
    }

    fn error<T>(&self) -> Result<T, BackendError> {
        Err(BackendError { device: self.info.id.clone(), message: "gone".into() })
    }
}

impl Backend for Faulty {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn tile_bytes(&self) -> usize {
        self.inner.tile_bytes()
    }

    fn add(&mut self, spec: &Spec, outputs: usize, run: &Run<'_>) -> Result<(), BackendError> {
        if self.tiles_left > 0 {
            self.tiles_left -= 1;
            return self.inner.add(spec, outputs, run);
        }
        match self.fault {
            Fault::AddFails => self.error(),
            Fault::Panics => panic!("a fault of the test"),
            Fault::LosesElements => Ok(()),
            Fault::FlushFails => self.inner.add(spec, outputs, run),
        }
    }

    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError> {
        match self.fault {
            Fault::FlushFails if self.tiles_left == 0 => self.error(),
            _ => self.inner.flush(spec, outputs),
        }
    }
}

#[test]
fn every_tile_size_and_number_of_threads_gives_the_same_partial() {
    let bytes = data(3);
    let expected = reference::reduce_line(&spec(), ByteOrder::Little, &bytes);
    for (tile_bytes, threads) in [(1, 1), (8, 3), (100, 2), (4096, 5), (1 << 20, 2)] {
        let thread = || Box::new(CpuBackend::new(tile_bytes)) as Box<dyn Backend>;
        let (compute, receiver) = start((0..threads).map(|_| thread()).collect());
        compute.submit(task(0, bytes.clone())).unwrap();
        let completion = next_completion(&receiver);
        assert_eq!(completion.outcome.as_ref(), Ok(&expected), "{tile_bytes} {threads}");
        let bytes_used: u64 = completion.usage.iter().map(|usage| usage.bytes).sum();
        assert_eq!(bytes_used, bytes.len() as u64);
    }
}

#[test]
fn tiles_of_a_failed_device_go_to_the_others() {
    for fault in [Fault::AddFails, Fault::FlushFails, Fault::Panics, Fault::LosesElements] {
        for tiles_left in [0, 1, 5] {
            let backends = vec![
                Faulty::boxed(fault, tiles_left),
                Faulty::boxed(fault, tiles_left),
                Box::new(CpuBackend::new(256)),
            ];
            let (compute, receiver) = start(backends);
            for position in 0..20 {
                compute.submit(task(position, data(u64::from(position)))).unwrap();
            }
            let mut seen = [false; 20];
            for _ in 0..20 {
                let completion = next_completion(&receiver);
                let position = completion.key.position;
                let bytes = data(u64::from(position));
                let expected = reference::reduce_line(&spec(), ByteOrder::Little, &bytes);
                assert_eq!(completion.outcome, Ok(expected));
                assert!(!std::mem::replace(&mut seen[position as usize], true));
            }
        }
    }
}

/// Values that meet often, so that the places of the extremes matter.
fn few(count: u64, seed: u64) -> Vec<u8> {
    (0..count).flat_map(|i| ((i * seed % 11) as f64 - 5.5).to_le_bytes()).collect()
}

/// A block of `outer * inner` outputs with all kinds of states.
fn along(position: u32, [outer, reduced, inner]: [u64; 3]) -> Task {
    let spec = Spec {
        dtype: DType::F64,
        monoids: vec![
            Monoid::Sum(Term::Value),
            Monoid::Sum(Term::Square),
            Monoid::Extremum { indexed: true },
            Monoid::Tree,
        ],
    };
    let block = Block { outer, reduced, inner, stride: inner };
    let bytes = few(outer * reduced * inner, u64::from(position) + 3);
    let site = Site { block, first_index: 1000, fortran: None };
    Task { spec, site, ..task(position, bytes) }
}

/// What the slow definition makes of a task.
fn reduced(task: &Task) -> Partial {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let elements = 0..task.shard.elements();
    let partners = task.shard.second().map(|shard| {
        (shard.layout(), shard.read(elements.clone(), &mut second).expect("it is in memory"))
    });
    let bytes = task.shard.read(elements.clone(), &mut first).expect("it is in memory");
    let place = task.site.place(elements);
    let run = Run { layout: task.shard.layout(), bytes, second: partners, place };
    reference::reduce(&task.spec, task.site.outputs(), &run)
}

const BLOCKS: [[u64; 3]; 6] =
    [[1, 60, 1], [1, 40, 7], [13, 1, 5], [9, 11, 1], [4, 6, 9], [700, 3, 1]];

#[test]
fn tiles_of_any_size_along_an_axis_give_the_same_partial() {
    for (tile_bytes, threads) in [(1, 1), (8, 3), (24, 2), (80, 3), (400, 2), (1 << 20, 2)] {
        let thread = || Box::new(CpuBackend::new(tile_bytes)) as Box<dyn Backend>;
        let (compute, receiver) = start((0..threads).map(|_| thread()).collect());
        for (position, block) in (0..).zip(BLOCKS) {
            let expected = reduced(&along(position, block));
            compute.submit(along(position, block)).unwrap();
            let completion = next_completion(&receiver);
            assert_eq!(completion.outcome, Ok(expected), "{block:?} {tile_bytes} {threads}");
        }
    }
}

#[test]
fn tiles_along_an_axis_survive_the_failure_of_a_device() {
    for fault in [Fault::AddFails, Fault::FlushFails, Fault::Panics, Fault::LosesElements] {
        for tiles_left in [0, 2, 7] {
            let backends = vec![
                Faulty::boxed(fault, tiles_left),
                Faulty::boxed(fault, tiles_left),
                Box::new(CpuBackend::new(40)),
            ];
            let (compute, receiver) = start(backends);
            for (position, block) in (0..).zip(BLOCKS) {
                compute.submit(along(position, block)).unwrap();
            }
            for _ in BLOCKS {
                let completion = next_completion(&receiver);
                let position = completion.key.position;
                let expected = reduced(&along(position, BLOCKS[position as usize]));
                assert_eq!(completion.outcome, Ok(expected), "{position}");
            }
        }
    }
}

/// A task of two data sets, the second in the other byte order.
fn paired(position: u32, elements: u64) -> Task {
    let first = MemoryShard::new(Layout::little(DType::F64), few(elements, 3));
    let mut bytes = few(elements, u64::from(position) + 5);
    bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|element| element.reverse());
    let layout = Layout { dtype: DType::F64, byte_order: ByteOrder::Big };
    let second = MemoryShard::new(layout, bytes);
    let shard = Arc::new(PairedShard::new(Arc::new(first), Arc::new(second)));
    let spec = Spec::of(DType::F64, Monoid::Sum(Term::Product));
    let site = Site::line(elements, 0);
    Task { key: TaskKey { job: JobId([0; 32]), position }, spec, shard, site }
}

#[test]
fn two_data_sets_are_read_side_by_side() {
    for (tile_bytes, threads) in [(1, 1), (16, 3), (100, 2), (1 << 20, 2)] {
        let thread = || Box::new(CpuBackend::new(tile_bytes)) as Box<dyn Backend>;
        let (compute, receiver) = start((0..threads).map(|_| thread()).collect());
        for (position, elements) in [(0, 1), (1, 7), (2, 5000)] {
            let task = paired(position, elements);
            let expected = reduced(&task);
            compute.submit(task).unwrap();
            let completion = next_completion(&receiver);
            assert_eq!(completion.outcome, Ok(expected), "{elements} {tile_bytes} {threads}");
            // A tile holds no more bytes of both than the worker likes.
            let (tiles, bytes) = completion.usage.iter().fold((0, 0), |(tiles, bytes), usage| {
                (tiles + u64::from(usage.tiles), bytes + usage.bytes)
            });
            assert_eq!(bytes, elements * 16);
            assert!(tiles * (tile_bytes as u64).max(16) >= bytes, "{tiles} tiles");
        }
    }
}

/// A pair of which either side changed did not reduce what was named.
#[test]
fn both_data_sets_are_verified() {
    let broken = |changed: bool| -> Arc<dyn Shard> {
        let inner = MemoryShard::new(Layout::little(DType::F64), few(100, 3));
        if changed { Arc::new(Broken { inner, fails_reading: false }) } else { Arc::new(inner) }
    };
    let (compute, receiver) = start(vec![Box::new(CpuBackend::new(64))]);
    for (first, second) in [(true, false), (false, true)] {
        let shard = Arc::new(PairedShard::new(broken(first), broken(second)));
        compute.submit(Task { shard, ..paired(0, 100) }).unwrap();
        let error = next_completion(&receiver).outcome.unwrap_err();
        assert_eq!(error.kind, ShardErrorKind::Changed);
    }
}

/// A device that takes sums alone.
struct SumsOnly(Box<dyn Backend>);

impl Backend for SumsOnly {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    fn tile_bytes(&self) -> usize {
        self.0.tile_bytes()
    }

    fn takes(&self) -> Takes {
        |spec, site| *spec == Spec::sum(spec.dtype) && site.outputs() == 1
    }

    fn add(&mut self, spec: &Spec, outputs: usize, run: &Run<'_>) -> Result<(), BackendError> {
        assert_eq!((spec, outputs), (&Spec::sum(spec.dtype), 1), "it has no way for this");
        self.0.add(spec, outputs, run)
    }

    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError> {
        self.0.flush(spec, outputs)
    }
}

#[test]
fn a_device_gets_only_what_it_takes() {
    let picky = || Box::new(SumsOnly(Box::new(CpuBackend::new(64)))) as Box<dyn Backend>;
    let (compute, receiver) = start(vec![picky(), Box::new(CpuBackend::new(64)), picky()]);
    for position in 0..20 {
        let task = match position % 2 {
            0 => task(position, data(u64::from(position))),
            _ => along(position, [3, 50, 2]),
        };
        let expected = reduced(&task);
        compute.submit(task).unwrap();
        assert_eq!(next_completion(&receiver).outcome, Ok(expected));
    }
    // Among such devices alone nobody takes it, which is said at once.
    let (compute, receiver) = start(vec![picky(), picky()]);
    compute.submit(along(0, [3, 50, 2])).unwrap();
    let error = next_completion(&receiver).outcome.unwrap_err();
    assert_eq!(error.kind, ShardErrorKind::NoBackend);
    assert!(error.message.contains("no device in use has a kernel"), "{error}");
    compute.submit(task(1, data(1))).unwrap();
    assert!(next_completion(&receiver).outcome.is_ok());
}

#[test]
fn what_only_a_lost_device_took_ends_with_an_error() {
    let picky = Box::new(SumsOnly(Box::new(CpuBackend::new(64))));
    let (compute, receiver) = start(vec![picky, Faulty::boxed(Fault::AddFails, 1)]);
    compute.submit(along(0, [3, 50, 2])).unwrap();
    let error = next_completion(&receiver).outcome.unwrap_err();
    assert_eq!(error.kind, ShardErrorKind::NoBackend);
    // Sums have somebody still.
    let expected = reduced(&task(1, data(1)));
    compute.submit(task(1, data(1))).unwrap();
    assert_eq!(next_completion(&receiver).outcome, Ok(expected));
}

/// Elements of an array in Fortran order have their places in C order, however
/// they are tiled.
#[test]
fn places_of_a_fortran_array_are_those_of_c_order() {
    let shape = [7_u64, 5, 4];
    let element = |fortran: u64| (fortran_to_c(&shape, fortran) % 9) as f64;
    let bytes: Vec<u8> = (0..140).flat_map(|at| element(at).to_le_bytes()).collect();
    let spec = Spec::of(DType::F64, Monoid::Extremum { indexed: true });
    for (tile_bytes, threads) in [(1, 3), (72, 2), (1 << 20, 1)] {
        let thread = || Box::new(CpuBackend::new(tile_bytes)) as Box<dyn Backend>;
        let (compute, receiver) = start((0..threads).map(|_| thread()).collect());
        let fortran = Some(Fortran { shape: shape.as_slice().into(), start: 0, offset: 1000 });
        let site = Site { fortran, ..Site::line(140, 1000) };
        compute.submit(Task { spec: spec.clone(), site, ..task(0, bytes.clone()) }).unwrap();
        let partial = next_completion(&receiver).outcome.unwrap();
        let place = |op| finish(op, partial.states(0), Options::default(), DType::I64);
        assert_eq!(place(Op::ArgMin).unwrap().value, Value::int64(1000));
        assert_eq!(place(Op::ArgMax).unwrap().value, Value::int64(1008));
    }
}

#[test]
fn when_the_last_device_fails_every_task_ends_with_an_error() {
    let (compute, receiver) = start(vec![Faulty::boxed(Fault::AddFails, 3)]);
    for position in 0..4 {
        compute.submit(task(position, data(1))).unwrap();
    }
    for _ in 0..4 {
        let error = next_completion(&receiver).outcome.unwrap_err();
        assert_eq!(error.kind, ShardErrorKind::NoBackend);
    }
    compute.submit(task(9, data(1))).unwrap();
    assert!(next_completion(&receiver).outcome.is_err());
}

#[test]
fn a_dropped_device_is_named() {
    let (compute, receiver) =
        start(vec![Faulty::boxed(Fault::AddFails, 0), Box::new(CpuBackend::new(64))]);
    // Tasks follow until the faulty device has had its turn.
    for position in 0.. {
        compute.submit(task(position, data(2))).unwrap();
        let mut dropped = None;
        loop {
            match receiver.recv_timeout(PATIENCE).unwrap() {
                Notice::Completed(_) => break,
                Notice::DeviceDropped(text) => dropped = Some(text),
            }
        }
        if let Some(text) = dropped {
            assert!(text.contains("gpu:7") && text.contains("gone"), "{text}");
            return;
        }
    }
}

#[test]
fn an_empty_shard_completes_at_once() {
    let (compute, receiver) = start(vec![Box::new(CpuBackend::new(64))]);
    compute.submit(task(0, Vec::new())).unwrap();
    assert_eq!(next_completion(&receiver).outcome, Ok(Partial::identity(&spec(), 1)));
}

/// A shard that fails on its way or at its end.
struct Broken {
    inner: MemoryShard,
    fails_reading: bool,
}

impl Shard for Broken {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn elements(&self) -> u64 {
        self.inner.elements()
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        if self.fails_reading && elements.end > 3000 {
            return Err(ShardError::unreadable("bad sector"));
        }
        self.inner.read(elements, block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        Err(ShardError::changed("it changed"))
    }
}

#[test]
fn a_shard_that_fails_ends_its_task_once_and_no_other() {
    for fails_reading in [true, false] {
        let thread = || Box::new(CpuBackend::new(64)) as Box<dyn Backend>;
        let (compute, receiver) = start(vec![thread(), thread(), thread()]);
        let inner = MemoryShard::new(Layout::little(DType::F64), data(1));
        let site = Site::line(inner.elements(), 0);
        let shard = Arc::new(Broken { inner, fails_reading });
        let broken = Task { shard, site, ..task(0, vec![]) };
        compute.submit(broken).unwrap();
        compute.submit(task(1, data(5))).unwrap();
        let mut outcomes = [next_completion(&receiver), next_completion(&receiver)];
        outcomes.sort_by_key(|completion| completion.key.position);
        let kind = outcomes[0].outcome.as_ref().unwrap_err().kind;
        let expected =
            if fails_reading { ShardErrorKind::Unreadable } else { ShardErrorKind::Changed };
        assert_eq!(kind, expected);
        assert!(outcomes[1].outcome.is_ok());
        drop(compute);
        assert!(receiver.try_recv().is_err(), "a task ended twice");
    }
}

#[test]
fn the_queue_is_bounded_and_an_abandoned_job_leaves_it() {
    let (sender, receiver) = channel();
    let (gate_open, gate) = channel::<()>();
    let compute = Compute::start(vec![Box::new(CpuBackend::new(64))], 2, move |notice| {
        let _ = sender.send(notice);
    })
    .unwrap();
    let shard = Arc::new(Gated(Mutex::new(gate)));
    let gated = Task { shard, site: Site::line(1, 0), ..task(0, vec![]) };
    compute.submit(gated).unwrap();
    compute.submit(task(1, data(1))).unwrap();
    assert_eq!(compute.submit(task(2, data(1))), Err(QueueFull { capacity: 2 }));
    compute.abandon(JobId([0; 32]));
    compute.submit(task(3, data(1))).unwrap();
    drop(gate_open);
    assert_eq!(next_completion(&receiver).key.position, 3);
    drop(compute);
    assert!(receiver.try_recv().is_err(), "an abandoned task was reported");
}

/// A shard of one element whose reading waits for the test.
struct Gated(Mutex<Receiver<()>>);

impl Shard for Gated {
    fn layout(&self) -> Layout {
        Layout::little(DType::F64)
    }

    fn elements(&self) -> u64 {
        1
    }

    fn read<'a>(
        &'a self,
        _elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        let _ = self.0.lock().unwrap().recv_timeout(PATIENCE);
        block.resize(8, 0);
        Ok(block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        Ok(())
    }
}
