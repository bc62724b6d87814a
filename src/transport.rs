//! Nodes that talk: connections between processes that know one secret, over
//! which messages go in both directions.
//!
//! ```text
//!   driver --dial, send, disconnect--> Transport --> one thread: endpoint, one task per link
//!          <------ Event, bounded ---------------
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`token`] | the cluster secret and its text form |
//! | [`tls`] | certificates derived from it |
//! | [`socket`] | the UDP socket and its buffers |
//! | [`quic`] | the endpoint: its settings, accepting, dialling |
//! | `link` | one connection: handshake, reading, writing |
//! | `outbox` | what waits to be sent on a link, bounded |
//! | `peers` | which node is reached over which link |
//! | `frames` | frames out of a stream |
//!
//! A peer counts as connected when its hello was answered by a welcome, never
//! because TLS succeeded: a client whose certificate is refused learns so only
//! after its own handshake is complete.
//!
//! Nothing here waits for the driver but the readers: a driver that is slow
//! slows its peers down, by QUIC's flow control. Sending never waits. What a
//! peer does not take piles up in its outbox, and when that is full the
//! connection is given up ([`LinkError::QueueFull`]); so two drivers can never
//! wait for each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::placement::NodeId;
use crate::wire::{FRAME_BYTES_MAX, Hello, Message};

mod error;
mod foreign;
mod frames;
mod link;
mod outbox;
mod parting;
mod peers;
pub mod quic;
pub mod socket;
pub mod tls;
pub mod token;

pub(crate) use error::Terms;
pub use error::{CloseCode, LinkError, TransportError};
pub use quic::Transport;
pub use token::Secret;

/// The UDP port of nodes, where none is given.
pub const DEFAULT_PORT: u16 = 7386;

/// Limits and times of a transport. Every value can be changed; the
/// constructors give the ones that were measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address to listen on and to dial from. Port zero takes a free one.
    pub bind: SocketAddr,
    /// How long a peer may be silent until it counts as lost. Of two ends that
    /// differ, the shorter one holds.
    pub idle_timeout: Duration,
    /// How often an idle connection shows that it lives. A quarter of
    /// `idle_timeout` forgives the loss of two packets in a row.
    pub keep_alive: Duration,
    /// How long a connection may take until both ends have said who they are.
    pub handshake_timeout: Duration,
    /// The most peers at once.
    pub peers_max: usize,
    /// The most handshakes at once, in each direction.
    pub handshakes_max: usize,
    /// The most bytes that wait to be sent to one peer.
    pub queue_bytes_max: usize,
    /// The most messages that wait to be sent to one peer.
    pub queue_messages_max: usize,
    /// The most events that wait for the driver.
    pub events_max: usize,
    /// The send and receive buffers to ask the operating system for.
    pub socket_buffer_bytes: usize,
    /// The largest UDP payload to discover, if the path carries it.
    pub payload_bytes_max: u16,
    /// The most bytes on their way before the first are acknowledged.
    pub initial_window_bytes: u64,
    /// The most bytes of one peer that are on their way or have not been read.
    pub receive_window_bytes: u32,
    /// The most packets of one peer that are not acknowledged at once, where that is to be
    /// more than one.
    pub unacknowledged_max: Option<u32>,
    /// How many peers are on this machine, if all are: what they send is in the socket's
    /// buffer at once, and what that cannot hold is lost, so it must hold the windows of
    /// all of them.
    pub local_peers: usize,
}

impl Config {
    /// For a local network: a dead peer is noticed in 1.1 s. A false alarm,
    /// which takes a whole second without any processor time, costs duplicate
    /// work and nothing else.
    pub fn lan(bind: SocketAddr) -> Config {
        Config {
            bind,
            idle_timeout: Duration::from_millis(1000),
            keep_alive: Duration::from_millis(250),
            handshake_timeout: Duration::from_secs(5),
            peers_max: 1024,
            handshakes_max: 128,
            queue_bytes_max: 2 * FRAME_BYTES_MAX,
            queue_messages_max: 1 << 16,
            events_max: 1024,
            socket_buffer_bytes: 4 << 20,
            // Ten segments of it, which quinn hands to the kernel at once, stay
            // below the 64 KiB of one send.
            payload_bytes_max: 6500,
            // Ten of the largest packets, as RFC 9002 advises for packets of any
            // size. quinn's own 12 000 bytes hold only one of ours once their size
            // has been discovered, and the word that closes a connection is then
            // not sent at all while a probe of that size is under way.
            initial_window_bytes: 65_000,
            receive_window_bytes: 32 << 20,
            unacknowledged_max: None,
            local_peers: 0,
        }
    }

    /// For the ranks of a group, of which nobody can take another's place: a
    /// machine that stops for three seconds is waited for.
    pub fn group(bind: SocketAddr) -> Config {
        Config {
            idle_timeout: Duration::from_secs(4),
            keep_alive: Duration::from_millis(800),
            ..Config::lan(bind)
        }
    }

    /// The same for so many peers that are all on this machine: packets as large as its
    /// loopback carries, no slow start, no more on the way than stays in the processors'
    /// caches, and acknowledgements that mostly come with an answer.
    pub fn on_one_machine(self, peers: usize) -> Config {
        Config {
            payload_bytes_max: 65_000,
            initial_window_bytes: 1 << 20,
            receive_window_bytes: 2 << 20,
            // Half of the first window, so that its end is not waited for.
            unacknowledged_max: Some(8),
            local_peers: peers,
            ..self
        }
    }

    /// For processes on one machine, whose parent sees them die without the
    /// network's help. So silence may last long: what it would find sooner is
    /// mostly a machine that is busy, or a person who pressed Ctrl-Z.
    pub fn loopback() -> Config {
        Config {
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
            ..Config::lan((Ipv4Addr::LOCALHOST, 0).into())
        }
    }
}

/// What a transport tells its driver. For each peer: `Connected`, then its
/// messages in the order in which it sent them, then `Lost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer and this node have said who they are.
    Connected {
        /// What it said.
        peer: Hello,
        /// Where it is.
        addr: SocketAddr,
        /// Whether this node dialled.
        dialled: bool,
    },
    /// A connection ended. Messages on their way may be lost.
    Lost {
        /// The peer.
        peer: NodeId,
        /// Where it was.
        addr: SocketAddr,
        /// Why.
        reason: LinkError,
    },
    /// A peer said something. Never a hello or a welcome.
    Message {
        /// The peer.
        from: NodeId,
        /// What it said.
        message: Message,
    },
    /// A connection that this node dialled did not come to be.
    DialFailed {
        /// The address dialled.
        addr: SocketAddr,
        /// Why.
        error: LinkError,
    },
    /// Somebody who dialled this node was turned away. Dropped when the driver
    /// is behind, so that strangers cannot hold up peers.
    TurnedAway {
        /// Who dialled.
        addr: SocketAddr,
        /// Why.
        error: LinkError,
    },
}

#[cfg(test)]
mod tests;
