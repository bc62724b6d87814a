//! What connected nodes offer now.

use std::collections::BTreeMap;

use crate::manifest::{Digest, FileIdentity};
use crate::placement::NodeId;

use super::{Array, Held, Holder, Nodes};

/// What connected nodes offer, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    members: BTreeMap<NodeId, Member>,
    offered: BTreeMap<String, BTreeMap<NodeId, Offered>>,
}

#[derive(Clone, Debug)]
struct Member {
    holder: Holder,
    /// What it offers, so that a node that goes is not looked for under all names.
    names: Vec<String>,
}

/// A file that a node offers under some name.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) array: Array,
    pub(super) digest: Option<Digest>,
    pub(super) identity: FileIdentity,
}

impl Live {
    /// Takes in all that a node offers, in place of what it offered before.
    pub(super) fn set(&mut self, node: NodeId, holder: Holder, files: Vec<Held>) {
        self.lose(node);
        let names = files.iter().map(|held| held.name.clone()).collect();
        self.members.insert(node, Member { holder, names });
        for Held { name, array, digest, identity } in files {
            let offered = Offered { array, digest, identity };
            self.offered.entry(name).or_default().insert(node, offered);
        }
    }

    /// Drops all that a node offers.
    pub(super) fn lose(&mut self, node: NodeId) {
        let Some(member) = self.members.remove(&node) else {
            return;
        };
        for name in member.names {
            if let Some(nodes) = self.offered.get_mut(&name) {
                nodes.remove(&node);
                if nodes.is_empty() {
                    self.offered.remove(&name);
                }
            }
        }
    }

    /// What there is under a name, in the order of the nodes' ids.
    pub(super) fn offers(&self, name: &str) -> impl Iterator<Item = (NodeId, &Offered)> {
        let nodes = self.offered.get(name);
        nodes.into_iter().flatten().map(|(&node, offered)| (node, offered))
    }

    /// Live nodes with what people call them.
    pub(super) fn named(&self, nodes: impl IntoIterator<Item = NodeId>) -> Nodes {
        let holder = |node| Some((node, self.members.get(&node)?.holder.clone()));
        nodes.into_iter().filter_map(holder).collect()
    }
}
