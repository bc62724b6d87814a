//! The state machine of one rank of a group: calls and frames in, frames and
//! results out.
//!
//! It does no I/O and reads no clock. Whoever owns it calls it with what happened
//! and the time, then takes what is to be done from [`Group::poll_output`] until it is
//! empty, and calls [`Group::handle_timeout`] when [`Group::poll_timeout`] is reached.
//!
//! ```text
//!   start, send, receive, shrink --> +-------+ --> Send, Abandon
//!   handle_frame, handle_lost -----> | Group | --> Finished
//!   handle_timeout, handle_folded -> +-------+ --> Fold
//!                                       |
//!          contexts: one per communicator, each with its calls in order
//! ```
//!
//! Unlike the [`engine`](crate::engine), which moves states, it folds elements: a
//! rank's array has no second holder, so there is nothing to ask for twice.
//!
//! # What keeps a result right
//!
//! Every segment names its communicator, the number of its call there, the call's
//! [`Signature`], and its place; it is taken once and in order, or the call fails. All
//! contributions of a segment are folded at once, in rank order, so what comes when
//! decides nothing.
//!
//! # What keeps it from hanging
//!
//! * A rank that dies is reported by the link, and by every rank that hears of it to
//!   all others. Every communicator that it is in gives [`GroupError::PeerLost`] from
//!   then on.
//! * A rank that leaves says so. Only calls that need it fail.
//! * A call that takes long makes its rank tell all others what it called, so different
//!   calls that wait for each other are found.
//! * A call has a deadline, after which it fails at all ranks.
//!
//! The first three are told to all ranks of the communicator, so that they fail with the
//! same error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::collective::{self, Algorithm, Kind};
use crate::dtype::DType;

mod agreement;
mod buffer;
mod calls;
mod config;
mod context;
mod divide;
mod error;
mod frame;
mod operation;
mod points;
mod schedule;
mod shrink;
mod signature;
mod stream;
mod work;

pub use buffer::Buffer;
pub use config::Config;
pub use error::GroupError;
pub use frame::Frame;
pub use operation::{Answer, Fold};
pub use points::{Message, Wanted};
pub use schedule::derived;
pub use signature::{Folding, Purpose, Signature};
pub use work::{Folded, OwnFold, Unmergeable, Work};

use context::{Context, Early, Port};
use frame::{Head, parse};
use operation::Operation;
use points::Receive;

/// A time: how long ago the owner's epoch was. It never goes back.
pub type Now = Duration;

/// The name of a call on this rank.
pub type OpId = u64;

/// The communicator of all ranks.
pub const WORLD: u64 = 0;

/// The most communicators of which a rank can hear before it has made them, and the
/// most frames that it keeps for each.
const UNKNOWN_MAX: (usize, usize) = (1024, 1 << 16);

/// Communicators that were given back and are remembered.
const CLOSED_MAX: usize = 4096;

/// How many elements a call is of.
#[derive(Clone, Debug)]
pub enum Counts {
    /// So many at every rank.
    Whole(u64),
    /// As many as this rank has, and nowhere more than these. What all ranks' are is told
    /// from other things by a number.
    Bounded {
        /// The most that a rank has.
        most: u64,
        /// The number.
        of: u32,
    },
    /// These blocks, known to all.
    Blocks(Vec<u64>),
    /// The blocks that this rank sends.
    Sent(Vec<u64>),
}

/// A call, as its rank makes it.
pub struct Call {
    /// Which one.
    pub kind: Kind,
    /// What for.
    pub purpose: Purpose,
    /// The rank that has or gets all; 0 where there is none.
    pub root: usize,
    /// The type of the elements.
    pub dtype: DType,
    /// How many there are.
    pub counts: Counts,
    /// How contributions are folded.
    pub fold: Fold,
    /// Whether a user's function may be applied in groups.
    pub commutative: bool,
    /// The schedule, where it is not to be chosen.
    pub algorithm: Option<Algorithm>,
    /// This rank's array, in which its result comes back.
    pub array: Box<dyn Buffer>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What a call came to.
pub enum Outcome {
    /// The arrays of a collective call.
    Answer(Answer),
    /// A message from one rank; of a send what was sent, without its elements.
    Message(Message),
    /// A new communicator; none where this rank is in none.
    Made(Option<Made>),
}

/// A communicator that came from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub context: u64,
    /// What its ranks were in the other one, in order.
    pub members: Vec<usize>,
}

/// What is to be done.
pub enum Output {
    /// Send a frame to a rank of the group. Nothing is to be sent again.
    Send {
        /// The rank.
        to: usize,
        /// The frame.
        frame: Frame,
    },
    /// Another rank has found this one dead: have nothing more to do with it.
    Abandon {
        /// The rank.
        peer: usize,
    },
    /// Fold with the function of a call, then give [`Group::handle_folded`] what comes of
    /// it. Until then the call waits, and nothing else does.
    Fold(Work),
    /// The end of a call; nothing follows about it.
    Finished {
        /// The call.
        id: OpId,
        /// What it came to.
        result: Result<Outcome, GroupError>,
    },
}

/// The state machine of one rank.
pub struct Group {
    rank: usize,
    size: usize,
    config: Config,
    contexts: BTreeMap<u64, Context>,
    /// Frames for communicators that are not made here yet.
    unknown: BTreeMap<u64, Vec<(usize, Bytes)>>,
    closed: VecDeque<u64>,
    /// Ranks that left in peace, and those that died with what is known of it.
    left: BTreeSet<usize>,
    dead: BTreeMap<usize, String>,
    /// Both.
    gone: BTreeSet<usize>,
    expelled: Option<GroupError>,
    outputs: VecDeque<Output>,
    next_id: OpId,
    /// What is to be looked at when: communicator and call.
    timers: BTreeSet<(Now, u64, u64)>,
}

impl Group {
    /// The machine of `rank` of `size`.
    ///
    /// # Panics
    /// If there is no such rank.
    pub fn new(rank: usize, size: usize, config: Config) -> Group {
        assert!(rank < size, "rank {rank} of {size}");
        let world = Context::new(WORLD, (0..size).collect(), rank, config.tuning);
        Group {
            rank,
            size,
            config: config.within_limits(),
            contexts: BTreeMap::from([(WORLD, world)]),
            unknown: BTreeMap::new(),
            closed: VecDeque::new(),
            left: BTreeSet::new(),
            dead: BTreeMap::new(),
            gone: BTreeSet::new(),
            expelled: None,
            outputs: VecDeque::new(),
            next_id: 0,
            timers: BTreeSet::new(),
        }
    }

    /// What it was told about sizes and times.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Gives a communicator a tuning of its own, which all its ranks must do between the
    /// same calls.
    pub fn tune(&mut self, context: u64, tuning: collective::Tuning) {
        if let Some(context) = self.contexts.get_mut(&context) {
            context.tuning = tuning;
        }
    }

    /// Makes the communicator `id` of these ranks of the group, among them this one.
    /// One that is there already stays as it is.
    pub fn create(&mut self, now: Now, id: u64, members: Vec<usize>) {
        let Some(rank) = members.iter().position(|&member| member == self.rank) else { return };
        if self.contexts.contains_key(&id) {
            return;
        }
        let dead = members.iter().enumerate().find_map(|(rank, member)| {
            self.dead.get(member).map(|reason| (rank as u32, reason.clone()))
        });
        let mut context = Context::new(id, members, rank, self.config.tuning);
        context.failure = match dead {
            Some((rank, reason)) => Some((0, GroupError::PeerLost { rank, reason })),
            None => self.expelled.clone().map(|error| (0, error)),
        };
        self.contexts.insert(id, context);
        for (from, bytes) in self.unknown.remove(&id).unwrap_or_default() {
            self.handle_frame(now, from, bytes);
        }
    }

    /// Fails all calls of a communicator for a reason from elsewhere, which all others are
    /// told: who only gave it back would be taken for one that left.
    pub fn abort(&mut self, id: u64, error: GroupError) {
        self.fail(id, 0, error, true);
    }

    /// Gives a communicator back. What is under way in it fails, and at other ranks what
    /// needs this one.
    pub fn close(&mut self, id: u64) {
        self.fail(id, 0, GroupError::Closed, false);
        if let Some(context) = self.contexts.get_mut(&id) {
            let (mut port, _, _, shrink) =
                context.split(&self.config, &self.gone, &mut self.outputs);
            shrink.say_last(&mut port);
            port.send_all(&Head::Close { context: id });
        }
        let shrink = self.contexts.remove(&id).map(|context| context.shrink);
        if let Some(mut shrink) = shrink {
            while let Some(id) = shrink.next_waiting() {
                self.outputs.push_back(Output::Finished { id, result: Err(GroupError::Closed) });
            }
            // Nobody can take it any more.
            if let Some(Ok(Outcome::Made(Some(made)))) = shrink.untaken {
                self.close(made.context);
            }
        }
        self.closed.push_back(id);
        if self.closed.len() > CLOSED_MAX {
            self.closed.pop_front();
        }
    }

    /// When a call ends that may take so long, and how long that is.
    fn deadline(&self, now: Now, timeout: Option<Duration>) -> Option<(Now, Duration)> {
        timeout.or(self.config.timeout).map(|after| (now.saturating_add(after), after))
    }

    /// Says to all that this rank leaves.
    pub fn leave(&mut self) {
        let contexts: Vec<u64> = self.contexts.keys().copied().collect();
        contexts.into_iter().for_each(|id| self.close(id));
        for to in (0..self.size).filter(|&to| to != self.rank && !self.gone.contains(&to)) {
            self.outputs
                .push_back(Output::Send { to, frame: Frame::new(&Head::Bye, Bytes::new()) });
        }
        self.expelled.get_or_insert(GroupError::Closed);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Group::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Now> {
        let points = self.contexts.values().filter_map(|context| context.points.next_timeout());
        let shrinks = self.contexts.values().filter_map(|context| context.shrink.next_timeout());
        let calls = self.timers.first().map(|&(at, ..)| at);
        points.chain(shrinks).chain(calls).min()
    }
}
