//! A cluster of processes on this machine, started for one program and ended
//! with it.
//!
//! ```text
//!   this process: Node without workers      node-0, node-1, ...: supervised::run
//!      |  spawn, assignment on stdin           |
//!      | ------------------------------------> |
//!      | <---------- "ready ADDRESS" --------- |  stdout
//!      | ------------- QUIC, mTLS -----------> |
//!      |  stdin closes: it exits               |
//!      | <------------------------------------ |  stdout closes: it is dead
//! ```
//!
//! A node's death shows at once, as the end of its standard output. The
//! network would need its idle timeout for that.
//!
//! Nodes are process groups of their own: Ctrl-C reaches the parent alone,
//! which ends the run in good order, and the nodes end with their pipes
//! instead of each with a message. Their standard error is the parent's.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::backend::DeviceInfo;
use crate::driver::{NoExecutor, Progress, RequestError};
use crate::engine::{self, JobRequest, Outcome};
use crate::node::{Equipment, Node, NodeConfig, random_node_id};
use crate::placement::NodeId;
use crate::transport::socket::BufferClamped;
use crate::transport::token::TokenError;
use crate::transport::{self, Event, LinkError, Secret, TransportError};

mod process;

use process::{Process, Said};

/// How long nodes have to start, with all their devices.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long nodes have to end before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The program of the nodes, or `None` for this one itself.
    pub program: Option<PathBuf>,
    /// The arguments with which it calls [`supervised::run`](super::supervised::run).
    pub args: Vec<OsString>,
    /// The settings of each node, in the program's own encoding: as many nodes
    /// as there are settings.
    pub settings: Vec<Vec<u8>>,
    /// The policy of jobs.
    pub engine: engine::Config,
    /// How long all nodes together have to start.
    pub start_timeout: Duration,
}

impl ClusterConfig {
    /// Nodes of this program, one for each of `settings`.
    ///
    /// All nodes are there from the start and none returns, so a job whose
    /// nodes are all dead ends at once. They know this process alone, so they
    /// make no teams.
    pub fn new(args: impl IntoIterator<Item = OsString>, settings: Vec<Vec<u8>>) -> ClusterConfig {
        ClusterConfig {
            program: None,
            args: args.into_iter().collect(),
            settings,
            engine: engine::Config {
                holder_grace: Duration::ZERO,
                fan_in: usize::MAX,
                ..engine::Config::default()
            },
            start_timeout: START_TIMEOUT,
        }
    }
}

/// A node of the cluster as reports name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// Its name for programs.
    pub id: NodeId,
    /// Its name for people: `node-0` and so on.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The number of its process.
    pub pid: u32,
    /// What it computes with. Devices are numbered by their place here.
    pub devices: Vec<DeviceInfo>,
    /// How many entries it reduces at the same time.
    pub workers: u32,
    /// How its process ended, if it did.
    pub ended: Option<String>,
    /// Whether it cannot be reached any more.
    pub lost: bool,
}

/// Why there is no cluster. No process is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// This program's own file cannot be found.
    #[error("cannot find this program's own file to start nodes from: {0}")]
    Program(#[source] io::Error),
    /// A process could not be started.
    #[error("cannot start {node}: {source}")]
    Spawn {
        /// The node's name.
        node: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A node started and then said that it cannot do what it should, or ended.
    #[error("{node} did not start: {message}")]
    Start {
        /// The node's name.
        node: String,
        /// What is wrong.
        message: String,
    },
    /// A node took too long.
    #[error("{node} did not start within {after:?}; is the machine overloaded?")]
    Timeout {
        /// The node's name.
        node: String,
        /// The time it had.
        after: Duration,
    },
    /// A node is there and does not connect.
    #[error("cannot connect to {node}: {error}")]
    Connect {
        /// The node's name.
        node: String,
        /// The last error.
        #[source]
        error: LinkError,
    },
    /// No network.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No secret.
    #[error(transparent)]
    Secret(#[from] TokenError),
}

/// What the threads around a cluster tell the one that looks after it.
enum Notice {
    /// A node said its line.
    Said(usize, Said),
    /// A node's standard output closed: it is dead or about to be.
    Ended(usize),
    /// Something happened to a connection.
    Link(Event),
    /// The cluster is being dropped.
    Stop,
}

/// Nodes on this machine, each a process, and this process's connections with
/// them. Dropping it ends them.
#[derive(Debug)]
pub struct LocalCluster {
    node: Arc<Node>,
    members: Arc<Vec<Member>>,
    notices: Sender<Notice>,
    keeper: Option<JoinHandle<()>>,
}

/// What does not change about a node while it runs, and how it ended.
#[derive(Debug)]
struct Member {
    id: NodeId,
    name: String,
    addr: SocketAddr,
    pid: u32,
    ended: Mutex<Option<String>>,
}

impl LocalCluster {
    /// Starts the nodes and connects with all of them.
    ///
    /// # Errors
    /// A node does not start, or not in time. Those that did are ended.
    pub fn start(config: ClusterConfig) -> Result<LocalCluster, ClusterError> {
        let deadline = Instant::now() + config.start_timeout;
        let secret = Secret::generate()?;
        let (notices, inbox) = mpsc::channel();
        let mut start = Start { config: &config, deadline, inbox, processes: Vec::new() };
        start.spawn_all(&secret, &notices)?;
        let addrs = start.await_lines()?;
        let node = asker(secret, config.engine, notices.clone())?;
        start.connect_all(&node, &addrs)?;

        let node = Arc::new(node);
        let Start { inbox, processes, .. } = start;
        let member = |(process, addr): (&Process, SocketAddr)| Member {
            id: process.id,
            name: process.name.clone(),
            addr,
            pid: process.pid(),
            ended: Mutex::default(),
        };
        let members: Arc<Vec<Member>> = Arc::new(processes.iter().zip(addrs).map(member).collect());
        let keeper =
            Keeper { node: Arc::clone(&node), members: Arc::clone(&members), processes, inbox };
        let keeper = std::thread::Builder::new()
            .name("adsum-keeper".to_owned())
            .spawn(move || keeper.run())
            .map_err(TransportError::Thread)?;
        Ok(LocalCluster { node, members, notices, keeper: Some(keeper) })
    }

    /// Asks the nodes for a result, and waits for it. `on_progress` is told of
    /// each change; once `cancelled` is true, the request is given up.
    ///
    /// # Errors
    /// As [`RequestError`]. When all nodes are dead, at once.
    pub fn reduce(
        &self,
        request: JobRequest,
        on_progress: impl FnMut(Progress),
        cancelled: &AtomicBool,
    ) -> Result<Outcome, RequestError> {
        self.node.submit(request).wait(on_progress, cancelled)
    }

    /// The nodes, in the order of their settings.
    pub fn nodes(&self) -> Vec<LocalNode> {
        let peers = self.node.peers();
        let local_node = |member: &Member| {
            let peer = peers.iter().find(|peer| peer.id == member.id);
            let ended = member.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
            LocalNode {
                id: member.id,
                name: member.name.clone(),
                addr: member.addr,
                pid: member.pid,
                devices: peer.map(|peer| peer.devices.clone()).unwrap_or_default(),
                workers: peer.map_or(0, |peer| peer.workers),
                lost: ended.is_some() || !peer.is_some_and(|peer| peer.connected),
                ended,
            }
        };
        self.members.iter().map(local_node).collect()
    }

    /// What the operating system did not grant; for people to read.
    pub fn warnings(&self) -> &[BufferClamped] {
        self.node.warnings()
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // The keeper ends before this only by a panic, which was reported.
        let _gone = self.notices.send(Notice::Stop);
        if let Some(keeper) = self.keeper.take() {
            let _panicked = keeper.join();
        }
    }
}

/// The node of this process, which has no workers.
fn asker(
    secret: Secret,
    engine: engine::Config,
    notices: Sender<Notice>,
) -> Result<Node, TransportError> {
    let config = NodeConfig {
        id: random_node_id(),
        name: "asker".to_owned(),
        secret,
        transport: transport::Config::loopback(),
        engine,
    };
    let equip = |_| Ok(Equipment { executor: NoExecutor, workers: 0, devices: Vec::new() });
    let observer = Box::new(move |event: &Event| {
        // Nobody listens any more when the cluster is being dropped.
        let _unheard = notices.send(Notice::Link(event.clone()));
    });
    Node::start(config, equip, observer)
}

/// A cluster that is not complete yet. Dropping it kills its processes.
struct Start<'a> {
    config: &'a ClusterConfig,
    deadline: Instant,
    inbox: Receiver<Notice>,
    processes: Vec<Process>,
}

impl Start<'_> {
    fn spawn_all(&mut self, secret: &Secret, notices: &Sender<Notice>) -> Result<(), ClusterError> {
        let program = match &self.config.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(ClusterError::Program)?,
        };
        for (index, settings) in self.config.settings.iter().enumerate() {
            let process = Process::spawn(
                &program,
                &self.config.args,
                index,
                settings,
                secret,
                notices.clone(),
            )
            .map_err(|source| ClusterError::Spawn { node: process::name(index), source })?;
            self.processes.push(process);
        }
        Ok(())
    }

    /// Waits until all nodes have said where they are.
    fn await_lines(&mut self) -> Result<Vec<SocketAddr>, ClusterError> {
        let mut addrs: Vec<Option<SocketAddr>> = vec![None; self.processes.len()];
        while let Some(waiting) = addrs.iter().position(Option::is_none) {
            match self.next(|| self.timeout(waiting))? {
                Notice::Said(index, said) => {
                    let process = &mut self.processes[index];
                    let addr = process.addr(said).map_err(|message| ClusterError::Start {
                        node: process.name.clone(),
                        message,
                    })?;
                    addrs[index] = Some(addr);
                }
                Notice::Ended(index) => return Err(self.ended(index)),
                Notice::Link(_) | Notice::Stop => {}
            }
        }
        Ok(addrs.into_iter().flatten().collect())
    }

    /// Waits until this process is connected with all nodes.
    fn connect_all(&mut self, node: &Node, addrs: &[SocketAddr]) -> Result<(), ClusterError> {
        addrs.iter().for_each(|&addr| node.dial(addr));
        let mut errors: Vec<Option<LinkError>> = vec![None; addrs.len()];
        let mut connected = vec![false; addrs.len()];
        while let Some(waiting) = connected.iter().position(|connected| !connected) {
            // A dial that failed is tried again; its error tells why it took so long.
            let late = || match errors[waiting].clone() {
                Some(error) => {
                    ClusterError::Connect { node: self.processes[waiting].name.clone(), error }
                }
                None => self.timeout(waiting),
            };
            match self.next(late)? {
                Notice::Link(Event::Connected { addr, .. }) => {
                    if let Some(index) = addrs.iter().position(|&known| known == addr) {
                        connected[index] = true;
                    }
                }
                Notice::Link(Event::DialFailed { addr, error }) => {
                    if let Some(index) = addrs.iter().position(|&known| known == addr) {
                        errors[index] = Some(error);
                    }
                }
                Notice::Ended(index) => return Err(self.ended(index)),
                Notice::Link(_) | Notice::Said(..) | Notice::Stop => {}
            }
        }
        Ok(())
    }

    fn next(&self, late: impl FnOnce() -> ClusterError) -> Result<Notice, ClusterError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.inbox.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected => late(),
        })
    }

    fn timeout(&self, waiting: usize) -> ClusterError {
        let node = self.processes[waiting].name.clone();
        ClusterError::Timeout { node, after: self.config.start_timeout }
    }

    fn ended(&mut self, index: usize) -> ClusterError {
        let process = &mut self.processes[index];
        ClusterError::Start { node: process.name.clone(), message: process.ending() }
    }
}

/// Looks after the processes of a cluster that is complete.
struct Keeper {
    node: Arc<Node>,
    members: Arc<Vec<Member>>,
    processes: Vec<Process>,
    inbox: Receiver<Notice>,
}

impl Keeper {
    fn run(mut self) {
        // The cluster holds a sender for as long as it lives.
        while let Ok(notice) = self.inbox.recv() {
            match notice {
                Notice::Ended(index) => self.bury(index),
                Notice::Stop => break,
                Notice::Said(..) | Notice::Link(_) => {}
            }
        }
        self.stop();
    }

    /// A node is dead: its connection need not wait to find out.
    fn bury(&mut self, index: usize) {
        let how = self.processes[index].ending();
        let member = &self.members[index];
        *member.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(how.clone());
        self.node.forget(member.addr);
        self.node.disconnect(member.id, how);
    }

    /// Ends all nodes: by their pipes, and those that take too long by force.
    fn stop(mut self) {
        for process in &mut self.processes {
            process.let_go();
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.processes.iter_mut().any(Process::is_running) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Notice::Ended(index)) => drop(self.processes[index].ending()),
                Ok(Notice::Said(..) | Notice::Link(_) | Notice::Stop) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        // Dropping the processes kills who is left.
    }
}
