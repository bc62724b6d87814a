//! The state machine of one node: events in, actions out.
//!
//! It does no I/O and reads no clock. A driver calls `handle_*` with what
//! happened and the time, then takes what is to be done from
//! [`Engine::poll_output`] until it is empty, and calls
//! [`Engine::handle_timeout`] when [`Engine::poll_timeout`] is reached. All
//! order is that of ordered maps, so equal events give equal actions.
//!
//! Every node has the same engine, in two halves that talk by messages. The
//! **collector** drives the jobs that were submitted here; any node can be one.
//! The **worker** reduces entries for collectors, its own included: what a
//! node sends to itself never leaves the engine.
//!
//! ```text
//!  submit, cancel --> +-----------+  Offer Assign Cancel   +--------+ --> Compute, Abandon
//!                     | collector | <====================> | worker |
//!  Finished,      <-- +-----------+  Pull Results Failed   +--------+ <-- handle_computed
//!  Progress                 |            Refused               |
//!                           +------- Send / handle_message ----+
//! ```
//!
//! The life of a job is told in `engine/job.rs`, that of a worker's part in
//! `engine/worker.rs`. Where there are many nodes, some collect from others for the
//! collector (`engine/teams.rs`, `engine/deputy.rs`).
//!
//! # What keeps a result right
//!
//! Partials are exact and merge in any order, so a result is right when every
//! entry is in it once. The [`Ledger`](crate::ledger::Ledger) alone decides
//! that: it takes each position once and gives its total away only when full.
//! All else here (who is asked, when, how often) decides only how long a job
//! takes. The engine moves partials; it never folds an element.
//!
//! # The transport's part
//!
//! The driver reports a peer as connected after the handshake, when messages
//! can flow both ways, and as lost when they cannot. It delivers the messages
//! of a connection in order. Messages that come twice, or late from an earlier
//! connection, do no harm.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::dtype::DType;
use crate::manifest::{JobId, Manifest};
use crate::op::Spec;
use crate::partial::Partial;
use crate::placement::NodeId;
use crate::shard::ShardError;
use crate::wire::{Message, Refusal};

mod backlog;
mod collector;
mod config;
mod deputy;
mod holders;
mod job;
mod member;
mod orphans;
mod outcome;
mod schedule;
mod tally;
mod teams;
mod worker;

pub use crate::placement::Holders;
pub use crate::wire::{Course, Usage, WARNINGS_MAX, Warning};
pub use config::{Config, FAN_IN_MIN};
pub use outcome::{
    JobError, LAST_HOLDERS_MAX, MISSING_NAMED_MAX, Missing, NodeReport, Outcome, Unfinished,
};

use collector::Collector;
use job::Description;
use worker::Worker;

/// A time: how long ago the driver's epoch was. It never goes back.
pub type Now = Duration;

/// The name of one request for a result: random, chosen by who asks. Several
/// requests for the same job are one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u128);

/// A request for the result of a job.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// Its name, of no other request.
    pub id: RequestId,
    /// The entries to reduce.
    pub manifest: Arc<Manifest>,
    /// What to reduce them to.
    pub spec: Spec,
    /// Which nodes have which files.
    pub holders: Holders,
    /// How long the job may take from [`Engine::submit`] on.
    pub deadline: Option<Duration>,
}

/// What computing an entry gave.
#[derive(Clone, Debug)]
pub struct Computed {
    /// What its elements reduce to.
    pub partial: Partial,
    /// Which devices did the work.
    pub usage: Vec<Usage>,
}

/// What the driver is to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message to a connected peer. If that fails the connection is
    /// lost; nothing is to be sent again on another.
    Send {
        /// The peer.
        to: NodeId,
        /// The message.
        message: Message,
    },
    /// Reduce an entry and report by [`Engine::handle_computed`]. For one
    /// collector there are at most [`Config::outstanding_per_worker`] for each
    /// worker under way. Several share them, each with at least one; a new one
    /// gets its share while the others' entries are still under way.
    Compute {
        /// The job.
        job: JobId,
        /// What to reduce to.
        spec: Spec,
        /// The job's manifest.
        manifest: Arc<Manifest>,
        /// Position of the entry in the manifest.
        position: u32,
    },
    /// Nobody needs this job from here any more: drop what is queued or under
    /// way for it, and do not report it.
    Abandon {
        /// The job.
        job: JobId,
    },
    /// How far a request is. Comes when something changed, not for every entry.
    Progress {
        /// The request.
        request: RequestId,
        /// Entries in the total.
        entries_done: usize,
        /// Entries of the job.
        entries: usize,
        /// Bytes of elements in the total.
        bytes_done: u64,
        /// Bytes of elements of the job.
        bytes: u64,
    },
    /// The end of a request; nothing follows about it.
    Finished {
        /// The request.
        request: RequestId,
        /// The result, or why there is none.
        result: Result<Outcome, JobError>,
    },
}

/// Why a request was not taken. The engine is unchanged. All of these are for
/// the caller to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// A request of this name is running.
    #[error("request {id:032x} is running already")]
    Duplicate {
        /// The name.
        id: u128,
    },
    /// The spec is for other elements than the manifest's.
    #[error("the reduction is of {spec}, the data is {manifest}")]
    DTypes {
        /// Element type of the spec.
        spec: DType,
        /// Element type of the manifest.
        manifest: DType,
    },
    /// The spec cannot be carried out over the manifest: it is of one data set
    /// or of two as the manifest is not, or a partial is too large to travel.
    #[error("{spec:?} cannot be carried out over this data")]
    Spec {
        /// The spec.
        spec: Spec,
    },
    /// Not one set of holders for each file.
    #[error("holders of {got} files were given, the manifest has {expected}")]
    Holders {
        /// Files of the manifest.
        expected: usize,
        /// Sets of holders.
        got: usize,
    },
    /// As many jobs or requests are running as one node takes.
    #[error("{max} {what} are running on this node, which is the most; wait for one to finish")]
    Busy {
        /// Jobs, their entries, or requests.
        what: &'static str,
        /// The most there may be.
        max: usize,
    },
    /// The manifest does not fit into one message.
    #[error(
        "the description of the data set takes {got} bytes, a message has at most {max}; reduce it in several runs"
    )]
    ManifestBytes {
        /// The most bytes of a message.
        max: usize,
        /// Bytes of the message that the manifest makes.
        got: usize,
    },
}

/// The state machine of one node.
#[derive(Debug)]
pub struct Engine {
    peers: BTreeSet<NodeId>,
    collector: Collector,
    worker: Worker,
    outbox: Outbox,
}

impl Engine {
    /// The engine of the node `id`, which reduces `workers` entries at the same
    /// time; with zero it only asks others.
    pub fn new(id: NodeId, config: Config, workers: usize) -> Engine {
        Engine {
            peers: BTreeSet::new(),
            worker: Worker::new(&config, workers),
            collector: Collector::new(config),
            outbox: Outbox::new(id),
        }
    }

    /// A connection to `peer` is up. One that was up before is lost by that.
    pub fn handle_connected(&mut self, now: Now, peer: NodeId) {
        if peer == self.outbox.own {
            return;
        }
        self.handle_lost(now, peer);
        self.peers.insert(peer);
        self.collector.handle_connected(now, peer, &mut self.outbox);
        self.settle(now);
    }

    /// The connection to `peer` is gone, and messages on their way with it.
    pub fn handle_lost(&mut self, now: Now, peer: NodeId) {
        if self.peers.remove(&peer) {
            self.worker.handle_lost(peer, &mut self.outbox);
            self.collector.handle_lost(now, peer, &mut self.outbox);
            self.settle(now);
        }
    }

    /// A message came from `from`. One from a peer that is not connected is
    /// too late and does nothing.
    pub fn handle_message(&mut self, now: Now, from: NodeId, message: Message) {
        if self.peers.contains(&from) {
            self.dispatch(now, from, message);
            self.settle(now);
        }
    }

    /// A [`Output::Compute`] is done. One that nobody waits for does nothing.
    pub fn handle_computed(
        &mut self,
        now: Now,
        job: JobId,
        position: u32,
        outcome: Result<Computed, ShardError>,
    ) {
        self.worker.handle_computed(job, position, outcome, &mut self.outbox);
        self.settle(now);
    }

    /// The time of [`Engine::poll_timeout`] has come. Does nothing before it.
    pub fn handle_timeout(&mut self, now: Now) {
        self.collector.handle_timeout(now, &mut self.outbox);
        self.settle(now);
    }

    /// Starts a job, or adds a request to it if it is running.
    ///
    /// # Errors
    /// The request is at odds with itself, or over a limit; nothing changed.
    pub fn submit(&mut self, now: Now, request: JobRequest) -> Result<(), SubmitError> {
        let own = self.worker.has_workers().then_some(self.outbox.own);
        let nodes = self.peers.iter().copied().chain(own);
        self.collector.submit(now, request, nodes, &mut self.outbox)?;
        self.settle(now);
        Ok(())
    }

    /// More is known of which nodes have the files of a request that is running.
    /// One that is not running does nothing.
    pub fn add_holders(&mut self, now: Now, request: RequestId, holders: Holders) {
        let own = self.worker.has_workers().then_some(self.outbox.own);
        let nodes = self.peers.iter().copied().chain(own);
        self.collector.add_holders(now, request, holders, nodes, &mut self.outbox);
        self.settle(now);
    }

    /// Ends a request, with [`JobError::Cancelled`]. Its job ends with its last
    /// request. One that is not running does nothing.
    pub fn cancel(&mut self, now: Now, request: RequestId) {
        self.collector.cancel(request, &mut self.outbox);
        self.settle(now);
    }

    /// This node is about to leave: it takes no more entries of other collectors and
    /// collects nothing new for them, and does what it was asked for until now.
    pub fn retire(&mut self, now: Now) {
        self.worker.retire(&mut self.outbox);
        self.settle(now);
    }

    /// Whether nobody waits for anything from here, once all outputs are taken.
    pub fn is_idle(&self) -> bool {
        self.collector.is_idle() && !self.worker.owes()
    }

    /// When to call [`Engine::handle_timeout`], if nothing else happens before.
    /// It may lie in the past.
    pub fn poll_timeout(&self) -> Option<Now> {
        self.collector.next_timeout()
    }

    /// The next thing to do. Results are gathered into messages, and progress
    /// into one report, over all events since this last returned `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outbox.outputs.is_empty() {
            self.worker.flush(&mut self.outbox);
            self.collector.flush(&mut self.outbox);
        }
        self.outbox.outputs.pop_front()
    }

    fn dispatch(&mut self, now: Now, from: NodeId, message: Message) {
        match message {
            Message::Offer { job, spec, manifest } => {
                self.worker.handle_offer(from, job, spec, manifest, &mut self.outbox);
            }
            Message::Delegate { job, .. } if self.worker.is_retired() => {
                self.outbox.send(from, Message::Refused { job, refusal: Refusal::Unknown });
            }
            Message::Delegate { job, spec, manifest, team, holders } => {
                let description = Description { id: job, spec, manifest, holders };
                let own = self.worker.has_workers().then_some(self.outbox.own);
                let nodes = self.peers.iter().copied().chain(own);
                let outbox = &mut self.outbox;
                self.collector.handle_delegate(now, from, description, team, nodes, outbox);
            }
            Message::Assign { job, positions, alone } => {
                if self.collector.is_deputy(job, from) {
                    self.collector.handle_share(now, job, positions, alone, &mut self.outbox);
                } else {
                    self.worker.handle_assign(from, job, positions, &mut self.outbox);
                }
            }
            Message::Cancel { job } => {
                self.collector.handle_dismissed(job, from, &mut self.outbox);
                self.worker.handle_cancel(from, job, &mut self.outbox);
            }
            Message::Report { job, report, want } => {
                self.collector.handle_report(now, from, job, &report, want, &mut self.outbox);
            }
            Message::Unreached { job, nodes } => {
                self.collector.handle_unreached(now, from, job, &nodes, &mut self.outbox);
            }
            Message::Returned { job, positions } => {
                self.collector.handle_returned(now, from, job, &positions, &mut self.outbox);
            }
            Message::Pull { job, want } => {
                self.collector.handle_pull(now, from, job, want, &mut self.outbox);
            }
            Message::Results { job, results, want } => {
                self.collector.handle_results(now, from, job, results, want, &mut self.outbox);
            }
            Message::Failed { job, position, node, error } => {
                let failure = (node, error);
                let outbox = &mut self.outbox;
                self.collector.handle_failed(now, from, job, position, failure, outbox);
            }
            Message::Refused { job, refusal } => {
                self.collector.handle_refused(now, from, job, refusal, &mut self.outbox);
            }
            // The driver's own, and those of the service of a node.
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Gossip(_)
            | Message::Held { .. }
            | Message::Unusable(_)
            | Message::Known(_)
            | Message::Ask { .. }
            | Message::Reply { .. }
            | Message::Withdraw { .. } => {}
        }
    }

    /// Delivers what this node sent to itself, until it has nothing more to say.
    fn settle(&mut self, now: Now) {
        while let Some(message) = self.outbox.loopback.pop_front() {
            self.dispatch(now, self.outbox.own, message);
        }
    }
}

/// What is to be done, in order, and the messages of this node to itself.
#[derive(Debug)]
struct Outbox {
    own: NodeId,
    outputs: VecDeque<Output>,
    loopback: VecDeque<Message>,
}

impl Outbox {
    fn new(own: NodeId) -> Outbox {
        Outbox { own, outputs: VecDeque::new(), loopback: VecDeque::new() }
    }

    fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        if to == self.own {
            self.loopback.push_back(message);
        } else {
            self.push(Output::Send { to, message });
        }
    }
}

#[cfg(test)]
mod tests;
