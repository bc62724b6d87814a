//! Which nodes have an entry's bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::placement::NodeId;

/// Which nodes have which files of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Every node has every file, as on shared storage. One that has not fails
    /// the entry, and another is asked.
    Everyone,
    /// The nodes that have each file, in the manifest's order.
    PerFile(Vec<BTreeSet<NodeId>>),
}

impl Holders {
    /// The nodes that have a file by one account or the other. Both are of the
    /// same number of files.
    fn union(self, other: Holders) -> Holders {
        match (self, other) {
            (Holders::PerFile(ours), Holders::PerFile(theirs)) => {
                let both = ours.into_iter().zip(theirs);
                Holders::PerFile(both.map(|(a, b)| &a | &b).collect())
            }
            (Holders::Everyone, _) | (_, Holders::Everyone) => Holders::Everyone,
        }
    }
}

/// Number of a set of files that the same nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(u32);

/// Holders with equal sets made one, since a data set has many files and few
/// different sets.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    holders: Holders,
    group_of_file: Vec<Group>,
    nodes_of_group: Vec<BTreeSet<NodeId>>,
    /// The groups of each node that has anything, in order.
    groups_of_node: BTreeMap<NodeId, Vec<Group>>,
}

impl Groups {
    pub(super) fn new(holders: Holders) -> Groups {
        let mut numbers: BTreeMap<BTreeSet<NodeId>, Group> = BTreeMap::new();
        let mut groups = Groups {
            holders,
            group_of_file: Vec::new(),
            nodes_of_group: Vec::new(),
            groups_of_node: BTreeMap::new(),
        };
        if let Holders::PerFile(files) = &groups.holders {
            for nodes in files {
                let next = Group(numbers.len() as u32);
                let group = *numbers.entry(nodes.clone()).or_insert_with(|| {
                    groups.nodes_of_group.push(nodes.clone());
                    for &node in nodes {
                        groups.groups_of_node.entry(node).or_default().push(next);
                    }
                    next
                });
                groups.group_of_file.push(group);
            }
        }
        groups
    }

    /// The group of a file of the manifest.
    pub(super) fn of_file(&self, file: u32) -> Group {
        self.group_of_file.get(file as usize).copied().unwrap_or(Group(0))
    }

    /// Whether `node` has the files of `group`.
    pub(super) fn holds(&self, node: NodeId, group: Group) -> bool {
        match self.holders {
            Holders::Everyone => true,
            Holders::PerFile(_) => self.nodes_of_group[group.0 as usize].contains(&node),
        }
    }

    /// Whether `node` has any file.
    pub(super) fn holds_any(&self, node: NodeId) -> bool {
        match self.holders {
            Holders::Everyone => true,
            Holders::PerFile(_) => self.groups_of_node.contains_key(&node),
        }
    }

    /// The groups whose files `node` has, in order, or `None` if it has all.
    pub(super) fn held_by(&self, node: NodeId) -> Option<&[Group]> {
        match self.holders {
            Holders::Everyone => None,
            Holders::PerFile(_) => {
                Some(self.groups_of_node.get(&node).map_or(&[], |groups| groups.as_slice()))
            }
        }
    }

    /// The nodes that have the files of `group`, or `None` if all do.
    pub(super) fn nodes(&self, group: Group) -> Option<&BTreeSet<NodeId>> {
        match self.holders {
            Holders::Everyone => None,
            Holders::PerFile(_) => Some(&self.nodes_of_group[group.0 as usize]),
        }
    }

    /// Takes in what another request knows of the same files.
    pub(super) fn extend(&mut self, more: Holders) {
        *self = Groups::new(self.holders.clone().union(more));
    }
}
