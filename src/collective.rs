//! The schedules of group operations: who sends what to whom, as data.
//!
//! Pure, and without any element: a schedule is a function of what is called,
//! of the rank and of the number of ranks. The same functions serve the
//! [`group`](crate::group) machine, which carries them out, and the tests, which
//! carry them out on free objects.
//!
//! # Parts
//!
//! Every schedule here is a set of **parts**, each a range of elements with two
//! trees over the ranks, either of which may be missing or a star:
//!
//! ```text
//!     up: contributions are folded          down: what there is is copied
//!
//!     0     1     2     3                              owner
//!      \     \   /     /                              /  |  \
//!       \      1      /                              0   1   3
//!         \    |    /                                    |
//!            owner: folds in rank order                  2
//! ```
//!
//! A part is cut into segments, and each segment goes its way alone: a rank folds
//! a segment when it has that of all children, and sends it on at once. So parts
//! and segments pipeline without any step that waits for a whole array. Ranks go
//! through their parts in an order that begins behind themselves, so that not all
//! of them send to the same one first.
//!
//! | file | schedule | good for |
//! |---|---|---|
//! | [`flat`] | every rank with every rank, one round | little data, few ranks |
//! | [`tree`] | k-nomial trees | little data, many ranks; only what may be folded in groups |
//! | [`direct`] | each rank owns a slice: to its owner, and back | much data |
//! | [`dissemination`] | rounds of doubling distance | barriers of many ranks |
//! | [`blocks`] | one message from each source to each destination | what is only moved |
//!
//! Each file says in how many rounds, messages and bytes; [`Cost`] has the same as
//! numbers, and tests hold the schedules to them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub mod blocks;
mod choice;
mod cost;
pub mod direct;
pub mod dissemination;
pub mod flat;
pub mod tree;

pub use choice::{Tuning, choose};
pub use cost::Cost;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// All fold into one rank.
    Reduce = 0,
    /// All fold, all have the result.
    AllReduce = 1,
    /// All fold, each has its block of the result.
    ReduceScatter = 2,
    /// Each has the blocks of all.
    AllGather = 3,
    /// Each sends a block to each.
    AllToAll = 4,
    /// One has the blocks of all.
    Gather = 5,
    /// Each has its block of one's.
    Scatter = 6,
    /// All have what one has.
    Broadcast = 7,
    /// Each has the fold of all up to itself.
    Scan = 8,
    /// Each has the fold of all before itself.
    Exscan = 9,
    /// None goes on before all have come.
    Barrier = 10,
    /// The exchange by which a group is divided.
    Split = 11,
    /// What all have is merged into one rank's, each of a length of its own.
    Merge = 12,
    /// The same, all have the result.
    AllMerge = 13,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Kind; 14] = [
        Kind::Reduce,
        Kind::AllReduce,
        Kind::ReduceScatter,
        Kind::AllGather,
        Kind::AllToAll,
        Kind::Gather,
        Kind::Scatter,
        Kind::Broadcast,
        Kind::Scan,
        Kind::Exscan,
        Kind::Barrier,
        Kind::Split,
        Kind::Merge,
        Kind::AllMerge,
    ];

    /// The name of the call.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reduce => "reduce",
            Kind::AllReduce => "all_reduce",
            Kind::ReduceScatter => "reduce_scatter",
            Kind::AllGather => "all_gather",
            Kind::AllToAll => "all_to_all",
            Kind::Gather => "gather",
            Kind::Scatter => "scatter",
            Kind::Broadcast => "broadcast",
            Kind::Scan => "scan",
            Kind::Exscan => "exscan",
            Kind::Barrier => "barrier",
            Kind::Split => "split",
            Kind::Merge => "reduce_partial",
            Kind::AllMerge => "all_reduce_partial",
        }
    }

    /// Whether elements are folded, not only moved.
    pub fn folds(self) -> bool {
        match self {
            Kind::Reduce | Kind::AllReduce | Kind::ReduceScatter => true,
            Kind::Scan | Kind::Exscan | Kind::Merge | Kind::AllMerge => true,
            Kind::AllGather | Kind::AllToAll | Kind::Gather | Kind::Scatter => false,
            Kind::Broadcast | Kind::Barrier | Kind::Split => false,
        }
    }

    /// Whether contributions are folded as wholes, whose lengths differ and change.
    pub fn merges(self) -> bool {
        matches!(self, Kind::Merge | Kind::AllMerge)
    }
}

/// How a call is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// Every rank with every rank, in one round.
    Flat,
    /// A k-nomial tree: every node has up to `fan - 1` children at each level.
    Tree {
        /// At least 2.
        fan: u8,
    },
    /// Each rank owns a slice.
    Direct,
    /// Rounds of doubling distance.
    Dissemination,
}

impl Algorithm {
    /// Its name in settings and errors.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Flat => "flat",
            Algorithm::Tree { .. } => "tree",
            Algorithm::Direct => "direct",
            Algorithm::Dissemination => "dissemination",
        }
    }

    /// Whether there is a schedule of this kind.
    pub fn serves(self, kind: Kind) -> bool {
        match self {
            Algorithm::Flat => true,
            Algorithm::Tree { fan } => {
                let kinds = [Kind::Reduce, Kind::AllReduce, Kind::Broadcast, Kind::Barrier];
                fan >= 2 && (kinds.contains(&kind) || kind.merges())
            }
            Algorithm::Direct => {
                let both = [Kind::Reduce, Kind::AllReduce, Kind::Broadcast];
                both.contains(&kind) || matches!(kind, Kind::Scan | Kind::Exscan)
            }
            Algorithm::Dissemination => kind == Kind::Barrier,
        }
    }

    /// Whether contributions may be folded in groups, whose results are folded
    /// again: right only for what is associative in its own type.
    pub fn folds_in_groups(self) -> bool {
        matches!(self, Algorithm::Tree { .. })
    }
}

/// What a schedule is made from: one call, as one rank sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is called.
    pub kind: Kind,
    /// This rank.
    pub rank: usize,
    /// The number of ranks.
    pub size: usize,
    /// The rank that is the source or has the result; 0 where there is none.
    pub root: usize,
    /// Elements of the array, or of the blocks.
    pub extent: Extent<'a>,
}

/// How many elements are where.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    /// Every rank has an array of so many.
    Whole(u64),
    /// Every rank knows the elements of each block.
    Blocks(&'a [u64]),
    /// A rank knows the elements of the blocks that it sends; of others it
    /// learns when they come.
    Sent(&'a [u64]),
}

/// The part of one rank in a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What it has a share in, in the order in which it sends.
    pub parts: Vec<Part>,
    /// Ranges that it copies from its input to its output.
    pub local: Vec<(Range<u64>, Room)>,
    /// Whether input and output are two arrays. Else they are the same one, and
    /// nothing is written before it has been read.
    pub apart: bool,
    /// Elements of the output, those of open rooms not counted.
    pub output: u64,
}

/// Where a received range goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// To these elements of the output.
    At(Range<u64>),
    /// To a block of its own, of a length that the sender knows; the number
    /// is that of the block.
    Open(usize),
}

/// A rank's share in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The same for all ranks that have a share in it, and of no other part.
    pub id: u32,
    /// Elements of this rank's input that are its contribution; empty where it
    /// has none.
    pub input: Range<u64>,
    /// Where the result goes here, if it comes here.
    pub room: Option<Room>,
    /// The way up, if this rank is on it.
    pub up: Option<Up>,
    /// The way down, if this rank is on it.
    pub down: Option<Down>,
    /// Position in [`Plan::parts`] of what must be complete before this rank
    /// sends anything of this part, or counts it as complete.
    pub after: Option<usize>,
}

/// A rank's place in the tree of contributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Who sends here, in the order of folding.
    pub children: Vec<usize>,
    /// The position among the children at which its own contribution is
    /// folded, or `None` where it is not.
    pub own: Option<usize>,
    /// To whom the fold goes; `None` at the owner.
    pub parent: Option<usize>,
    /// What the owner makes of the contributions.
    pub make: Make,
}

/// What an owner makes of the contributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// The fold of all of them.
    Fold,
    /// The fold of all of them, each as a whole and of a length of its own.
    Merge,
    /// For each rank the fold of those up to its own, sent to it as the result.
    Prefixes {
        /// Without its own.
        exclusive: bool,
    },
}

/// A rank's place in the tree of copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Who sends here; `None` where the copies begin.
    pub from: Option<usize>,
    /// To whom it is sent on.
    pub to: Vec<usize>,
}

/// The share of a rank in a call.
///
/// # Panics
/// If the algorithm does not serve the kind, or the call contradicts itself.
pub fn plan(call: &Call<'_>, algorithm: Algorithm) -> Plan {
    assert!(call.rank < call.size && call.root < call.size, "ranks below the size");
    assert!(algorithm.serves(call.kind), "{} by {}", call.kind.name(), algorithm.name());
    match call.kind {
        Kind::AllGather | Kind::AllToAll | Kind::Gather | Kind::Scatter | Kind::Split => {
            return blocks::plan(call);
        }
        Kind::ReduceScatter => return direct::plan(call),
        Kind::Reduce | Kind::AllReduce | Kind::Broadcast => {}
        Kind::Scan | Kind::Exscan | Kind::Barrier | Kind::Merge | Kind::AllMerge => {}
    }
    match algorithm {
        Algorithm::Flat => flat::plan(call),
        Algorithm::Tree { fan } => tree::plan(call, usize::from(fan)),
        Algorithm::Direct => direct::plan(call),
        Algorithm::Dissemination => dissemination::plan(call),
    }
}

/// The slice of `count` elements that the rank `owner` has: as equal as can be,
/// and together all of them.
pub fn slice(count: u64, size: usize, owner: usize) -> Range<u64> {
    let at = |n: usize| (u128::from(count) * n as u128 / size as u128) as u64;
    at(owner)..at(owner + 1)
}

/// All ranks but `rank`, beginning with the one after it.
fn others_after(rank: usize, size: usize) -> impl Iterator<Item = usize> {
    (1..size).map(move |distance| (rank + distance) % size)
}

/// All ranks from the one after `rank` on, `rank` itself last.
fn all_after(rank: usize, size: usize) -> impl Iterator<Item = usize> {
    others_after(rank, size).chain([rank])
}

/// The elements of the array of this rank; of a barrier it is empty.
fn whole(call: &Call<'_>) -> u64 {
    match call.extent {
        _ if call.kind == Kind::Barrier => 0,
        Extent::Whole(count) => count,
        Extent::Sent(&[own]) if call.kind.merges() => own,
        Extent::Blocks(_) | Extent::Sent(_) => panic!("{} is of a whole array", call.kind.name()),
    }
}

/// How all of the arrays become one, where that goes, and how long it is known to be.
fn folding(call: &Call<'_>) -> (Make, Room, u64) {
    let count = whole(call);
    match call.kind.merges() {
        true => (Make::Merge, Room::Open(0), 0),
        false => (Make::Fold, Room::At(0..count), count),
    }
}
