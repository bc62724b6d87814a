//! What nodes say to each other, as bytes: messages, frames, version, limits.
//!
//! Pure: nothing here reads or sends. A stream of frames carries the messages,
//! each frame a length ([`frame`]) and one message:
//!
//! ```text
//! handshake   "adsum"  kind: u8  version: u32 LE  body
//! all others  tag      body
//! ```
//!
//! Bodies are [postcard](https://postcard.jamesmunns.com/wire-format). The
//! ten bytes that begin a handshake never change, so that programs of
//! different versions can tell each other so; all else may, with
//! [`PROTOCOL_VERSION`].
//!
//! Bytes come from outside. Decoding never panics, checks every length against
//! a named limit before it allocates, and checks what the bytes mean: partials
//! by [`Partial::from_bytes`](crate::Partial::from_bytes), manifests by
//! [`Manifest::cut`](crate::manifest::Manifest::cut),
//! jobs by their hash. So a decoded [`Message`] can be trusted to be well
//! formed, though not to be honest.

use crate::manifest::{ENTRIES_MAX, JobId, ManifestError};
use crate::op::Spec;
use crate::partial::DecodeError;

mod ask;
mod codec;
pub mod frame;
mod message;
mod report;

pub use ask::{
    Bytes, Contribution, Finished, JobStatus, MemberInfo, NodeStatus, PlaceId, Question, Reply,
    Trouble, TroubleKind,
};
pub use message::{EntryResult, Hello, Message, Refusal, Usage};
pub use report::{Course, Report, Share, Warning};

/// The version of messages and of what nodes do with them. Nodes of different
/// versions refuse each other.
pub const PROTOCOL_VERSION: u32 = 5;

/// The first bytes of a handshake message, in every version.
pub const MAGIC: [u8; 5] = *b"adsum";

/// The most bytes of one message. A manifest of half a million files with
/// paths of 60 bytes fits.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// The most files of a manifest that travels.
pub const FILES_MAX: usize = ENTRIES_MAX;

/// The most results in one [`Message::Results`].
pub const RESULTS_MAX: usize = 1024;

/// The most positions in one [`Message::Assign`], and so the most entries a
/// node can want at once.
pub const POSITIONS_MAX: usize = 4096;

/// The most nodes of a team.
pub const TEAM_MAX: usize = 1 << 16;

/// The most holders of all files of one [`Message::Delegate`] together.
pub const HOLDERS_MAX: usize = 1 << 22;

/// The most warnings of one [`Report`].
pub const WARNINGS_MAX: usize = 64;

/// The most devices of one node.
pub const DEVICES_MAX: usize = 64;

/// The most addresses of one node.
pub const ADDRS_MAX: usize = 8;

/// The most patterns of one question.
pub const PATTERNS_MAX: usize = 4096;

/// The most lines of one kind that an answer has for people.
pub const LINES_MAX: usize = 4096;

/// The most bytes of one [`Question::Piece`].
pub const PIECE_BYTES_MAX: usize = 1 << 20;

/// The most names of one answer.
pub const NAMES_MAX: usize = 200_000;

/// The most files of one [`Message::Held`], and names of one [`Message::Known`].
pub const HELD_MAX: usize = 1 << 16;

/// The most bytes of one [`Message::Gossip`].
pub const GOSSIP_BYTES_MAX: usize = 64 << 10;

/// The longest text of any kind, in bytes. A sender clips longer ones.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The bytes of a message.
///
/// Texts over [`TEXT_BYTES_MAX`] are clipped and devices over [`DEVICES_MAX`]
/// left out: they are for people.
///
/// # Panics
/// If a list is over its limit. Only this program makes lists.
pub fn encode(message: &Message) -> Vec<u8> {
    message::write(message)
}

/// The message that `bytes` spell, which came from a peer.
///
/// Allocates at most about twelve times the bytes, and for a
/// [`Message::Offer`] or [`Message::Delegate`] the manifest's entries,
/// [`ENTRIES_MAX`] at most.
///
/// # Errors
/// The first rule that the bytes break. The peer that sent them is of another
/// version ([`WireError::Version`]) or not to be trusted with the connection.
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    message::read(bytes)
}

/// Why bytes from a peer are no message.
///
/// [`WireError::Version`] says that the two programs differ and neither is at
/// fault; after any other error the peer misbehaved, and its connection should
/// be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The peer runs another version of the protocol.
    #[error(
        "the peer speaks protocol version {theirs}, this program speaks {ours}; run the same version of adsum on all nodes"
    )]
    Version {
        /// The version spoken here.
        ours: u32,
        /// The version of the peer.
        theirs: u32,
    },
    /// A frame longer than any message, or empty.
    #[error("a frame of {got} bytes, it may have 1 to {max}")]
    FrameLength {
        /// The most bytes of a frame.
        max: usize,
        /// The length that came.
        got: usize,
    },
    /// A list or text longer than it may be.
    #[error("{got} {what}, the most is {max}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most there may be.
        max: usize,
        /// The number that came.
        got: u64,
    },
    /// Bytes end too early, or spell no value of the type.
    #[error("no valid {what}")]
    Malformed {
        /// What should have been there.
        what: &'static str,
        /// Where reading failed.
        #[source]
        source: postcard::Error,
    },
    /// A text that is no UTF-8.
    #[error("a {what} that is not UTF-8")]
    Text {
        /// What the text should have been.
        what: &'static str,
    },
    /// Bytes after the end of the message.
    #[error("{bytes} bytes after the end of the message")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A device number that no node has.
    #[error("device number {got}, the largest is {max}")]
    Device {
        /// The largest device number.
        max: u16,
        /// The number that came.
        got: u16,
    },
    /// Bytes that are no partial.
    #[error(transparent)]
    Partial(#[from] DecodeError),
    /// Files that make no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A spec that cannot be carried out, or not over this manifest.
    #[error("{spec:?} of a manifest of {manifest}")]
    Spec {
        /// The spec that came.
        spec: Spec,
        /// Type of the manifest's elements.
        manifest: crate::DType,
    },
    /// Holders of other files than the manifest's, or that are not of the team.
    #[error("holders that do not fit the files or the team")]
    Holders,
    /// Nodes that reduced more or fewer entries than are reported.
    #[error("{positions} entries of which nodes reduced {entries}")]
    Shares {
        /// Entries of the nodes.
        entries: u64,
        /// Entries reported.
        positions: usize,
    },
    /// A job under another name than its own.
    #[error("a job called {got} whose contents hash to {expected}")]
    Job {
        /// The hash of what came.
        expected: JobId,
        /// The name that came.
        got: JobId,
    },
}

#[cfg(test)]
mod tests;
