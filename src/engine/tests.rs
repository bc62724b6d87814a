use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::backend::reference;
use crate::dtype::ByteOrder;
use crate::manifest::imaginary_file;

const SPEC: Spec = Spec { op: crate::Op::Sum, dtype: DType::I64 };
const MS: Duration = Duration::from_millis(1);

fn node(name: u8) -> NodeId {
    NodeId([name; 16])
}

/// `files` files of `entries` entries of one element each, whose value is the
/// entry's position plus one.
fn manifest(files: usize, entries: u64) -> Arc<Manifest> {
    let file = |index| imaginary_file(&format!("{index}.npy"), DType::I64, entries);
    Arc::new(Manifest::with_entry_bytes((0..files).map(file).collect(), 8).expect("valid files"))
}

fn computed(position: u32) -> Computed {
    let bytes = (i64::from(position) + 1).to_ne_bytes();
    Computed {
        partial: reference::reduce(SPEC, ByteOrder::NATIVE, &bytes),
        usage: vec![Usage { device: 0, tiles: 1, bytes: 8, busy_ns: 10 }],
    }
}

fn request(id: u128, manifest: &Arc<Manifest>, holders: Holders) -> JobRequest {
    let manifest = Arc::clone(manifest);
    JobRequest { id: RequestId(id), manifest, spec: SPEC, holders, deadline: None }
}

fn outputs(engine: &mut Engine) -> Vec<Output> {
    std::iter::from_fn(|| engine.poll_output()).collect()
}

/// The messages among `outputs`, with who gets them.
fn sent(outputs: &[Output]) -> Vec<(NodeId, Message)> {
    let send = |output: &Output| match output {
        Output::Send { to, message } => Some((*to, message.clone())),
        _ => None,
    };
    outputs.iter().filter_map(send).collect()
}

fn finished(outputs: &[Output]) -> Vec<(RequestId, Result<Outcome, JobError>)> {
    let finish = |output: &Output| match output {
        Output::Finished { request, result } => Some((*request, result.clone())),
        _ => None,
    };
    outputs.iter().filter_map(finish).collect()
}

fn positions(outputs: &[Output]) -> Vec<u32> {
    let compute = |output: &Output| match output {
        Output::Compute { position, .. } => Some(*position),
        _ => None,
    };
    outputs.iter().filter_map(compute).collect()
}

/// Engines that are all connected, with messages that take no time. Entries
/// are done as soon as they are asked for, but by the nodes in `stuck`.
struct Cluster {
    now: Duration,
    engines: BTreeMap<NodeId, Engine>,
    stuck: BTreeSet<NodeId>,
    finished: Vec<(RequestId, Result<Outcome, JobError>)>,
    abandoned: Vec<NodeId>,
}

impl Cluster {
    /// A node for each number of workers, named 0, 1, ...
    fn new(workers: &[usize], config: Config) -> Cluster {
        let names = (0..workers.len() as u8).map(node);
        let engines = names.zip(workers).map(|(id, &w)| (id, Engine::new(id, config, w))).collect();
        let mut cluster = Cluster {
            now: Duration::ZERO,
            engines,
            stuck: BTreeSet::new(),
            finished: Vec::new(),
            abandoned: Vec::new(),
        };
        let ids: Vec<NodeId> = cluster.engines.keys().copied().collect();
        for (id, engine) in &mut cluster.engines {
            ids.iter()
                .filter(|peer| *peer != id)
                .for_each(|&p| engine.handle_connected(Now::ZERO, p));
        }
        cluster
    }

    fn engine(&mut self, name: u8) -> &mut Engine {
        self.engines.get_mut(&node(name)).expect("a node of the cluster")
    }

    fn submit(&mut self, name: u8, request: JobRequest) {
        let now = self.now;
        self.engine(name).submit(now, request).expect("a valid request");
        self.run();
    }

    fn lose(&mut self, name: u8) {
        self.engines.remove(&node(name));
        let now = self.now;
        self.engines.values_mut().for_each(|engine| engine.handle_lost(now, node(name)));
        self.run();
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        let now = self.now;
        self.engines.values_mut().for_each(|engine| engine.handle_timeout(now));
        self.run();
    }

    /// Until nobody has anything to do; in turns.
    fn run(&mut self) {
        let now = self.now;
        loop {
            let engines = self.engines.iter_mut();
            let outputs: Vec<(NodeId, Output)> =
                engines.filter_map(|(id, engine)| Some((*id, engine.poll_output()?))).collect();
            if outputs.is_empty() {
                return;
            }
            for (id, output) in outputs {
                match output {
                    Output::Send { to, message } => {
                        if let Some(peer) = self.engines.get_mut(&to) {
                            peer.handle_message(now, id, message);
                        }
                    }
                    Output::Compute { job, position, .. } if !self.stuck.contains(&id) => {
                        let engine = self.engines.get_mut(&id).expect("it has just spoken");
                        engine.handle_computed(now, job, position, Ok(computed(position)));
                    }
                    Output::Compute { .. } | Output::Progress { .. } => {}
                    Output::Abandon { .. } => self.abandoned.push(id),
                    Output::Finished { request, result } => self.finished.push((request, result)),
                }
            }
        }
    }

    /// The only result so far: the sum of 1 to `entries`.
    #[track_caller]
    fn the_result(&mut self, entries: i64) -> Outcome {
        assert_eq!(self.finished.len(), 1, "{:?}", self.finished);
        let (_, result) = self.finished.remove(0);
        let outcome = result.expect("a result");
        assert_eq!(outcome.coverage.entries() as i64, entries);
        assert_eq!(outcome.total.finish(None), Ok(crate::Value::I64(entries * (entries + 1) / 2)));
        outcome
    }
}

#[test]
fn a_node_alone_reduces_its_own_job() {
    let mut cluster = Cluster::new(&[2], Config::default());
    cluster.submit(0, request(1, &manifest(3, 5), Holders::Everyone));
    let outcome = cluster.the_result(15);
    assert_eq!(outcome.nodes, [NodeReport { id: node(0), entries: 15, lost: false }]);
    assert_eq!(outcome.usage[&(node(0), 0)].bytes, 120);
    assert_eq!(cluster.abandoned, [node(0)]);
}

#[test]
fn every_node_works_on_a_job_of_a_node_that_does_not() {
    let mut cluster = Cluster::new(&[0, 1, 2, 4], Config::default());
    cluster.submit(0, request(1, &manifest(8, 10), Holders::Everyone));
    let outcome = cluster.the_result(80);
    let ids: Vec<NodeId> = outcome.nodes.iter().map(|report| report.id).collect();
    assert_eq!(ids, [node(1), node(2), node(3)]);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
}
