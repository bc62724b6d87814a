//! The entries of a job that no live node holds.

use std::collections::{BTreeMap, BTreeSet};

use super::Now;

/// Entries without a live holder, and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    since: BTreeMap<u32, Now>,
    by_time: BTreeSet<(Now, u32)>,
}

impl Orphans {
    pub(super) fn len(&self) -> usize {
        self.since.len()
    }

    pub(super) fn insert(&mut self, position: u32, since: Now) {
        self.since.insert(position, since);
        self.by_time.insert((since, position));
    }

    pub(super) fn remove(&mut self, position: u32) -> Option<Now> {
        let since = self.since.remove(&position)?;
        self.by_time.remove(&(since, position));
        Some(since)
    }

    pub(super) fn contains(&self, position: u32) -> bool {
        self.since.contains_key(&position)
    }

    /// Since when the oldest of them waits.
    pub(super) fn oldest(&self) -> Option<Now> {
        self.by_time.first().map(|&(since, _)| since)
    }

    /// Their positions, in order.
    pub(super) fn positions(&self) -> impl Iterator<Item = u32> {
        self.since.keys().copied()
    }
}
