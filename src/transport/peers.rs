//! Which node is reached over which link.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use quinn::{Connection, VarInt};
use tokio::sync::watch;

use crate::placement::NodeId;
use crate::transport::outbox::Outbox;
use crate::transport::{LinkError, parting};

/// A connection whose ends have said who they are, as all its users see it.
pub(super) struct Link {
    pub peer: NodeId,
    /// Whether this node dialled.
    pub dialled: bool,
    pub connection: Connection,
    pub outbox: Outbox,
    /// Changes, by its sender's end, when the link's task has told the driver
    /// of its end.
    pub over: watch::Receiver<()>,
    /// Why this node ended the link, if it did.
    verdict: OnceLock<LinkError>,
}

impl Link {
    pub(super) fn new(
        peer: NodeId,
        dialled: bool,
        connection: Connection,
        outbox: Outbox,
        over: watch::Receiver<()>,
    ) -> Link {
        Link { peer, dialled, connection, outbox, over, verdict: OnceLock::new() }
    }

    /// Ends the link for `reason`, unless it ended already. Its task will
    /// notice and tell the driver.
    pub(super) fn end(&self, reason: LinkError) {
        let code = reason.close_code();
        if self.verdict.set(reason).is_ok() {
            parting::close(&self.connection, code.into(), &[]);
        }
    }

    /// Why the link ended: this node's own reason before the one that its
    /// task met.
    pub(super) fn verdict(&self, met: LinkError) -> LinkError {
        self.verdict.get_or_init(|| met).clone()
    }
}

/// The links of this node, one per peer.
pub(super) struct Peers {
    us: NodeId,
    peers_max: usize,
    links: Mutex<HashMap<NodeId, Arc<Link>>>,
}

impl Peers {
    pub(super) fn new(us: NodeId, peers_max: usize) -> Peers {
        Peers { us, peers_max, links: Mutex::default() }
    }

    /// Makes `link` the one to its peer, and returns the link that it
    /// replaces, which must end.
    ///
    /// Two nodes that dial each other at the same time make two links. Both
    /// ends keep the one that the smaller node id dialled, whatever order they
    /// learn of them in.
    ///
    /// # Errors
    /// The link is not wanted and must end: it leads to this node itself, or
    /// to a peer whose link stays, or there are too many.
    pub(super) fn admit(&self, link: &Arc<Link>) -> Result<Option<Arc<Link>>, LinkError> {
        if link.peer == self.us {
            return Err(LinkError::SelfConnection);
        }
        let mut links = self.lock();
        let count = links.len();
        match links.entry(link.peer) {
            Entry::Vacant(_) if count >= self.peers_max => Err(LinkError::Busy),
            Entry::Vacant(vacant) => {
                vacant.insert(Arc::clone(link));
                Ok(None)
            }
            Entry::Occupied(occupied) if occupied.get().dialled == link.dialled => {
                Err(LinkError::Duplicate { node: link.peer })
            }
            Entry::Occupied(mut occupied) => {
                let dialled_by_smaller = link.dialled == (self.us < link.peer);
                if dialled_by_smaller {
                    Ok(Some(occupied.insert(Arc::clone(link))))
                } else {
                    Err(LinkError::Superseded)
                }
            }
        }
    }

    /// Forgets a link that ended, if it is still the one to its peer.
    pub(super) fn remove(&self, link: &Arc<Link>) {
        if let Entry::Occupied(occupied) = self.lock().entry(link.peer)
            && Arc::ptr_eq(occupied.get(), link)
        {
            occupied.remove();
        }
    }

    /// Closes all connections.
    pub(super) fn close_all(&self, code: VarInt) {
        self.lock().values().for_each(|link| parting::close(&link.connection, code, &[]));
    }

    /// The link to a peer, if there is one.
    pub(super) fn link(&self, peer: NodeId) -> Option<Arc<Link>> {
        self.lock().get(&peer).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Link>>> {
        // Nothing that holds the lock can panic half way through a change.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
