//! Whether this node has met the cluster that it belongs to.
//!
//! What others hold is learnt from them. A node that has met nobody since it started
//! knows what it remembers and no more, and one that never met anybody nothing but its
//! own: what it is asked by globs then has no answer that could be relied on.

use std::net::SocketAddr;

use crate::catalogue::{Memory, Unmet};
use crate::placement::NodeId;

/// The most addresses that are named.
const NAMED_MAX: usize = 8;

/// Nodes that this one was to meet, until it has met one.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// Where it was told that others are.
    seeds: Vec<String>,
    /// Whether it knows from an earlier life that there are others.
    remembers: bool,
    has_met: bool,
}

impl Company {
    /// Of the node `own` that remembers this.
    pub(super) fn of(own: NodeId, memory: &Memory) -> Company {
        let remembers = memory.holders().any(|(node, _)| node != own);
        Company { remembers, ..Company::default() }
    }

    pub(super) fn expect(&mut self, seeds: Vec<String>) {
        self.seeds = seeds;
    }

    /// Another member is there.
    pub(super) fn meet(&mut self) {
        self.has_met = true;
    }

    /// The node itself is at this address.
    pub(super) fn is_itself(&mut self, addr: SocketAddr) {
        self.seeds.retain(|seed| *seed != addr.to_string());
    }

    /// What the node called `name` has not met, if there is anybody to meet.
    pub(super) fn unmet(&self, name: &str) -> Option<Unmet> {
        let expects = self.remembers || !self.seeds.is_empty();
        (expects && !self.has_met).then(|| Unmet {
            node: name.to_owned(),
            seeds: self.seeds.iter().take(NAMED_MAX).cloned().collect(),
            remembers: self.remembers,
        })
    }
}
