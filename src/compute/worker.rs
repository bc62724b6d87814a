//! One worker: a backend with its thread.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::task::{ActiveTask, Merged};
use super::{Notice, Shared, Tile};
use crate::backend::{Backend, BackendError, Run};
use crate::partial::Partial;
use crate::shard::{Shard, ShardError, ShardErrorKind};
use crate::site::Site;
use crate::wire::Usage;

/// Pulls tiles until the queue stops or the backend fails.
///
/// However this ends, by a failed device or by a panic, tiles that are not
/// settled go back to the queue when they are dropped.
pub fn run(shared: &Shared, backend: Box<dyn Backend>, number: usize, device: u16) {
    let takes = backend.takes();
    let mut worker = Worker { shared, number, backend, device, held: None };
    let mut blocks = Blocks::default();
    loop {
        let tile = shared.try_take(takes, worker.backend.tile_bytes());
        // Results leave before the worker waits, and before it turns to
        // another task: nobody else can complete what it holds.
        let flushed = if !worker.goes_on_with(tile.as_ref()) || worker.holds_many() {
            worker.flush()
        } else {
            Ok(())
        };
        if let Err(error) = flushed {
            return worker.report(&error);
        }
        if let Some(tile) = tile
            && let Err(error) = worker.add(tile, &mut blocks)
        {
            return worker.report(&error);
        }
        if worker.held.is_none() && !shared.wait(takes) {
            return;
        }
    }
}

/// What tiles are read into where they do not lie in memory.
#[derive(Default)]
struct Blocks {
    first: Vec<u8>,
    second: Vec<u8>,
}

/// The most tiles between two flushes.
const TILES_HELD_MAX: usize = 4096;

struct Worker<'a> {
    shared: &'a Shared,
    /// Its number among the workers.
    number: usize,
    backend: Box<dyn Backend>,
    device: u16,
    held: Option<Held<'a>>,
}

/// What the backend has added since its last flush.
struct Held<'a> {
    task: Arc<ActiveTask>,
    tiles: Vec<Tile<'a>>,
    bytes: u64,
    busy: Duration,
}

/// The elements of a tile, with their partners if there are any.
fn read<'a>(
    shard: &'a dyn Shard,
    site: &'a Site,
    elements: Range<u64>,
    blocks: &'a mut Blocks,
) -> Result<Run<'a>, ShardError> {
    let second = match shard.second() {
        Some(second) => Some((second.layout(), second.read(elements.clone(), &mut blocks.second)?)),
        None => None,
    };
    let bytes = shard.read(elements.clone(), &mut blocks.first)?;
    Ok(Run { layout: shard.layout(), bytes, second, place: site.place(elements) })
}

impl<'a> Worker<'a> {
    /// Tiny tiles must not pile up records of themselves.
    fn holds_many(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.tiles.len() >= TILES_HELD_MAX)
    }

    /// Whether the next tile may be added to what is held: it is of the same
    /// task, and none that was given back and lies before the others.
    fn goes_on_with(&self, next: Option<&Tile>) -> bool {
        match (&self.held, next) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(held), Some(next)) => {
                let end = held.tiles.last().map_or(0, |last| last.elements.end);
                Arc::ptr_eq(&held.task, &next.task) && end <= next.elements.start
            }
        }
    }

    /// Reads a tile and hands it to the backend. A tile that cannot be read
    /// ends its task, not the worker. One that the backend fails on stays held
    /// until the failure is reported, so that the report comes before the
    /// result.
    fn add(&mut self, tile: Tile<'a>, blocks: &mut Blocks) -> Result<(), BackendError> {
        let start = Instant::now();
        let task = Arc::clone(&tile.task);
        let elements = tile.elements.clone();
        let read = read(&*task.shard, &task.site, elements, blocks);
        let run = match read {
            Ok(run) => run,
            Err(error) => {
                tile.settle();
                self.shared.end(&task, Err(error));
                return Ok(());
            }
        };
        let held = self.held.get_or_insert_with(|| Held {
            task: Arc::clone(&task),
            tiles: Vec::new(),
            bytes: 0,
            busy: Duration::ZERO,
        });
        held.tiles.push(tile);
        self.backend.add(&task.spec, task.site.outputs(), &run)?;
        let bytes = (run.bytes.len() + run.second.map_or(0, |(_, bytes)| bytes.len())) as u64;
        self.shared.bytes_added.fetch_add(bytes, Ordering::Relaxed);
        held.bytes += bytes;
        held.busy += start.elapsed();
        Ok(())
    }

    /// Merges what the backend holds into its task. On error it stays held.
    fn flush(&mut self) -> Result<(), BackendError> {
        let Some(held) = &self.held else { return Ok(()) };
        let start = Instant::now();
        let partial = self.backend.flush(&held.task.spec, held.task.site.outputs())?;
        self.check(held, &partial)?;
        let busy = held.busy + start.elapsed();
        let usage = Usage {
            device: self.device,
            tiles: u32::try_from(held.tiles.len()).unwrap_or(u32::MAX),
            bytes: held.bytes,
            busy_ns: u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX),
        };
        match held.task.merge(partial, usage) {
            Ok(Merged::Pending) => {}
            Ok(Merged::Complete) => self.shared.complete(&held.task),
            Err(error) => {
                let message = error.to_string();
                let error = ShardError { kind: ShardErrorKind::Internal, message };
                self.shared.end(&held.task, Err(error));
            }
        }
        for tile in self.held.take().into_iter().flat_map(|held| held.tiles) {
            tile.settle();
        }
        Ok(())
    }

    /// A device that loses elements without an error must not be trusted.
    fn check(&self, held: &Held<'_>, partial: &Partial) -> Result<(), BackendError> {
        let runs = held.tiles.iter().map(|tile| &tile.elements);
        let expected: u64 = runs.map(|run| run.end - run.start).sum();
        let got = partial.elements();
        if got == expected {
            return Ok(());
        }
        Err(BackendError {
            device: self.backend.info().id.clone(),
            message: format!("it was given {expected} elements and counted {got}"),
        })
    }

    fn report(&self, error: &BackendError) {
        let name = &self.backend.info().name;
        let text = format!("{error} ({name}); its tiles go to the other devices");
        (self.shared.notify)(Notice::DeviceDropped(text));
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        // The tiles go back first: the last worker to leave ends what waits.
        self.held = None;
        self.shared.worker_gone(self.number);
    }
}
