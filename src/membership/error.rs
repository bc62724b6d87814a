//! What can be wrong with a packet.

use crate::placement::NodeId;

/// Why a packet was not taken as it came. The peer that sent it is of another
/// version or not to be trusted, unless it is [`MembershipError::Members`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// More bytes than a packet has.
    #[error("a membership packet of {got} bytes, the most is {max}")]
    PacketBytes {
        /// The most bytes.
        max: usize,
        /// The bytes that came.
        got: usize,
    },
    /// Bytes end too early, or spell nothing.
    #[error("no valid {what} in a membership packet")]
    Malformed {
        /// What should have been there.
        what: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("a member's name that is not UTF-8")]
    Text,
    /// More addresses than a member has.
    #[error("a member with {got} addresses, the most is {max}")]
    Addresses {
        /// The most addresses.
        max: usize,
        /// The number that came.
        got: usize,
    },
    /// Bytes after the end of the packet.
    #[error("{bytes} bytes after the end of a membership packet")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A packet in another node's name.
    #[error("a membership packet from {from} that says it is from {got}")]
    Sender {
        /// Who sent it.
        from: NodeId,
        /// Who it says sent it.
        got: NodeId,
    },
    /// More nodes than this one takes note of. Those over the limit are left
    /// out; the rest of the packet was taken.
    #[error("the cluster has more than {max} other nodes; raise the limit on all nodes")]
    Members {
        /// The most nodes.
        max: usize,
    },
    /// A packet that is well formed and makes no sense. Part of it may have
    /// been taken.
    #[error("a membership packet that makes no sense: {what}")]
    Protocol {
        /// What the protocol says of it.
        what: String,
    },
}
