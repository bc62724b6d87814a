//! One process of a cluster: its name, its processors and its connections.
//!
//! [`Node`] is what every process runs, whether it was started by hand, by a
//! service manager or by [`cluster::LocalCluster`]; [`supervised`] is the
//! process that the last one starts.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::mpsc;

use crate::backend::DeviceInfo;
use crate::catalogue::{Held, Memory, Unusable};
use crate::driver::{
    self, Answers, Command, Completions, Driver, Executor, MakeStore, Observer, PeerInfo,
    SharedRoster, Ticket, answers, completions, reports, ticket,
};
use crate::engine::{self, Engine, JobRequest, RequestId};
use crate::membership;
use crate::placement::NodeId;
use crate::service::Service;
use crate::transport::socket::BufferClamped;
use crate::transport::{self, Secret, Transport, TransportError};
use crate::wire::{Hello, PROTOCOL_VERSION, Question};

pub mod cluster;
mod pipe;
pub mod supervised;

/// What a node is told before it starts.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name for programs, of no other node: see [`random_node_id`].
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// What the nodes of its cluster know and nobody else.
    pub secret: Secret,
    /// Addresses, times and limits of its connections.
    pub transport: transport::Config,
    /// Its policy as a worker and as a collector.
    pub engine: engine::Config,
}

/// What makes a node a member of a cluster: others can reach it, and it knows what
/// they have.
pub struct Membership {
    /// Where others can reach it, the best first, at most
    /// [`ADDRS_MAX`](crate::wire::ADDRS_MAX); port zero stands for the port that it
    /// listens on.
    pub addrs: Vec<SocketAddr>,
    /// Where other members are, addresses or names, if it is to join them: until it has
    /// met one it knows only what it remembers. They are to be [dialled](Node::dial), too.
    pub seeds: Vec<String>,
    /// How members look after each other.
    pub config: membership::Config,
    /// What was remembered of the catalogue in earlier runs.
    pub memory: Memory,
    /// Keeps what is to be remembered. Called on the driver's thread, so it must not
    /// wait.
    pub remember: Box<dyn FnMut(Memory) + Send>,
    /// Makes what takes the files of askers.
    pub store: MakeStore,
}

/// The processors of a node.
#[derive(Clone, Debug)]
pub struct Equipment<E> {
    /// What reduces entries.
    pub executor: E,
    /// How many entries it reduces at the same time; zero for a node that only
    /// asks.
    pub workers: usize,
    /// The devices that it uses, by the numbers in which it reports their
    /// [`Usage`](crate::engine::Usage).
    pub devices: Vec<DeviceInfo>,
}

/// A node that runs, on threads of its own, until it is dropped.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    addr: SocketAddr,
    advertised: Vec<SocketAddr>,
    warnings: Vec<BufferClamped>,
    roster: SharedRoster,
    /// `None` only while it is being dropped.
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a node whose processors `equip` makes. `observer` sees what
    /// happens to connections.
    ///
    /// # Errors
    /// `equip`'s own, or the address cannot be used.
    pub fn start<E: Executor, F: From<TransportError>>(
        config: NodeConfig,
        equip: impl FnOnce(Completions) -> Result<Equipment<E>, F>,
        observer: Observer,
    ) -> Result<Node, F> {
        Node::launch(config, None, equip, observer)
    }

    /// Starts a node that is a member of a cluster.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_member<E: Executor, F: From<TransportError>>(
        config: NodeConfig,
        membership: Membership,
        equip: impl FnOnce(Completions) -> Result<Equipment<E>, F>,
        observer: Observer,
    ) -> Result<Node, F> {
        Node::launch(config, Some(membership), equip, observer)
    }

    fn launch<E: Executor, F: From<TransportError>>(
        config: NodeConfig,
        membership: Option<Membership>,
        equip: impl FnOnce(Completions) -> Result<Equipment<E>, F>,
        observer: Observer,
    ) -> Result<Node, F> {
        let (completions, completion_receiver) = completions();
        let equipment = equip(completions)?;
        let hello = Hello {
            version: PROTOCOL_VERSION,
            node: config.id,
            name: config.name,
            devices: equipment.devices,
            workers: u32::try_from(equipment.workers).unwrap_or(u32::MAX),
            addrs: membership.as_ref().map(|member| member.addrs.clone()).unwrap_or_default(),
        };
        let (transport, events) = Transport::start(config.transport, &config.secret, hello)?;
        let (addr, warnings) = (transport.local_addr(), transport.warnings().to_vec());
        let advertised = transport.hello().addrs.clone();
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let roster = SharedRoster::default();
        let (reports, report_receiver) = reports();
        let membership = membership.map(|member| {
            let hello = transport.hello().clone();
            let mut service = Service::new(hello, member.config, &member.memory, seed());
            service.expect(&member.seeds);
            let store = (member.store)(reports);
            driver::Membership { service, remember: member.remember, store }
        });
        let driver = Driver {
            engine: Engine::new(config.id, config.engine, equipment.workers),
            executor: equipment.executor,
            transport,
            events,
            completions: completion_receiver,
            reports: report_receiver,
            commands: command_receiver,
            observer,
            roster: roster.clone(),
            membership,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(TransportError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("adsum-driver".to_owned())
            .spawn(move || runtime.block_on(driver.run()))
            .map_err(TransportError::Thread)?;
        Ok(Node {
            id: config.id,
            addr,
            advertised,
            warnings,
            roster,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Its name for programs.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it says that others can reach it.
    pub fn advertised(&self) -> &[SocketAddr] {
        &self.advertised
    }

    /// What the operating system did not grant; for people to read.
    pub fn warnings(&self) -> &[BufferClamped] {
        &self.warnings
    }

    /// The peers that it has met, in the order of their ids.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.roster.peers()
    }

    /// Connects to the node at `addr`, and again whenever that is lost. Returns
    /// at once; the observer sees what comes of it.
    pub fn dial(&self, addr: SocketAddr) {
        self.command(Command::Dial(addr));
    }

    /// Does not dial `addr` any more. A connection stays.
    pub fn forget(&self, addr: SocketAddr) {
        self.command(Command::Forget(addr));
    }

    /// Ends the connection with a peer, if there is one, for the reason `why`.
    pub fn disconnect(&self, peer: NodeId, why: impl Into<String>) {
        self.command(Command::Disconnect { peer, why: why.into() });
    }

    /// Asks for a result. The ticket tells what comes of it, also that the
    /// request was not taken.
    pub fn submit(&self, request: JobRequest) -> Ticket {
        let (sender, ticket) = ticket(request.id, self.commands());
        self.command(Command::Submit { request, ticket: sender });
        ticket
    }

    /// Asks a connected peer.
    pub fn ask(&self, to: NodeId, question: Question) -> Answers {
        let (sender, answers) = answers();
        self.command(Command::Ask { to, question, answers: sender });
        answers
    }

    /// Offers these files to the cluster, and tells who asks of these problems with
    /// others. Does nothing where the node is no member.
    pub fn set_held(&self, files: Vec<Held>, problems: Vec<Unusable>) {
        self.command(Command::SetHeld { files, problems });
    }

    /// Takes nothing new, neither entries of others nor requests nor files. The receiver
    /// is disconnected when what is under way is done.
    pub fn retire(&self) -> Receiver<()> {
        let (sender, done) = channel();
        self.command(Command::Retire(sender));
        done
    }

    /// Tells the other members that this node goes; it is to be dropped soon.
    pub fn leave(&self) {
        self.command(Command::Leave);
    }

    /// What ends the node from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper { commands: self.commands().downgrade() }
    }

    /// Waits for the node to stop by itself, which is a defect and was reported
    /// on standard error.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }

    fn command(&self, command: Command) {
        // The driver ends before this only by a panic, which was reported; a
        // ticket in the command then says that the node stopped.
        let _gone = self.commands().send(command);
    }

    fn commands(&self) -> &mpsc::UnboundedSender<Command> {
        self.commands.as_ref().expect("only dropping takes the channel")
    }
}

/// Ends a node for a process that is about to end and cannot drop it.
#[derive(Clone, Debug)]
pub struct Stopper {
    /// Weak, since the driver stops when its node lets go of the strong end.
    commands: mpsc::WeakUnboundedSender<Command>,
}

impl Stopper {
    /// Ends all connections, so that peers need not find out by silence, and waits
    /// for that no longer than so.
    pub fn stop(&self, patience: Duration) {
        let (sender, stopped) = channel();
        if let Some(commands) = self.commands.upgrade()
            && commands.send(Command::Stop(sender)).is_ok()
        {
            // Either way nothing more can be done.
            let _late = stopped.recv_timeout(patience);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _panicked = thread.join();
        }
    }
}

/// A name for a node that no other has.
///
/// # Panics
/// If the operating system gives no random numbers.
pub fn random_node_id() -> NodeId {
    NodeId(random_bytes())
}

/// A name for a request that no other has.
///
/// # Panics
/// If the operating system gives no random numbers.
pub fn random_request_id() -> RequestId {
    RequestId(u128::from_le_bytes(random_bytes()))
}

fn seed() -> u64 {
    u64::from_le_bytes(random_bytes())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system has random numbers");
    bytes
}
