//! Nodes, connections and virtual time.
//!
//! A world is a queue of events. A node is an engine with a driver around it
//! that does what a real one does: it knows one connection per peer, the
//! newest, computes entries on a few workers, and forgets abandoned ones.
//!
//! A connection carries bytes in order in each direction. It is cut at once,
//! but each end notices in its own time and sends into the void until then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use adsum::engine::{
    Computed, Config, Engine, Holders, JobError, JobRequest, Outcome, Output, RequestId,
    SubmitError, Usage,
};
use adsum::manifest::JobId;
use adsum::placement::NodeId;
use adsum::shard::ShardError;
use adsum::wire::{self, Message};

use crate::ask::Ask;
use crate::chance::Chance;
use crate::check;
use crate::data::{Data, Lie};
use crate::event::{Computation, Event, Letter, brief};
use crate::stats::Stats;
use crate::traffic::Traffic;
use crate::weather::{Flaw, Weather};

/// More events than any world of a seed has that gets on.
const EVENTS_MAX: u64 = 1_000_000;

/// Number of a node in its world.
pub type Place = usize;

pub struct World {
    pub now: Duration,
    pub chance: Chance,
    pub weather: Weather,
    pub config: Config,
    pub nodes: Vec<Node>,
    pub asks: Vec<Ask>,
    pub data: Vec<Arc<Data>>,
    pub stats: Stats,
    /// What was sent, where somebody counts it.
    pub traffic: Option<Traffic>,
    /// More events are a world that does not get on.
    pub events_max: u64,
    /// Whether to tell every event.
    pub loud: bool,
    connections: Vec<Connection>,
    /// The connection of each place with each other that is not cut.
    live: Vec<BTreeMap<Place, usize>>,
    jobs: BTreeMap<JobId, usize>,
    events: BTreeMap<(Duration, u64), Event>,
    events_made: u64,
    timers: BTreeSet<(Duration, Place)>,
}

/// A machine, and the process on it while there is one.
pub struct Node {
    pub id: NodeId,
    pub workers: usize,
    /// How many times slower than healthy it computes.
    pub slowness: u32,
    /// Entries that it cannot reduce, by data set and position.
    pub flaws: BTreeMap<(usize, u32), Flaw>,
    /// Whether it never starts again.
    pub doomed: bool,
    pub process: Option<Process>,
    /// Entries that it reduced, over all jobs.
    pub computed: Vec<u32>,
    /// Messages that came to it.
    pub received: u64,
    /// When its last message will have left.
    sending_until: Duration,
    /// When it will have taken in the last message that came.
    receiving_until: Duration,
    /// Number of the process: how many there were before.
    incarnation: u32,
}

pub struct Process {
    engine: Engine,
    /// The newest connection with each peer.
    connections: BTreeMap<Place, usize>,
    /// When each worker will be free.
    workers: Vec<Duration>,
    /// The jobs that it computes for, each with a number that no other has.
    jobs: BTreeMap<JobId, u64>,
    timer: Option<Duration>,
}

struct Connection {
    ends: [Place; 2],
    cut: bool,
    /// The last time that something comes to each end; later things come later.
    last: [Duration; 2],
}

impl World {
    /// A world of nodes that have so many workers each; all are up, and
    /// nobody is connected.
    pub fn new(chance: Chance, config: Config, workers: &[usize]) -> World {
        let mut world = World {
            now: Duration::ZERO,
            chance,
            weather: Weather::CALM,
            config,
            nodes: Vec::new(),
            asks: Vec::new(),
            data: Vec::new(),
            stats: Stats::default(),
            traffic: None,
            events_max: EVENTS_MAX,
            loud: false,
            connections: Vec::new(),
            live: vec![BTreeMap::new(); workers.len()],
            jobs: BTreeMap::new(),
            events: BTreeMap::new(),
            events_made: 0,
            timers: BTreeSet::new(),
        };
        for (place, &workers) in workers.iter().enumerate() {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&(place as u32).to_be_bytes());
            let id = NodeId(id);
            world.nodes.push(Node {
                id,
                workers,
                slowness: 1,
                flaws: BTreeMap::new(),
                doomed: false,
                process: None,
                computed: Vec::new(),
                received: 0,
                sending_until: Duration::ZERO,
                receiving_until: Duration::ZERO,
                incarnation: 0,
            });
            world.start(place);
        }
        world
    }

    pub fn add_data(&mut self, data: Data) -> usize {
        self.jobs.insert(data.manifest.job_id(&data.spec), self.data.len());
        self.data.push(Arc::new(data));
        self.data.len() - 1
    }

    /// Somebody will ask the node at `at` for the sum of `data`.
    pub fn ask(
        &mut self,
        when: Duration,
        at: Place,
        data: usize,
        holders: Holders,
        deadline: Option<Duration>,
    ) -> usize {
        let id = RequestId(self.asks.len() as u128);
        self.asks.push(Ask {
            data,
            holders,
            deadline,
            at,
            id,
            cancelled: false,
            result: None,
            ended: Duration::ZERO,
            running: false,
            progress: 0,
        });
        let ask = self.asks.len() - 1;
        self.schedule(when, Event::Submit(ask));
        ask
    }

    pub fn schedule(&mut self, when: Duration, event: Event) {
        self.events_made += 1;
        self.events.insert((when.max(self.now), self.events_made), event);
    }

    /// Lets the world go on until `end`, or until nothing more will happen.
    /// Returns whether something would.
    pub fn run_until(&mut self, end: Duration) -> bool {
        loop {
            let event = self.events.first_key_value().map(|(&(when, _), _)| when);
            let timer = self.timers.first().map(|&(when, _)| when);
            let Some(next) = event.into_iter().chain(timer).min() else { return false };
            if next > end {
                return true;
            }
            self.now = self.now.max(next);
            self.stats.events += 1;
            assert!(self.stats.events < self.events_max, "events without end");
            if event == Some(next) {
                let (_, event) = self.events.pop_first().expect("it is there");
                match event {
                    Event::Computed(first) => self.computed(next, first),
                    other => self.happen(other),
                }
            } else {
                let (_, place) = self.timers.first().copied().expect("it is there");
                self.with_engine(place, |engine, now| engine.handle_timeout(now));
            }
        }
    }

    /// The name of the job that a request is for.
    pub fn job_id(&self, ask: usize) -> [u8; 32] {
        let data = &self.data[self.asks[ask].data];
        data.manifest.job_id(&data.spec).0
    }

    // Nodes.

    /// Whether the process at `place` knows of a connection with `peer`.
    pub fn knows(&self, place: Place, peer: Place) -> bool {
        let process = self.nodes[place].process.as_ref();
        process.is_some_and(|process| process.connections.contains_key(&peer))
    }

    pub fn is_up(&self, place: Place) -> bool {
        self.nodes[place].process.is_some()
    }

    /// A new process starts, knowing nothing.
    pub fn start(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        if node.process.is_none() {
            node.incarnation += 1;
            node.process = Some(Process {
                engine: Engine::new(node.id, self.config, node.workers),
                connections: BTreeMap::new(),
                workers: vec![Duration::ZERO; node.workers],
                jobs: BTreeMap::new(),
                timer: None,
            });
        }
    }

    /// The process is gone. Those who had asked it turn to another node.
    pub fn crash(&mut self, place: Place) {
        let Some(process) = self.nodes[place].process.take() else { return };
        if let Some(when) = process.timer {
            self.timers.remove(&(when, place));
        }
        for peer in self.live[place].keys().copied().collect::<Vec<_>>() {
            self.cut(place, peer);
        }
        for ask in 0..self.asks.len() {
            if self.asks[ask].at == place && std::mem::take(&mut self.asks[ask].running) {
                let patience = self.chance.millis(1..=500);
                self.stats.collectors_lost += 1;
                self.schedule(self.now + patience, Event::Submit(ask));
            }
        }
    }

    /// Whether no process works on any job.
    pub fn is_quiet(&self) -> bool {
        self.nodes.iter().flat_map(|node| &node.process).all(|process| process.jobs.is_empty())
    }

    // Connections.

    /// A new connection; both ends know of it soon. An older one is cut.
    pub fn connect(&mut self, a: Place, b: Place) {
        if a == b || !self.is_up(a) || !self.is_up(b) {
            return;
        }
        self.cut(a, b);
        let connection = self.connections.len();
        let mut last = [self.now; 2];
        for (end, place, peer) in [(0, a, b), (1, b, a)] {
            last[end] = self.now + self.delay();
            self.schedule(last[end], Event::Connected { place, peer, connection });
        }
        self.connections.push(Connection { ends: [a, b], cut: false, last });
        self.live[a].insert(b, connection);
        self.live[b].insert(a, connection);
    }

    /// Whether both ends have the same live connection, as far as they know.
    pub fn is_connected(&self, a: Place, b: Place) -> bool {
        let known = |place: Place, peer: Place| {
            let process = self.nodes[place].process.as_ref()?;
            process.connections.get(&peer).copied()
        };
        known(a, b).is_some_and(|connection| {
            known(b, a) == Some(connection) && !self.connections[connection].cut
        })
    }

    /// Cuts what connects the two; each end notices within a second.
    pub fn cut(&mut self, a: Place, b: Place) {
        let Some(connection) = self.live[a].remove(&b) else { return };
        self.live[b].remove(&a);
        self.connections[connection].cut = true;
        for (place, peer) in [(a, b), (b, a)] {
            let notice = self.now + self.chance.millis(1..=1000);
            self.schedule(notice, Event::Lost { place, peer, connection });
        }
    }

    fn send(&mut self, place: Place, to: NodeId, message: Message) {
        let peer = self.place_of(to);
        let Some(process) = &self.nodes[place].process else { return };
        let Some(&connection) = process.connections.get(&peer) else { return };
        self.stats.messages += 1;
        match &message {
            Message::Delegate { .. } => self.stats.delegations += 1,
            Message::Report { .. } => self.stats.reports += 1,
            Message::Returned { positions, .. } => {
                self.stats.entries_returned += positions.len() as u64;
            }
            _ => {}
        }
        let length = self.traffic.as_mut().map_or(0, |traffic| traffic.count(&message));
        let letter = match self.weather.bytes {
            true => Letter::Bytes(wire::encode(&message)),
            false => Letter::Message(Box::new(message)),
        };
        let cut = self.connections[connection].cut;
        let ghost = self.chance.per_mille(self.weather.ghosts);
        let sent = self.leave(place, length);
        let arrival = sent + self.delay();
        let deliver =
            |ghost, letter| Event::Deliver { place: peer, from: place, connection, ghost, letter };
        if self.chance.per_mille(self.weather.repeated) {
            self.stats.messages_repeated += 1;
            let again = arrival + self.chance.millis(0..=300);
            self.schedule(again, deliver(ghost, letter.clone()));
        }
        if ghost {
            self.stats.messages_from_old_connections += 1;
            let late = arrival + self.chance.millis(0..=2000);
            self.schedule(late, deliver(true, letter.clone()));
        }
        if !cut {
            let Connection { ends, last, .. } = &mut self.connections[connection];
            let end = usize::from(ends[1] == peer);
            last[end] = last[end].max(arrival);
            let node = &mut self.nodes[peer];
            let takes = Duration::from_micros(self.weather.message_us);
            node.receiving_until = node.receiving_until.max(last[end]) + takes;
            last[end] = node.receiving_until;
            let in_order = last[end];
            self.schedule(in_order, deliver(false, letter));
        }
    }

    /// When a message of so many bytes has left its node.
    fn leave(&mut self, place: Place, bytes: u64) -> Duration {
        let Some(speed) = self.weather.bytes_per_second else { return self.now };
        let node = &mut self.nodes[place];
        let takes = Duration::from_nanos(bytes * 1_000_000_000 / speed);
        node.sending_until = node.sending_until.max(self.now) + takes;
        node.sending_until
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.weather.delay_us;
        self.chance.micros(least..=most)
    }

    pub fn place_of(&self, id: NodeId) -> Place {
        u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]) as Place
    }

    // Events.

    fn happen(&mut self, event: Event) {
        match event {
            Event::Fault(fault) => {
                self.tell(|| format!("{fault:?}"));
                fault.strike(self);
            }
            Event::Submit(ask) => self.submit(ask),
            Event::Connected { place, peer, connection } => {
                if self.connections[connection].cut || !self.is_up(place) || !self.is_up(peer) {
                    return;
                }
                self.tell(|| format!("{place} is connected to {peer}"));
                if let Some(process) = &mut self.nodes[place].process {
                    process.connections.insert(peer, connection);
                }
                let peer = self.nodes[peer].id;
                self.with_engine(place, |engine, now| engine.handle_connected(now, peer));
            }
            Event::Lost { place, peer, connection } => {
                let Some(process) = &mut self.nodes[place].process else { return };
                if process.connections.get(&peer) != Some(&connection) {
                    return;
                }
                process.connections.remove(&peer);
                self.tell(|| format!("{place} lost {peer}"));
                let peer = self.nodes[peer].id;
                self.with_engine(place, |engine, now| engine.handle_lost(now, peer));
            }
            Event::Deliver { place, from, connection, ghost, letter } => {
                let Some(process) = &self.nodes[place].process else { return };
                if process.connections.get(&from) != Some(&connection) && !ghost {
                    return;
                }
                let message = match letter {
                    Letter::Bytes(bytes) => wire::decode(&bytes).expect("an engine made it"),
                    Letter::Message(message) => *message,
                };
                self.tell(|| format!("{from} -> {place}: {}", brief(&message)));
                self.nodes[place].received += 1;
                let from = self.nodes[from].id;
                self.with_engine(place, |engine, now| engine.handle_message(now, from, message));
            }
            Event::Computed(one) => self.computed(self.now, one),
        }
    }

    /// An entry is done, and others of the same node at the same time with it:
    /// a driver takes in what has happened before it asks what to do.
    fn computed(&mut self, when: Duration, first: Computation) {
        let mut done = vec![first];
        while let Some(next) = self.events.first_entry()
            && next.key().0 == when
            && let Event::Computed(one) = *next.get()
            && one.place == first.place
        {
            next.remove();
            done.push(one);
        }
        let place = first.place;
        let Some(process) = &self.nodes[place].process else { return };
        let incarnation = self.nodes[place].incarnation;
        done.retain(|one| {
            one.incarnation == incarnation && process.jobs.get(&one.job) == Some(&one.run)
        });
        let outcomes: Vec<_> =
            done.iter().map(|one| self.compute(place, one.job, one.position)).collect();
        self.nodes[place].computed.extend(done.iter().map(|one| one.position));
        self.with_engine(place, |engine, now| {
            for (one, outcome) in done.iter().zip(outcomes) {
                engine.handle_computed(now, one.job, one.position, outcome);
            }
        });
    }

    /// Asks a node, a living one if there is any.
    fn submit(&mut self, ask: usize) {
        let place = self.asks[ask].at;
        let up: Vec<Place> = (0..self.nodes.len()).filter(|&place| self.is_up(place)).collect();
        let Ask { cancelled: false, running: false, result: None, .. } = self.asks[ask] else {
            return;
        };
        if up.is_empty() {
            self.schedule(self.now + Duration::from_millis(100), Event::Submit(ask));
            return;
        }
        let place = if self.is_up(place) { place } else { self.chance.pick(&up) };
        let data = Arc::clone(&self.data[self.asks[ask].data]);
        let Ask { at, running, progress, id, holders, deadline, .. } = &mut self.asks[ask];
        (*at, *running, *progress) = (place, true, 0);
        let request = JobRequest {
            id: *id,
            manifest: Arc::clone(&data.manifest),
            spec: data.spec.clone(),
            holders: holders.clone(),
            deadline: *deadline,
        };
        self.tell(|| format!("{place} is asked, {ask}"));
        let mut answer = Ok(());
        self.with_engine(place, |engine, now| answer = engine.submit(now, request));
        match answer {
            Ok(()) => {}
            Err(SubmitError::Busy { .. }) => {
                self.asks[ask].running = false;
                self.schedule(self.now + Duration::from_millis(100), Event::Submit(ask));
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub fn cancel(&mut self, ask: usize) {
        let Ask { at, id, ref mut cancelled, .. } = self.asks[ask];
        *cancelled = true;
        if self.is_up(at) {
            self.with_engine(at, |engine, now| engine.cancel(now, id));
        }
        // Its node may not have been asked yet, or be gone.
        let result = &mut self.asks[ask].result;
        result.get_or_insert(Err(JobError::Cancelled));
    }

    fn compute(&self, place: Place, job: JobId, position: u32) -> Result<Computed, ShardError> {
        let index = self.jobs[&job];
        let data = &self.data[index];
        let entry = data.manifest.entry(position).expect("an entry of the job");
        let partial = match self.nodes[place].flaws.get(&(index, position)) {
            None => data.reduce(entry, Lie::None),
            Some(Flaw::Unreadable) => return Err(ShardError::unreadable("a scratch on the disk")),
            Some(Flaw::Short) => data.reduce(entry, Lie::Short),
            Some(Flaw::Misplaced) => data.reduce(entry, Lie::Misplaced),
            Some(Flaw::Foreign) => {
                adsum::Partial::identity(&adsum::Spec::sum(adsum::DType::Bool), 1)
            }
        };
        let bytes = data.manifest.entry_bytes(entry);
        Ok(Computed { partial, usage: vec![Usage { device: 0, tiles: 1, bytes, busy_ns: 1 }] })
    }

    // Engines.

    /// Lets an engine do something, and does what it wants done.
    fn with_engine(&mut self, place: Place, act: impl FnOnce(&mut Engine, Duration)) {
        let Some(process) = &mut self.nodes[place].process else { return };
        act(&mut process.engine, self.now);
        // The fates of what it wants depend on the world, which cannot be
        // asked while the engine is borrowed.
        while let Some(process) = &mut self.nodes[place].process
            && let Some(output) = process.engine.poll_output()
        {
            self.obey(place, output);
        }
        let Some(process) = &mut self.nodes[place].process else { return };
        let timer = process.engine.poll_timeout();
        if let Some(old) = std::mem::replace(&mut process.timer, timer) {
            self.timers.remove(&(old, place));
        }
        self.timers.extend(timer.map(|when| (when, place)));
    }

    fn obey(&mut self, place: Place, output: Output) {
        match output {
            Output::Send { to, message } => self.send(place, to, message),
            Output::Compute { job, manifest, position, .. } => {
                assert!(position < manifest.entries().len() as u32);
                let number = self.events_made;
                let (least, most) = self.weather.work_us;
                let work = Duration::from_micros(self.chance.number(least..=most));
                let work = (work * self.nodes[place].slowness).min(Duration::from_secs(2));
                let incarnation = self.nodes[place].incarnation;
                let Some(process) = &mut self.nodes[place].process else { return };
                let run = *process.jobs.entry(job).or_insert(number);
                let worker = process.workers.iter_mut().min().expect("it has workers");
                *worker = (*worker).max(self.now) + work;
                let done = *worker;
                let one = Computation { place, incarnation, job, run, position };
                self.schedule(done, Event::Computed(one));
            }
            Output::Abandon { job } => {
                if let Some(process) = &mut self.nodes[place].process {
                    process.jobs.remove(&job);
                }
            }
            Output::Progress { request, entries_done, entries, bytes_done, bytes } => {
                let ask = &mut self.asks[request.0 as usize];
                assert!(ask.result.is_none(), "progress after the end");
                assert!(ask.progress <= entries_done && entries_done < entries, "no progress");
                assert!(bytes_done < bytes);
                ask.progress = entries_done;
            }
            Output::Finished { request, result } => self.finish(request.0 as usize, result),
        }
    }

    fn finish(&mut self, index: usize, result: Result<Outcome, JobError>) {
        self.tell(|| match &result {
            Ok(_) => format!("{index} has a result"),
            Err(error) => format!("{index} has no result: {error}"),
        });
        match &result {
            Ok(outcome) => check::result(self, index, outcome),
            Err(error) => check::error(self, index, error),
        }
        self.asks[index].result = Some(result);
        self.asks[index].ended = self.now;
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.loud {
            #[expect(clippy::print_stderr, reason = "a person replays one seed")]
            {
                eprintln!("{:>12.6} {}", self.now.as_secs_f64(), what());
            }
        }
    }
}
