//! The processors of this machine at work on local files.
//!
//! It puts together what a node needs to reduce entries: the chosen devices,
//! their share of the memory, the tile queue, and the files.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::cpu::{self, CpuBackend};
use crate::backend::{Backend, DeviceInfo};
use crate::compute::budget::{Budget, TooLittleMemory, Wish};
use crate::compute::{Completion, Compute, Notice, QueueFull, Task, TaskKey};
use crate::device::{self, DeviceChoice, DeviceError, Selection};
#[cfg(feature = "gpu")]
use crate::gpu::{self, GpuBackend};
use crate::manifest::{JobId, Manifest};
use crate::op::Spec;
use crate::shard::{ShardError, ShardErrorKind};
use crate::site::Site;
use crate::source::{Access, Held, LocalFiles, Mask, Resolve};

mod recall;

use recall::Recall;

/// What a node is to work with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The devices; none means [`DeviceChoice::Auto`].
    pub devices: Vec<DeviceChoice>,
    /// CPU threads that reduce, where the CPU takes part.
    pub threads: usize,
    /// The most memory of the node, in bytes.
    pub memory_bytes: u64,
    /// Bytes of one tile, where they are not to be the backend's choice.
    pub tile_bytes: Option<u64>,
    /// Whether local files may be mapped.
    pub map_files: bool,
    /// Bytes of the input, where they are known: little input starts no GPU by
    /// itself.
    pub input_bytes: Option<u64>,
    /// The most bytes of partials that are kept in case that the same is asked again.
    pub remember_bytes: u64,
}

/// Why a node has nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// No such device, or it failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Every chosen device failed.
    #[error("no chosen device works: {}; try '--device cpu'", failures.join("; "))]
    NoneWorks {
        /// What each of them said.
        failures: Vec<String>,
    },
    /// The memory does not suffice.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// The operating system starts no more threads.
    #[error("cannot start the worker threads: {0}; use fewer --threads")]
    Threads(#[source] io::Error),
}

/// The most jobs whose entries are here at the same time.
const JOBS_MAX: usize = 64;

/// Says whether such settings can be started with, as far as can be told
/// without starting anything.
///
/// # Errors
/// A device that this machine does not have, or too little memory.
pub fn check(settings: &Settings) -> Result<(), ExecutorError> {
    plan(settings).map(drop)
}

/// What the settings come to on this machine.
struct Plan {
    selection: Selection,
    threads: usize,
    tile_bytes: usize,
    budget: Budget,
}

fn plan(settings: &Settings) -> Result<Plan, ExecutorError> {
    let selection = device::select(&settings.devices, settings.input_bytes)?;
    let threads = if selection.cpu { settings.threads } else { 0 };
    let tile_bytes = settings.tile_bytes.map_or(cpu::TILE_BYTES, |bytes| bytes as usize);
    let wish = Wish {
        memory_bytes: settings.memory_bytes,
        threads,
        adapters: selection.adapter_count(),
        tile_bytes,
    };
    let budget = wish.budget()?;
    Ok(Plan { selection, threads, tile_bytes, budget })
}

/// Processors, memory and files of one node.
pub struct Executor {
    compute: Compute,
    files: LocalFiles,
    budget: Budget,
    notify: Arc<dyn Fn(Notice) + Send + Sync>,
    recall: Arc<Recall>,
    /// Place of a manifest's first element along the reduced axis.
    first_index: u64,
    warnings: Vec<String>,
}

impl Executor {
    /// Starts the workers. `notify` is called from their threads, and from
    /// [`Executor::reduce`].
    ///
    /// An adapter that does not open, or whose self-test is wrong, is left out
    /// with a warning as long as another device is left.
    ///
    /// # Errors
    /// No device, too little memory, or no threads.
    pub fn start(
        settings: &Settings,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Executor, ExecutorError> {
        Executor::start_over(settings, None, notify)
    }

    /// The same for manifests whose files `resolve` finds on this machine.
    ///
    /// # Errors
    /// As [`Executor::start`].
    pub fn start_over(
        settings: &Settings,
        resolve: Option<Arc<dyn Resolve>>,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Executor, ExecutorError> {
        let Plan { selection, threads, tile_bytes, budget } = plan(settings)?;
        let mut backends: Vec<Box<dyn Backend>> = Vec::new();
        for _ in 0..threads {
            backends.push(Box::new(CpuBackend::new(tile_bytes)));
        }
        let mut failures = Vec::new();
        add_adapters(&selection, settings, budget, &mut backends, &mut failures);
        if backends.is_empty() {
            return Err(ExecutorError::NoneWorks { failures });
        }
        let mut warnings = selection.warnings;
        warnings.extend(failures.into_iter().map(|failure| format!("{failure}; it is not used")));
        let notify: Arc<dyn Fn(Notice) + Send + Sync> = Arc::new(notify);
        let recall = Arc::new(Recall::new(settings.remember_bytes));
        let (told, kept) = (Arc::clone(&notify), Arc::clone(&recall));
        // Files wait in the queue unread. Several jobs may have their share of
        // entries here at once, so the bound on streams is not the queue's.
        let capacity = budget.tasks * JOBS_MAX;
        let compute = Compute::start(backends, capacity, move |notice| {
            if let Notice::Completed(Completion { key, outcome, .. }) = &notice {
                kept.end(key, outcome.as_ref().ok());
            }
            told(notice);
        })
        .map_err(ExecutorError::Threads)?;
        let mapped = settings.map_files && budget.mapped;
        let access = if mapped { Access::Mapped } else { Access::Positional };
        let mut files = LocalFiles::new(access);
        if let Some(resolve) = resolve {
            files = files.resolved_by(resolve);
        }
        Ok(Executor { compute, files, budget, notify, recall, first_index: 0, warnings })
    }

    /// The same without what a mask leaves out, for manifests of one data set that has
    /// the files of the mask. These have no digests, so that no partial is remembered.
    pub fn masked(self, mask: Arc<Mask>) -> Executor {
        Executor { files: self.files.masked(mask), ..self }
    }

    /// The same for manifests of which some files are arrays in memory, and with places
    /// along the reduced axis that are counted from `first_index` on. These have no digests,
    /// so that no partial is remembered.
    pub fn holding(self, held: Vec<Held>, first_index: u64) -> Executor {
        Executor { files: self.files.holding(held), first_index, ..self }
    }

    /// What the user should know about the devices.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The devices; a [`Usage`](crate::wire::Usage) names its device by its
    /// index here.
    pub fn devices(&self) -> &[DeviceInfo] {
        self.compute.devices()
    }

    /// Number of workers: CPU threads and adapters.
    pub fn workers(&self) -> usize {
        self.compute.workers()
    }

    /// Bytes handed to the processors so far, for progress.
    pub fn bytes_added(&self) -> u64 {
        self.compute.bytes_added()
    }

    /// Bytes of one shard cut from a stream, so that a full queue of them
    /// stays within the memory.
    pub fn stream_shard_bytes(&self) -> usize {
        self.budget.stream_shard_bytes
    }

    /// Reduces the entry of a manifest. Its [`Completion`] comes by `notify`,
    /// also when its file cannot be opened.
    pub fn reduce(&self, job: JobId, spec: Spec, manifest: &Manifest, position: u32) {
        let key = TaskKey { job, position };
        let shard = match manifest.entry(position) {
            Some(entry) => {
                let site = Site::of(manifest, entry, &spec).from_index(self.first_index);
                let opened = self.files.shard_and_states(manifest, entry);
                opened.map(|(shard, states)| (shard, states, site))
            }
            None => Err(internal(format!("the job has no entry {position}"))),
        };
        let kept = manifest.entry(position).zip(shard.as_ref().ok());
        let kept = kept.and_then(|(entry, (_, states, _))| {
            self.recall.find(key, (manifest, entry), states, &spec)
        });
        if let (Ok((shard, ..)), Some(partial)) = (&shard, kept) {
            // The file must be there, and be what it was, as if it were read.
            let (outcome, usage) = (shard.verify().map(|()| partial), Vec::new());
            return (self.notify)(Notice::Completed(Completion { key, outcome, usage }));
        }
        let submitted = shard.and_then(|(shard, _, site)| {
            self.submit(Task { key, spec, shard, site }).map_err(|full| internal(full.to_string()))
        });
        if let Err(error) = submitted {
            self.recall.end(&key, None);
            (self.notify)(Notice::Completed(Completion {
                key,
                outcome: Err(error),
                usage: Vec::new(),
            }));
        }
    }

    /// Hands over a shard that is open already.
    ///
    /// # Errors
    /// The queue is full; it takes more when a task is completed.
    pub fn submit(&self, task: Task) -> Result<(), QueueFull> {
        self.compute.submit(task)
    }

    /// The most shards of a stream that stay within the memory at once.
    pub fn stream_shards_max(&self) -> usize {
        self.budget.tasks
    }

    /// Forgets every task of a job; no completion comes for them.
    pub fn abandon(&self, job: JobId) {
        self.compute.abandon(job);
        self.recall.abandon(job);
    }
}

fn internal(message: String) -> ShardError {
    ShardError { kind: ShardErrorKind::Internal, message }
}

/// Opens the chosen adapters, which examine each kernel before they use it.
#[cfg(feature = "gpu")]
fn add_adapters(
    selection: &Selection,
    settings: &Settings,
    budget: Budget,
    backends: &mut Vec<Box<dyn Backend>>,
    failures: &mut Vec<String>,
) {
    let defaults = gpu::Options::default();
    let options = gpu::Options {
        tile_bytes: settings.tile_bytes.map_or(defaults.tile_bytes, |bytes| bytes as usize),
        memory_bytes: budget.adapter_bytes as usize,
        ..defaults
    };
    let cache = gpu::Cache::of_user();
    for adapter in &selection.adapters {
        let options = options.clone().tuned_for(adapter, &cache);
        match GpuBackend::open_examined(adapter, &options, &cache) {
            Ok(backend) => backends.push(Box::new(backend)),
            Err(error) => failures.push(error.to_string()),
        }
    }
}

#[cfg(not(feature = "gpu"))]
fn add_adapters(
    _selection: &Selection,
    _settings: &Settings,
    _budget: Budget,
    _backends: &mut Vec<Box<dyn Backend>>,
    _failures: &mut Vec<String>,
) {
}
