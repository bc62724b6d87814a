//! Whole nodes in one process: engines, drivers and the real network stack on
//! loopback, over data that everybody can compute.

#![cfg(feature = "net")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adsum::driver::{NoExecutor, RequestError};
use adsum::engine::{self, JobError, SubmitError};
use adsum::node::{Equipment, Node, NodeConfig, random_node_id};
use adsum::placement::NodeId;
use adsum::transport::{self, Event, LinkError, Secret, TransportError};

#[path = "support/imaginary.rs"]
mod imaginary;

use imaginary::{ImaginaryExecutor, Log, check, equipment, request};

/// Long enough for a machine under load; a test that waits this long failed.
const PATIENCE: Duration = Duration::from_secs(60);

static NEVER: AtomicBool = AtomicBool::new(false);

fn config(name: &str, addr: SocketAddr, engine: engine::Config) -> NodeConfig {
    NodeConfig {
        id: random_node_id(),
        name: name.to_owned(),
        secret: Secret::from_bytes([3; 32]),
        transport: transport::Config {
            bind: addr,
            idle_timeout: Duration::from_secs(2),
            keep_alive: Duration::from_millis(500),
            ..transport::Config::loopback()
        },
        engine,
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

struct Worker {
    node: Node,
    log: Arc<Mutex<Log>>,
}

impl Worker {
    fn start(delay: Duration) -> Worker {
        Worker::listening(any_port(), delay)
    }

    fn listening(addr: SocketAddr, delay: Duration) -> Worker {
        Worker::with(addr, delay, engine::Config::default())
    }

    fn with(addr: SocketAddr, delay: Duration, engine: engine::Config) -> Worker {
        let mut log = Arc::default();
        let equip = |completions| {
            let (equipment, its_log) = equipment(completions, 2, delay);
            log = its_log;
            Ok(equipment)
        };
        let config = config("worker", addr, engine);
        let node =
            Node::start::<ImaginaryExecutor, TransportError>(config, equip, Box::new(|_| {}));
        Worker { node: node.expect("loopback binds"), log }
    }

    fn started(&self) -> usize {
        self.log.lock().expect("no test panics with the log").started
    }

    fn abandoned(&self) -> usize {
        self.log.lock().expect("no test panics with the log").abandoned.len()
    }
}

/// A node that only asks, and what happens to its connections.
struct Asker {
    node: Node,
    events: Receiver<Event>,
}

impl Asker {
    /// Gives up a job as soon as nobody is there to do it.
    fn hasty() -> Asker {
        Asker::start(engine::Config { holder_grace: Duration::ZERO, ..engine::Config::default() })
    }

    fn start(engine: engine::Config) -> Asker {
        let (sender, events) = mpsc::channel();
        let observer = Box::new(move |event: &Event| {
            // Nobody listens when the test is over.
            let _unheard = sender.send(event.clone());
        });
        let equip = |_| Ok(Equipment { executor: NoExecutor, workers: 0, devices: Vec::new() });
        let node =
            Node::start::<_, TransportError>(config("asker", any_port(), engine), equip, observer);
        Asker { node: node.expect("loopback binds"), events }
    }

    fn connect(&self, worker: &Worker) {
        self.node.dial(worker.node.addr());
        self.connected(worker.node.id());
    }

    fn connected(&self, id: NodeId) {
        self.see(|event| matches!(event, Event::Connected { peer, .. } if peer.node == id));
    }

    /// Waits for such an event and returns it.
    fn see(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("the event in time");
            if wanted(&event) {
                return event;
            }
        }
    }
}

/// Waits for what another thread does soon.
fn eventually(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn several_nodes_make_one_exact_sum() {
    let asker = Asker::hasty();
    let workers: Vec<Worker> = (0..3).map(|_| Worker::start(Duration::from_millis(1))).collect();
    workers.iter().for_each(|worker| asker.connect(worker));
    let mut last = None;
    let ticket = asker.node.submit(request(200));
    let outcome = ticket.wait(|progress| last = Some(progress), &NEVER).expect("all are there");
    check(&outcome, 200);
    assert_eq!(outcome.nodes.iter().map(|node| node.entries).sum::<u64>(), 200);
    assert!(workers.iter().all(|worker| worker.started() > 0), "all had a part");
    let last = last.expect("200 entries take a while");
    assert_eq!((last.entries, last.bytes), (200, 39998));
    assert!(last.entries_done <= 200);

    let peers = asker.node.peers();
    assert_eq!(peers.len(), 3);
    for peer in peers {
        assert!(peer.connected);
        assert_eq!((peer.name.as_str(), peer.workers), ("worker", 2));
        assert_eq!(peer.devices[0].name, "imaginary");
    }
}

#[test]
fn a_node_with_workers_works_for_itself() {
    let worker = Worker::start(Duration::ZERO);
    let outcome = worker.node.submit(request(50)).wait(|_| {}, &NEVER).expect("it is there");
    check(&outcome, 50);
    assert_eq!(worker.started(), 50);
}

#[test]
fn any_node_can_ask_the_others() {
    let workers: Vec<Worker> = (0..3).map(|_| Worker::start(Duration::ZERO)).collect();
    for (index, worker) in workers.iter().enumerate() {
        workers[..index].iter().for_each(|other| worker.node.dial(other.node.addr()));
    }
    eventually(|| workers.iter().all(|worker| worker.node.peers().len() == 2));
    // The same job and another one, at the same time.
    let tickets = workers.iter().zip([100, 100, 101]).map(|(w, n)| (w.node.submit(request(n)), n));
    for (ticket, entries) in tickets.collect::<Vec<_>>() {
        check(&ticket.wait(|_| {}, &NEVER).expect("all are there"), entries);
    }
}

/// Seven nodes that speak to no more than two themselves: deputies of deputies.
#[test]
fn teams_reduce_as_one_node_does() {
    let engine = engine::Config { fan_in: 2, ..engine::Config::default() };
    let delay = Duration::from_millis(2);
    let mut workers: Vec<Worker> =
        (0..7).map(|_| Worker::with(any_port(), delay, engine)).collect();
    for (index, worker) in workers.iter().enumerate() {
        workers[..index].iter().for_each(|other| worker.node.dial(other.node.addr()));
    }
    eventually(|| workers.iter().all(|worker| worker.node.peers().len() == 6));
    for _ in 0..5 {
        let outcome = workers[0].node.submit(request(300)).wait(|_| {}, &NEVER).expect("all work");
        check(&outcome, 300);
        assert_eq!(outcome.nodes.len(), 7);
        assert_eq!(outcome.nodes.iter().map(|node| node.entries).sum::<u64>(), 300);
    }
    // Whoever is lost, a deputy or not, the total stays.
    while workers.len() > 1 {
        let ticket = workers[0].node.submit(request(300));
        let before = workers[1].started();
        eventually(|| workers[1].started() > before + 3);
        drop(workers.remove(1));
        check(&ticket.wait(|_| {}, &NEVER).expect("some are left"), 300);
    }
}

#[test]
fn a_node_that_leaves_in_the_middle_changes_nothing() {
    let asker = Asker::hasty();
    let stays = Worker::start(Duration::from_millis(2));
    let leaves = Worker::start(Duration::from_millis(2));
    asker.connect(&stays);
    asker.connect(&leaves);
    let ticket = asker.node.submit(request(200));
    eventually(|| leaves.started() > 3);
    drop(leaves);
    let outcome = ticket.wait(|_| {}, &NEVER).expect("one is left");
    check(&outcome, 200);
    assert!(outcome.nodes.iter().any(|node| node.lost));
}

#[test]
fn a_job_whose_nodes_are_all_gone_fails_at_once() {
    let asker = Asker::hasty();
    let error = asker.node.submit(request(10)).wait(|_| {}, &NEVER).expect_err("nobody is there");
    assert!(matches!(error, RequestError::Job(JobError::Incomplete { .. })), "{error}");

    let worker = Worker::start(Duration::from_secs(3600));
    asker.connect(&worker);
    let ticket = asker.node.submit(request(10));
    eventually(|| worker.started() > 0);
    let id = worker.node.id();
    drop(worker);
    let error = ticket.wait(|_| {}, &NEVER).expect_err("it left");
    assert!(matches!(error, RequestError::Job(JobError::Incomplete { .. })), "{error}");
    assert!(error.to_string().contains(&id.to_string()), "{error}");
}

#[test]
fn a_cancelled_request_ends_everywhere() {
    let asker = Asker::hasty();
    let worker = Worker::start(Duration::from_secs(3600));
    asker.connect(&worker);

    let cancelled = AtomicBool::new(false);
    let ticket = asker.node.submit(request(10));
    eventually(|| worker.started() > 0);
    cancelled.store(true, Ordering::Relaxed);
    let error = ticket.wait(|_| {}, &cancelled).expect_err("it was cancelled");
    assert!(matches!(error, RequestError::Job(JobError::Cancelled)), "{error}");
    eventually(|| worker.abandoned() == 1);

    // A ticket that nobody wants is as good as cancelled.
    drop(asker.node.submit(request(11)));
    eventually(|| worker.abandoned() == 2);
}

#[test]
fn a_request_that_is_not_taken_says_why() {
    let asker = Asker::hasty();
    let worker = Worker::start(Duration::from_millis(1));
    asker.connect(&worker);
    let first = request(50);
    let ticket = asker.node.submit(first.clone());
    let error = asker.node.submit(first).wait(|_| {}, &NEVER).expect_err("the name is taken");
    assert!(matches!(error, RequestError::Submit(SubmitError::Duplicate { .. })), "{error}");
    // And that leaves the request of this name alone.
    check(&ticket.wait(|_| {}, &NEVER).expect("the first runs on"), 50);
}

#[test]
fn a_request_of_a_node_that_stops_ends() {
    let asker = Asker::hasty();
    let worker = Worker::start(Duration::from_secs(3600));
    asker.connect(&worker);
    let ticket = asker.node.submit(request(10));
    drop(asker);
    let error = ticket.wait(|_| {}, &NEVER).expect_err("the node is gone");
    assert!(matches!(error, RequestError::Stopped), "{error}");
}

#[test]
fn a_node_may_be_dialled_before_it_listens() {
    let asker = Asker::start(engine::Config::default());
    // The port is free again when the node takes it; another process could be
    // quicker, which is unlikely enough.
    let addr = UdpSocket::bind(any_port()).and_then(|s| s.local_addr()).expect("loopback binds");
    asker.node.dial(addr);
    asker.see(|event| matches!(event, Event::DialFailed { error: LinkError::NoAnswer { .. }, .. }));
    let ticket = asker.node.submit(request(20));
    let worker = Worker::listening(addr, Duration::ZERO);
    asker.connected(worker.node.id());
    check(&ticket.wait(|_| {}, &NEVER).expect("it came in time"), 20);
}

#[test]
fn a_node_that_comes_back_is_connected_again() {
    let asker = Asker::hasty();
    let first = Worker::start(Duration::ZERO);
    asker.connect(&first);
    let (addr, id) = (first.node.addr(), first.node.id());
    drop(first);
    asker.see(|event| matches!(event, Event::Lost { peer, .. } if *peer == id));
    let second = Worker::listening(addr, Duration::ZERO);
    asker.connected(second.node.id());
    check(&asker.node.submit(request(20)).wait(|_| {}, &NEVER).expect("it is back"), 20);
    let connected: Vec<bool> = asker.node.peers().iter().map(|peer| peer.connected).collect();
    assert!(connected.contains(&false) && connected.contains(&true), "{connected:?}");
}

#[test]
fn a_node_that_is_forgotten_is_not_dialled_again() {
    let asker = Asker::hasty();
    let worker = Worker::start(Duration::ZERO);
    asker.connect(&worker);
    asker.node.forget(worker.node.addr());
    asker.node.disconnect(worker.node.id(), "it is not needed");
    let lost = asker.see(|event| matches!(event, Event::Lost { .. }));
    let Event::Lost { reason, .. } = lost else { unreachable!("it was matched") };
    assert_eq!(reason.to_string(), "it is not needed");
    let longer_than_a_retry = Duration::from_millis(400);
    assert!(asker.events.recv_timeout(longer_than_a_retry).is_err(), "nothing more happens");
}

#[test]
fn a_node_that_retires_finishes_what_it_has_and_takes_no_more() {
    let asker = Asker::hasty();
    let stays = Worker::start(Duration::from_millis(20));
    let leaves = Worker::start(Duration::from_millis(20));
    asker.connect(&stays);
    asker.connect(&leaves);
    let ticket = asker.node.submit(request(100));
    eventually(|| leaves.started() > 3);
    let done = leaves.node.retire();
    assert_eq!(done.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    let started = leaves.started();
    let outcome = ticket.wait(|_| {}, &NEVER).expect("one is left");
    check(&outcome, 100);
    assert_eq!(leaves.started(), started);
    let report = outcome.nodes.iter().find(|node| node.id == leaves.node.id());
    let report = report.expect("it had a part");
    assert_eq!((report.entries, report.lost), (started as u64, false));
    assert_eq!(stays.started() + started, 100, "nothing was done twice");
    assert_eq!(outcome.course.recomputed, 0);
}

#[test]
fn a_node_that_retires_collects_to_the_end_and_one_that_has_nothing_to_do_is_done() {
    let node = Worker::start(Duration::from_millis(5));
    let ticket = node.node.submit(request(50));
    eventually(|| node.started() > 0);
    let done = node.node.retire();
    check(&ticket.wait(|_| {}, &NEVER).expect("it works for itself"), 50);
    assert_eq!(done.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    let done = node.node.retire();
    assert_eq!(done.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn others_take_over_from_a_node_that_retires_for_too_long() {
    let asker = Asker::hasty();
    let leaves = Worker::start(Duration::from_secs(3600));
    let stays = Worker::start(Duration::ZERO);
    asker.connect(&leaves);
    asker.connect(&stays);
    let ticket = asker.node.submit(request(100));
    eventually(|| leaves.started() > 0 && stays.started() > 0);
    let done = leaves.node.retire();
    assert_eq!(done.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
    drop(leaves);
    check(&ticket.wait(|_| {}, &NEVER).expect("one is left"), 100);
}
