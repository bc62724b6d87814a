//! The half of an engine that reduces entries for collectors.
//!
//! ```text
//!              Offer                    Assign                 computed
//!   (no job) --------> subscribed: Pull --------> owed: Compute -------> Results, Failed
//!      ^                   |                        |                        |
//!      +-------------------+------------------------+------------------------+
//!          Cancel, or the connection is lost; with the last subscriber: Abandon
//! ```
//!
//! A worker that retires lets each collector go, by Refused, when it owes nothing to it.
//!
//! Several collectors can run the same job, for instance when an asker turned
//! to another after it lost one. They then share the work: an entry under way
//! is not started again, and its result goes to all who asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Config;
use super::{Computed, Outbox, Output};
use crate::manifest::{JobId, Manifest};
use crate::op::Spec;
use crate::placement::NodeId;
use crate::shard::{ShardError, ShardErrorKind};
use crate::wire::{
    DEVICES_MAX, EntryResult, FRAME_BYTES_MAX, Message, POSITIONS_MAX, RESULTS_MAX, Refusal,
};

/// The most bytes of partials in one message, with room for the rest of it.
const RESULTS_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64 / 4;

/// The jobs that this node works on.
#[derive(Debug)]
pub(super) struct Worker {
    /// Entries that this node takes at once from all collectors together.
    capacity: usize,
    jobs_max: usize,
    entries_max: usize,
    results_per_message: usize,
    jobs: BTreeMap<JobId, Job>,
    /// Whether other collectors get no more than what they are owed.
    retired: bool,
}

#[derive(Debug)]
struct Job {
    spec: Spec,
    manifest: Arc<Manifest>,
    /// Entries handed to the driver.
    computing: BTreeSet<u32>,
    subscribers: BTreeMap<NodeId, Subscriber>,
}

/// What a collector is owed.
#[derive(Debug, Default)]
struct Subscriber {
    /// Entries that it asked for and has no answer to.
    owed: BTreeSet<u32>,
    /// Results that wait for the next message.
    results: Vec<EntryResult>,
}

impl Subscriber {
    /// Whether it has all that it asked for.
    fn is_served(&self) -> bool {
        self.owed.is_empty() && self.results.is_empty()
    }

    /// Sends what became of an entry, or keeps it for the next message.
    fn answer(
        &mut self,
        to: NodeId,
        job: JobId,
        position: u32,
        outcome: Result<Computed, ShardError>,
        want: u32,
        outbox: &mut Outbox,
    ) {
        match outcome {
            Ok(Computed { partial, mut usage }) => {
                usage.truncate(DEVICES_MAX);
                let result = EntryResult { position, partial, usage };
                if to == outbox.own {
                    outbox.send(to, Message::Results { job, results: vec![result], want });
                } else {
                    self.results.push(result);
                }
            }
            Err(error) => {
                let node = outbox.own;
                outbox.send(to, Message::Failed { job, position, node, error });
            }
        }
    }
}

impl Worker {
    pub(super) fn new(config: &Config, workers: usize) -> Worker {
        Worker {
            capacity: workers.saturating_mul(config.outstanding_per_worker.max(1)),
            jobs_max: config.jobs_max,
            entries_max: config.entries_max,
            results_per_message: config.results_per_message.clamp(1, RESULTS_MAX),
            jobs: BTreeMap::new(),
            retired: false,
        }
    }

    /// Takes no more of other collectors, and lets each go when it has what it is owed.
    pub(super) fn retire(&mut self, outbox: &mut Outbox) {
        self.retired = true;
        self.raise_wants(outbox);
        self.let_go(outbox);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether any collector waits for anything.
    pub(super) fn owes(&self) -> bool {
        let mut all = self.jobs.values().flat_map(|job| job.subscribers.values());
        all.any(|subscriber| !subscriber.is_served())
    }

    pub(super) fn has_workers(&self) -> bool {
        self.capacity > 0
    }

    /// A collector offers a job: pull, or say why not.
    pub(super) fn handle_offer(
        &mut self,
        from: NodeId,
        id: JobId,
        spec: Spec,
        manifest: Arc<Manifest>,
        outbox: &mut Outbox,
    ) {
        let refusal = if !self.has_workers() || (self.retired && from != outbox.own) {
            Some(Refusal::NoWorkers)
        } else if !self.jobs.contains_key(&id) && !self.has_room(manifest.entries().len()) {
            Some(Refusal::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            outbox.send(from, Message::Refused { job: id, refusal });
            return;
        }
        let job = self.jobs.entry(id).or_insert_with(|| Job {
            spec,
            manifest,
            computing: BTreeSet::new(),
            subscribers: BTreeMap::new(),
        });
        job.subscribers.entry(from).or_default();
        outbox.send(from, Message::Pull { job: id, want: self.want(from == outbox.own) });
    }

    /// A collector asks for entries.
    pub(super) fn handle_assign(
        &mut self,
        from: NodeId,
        id: JobId,
        positions: Vec<u32>,
        outbox: &mut Outbox,
    ) {
        let job = self.jobs.get_mut(&id);
        let subscription = job.and_then(|job| {
            Some((&job.manifest, &mut job.computing, &job.spec, job.subscribers.get_mut(&from)?))
        });
        let Some((manifest, computing, spec, subscriber)) = subscription else {
            outbox.send(from, Message::Refused { job: id, refusal: Refusal::Unknown });
            return;
        };
        for position in positions {
            if manifest.entry(position).is_none() {
                let message = format!("the job has no entry {position}");
                let error = ShardError { kind: ShardErrorKind::Internal, message };
                let node = outbox.own;
                outbox.send(from, Message::Failed { job: id, position, node, error });
                continue;
            }
            subscriber.owed.insert(position);
            if computing.insert(position) {
                let manifest = Arc::clone(manifest);
                let spec = spec.clone();
                outbox.push(Output::Compute { job: id, spec, manifest, position });
            }
        }
    }

    /// A collector needs the job no more. It is told that the job was dropped,
    /// in case that the message came late and was not meant for this run.
    pub(super) fn handle_cancel(&mut self, from: NodeId, id: JobId, outbox: &mut Outbox) {
        if self.unsubscribe(from, id, outbox) {
            outbox.send(from, Message::Refused { job: id, refusal: Refusal::Unknown });
            self.raise_wants(outbox);
        }
    }

    /// A peer is gone, and with it all that it wanted.
    pub(super) fn handle_lost(&mut self, peer: NodeId, outbox: &mut Outbox) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        let mut changed = false;
        for id in ids {
            changed |= self.unsubscribe(peer, id, outbox);
        }
        if changed {
            self.raise_wants(outbox);
        }
    }

    /// An entry is done, for all who asked for it.
    pub(super) fn handle_computed(
        &mut self,
        id: JobId,
        position: u32,
        outcome: Result<Computed, ShardError>,
        outbox: &mut Outbox,
    ) {
        let wants = [false, true].map(|own| self.want(own));
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.computing.remove(&position) {
            return;
        }
        let all = job.subscribers.iter_mut();
        let owed = all.filter_map(|(&to, s)| s.owed.remove(&position).then_some((to, s)));
        let mut owed: Vec<(NodeId, &mut Subscriber)> = owed.collect();
        // A partial may be large, so it is copied only where several want it.
        let last = owed.pop();
        for (to, subscriber) in owed {
            let want = wants[usize::from(to == outbox.own)];
            subscriber.answer(to, id, position, outcome.clone(), want, outbox);
        }
        if let Some((to, subscriber)) = last {
            let want = wants[usize::from(to == outbox.own)];
            subscriber.answer(to, id, position, outcome, want, outbox);
        }
    }

    /// Sends the results that wait.
    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        // Those for this node itself never wait.
        let want = self.want(false);
        for (&job, state) in &mut self.jobs {
            for (&to, subscriber) in &mut state.subscribers {
                let mut results = std::mem::take(&mut subscriber.results);
                while !results.is_empty() {
                    let count = fitting(&results, self.results_per_message);
                    let rest = results.split_off(count);
                    outbox.send(to, Message::Results { job, results, want });
                    results = rest;
                }
            }
        }
        if self.retired {
            self.let_go(outbox);
        }
    }

    /// Ends the part of this node for all others that have what they are owed. What
    /// they ask for meanwhile was not begun.
    fn let_go(&mut self, outbox: &mut Outbox) {
        let mut served = Vec::new();
        for (&job, state) in &self.jobs {
            let all = state.subscribers.iter();
            let others = all.filter(|(to, s)| **to != outbox.own && s.is_served());
            served.extend(others.map(|(&to, _)| (to, job)));
        }
        for (to, job) in served {
            self.unsubscribe(to, job, outbox);
            outbox.send(to, Message::Refused { job, refusal: Refusal::NoWorkers });
        }
    }

    /// Whether this node takes a job more, of so many entries.
    fn has_room(&self, entries: usize) -> bool {
        let held: usize = self.jobs.values().map(|job| job.manifest.entries().len()).sum();
        let fits = held == 0 || held + entries <= self.entries_max;
        fits && self.jobs.len() < self.jobs_max
    }

    /// How many entries a collector, this node's own or another, may ask for at once:
    /// an equal share; of who retires, others get no more than the last one.
    fn want(&self, own: bool) -> u32 {
        if self.retired && !own {
            return 1;
        }
        let subscribers: usize = self.jobs.values().map(|job| job.subscribers.len()).sum();
        (self.capacity / subscribers.max(1)).clamp(1, POSITIONS_MAX) as u32
    }

    /// Tells the collectors that their share has grown.
    fn raise_wants(&self, outbox: &mut Outbox) {
        for (&job, state) in &self.jobs {
            for &to in state.subscribers.keys() {
                let want = self.want(to == outbox.own);
                outbox.send(to, Message::Pull { job, want });
            }
        }
    }

    /// Forgets what a collector wanted of a job; says whether there was such.
    fn unsubscribe(&mut self, from: NodeId, id: JobId, outbox: &mut Outbox) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let known = job.subscribers.remove(&from).is_some();
        if job.subscribers.is_empty() {
            self.jobs.remove(&id);
            outbox.push(Output::Abandon { job: id });
        }
        known
    }
}

/// How many of the results go into one message: as many as may, as long as
/// they surely fit.
fn fitting(results: &[EntryResult], count_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |result: &&EntryResult| {
        bytes += result.partial.encoded_bytes_max();
        bytes <= RESULTS_BYTES_MAX
    };
    results.iter().take(count_max).take_while(fits).count().max(1)
}
