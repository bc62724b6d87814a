//! What joins the engine of a node to the world: the network, the clock, the
//! local processors and whoever asks.
//!
//! One task owns them all and is spoken to by channels. It hands the engine
//! one event after the other, then carries out what the engine wants:
//!
//! ```text
//!   Transport  == Event =======> +--------+ == Output::Send ====> Transport
//!   Executor   == completion ==> | Engine | == Output::Compute => Executor
//!   Node       == Command =====> |        | == Progress, end ===> Ticket
//!   clock      == timeout =====> +--------+
//! ```
//!
//! A member of a cluster has a [`Service`] beside the engine, which gets what the
//! engine does not know: membership, catalogue, questions. It may have a [`Store`],
//! which writes the files that askers send.
//!
//! Nothing that it calls waits: sending queues, computing is started, tickets
//! hold the latest news only. So a slow peer, processor or asker never holds
//! up the others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::catalogue::{Held, Memory, Unusable};
use crate::engine::{Computed, Engine, JobRequest, Output, RequestId};
use crate::manifest::{JobId, Manifest};
use crate::op::Spec;
use crate::placement::NodeId;
use crate::service::{self, Service};
pub use crate::service::{StoreWork, Stored};
use crate::shard::ShardError;
use crate::transport::{Event, LinkError, Transport};
use crate::wire::{Message, PlaceId, Question, Trouble};

mod answers;
mod dials;
mod keeping;
mod roster;
mod ticket;

pub use answers::{Answers, Unanswered};
pub use roster::PeerInfo;
pub use ticket::{Progress, RequestError, Ticket};

pub(crate) use answers::{AnswerSender, answers};
pub(crate) use roster::SharedRoster;
pub(crate) use ticket::{TicketSender, ticket};

use answers::Asked;
use dials::Dials;
use keeping::Keeping;

/// The most events that are handled before the engine's wishes are carried
/// out: results and progress of a burst go out as few messages.
const BURST_MAX: usize = 256;

/// What a driver needs of the local processors.
///
/// Results come back by the [`Completions`] that the executor was made with.
/// No call may wait for a computation: the driver does nothing else meanwhile.
pub trait Executor: Send + 'static {
    /// Starts to reduce the entry at `position`, a valid one. Exactly one
    /// completion follows, unless the job is abandoned before.
    fn start(&mut self, job: JobId, spec: Spec, manifest: &Arc<Manifest>, position: u32);

    /// Nobody waits for this job any more: drop what is queued for it, and
    /// stop what is under way as soon as is convenient. A completion that
    /// comes nevertheless does no harm.
    fn abandon(&mut self, job: JobId);
}

/// An executor of a node without workers, which is never asked for anything.
#[derive(Clone, Copy, Debug)]
pub struct NoExecutor;

impl Executor for NoExecutor {
    fn start(&mut self, job: JobId, _: Spec, _: &Arc<Manifest>, position: u32) {
        unreachable!("a node without workers was asked for entry {position} of job {job}");
    }

    fn abandon(&mut self, _: JobId) {}
}

/// Where an executor reports what it computed, from any thread.
#[derive(Clone, Debug)]
pub struct Completions {
    sender: mpsc::UnboundedSender<Completion>,
}

#[derive(Debug)]
struct Completion {
    job: JobId,
    position: u32,
    outcome: Result<Computed, ShardError>,
}

impl Completions {
    /// Reports an entry that was started. Never waits; there are never more
    /// reports than entries started.
    pub fn report(&self, job: JobId, position: u32, outcome: Result<Computed, ShardError>) {
        // Nobody listens any more when the node is being dropped.
        let _unheard = self.sender.send(Completion { job, position, outcome });
    }
}

/// The other end of an executor's [`Completions`].
#[derive(Debug)]
pub(crate) struct CompletionReceiver {
    receiver: mpsc::UnboundedReceiver<Completion>,
}

/// Both ends of the channel that completions take.
pub(crate) fn completions() -> (Completions, CompletionReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Completions { sender }, CompletionReceiver { receiver })
}

/// What a driver needs of the disk that takes the files of askers.
///
/// Results come back by the [`Reports`] that the store was made with. No call may
/// wait for the disk.
pub trait Store: Send {
    /// Queues this. What has to be reported of it says [`StoreWork`].
    fn take(&mut self, work: StoreWork);
}

/// Makes a store that reports there.
pub type MakeStore = Box<dyn FnOnce(Reports) -> Box<dyn Store> + Send>;

/// Where a store reports what it has done, from any thread.
#[derive(Clone, Debug)]
pub struct Reports {
    sender: mpsc::UnboundedSender<Report>,
}

#[derive(Debug)]
struct Report {
    place: PlaceId,
    result: Result<Stored, Trouble>,
}

impl Reports {
    /// Reports the end of some work. Never waits; there are never more reports than
    /// works.
    pub fn report(&self, place: PlaceId, result: Result<Stored, Trouble>) {
        // Nobody listens any more when the node is being dropped.
        let _unheard = self.sender.send(Report { place, result });
    }
}

/// The other end of a store's [`Reports`].
#[derive(Debug)]
pub(crate) struct ReportReceiver {
    receiver: mpsc::UnboundedReceiver<Report>,
}

/// Both ends of the channel that reports take.
pub(crate) fn reports() -> (Reports, ReportReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Reports { sender }, ReportReceiver { receiver })
}

/// What the owner of a node asks of its driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Connect to the node at this address, and again whenever that is lost.
    Dial(SocketAddr),
    /// Do not dial this address any more.
    Forget(SocketAddr),
    /// End the connection with a peer.
    Disconnect { peer: NodeId, why: String },
    /// Start a request, whose ticket is told what comes of it.
    Submit { request: JobRequest, ticket: TicketSender },
    /// Give a request up.
    Cancel(RequestId),
    /// Ask a connected peer.
    Ask { to: NodeId, question: Question, answers: AnswerSender },
    /// Offer these files to the cluster, and tell of these problems.
    SetHeld { files: Vec<Held>, problems: Vec<Unusable> },
    /// Take nothing new, and drop the sender when what is under way is done.
    Retire(std::sync::mpsc::Sender<()>),
    /// Tell the others that this node goes.
    Leave,
    /// End all connections and stop; the sender is dropped when that is done.
    Stop(std::sync::mpsc::Sender<()>),
}

/// Sees what happens to connections, on the driver's thread. Is not shown
/// messages.
pub type Observer = Box<dyn FnMut(&Event) + Send>;

/// What makes a node a member of a cluster.
pub(crate) struct Membership {
    pub service: Service,
    /// Keeps what is to be remembered. Called on the driver's thread, so it must
    /// not wait.
    pub remember: Box<dyn FnMut(Memory) + Send>,
    /// What takes the files of askers.
    pub store: Box<dyn Store>,
}

/// All that one node runs on.
pub(crate) struct Driver<E> {
    pub engine: Engine,
    pub executor: E,
    pub transport: Transport,
    pub events: mpsc::Receiver<Event>,
    pub completions: CompletionReceiver,
    pub reports: ReportReceiver,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub observer: Observer,
    pub roster: SharedRoster,
    pub membership: Option<Membership>,
}

impl<E: Executor> Driver<E> {
    /// Runs until the owner of the commands is gone, or the network thread.
    /// Requests that are not finished then end with [`RequestError::Stopped`].
    pub(crate) async fn run(self) {
        let Driver { events, completions, reports, commands, .. } = self;
        let (completions, reports) = (completions.receiver, reports.receiver);
        let mut inputs = Inputs { events, completions, reports, commands };
        let mut task = Task {
            engine: self.engine,
            executor: self.executor,
            transport: self.transport,
            observer: self.observer,
            roster: self.roster,
            membership: self.membership,
            asked: Asked::default(),
            epoch: Instant::now(),
            dials: Dials::default(),
            keeping: Keeping::default(),
            tickets: HashMap::new(),
            retiring: None,
            stopped: None,
        };
        while let Some(input) = inputs.next(task.next_timeout()).await {
            task.handle(input);
            for _ in 1..BURST_MAX {
                match inputs.try_next() {
                    Some(input) => task.handle(input),
                    None => break,
                }
            }
            task.carry_out();
            if task.stopped.is_some() {
                break;
            }
        }
        task.keep(Duration::MAX);
    }
}

enum Input {
    Event(Event),
    Completion(Completion),
    Report(Report),
    Command(Command),
    Timeout,
}

struct Inputs {
    events: mpsc::Receiver<Event>,
    completions: mpsc::UnboundedReceiver<Completion>,
    reports: mpsc::UnboundedReceiver<Report>,
    commands: mpsc::UnboundedReceiver<Command>,
}

impl Inputs {
    /// What happens next, or `None` when the node is to stop.
    async fn next(&mut self, timeout: Option<Instant>) -> Option<Input> {
        let sleep = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = self.commands.recv() => command.map(Input::Command),
            // Without a network thread, which ends only by a panic, there is no node.
            event = self.events.recv() => event.map(Input::Event),
            Some(completion) = self.completions.recv() => Some(Input::Completion(completion)),
            Some(report) = self.reports.recv() => Some(Input::Report(report)),
            () = sleep => Some(Input::Timeout),
        }
    }

    /// What has happened already.
    fn try_next(&mut self) -> Option<Input> {
        None.or_else(|| self.completions.try_recv().ok().map(Input::Completion))
            .or_else(|| self.reports.try_recv().ok().map(Input::Report))
            .or_else(|| self.events.try_recv().ok().map(Input::Event))
            .or_else(|| self.commands.try_recv().ok().map(Input::Command))
    }
}

struct Task<E> {
    engine: Engine,
    executor: E,
    transport: Transport,
    observer: Observer,
    roster: SharedRoster,
    membership: Option<Membership>,
    asked: Asked,
    epoch: Instant,
    dials: Dials,
    keeping: Keeping,
    tickets: HashMap<RequestId, TicketSender>,
    /// Whoever waits until nothing is under way.
    retiring: Option<std::sync::mpsc::Sender<()>>,
    /// Whoever wants the node to stop. The last field, so that it is told when the
    /// transport is gone.
    stopped: Option<std::sync::mpsc::Sender<()>>,
}

impl<E: Executor> Task<E> {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn next_timeout(&self) -> Option<Instant> {
        let service = self.membership.as_ref().and_then(|member| member.service.poll_timeout());
        let all = [self.engine.poll_timeout(), self.dials.next(), self.keeping.next(), service];
        let earliest = all.into_iter().flatten().min();
        // A time too far away to be told is never.
        earliest.and_then(|at| self.epoch.checked_add(at))
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Event(event) => self.handle_event(now, event),
            Input::Completion(Completion { job, position, outcome }) => {
                if let (Some(member), Ok(computed)) = (&mut self.membership, &outcome) {
                    computed.usage.iter().for_each(|usage| member.service.handle_usage(usage));
                }
                self.engine.handle_computed(now, job, position, outcome);
            }
            Input::Report(Report { place, result }) => {
                if let Some(member) = &mut self.membership {
                    member.service.handle_stored(place, result);
                }
            }
            Input::Command(command) => self.handle_command(now, command),
            Input::Timeout => {}
        }
    }

    fn handle_event(&mut self, now: Duration, event: Event) {
        let event = match event {
            Event::Message { from, message } => return self.handle_message(now, from, message),
            other => other,
        };
        // Who sees that a peer is there finds it there.
        if let Event::Connected { peer, addr, .. } = &event {
            self.roster.connected(peer.clone(), *addr);
        }
        (self.observer)(&event);
        match event {
            Event::Connected { peer, addr, dialled: _ } => {
                self.dials.connected(addr);
                let id = peer.node;
                self.engine.handle_connected(now, id);
                if let Some(member) = &mut self.membership {
                    member.service.handle_connected(now, &peer, addr);
                }
            }
            Event::Lost { peer, addr, reason } => {
                self.dials.lost(now, addr, &reason);
                self.roster.lost(peer);
                self.engine.handle_lost(now, peer);
                self.asked.lost(peer);
                if let Some(member) = &mut self.membership {
                    member.service.handle_lost(now, peer);
                }
            }
            Event::DialFailed { addr, error } => {
                self.dials.failed(now, addr, &error);
                if let (LinkError::SelfConnection, Some(member)) = (error, &mut self.membership) {
                    member.service.handle_itself(addr);
                }
            }
            Event::TurnedAway { .. } | Event::Message { .. } => {}
        }
    }

    fn handle_message(&mut self, now: Duration, from: NodeId, message: Message) {
        match message {
            Message::Reply { ask, reply } => self.asked.reply(from, ask, *reply),
            Message::Ask { .. }
            | Message::Withdraw { .. }
            | Message::Gossip(_)
            | Message::Held { .. }
            | Message::Unusable(_)
            | Message::Known(_) => {
                if let Some(member) = &mut self.membership {
                    member.service.handle_message(now, from, message);
                }
            }
            message => self.engine.handle_message(now, from, message),
        }
    }

    fn handle_command(&mut self, now: Duration, command: Command) {
        match command {
            Command::Dial(addr) => self.dials.add(now, addr),
            Command::Forget(addr) => self.dials.remove(addr),
            Command::Disconnect { peer, why } => self.transport.disconnect(peer, why),
            Command::Cancel(request) => self.engine.cancel(now, request),
            Command::Ask { to, question, answers } => {
                // Of another peer it is dropped, which tells the asker.
                if self.roster.is_connected(to) {
                    let ask = self.asked.add(to, answers);
                    let question = Box::new(question);
                    self.transport.send(to, &Message::Ask { ask, question });
                }
            }
            Command::SetHeld { files, problems } => {
                if let Some(member) = &mut self.membership
                    && let Err(error) = member.service.set_held(files, problems)
                {
                    tracing::error!(%error, "the files of this node cannot be offered");
                }
            }
            Command::Retire(done) => {
                self.engine.retire(now);
                if let Some(member) = &mut self.membership {
                    member.service.retire();
                }
                self.retiring = Some(done);
            }
            Command::Leave => {
                if let Some(member) = &mut self.membership {
                    member.service.leave(now);
                }
            }
            Command::Stop(stopped) => self.stopped = Some(stopped),
            Command::Submit { request, ticket } => {
                let id = request.id;
                match self.engine.submit(now, request) {
                    Ok(()) => {
                        self.tickets.insert(id, ticket);
                    }
                    Err(error) => ticket.finish(Err(error.into())),
                }
            }
        }
    }

    /// Does all that the engine and the clock want done by now.
    fn carry_out(&mut self) {
        let now = self.now();
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        if let Some(member) = &mut self.membership
            && member.service.poll_timeout().is_some_and(|at| at <= now)
        {
            member.service.handle_timeout(now);
        }
        self.asked.withdraw_dropped(|to, ask| {
            self.transport.send(to, &Message::Withdraw { ask });
        });
        // What one of the two wants may give the other something to do.
        loop {
            let engine = self.carry_out_engine();
            let service = self.carry_out_service(now);
            if !engine && !service {
                break;
            }
        }
        let is_idle = |member: &Membership| member.service.is_idle();
        if self.engine.is_idle() && self.membership.as_ref().is_none_or(is_idle) {
            self.retiring = None;
        }
        for addr in self.dials.take_due(now) {
            self.transport.dial(addr);
        }
        self.keep(now);
    }

    /// Has what has changed kept, if that is due.
    fn keep(&mut self, now: Duration) {
        if let Some(member) = &mut self.membership
            && self.keeping.is_due(now)
        {
            (member.remember)(member.service.memory());
        }
    }

    /// Does what the service wants done; says whether that was anything.
    fn carry_out_service(&mut self, now: Duration) -> bool {
        let Some(Membership { service, store, .. }) = &mut self.membership else {
            return false;
        };
        let mut any = false;
        while let Some(output) = service.poll_output() {
            any = true;
            match output {
                service::Output::Send { to, message } => self.transport.send(to, &message),
                service::Output::Dial(addr) => self.dials.add(now, addr),
                service::Output::Forget(addr) => self.dials.remove(addr),
                service::Output::Cancel(request) => self.engine.cancel(now, request),
                service::Output::Remember => self.keeping.changed(now),
                service::Output::Store(work) => store.take(work),
                service::Output::Holders { request, holders } => {
                    self.engine.add_holders(now, request, holders);
                }
                service::Output::Submit(request) => {
                    let id = request.id;
                    if let Err(error) = self.engine.submit(now, request) {
                        service.handle_refused(id, &error);
                    }
                }
            }
        }
        any
    }

    /// Does what the engine wants done; says whether that was anything.
    fn carry_out_engine(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.engine.poll_output() {
            any = true;
            match output {
                Output::Send { to, message } => self.transport.send(to, &message),
                Output::Compute { job, spec, manifest, position } => {
                    self.executor.start(job, spec, &manifest, position);
                }
                Output::Abandon { job } => self.executor.abandon(job),
                Output::Progress { request, entries_done, entries, bytes_done, bytes } => {
                    let progress = Progress { entries_done, entries, bytes_done, bytes };
                    if let Some(ticket) = self.tickets.get(&request) {
                        ticket.progress(progress);
                    } else if let Some(member) = &mut self.membership {
                        let entries_done = entries_done as u64;
                        member.service.handle_progress(request, entries_done, bytes_done);
                    }
                }
                Output::Finished { request, result } => {
                    if let Some(ticket) = self.tickets.remove(&request) {
                        ticket.finish(result.map_err(RequestError::from));
                    } else if let Some(member) = &mut self.membership {
                        member.service.handle_finished(request, result);
                    }
                }
            }
        }
        any
    }
}
