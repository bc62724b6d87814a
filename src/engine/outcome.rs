//! How a request ends.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::ledger::Coverage;
use crate::partial::Partial;
use crate::placement::NodeId;
use crate::shard::ShardError;
use crate::wire::{Course, Usage, Warning};

/// The most missing entries that an error names; it counts them all.
pub const MISSING_NAMED_MAX: usize = 16;

/// The most last holders that are named for one missing entry.
pub const LAST_HOLDERS_MAX: usize = 8;

/// A result and how it came about.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What all entries together reduce to.
    pub total: Partial,
    /// The proof that all entries are in it.
    pub coverage: Coverage,
    /// The nodes that worked on the job, by name.
    pub nodes: Vec<NodeReport>,
    /// What each device of each node did for the entries that counted.
    pub usage: BTreeMap<(NodeId, u16), Usage>,
    /// How the job went, in numbers.
    pub course: Course,
    /// What went wrong on the way, the first [`WARNINGS_MAX`](crate::wire::WARNINGS_MAX).
    pub warnings: Vec<Warning>,
}

/// A node's part in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node.
    pub id: NodeId,
    /// Entries in the total that came from it.
    pub entries: u64,
    /// Whether it was lost during the job; it may have come back.
    pub lost: bool,
}

/// An entry that is not in the total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Position in the manifest.
    pub position: u32,
    /// Its file.
    pub name: String,
    /// Its elements in the file.
    pub range: Range<u64>,
    /// Nodes that have the file, or had when they were lost; at most
    /// [`LAST_HOLDERS_MAX`].
    pub last_holders: Vec<NodeId>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { position, name, range, last_holders } = self;
        write!(f, "{name}[{}..{}] (entry {position}", range.start, range.end)?;
        for (index, node) in last_holders.iter().enumerate() {
            write!(f, "{}{node}", if index == 0 { ", last held by " } else { " " })?;
        }
        f.write_str(")")
    }
}

/// What a job that ended too early had not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The first [`MISSING_NAMED_MAX`] of the missing entries.
    pub missing: Vec<Missing>,
    /// Number of all missing entries.
    pub missing_count: usize,
    /// Number of all entries.
    pub entries: usize,
    /// What went wrong on the way, the first [`WARNINGS_MAX`](crate::wire::WARNINGS_MAX).
    pub warnings: Vec<Warning>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} entries are missing: ", self.missing_count, self.entries)?;
        for (index, missing) in self.missing.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{missing}")?;
        }
        match self.missing_count - self.missing.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Why a request has no result. It never has a part of one instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The cluster's: no connected node has these entries, and none came in
    /// time. Entries that were found to be so first are named first.
    #[error("{unfinished}; start a node that has these files and ask again")]
    Incomplete {
        /// What is missing.
        unfinished: Unfinished,
    },
    /// The deadline came first. Nothing need be wrong but the deadline.
    #[error(
        "the deadline of {limit:?} passed, {unfinished}; give it more time, or more or faster nodes"
    )]
    Deadline {
        /// The time the request had.
        limit: Duration,
        /// What is missing.
        unfinished: Unfinished,
    },
    /// The data's: every connected node that has the entry failed to reduce
    /// it, this one last.
    #[error("{name} (entry {position}), nodes that tried: {tried}, the last {node}: {error}")]
    Shard {
        /// Position of the entry.
        position: u32,
        /// Its file.
        name: String,
        /// The node that failed last.
        node: NodeId,
        /// What is wrong, as that node says.
        error: ShardError,
        /// Number of nodes that failed.
        tried: usize,
    },
    /// The caller's: it cancelled the request.
    #[error("the request was cancelled")]
    Cancelled,
}
