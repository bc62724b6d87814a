//! Groups: MPI's collectives between processes, or threads, that know each
//! other by rank.
//!
//! ```
//! use adsum::communicator::{Communicator, Operator};
//!
//! let ranks = Communicator::local(3);
//! let threads: Vec<_> = ranks
//!     .into_iter()
//!     .map(|group| {
//!         std::thread::spawn(move || {
//!             let mine = [group.rank() as f32, 0.1];
//!             group.all_reduce(&mine, Operator::Sum)
//!         })
//!     })
//!     .collect();
//! for thread in threads {
//!     assert_eq!(thread.join().unwrap(), Ok(vec![3.0, 0.3]));
//! }
//! ```
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
//! no task between them that would cost a small operation its time. One thread, the
//! clock, sleeps until a deadline. Functions of the user's have a thread of their own in
//! each communicator, which holds no lock while they run.
//!
//! Every call has a form that waits and one that returns a [`Request`], whose name ends in
//! `_async`: to be waited for, tested, or awaited. All ranks of a communicator make
//! the same calls in the same order; those of different communicators, and messages,
//! may come in any. `docs/groups.md` tells what calls mean and cost.

use std::sync::Arc;
use std::time::Duration;

use crate::collective::Algorithm;
use crate::group::{self, Answer, Outcome, WORLD};

mod calibrate;
mod collectives;
mod combine;
mod divide;
mod element;
mod exact;
mod in_place;
pub mod lent;
mod link;
mod memory;
mod messages;
mod request;
mod shared;
mod worker;

pub use crate::fold::Operator;
pub use crate::group::{Config, GroupError};
pub use combine::Combine;
pub use element::Element;
pub use link::{Frame, Link, Receiver};
pub use memory::MemoryLink;
pub use messages::{Envelope, Raw, Received};
pub use request::Request;

use shared::{Called, Function, Own, Stop, Then, Watch};

/// A group of ranks, as one of them sees it.
///
/// Handles made by [`Communicator::within`] and [`Communicator::by`] are the same
/// communicator; when the last one is dropped, this rank's part of it ends. When the last
/// communicator of a rank is dropped, the rank leaves the group.
pub struct Communicator {
    kept: Arc<Kept>,
    timeout: Option<Duration>,
    algorithm: Option<Algorithm>,
    stop: Option<Stop>,
}

/// What all handles of one communicator on one rank share.
struct Kept {
    shared: Arc<Own>,
    context: u64,
    rank: usize,
    /// The ranks of the whole group that its ranks are.
    members: Vec<usize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.close(self.context);
    }
}

impl Communicator {
    /// The communicator of all ranks that a link connects.
    pub fn connect(link: Arc<dyn Link>, config: Config) -> Communicator {
        let (rank, size) = (link.rank(), link.size());
        Communicator::of(Arc::new(Own::start(link, config)), WORLD, rank, (0..size).collect())
    }

    /// The communicators of all ranks of a group of threads in this process.
    ///
    /// # Panics
    /// If `size` is zero.
    pub fn local(size: usize) -> Vec<Communicator> {
        Communicator::local_with(size, &Config::default())
    }

    /// [`Communicator::local`] with limits and times of its own.
    ///
    /// # Panics
    /// If `size` is zero.
    pub fn local_with(size: usize, config: &Config) -> Vec<Communicator> {
        assert!(size > 0, "a group of no ranks");
        let connect = |link: MemoryLink| Communicator::connect(Arc::new(link), config.clone());
        MemoryLink::group(size).into_iter().map(connect).collect()
    }

    /// A group of this process alone, which needs no launcher.
    pub fn solo() -> Communicator {
        Communicator::local(1).pop().expect("one rank")
    }

    fn of(shared: Arc<Own>, context: u64, rank: usize, members: Vec<usize>) -> Communicator {
        let kept = Arc::new(Kept { shared, context, rank, members });
        Communicator { kept, timeout: None, algorithm: None, stop: None }
    }

    /// This rank, counted from zero.
    pub fn rank(&self) -> usize {
        self.kept.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.kept.members.len()
    }

    /// The same communicator for calls that take at most so long.
    pub fn within(&self, timeout: Duration) -> Communicator {
        Communicator { timeout: Some(timeout), ..self.handle() }
    }

    /// The same communicator for calls by one schedule, whatever would be chosen.
    pub fn by(&self, algorithm: Algorithm) -> Communicator {
        Communicator { algorithm: Some(algorithm), ..self.handle() }
    }

    /// The same communicator for calls that ask `stop` now and then while somebody waits for
    /// them. When it says yes, this rank gives the communicator back: the call ends with
    /// [`GroupError::Closed`], and at ranks that need this one with
    /// [`GroupError::PeerLost`].
    pub fn until(&self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Communicator {
        Communicator { stop: Some(Arc::new(stop)), ..self.handle() }
    }

    fn handle(&self) -> Communicator {
        let (kept, stop) = (Arc::clone(&self.kept), self.stop.clone());
        Communicator { kept, timeout: self.timeout, algorithm: self.algorithm, stop }
    }

    /// Who asks whether to go on while a call is waited for.
    fn watch(&self) -> Option<Watch> {
        let watch = |stop| Watch { context: self.kept.context, stop };
        self.stop.clone().map(watch)
    }

    /// Starts a collective call without a function.
    fn start<T>(
        &self,
        call: group::Call,
        convert: impl FnOnce(Answer) -> T + Send + 'static,
    ) -> Request<T> {
        self.start_with(call, None, |answer| Ok(convert(answer)))
    }

    /// Starts a collective call.
    fn start_with<T>(
        &self,
        call: group::Call,
        function: Option<Function>,
        convert: impl FnOnce(Answer) -> Result<T, GroupError> + Send + 'static,
    ) -> Request<T> {
        let (context, shared) = (self.kept.context, &self.kept.shared);
        let slot = shared.slot(self.watch());
        let called = Called { then: Then::Put(Arc::clone(&slot)), function };
        shared.begin(|group, now| (group.start(now, context, call), called));
        let convert = move |outcome| match outcome {
            Outcome::Answer(answer) => convert(answer),
            Outcome::Message(_) | Outcome::Made(_) => {
                unreachable!("a collective call gives arrays")
            }
        };
        Request::new(slot, Box::new(convert))
    }
}
