//! The tile queue of a node: every CPU thread and every GPU pulls tiles of the
//! same reductions from one queue.
//!
//! ```text
//!   submit(Task) --> [ task | task | task ]      at most `capacity` at once
//!                        |  take a run of elements, sized as the worker likes
//!              +---------+---------+
//!           thread 1   thread 2   adapter        add ... add, flush
//!              +---------+---------+
//!                        |  partial of the runs a worker took
//!                        v
//!                  task complete: all elements merged, shard verified
//!                        |
//!                        v  Completion, in the order of completing
//! ```
//!
//! Nothing depends on which worker took what: partials merge in any order. A
//! worker holds the only copy of the runs it added since its last flush; when
//! it fails, exactly those runs go back to the queue for the others. When the
//! last worker is gone, every task ends with an error instead of waiting.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::backend::{Backend, DeviceInfo, Takes};
use crate::manifest::{Block, JobId};
use crate::op::Spec;
use crate::partial::Partial;
use crate::shard::{Shard, ShardError, ShardErrorKind};
use crate::site::Site;
use crate::wire::Usage;

pub mod budget;
mod task;
mod worker;

use task::ActiveTask;

/// Which entry of which job a task reduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskKey {
    /// The job.
    pub job: JobId,
    /// Position of the entry in the job's manifest.
    pub position: u32,
}

/// One shard to be reduced.
pub struct Task {
    /// Which entry of which job it is.
    pub key: TaskKey,
    /// The reduction.
    pub spec: Spec,
    /// The data.
    pub shard: Arc<dyn Shard>,
    /// Where the data belongs.
    pub site: Site,
}

/// A task that ended.
#[derive(Debug)]
pub struct Completion {
    /// Which entry of which job it was.
    pub key: TaskKey,
    /// The partial of all of the shard's elements, or why there is none.
    pub outcome: Result<Partial, ShardError>,
    /// What each device did for it.
    pub usage: Vec<Usage>,
}

/// What the workers say while they work.
pub enum Notice {
    /// A task ended.
    Completed(Completion),
    /// A device was dropped; its tiles go to the others. The text is for a person.
    DeviceDropped(String),
}

/// The processors of a node at work. Dropping it stops the workers after the
/// tile in hand; tasks that are not complete are forgotten.
pub struct Compute {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    devices: Vec<DeviceInfo>,
}

/// What the workers share.
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when a tile or the end may have come.
    changed: Condvar,
    capacity: usize,
    bytes_added: AtomicU64,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
}

struct Queue {
    /// Tasks with elements that no worker has taken.
    waiting: VecDeque<Arc<ActiveTask>>,
    /// Tasks submitted and not ended, the waiting ones included.
    active: Vec<Arc<ActiveTask>>,
    /// What each worker takes, unless it is gone.
    workers: Vec<Option<Takes>>,
    stopped: bool,
}

/// A run of elements of one task, taken by one worker. Dropped without being
/// settled, it goes back to the queue.
struct Tile<'a> {
    shared: &'a Shared,
    task: Arc<ActiveTask>,
    elements: Range<u64>,
    settled: bool,
}

impl Tile<'_> {
    /// The run is merged, or its task needs it no more.
    fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Tile<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.give_back(&self.task, self.elements.clone());
        }
    }
}

/// The queue holds as many tasks as it may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tile queue is full with {capacity} tasks")]
pub struct QueueFull {
    /// The most tasks it holds.
    pub capacity: usize,
}

impl Compute {
    /// Starts one thread per backend. Backends of one device have equal ids.
    ///
    /// `notify` is called from the workers' threads, and from that of
    /// [`Compute::submit`] for a task that ends at once. At most `capacity` tasks
    /// are taken at once.
    ///
    /// # Errors
    /// The operating system starts no more threads.
    pub fn start(
        backends: Vec<Box<dyn Backend>>,
        capacity: usize,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> std::io::Result<Compute> {
        let mut devices: Vec<DeviceInfo> = Vec::new();
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                active: Vec::new(),
                workers: backends.iter().map(|backend| Some(backend.takes())).collect(),
                stopped: false,
            }),
            changed: Condvar::new(),
            capacity,
            bytes_added: AtomicU64::new(0),
            notify: Box::new(notify),
        });
        // Made before the first thread, so that a failed start stops the others.
        let mut compute = Compute { shared, workers: Vec::new(), devices: Vec::new() };
        for (number, backend) in backends.into_iter().enumerate() {
            let device = device_index(&mut devices, backend.info());
            let shared = Arc::clone(&compute.shared);
            let name = format!("adsum {}", backend.info().id);
            let thread = std::thread::Builder::new().name(name);
            compute
                .workers
                .push(thread.spawn(move || worker::run(&shared, backend, number, device))?);
        }
        compute.devices = devices;
        Ok(compute)
    }

    /// The devices; a [`Usage`] names its device by its index here.
    pub fn devices(&self) -> &[DeviceInfo] {
        &self.devices
    }

    /// Number of workers that were started.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The most tasks that are taken at once.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Bytes handed to backends since the start, for progress. Runs that go
    /// back to the queue count again.
    pub fn bytes_added(&self) -> u64 {
        self.shared.bytes_added.load(Ordering::Relaxed)
    }

    /// Hands over one shard. Its [`Completion`] comes by `notify`, once, unless
    /// its job is abandoned before.
    ///
    /// # Errors
    /// [`QueueFull`]; the task is not taken.
    ///
    /// # Panics
    /// If the spec or the site is of other elements than the shard's: every
    /// result of them would be wrong.
    pub fn submit(&self, task: Task) -> Result<(), QueueFull> {
        let held = task.shard.layout().dtype;
        assert_eq!(task.spec.dtype, held, "a spec of one type for a shard of another");
        let paired = task.shard.second().is_some();
        assert_eq!(task.spec.is_paired(), paired, "a spec of two data sets, or a shard");
        let Block { outer, reduced, inner, .. } = task.site.block;
        assert_eq!(outer * reduced * inner, task.shard.elements(), "a site of other elements");
        let task = Arc::new(ActiveTask::new(task));
        let mut queue = self.shared.lock();
        if queue.active.len() >= self.shared.capacity {
            return Err(QueueFull { capacity: self.shared.capacity });
        }
        queue.active.push(Arc::clone(&task));
        if !queue.has_worker_for(&task) {
            let error = queue.no_backend();
            drop(queue);
            self.shared.end(&task, Err(error));
        } else if task.elements() == 0 {
            drop(queue);
            self.shared.complete(&task);
        } else {
            queue.waiting.push_back(task);
            drop(queue);
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Forgets every task of a job; no completion comes for them.
    pub fn abandon(&self, job: JobId) {
        let mut queue = self.shared.lock();
        queue.waiting.retain(|task| task.key.job != job);
        queue.active.retain(|task| {
            let keep = task.key.job != job;
            if !keep {
                task.close();
            }
            keep
        });
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has given its tiles back and said so.
            let _ = worker.join();
        }
    }
}

/// The index of `device` in the list, which it joins when it is new.
fn device_index(devices: &mut Vec<DeviceInfo>, device: &DeviceInfo) -> u16 {
    let known = devices.iter().position(|known| known.id == device.id);
    let index = known.unwrap_or_else(|| {
        devices.push(device.clone());
        devices.len() - 1
    });
    u16::try_from(index).expect("a machine has fewer than 65536 devices")
}

impl Queue {
    fn has_worker_for(&self, task: &ActiveTask) -> bool {
        self.workers.iter().flatten().any(|&takes| task.is_taken_by(takes))
    }

    /// Why nobody is left to reduce a task.
    fn no_backend(&self) -> ShardError {
        let message = match self.workers.iter().all(Option::is_none) {
            true => "every device of this node has failed; try '--device cpu'",
            false => {
                "no device in use has a kernel for this reduction; use '--device cpu', or add it"
            }
        };
        ShardError { kind: ShardErrorKind::NoBackend, message: message.to_owned() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent between any two statements that can panic.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next run of at most `bytes_max` bytes that the worker takes, if one
    /// waits.
    fn try_take(&self, takes: Takes, bytes_max: usize) -> Option<Tile<'_>> {
        let mut queue = self.lock();
        if queue.stopped {
            return None;
        }
        loop {
            let index = queue.waiting.iter().position(|task| task.is_taken_by(takes))?;
            let task = &queue.waiting[index];
            if let Some(elements) = task.take(bytes_max) {
                let task = Arc::clone(task);
                return Some(Tile { shared: self, task, elements, settled: false });
            }
            queue.waiting.remove(index);
        }
    }

    /// Waits until a tile for the worker may have come; false when the workers
    /// are to stop.
    fn wait(&self, takes: Takes) -> bool {
        let mut queue = self.lock();
        while !queue.waiting.iter().any(|task| task.is_taken_by(takes)) && !queue.stopped {
            queue = self.changed.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        !queue.stopped
    }

    /// Puts a run of a task back for the other workers.
    fn give_back(&self, task: &Arc<ActiveTask>, run: Range<u64>) {
        let mut queue = self.lock();
        if !task.put_back(run) {
            return;
        }
        if !queue.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, task)) {
            queue.waiting.push_front(Arc::clone(task));
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// One worker is gone. When it failed, what only it took waits for nobody;
    /// when it was told to stop, nobody waits.
    fn worker_gone(&self, worker: usize) {
        let mut queue = self.lock();
        queue.workers[worker] = None;
        if queue.stopped {
            return;
        }
        let stranded: Vec<Arc<ActiveTask>> =
            queue.active.iter().filter(|task| !queue.has_worker_for(task)).cloned().collect();
        let error = queue.no_backend();
        drop(queue);
        for task in stranded {
            self.end(&task, Err(error.clone()));
        }
    }

    /// Every element is merged: asks the shard whether it is still what it
    /// was, and reports.
    fn complete(&self, task: &Arc<ActiveTask>) {
        self.end(task, task.shard.verify());
    }

    /// Ends a task once; of several ends only the first is reported.
    fn end(&self, task: &Arc<ActiveTask>, verdict: Result<(), ShardError>) {
        let mut queue = self.lock();
        queue.waiting.retain(|waiting| !Arc::ptr_eq(waiting, task));
        queue.active.retain(|active| !Arc::ptr_eq(active, task));
        drop(queue);
        if let Some((partial, usage)) = task.close() {
            let outcome = verdict.map(|()| partial);
            (self.notify)(Notice::Completed(Completion { key: task.key, outcome, usage }));
        }
    }
}

#[cfg(test)]
mod tests;
