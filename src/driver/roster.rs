//! The peers that a node has met.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::DeviceInfo;
use crate::placement::NodeId;
use crate::wire::Hello;

/// The most peers that are remembered after they were lost, beside those that
/// are connected.
const LOST_MAX: usize = 1024;

/// A peer as reports name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name for programs.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// Where it is, or was last.
    pub addr: SocketAddr,
    /// What it computes with. Devices are numbered by their place here.
    pub devices: Vec<DeviceInfo>,
    /// How many entries it reduces at the same time.
    pub workers: u32,
    /// Whether it is connected now.
    pub connected: bool,
}

/// The peers met, as the driver writes and a node's owner reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedRoster {
    peers: Arc<Mutex<BTreeMap<NodeId, PeerInfo>>>,
}

impl SharedRoster {
    /// All peers met, in the order of their ids.
    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn connected(&self, hello: Hello, addr: SocketAddr) {
        let Hello { version: _, node: id, name, devices, workers, addrs: _ } = hello;
        let mut peers = self.lock();
        if !peers.contains_key(&id) {
            make_room(&mut peers);
        }
        peers.insert(id, PeerInfo { id, name, addr, devices, workers, connected: true });
    }

    pub(super) fn is_connected(&self, peer: NodeId) -> bool {
        self.lock().get(&peer).is_some_and(|peer| peer.connected)
    }

    pub(super) fn lost(&self, peer: NodeId) {
        if let Some(peer) = self.lock().get_mut(&peer) {
            peer.connected = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, PeerInfo>> {
        // Nothing that holds the lock can panic half way through a change.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets lost peers when there are too many: a node that runs for months
/// meets many that were restarted under another id.
fn make_room(peers: &mut BTreeMap<NodeId, PeerInfo>) {
    let lost = peers.values().filter(|peer| !peer.connected);
    if lost.count() >= LOST_MAX {
        peers.retain(|_, peer| peer.connected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(number: u32) -> Hello {
        let mut node = NodeId([0; 16]);
        node.0[..4].copy_from_slice(&number.to_be_bytes());
        Hello {
            version: 1,
            node,
            name: String::new(),
            devices: Vec::new(),
            workers: 1,
            addrs: Vec::new(),
        }
    }

    #[test]
    fn lost_peers_are_remembered_up_to_a_limit() {
        let roster = SharedRoster::default();
        let addr = ([127, 0, 0, 1], 1).into();
        roster.connected(hello(u32::MAX), addr);
        for number in 0..2 * LOST_MAX as u32 {
            roster.connected(hello(number), addr);
            roster.lost(hello(number).node);
            assert!(roster.peers().len() <= LOST_MAX + 1);
        }
        assert!(roster.peers().iter().any(|peer| peer.connected));
    }
}
