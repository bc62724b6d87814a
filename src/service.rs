//! What a node of a cluster does beside reducing: it knows the other nodes and
//! what they have, and answers questions.
//!
//! Pure, as the engine is: events in by `handle_*`, what is to be done out by
//! [`Service::poll_output`]. Every node has all of it, so any of them can be asked.
//!
//! ```text
//!   links ----- connected, lost -----> +------------+ ---> Dial, Forget
//!   members --- Gossip, Held, Known -> | membership | ---> Gossip, Held, Known
//!   askers ---- Ask, Withdraw -------> | catalogue  | ---> Reply
//!   inventory - set_held ------------> | requests   | ---> Remember
//!   disk ------ stored --------------> | places     | ---> Store
//!   processors  computed ------------> | pace       |
//!   engine ---- progress, end -------> +------------+ ---> Submit, Holders, Cancel
//! ```
//!
//! Members are linked with each other, every one with every other. Each tells the
//! others what files it offers as soon as a link is up and whenever that changes.
//! What was ever seen is remembered by all of them: it is exchanged when a link
//! comes up, and passed on when it changes by anything but an offer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::catalogue::{Catalogue, CatalogueError, Held, Holder, Memory, UNUSABLE_MAX, Unusable};
use crate::engine::{Holders, JobRequest, Now, RequestId};
use crate::manifest::Manifest;
use crate::membership::{self, Member, Membership};
use crate::placement::NodeId;
use crate::wire::{DEVICES_MAX, FRAME_BYTES_MAX, HELD_MAX, Hello, Message, Usage};

mod asks;
mod company;
mod pace;
mod places;
mod requests;

pub use places::{
    PLACES_MAX, PLACES_PER_PEER_MAX, QUEUED_BYTES_MAX, QUEUED_BYTES_PER_PEER_MAX, StoreWork, Stored,
};

use company::Company;
use pace::Pace;
use places::Places;
use requests::Requests;

/// The most peers, met and lost, whose names are remembered for reports.
const MET_MAX: usize = 2048;

/// The most bytes of one list of files or names, unless one alone has more. A
/// list goes into as many messages as it needs, which leaves room for others.
const LIST_BYTES_MAX: usize = FRAME_BYTES_MAX / 4;

/// The most addresses of members lost that are dialled again and again, in case
/// that they come back.
const LOST_ADDRS_MAX: usize = 256;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message to a connected peer; to another it is dropped.
    Send {
        /// The peer.
        to: NodeId,
        /// The message.
        message: Message,
    },
    /// Connect with the node at this address, and again whenever that is lost.
    Dial(SocketAddr),
    /// Do not dial this address any more.
    Forget(SocketAddr),
    /// Start a request at the engine.
    Submit(JobRequest),
    /// More is known of who has the files of a request.
    Holders {
        /// The request.
        request: RequestId,
        /// Who has them.
        holders: Holders,
    },
    /// Give a request up.
    Cancel(RequestId),
    /// Keep [`Service::memory`] for the next start: it has changed.
    Remember,
    /// Do this on the disk.
    Store(StoreWork),
}

/// The service of one node.
#[derive(Debug)]
pub struct Service {
    hello: Hello,
    membership: Membership,
    catalogue: Catalogue,
    /// Connected peers, members and askers.
    peers: BTreeMap<NodeId, Peer>,
    /// Who was met, for reports.
    met: BTreeMap<NodeId, Met>,
    /// What this node offers.
    held: Vec<Held>,
    problems: Vec<Unusable>,
    /// Addresses of members that were lost, the longest lost first.
    lost_addrs: VecDeque<(NodeId, SocketAddr)>,
    company: Company,
    pace: Pace,
    requests: Requests,
    places: Places,
    /// Whether this node is about to leave.
    retired: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Peer {
    is_member: bool,
    /// The list of its files, as far as it has come.
    arriving: Vec<Held>,
}

/// A peer as reports name it.
#[derive(Clone, Debug)]
struct Met {
    hello: Hello,
    addr: SocketAddr,
}

impl Service {
    /// The service of the node that says `hello` and remembers `memory` from
    /// earlier runs. `seed` is random.
    pub fn new(
        mut hello: Hello,
        config: membership::Config,
        memory: &Memory,
        seed: u64,
    ) -> Service {
        // As a hello is sent.
        hello.devices.truncate(DEVICES_MAX);
        let mut catalogue = Catalogue::new(hello.node);
        if let Err(error) = catalogue.merge(memory) {
            tracing::error!(%error, "what was remembered of the catalogue is not used");
        }
        let mut service = Service {
            company: Company::of(hello.node, memory),
            pace: Pace::default(),
            membership: Membership::new(member(&hello), config, seed),
            catalogue,
            hello,
            peers: BTreeMap::new(),
            met: BTreeMap::new(),
            held: Vec::new(),
            problems: Vec::new(),
            lost_addrs: VecDeque::new(),
            requests: Requests::default(),
            places: Places::default(),
            retired: false,
            outputs: VecDeque::new(),
        };
        service.dial_remembered(memory);
        service
    }

    /// Other members are at one of these addresses at least: until one is met, this node
    /// does not know what the cluster has.
    pub fn expect(&mut self, seeds: &[String]) {
        let own: Vec<String> = self.hello.addrs.iter().map(ToString::to_string).collect();
        self.company.expect(seeds.iter().filter(|seed| !own.contains(seed)).cloned().collect());
    }

    /// This node itself is at an address that was dialled.
    pub fn handle_itself(&mut self, addr: SocketAddr) {
        self.company.is_itself(addr);
    }

    /// A device of this node did some work.
    pub fn handle_usage(&mut self, usage: &Usage) {
        self.pace.add(usage);
    }

    /// This node offers these files from now on, and cannot offer others because
    /// of these problems.
    ///
    /// # Errors
    /// More files than a catalogue takes.
    pub fn set_held(
        &mut self,
        files: Vec<Held>,
        problems: Vec<Unusable>,
    ) -> Result<(), CatalogueError> {
        self.catalogue.set_unusable(self.hello.node, problems.clone());
        self.problems = problems;
        let changed = self.catalogue.set_held(self.hello.node, self.holder(), files.clone())?;
        self.held = files;
        if changed {
            self.outputs.push_back(Output::Remember);
        }
        for peer in self.members() {
            self.send_held(peer);
        }
        self.tell_holders();
        Ok(())
    }

    /// A link is up.
    pub fn handle_connected(&mut self, now: Now, hello: &Hello, addr: SocketAddr) {
        let (id, is_member) = (hello.node, !hello.addrs.is_empty());
        self.peers.insert(id, Peer { is_member, arriving: Vec::new() });
        if self.met.len() >= MET_MAX {
            let peers = &self.peers;
            self.met.retain(|id, _| peers.contains_key(id));
        }
        self.met.insert(id, Met { hello: hello.clone(), addr });
        if !is_member {
            return;
        }
        self.company.meet();
        self.lost_addrs
            .retain(|(node, lost)| *lost != addr && (*node != id || !hello.addrs.contains(lost)));
        // One way to it is enough. What it says of the addresses of others does not keep
        // this node from them.
        for &other in hello.addrs.iter().filter(|&&other| other != addr) {
            if !self.is_of_another(id, other) {
                self.outputs.push_back(Output::Forget(other));
            }
        }
        self.membership.handle_connected(now, member(hello));
        self.send_held(id);
        for part in self.catalogue.memory().parts(HELD_MAX, LIST_BYTES_MAX) {
            self.send(id, Message::Known(part));
        }
        self.settle();
    }

    /// A link is gone.
    pub fn handle_lost(&mut self, now: Now, peer: NodeId) {
        let Some(lost) = self.peers.remove(&peer) else { return };
        for request in self.requests.of_asker(peer) {
            self.requests.remove(request);
            self.outputs.push_back(Output::Cancel(request));
        }
        self.end_places(peer);
        if lost.is_member {
            self.catalogue.lost(peer);
            self.membership.handle_lost(now, peer);
            self.settle();
        }
    }

    /// A peer said something that the engine does not know.
    pub fn handle_message(&mut self, now: Now, from: NodeId, message: Message) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        match message {
            Message::Ask { ask, question } => self.handle_ask(from, ask, *question),
            Message::Withdraw { ask } => self.withdraw(from, ask),
            // What follows is for members to say.
            _ if !peer.is_member => {}
            Message::Gossip(packet) => {
                if let Err(error) = self.membership.handle_message(now, from, &packet) {
                    tracing::warn!(node = %from, %error, "a packet of the membership protocol was dropped");
                }
                self.settle();
            }
            Message::Held { first, last, files } => {
                if first {
                    peer.arriving.clear();
                }
                peer.arriving.extend(files);
                if last || peer.arriving.len() > crate::catalogue::FILES_MAX {
                    let files = std::mem::take(&mut peer.arriving);
                    self.take_held(from, files);
                }
            }
            Message::Unusable(files) => self.catalogue.set_unusable(from, files),
            Message::Known(memory) => self.take_known(from, &memory),
            _ => {}
        }
    }

    /// The time of [`Service::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.membership.handle_timeout(now);
        self.settle();
    }

    /// Takes no new requests and no new files: this node is about to leave.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether no asker waits for anything that takes time.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.places.is_empty()
    }

    /// Tells the others that this node goes.
    pub fn leave(&mut self, now: Now) {
        self.membership.leave(now);
        self.settle();
    }

    /// What is remembered of the catalogue.
    pub fn memory(&self) -> Memory {
        self.catalogue.memory()
    }

    /// When to call [`Service::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Now> {
        self.membership.poll_timeout()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn take_held(&mut self, from: NodeId, files: Vec<Held>) {
        let Some(met) = self.met.get(&from) else { return };
        let holder = holder(&met.hello);
        match self.catalogue.set_held(from, holder, files) {
            Ok(changed) => {
                if changed {
                    self.outputs.push_back(Output::Remember);
                }
                self.tell_holders();
            }
            Err(error) => {
                tracing::warn!(node = %from, %error, "its list of files was refused");
            }
        }
    }

    fn take_known(&mut self, from: NodeId, memory: &Memory) {
        match self.catalogue.learn(memory) {
            Ok(new) if new.is_empty() => {}
            Ok(new) => {
                self.outputs.push_back(Output::Remember);
                for peer in self.members().into_iter().filter(|&peer| peer != from) {
                    self.send(peer, Message::Known(new.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(node = %from, %error, "what it remembers was refused");
            }
        }
    }

    /// Carries out what the membership wants.
    fn settle(&mut self) {
        while let Some(output) = self.membership.poll_output() {
            match output {
                membership::Output::Send { to, bytes } => self.send(to, Message::Gossip(bytes)),
                membership::Output::Up(member) => {
                    tracing::info!(node = %member.node, name = member.name, "a node is up");
                    if !self.peers.contains_key(&member.node) {
                        self.dial_all(&member.addrs);
                    }
                }
                membership::Output::Down(member) => {
                    tracing::warn!(node = %member.node, name = member.name, "a node is down");
                    // It, or another at the same place, may come back: the side that
                    // lost the other must not be the only one that waits.
                    for addr in self.of_others(&member.addrs) {
                        self.lost_addrs.retain(|(_, lost)| *lost != addr);
                        self.lost_addrs.push_back((member.node, addr));
                        self.outputs.push_back(Output::Dial(addr));
                    }
                    while self.lost_addrs.len() > LOST_ADDRS_MAX {
                        let oldest = self.lost_addrs.pop_front();
                        self.outputs.extend(oldest.map(|(_, addr)| Output::Forget(addr)));
                    }
                }
            }
        }
    }

    /// Whoever held something may be there again: a node that comes back finds the others
    /// without being told.
    fn dial_remembered(&mut self, memory: &Memory) {
        let mut addrs = BTreeMap::new();
        for (node, holder) in memory.holders() {
            if addrs.len() >= LOST_ADDRS_MAX {
                break;
            }
            if let Ok(addr) = holder.addr.parse::<SocketAddr>() {
                addrs.insert(addr, node);
            }
        }
        for addr in self.of_others(&addrs.keys().copied().collect::<Vec<_>>()) {
            self.lost_addrs.push_back((addrs[&addr], addr));
            self.outputs.push_back(Output::Dial(addr));
        }
    }

    fn dial_all(&mut self, addrs: &[SocketAddr]) {
        let addrs = self.of_others(addrs);
        self.outputs.extend(addrs.into_iter().map(Output::Dial));
    }

    /// Those of these addresses that do not lead to this node itself, as those of the
    /// process before it do when it was restarted.
    fn of_others(&self, addrs: &[SocketAddr]) -> Vec<SocketAddr> {
        addrs.iter().copied().filter(|addr| !self.hello.addrs.contains(addr)).collect()
    }

    /// Whether a node other than this one is or was at an address: it is connected and
    /// says so, or was lost there.
    fn is_of_another(&self, node: NodeId, addr: SocketAddr) -> bool {
        let says_so = |(id, met): (&NodeId, &Met)| {
            *id != node
                && self.peers.contains_key(id)
                && (met.addr == addr || met.hello.addrs.contains(&addr))
        };
        self.met.iter().any(says_so)
            || self.lost_addrs.iter().any(|(lost, at)| *lost != node && *at == addr)
    }

    /// Tells the engine who has the files of the requests under way by now.
    fn tell_holders(&mut self) {
        for (request, manifest) in self.requests.manifests() {
            let holders = self.holders_of(&manifest);
            self.outputs.push_back(Output::Holders { request, holders });
        }
    }

    /// Who has each file, and of two data sets what is reduced beside it, too.
    fn holders_of(&self, manifest: &Manifest) -> Holders {
        let files = manifest.files().iter();
        let mut holders: Vec<BTreeSet<NodeId>> =
            files.map(|file| self.catalogue.holders(file)).collect();
        for entry in manifest.entries() {
            if let Some((second, _)) = entry.second {
                let both = &holders[entry.file as usize] & &holders[second as usize];
                holders[entry.file as usize] = both;
            }
        }
        Holders::PerFile(holders)
    }

    fn send_held(&mut self, to: NodeId) {
        let unusable = self.problems.iter().take(UNUSABLE_MAX).cloned().collect();
        self.send(to, Message::Unusable(unusable));
        let mut rest = self.held.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() || messages.is_empty() {
            let mut bytes = 0;
            let fits = |file: &&Held| {
                bytes += file.encoded_bytes_max();
                bytes <= LIST_BYTES_MAX
            };
            let count = rest.iter().take(HELD_MAX).take_while(fits).count().max(1);
            let (part, others) = rest.split_at(count.min(rest.len()));
            let (first, last) = (messages.is_empty(), others.is_empty());
            messages.push(Message::Held { first, last, files: part.to_vec() });
            rest = others;
        }
        messages.into_iter().for_each(|message| self.send(to, message));
    }

    /// What is remembered of a name changed by hand: it is stored, and told to all.
    fn tell_known(&mut self, name: &str) {
        let memory = self.catalogue.memory_of(name);
        for peer in self.members() {
            self.send(peer, Message::Known(memory.clone()));
        }
        self.outputs.push_back(Output::Remember);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        self.outputs.push_back(Output::Send { to, message });
    }

    fn members(&self) -> Vec<NodeId> {
        self.peers.iter().filter(|(_, peer)| peer.is_member).map(|(&id, _)| id).collect()
    }

    fn holder(&self) -> Holder {
        holder(&self.hello)
    }
}

fn member(hello: &Hello) -> Member {
    Member::new(hello.node, hello.name.clone(), hello.addrs.clone())
}

fn holder(hello: &Hello) -> Holder {
    let addr = hello.addrs.first().map(ToString::to_string).unwrap_or_default();
    Holder { name: hello.name.clone(), addr }
}

#[cfg(test)]
mod tests;
