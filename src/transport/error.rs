//! Why there is no transport, or no connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quinn::{ConnectionError, ReadError, TransportErrorCode, VarInt, WriteError};

use crate::placement::NodeId;
use crate::transport::tls::TlsError;
use crate::wire::{MAGIC, WireError};

/// Why a transport did not start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address cannot be used.
    #[error(
        "cannot listen on {addr}: {source}; choose another with --bind, port 0 takes a free one"
    )]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No thread or no runtime to run on.
    #[error("cannot start the network thread: {0}")]
    Thread(#[source] io::Error),
}

/// Why a connection did not come to be, or ended.
///
/// Whatever the reason, the connection is no more and the transport goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The other end does not know this cluster's secret, or this one does not
    /// know its.
    #[error(
        "the two ends do not have the same cluster secret; copy the token file from one to the other"
    )]
    Identity,
    /// The two programs do not understand each other.
    #[error(
        "the peer speaks protocol version {theirs}, this program speaks {ours}; run the same version of adsum on all nodes"
    )]
    Version {
        /// The version spoken here.
        ours: u32,
        /// The version of the peer.
        theirs: u32,
    },
    /// What answers is no adsum.
    #[error("the peer speaks another protocol than adsum; check the address and the port")]
    Foreign,
    /// There is a connection with this node already. That one stays.
    #[error(
        "node {node} is connected already; give each node a name of its own and each address once"
    )]
    Duplicate {
        /// The node.
        node: NodeId,
    },
    /// The node dialled itself.
    #[error("the address leads back to this node itself; leave it out")]
    SelfConnection,
    /// There are as many peers, or handshakes, as there may be.
    #[error("the peer has as many connections as it takes; try again later")]
    Busy,
    /// Both ends dialled at the same time, and the other connection stays.
    #[error("both nodes dialled at the same time, their other connection stays")]
    Superseded,
    /// Nobody answered, or not to the end.
    #[error(
        "no answer within {after:?}; check the address, and that the node runs and no firewall blocks UDP"
    )]
    NoAnswer {
        /// How long this node waited.
        after: Duration,
    },
    /// The peer said nothing for too long: its machine or the network is down,
    /// or its process hangs.
    #[error("the peer was silent for {after:?}")]
    Silent {
        /// How long a peer may be silent, as set here.
        after: Duration,
    },
    /// The peer stopped in good order.
    #[error("the peer shut down")]
    Left,
    /// At the peer's address nobody knows the connection: its process is
    /// another one, or gave the connection up and its word of that was lost.
    #[error("the peer was restarted or gave the connection up")]
    Reset,
    /// The peer closed the connection.
    #[error("the peer closed the connection: {code}")]
    ClosedByPeer {
        /// Why, as far as it said.
        code: CloseCode,
    },
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(#[source] WireError),
    /// The peer sent a message of the wrong kind for this moment.
    #[error("the peer broke the protocol: {expected} was expected")]
    OutOfTurn {
        /// What it should have sent.
        expected: &'static str,
    },
    /// The peer takes messages more slowly than this node makes them.
    #[error(
        "the peer is too slow: {messages} messages of {bytes} bytes wait for it, the most are {messages_max} and {bytes_max}"
    )]
    QueueFull {
        /// Messages waiting, with the one that was too many.
        messages: usize,
        /// Their bytes.
        bytes: usize,
        /// The most messages that may wait.
        messages_max: usize,
        /// The most bytes that may wait.
        bytes_max: usize,
    },
    /// The owner of this transport asked for it.
    #[error("{why}")]
    Disconnected {
        /// Its reason.
        why: String,
    },
    /// Anything else that the network stack said.
    #[error("the connection failed: {message}")]
    Network {
        /// What it said.
        message: String,
    },
}

/// The number that tells the peer why a connection is closed. Part of the
/// protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum CloseCode {
    /// The node shuts down.
    #[error("it shuts down")]
    Shutdown = 0,
    /// Another protocol version. The reason's bytes are the beginning of a
    /// handshake message, which names it.
    #[error("it speaks another protocol version")]
    Version = 1,
    /// A connection between the two nodes exists.
    #[error("it is connected with a node of this name already")]
    Duplicate = 2,
    /// Both ends are the same node.
    #[error("it is this node itself")]
    SelfConnection = 3,
    /// The connection that the other end dialled stays.
    #[error("both nodes dialled at the same time")]
    Superseded = 4,
    /// No room for another peer.
    #[error("it has as many connections as it takes")]
    Busy = 5,
    /// The receiver of this code broke the protocol.
    #[error("it says that this node broke the protocol")]
    Misbehaved = 6,
    /// The receiver of this code takes messages too slowly.
    #[error("this node takes its messages too slowly")]
    QueueFull = 7,
    /// The handshake took too long.
    #[error("the handshake took too long")]
    NoAnswer = 8,
    /// The node does not want the connection any more.
    #[error("it gave the connection up")]
    Disconnected = 9,
}

impl CloseCode {
    const ALL: [CloseCode; 10] = [
        CloseCode::Shutdown,
        CloseCode::Version,
        CloseCode::Duplicate,
        CloseCode::SelfConnection,
        CloseCode::Superseded,
        CloseCode::Busy,
        CloseCode::Misbehaved,
        CloseCode::QueueFull,
        CloseCode::NoAnswer,
        CloseCode::Disconnected,
    ];

    fn from_number(number: VarInt) -> Option<CloseCode> {
        CloseCode::ALL.into_iter().find(|&code| VarInt::from(code) == number)
    }
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> VarInt {
        VarInt::from_u32(code as u32)
    }
}

/// What an error names and only this end knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long a peer may be silent.
    pub silent: Duration,
    /// The protocol version that this node says it speaks.
    pub version: u32,
}

/// TLS alerts (RFC 8446, section 6) that say "I do not believe your
/// certificate": `bad_certificate` up to `certificate_unknown`, `unknown_ca`,
/// `access_denied`, `decrypt_error`, `certificate_required`.
const IDENTITY_ALERTS: [u64; 9] = [42, 43, 44, 45, 46, 48, 49, 51, 116];

/// The TLS alert `no_application_protocol`.
const PROTOCOL_ALERT: u64 = 120;

/// QUIC transport error codes from here on are TLS alerts (RFC 9001, section 4.8).
const ALERTS_START: u64 = 0x100;

impl LinkError {
    /// What the peer is told when this node closes a connection for this reason.
    pub(crate) fn close_code(&self) -> CloseCode {
        match self {
            LinkError::Version { .. } => CloseCode::Version,
            LinkError::Duplicate { .. } => CloseCode::Duplicate,
            LinkError::SelfConnection => CloseCode::SelfConnection,
            LinkError::Superseded => CloseCode::Superseded,
            LinkError::Busy => CloseCode::Busy,
            LinkError::Misbehaved(_) | LinkError::OutOfTurn { .. } => CloseCode::Misbehaved,
            LinkError::QueueFull { .. } => CloseCode::QueueFull,
            LinkError::NoAnswer { .. } => CloseCode::NoAnswer,
            LinkError::Disconnected { .. } => CloseCode::Disconnected,
            // The connection is gone already, or goes with the whole node.
            LinkError::Identity
            | LinkError::Foreign
            | LinkError::Silent { .. }
            | LinkError::Left
            | LinkError::Reset
            | LinkError::ClosedByPeer { .. }
            | LinkError::Network { .. } => CloseCode::Shutdown,
        }
    }

    /// What the loss of a connection means.
    pub(crate) fn from_connection(error: ConnectionError, terms: Terms) -> LinkError {
        let network =
            |error: &dyn std::fmt::Display| LinkError::Network { message: error.to_string() };
        match error {
            ConnectionError::TransportError(error) => {
                LinkError::from_code(error.code).unwrap_or_else(|| network(&error))
            }
            ConnectionError::ConnectionClosed(close) => {
                LinkError::from_code(close.error_code).unwrap_or_else(|| network(&close))
            }
            ConnectionError::ApplicationClosed(close) => {
                match CloseCode::from_number(close.error_code) {
                    Some(CloseCode::Shutdown) => LinkError::Left,
                    Some(CloseCode::SelfConnection) => LinkError::SelfConnection,
                    Some(CloseCode::Superseded) => LinkError::Superseded,
                    Some(CloseCode::Busy) => LinkError::Busy,
                    Some(CloseCode::Version) => match handshake_version(&close.reason) {
                        Some(theirs) => LinkError::Version { ours: terms.version, theirs },
                        None => LinkError::Foreign,
                    },
                    Some(code) => LinkError::ClosedByPeer { code },
                    None => network(&"the peer closed it for a reason unknown here"),
                }
            }
            ConnectionError::VersionMismatch => LinkError::Foreign,
            ConnectionError::Reset => LinkError::Reset,
            ConnectionError::TimedOut => LinkError::Silent { after: terms.silent },
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => network(&error),
        }
    }

    fn from_code(code: TransportErrorCode) -> Option<LinkError> {
        if code == TransportErrorCode::CONNECTION_REFUSED {
            return Some(LinkError::Busy);
        }
        let alert = u64::from(code).checked_sub(ALERTS_START)?;
        if IDENTITY_ALERTS.contains(&alert) {
            Some(LinkError::Identity)
        } else {
            (alert == PROTOCOL_ALERT).then_some(LinkError::Foreign)
        }
    }

    /// What a failed read means.
    pub(crate) fn from_read(error: ReadError, terms: Terms) -> LinkError {
        match error {
            ReadError::ConnectionLost(error) => LinkError::from_connection(error, terms),
            ReadError::Reset(_)
            | ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => LinkError::Network { message: error.to_string() },
        }
    }

    /// What a failed write means.
    pub(crate) fn from_write(error: WriteError, terms: Terms) -> LinkError {
        match error {
            WriteError::ConnectionLost(error) => LinkError::from_connection(error, terms),
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                LinkError::Network { message: error.to_string() }
            }
        }
    }
}

impl From<WireError> for LinkError {
    fn from(error: WireError) -> LinkError {
        match error {
            WireError::Version { ours, theirs } => LinkError::Version { ours, theirs },
            error => LinkError::Misbehaved(error),
        }
    }
}

/// The version in the ten bytes that begin a handshake message.
fn handshake_version(bytes: &[u8]) -> Option<u32> {
    let (_kind, version) = bytes.strip_prefix(&MAGIC)?.split_first()?;
    Some(u32::from_le_bytes(*version.first_chunk()?))
}
