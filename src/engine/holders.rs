//! Which nodes have an entry's bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::placement::{Holders, NodeId};

/// Number of a set of files that the same nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(u32);

/// Holders with equal sets made one, since a data set has many files and few
/// different sets.
///
/// A node can stand behind another, its deputy. Its **seat** is the node to ask
/// for what it has: the deputy, or itself.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    holders: Holders,
    group_of_file: Vec<Group>,
    nodes_of_group: Vec<BTreeSet<NodeId>>,
    /// The seats of the nodes of each group, and how many nodes each is for.
    seats_of_group: Vec<BTreeMap<NodeId, u32>>,
    groups_of_node: BTreeMap<NodeId, Vec<Group>>,
    /// The groups of each seat that has any, in order.
    groups_of_seat: BTreeMap<NodeId, Vec<Group>>,
    deputies: BTreeMap<NodeId, NodeId>,
}

impl Groups {
    pub(super) fn new(holders: Holders) -> Groups {
        let mut numbers: BTreeMap<BTreeSet<NodeId>, Group> = BTreeMap::new();
        let mut groups = Groups {
            holders,
            group_of_file: Vec::new(),
            nodes_of_group: Vec::new(),
            seats_of_group: Vec::new(),
            groups_of_node: BTreeMap::new(),
            groups_of_seat: BTreeMap::new(),
            deputies: BTreeMap::new(),
        };
        if let Holders::PerFile(files) = &groups.holders {
            for nodes in files {
                let next = Group(numbers.len() as u32);
                let group = *numbers.entry(nodes.clone()).or_insert_with(|| {
                    groups.nodes_of_group.push(nodes.clone());
                    groups.seats_of_group.push(nodes.iter().map(|&node| (node, 1)).collect());
                    for &node in nodes {
                        groups.groups_of_node.entry(node).or_default().push(next);
                    }
                    next
                });
                groups.group_of_file.push(group);
            }
        }
        groups.groups_of_seat.clone_from(&groups.groups_of_node);
        groups
    }

    /// Lets `node` stand behind `deputy`, which stands behind nobody.
    pub(super) fn set_deputy(&mut self, node: NodeId, deputy: NodeId) {
        self.move_seat(node, self.seat(node), deputy);
        self.deputies.insert(node, deputy);
    }

    /// Lets `node` stand behind nobody. Returns the groups that its deputy does not
    /// have any more.
    pub(super) fn leave_team(&mut self, node: NodeId) -> Vec<Group> {
        match self.deputies.remove(&node) {
            Some(deputy) => self.move_seat(node, deputy, node),
            None => Vec::new(),
        }
    }

    /// The deputy of a node, if it has one.
    pub(super) fn deputy_of(&self, node: NodeId) -> Option<NodeId> {
        self.deputies.get(&node).copied()
    }

    /// Those who stand behind `deputy`.
    pub(super) fn team(&self, deputy: NodeId) -> BTreeSet<NodeId> {
        let all = self.deputies.iter();
        all.filter(|&(_, &other)| other == deputy).map(|(&node, _)| node).collect()
    }

    /// The holders of all files, as far as they are of `nodes`.
    pub(super) fn among(&self, nodes: &BTreeSet<NodeId>) -> Holders {
        match &self.holders {
            Holders::Everyone => Holders::Everyone,
            Holders::PerFile(files) => Holders::PerFile(files.iter().map(|f| f & nodes).collect()),
        }
    }

    fn seat(&self, node: NodeId) -> NodeId {
        self.deputy_of(node).unwrap_or(node)
    }

    /// Asks for what `node` has at another seat. Returns the groups that are not at
    /// the former any more.
    fn move_seat(&mut self, node: NodeId, from: NodeId, to: NodeId) -> Vec<Group> {
        let mut gone = Vec::new();
        for &group in self.groups_of_node.get(&node).into_iter().flatten() {
            let seats = &mut self.seats_of_group[group.0 as usize];
            let left = seats.get_mut(&from).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                seats.remove(&from);
                remove(self.groups_of_seat.entry(from).or_default(), group);
                gone.push(group);
            }
            *seats.entry(to).or_default() += 1;
            insert(self.groups_of_seat.entry(to).or_default(), group);
        }
        if self.groups_of_seat.get(&from).is_some_and(Vec::is_empty) {
            self.groups_of_seat.remove(&from);
        }
        gone
    }

    /// The group of a file of the manifest.
    pub(super) fn of_file(&self, file: u32) -> Group {
        self.group_of_file.get(file as usize).copied().unwrap_or(Group(0))
    }

    /// Whether a seat has the files of `group`.
    pub(super) fn holds(&self, seat: NodeId, group: Group) -> bool {
        self.seats(group).is_none_or(|seats| seats.contains_key(&seat))
    }

    /// Whether a seat has any file.
    pub(super) fn holds_any(&self, seat: NodeId) -> bool {
        match self.holders {
            Holders::Everyone => true,
            Holders::PerFile(_) => self.groups_of_seat.contains_key(&seat),
        }
    }

    /// The groups whose files a seat has, in order, or `None` if it has all.
    pub(super) fn held_by(&self, seat: NodeId) -> Option<&[Group]> {
        match self.holders {
            Holders::Everyone => None,
            Holders::PerFile(_) => {
                Some(self.groups_of_seat.get(&seat).map_or(&[], |groups| groups.as_slice()))
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

    /// The seats that have the files of `group`, or `None` if all do.
    pub(super) fn seats(&self, group: Group) -> Option<&BTreeMap<NodeId, u32>> {
        match self.holders {
            Holders::Everyone => None,
            Holders::PerFile(_) => Some(&self.seats_of_group[group.0 as usize]),
        }
    }

    /// Takes in what another request knows of the same files.
    pub(super) fn extend(&mut self, more: Holders) {
        let deputies = std::mem::take(&mut self.deputies);
        *self = Groups::new(self.holders.clone().union(more));
        for (node, deputy) in deputies {
            self.set_deputy(node, deputy);
        }
    }
}

/// Adds to a list in order, once.
fn insert(groups: &mut Vec<Group>, group: Group) {
    if let Err(place) = groups.binary_search(&group) {
        groups.insert(place, group);
    }
}

/// Takes from a list in order.
fn remove(groups: &mut Vec<Group>, group: Group) {
    if let Ok(place) = groups.binary_search(&group) {
        groups.remove(place);
    }
}
