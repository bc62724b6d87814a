//! CPU threads and adapters on one tile queue: they share the data, the bits
//! stay, and a device that is lost on the way changes nothing.

#![cfg(feature = "gpu")]

mod data_kinds;
mod oracle;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use adsum::backend::Backend;
use adsum::backend::cpu::CpuBackend;
use adsum::compute::{Completion, Compute, Notice, Task, TaskKey};
use adsum::gpu::{Adapter, GpuBackend, Options, adapters};
use adsum::manifest::JobId;
use adsum::shard::{MemoryShard, Shard};
use adsum::site::Site;
use adsum::{DType, Layout, Partial, Spec};
use data_kinds::{Kind, floats};
use oracle::Data;

const TILE_BYTES: usize = 64 << 10;
const SHARDS: u32 = 6;

fn adapter() -> Adapter {
    adapters().into_iter().next().expect(
        "no adapter; install a software one, on Debian \
         `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
}

fn gpu(destroy_at_tile: Option<u64>) -> Box<dyn Backend> {
    let options = Options { tile_bytes: TILE_BYTES, destroy_at_tile, ..Options::default() };
    Box::new(GpuBackend::open(&adapter(), &options).expect("the adapter opens"))
}

fn shard_bytes(position: u32) -> Vec<u8> {
    let values: Vec<f64> = floats(Kind::SpecialNearMax, 300_007, u64::from(position / 2));
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reduces all shards, two of each alike, and holds every partial to the
/// oracle. Returns the completions and the warnings.
fn reduce(backends: Vec<Box<dyn Backend>>) -> (Vec<Completion>, Vec<String>) {
    let spec = Spec::sum(DType::F64);
    let (sender, notices): (_, Receiver<Notice>) = channel();
    let compute = Compute::start(backends, SHARDS as usize, move |notice| {
        // The test may have failed already.
        let _ = sender.send(notice);
    })
    .expect("threads start");
    // All at once, or the first device to wake reduces each before the next.
    let tasks: Vec<Task> = (0..SHARDS)
        .map(|position| {
            let shard = MemoryShard::new(Layout::little(DType::F64), shard_bytes(position));
            let key = TaskKey { job: JobId([7; 32]), position };
            let site = Site::line(shard.elements(), 0);
            Task { key, spec: spec.clone(), shard: Arc::new(shard), site }
        })
        .collect();
    for task in tasks {
        compute.submit(task).expect("the queue has room");
    }
    let (mut completions, mut warnings) = (Vec::new(), Vec::new());
    while completions.len() < SHARDS as usize {
        match notices.recv_timeout(Duration::from_secs(120)).expect("every task ends") {
            Notice::Completed(completion) => completions.push(completion),
            Notice::DeviceDropped(text) => warnings.push(text),
        }
    }
    for completion in &completions {
        let bytes = shard_bytes(completion.key.position);
        let expected = oracle::partial(&spec, &Data::new(DType::F64, &bytes)).to_bytes();
        let got = completion.outcome.as_ref().map(Partial::to_bytes);
        assert_eq!(got, Ok(expected), "shard {}", completion.key.position);
    }
    (completions, warnings)
}

/// Bytes that the device of this number reduced.
fn bytes_of(completions: &[Completion], device: u16) -> u64 {
    let usage = completions.iter().flat_map(|completion| &completion.usage);
    usage.filter(|usage| usage.device == device).map(|usage| usage.bytes).sum()
}

#[test]
fn threads_and_an_adapter_divide_the_data() {
    let backends = vec![Box::new(CpuBackend::new(TILE_BYTES)) as Box<dyn Backend>, gpu(None)];
    let (completions, warnings) = reduce(backends);
    assert_eq!(warnings, Vec::<String>::new());
    let (cpu, gpu) = (bytes_of(&completions, 0), bytes_of(&completions, 1));
    assert!(cpu > 0 && gpu > 0, "cpu {cpu} bytes, gpu {gpu} bytes");
    assert_eq!(cpu + gpu, u64::from(SHARDS) * 300_007 * 8);
}

#[test]
fn two_adapters_divide_the_data() {
    let (completions, warnings) = reduce(vec![gpu(None), gpu(None)]);
    assert_eq!(warnings, Vec::<String>::new());
    let tiles: Vec<u32> =
        completions.iter().flat_map(|completion| &completion.usage).map(|u| u.tiles).collect();
    assert!(tiles.iter().sum::<u32>() >= SHARDS * 300_007 * 8 / TILE_BYTES as u32);
}

#[test]
fn an_adapter_takes_over_from_a_lost_one() {
    // The adapters are alike, so each gets a third tile.
    let (_, warnings) = reduce(vec![gpu(Some(3)), gpu(None)]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("gpu:0"), "{warnings:?}");
}

#[test]
fn a_thread_takes_over_from_a_lost_adapter() {
    // The thread is so fast that it may leave the adapter no tile at all.
    for _ in 0..100 {
        let (_, warnings) = reduce(vec![gpu(Some(1)), Box::new(CpuBackend::new(TILE_BYTES))]);
        if !warnings.is_empty() {
            assert!(warnings[0].contains("gpu:0"), "{warnings:?}");
            return;
        }
    }
    panic!("the adapter never got a tile");
}
