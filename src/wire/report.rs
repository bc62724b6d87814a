//! What a deputy tells the collector that it collects for.

use serde::{Deserialize, Serialize};

use super::codec::{Reader, Writer};
use super::message::{read_partial, read_usage};
use super::{DEVICES_MAX, POSITIONS_MAX, Refusal, Usage, WARNINGS_MAX, WireError};
use crate::ledger::Parcel;
use crate::placement::NodeId;
use crate::shard::{ShardError, ShardErrorKind};

/// Entries that are done, and how that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The entries, at most [`POSITIONS_MAX`], and their merged partial.
    pub parcel: Parcel,
    /// What each node did for them; their entries are as many as the parcel's.
    pub shares: Vec<Share>,
    /// What happened since the last report.
    pub course: Course,
    /// What went wrong since then, at most [`WARNINGS_MAX`].
    pub warnings: Vec<Warning>,
}

/// A node's part in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The node.
    pub node: NodeId,
    /// Number of its entries.
    pub entries: u64,
    /// What each of its devices did, at most [`DEVICES_MAX`].
    pub usage: Vec<Usage>,
}

/// Numbers about the course of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Entries whose partials nodes had kept from earlier jobs.
    pub recalled: u64,
    /// How often an entry was asked of another node after the first.
    pub recomputed: u64,
    /// How many of these were because the first node was late.
    pub speculated: u64,
    /// Answers for entries that were in the total already.
    pub duplicates: u64,
    /// Warnings that are left out.
    pub warnings_omitted: u64,
}

impl Course {
    /// Adds what happened besides. The numbers may come from a peer, so sums of
    /// them saturate.
    pub fn add(&mut self, other: &Course) {
        self.recalled = self.recalled.saturating_add(other.recalled);
        self.recomputed = self.recomputed.saturating_add(other.recomputed);
        self.speculated = self.speculated.saturating_add(other.speculated);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.warnings_omitted = self.warnings_omitted.saturating_add(other.warnings_omitted);
    }
}

/// Something that did not hinder the result but that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A node was lost while entries were asked of it.
    #[error("node {node} was lost with {entries} entries to reduce; others took them over")]
    Lost {
        /// The node.
        node: NodeId,
        /// Entries that others took over.
        entries: usize,
    },
    /// A node did not work on the job.
    #[error("node {node} did not take part: {refusal}")]
    Refused {
        /// The node.
        node: NodeId,
        /// Why not.
        refusal: Refusal,
    },
    /// A node could not reduce an entry that it should have.
    #[error("node {node} could not reduce entry {position}: {error}")]
    Failed {
        /// The node.
        node: NodeId,
        /// Position of the entry.
        position: u32,
        /// What was wrong.
        error: ShardError,
    },
    /// A node broke the rules: what it sent was refused.
    #[error("node {node} sent a wrong result, which was refused: {message}")]
    Misbehaved {
        /// The node.
        node: NodeId,
        /// What was wrong.
        message: String,
    },
}

/// A warning but for its text.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Kind {
    Lost { entries: u64 },
    Refused { refusal: Refusal },
    Failed { position: u32, kind: ShardErrorKind },
    Misbehaved,
}

pub(super) fn write(to: &mut Writer, report: &Report) {
    let Report { parcel: Parcel { positions, partial }, shares, course, warnings } = report;
    to.list(positions, POSITIONS_MAX, |to, position| to.value(position));
    to.blob(&partial.to_bytes());
    to.list(shares, POSITIONS_MAX, |to, share| {
        to.value(&(share.node, share.entries));
        to.list(&share.usage, DEVICES_MAX, |to, usage| to.value(usage));
    });
    to.value(course);
    to.list(warnings, WARNINGS_MAX, |to, warning| {
        let (node, kind, text) = match warning {
            Warning::Lost { node, entries } => (node, Kind::Lost { entries: *entries as u64 }, ""),
            Warning::Refused { node, refusal } => (node, Kind::Refused { refusal: *refusal }, ""),
            Warning::Failed { node, position, error } => {
                let kind = Kind::Failed { position: *position, kind: error.kind };
                (node, kind, error.message.as_str())
            }
            Warning::Misbehaved { node, message } => (node, Kind::Misbehaved, message.as_str()),
        };
        to.value(&(node, kind));
        to.text(text);
    });
}

pub(super) fn read(from: &mut Reader) -> Result<Report, WireError> {
    let positions = from.list("positions", POSITIONS_MAX, |from| from.value("position"))?;
    let parcel = Parcel { positions, partial: read_partial(from)? };
    let shares = from.list("nodes", POSITIONS_MAX, |from| {
        let (node, entries) = from.value("part of a node")?;
        let usage = from.list("devices", DEVICES_MAX, read_usage)?;
        Ok(Share { node, entries, usage })
    })?;
    let entries =
        shares.iter().fold(0, |sum: u64, share: &Share| sum.saturating_add(share.entries));
    if entries != parcel.positions.len() as u64 {
        return Err(WireError::Shares { entries, positions: parcel.positions.len() });
    }
    let course = from.value("course of a job")?;
    let warnings = from.list("warnings", WARNINGS_MAX, |from| {
        let (node, kind) = from.value("warning")?;
        let message = from.text("warning")?;
        Ok(match kind {
            Kind::Lost { entries } => Warning::Lost { node, entries: entries as usize },
            Kind::Refused { refusal } => Warning::Refused { node, refusal },
            Kind::Failed { position, kind } => {
                Warning::Failed { node, position, error: ShardError { kind, message } }
            }
            Kind::Misbehaved => Warning::Misbehaved { node, message },
        })
    })?;
    Ok(Report { parcel, shares, course, warnings })
}
