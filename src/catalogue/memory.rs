//! What was ever seen: a join-semilattice, so that nodes that hear of each other's
//! memories in any order come to remember the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dtype::{ByteOrder, MemoryOrder};
use crate::manifest::Digest;
use crate::placement::NodeId;

use super::limits::{check_contents, check_count, check_names};
use super::{Array, CHANGES_MAX, CatalogueError, HOLDERS_MAX, Held, Holder, Nodes};

/// All that was ever seen, removed names included: what a node stores, and what it
/// sends to others.
///
/// Merging takes of each part what is more, and there is nothing but such parts, so
/// it is commutative, associative and idempotent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub(super) names: BTreeMap<String, Remembered>,
}

/// What is remembered of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Remembered {
    /// It was seen, and nobody has hashed it yet.
    Unhashed(Trace),
    /// Its contents, which are known: at least one, and only one if nobody made a
    /// mistake. That it was seen without a digest means nothing any more.
    Hashed(BTreeMap<Digest, Trace>),
}

/// What is remembered of some contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    /// What they are.
    pub(super) array: Array,
    /// How often they have been placed: 1 for whatever was seen, one more for each
    /// time they were placed again after a removal.
    pub(super) added: u32,
    /// How many of these placements have been removed.
    pub(super) removed: u32,
    /// Nodes that held them: of those that people call the same the first one, and
    /// of these the first [`HOLDERS_MAX`] in the order of their ids, which is a bound
    /// that merging keeps.
    pub(super) last: Nodes,
}

impl Trace {
    /// Contents that were seen, at nodes that are still to be named.
    fn new(array: Array) -> Trace {
        Trace { array, added: 1, removed: 0, last: Nodes::new() }
    }

    /// Whether they count: not all placements have been removed.
    pub(super) fn is_known(&self) -> bool {
        self.added > self.removed
    }

    fn encoded_bytes_max(&self) -> usize {
        let holder = |holder: &Holder| 16 + 20 + holder.name.len() + holder.addr.len();
        let last: usize = self.last.values().map(holder).sum();
        self.array.encoded_bytes_max() + 2 * 5 + 10 + last
    }

    /// Takes in what else is remembered of the same contents.
    fn join(&mut self, other: &Trace) -> bool {
        let before = (self.added, self.removed);
        self.added = self.added.max(other.added);
        self.removed = self.removed.max(other.removed);
        let mut changed = before != (self.added, self.removed);
        // A digest says what the array is. Only before hashing, or from a node that
        // lies, there can be two, and then any rule will do that all nodes share.
        if order(&other.array) < order(&self.array) {
            self.array = other.array.clone();
            changed = true;
        }
        for (&node, holder) in &other.last {
            changed |= remember(&mut self.last, node, holder);
        }
        changed
    }
}

/// Notes a holder, if it is among those that are kept. Of two addresses of one node
/// the greater one is kept: without a clock there is no newer one.
fn remember(last: &mut Nodes, node: NodeId, holder: &Holder) -> bool {
    if last.get(&node).is_some_and(|known| known >= holder) {
        return false;
    }
    // A node that was started again has another id. If each start counted, a few of
    // one node would push all others out.
    if last.range(..node).any(|(_, known)| known == holder) {
        return last.remove(&node).is_some();
    }
    last.retain(|_, known| known != holder);
    last.insert(node, holder.clone());
    // The one that is too many may be the new one, which changes nothing then.
    let dropped = if last.len() > HOLDERS_MAX { last.pop_last() } else { None };
    dropped.is_none_or(|(greatest, _)| greatest != node)
}

/// Any total order of arrays, the same on every node.
fn order(array: &Array) -> (u8, bool, bool, &[u64]) {
    let big = array.layout.byte_order == ByteOrder::Big;
    let fortran = array.memory_order == MemoryOrder::Fortran;
    (array.layout.dtype.code(), big, fortran, &array.shape)
}

impl Remembered {
    /// The different contents, as many as a digest tells apart.
    fn hashed(&self) -> Option<&BTreeMap<Digest, Trace>> {
        match self {
            Remembered::Unhashed(_) => None,
            Remembered::Hashed(contents) => Some(contents),
        }
    }

    fn encoded_bytes_max(&self) -> usize {
        match self {
            Remembered::Unhashed(trace) => 1 + trace.encoded_bytes_max(),
            Remembered::Hashed(contents) => {
                11 + contents.values().map(|trace| 32 + trace.encoded_bytes_max()).sum::<usize>()
            }
        }
    }

    fn join(&mut self, other: &Remembered) -> bool {
        match (&mut *self, other) {
            (Remembered::Unhashed(ours), Remembered::Unhashed(theirs)) => ours.join(theirs),
            (Remembered::Hashed(_), Remembered::Unhashed(_)) => false,
            (Remembered::Unhashed(_), Remembered::Hashed(_)) => {
                *self = other.clone();
                true
            }
            (Remembered::Hashed(ours), Remembered::Hashed(theirs)) => {
                let mut changed = false;
                for (&digest, trace) in theirs {
                    changed |= join_at(ours, &digest, trace, Trace::join);
                }
                changed
            }
        }
    }
}

/// Puts a value into a map, or joins it with what is there.
fn join_at<K: Clone + Ord, V: Clone>(
    map: &mut BTreeMap<K, V>,
    key: &K,
    value: &V,
    join: impl FnOnce(&mut V, &V) -> bool,
) -> bool {
    match map.get_mut(key) {
        Some(known) => join(known, value),
        None => {
            map.insert(key.clone(), value.clone());
            true
        }
    }
}

impl Memory {
    /// What is to be remembered of the files that `node` offers.
    ///
    /// # Errors
    /// A name that comes twice.
    pub(super) fn of(
        node: NodeId,
        holder: &Holder,
        files: &[Held],
    ) -> Result<Memory, CatalogueError> {
        let mut memory = Memory::default();
        for held in files {
            let mut trace = Trace::new(held.array.clone());
            remember(&mut trace.last, node, holder);
            let remembered = match held.digest {
                None => Remembered::Unhashed(trace),
                Some(digest) => Remembered::Hashed(BTreeMap::from([(digest, trace)])),
            };
            if memory.names.insert(held.name.clone(), remembered).is_some() {
                return Err(CatalogueError::Twice { name: held.name.clone() });
            }
        }
        Ok(memory)
    }

    /// Number of names, removed ones included.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nothing was ever seen.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The nodes that held something, each as often as it did.
    pub fn holders(&self) -> impl Iterator<Item = (NodeId, &Holder)> {
        let traces = self.names.values().flat_map(|remembered| match remembered {
            Remembered::Unhashed(trace) => vec![trace],
            Remembered::Hashed(contents) => contents.values().collect(),
        });
        traces.flat_map(|trace| trace.last.iter().map(|(&node, holder)| (node, holder)))
    }

    /// What it says of one name.
    pub fn only(&self, name: &str) -> Memory {
        let of_name = self.names.get_key_value(name);
        Memory { names: of_name.map(|(k, v)| (k.clone(), v.clone())).into_iter().collect() }
    }

    /// The same in parts, which may be joined in any order. Each has at most so many
    /// names and, unless one name alone has more, so many encoded bytes.
    pub fn parts(self, names_max: usize, bytes_max: usize) -> Vec<Memory> {
        let mut parts: Vec<Memory> = Vec::new();
        let (mut names, mut bytes) = (0, 0);
        for (name, remembered) in self.names {
            let more = 10 + name.len() + remembered.encoded_bytes_max();
            if names == 0 || names >= names_max || bytes + more > bytes_max {
                parts.push(Memory::default());
                (names, bytes) = (0, 0);
            }
            (names, bytes) = (names + 1, bytes + more);
            if let Some(part) = parts.last_mut() {
                part.names.insert(name, remembered);
            }
        }
        parts
    }

    pub(super) fn get(&self, name: &str) -> Option<&Remembered> {
        self.names.get(name)
    }

    /// The names in the order of their bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Remembered)> {
        self.names.iter().map(|(name, remembered)| (name.as_str(), remembered))
    }

    /// Checks that `other` could be joined without passing a limit.
    pub(super) fn check_room(
        &self,
        other: &Memory,
        names_max: usize,
    ) -> Result<(), CatalogueError> {
        let mut names = self.names.len();
        for (name, theirs) in &other.names {
            let Some(ours) = self.names.get(name) else {
                names += 1;
                continue;
            };
            if let (Some(ours), Some(theirs)) = (ours.hashed(), theirs.hashed()) {
                let more = theirs.keys().filter(|digest| !ours.contains_key(digest)).count();
                check_contents(name, ours.len() + more)?;
            }
        }
        check_names(names, names_max)
    }

    /// Takes in another memory, and returns what of it added anything.
    pub(super) fn join(&mut self, other: &Memory) -> Memory {
        let mut new = Memory::default();
        for (name, theirs) in &other.names {
            if join_at(&mut self.names, name, theirs, Remembered::join) {
                new.names.insert(name.clone(), theirs.clone());
            }
        }
        new
    }

    /// Marks contents as removed: those of this digest, or what was seen of the name
    /// before anybody hashed it.
    pub(super) fn forget(&mut self, name: &str, digest: Option<Digest>) {
        let trace = match (self.names.get_mut(name), digest) {
            (Some(Remembered::Unhashed(trace)), None) => Some(trace),
            (Some(Remembered::Hashed(contents)), Some(digest)) => contents.get_mut(&digest),
            _ => None,
        };
        if let Some(trace) = trace {
            trace.removed = trace.added;
        }
    }

    /// Whether these contents have not been removed.
    pub(super) fn counts(&self, name: &str, digest: Digest) -> bool {
        let known = self.names.get(name).and_then(Remembered::hashed);
        known.and_then(|contents| contents.get(&digest)).is_none_or(Trace::is_known)
    }

    /// What is to be joined so that these contents count, whatever happened to them.
    ///
    /// # Errors
    /// They have been removed and placed again too often.
    pub(super) fn restored(
        &self,
        name: &str,
        array: Array,
        digest: Digest,
    ) -> Result<Memory, CatalogueError> {
        let mut trace = Trace::new(array);
        let known = self.names.get(name).and_then(Remembered::hashed);
        if let Some(known) = known.and_then(|contents| contents.get(&digest)) {
            trace.removed = known.removed;
            trace.added = known.added.max(known.removed + 1);
        }
        check_count(
            || format!("times that '{name}' has been placed"),
            trace.added as usize,
            CHANGES_MAX as usize,
            "place it under another name",
        )?;
        let contents = Remembered::Hashed(BTreeMap::from([(digest, trace)]));
        Ok(Memory { names: BTreeMap::from([(name.to_owned(), contents)]) })
    }
}
