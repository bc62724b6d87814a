//! Why a call of a group has no result.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;
use crate::fold::Operator;

/// Why a call has no result. Ranks are those of the communicator.
///
/// After an error that concerns others ([`GroupError::breaks`]) the communicator
/// gives the same error to every call, at all ranks, until
/// [`shrink`](crate::communicator::Communicator::shrink) makes a new one of those
/// that live. After all others it is as before the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum GroupError {
    /// Two ranks made different calls where all must make the same. The program is
    /// wrong.
    #[error(
        "rank {first} called {first_call}, rank {second} called {second_call}; all ranks must make the same calls in the same order"
    )]
    Mismatch {
        /// One of them.
        first: u32,
        /// What it called.
        first_call: String,
        /// The other.
        second: u32,
        /// What it called.
        second_call: String,
    },
    /// A rank died, or left while it was needed. `shrink` goes on without it.
    #[error("rank {rank} is lost: {reason}; shrink() makes a communicator of those that live")]
    PeerLost {
        /// The rank.
        rank: u32,
        /// What is known of it.
        reason: String,
    },
    /// The others took this rank for dead and went on without it.
    #[error("this rank was taken for dead: {reason}; start it again in a new group")]
    Expelled {
        /// What they said.
        reason: String,
    },
    /// A call did not end in its time.
    #[error(
        "rank {rank} waited {after:?} in {call} for ranks {waiting_for:?}; give it more time, or find out what keeps them"
    )]
    Timeout {
        /// The rank whose time was over.
        rank: u32,
        /// What it called.
        call: String,
        /// The time it had.
        after: Duration,
        /// The ranks from which something was missing.
        waiting_for: Vec<u32>,
    },
    /// A user's function panicked. Nothing else of that rank did.
    #[error("the operation of {call} panicked at rank {rank}: {message}")]
    Panicked {
        /// Where.
        rank: u32,
        /// The call.
        call: String,
        /// What it said.
        message: String,
    },
    /// A rank said something that no rank says.
    #[error(
        "rank {rank} sent {what}, which this version does not; run the same program on all ranks"
    )]
    Protocol {
        /// The rank.
        rank: u32,
        /// What.
        what: String,
    },
    /// Fewer than half are left, so another part may have gone on.
    #[error(
        "{live} of {size} ranks are left, which is no majority; another part may go on, so start again"
    )]
    Minority {
        /// Ranks that live.
        live: u32,
        /// Ranks of the communicator.
        size: u32,
    },
    /// A received message is of another type or length than was asked for.
    #[error("rank {from} sent {sent}, {wanted} was to be received")]
    Message {
        /// The sender.
        from: u32,
        /// What it sent.
        sent: String,
        /// What was wanted.
        wanted: String,
    },
    /// An operator that does not take the type.
    #[error("{operator} does not take {dtype}; convert the elements, or use another operator")]
    Operator {
        /// The operator.
        operator: Operator,
        /// The type.
        dtype: DType,
    },
    /// A rank that the communicator does not have.
    #[error("rank {rank} of a communicator of {size}; ranks are 0 to {}", size - 1)]
    Rank {
        /// The rank.
        rank: usize,
        /// Ranks that there are.
        size: usize,
    },
    /// An array of the wrong length.
    #[error("{what} of {got} elements, it must have {expected}")]
    Length {
        /// Which one.
        what: String,
        /// The length it must have.
        expected: u64,
        /// The length it has.
        got: u64,
    },
    /// A schedule that cannot serve the call.
    #[error("{call} has no schedule '{algorithm}'{}", if *groups { ", which folds in groups what rounds or is not commutative" } else { "" })]
    Algorithm {
        /// The call.
        call: String,
        /// The schedule.
        algorithm: String,
        /// Whether it is because it folds in groups.
        groups: bool,
    },
    /// As many calls are under way as there may be.
    #[error("{max} calls are under way, which is the most; wait for some of them")]
    Busy {
        /// The most.
        max: usize,
    },
    /// An operation that gives no partial, or no number, of this rank's elements.
    #[error("rank {rank} has no exact total: {reason}")]
    Partial {
        /// The rank.
        rank: u32,
        /// Why.
        reason: String,
    },
    /// The communicator is not there any more.
    #[error("the group is closed")]
    Closed,
    /// A receive that was cancelled before any message came for it.
    #[error("the receive was cancelled")]
    Cancelled,
}

impl GroupError {
    /// Whether the communicator is of no use after it, but to be shrunk.
    pub fn breaks(&self) -> bool {
        match self {
            GroupError::Mismatch { .. } | GroupError::PeerLost { .. } => true,
            GroupError::Expelled { .. } | GroupError::Timeout { .. } => true,
            GroupError::Panicked { .. } | GroupError::Protocol { .. } => true,
            GroupError::Minority { .. } | GroupError::Closed => true,
            GroupError::Message { .. } | GroupError::Operator { .. } => false,
            GroupError::Rank { .. } | GroupError::Length { .. } => false,
            GroupError::Algorithm { .. } | GroupError::Busy { .. } => false,
            GroupError::Partial { .. } | GroupError::Cancelled => false,
        }
    }
}
