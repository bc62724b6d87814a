//! What a cluster has: which arrays there are by name, who holds them, and which
//! were there once.
//!
//! A name is a UTF-8 path, its parts joined by `/`. **Names are immutable and
//! remembered.** A name stands for one array for ever, and every node remembers
//! all that it or any other node ever saw ([`Memory`]). So a file that went away
//! is *missing*, which people learn, and does not make a smaller answer. Only an
//! explicit removal forgets it. That is remembered, too: a copy that returns
//! afterwards is reported and not counted.
//!
//! Two facts are kept apart. What is *live* is what connected nodes offer now; it
//! comes and goes with them. What is *remembered* only grows, and merging it has no
//! order, so nodes that talk in any order, any number of times, remember the same.
//!
//! Pure: nothing here reads a disk or a clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dtype::{Layout, MemoryOrder};
use crate::manifest::{Digest, File, FileIdentity, element_count};
use crate::placement::NodeId;

mod error;
mod expand;
mod limits;
mod listing;
mod live;
mod memory;
mod pattern;
mod standing;

pub use error::CatalogueError;
pub use expand::{Conflict, Expansion, Found, Missing, Returned, Unmet};
pub use limits::{
    CHANGES_MAX, CONTENTS_MAX, FILES_MAX, HOLDERS_MAX, NAME_BYTES_MAX, NAMES_MAX,
    PATTERN_BYTES_MAX, REPLICAS_MAX, TEXT_BYTES_MAX, UNUSABLE_MAX, check_name,
};
pub use listing::{Listed, State};
pub use memory::Memory;
pub use pattern::Pattern;
pub use standing::Copies;

use live::Live;
use standing::Standing;

/// An array as the header of its file describes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Array {
    /// Type and byte order of the elements.
    pub layout: Layout,
    /// Which axis varies fastest.
    pub memory_order: MemoryOrder,
    /// Lengths of the axes.
    pub shape: Vec<u64>,
}

impl Array {
    /// Bytes of its elements, or `None` past 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        element_count(&self.shape)?.checked_mul(self.layout.dtype.size_bytes() as u64)
    }

    fn encoded_bytes_max(&self) -> usize {
        3 + 10 + 10 * self.shape.len()
    }
}

/// A file as its node offers it to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its path under the node's data directory, parts joined by `/`.
    pub name: String,
    /// What lies in it.
    pub array: Array,
    /// Its contents, as soon as they have been hashed.
    pub digest: Option<Digest>,
    /// The state of the file at its node.
    pub identity: FileIdentity,
}

impl Held {
    /// An upper bound of the bytes that it encodes to.
    pub fn encoded_bytes_max(&self) -> usize {
        // Numbers take ten bytes at most, times nineteen; a digest 32.
        10 + self.name.len() + self.array.encoded_bytes_max() + 33 + 3 * 10 + 2 * 19
    }
}

/// A file that its node cannot offer. It is not in the catalogue, but who asks for it
/// must not get an answer without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// Its path under the node's data directory, as far as it has a name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A node as people know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub addr: String,
}

/// Nodes, with what people call them.
pub type Nodes = BTreeMap<NodeId, Holder>;

/// What one node knows of all that its cluster has.
#[derive(Clone, Debug)]
pub struct Catalogue {
    own: NodeId,
    live: Live,
    /// Knows every name that is live.
    memory: Memory,
    /// What connected nodes have and cannot offer.
    unusable: BTreeMap<NodeId, Vec<Unusable>>,
}

impl Catalogue {
    /// The catalogue of a node that has seen nothing yet, itself included.
    pub fn new(own: NodeId) -> Catalogue {
        Catalogue {
            own,
            live: Live::default(),
            memory: Memory::default(),
            unusable: BTreeMap::new(),
        }
    }

    /// The node whose view this is.
    pub fn own(&self) -> NodeId {
        self.own
    }

    /// Takes in all that `node`, this one or a connected one, offers now, in place
    /// of what it offered before, and learns the names. Returns whether the memory
    /// changed: then it is to be stored and sent on.
    ///
    /// Contents that have been removed stay so, whoever offers them.
    ///
    /// # Errors
    /// Something is not well formed or passes a limit. Then nothing has changed.
    pub fn set_held(
        &mut self,
        node: NodeId,
        holder: Holder,
        files: Vec<Held>,
    ) -> Result<bool, CatalogueError> {
        limits::check_offer(&holder, &files)?;
        let learnt = Memory::of(node, &holder, &files)?;
        self.memory.check_room(&learnt, NAMES_MAX)?;
        self.live.set(node, holder, files);
        Ok(!self.memory.join(&learnt).is_empty())
    }

    /// Notes that `node` is not connected any more: its files are not live. The
    /// memory stays as it is.
    pub fn lost(&mut self, node: NodeId) {
        self.live.lose(node);
        self.unusable.remove(&node);
    }

    /// Takes in what `node` has and cannot offer, in place of what it had before: the
    /// first [`UNUSABLE_MAX`] of it.
    pub fn set_unusable(&mut self, node: NodeId, mut files: Vec<Unusable>) {
        files.truncate(UNUSABLE_MAX);
        self.unusable.insert(node, files);
    }

    /// All that is remembered: what is to be stored, and to be sent to others.
    pub fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// Takes in what another node remembers, or what this one stored. Returns
    /// whether the memory changed.
    ///
    /// A join: in whatever order and however often memories are merged, all end as
    /// the same. Only at the limits it is not, where one is refused as a whole.
    ///
    /// # Errors
    /// The other is not well formed, or both together pass a limit. Then nothing
    /// has changed.
    pub fn merge(&mut self, other: &Memory) -> Result<bool, CatalogueError> {
        self.learn(other).map(|new| !new.is_empty())
    }

    /// [`Catalogue::merge`] that returns what of the other was new: all that others
    /// need to hear.
    ///
    /// # Errors
    /// As [`Catalogue::merge`].
    pub fn learn(&mut self, other: &Memory) -> Result<Memory, CatalogueError> {
        other.check()?;
        self.memory.check_room(other, NAMES_MAX)?;
        Ok(self.memory.join(other))
    }

    /// Whether a name was ever seen.
    pub fn knows(&self, name: &str) -> bool {
        self.memory.get(name).is_some()
    }

    /// What is remembered of one name.
    pub fn memory_of(&self, name: &str) -> Memory {
        self.memory.only(name)
    }

    /// Forgets the contents of `name` that no live node holds, and returns their
    /// digests: none for a name that was never hashed.
    ///
    /// A live copy that is not hashed yet may be any contents of its array, so it
    /// keeps these from being forgotten.
    ///
    /// # Errors
    /// All contents are held: files are deleted by their owners, not from here. Or
    /// nothing is known under the name.
    pub fn remove(&mut self, name: &str) -> Result<Vec<Digest>, CatalogueError> {
        let standing =
            self.standing(name).ok_or_else(|| CatalogueError::Unknown { name: clip(name) })?;
        let name = name.to_owned();
        if !standing.is_known() {
            return Err(CatalogueError::Removed { name });
        }
        let free: Vec<Option<Digest>> = standing.unheld();
        if free.is_empty() {
            let nodes = standing.known_holders(&self.live);
            return Err(CatalogueError::Held { name, holders: listed(&nodes) });
        }
        for &digest in &free {
            self.memory.forget(&name, digest);
        }
        Ok(free.into_iter().flatten().collect())
    }

    /// Notes that somebody placed these contents anew under `name`: they count,
    /// also if they were removed before. Returns whether the memory changed.
    ///
    /// # Errors
    /// Something is not well formed or passes a limit. Then nothing has changed.
    pub fn restore(
        &mut self,
        name: &str,
        array: Array,
        digest: Digest,
    ) -> Result<bool, CatalogueError> {
        check_name(name)?;
        array.check(name)?;
        let restored = self.memory.restored(name, array, digest)?;
        self.memory.check_room(&restored, NAMES_MAX)?;
        Ok(!self.memory.join(&restored).is_empty())
    }

    /// Whether these contents count under `name`, or would if they were seen: nobody
    /// removed them.
    pub fn counts(&self, name: &str, digest: Digest) -> bool {
        self.memory.counts(name, digest)
    }

    /// The connected nodes that hold the contents of a file of an [`Expansion`]: those
    /// with its digest or, if it has none, with the same state of the file.
    pub fn holders(&self, file: &File) -> BTreeSet<NodeId> {
        let Ok(name) = std::str::from_utf8(&file.path) else { return BTreeSet::new() };
        let holds = |offered: &live::Offered| match file.digest {
            Some(digest) => offered.digest == Some(digest),
            None => offered.identity == file.identity,
        };
        self.live.offers(name).filter(|(_, offered)| holds(offered)).map(|(node, _)| node).collect()
    }

    /// How a name stands, if it was ever seen.
    fn standing<'a>(&'a self, name: &'a str) -> Option<Standing<'a>> {
        Some(Standing::new(name, self.memory.get(name)?, &self.live))
    }

    /// How every name stands that was ever seen, in the order of their bytes.
    fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.memory.iter().map(|(name, remembered)| Standing::new(name, remembered, &self.live))
    }
}

/// Nodes for people, in the order of their ids, not more than can be read.
fn listed(nodes: &Nodes) -> String {
    let shown = nodes.values().take(HOLDERS_MAX);
    let mut parts: Vec<String> =
        shown.map(|holder| format!("{} ({})", holder.name, holder.addr)).collect();
    if nodes.len() > HOLDERS_MAX {
        parts.push(format!("{} more", nodes.len() - HOLDERS_MAX));
    }
    match parts.is_empty() {
        true => "no node that is remembered".to_owned(),
        false => parts.join(", "),
    }
}

/// A text for people that may be as long as somebody liked.
fn clip(text: &str) -> String {
    match text.char_indices().nth(NAME_BYTES_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
