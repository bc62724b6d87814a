//! What a node says of its connections, and which of them it cannot do without.

use std::collections::{BTreeSet, HashSet};
use std::mem::{Discriminant, discriminant};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;

use crate::driver::Observer;
use crate::transport::{CloseCode, Event, LinkError};

/// The most strangers that are remembered.
const STRANGERS_MAX: usize = 1024;

/// Why a node ends.
pub enum End {
    /// Somebody wants it to.
    Signal,
    /// A node that it was to join refuses it, and always will.
    Refused { addr: SocketAddr, error: LinkError },
}

/// Logs what happens to connections, with who asks in more detail than with nodes, and
/// ends a node that those refuse that it was to join.
pub fn observer(joined: Vec<SocketAddr>, ends: Sender<End>) -> Observer {
    let mut strangers = Strangers::default();
    let mut nodes = BTreeSet::new();
    let mut failed = BTreeSet::new();
    Box::new(move |event| match event {
        Event::Connected { peer, addr, .. } if peer.addrs.is_empty() => {
            tracing::debug!(%addr, "somebody asks");
        }
        Event::Connected { peer, addr, .. } => {
            nodes.insert(peer.node);
            tracing::info!(name = peer.name, node = %peer.node, %addr, "connected");
        }
        Event::Lost { peer, addr, reason } => match nodes.remove(peer) {
            true => tracing::info!(node = %peer, %addr, %reason, "connection lost"),
            false => tracing::debug!(%addr, %reason, "somebody asks no more"),
        },
        Event::DialFailed {
            addr,
            error: error @ (LinkError::Identity | LinkError::Version { .. }),
        } => {
            tracing::error!(%addr, "{error}");
            if joined.contains(addr) {
                // The receiver goes only when the process does.
                let _ending = ends.send(End::Refused { addr: *addr, error: error.clone() });
            }
        }
        Event::DialFailed { addr, error } => {
            let is_worth_it = joined.contains(addr) && !is_usual(error) && nodes.is_empty();
            match is_worth_it && failed.insert(*addr) {
                true => tracing::warn!(%addr, %error, "not joined yet; it is tried on and on"),
                false => tracing::debug!(%addr, %error, "not reached"),
            }
        }
        Event::TurnedAway { addr, error } => match is_usual(error) {
            false if strangers.is_new(addr.ip(), error) => {
                tracing::warn!(%addr, %error, "somebody was turned away");
            }
            _ => tracing::debug!(%addr, %error, "somebody was turned away"),
        },
        Event::Message { .. } => {}
    })
}

/// Whether nodes that know each other turn each other away for this: somebody tried
/// several addresses of this node at once, or dialled when it was dialled, or this
/// node itself is among those that it is to join; or somebody needed no connection any
/// more.
fn is_usual(error: &LinkError) -> bool {
    matches!(
        error,
        LinkError::Duplicate { .. }
            | LinkError::SelfConnection
            | LinkError::Superseded
            | LinkError::Left
            | LinkError::ClosedByPeer { code: CloseCode::Duplicate | CloseCode::Disconnected }
    )
}

/// Who was turned away already: each is logged once for each reason, however often it
/// comes.
#[derive(Default)]
struct Strangers {
    seen: HashSet<(IpAddr, Discriminant<LinkError>)>,
}

impl Strangers {
    fn is_new(&mut self, ip: IpAddr, error: &LinkError) -> bool {
        if self.seen.len() >= STRANGERS_MAX {
            self.seen.clear();
        }
        self.seen.insert((ip, discriminant(error)))
    }
}
