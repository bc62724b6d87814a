//! A cluster as somebody outside of it asks it.
//!
//! A [`Client`] is connected with one node and asks that for everything. When the
//! node is lost it asks another of which it has heard: every node can answer, and
//! all give the same bits.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::catalogue::Listed;
use crate::driver::{Answers, NoExecutor, PeerInfo, Unanswered};
use crate::engine;
use crate::manifest::Manifest;
use crate::node::{Equipment, Node, NodeConfig, Stopper, random_node_id};
use crate::op::Spec;
use crate::partial::{DecodeError, Partial};
use crate::placement::NodeId;
use crate::transport::{self, Event, LinkError, Secret, TransportError};
use crate::wire::{
    FRAME_BYTES_MAX, Finished, MemberInfo, PATTERNS_MAX, Question, Reply, Trouble, TroubleKind,
};

mod place;

pub use place::{Elements, PlaceError, Unsealed};

/// How long a node may take to be reached, and to answer what is answered at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a deadline the word of the node that gave up is waited for.
const WORD: Duration = Duration::from_millis(250);

/// After so long the members are asked for anew beside the next question: a client may
/// live for days, and the nodes of its first day may have gone.
const MET_FOR: Duration = Duration::from_secs(1);

/// Of so many nodes it is remembered where they are.
const MET_MAX: usize = 1024;

/// How often a request is asked anew, each time of another node.
const ATTEMPTS_MAX: usize = 16;

/// Why a cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node could be reached.
    #[error("no node of the cluster can be reached: {tried}{}", reach_advice(errors))]
    Unreachable {
        /// The addresses and what was wrong with each.
        tried: String,
        /// Whether one of them was there but has another secret.
        is_identity: bool,
        /// What was wrong, where anything answered.
        errors: Vec<LinkError>,
    },
    /// This process cannot use the network.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node has no answer.
    #[error(transparent)]
    Refused(#[from] Trouble),
    /// The node does not answer.
    #[error(
        "the node at {addr} did not answer within {after:?}; see 'adsum status --via' of another node"
    )]
    Late {
        /// The node.
        addr: SocketAddr,
        /// How long it was waited for.
        after: Duration,
    },
    /// There was no answer in the time that a request had.
    #[error(
        "no answer within {after:?}, and the node at {addr} does not say why; see 'adsum status --via HOST', or allow more time"
    )]
    Deadline {
        /// The node that was asked last.
        addr: SocketAddr,
        /// The time that it had.
        after: Duration,
    },
    /// The nodes were lost, one after the other.
    #[error("{attempts} nodes were lost before they answered; see 'adsum status --via HOST'")]
    Lost {
        /// How many.
        attempts: usize,
    },
    /// What a node answered is no answer to the question.
    #[error(
        "the node at {addr} gave a wrong answer: {message}; run the same version of adsum on all nodes"
    )]
    Wrong {
        /// The node.
        addr: SocketAddr,
        /// What is wrong.
        message: String,
    },
}

/// The way out where nobody answers; those who do answer say their own.
fn reach_advice(errors: &[LinkError]) -> &'static str {
    let says_its_own = |error: &LinkError| {
        matches!(
            error,
            LinkError::Identity
                | LinkError::Version { .. }
                | LinkError::Foreign
                | LinkError::NoAnswer { .. }
        )
    };
    match !errors.is_empty() && errors.iter().all(says_its_own) {
        true => "",
        false => "; check the addresses, and that 'adsum node' runs there and its UDP port is open",
    }
}

/// A connection to a cluster.
#[derive(Debug)]
pub struct Client {
    node: Node,
    patience: Duration,
    events: Mutex<Receiver<Event>>,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    /// The node that is asked.
    peer: NodeId,
    addr: SocketAddr,
    /// Where nodes are, as who connected said.
    given: Vec<SocketAddr>,
    /// Where members are, or were, those of the last answer first: who counts as down for
    /// a moment may be back when it is needed.
    met: Vec<SocketAddr>,
    met_at: Instant,
}

impl State {
    /// Where any node may be.
    fn addrs(&self) -> Vec<SocketAddr> {
        let others = self.met.iter().filter(|addr| !self.given.contains(addr));
        self.given.iter().chain(others).copied().collect()
    }

    /// Notes where the nodes are, for when the one that is asked is lost.
    fn meet(&mut self, members: &[MemberInfo]) {
        let (mut seen, is_ipv4) = (HashSet::new(), self.addr.is_ipv4());
        let now = members.iter().flat_map(|member| member.addrs.iter().copied());
        let now = now.filter(|addr| addr.is_ipv4() == is_ipv4);
        let all = now.chain(std::mem::take(&mut self.met)).filter(|addr| seen.insert(*addr));
        self.met = all.take(MET_MAX).collect();
        self.met_at = Instant::now();
    }
}

impl Client {
    /// Connects with the first of these addresses that answers.
    ///
    /// # Errors
    /// None does within [`PATIENCE`], or the secret is another.
    pub fn connect(addrs: &[SocketAddr], secret: &Secret) -> Result<Client, ClientError> {
        Client::connect_within(addrs, secret, PATIENCE)
    }

    /// The same for who waits less long to connect, and as long for every answer.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_within(
        addrs: &[SocketAddr],
        secret: &Secret,
        patience: Duration,
    ) -> Result<Client, ClientError> {
        let (sender, events) = channel();
        let node = asker(addrs, secret, sender)?;
        let (peer, addr) = dial(&node, &events, addrs, patience)?;
        let state =
            State { peer, addr, given: addrs.to_vec(), met: Vec::new(), met_at: Instant::now() };
        let (events, state) = (Mutex::new(events), Mutex::new(state));
        let client = Client { node, patience, events, state };
        client.members()?;
        Ok(client)
    }

    /// The address of the node that is asked.
    pub fn addr(&self) -> SocketAddr {
        self.state().addr
    }

    /// The node that is asked.
    pub fn peer(&self) -> NodeId {
        self.state().peer
    }

    /// What ends the connections when this process is about to end: the nodes then give
    /// up at once what it waits for.
    pub fn stopper(&self) -> Stopper {
        self.node.stopper()
    }

    /// Asks something that is answered at once, of another node if one is lost.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask(&self, question: &Question) -> Result<Reply, ClientError> {
        self.ask_until(question, Limit::Each(self.patience), |_, _| {})
    }

    /// The nodes of the cluster.
    ///
    /// # Errors
    /// There is no answer.
    pub fn members(&self) -> Result<Vec<MemberInfo>, ClientError> {
        match self.ask(&Question::Members)? {
            Reply::Members(members) => {
                self.state().meet(&members);
                Ok(members)
            }
            other => Err(self.wrong(&other)),
        }
    }

    /// How these names stand, those of them that are known.
    ///
    /// # Errors
    /// There is no answer.
    pub fn names(&self, names: &[String]) -> Result<Vec<Listed>, ClientError> {
        let mut all = Vec::new();
        for part in names.chunks(PATTERNS_MAX) {
            match self.ask(&Question::Names { names: part.to_vec() })? {
                Reply::Listed(listed) => all.extend(listed),
                other => return Err(self.wrong(&other)),
            }
        }
        Ok(all)
    }

    /// Connects with this very node, too.
    ///
    /// # Errors
    /// It cannot be reached, or another node is there.
    pub fn reach(&self, member: &MemberInfo) -> Result<(), ClientError> {
        // Whoever holds the state dials alone.
        let state = self.state();
        let is_reached = |peer: &PeerInfo| peer.connected && peer.id == member.id;
        if self.node.peers().iter().any(is_reached) {
            return Ok(());
        }
        let same_kind = |addr: &&SocketAddr| addr.is_ipv4() == state.addr.is_ipv4();
        let addrs: Vec<SocketAddr> = member.addrs.iter().filter(same_kind).copied().collect();
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (peer, addr) = dial(&self.node, &events, &addrs, PATIENCE)?;
        match peer == member.id {
            true => Ok(()),
            false => Err(ClientError::Wrong {
                addr,
                message: format!("it is node {peer} where {} was told to be", member.id),
            }),
        }
    }

    /// Asks a node that was reached, and no other.
    fn ask_of(&self, to: NodeId, question: Question) -> Answers {
        self.node.ask(to, question)
    }

    /// Asks for the result of a job. `on_progress` is told how many entries and
    /// bytes are in the total.
    ///
    /// # Errors
    /// There is no result.
    pub fn reduce(
        &self,
        manifest: &Manifest,
        spec: &Spec,
        deadline: Option<Duration>,
        on_progress: impl FnMut(u64, u64),
    ) -> Result<(Partial, Finished), ClientError> {
        let question = Question::Submit {
            spec: spec.clone(),
            files: manifest.files().to_vec(),
            cut: manifest.cut_by().clone(),
            deadline,
        };
        let got = question.message_bytes();
        if got > FRAME_BYTES_MAX {
            let message = format!(
                "the description of the data set takes {got} bytes, a message has at most {FRAME_BYTES_MAX}; reduce it in several runs"
            );
            return Err(Trouble::new(TroubleKind::Question, message).into());
        }
        let limit = deadline.map_or(Limit::None, Limit::All);
        match self.ask_until(&question, limit, on_progress)? {
            Reply::Finished(finished) => {
                let total = self.check(manifest, spec, &finished)?;
                Ok((total, *finished))
            }
            other => Err(self.wrong(&other)),
        }
    }

    /// The error that an answer is none to the question.
    pub fn wrong(&self, reply: &Reply) -> ClientError {
        let mut message = String::from("to another question: ");
        // Writing to a string cannot fail.
        let _ = write!(message, "{:.60}", format!("{reply:?}"));
        ClientError::Wrong { addr: self.addr(), message }
    }

    /// A result counts if it is of the spec and of all elements: that the collector
    /// says so is not enough.
    fn check(
        &self,
        manifest: &Manifest,
        spec: &Spec,
        finished: &Finished,
    ) -> Result<Partial, ClientError> {
        let wrong = |message: String| ClientError::Wrong { addr: self.addr(), message };
        let total = Partial::from_bytes(&finished.total)
            .map_err(|error: DecodeError| wrong(error.to_string()))?;
        if total.spec() != spec {
            return Err(wrong(format!("{:?} where {spec:?} was asked for", total.spec())));
        }
        let expected: u64 = manifest.entries().iter().map(crate::manifest::Entry::len).sum();
        if total.elements() != expected || finished.entries != manifest.entries().len() as u64 {
            let got = total.elements();
            return Err(wrong(format!("of {got} elements where there are {expected}")));
        }
        Ok(total)
    }

    fn ask_until(
        &self,
        question: &Question,
        limit: Limit,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Reply, ClientError> {
        let start = Instant::now();
        for _ in 0..ATTEMPTS_MAX {
            let State { peer, addr, met_at, .. } = self.state().clone();
            let members = (met_at.elapsed() > MET_FOR && *question != Question::Members)
                .then(|| self.node.ask(peer, Question::Members));
            let answers = self.node.ask(peer, question.clone());
            let answer = loop {
                let until = match limit {
                    Limit::None => None,
                    Limit::Each(patience) => Instant::now().checked_add(patience),
                    Limit::All(time) => start.checked_add(time.saturating_add(WORD)),
                };
                match answers.next(until) {
                    Ok(Reply::Progress { entries_done, bytes_done }) => {
                        on_progress(entries_done, bytes_done);
                    }
                    answer => break answer,
                }
            };
            // They are answered at once, so before anything that takes time, and are not
            // waited for.
            if let Some(Ok(Reply::Members(members))) =
                members.map(|members| members.next(Some(Instant::now())))
            {
                self.state().meet(&members);
            }
            let is_turned = match answer {
                Ok(Reply::Refused(trouble)) => {
                    let is_leaving = trouble.kind == TroubleKind::Leaving;
                    if !is_leaving || !self.turn_from_leaving(peer)? {
                        return Err(trouble.into());
                    }
                    true
                }
                Ok(reply) => return Ok(reply),
                Err(Unanswered::Late) => return Err(limit.passed(addr)),
                Err(Unanswered::Lost) => false,
            };
            if !is_turned {
                let left = limit.left(start).min(self.patience);
                self.turn_to_another(peer, left).map_err(|error| {
                    if limit.left(start).is_zero() { limit.passed(addr) } else { error }
                })?;
            }
        }
        Err(ClientError::Lost { attempts: ATTEMPTS_MAX })
    }

    /// Connects with another node, or the same if that comes back first.
    fn turn_to_another(&self, lost: NodeId, patience: Duration) -> Result<(), ClientError> {
        let mut state = self.state();
        if state.peer != lost {
            return Ok(());
        }
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (peer, addr) = dial(&self.node, &events, &state.addrs(), patience)?;
        (state.peer, state.addr) = (peer, addr);
        Ok(())
    }

    /// Connects with another node than one that is about to leave; says whether there is
    /// another.
    fn turn_from_leaving(&self, leaving: NodeId) -> Result<bool, ClientError> {
        let members = self.members()?;
        let mut state = self.state();
        if state.peer != leaving {
            return Ok(true);
        }
        let others = members.into_iter().filter(|member| member.id != leaving);
        let same_kind = |addr: &SocketAddr| addr.is_ipv4() == state.addr.is_ipv4();
        let addrs: Vec<SocketAddr> =
            others.flat_map(|member| member.addrs).filter(same_kind).collect();
        if addrs.is_empty() {
            return Ok(false);
        }
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (peer, addr) = dial(&self.node, &events, &addrs, self.patience)?;
        (state.peer, state.addr) = (peer, addr);
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long something may take.
#[derive(Clone, Copy)]
enum Limit {
    /// As long as it takes.
    None,
    /// So long for each word of an answer.
    Each(Duration),
    /// So long in all, as the node knows that is asked.
    All(Duration),
}

impl Limit {
    /// What is left for something that began at `start`.
    fn left(self, start: Instant) -> Duration {
        match self {
            Limit::None => Duration::MAX,
            Limit::Each(patience) => patience,
            Limit::All(time) => time.saturating_sub(start.elapsed()),
        }
    }

    /// The error that it took longer.
    fn passed(self, addr: SocketAddr) -> ClientError {
        match self {
            Limit::All(after) => ClientError::Deadline { addr, after },
            Limit::Each(after) => ClientError::Late { addr, after },
            Limit::None => ClientError::Late { addr, after: Duration::MAX },
        }
    }
}

/// The node of this process: it has no workers and listens to nobody new.
fn asker(
    addrs: &[SocketAddr],
    secret: &Secret,
    events: Sender<Event>,
) -> Result<Node, TransportError> {
    let any = match addrs.first() {
        Some(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let config = NodeConfig {
        id: random_node_id(),
        name: "asker".to_owned(),
        secret: secret.clone(),
        transport: transport::Config::lan((any, 0).into()),
        engine: engine::Config::default(),
    };
    let equip = |_| Ok(Equipment { executor: NoExecutor, workers: 0, devices: Vec::new() });
    let observer = Box::new(move |event: &Event| {
        // Nobody listens any more when the client is being dropped.
        let _unheard = events.send(event.clone());
    });
    Node::start(config, equip, observer)
}

/// Connects with the first of these addresses that answers.
fn dial(
    node: &Node,
    events: &Receiver<Event>,
    addrs: &[SocketAddr],
    patience: Duration,
) -> Result<(NodeId, SocketAddr), ClientError> {
    while events.try_recv().is_ok() {}
    // Several may have answered the first time.
    let peers = node.peers();
    if let Some(peer) = peers.iter().find(|peer| peer.connected && addrs.contains(&peer.addr)) {
        return Ok((peer.id, peer.addr));
    }
    let give_up = Instant::now() + patience;
    addrs.iter().for_each(|&addr| node.dial(addr));
    let mut errors: Vec<(SocketAddr, Option<LinkError>)> =
        addrs.iter().map(|&addr| (addr, None)).collect();
    let found = loop {
        let left = give_up.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Connected { peer, addr, dialled: true }) if !peer.addrs.is_empty() => {
                break Some((peer.node, addr));
            }
            Ok(Event::DialFailed { addr, error }) => {
                for tried in errors.iter_mut().filter(|tried| tried.0 == addr) {
                    tried.1 = Some(error.clone());
                }
                // Another secret or version will not become the right one.
                let hopeless = |error: &Option<LinkError>| {
                    matches!(error, Some(LinkError::Identity | LinkError::Version { .. }))
                };
                if errors.iter().all(|(_, error)| hopeless(error)) {
                    break None;
                }
            }
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    // One node is enough, and it is not dialled again by itself: when it is lost,
    // all are tried.
    addrs.iter().for_each(|&addr| node.forget(addr));
    found.ok_or_else(|| {
        let is_identity =
            errors.iter().any(|(_, error)| matches!(error, Some(LinkError::Identity)));
        let tried = errors.iter().map(|(addr, error)| match error {
            Some(error) => format!("{addr}: {error}"),
            None => format!("{addr}: no answer"),
        });
        let tried = tried.collect::<Vec<_>>().join("; ");
        let errors = errors.iter().filter_map(|(_, error)| error.clone()).collect();
        ClientError::Unreachable { tried, is_identity, errors }
    })
}
