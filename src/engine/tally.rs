//! What a job reports beside its result.

use std::collections::BTreeMap;

use super::outcome::NodeReport;
use crate::placement::NodeId;
use crate::wire::{Course, Share, Usage, WARNINGS_MAX, Warning};

/// Who did what, and what went wrong. Nothing here decides anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) nodes: BTreeMap<NodeId, NodeReport>,
    pub(super) usage: BTreeMap<(NodeId, u16), Usage>,
    pub(super) bytes_done: u64,
    pub(super) course: Course,
    pub(super) warnings: Vec<Warning>,
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
            self.course.warnings_omitted += 1;
        }
    }

    /// Counts an entry that `node` brought into the total.
    pub(super) fn entry(&mut self, node: NodeId, usage: &[Usage]) {
        self.course.recalled += u64::from(usage.is_empty());
        self.share(node, 1, usage);
    }

    /// Counts what a node did. The numbers in `usage` are its word, so sums of
    /// them saturate.
    pub(super) fn share(&mut self, node: NodeId, entries: u64, usage: &[Usage]) {
        let report = self.node(node);
        report.entries = report.entries.saturating_add(entries);
        for part in usage {
            let total = self.usage.entry((node, part.device)).or_default();
            total.device = part.device;
            total.add(part);
        }
    }

    /// The nodes that took part and were lost.
    pub(super) fn lost(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.values().filter(|report| report.lost).map(|report| report.id)
    }

    /// What nodes did since this was last asked, and forgets it.
    pub(super) fn take_shares(&mut self) -> Vec<Share> {
        let mut shares: BTreeMap<NodeId, Share> = BTreeMap::new();
        for report in self.nodes.values_mut() {
            let entries = std::mem::take(&mut report.entries);
            if entries > 0 {
                let share = Share { node: report.id, entries, usage: Vec::new() };
                shares.insert(report.id, share);
            }
        }
        for ((node, _), usage) in std::mem::take(&mut self.usage) {
            if let Some(share) = shares.get_mut(&node) {
                share.usage.push(usage);
            }
        }
        shares.into_values().collect()
    }
}
