//! How a name stands: what is remembered of it beside what is live.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::manifest::Digest;
use crate::placement::NodeId;

use super::live::{Live, Offered};
use super::memory::{Remembered, Trace};
use super::{Array, Nodes};

/// Some contents under a name, and where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// What tells them from others, or `None` while they are not hashed.
    pub digest: Option<Digest>,
    /// What they are.
    pub array: Array,
    /// The connected nodes that hold them.
    pub live: Nodes,
    /// Nodes that hold them or held them, as far as that is remembered.
    pub last: Nodes,
    /// Whether they have been removed and do not count.
    pub removed: bool,
}

impl Copies {
    /// Bytes of the elements.
    pub fn bytes(&self) -> u64 {
        self.array.bytes().unwrap_or(u64::MAX)
    }
}

/// A name with all that is known of it.
pub(super) struct Standing<'a> {
    pub(super) name: &'a str,
    /// Contents with a digest, in the order of their digests.
    lots: Vec<Lot<'a>>,
    /// What is remembered of a name without a digest.
    mark: Option<&'a Trace>,
    /// Live copies that have no digest yet.
    unhashed: Vec<(NodeId, &'a Offered)>,
}

/// Some contents with a digest.
pub(super) struct Lot<'a> {
    pub(super) digest: Digest,
    pub(super) trace: &'a Trace,
    /// The connected nodes that hold them.
    pub(super) live: BTreeSet<NodeId>,
}

/// What a name means for somebody who wants its array.
pub(super) enum Verdict<'s, 'a> {
    /// These contents, which live nodes hold.
    Hashed(&'s Lot<'a>),
    /// The file of this node, as nothing is hashed yet.
    Unhashed(NodeId, &'a Offered),
    /// It should be there and is not, or it is not sure yet whether it is.
    Missing(Option<&'a Trace>),
    /// It means different things.
    Conflict,
    /// Nothing, any more.
    Removed,
}

impl<'a> Standing<'a> {
    pub(super) fn new(name: &'a str, remembered: &'a Remembered, live: &'a Live) -> Standing<'a> {
        let (mut lots, mut mark) = (Vec::new(), None);
        match remembered {
            Remembered::Unhashed(trace) => mark = Some(trace),
            Remembered::Hashed(contents) => {
                lots.extend(contents.iter().map(|(&digest, trace)| {
                    let holds = |offered: &Offered| offered.digest == Some(digest);
                    let nodes = live.offers(name).filter(|(_, offered)| holds(offered));
                    Lot { digest, trace, live: nodes.map(|(node, _)| node).collect() }
                }));
            }
        }
        let unhashed = live.offers(name).filter(|(_, offered)| offered.digest.is_none()).collect();
        Standing { name, lots, mark, unhashed }
    }

    /// Contents that count.
    pub(super) fn known(&self) -> impl Iterator<Item = &Lot<'a>> {
        self.lots.iter().filter(|lot| lot.trace.is_known())
    }

    /// What was seen without a digest and counts.
    fn known_mark(&self) -> Option<&'a Trace> {
        self.mark.filter(|mark| mark.is_known())
    }

    /// Whether anything under the name counts.
    pub(super) fn is_known(&self) -> bool {
        self.known().next().is_some() || self.known_mark().is_some()
    }

    /// Contents that were removed and that a live node holds nevertheless.
    pub(super) fn returned(&self) -> impl Iterator<Item = &Lot<'a>> {
        self.lots.iter().filter(|lot| !lot.trace.is_known() && !lot.live.is_empty())
    }

    /// The copies that are being hashed.
    pub(super) fn unhashed(&self) -> impl Iterator<Item = (NodeId, &'a Offered)> {
        self.unhashed.iter().copied()
    }

    /// The nodes whose copies are being hashed.
    pub(super) fn hashing(&self) -> impl Iterator<Item = NodeId> {
        self.unhashed.iter().map(|&(node, _)| node)
    }

    /// What the name means.
    pub(super) fn verdict(&self) -> Verdict<'_, 'a> {
        let mut known = self.known();
        match (known.next(), known.next()) {
            (Some(_), Some(_)) => Verdict::Conflict,
            (Some(lot), None) if lot.live.is_empty() => Verdict::Missing(Some(lot.trace)),
            (Some(lot), None) => Verdict::Hashed(lot),
            (None, _) => self.verdict_without_digest(),
        }
    }

    fn verdict_without_digest(&self) -> Verdict<'_, 'a> {
        let Some(&(node, first)) = self.unhashed.first() else {
            return match self.known_mark() {
                Some(mark) => Verdict::Missing(Some(mark)),
                None => Verdict::Removed,
            };
        };
        // Something was removed under this name. Only its digest will tell whether
        // this is that, come back, or something new.
        if self.known_mark().is_none() {
            return Verdict::Missing(None);
        }
        // Different arrays will have different digests.
        match self.unhashed.iter().all(|(_, offered)| offered.array == first.array) {
            true => Verdict::Unhashed(node, first),
            false => Verdict::Conflict,
        }
    }

    /// Contents that count and that no live node holds, also none whose copy is
    /// being hashed and may turn out to be these.
    pub(super) fn unheld(&self) -> Vec<Option<Digest>> {
        let free =
            |array: &Array| !self.unhashed.iter().any(|(_, offered)| offered.array == *array);
        let lots = self.known().filter(|lot| lot.live.is_empty() && free(&lot.trace.array));
        let mark = self.known_mark().filter(|_| self.unhashed.is_empty());
        lots.map(|lot| Some(lot.digest)).chain(mark.map(|_| None)).collect()
    }

    /// The live nodes that hold what counts, or may turn out to.
    pub(super) fn known_holders(&self, live: &Live) -> Nodes {
        let hashed = self.known().flat_map(|lot| lot.live.iter().copied());
        live.named(hashed.chain(self.hashing()))
    }

    /// All contents that count or are there.
    pub(super) fn copies(&self, live: &Live) -> Vec<Copies> {
        let shown = |lot: &&Lot| lot.trace.is_known() || !lot.live.is_empty();
        let lots = self.lots.iter().filter(shown).map(|lot| Copies {
            digest: Some(lot.digest),
            array: lot.trace.array.clone(),
            live: live.named(lot.live.iter().copied()),
            last: lot.trace.last.clone(),
            removed: !lot.trace.is_known(),
        });
        lots.chain(self.unhashed_copies(live)).collect()
    }

    /// What is not hashed, by array.
    fn unhashed_copies(&self, live: &Live) -> Vec<Copies> {
        let mut copies: Vec<Copies> = Vec::new();
        let unhashed = |array: &Array, last: &Nodes| Copies {
            digest: None,
            array: array.clone(),
            live: Nodes::new(),
            last: last.clone(),
            removed: false,
        };
        if let Some(mark) = self.known_mark() {
            copies.push(unhashed(&mark.array, &mark.last));
        }
        for &(node, offered) in &self.unhashed {
            let known = copies.iter().position(|copies| copies.array == offered.array);
            let at = known.unwrap_or_else(|| {
                copies.push(unhashed(&offered.array, &Nodes::new()));
                copies.len() - 1
            });
            copies[at].live.extend(live.named([node]));
        }
        // The array that is remembered may be another than those that are there.
        if !self.unhashed.is_empty() {
            copies.retain(|copies| !copies.live.is_empty());
        }
        copies
    }
}
