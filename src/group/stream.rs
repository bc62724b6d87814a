//! What of a call waits to be sent, and how far its parts are.

use std::collections::VecDeque;

use bytes::Bytes;

/// Where the bytes of a segment are.
pub(super) enum Content {
    /// In the input.
    Input,
    /// In the output.
    Output,
    /// Here.
    Held(Bytes),
}

/// Segments of one part that wait to be sent to one rank.
pub(super) struct Outgoing {
    pub part: u32,
    pub down: bool,
    /// Bytes of the part before them, and of the array that holds them.
    pub offset: u64,
    pub at: usize,
    pub length: usize,
    pub total: u64,
    pub content: Content,
}

/// What goes to one rank and comes from it in one call, in one direction of the
/// trees. The two directions have credits of their own: contributions may have to wait
/// until results have gone, but results wait for nothing.
#[derive(Default)]
pub(super) struct Stream {
    pub queue: VecDeque<Outgoing>,
    /// Bytes in `queue` that are held.
    pub held: u64,
    pub sent: u64,
    /// Bytes that may be sent in all.
    pub credit: u64,
    pub asked: bool,
    /// Bytes that came and were folded or copied.
    pub consumed: u64,
    /// Bytes that the other may send in all.
    pub granted: u64,
}

/// How far one part is.
#[derive(Default)]
pub(super) struct Progress {
    /// Bytes of the part; of an open room unknown until the first segment.
    pub total: Option<u64>,
    /// For each child what has come and is not folded, how much came in all, and whether
    /// something came; of what is merged as a whole, whether all of it came.
    pub queues: Vec<(VecDeque<Bytes>, u64, bool)>,
    pub folded: u64,
    pub folds: bool,
    /// A segment is being folded elsewhere.
    pub folding: bool,
    pub came: u64,
    pub arrived: bool,
    pub begun: bool,
    pub done: bool,
}
