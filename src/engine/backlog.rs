//! The entries of a job that no node works on yet.

use std::collections::{BTreeMap, BTreeSet};

use super::holders::Group;
use crate::placement::NodeId;

/// Unassigned entries, each queued at its home: the node that placement
/// prefers for it. A node takes from its own queue, and when that is empty
/// from the longest one that has something for it.
///
/// Taking costs the logarithm of the entries. Stealing looks at every pair of
/// home and group of which the node holds the group, at most, and when that is
/// in vain the node is left alone until the backlog grows by something for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    queues: BTreeMap<NodeId, Queue>,
    /// The queues that are not empty, by length.
    by_length: BTreeSet<(usize, NodeId)>,
    /// The homes that have entries of each group.
    homes_of: BTreeMap<Group, BTreeSet<NodeId>>,
    homes: BTreeMap<u32, (NodeId, Group)>,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    length: usize,
    groups: BTreeMap<Group, BTreeSet<u32>>,
}

impl Backlog {
    /// Number of unassigned entries.
    pub(super) fn len(&self) -> usize {
        self.homes.len()
    }

    /// Whether the entry at `position` is unassigned.
    pub(super) fn contains(&self, position: u32) -> bool {
        self.homes.contains_key(&position)
    }

    /// Queues the entry at `position`, which is not queued, at `home`.
    pub(super) fn insert(&mut self, position: u32, group: Group, home: NodeId) {
        let previous = self.homes.insert(position, (home, group));
        debug_assert!(previous.is_none(), "entry {position} is queued twice");
        let queue = self.queues.entry(home).or_default();
        queue.groups.entry(group).or_default().insert(position);
        self.homes_of.entry(group).or_default().insert(home);
        self.resize(home, |length| length + 1);
    }

    /// Takes the entry at `position` away, if it is here.
    pub(super) fn remove(&mut self, position: u32) -> bool {
        let Some((home, group)) = self.homes.remove(&position) else { return false };
        if let Some(queue) = self.queues.get_mut(&home)
            && let Some(positions) = queue.groups.get_mut(&group)
        {
            positions.remove(&position);
            if positions.is_empty() {
                queue.groups.remove(&group);
                if let Some(homes) = self.homes_of.get_mut(&group) {
                    homes.remove(&home);
                    if homes.is_empty() {
                        self.homes_of.remove(&group);
                    }
                }
            }
        }
        self.resize(home, |length| length - 1);
        true
    }

    /// Takes the first entry at home at `node`.
    pub(super) fn take_own(&mut self, node: NodeId) -> Option<u32> {
        let position = *self.queues.get(&node)?.groups.values().next()?.first()?;
        self.remove(position);
        Some(position)
    }

    /// Takes the last entry of the longest queue that has one that is `fit` and
    /// of a group that is `held`, which means all groups if it is `None`. The
    /// groups are in order.
    pub(super) fn steal(
        &mut self,
        held: Option<&[Group]>,
        fit: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let position = match held {
            // Of many queues only few can have something for this node.
            Some(groups) if groups.len() < self.by_length.len() => {
                let homes = groups.iter().filter_map(|group| self.homes_of.get(group)).flatten();
                let queues: BTreeSet<(usize, NodeId)> =
                    homes.map(|&home| (self.queues[&home].length, home)).collect();
                self.last_of(queues.iter().rev(), held, fit)
            }
            _ => self.last_of(self.by_length.iter().rev(), held, fit),
        }?;
        self.remove(position);
        Some(position)
    }

    /// The last entry of the first of these queues that has one.
    fn last_of<'a>(
        &self,
        queues: impl Iterator<Item = &'a (usize, NodeId)>,
        held: Option<&[Group]>,
        fit: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        queues
            .flat_map(|(_, home)| self.queues[home].groups.iter().rev())
            .filter(|(group, _)| held.is_none_or(|held| held.binary_search(group).is_ok()))
            .find_map(|(_, positions)| positions.iter().rev().copied().find(|&p| fit(p)))
    }

    /// Takes all entries at home at `node`.
    pub(super) fn take_all_of(&mut self, node: NodeId) -> Vec<u32> {
        let Some(queue) = self.queues.get(&node) else { return Vec::new() };
        let positions: Vec<u32> = queue.groups.values().flatten().copied().collect();
        for &position in &positions {
            self.remove(position);
        }
        positions
    }

    /// Takes all entries of a group at home at `node`.
    pub(super) fn take_group_of(&mut self, node: NodeId, group: Group) -> Vec<u32> {
        let positions = self.queues.get(&node).and_then(|queue| queue.groups.get(&group));
        let positions: Vec<u32> = positions.into_iter().flatten().copied().collect();
        for &position in &positions {
            self.remove(position);
        }
        positions
    }

    /// The queued entries with their homes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, NodeId, Group)> {
        self.homes.iter().map(|(&position, &(home, group))| (position, home, group))
    }

    fn resize(&mut self, home: NodeId, change: impl Fn(usize) -> usize) {
        let Some(queue) = self.queues.get_mut(&home) else { return };
        self.by_length.remove(&(queue.length, home));
        queue.length = change(queue.length);
        if queue.length == 0 {
            self.queues.remove(&home);
        } else {
            self.by_length.insert((queue.length, home));
        }
    }
}
