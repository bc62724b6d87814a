//! What is to happen at which time, in order.

use std::collections::BTreeMap;

use foca::{Incarnation, State, Timer};

use super::Now;
use super::peer::Peer;
use crate::placement::NodeId;

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The protocol's own.
    Protocol(Timer<Peer>),
    /// The link to a member broke, and it was suspected for that.
    Lost { peer: Peer, incarnation: Incarnation },
    /// Time to greet those who have a link but are not believed alive.
    Greet,
}

impl Event {
    /// Whom this event declares down, if the suspicion of that incarnation
    /// still stands.
    pub(super) fn suspect(&self) -> Option<foca::Member<Peer>> {
        match self {
            Event::Lost { peer: member_id, incarnation }
            | Event::Protocol(Timer::ChangeSuspectToDown { member_id, incarnation, .. }) => {
                Some(foca::Member::new(member_id.clone(), *incarnation, State::Suspect))
            }
            _ => None,
        }
    }

    fn slot(&self) -> Slot {
        match self {
            Event::Greet => Slot::Greet,
            Event::Lost { peer, .. } => Slot::Lost(peer.node()),
            Event::Protocol(timer) => match timer {
                Timer::ProbeRandomMember(_) => Slot::Probe,
                Timer::SendIndirectProbe { .. } => Slot::Indirect,
                Timer::ChangeSuspectToDown { member_id, .. } => Slot::Suspect(member_id.node()),
                Timer::PeriodicAnnounce(_) => Slot::Announce,
                Timer::PeriodicAnnounceDown(_) => Slot::AnnounceDown,
                Timer::PeriodicGossip(_) => Slot::Gossip,
                Timer::RemoveDown(peer) => Slot::Forget(peer.node()),
            },
        }
    }
}

/// Events of which only one can matter at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Probe,
    Indirect,
    Announce,
    AnnounceDown,
    Gossip,
    Greet,
    Suspect(NodeId),
    Lost(NodeId),
    Forget(NodeId),
}

/// Pending events by time, then by the order in which they were set.
///
/// A slot has one event at most, so there are never more than a handful and
/// three per member, whatever a peer makes the protocol do.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Now, u64), Event>,
    slots: BTreeMap<Slot, (Now, u64)>,
    sequence: u64,
}

impl Timers {
    /// Sets `event` for the time `at`. The same event, if it is pending, stays
    /// where it is: a second failed probe does not put off the verdict of the
    /// first. Another one in the slot is out of date and gives way.
    pub(super) fn set(&mut self, at: Now, event: Event) {
        let slot = event.slot();
        if let Some(key) = self.slots.get(&slot) {
            if self.due.get(key) == Some(&event) {
                return;
            }
            self.due.remove(key);
        }
        let key = (at, self.sequence);
        self.sequence += 1;
        self.slots.insert(slot, key);
        self.due.insert(key, event);
    }

    /// Drops the verdict on `node` that a broken link asked for.
    pub(super) fn cancel_lost(&mut self, node: NodeId) {
        if let Some(key) = self.slots.remove(&Slot::Lost(node)) {
            self.due.remove(&key);
        }
    }

    /// The time of the first event.
    pub(super) fn next(&self) -> Option<Now> {
        self.due.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes the first event that is due, and when it was.
    pub(super) fn pop(&mut self, now: Now) -> Option<(Now, Event)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), event) = entry.remove_entry();
        self.slots.remove(&event.slot());
        Some((at, event))
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
        self.slots.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.due.len(), self.slots.len());
        self.due.len()
    }
}
