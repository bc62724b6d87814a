//! The addresses that a node wants to be connected with, and when to dial them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::transport::LinkError;

/// How long to wait before dialling again what just failed; doubles with each
/// failure up to [`DELAY_MAX`].
const DELAY_MIN: Duration = Duration::from_millis(100);

/// The longest wait between two attempts.
const DELAY_MAX: Duration = Duration::from_secs(4);

/// Addresses to stay connected with. Pure: it is told the time and what
/// happened, and says what to dial.
#[derive(Debug, Default)]
pub(super) struct Dials {
    targets: BTreeMap<SocketAddr, Target>,
    /// How many peers are connected from each address, whoever dialled: nodes dial
    /// from the address that they listen on, so two that know each other need only
    /// one link. There can be two, when a node was restarted and the link to the
    /// process before it has not been silent for long enough.
    connected: BTreeMap<SocketAddr, usize>,
}

#[derive(Debug)]
struct Target {
    /// When to dial; `None` while connected or being dialled.
    due: Option<Duration>,
    delay: Duration,
}

impl Dials {
    /// Wants a connection with `addr`, at once.
    pub(super) fn add(&mut self, now: Duration, addr: SocketAddr) {
        let due = (!self.connected.contains_key(&addr)).then_some(now);
        self.targets.entry(addr).or_insert(Target { due, delay: DELAY_MIN });
    }

    /// Does not want it any more.
    pub(super) fn remove(&mut self, addr: SocketAddr) {
        self.targets.remove(&addr);
    }

    /// A connection is up, whoever dialled.
    pub(super) fn connected(&mut self, addr: SocketAddr) {
        *self.connected.entry(addr).or_default() += 1;
        if let Some(target) = self.targets.get_mut(&addr) {
            *target = Target { due: None, delay: DELAY_MIN };
        }
    }

    /// A connection is gone, whoever had dialled.
    pub(super) fn lost(&mut self, now: Duration, addr: SocketAddr, reason: &LinkError) {
        if let Some(peers) = self.connected.get_mut(&addr) {
            *peers -= 1;
            if *peers == 0 {
                self.connected.remove(&addr);
            }
        }
        self.failed(now, addr, reason);
    }

    /// A dial came to nothing. What will fail again, however often it is
    /// tried, is not tried again; nor what the peer's own dial made needless.
    pub(super) fn failed(&mut self, now: Duration, addr: SocketAddr, error: &LinkError) {
        if is_final(error) {
            self.remove(addr);
        } else if let Some(target) = self.targets.get_mut(&addr)
            && !self.connected.contains_key(&addr)
        {
            target.due = Some(now + target.delay);
            target.delay = (2 * target.delay).min(DELAY_MAX);
        }
    }

    /// When something is to be dialled next.
    pub(super) fn next(&self) -> Option<Duration> {
        self.targets.values().filter_map(|target| target.due).min()
    }

    /// What is to be dialled now.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<SocketAddr> {
        let mut addrs = Vec::new();
        for (&addr, target) in &mut self.targets {
            if target.due.is_some_and(|due| due <= now) {
                target.due = None;
                addrs.push(addr);
            }
        }
        addrs
    }
}

/// Whether a person has to change something before it can work.
fn is_final(error: &LinkError) -> bool {
    match error {
        LinkError::Identity
        | LinkError::Version { .. }
        | LinkError::Foreign
        | LinkError::SelfConnection => true,
        LinkError::Duplicate { .. }
        | LinkError::Busy
        | LinkError::Superseded
        | LinkError::NoAnswer { .. }
        | LinkError::Silent { .. }
        | LinkError::Left
        | LinkError::Reset
        | LinkError::ClosedByPeer { .. }
        | LinkError::Misbehaved(_)
        | LinkError::OutOfTurn { .. }
        | LinkError::QueueFull { .. }
        | LinkError::Disconnected { .. }
        | LinkError::Network { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_target_is_dialled_at_once_and_then_left_alone() {
        let mut dials = Dials::default();
        dials.add(SECOND, addr(1));
        dials.add(SECOND, addr(1));
        assert_eq!(dials.next(), Some(SECOND));
        assert_eq!(dials.take_due(SECOND), [addr(1)]);
        assert_eq!((dials.next(), dials.take_due(2 * SECOND)), (None, vec![]));
        dials.connected(addr(1));
        assert_eq!(dials.next(), None);
    }

    #[test]
    fn failures_are_retried_at_growing_intervals() {
        let mut dials = Dials::default();
        let mut now = SECOND;
        dials.add(now, addr(1));
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(dials.take_due(now), [addr(1)]);
            dials.failed(now, addr(1), &LinkError::NoAnswer { after: SECOND });
            let next = dials.next().expect("it is tried again");
            waits.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 4000, 4000]);
        dials.connected(addr(1));
        dials.lost(now, addr(1), &LinkError::Left);
        assert_eq!(dials.next(), Some(now + DELAY_MIN));
    }

    #[test]
    fn a_peer_that_dialled_first_need_not_be_dialled() {
        let mut dials = Dials::default();
        dials.connected(addr(1));
        dials.add(SECOND, addr(1));
        assert_eq!(dials.next(), None);
        dials.failed(SECOND, addr(1), &LinkError::Superseded);
        assert_eq!(dials.next(), None);
        dials.lost(SECOND, addr(1), &LinkError::Left);
        assert_eq!(dials.next(), Some(SECOND + DELAY_MIN));
    }

    #[test]
    fn a_node_that_was_restarted_is_not_dialled_when_its_old_link_ends() {
        let mut dials = Dials::default();
        dials.add(SECOND, addr(1));
        dials.connected(addr(1));
        dials.connected(addr(1));
        dials.lost(SECOND, addr(1), &LinkError::Silent { after: SECOND });
        assert_eq!(dials.next(), None);
        dials.add(SECOND, addr(1));
        assert_eq!(dials.next(), None);
        dials.lost(SECOND, addr(1), &LinkError::Left);
        assert_eq!(dials.next(), Some(SECOND + DELAY_MIN));
    }

    #[test]
    fn what_cannot_work_is_not_retried() {
        let mut dials = Dials::default();
        dials.add(SECOND, addr(1));
        dials.failed(SECOND, addr(1), &LinkError::Identity);
        assert_eq!(dials.next(), None);
        dials.add(SECOND, addr(2));
        dials.remove(addr(2));
        dials.failed(SECOND, addr(2), &LinkError::Left);
        assert_eq!(dials.next(), None);
    }
}
