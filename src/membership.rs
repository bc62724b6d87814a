//! Who is in the cluster: a state machine that asks its peers and listens.
//!
//! The protocol is SWIM (A. Das, I. Gupta and A. Motivala, "SWIM: Scalable
//! Weakly-consistent Infection-style Process Group Membership Protocol",
//! DSN 2002), by the crate [foca](https://docs.rs/foca). Every node asks one
//! other per period whether it lives, first itself and then through three
//! others. Who does not answer is suspected, and down when it did not object
//! in time. News travel on the same packets, from node to node. So the load of
//! a node does not grow with the cluster, and there is no node that all need.
//!
//! Like the engine this does no I/O and reads no clock: events go in by
//! `handle_*`, and what is to be done comes out of [`Membership::poll_output`].
//! [`Membership::handle_timeout`] is to be called when
//! [`Membership::poll_timeout`] is reached. Equal events and an equal seed give
//! equal outputs.
//!
//! # The driver's part
//!
//! A packet goes over the link to its node, if there is one; else it is dropped,
//! as it is when the network loses it. The driver dials who comes up and reports
//! links by [`Membership::handle_connected`] and [`Membership::handle_lost`]. A
//! cluster grows together from one link per node.
//!
//! # How long it takes
//!
//! With the default [`Config`], a node that dies without a word is down
//! everywhere after about 2 s in a cluster of ten, and 3 s in one of forty: up to
//! 500 ms until someone asks it, 500 ms for the answer that does not come, 1 s of
//! suspicion (1.6 s among forty), and a few tenths until all know. Whom a node
//! asks is up to chance, so it can be more: the tests allow 4.5 s among ten and
//! 6 s among forty.
//!
//! A broken link is known to its two ends, who suspect at once; the verdict then
//! needs only the suspicion. Who leaves by [`Membership::leave`] is down as soon
//! as its packets arrive.
//!
//! A live node that was declared down (it was paused, or cut off) hears so from
//! the first peer that it talks to. It raises its generation and is up again, by
//! itself. Two halves of a cluster that were apart need one link between them.
//!
//! # What a peer can do
//!
//! Peers have proved that they belong to the cluster, but may still send
//! anything. Packets are checked in full before the protocol sees them. All that
//! is kept is bounded by [`Config::members_max`]. A peer that lies can call
//! others dead, who then object; it cannot make this node panic or grow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use foca::{Foca, Message, NoCustomBroadcast, Notification, State, Timer};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::placement::NodeId;

mod codec;
mod config;
mod error;
mod peer;
mod timers;

pub use config::Config;
pub use error::MembershipError;

use codec::{Codec, Packet};
use config::non_zero;
use peer::Peer;
use timers::{Event, Timers};

/// A time: how long ago the driver's epoch was. It never goes back.
pub type Now = Duration;

/// The most bytes of a packet: 1400, which an Ethernet frame takes. Some
/// twenty members are described in one.
pub const PACKET_BYTES_MAX: usize = 1400;

/// The most addresses of a member.
pub const ADDRS_MAX: usize = 8;

/// The longest name of a member, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A node as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name among nodes.
    pub node: NodeId,
    /// A name for people, of at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Where it can be dialled: at most [`ADDRS_MAX`] addresses, the best first.
    pub addrs: Vec<SocketAddr>,
    /// How often it was declared down and came back.
    generation: u32,
}

impl Member {
    /// A member. A longer name is clipped and more addresses are left out.
    pub fn new(node: NodeId, name: impl Into<String>, addrs: Vec<SocketAddr>) -> Member {
        Member { node, name: name.into(), addrs, generation: 0 }.clipped()
    }

    /// This member within the limits of a packet.
    fn clipped(mut self) -> Member {
        let mut end = self.name.len().min(NAME_BYTES_MAX);
        while !self.name.is_char_boundary(end) {
            end -= 1;
        }
        self.name.truncate(end);
        self.addrs.truncate(ADDRS_MAX);
        self
    }
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a packet over the link to a node; without one, drop it.
    Send {
        /// The node.
        to: NodeId,
        /// The packet, of at most [`PACKET_BYTES_MAX`] bytes.
        bytes: Vec<u8>,
    },
    /// A member is up, and was not before.
    Up(Member),
    /// A member that was up left or died.
    Down(Member),
}

/// The members of the cluster, as one node knows them.
pub struct Membership {
    config: Config,
    protocol: Foca<Peer, Codec, StdRng, NoCustomBroadcast>,
    effects: Effects,
    links: BTreeSet<NodeId>,
    /// The number of members that the protocol's configuration is for.
    scaled_for: usize,
    /// When this node last came back with a new generation.
    renewed: Option<Now>,
    left: bool,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("own", self.protocol.identity())
            .field("alive", &self.effects.alive.values())
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Membership {
    /// The membership of the node `own`, which knows nobody yet. `seed` decides
    /// whom it asks; nodes of a cluster should have different ones. Times of
    /// `config` that make no sense count as the nearest that do.
    pub fn new(own: Member, config: Config, seed: u64) -> Membership {
        let config = config.sane();
        let own = Peer::new(own.clipped());
        Membership {
            effects: Effects::new(own.node()),
            protocol: Foca::new(own, config.protocol(0), StdRng::seed_from_u64(seed), Codec),
            config,
            links: BTreeSet::new(),
            scaled_for: 0,
            renewed: None,
            left: false,
        }
    }

    /// A link to `member` is up. It is alive, which ends a suspicion, and the
    /// two exchange what they know. A member that was declared down is up when
    /// it has answered. One over [`Config::members_max`] is not taken note of.
    pub fn handle_connected(&mut self, now: Now, member: Member) {
        let node = member.node;
        if !self.begin(now) || node == self.effects.own {
            return;
        }
        self.effects.timers.cancel_lost(node);
        let peer = Peer::new(member.clipped());
        let update = match self.known(node) {
            None if self.known_count() >= self.config.members_max => return,
            // The link is news that no suspicion is older than. Only the
            // member itself should object, but it may never hear of one that
            // was sent while nothing reached it, and later could not object.
            Some(known) if known.state() == State::Suspect => {
                let incarnation = known.incarnation().saturating_add(1);
                foca::Member::new(known.id().clone(), incarnation, State::Alive)
            }
            _ => foca::Member::alive(peer),
        };
        self.links.insert(node);
        self.apply(Some(update));
        self.greet(node);
        self.settle();
    }

    /// The link to `node` is gone. That is a hint, not a verdict: the node is
    /// suspected at once. If it lives and the others reach it, it objects.
    pub fn handle_lost(&mut self, now: Now, node: NodeId) {
        if !self.begin(now) || !self.links.remove(&node) {
            return;
        }
        let Some(known) = self.known(node).filter(|known| known.state() != State::Down) else {
            return;
        };
        let (peer, incarnation) = (known.id().clone(), known.incarnation());
        self.apply(Some(foca::Member::new(peer.clone(), incarnation, State::Suspect)));
        let _ = self.protocol.gossip(&mut self.effects);
        let verdict = now.saturating_add(self.config.suspect_among(self.scaled_for));
        self.effects.timers.set(verdict, Event::Lost { peer, incarnation });
        self.settle();
    }

    /// A packet came from the node `from`.
    ///
    /// # Errors
    /// It was not taken, and nothing changed, except for
    /// [`MembershipError::Members`] and [`MembershipError::Protocol`].
    pub fn handle_message(
        &mut self,
        now: Now,
        from: NodeId,
        bytes: &[u8],
    ) -> Result<(), MembershipError> {
        let packet = Packet::read(bytes)?;
        let got = packet.header.src.node();
        if got != from || got == self.effects.own {
            return Err(MembershipError::Sender { from, got });
        }
        if !self.begin(now) {
            return Ok(());
        }
        // Coming back takes a round trip, and more packets that say the same
        // are on their way. A peer that keeps saying so is heard now and then.
        let again =
            self.renewed.is_some_and(|at| now < at.saturating_add(self.config.probe_timeout));
        if again && packet.header.message == Message::TurnUndead {
            return Ok(());
        }
        let unwanted = self.unwanted(&packet);
        let over = Err(MembershipError::Members { max: self.config.members_max });
        if unwanted.contains(&from) {
            return over;
        }
        let taken = if unwanted.is_empty() {
            self.protocol.handle_data(bytes, &mut self.effects)
        } else {
            let bytes = packet.with_updates(|node| !unwanted.contains(&node));
            self.protocol.handle_data(&bytes, &mut self.effects)
        };
        self.settle();
        match taken {
            Err(error) => Err(MembershipError::Protocol { what: error.to_string() }),
            Ok(()) if !unwanted.is_empty() => over,
            Ok(()) => Ok(()),
        }
    }

    /// The time of [`Membership::poll_timeout`] has come. Does nothing before it.
    pub fn handle_timeout(&mut self, now: Now) {
        if !self.begin(now) {
            return;
        }
        while let Some((at, event)) = self.effects.timers.pop(now) {
            if let Some(suspect) = event.suspect() {
                // Who has objected is not to be told that it is down, which
                // the protocol does without looking.
                if self.known(suspect.id().node()) != Some(&suspect) {
                    continue;
                }
                // This node itself was not there, so it may have missed the
                // objection. It listens first.
                if now - at > self.config.probe_period {
                    let wait = self.config.suspect_among(self.scaled_for);
                    self.effects.timers.set(now.saturating_add(wait), event);
                    continue;
                }
            }
            match event {
                // It fails if packets are too small or timers out of order.
                Event::Protocol(timer) => {
                    let _ = self.protocol.handle_timer(timer, &mut self.effects);
                }
                Event::Lost { peer, incarnation } => {
                    self.apply(Some(foca::Member::new(peer, incarnation, State::Down)));
                }
                Event::Greet => self.greet_all(),
            }
            self.settle();
        }
    }

    /// This node goes: it tells the others, as many as it can at once. It says
    /// nothing more after that, and what it hears changes nothing.
    pub fn leave(&mut self, now: Now) {
        if !self.begin(now) {
            return;
        }
        // By itself the protocol tells a few, who tell the others.
        let others = self.protocol.num_members();
        let told = u8::try_from(others).unwrap_or(u8::MAX).max(1);
        let config = foca::Config {
            num_indirect_probes: non_zero(others),
            max_transmissions: NonZeroU8::new(told).unwrap_or(NonZeroU8::MIN),
            ..self.config.protocol(others)
        };
        let _ = self.protocol.set_config(config);
        let _ = self.protocol.leave_cluster(&mut self.effects);
        self.effects.timers.clear();
        self.left = true;
    }

    /// When to call [`Membership::handle_timeout`], if nothing else happens
    /// before. It may lie in the past.
    pub fn poll_timeout(&self) -> Option<Now> {
        self.effects.timers.next()
    }

    /// The next thing to do. [`Output::Up`] and [`Output::Down`] alternate for
    /// each node and never name this one.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.effects.outputs.pop_front()
    }

    /// All others that are believed alive, in the order of their ids.
    pub fn members(&self) -> Vec<Member> {
        self.effects.alive.values().map(|peer| peer.member().clone()).collect()
    }

    /// Notes the time; false when this node has left.
    fn begin(&mut self, now: Now) -> bool {
        self.effects.now = now;
        !self.left
    }

    fn known(&self, node: NodeId) -> Option<&foca::Member<Peer>> {
        self.protocol.iter_membership_state().find(|known| known.id().node() == node)
    }

    /// Nodes that memory is spent on, down ones included.
    fn known_count(&self) -> usize {
        self.protocol.iter_membership_state().len()
    }

    /// Those of whom `packet` tells that there is no room for.
    fn unwanted(&self, packet: &Packet<'_>) -> BTreeSet<NodeId> {
        let known: BTreeSet<NodeId> =
            self.protocol.iter_membership_state().map(|known| known.id().node()).collect();
        let told = packet.updates.iter().map(|(node, _)| *node);
        let mut seen = BTreeSet::from([self.effects.own]);
        let room = self.config.members_max.saturating_sub(known.len());
        std::iter::once(packet.header.src.node())
            .chain(told)
            .filter(|&node| !known.contains(&node) && seen.insert(node))
            .skip(room)
            .collect()
    }

    fn apply(&mut self, update: Option<foca::Member<Peer>>) {
        // It fails only if a member is too large for a packet, which none is.
        let _ = self.protocol.apply_many(update.into_iter(), true, &mut self.effects);
    }

    /// Asks `node` for what it knows. Its generation need not be right for that.
    fn greet(&mut self, node: NodeId) {
        let _ = self.protocol.announce(Peer::key(node, 0), &mut self.effects);
    }

    /// Greets those who have a link and yet are not believed alive. They, or
    /// this node, then hear that they were declared down.
    fn greet_all(&mut self) {
        let alive = &self.effects.alive;
        let nodes: Vec<NodeId> =
            self.links.iter().copied().filter(|node| !alive.contains_key(node)).collect();
        nodes.into_iter().for_each(|node| self.greet(node));
    }

    /// Draws the conclusions of what happened.
    fn settle(&mut self) {
        if std::mem::take(&mut self.effects.renewed) {
            self.renewed = Some(self.effects.now);
            // The protocol stopped asking; this makes it look who is there.
            self.apply(None);
            self.greet_all();
        }
        let others = self.protocol.num_members();
        if others != self.scaled_for {
            self.scaled_for = others;
            // Only the suspicion differs, which may change at any time.
            let _ = self.protocol.set_config(self.config.protocol(others));
        }
        if self.links.iter().any(|node| !self.effects.alive.contains_key(node)) {
            let at = self.effects.now.saturating_add(self.config.probe_period);
            self.effects.timers.set(at, Event::Greet);
        }
    }
}

/// What the protocol wants done, gathered while it runs.
struct Effects {
    own: NodeId,
    now: Now,
    outputs: VecDeque<Output>,
    alive: BTreeMap<NodeId, Peer>,
    timers: Timers,
    renewed: bool,
}

impl Effects {
    fn new(own: NodeId) -> Effects {
        Effects {
            own,
            now: Duration::ZERO,
            outputs: VecDeque::new(),
            alive: BTreeMap::new(),
            timers: Timers::default(),
            renewed: false,
        }
    }

    fn up(&mut self, peer: &Peer) {
        if self.alive.insert(peer.node(), peer.clone()).is_none() {
            self.outputs.push_back(Output::Up(peer.member().clone()));
        }
    }

    fn down(&mut self, peer: &Peer) {
        if self.alive.remove(&peer.node()).is_some() {
            self.outputs.push_back(Output::Down(peer.member().clone()));
        }
    }
}

impl foca::Runtime<Peer> for Effects {
    fn notify(&mut self, notification: Notification<'_, Peer>) {
        match notification {
            Notification::MemberUp(peer) if peer.node() != self.own => self.up(peer),
            Notification::MemberDown(peer) => self.down(peer),
            Notification::Rename(_, peer) => {
                if let Some(known) = self.alive.get_mut(&peer.node()) {
                    *known = peer.clone();
                }
            }
            Notification::Rejoin(_) => self.renewed = true,
            _ => {}
        }
    }

    fn send_to(&mut self, to: Peer, data: &[u8]) {
        // A peer may ask this node to probe what it was in an earlier generation.
        if to.node() != self.own {
            self.outputs.push_back(Output::Send { to: to.node(), bytes: data.to_vec() });
        }
    }

    fn submit_after(&mut self, event: Timer<Peer>, after: Duration) {
        self.timers.set(self.now.saturating_add(after), Event::Protocol(event));
    }
}

#[cfg(test)]
mod tests;
