//! What a group needs of whatever carries its messages.
//!
//! A [`Link`] is made for one rank of a group of fixed size. Life of one:
//!
//! 1. The group calls [`Link::start`] once, with the [`Receiver`] for what
//!    comes. A link keeps what comes earlier.
//! 2. [`Link::send`] queues frames. The link calls [`Receiver::frame`] for each
//!    one that arrives and [`Receiver::lost`] at most once for each peer.
//! 3. [`Link::close`] ends it.
//!
//! What a link promises:
//!
//! * Frames from one rank to another arrive once each, whole, and in order, up
//!   to the end of the connection. Nothing is promised between different pairs.
//! * `send` never waits and never calls the receiver: it is called with the
//!   group's lock held, which the receiver takes.
//! * `frame` and `lost` may be called from any thread; for one peer never from
//!   two at a time. `frame` takes as long as folding one segment.
//! * `lost` comes after the last frame of that peer. It says that nothing more
//!   will come; whether the peer left in peace the group knows by itself.
//!   A peer that is silent for a second or two is not lost: in a group nobody
//!   can take its place, so a link is to be slow in giving up.
//!
//! How much may wait in a link is bounded by the group: at most a window of each
//! operation under way towards each peer ([`Config`](super::Config)).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use crate::group::Frame;

/// Carries frames between the ranks of one group.
pub trait Link: Send + Sync + 'static {
    /// The rank that this end is.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Says where arriving frames go. Called once, before anything else.
    fn start(&self, receiver: Arc<dyn Receiver>);

    /// Queues a frame to another rank. One to a rank that is lost is dropped.
    fn send(&self, to: usize, frame: Frame);

    /// Lends the calling thread to the link until `is_done` says so, or for
    /// `limit`, whichever comes first; frames are then delivered on it, and what
    /// was queued is sent by it, without the time that another thread takes to
    /// wake up. Returns whether it is done. `is_done` is asked whenever the
    /// receiver was called; the group's lock must not be held.
    ///
    /// A link that has no use for the thread says `None` at once, and the caller
    /// waits by itself.
    fn drive(&self, is_done: &mut dyn FnMut() -> bool, limit: Duration) -> Option<bool> {
        let _ = (is_done, limit);
        None
    }

    /// A caller who queued something goes on to do other things: if it is little it is sent
    /// at once, on this thread where no other runs the link. Nothing for a link that always
    /// sends at once by itself.
    fn push(&self) {}

    /// Another thread than the link's has done something: callers that drive the link ask
    /// at once whether they are done. Nothing for a link that has no use for them.
    fn rouse(&self) {}

    /// Somebody waits for what comes who does not drive the link, so that it must do all at
    /// once by itself. Nothing for a link that always does.
    fn attend(&self) {}

    /// Gives up a peer: nothing more is sent to it or taken from it. The group
    /// calls it when another rank has found the peer dead.
    fn abandon(&self, peer: usize);

    /// Sends what is queued, then ends all connections and calls the receiver
    /// no more. May wait for the queues to empty, but not for ever.
    fn close(&self);
}

/// Where a link delivers.
pub trait Receiver: Send + Sync {
    /// A frame of `from` arrived: the bytes of its head and body together.
    fn frame(&self, from: usize, bytes: Bytes);

    /// Nothing more will come from `peer`.
    fn lost(&self, peer: usize, reason: String);
}
