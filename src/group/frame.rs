//! What ranks say to each other, as bytes.
//!
//! A frame is a head in [postcard](https://postcard.jamesmunns.com/wire-format) and,
//! for a segment, the elements after it. Ranks are those of the communicator, except
//! in [`Head::Dead`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::GroupError;
use super::signature::Signature;

/// One message: its bytes are those of `head`, then those of `body`.
///
/// The two are apart so that nothing needs to be copied to put a header before
/// an array. A link does not look into either; it delivers them as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// A few dozen bytes.
    pub head: Bytes,
    /// A segment of an array, or nothing.
    pub body: Bytes,
}

impl Frame {
    /// The bytes of the whole message.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether it has no bytes at all, which no frame of a group is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn new(head: &Head, body: Bytes) -> Frame {
        let head = postcard::to_extend(head, Vec::with_capacity(64)).expect("writing to memory");
        Frame { head: head.into(), body }
    }
}

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Head {
    /// A segment of a part.
    Data(Segment),
    /// In this call so many bytes may be sent in all, in one direction of the trees.
    Credit { context: u64, call: u64, down: bool, bytes: u64 },
    /// May I send in this call?
    Ask { context: u64, call: u64, down: bool },
    /// What the sender called.
    Probe { context: u64, call: u64, signature: Signature },
    /// The communicator is broken from this call on.
    Abort { context: u64, call: u64, error: GroupError },
    /// A rank of the group is dead.
    Dead { rank: u32, reason: String },
    /// The sender makes no more calls in a communicator.
    Close { context: u64 },
    /// The sender leaves; nothing more comes.
    Bye,
    /// How the living agree.
    Agree { context: u64, epoch: u32, agree: Agree },
    /// A segment of a message from one to one.
    Point(PointSegment),
    /// A receive takes a message, all of which may be sent.
    PointCredit { context: u64, number: u64 },
    /// So many bytes of small messages were received.
    PointTaken { context: u64, bytes: u64 },
}

/// What a segment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub context: u64,
    pub call: u64,
    pub signature: Signature,
    pub part: u32,
    /// Whether it is a result on its way down.
    pub down: bool,
    /// Bytes of the part before it.
    pub offset: u64,
    /// Bytes of the part.
    pub total: u64,
}

/// What a segment of a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PointSegment {
    pub context: u64,
    /// Number of the message from this sender to this receiver.
    pub number: u64,
    pub tag: u32,
    pub dtype: crate::DType,
    pub offset: u64,
    pub total: u64,
    /// Whether the sender is to be told that a receive has begun to take it.
    pub until_received: bool,
    /// Whether it is a small message, all of which is sent without a receive.
    pub is_ahead: bool,
}

/// The words of an agreement on who goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Agree {
    /// The sender wants to go on.
    Join,
    /// The sender now collects: who wants to go on, and was there a commit?
    Collect,
    /// These are to go on.
    Propose { round: u32, members: Vec<u32> },
    /// So be it.
    Accept { round: u32 },
    /// These go on; none where there is no majority.
    Commit { members: Vec<u32> },
}

/// Takes a frame apart.
pub(super) fn parse(bytes: &Bytes) -> Option<(Head, Bytes)> {
    let (head, rest) = postcard::take_from_bytes::<Head>(bytes).ok()?;
    Some((head, bytes.slice(bytes.len() - rest.len()..)))
}
