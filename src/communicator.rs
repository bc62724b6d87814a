//! Groups: MPI's collectives between processes, or threads, that know each
//! other by rank.
//!
//! ```text
//!  caller's threads         any thread that has news
//!     | all_reduce(..)         | frame(from, bytes), lost(peer)
//!     v                        v
//!  +------------------ one lock -----------------+
//!  | group machine: plans, folds, who is alive   |      no thread of its own
//!  +---------------------------------------------+      between the two
//!     | send(to, frame): queued, never waits
//!     v
//!  Link: threads in one process, or QUIC
//! ```
//!
//! A call goes straight into the machine and from there to the link; what comes
//! from the link goes straight into the machine and wakes the caller. There is
//! no task between them that would cost a small operation its time.

pub mod link;

pub use link::{Frame, Link, Receiver};
