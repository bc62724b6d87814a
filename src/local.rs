//! Reductions in this process alone: an engine and an executor, no network.
//!
//! Data sets go through the same [`Engine`] as in a cluster, which here is the
//! only node of its jobs. A stream has no manifest, for nobody knows its length
//! before it ends; its shards are recorded in a [`Ledger`] that grows.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::backend::DeviceInfo;
use crate::compute::{Completion, Notice, Task, TaskKey};
use crate::dtype::DType;
use crate::engine::{
    Computed, Config, Engine, Holders, JobError, JobRequest, Outcome, Output, RequestId,
    SubmitError,
};
use crate::executor::{Executor, ExecutorError, Settings};
use crate::ledger::{Coverage, Ledger};
use crate::manifest::{Entry, JobId, Manifest};
use crate::op::Spec;
use crate::partial::Partial;
use crate::placement::NodeId;
use crate::shard::{MemoryShard, Shard, ShardError};
use crate::site::{Fortran, Site};
use crate::source::{Held, Mask, SourceError, Stream};
use crate::wire::Usage;

/// How often the observer hears of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The name of this process among the nodes of its jobs: there is no other.
const SELF: NodeId = NodeId([0; 16]);

/// Who hears how a reduction goes.
pub trait Observer {
    /// So many bytes are done.
    fn progress(&mut self, bytes_done: u64);
    /// Something that does not hinder the result but that a person should know.
    fn warning(&mut self, text: &str);
    /// Whether to give up: asked after each word of progress.
    fn stops(&mut self) -> bool {
        false
    }
}

/// This process as a node of its own. After a reduction that failed it must not
/// be used again: what is left of it would meet the next.
pub struct LocalNode {
    executor: Executor,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

/// What the node waits for.
enum Event {
    Notice(Notice),
    Shard(MemoryShard),
    StreamEnded,
    StreamFailed(SourceError),
}

/// Why a reduction in this process gave no result.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The request was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The job ended without a result.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The stream cannot be read, or is not what it says.
    #[error(transparent)]
    Stream(#[from] SourceError),
    /// A shard gave no partial.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The stream did not end in time.
    #[error(
        "the deadline of {limit:?} passed after {bytes} bytes of standard input; give it more time"
    )]
    StreamDeadline {
        /// The time the request had.
        limit: Duration,
        /// Bytes read until then.
        bytes: u64,
    },
    /// The observer stopped it.
    #[error("the reduction was stopped")]
    Stopped,
    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The result of a stream.
#[derive(Debug)]
pub struct StreamOutcome {
    /// What all elements together reduce to.
    pub total: Partial,
    /// The proof that all shards are in it.
    pub coverage: Coverage,
    /// What each device did.
    pub usage: Vec<Usage>,
    /// Bytes of elements.
    pub bytes: u64,
}

impl LocalNode {
    /// Starts the processors.
    ///
    /// # Errors
    /// As [`Executor::start`].
    pub fn start(settings: &Settings) -> Result<LocalNode, ExecutorError> {
        let (sender, events) = channel();
        let notices = sender.clone();
        let executor = Executor::start(settings, move |notice| {
            // The node drops its receiver only together with the executor.
            let _ = notices.send(Event::Notice(notice));
        })?;
        Ok(LocalNode { executor, events, sender })
    }

    /// The same without what a mask leaves out, for manifests of one data set that has
    /// the files of the mask.
    pub fn masked(self, mask: Arc<Mask>) -> LocalNode {
        LocalNode { executor: self.executor.masked(mask), ..self }
    }

    /// The same for manifests of which some files are arrays in memory. Places along the
    /// reduced axis are counted from `first_index` on, where others have what is before.
    pub fn holding(self, held: Vec<Held>, first_index: u64) -> LocalNode {
        LocalNode { executor: self.executor.holding(held, first_index), ..self }
    }

    /// What the user should know about the devices.
    pub fn warnings(&self) -> &[String] {
        self.executor.warnings()
    }

    /// The devices; a [`Usage`] names its device by its index here.
    pub fn devices(&self) -> &[DeviceInfo] {
        self.executor.devices()
    }

    /// Reduces a data set.
    ///
    /// # Errors
    /// An entry that cannot be read, or the deadline.
    pub fn reduce(
        &mut self,
        manifest: Arc<Manifest>,
        spec: Spec,
        deadline: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, LocalError> {
        let epoch = Instant::now();
        let before = self.executor.bytes_added();
        // No other node will ever come with the data.
        let config = Config { holder_grace: Duration::ZERO, ..Config::default() };
        let mut engine = Engine::new(SELF, config, self.executor.workers());
        let request =
            JobRequest { id: RequestId(0), manifest, spec, holders: Holders::Everyone, deadline };
        engine.submit(epoch.elapsed(), request)?;
        loop {
            while let Some(output) = engine.poll_output() {
                match output {
                    Output::Compute { job, spec, manifest, position } => {
                        self.executor.reduce(job, spec, &manifest, position);
                    }
                    Output::Abandon { job } => self.executor.abandon(job),
                    Output::Finished { result, .. } => {
                        // There is no node to name but this process.
                        return result.map_err(|error| match error {
                            JobError::Shard { error, .. } => LocalError::Shard(error),
                            error => LocalError::Job(error),
                        });
                    }
                    // Tiles tell of progress more often than entries do.
                    Output::Progress { .. } => {}
                    Output::Send { .. } => {
                        let defect = "an engine without peers sent a message".to_owned();
                        return Err(LocalError::Internal(defect));
                    }
                }
            }
            let due = engine.poll_timeout().map(|at| at.saturating_sub(epoch.elapsed()));
            let event = self.wait(due);
            observer.progress(self.executor.bytes_added() - before);
            if observer.stops() {
                return Err(LocalError::Stopped);
            }
            let now = epoch.elapsed();
            if let Some(Event::Notice(notice)) = event
                && let Some((key, computed)) = sort(notice, observer)
            {
                engine.handle_computed(now, key.job, key.position, computed);
            }
            if engine.poll_timeout().is_some_and(|at| at <= now) {
                engine.handle_timeout(now);
            }
        }
    }

    /// Reduces some of a data set's entries, those at `positions`, as one of several
    /// processes that divide it among them. What it knows of them: whoever merges such
    /// partials must see to it that each entry is in one of them.
    ///
    /// # Errors
    /// An entry that cannot be read.
    ///
    /// # Panics
    /// If there is no entry at one of the positions.
    pub fn reduce_part(
        &mut self,
        manifest: &Arc<Manifest>,
        positions: Range<u32>,
        spec: &Spec,
        observer: &mut dyn Observer,
    ) -> Result<Partial, LocalError> {
        let job = JobId([0; 32]);
        let before = self.executor.bytes_added();
        let mut total = Partial::identity(spec, manifest.outputs() as usize);
        let mut waiting = positions.clone();
        let mut running = 0;
        loop {
            while running < 2 * self.executor.workers()
                && let Some(position) = waiting.next()
            {
                self.executor.reduce(job, spec.clone(), manifest, position);
                running += 1;
            }
            if running == 0 {
                return Ok(total);
            }
            let event = self.wait(None);
            observer.progress(self.executor.bytes_added() - before);
            if observer.stops() {
                return Err(LocalError::Stopped);
            }
            if let Some(Event::Notice(notice)) = event
                && let Some((key, computed)) = sort(notice, observer)
            {
                let entry = &manifest.entries()[key.position as usize];
                let partial = computed?.partial;
                if !partial.holds_each(entry.block.reduced) {
                    return Err(LocalError::Internal("a partial of another entry".to_owned()));
                }
                total
                    .merge_at(entry.first_output as usize, &partial)
                    .map_err(|error| LocalError::Internal(error.to_string()))?;
                running -= 1;
            }
        }
    }

    /// Reduces a stream of elements of `spec.dtype` to its end.
    ///
    /// A thread reads ahead as far as the queue takes shards. It is not waited
    /// for when the deadline passes, since a read cannot be called off.
    ///
    /// # Errors
    /// The stream cannot be read or ends too early, or the deadline.
    pub fn reduce_stream<R: Read + Send + 'static>(
        self,
        mut stream: Stream<R>,
        spec: Spec,
        deadline: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<StreamOutcome, LocalError> {
        let epoch = Instant::now();
        let (permits, permitted) = channel();
        let fortran = stream.fortran_shape();
        let (sender, shard_bytes) = (self.sender.clone(), self.executor.stream_shard_bytes());
        let permit = || {
            // Fails only when the reader has ended, which needs no permit then.
            let _ = permits.send(());
        };
        (0..self.executor.stream_shards_max()).for_each(|_| permit());
        std::thread::spawn(move || {
            while permitted.recv().is_ok() {
                let (event, last) = match stream.next_shard(shard_bytes) {
                    Ok(Some(shard)) => (Event::Shard(shard), false),
                    Ok(None) => (Event::StreamEnded, true),
                    Err(error) => (Event::StreamFailed(error), true),
                };
                if sender.send(event).is_err() || last {
                    return;
                }
            }
        });

        let job = JobId([0; 32]);
        let mut ledger = Ledger::new(&spec, 0, 1);
        let mut entries = Vec::new();
        let mut usage: Vec<Usage> = Vec::new();
        let mut ended = false;
        while !ended || ledger.coverage().is_none() {
            let left = deadline.map(|limit| limit.saturating_sub(epoch.elapsed()));
            match self.wait(left) {
                Some(Event::Shard(shard)) => {
                    let position = ledger.extend();
                    let elements = shard.elements();
                    let start = entries.last().map_or(0, |entry: &Entry| entry.elements.end);
                    entries.push(Entry::line(position, start..start + elements));
                    let key = TaskKey { job, position };
                    let site = Site {
                        fortran: fortran.clone().map(|shape| Fortran { shape, start, offset: 0 }),
                        ..Site::line(elements, start)
                    };
                    self.executor
                        .submit(Task { key, spec: spec.clone(), shard: Arc::new(shard), site })
                        .map_err(|full| LocalError::Internal(full.to_string()))?;
                }
                Some(Event::StreamEnded) => ended = true,
                Some(Event::StreamFailed(error)) => return Err(error.into()),
                Some(Event::Notice(notice)) => {
                    if let Some((key, computed)) = sort(notice, observer) {
                        let computed = computed?;
                        ledger
                            .record(&entries[key.position as usize], &computed.partial)
                            .map_err(|error| LocalError::Internal(error.to_string()))?;
                        computed.usage.iter().for_each(|part| add_usage(&mut usage, part));
                        permit();
                    }
                }
                None => {
                    if let Some(limit) = deadline.filter(|limit| epoch.elapsed() >= *limit) {
                        let bytes = bytes_of(&entries, spec.dtype);
                        return Err(LocalError::StreamDeadline { limit, bytes });
                    }
                }
            }
            observer.progress(self.executor.bytes_added());
            if observer.stops() {
                return Err(LocalError::Stopped);
            }
        }
        let bytes = bytes_of(&entries, spec.dtype);
        let (total, coverage) = ledger
            .into_total()
            .map_err(|_| LocalError::Internal("the ledger of a stream is not full".to_owned()))?;
        Ok(StreamOutcome { total, coverage, usage, bytes })
    }

    /// The next event, or `None` after `due` or when it is time to tell of
    /// progress.
    fn wait(&self, due: Option<Duration>) -> Option<Event> {
        let patience = due.map_or(PROGRESS_INTERVAL, |due| due.min(PROGRESS_INTERVAL));
        // The sender lives in this node, so an error is the time that passed.
        self.events.recv_timeout(patience).ok()
    }
}

/// Tells the observer of a lost device; a completion goes to the caller.
fn sort(
    notice: Notice,
    observer: &mut dyn Observer,
) -> Option<(TaskKey, Result<Computed, ShardError>)> {
    match notice {
        Notice::Completed(Completion { key, outcome, usage }) => {
            Some((key, outcome.map(|partial| Computed { partial, usage })))
        }
        Notice::DeviceDropped(text) => {
            observer.warning(&text);
            None
        }
    }
}

/// Adds what a device did to what all did.
pub fn add_usage(usage: &mut Vec<Usage>, part: &Usage) {
    match usage.iter_mut().find(|known| known.device == part.device) {
        Some(known) => known.add(part),
        None => usage.push(*part),
    }
}

fn bytes_of(entries: &[Entry], dtype: DType) -> u64 {
    entries.last().map_or(0, |entry| entry.elements.end) * dtype.size_bytes() as u64
}
