//! A member as the protocol's identity.

use std::fmt;
use std::sync::Arc;

use foca::Identity;

use super::Member;
use crate::placement::NodeId;

/// A member, cheap to clone. Two are the same if node and generation are:
/// name and addresses ride along, and the first that came stay. Else two
/// descriptions of one node would push each other out for ever.
#[derive(Clone)]
pub(super) struct Peer(Arc<Member>);

impl Peer {
    pub(super) fn new(member: Member) -> Peer {
        Peer(Arc::new(member))
    }

    /// Only who it is, to send something to.
    pub(super) fn key(node: NodeId, generation: u32) -> Peer {
        Peer::new(Member { node, name: String::new(), addrs: Vec::new(), generation })
    }

    pub(super) fn node(&self) -> NodeId {
        self.0.node
    }

    pub(super) fn generation(&self) -> u32 {
        self.0.generation
    }

    pub(super) fn member(&self) -> &Member {
        &self.0
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Peer) -> bool {
        self.node() == other.node() && self.generation() == other.generation()
    }
}

impl Eq for Peer {}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node(), self.generation())
    }
}

impl Identity for Peer {
    type Addr = NodeId;

    fn renew(&self) -> Option<Peer> {
        let generation = self.generation().checked_add(1)?;
        Some(Peer::new(Member { generation, ..self.member().clone() }))
    }

    fn addr(&self) -> NodeId {
        self.node()
    }

    fn win_addr_conflict(&self, other: &Peer) -> bool {
        self.generation() > other.generation()
    }
}
