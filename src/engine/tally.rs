//! What a job reports beside its result.

use std::collections::BTreeMap;

use super::outcome::{NodeReport, WARNINGS_MAX, Warning};
use crate::placement::NodeId;
use crate::wire::Usage;

/// Who did what, and what went wrong. Nothing here decides anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) nodes: BTreeMap<NodeId, NodeReport>,
    pub(super) usage: BTreeMap<(NodeId, u16), Usage>,
    pub(super) bytes_done: u64,
    /// Entries that nobody had to reduce for this job.
    pub(super) recalled: u64,
    pub(super) duplicates: u64,
    pub(super) warnings: Vec<Warning>,
    pub(super) warnings_omitted: u64,
}

impl Tally {
    /// The report of a node that takes part.
    pub(super) fn node(&mut self, id: NodeId) -> &mut NodeReport {
        self.nodes.entry(id).or_insert(NodeReport { id, entries: 0, lost: false })
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(warning);
        } else {
            self.warnings_omitted += 1;
        }
    }

    /// Counts an entry that `node` brought into the total. The numbers in
    /// `usage` are the node's word, so sums of them saturate.
    pub(super) fn entry(&mut self, node: NodeId, bytes: u64, usage: &[Usage]) {
        self.node(node).entries += 1;
        self.bytes_done += bytes;
        self.recalled += u64::from(usage.is_empty());
        for part in usage {
            let total = self.usage.entry((node, part.device)).or_default();
            total.device = part.device;
            total.tiles = total.tiles.saturating_add(part.tiles);
            total.bytes = total.bytes.saturating_add(part.bytes);
            total.busy_ns = total.busy_ns.saturating_add(part.busy_ns);
        }
    }

    /// The nodes that took part and were lost.
    pub(super) fn lost(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.values().filter(|report| report.lost).map(|report| report.id)
    }
}
