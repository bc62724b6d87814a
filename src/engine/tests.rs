use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::backend::reference;
use crate::dtype::ByteOrder;
use crate::finish::{Options, finish};
use crate::ledger::RecordError;
use crate::manifest::imaginary_file;
use crate::op::Op;
use crate::placement::{EntryKey, rendezvous_order};
use crate::shard::ShardErrorKind;
use crate::value::Value;
use crate::wire::{self, EntryResult, Refusal};

mod limits;
mod loss;
mod regressions;
mod requests;
mod retiring;
mod teams;

fn spec() -> Spec {
    Spec::sum(DType::I64)
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn node(name: u8) -> NodeId {
    NodeId([name; 16])
}

/// `files` files of `entries` entries of one element each, whose value is the
/// entry's position plus one.
fn manifest(files: usize, entries: u64) -> Arc<Manifest> {
    let file = |index| imaginary_file(&format!("{index}.npy"), DType::I64, entries);
    Arc::new(Manifest::with_entry_bytes((0..files).map(file).collect(), 8).expect("valid files"))
}

fn partial(position: u32) -> Partial {
    reference::reduce_line(&spec(), ByteOrder::NATIVE, &(i64::from(position) + 1).to_ne_bytes())
}

fn computed(position: u32) -> Computed {
    let usage = vec![Usage { device: 0, tiles: 1, bytes: 8, busy_ns: 10 }];
    Computed { partial: partial(position), usage }
}

fn request(id: u128, manifest: &Arc<Manifest>, holders: Holders) -> JobRequest {
    let manifest = Arc::clone(manifest);
    JobRequest { id: RequestId(id), manifest, spec: spec(), holders, deadline: None }
}

/// The same nodes for every one of `files` files.
fn held_by(files: usize, nodes: &[u8]) -> Holders {
    Holders::PerFile(vec![nodes.iter().map(|&name| node(name)).collect(); files])
}

/// What a node does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Reduces it at once.
    Prompt,
    /// Keeps it until told otherwise.
    Stuck,
    /// Says that it cannot.
    Broken,
    /// Sends the partial of no elements.
    Liar,
}

/// Engines that are all connected, with messages that take no time.
struct Cluster {
    now: Duration,
    engines: BTreeMap<NodeId, Engine>,
    behaviour: BTreeMap<NodeId, Behaviour>,
    /// Entries that stuck nodes have.
    stuck: Vec<(NodeId, JobId, u32)>,
    messages: Vec<(NodeId, NodeId, Message)>,
    finished: Vec<(RequestId, Result<Outcome, JobError>)>,
    progress: Vec<(usize, u64)>,
    abandoned: Vec<NodeId>,
}

impl Cluster {
    /// A node for each number of workers, named 0, 1, ...
    fn new(workers: &[usize], config: Config) -> Cluster {
        let mut cluster = Cluster {
            now: Duration::ZERO,
            engines: BTreeMap::new(),
            behaviour: BTreeMap::new(),
            stuck: Vec::new(),
            messages: Vec::new(),
            finished: Vec::new(),
            progress: Vec::new(),
            abandoned: Vec::new(),
        };
        for (name, &workers) in workers.iter().enumerate() {
            cluster.join(name as u8, workers, config);
        }
        cluster
    }

    /// A node starts and is connected to all others.
    fn join(&mut self, name: u8, workers: usize, config: Config) {
        let mut engine = Engine::new(node(name), config, workers);
        for (&peer, other) in &mut self.engines {
            other.handle_connected(self.now, node(name));
            engine.handle_connected(self.now, peer);
        }
        self.engines.insert(node(name), engine);
        self.run();
    }

    fn engine(&mut self, name: u8) -> &mut Engine {
        self.engines.get_mut(&node(name)).expect("a node of the cluster")
    }

    fn behave(&mut self, name: u8, behaviour: Behaviour) {
        self.behaviour.insert(node(name), behaviour);
    }

    fn submit(&mut self, name: u8, request: JobRequest) {
        let now = self.now;
        self.engine(name).submit(now, request).expect("a valid request");
        self.run();
    }

    fn cancel(&mut self, name: u8, id: u128) {
        let now = self.now;
        self.engine(name).cancel(now, RequestId(id));
        self.run();
    }

    /// A message that `from` never sent comes to `to`.
    fn deliver(&mut self, from: u8, to: u8, message: Message) {
        let now = self.now;
        self.engine(to).handle_message(now, node(from), message);
        self.run();
    }

    fn lose(&mut self, name: u8) {
        self.engines.remove(&node(name));
        self.stuck.retain(|(holder, ..)| *holder != node(name));
        let now = self.now;
        self.engines.values_mut().for_each(|engine| engine.handle_lost(now, node(name)));
        self.run();
    }

    /// A node has done what it was stuck with.
    fn release(&mut self, name: u8) {
        let (done, stuck) =
            std::mem::take(&mut self.stuck).into_iter().partition(|(id, ..)| *id == node(name));
        self.stuck = stuck;
        let now = self.now;
        for (_, job, position) in done {
            self.engine(name).handle_computed(now, job, position, Ok(computed(position)));
        }
        self.run();
    }

    /// Time passes, with all timers that come due on the way.
    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let timers = self.engines.values().filter_map(Engine::poll_timeout);
            self.now = timers.min().map_or(end, |timer| timer.clamp(self.now, end));
            let now = self.now;
            self.engines.values_mut().for_each(|engine| engine.handle_timeout(now));
            self.run();
            if now == end {
                return;
            }
        }
    }

    /// Until nobody has anything to do; in turns.
    fn run(&mut self) {
        loop {
            let engines = self.engines.iter_mut();
            let outputs: Vec<(NodeId, Output)> =
                engines.filter_map(|(id, engine)| Some((*id, engine.poll_output()?))).collect();
            if outputs.is_empty() {
                return;
            }
            for (id, output) in outputs {
                self.obey(id, output);
            }
        }
    }

    fn obey(&mut self, id: NodeId, output: Output) {
        let now = self.now;
        match output {
            Output::Send { to, message } => {
                self.messages.push((id, to, message.clone()));
                if let Some(peer) = self.engines.get_mut(&to) {
                    peer.handle_message(now, id, message);
                }
            }
            Output::Compute { job, position, .. } => {
                let engine = self.engines.get_mut(&id).expect("it has just spoken");
                let outcome = match self.behaviour.get(&id).unwrap_or(&Behaviour::Prompt) {
                    Behaviour::Prompt => Ok(computed(position)),
                    Behaviour::Stuck => return self.stuck.push((id, job, position)),
                    Behaviour::Broken => Err(ShardError::unreadable("a scratch")),
                    Behaviour::Liar => {
                        Ok(Computed { partial: Partial::identity(&spec(), 1), usage: Vec::new() })
                    }
                };
                engine.handle_computed(now, job, position, outcome);
            }
            Output::Progress { entries_done, bytes_done, .. } => {
                self.progress.push((entries_done, bytes_done));
            }
            Output::Abandon { job } => {
                self.stuck.retain(|&(holder, stuck, _)| (holder, stuck) != (id, job));
                self.abandoned.push(id);
            }
            Output::Finished { request, result } => self.finished.push((request, result)),
        }
    }

    /// The positions that a node is stuck with.
    fn stuck_at(&self, name: u8) -> Vec<u32> {
        let at = self.stuck.iter().filter(|(holder, ..)| *holder == node(name));
        at.map(|(.., position)| *position).collect()
    }

    /// The only result so far: the sum of 1 to `entries`.
    #[track_caller]
    fn result(&mut self, entries: i64) -> Outcome {
        assert_eq!(self.finished.len(), 1, "{:?}", self.finished);
        let (_, result) = self.finished.remove(0);
        let outcome = result.expect("a result");
        assert_eq!(outcome.coverage.entries() as i64, entries);
        let sum = finish(Op::Sum, outcome.total.states(0), Options::default(), DType::I64);
        let expected = Value::int64(entries * (entries + 1) / 2);
        assert_eq!(sum.map(|sum| sum.value), Ok(expected));
        outcome
    }

    /// The only error so far.
    #[track_caller]
    fn error(&mut self) -> JobError {
        assert_eq!(self.finished.len(), 1, "{:?}", self.finished);
        self.finished.remove(0).1.expect_err("an error")
    }
}

#[test]
fn a_node_alone_reduces_its_own_job() {
    let mut cluster = Cluster::new(&[2], Config::default());
    cluster.submit(0, request(1, &manifest(3, 5), Holders::Everyone));
    let outcome = cluster.result(15);
    assert_eq!(outcome.nodes, [NodeReport { id: node(0), entries: 15, lost: false }]);
    assert_eq!(outcome.usage[&(node(0), 0)].bytes, 120);
    assert_eq!((outcome.course.recomputed, outcome.course.duplicates), (0, 0));
    assert_eq!(cluster.abandoned, [node(0)]);
    assert!(cluster.messages.is_empty(), "a node that speaks to itself uses no network");
}

#[test]
fn every_node_works_on_a_job_of_a_node_that_does_not() {
    let mut cluster = Cluster::new(&[0, 1, 2, 4], Config::default());
    cluster.submit(0, request(1, &manifest(8, 10), Holders::Everyone));
    let outcome = cluster.result(80);
    let ids: Vec<NodeId> = outcome.nodes.iter().map(|report| report.id).collect();
    assert_eq!(ids, [node(1), node(2), node(3)]);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    assert_eq!(cluster.abandoned.len(), 3);
}

#[test]
fn a_job_of_no_entries_is_done_at_once() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.submit(0, request(1, &manifest(2, 0), Holders::Everyone));
    assert_eq!(cluster.result(0).total, Partial::identity(&spec(), 1));
    assert!(cluster.messages.is_empty());
}

#[test]
fn a_node_takes_twice_its_workers() {
    let mut cluster = Cluster::new(&[0, 1, 3], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.behave(2, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 100), Holders::Everyone));
    assert_eq!((cluster.stuck_at(1).len(), cluster.stuck_at(2).len()), (2, 6));
    for _ in 0..100 {
        cluster.release(1);
        assert!(cluster.stuck_at(1).len() <= 2);
        cluster.release(2);
        assert!(cluster.stuck_at(2).len() <= 6);
    }
    cluster.result(100);
}

#[test]
fn two_jobs_share_a_node() {
    let mut cluster = Cluster::new(&[0, 2], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 100), Holders::Everyone));
    cluster.submit(0, request(2, &manifest(2, 100), Holders::Everyone));
    assert_eq!(cluster.stuck_at(1).len(), 4 + 2);
    cluster.release(1);
    assert_eq!(cluster.stuck_at(1).len(), 2 + 2);
    // The share of the one that goes is for the one that stays.
    cluster.cancel(0, 1);
    assert_eq!(cluster.stuck_at(1).len(), 4);
}

#[test]
fn an_entry_goes_to_the_node_that_placement_prefers() {
    let mut cluster = Cluster::new(&[0, 1, 1, 1], Config::default());
    (1..4).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    let manifest = manifest(1, 60);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    assert_eq!(cluster.stuck.len(), 6);
    for &(holder, _, position) in &cluster.stuck {
        let entry = &manifest.entries()[position as usize];
        let key = EntryKey::new(manifest.file(entry), entry);
        assert_eq!(rendezvous_order(key, (1..4).map(node))[0], holder);
    }
}

#[test]
fn a_node_without_entries_of_its_own_helps_the_one_with_most() {
    // Files 0..6 are at node 1, file 6 is at node 2, and node 3 has all.
    let mut files = vec![BTreeSet::from([node(1), node(3)]); 6];
    files.push(BTreeSet::from([node(2), node(3)]));
    let mut cluster = Cluster::new(&[0, 1, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.behave(2, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(7, 4), Holders::PerFile(files)));
    // Node 3 has done all that nobody else has begun.
    assert_eq!((cluster.stuck_at(1).len(), cluster.stuck_at(2).len()), (2, 2));
    cluster.release(1);
    cluster.release(2);
    let outcome = cluster.result(28);
    assert_eq!(outcome.nodes.last().map(|report| report.entries), Some(24));
}

#[test]
fn only_nodes_with_a_file_are_asked() {
    let mut cluster = Cluster::new(&[1, 1, 1], Config::default());
    cluster.submit(0, request(1, &manifest(2, 5), held_by(2, &[2])));
    let outcome = cluster.result(10);
    assert_eq!(outcome.nodes, [NodeReport { id: node(2), entries: 10, lost: false }]);
    assert!(cluster.messages.iter().all(|(from, to, _)| [*from, *to] != [node(0), node(1)]));
}

#[test]
fn progress_is_reported_as_entries_come() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 6), Holders::Everyone));
    (0..3).for_each(|_| cluster.release(1));
    // The last is told by the result.
    assert_eq!(cluster.progress, [(2, 16), (4, 32)]);
    cluster.result(6);
}

#[test]
fn results_that_are_ready_together_travel_together() {
    let config = Config { results_per_message: 3, ..Config::default() };
    let mut cluster = Cluster::new(&[0, 4], config);
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 8), Holders::Everyone));
    cluster.release(1);
    let sizes = cluster.messages.iter().filter_map(|(_, _, message)| match message {
        Message::Results { results, .. } => Some(results.len()),
        _ => None,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [3, 3, 2]);
    cluster.result(8);
}
