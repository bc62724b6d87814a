//! Which node an entry would rather be reduced by.
//!
//! Rendezvous hashing (D. G. Thaler and C. V. Ravishankar, "Using name-based
//! mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1),
//! 1998): every node gets a weight for every entry, computed from their two
//! names alone, and an entry's nodes are ordered by weight. So all nodes agree
//! without talking, a run repeated finds its pages in the same caches, entries
//! spread evenly, and a node that joins or leaves moves only the entries that
//! it wins or had won.
//!
//! Placement is a preference. It never decides a result.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::{Entry, File};

/// The name of a node: random, or chosen by whoever starts the node; unique in
/// its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Display for NodeId {
    /// The first eight hexadecimal digits: enough for people to tell the nodes
    /// of a cluster apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

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
    pub(crate) fn union(self, other: Holders) -> Holders {
        match (self, other) {
            (Holders::PerFile(ours), Holders::PerFile(theirs)) => {
                let both = ours.into_iter().zip(theirs);
                Holders::PerFile(both.map(|(a, b)| &a | &b).collect())
            }
            (Holders::Everyone, _) | (_, Holders::Everyone) => Holders::Everyone,
        }
    }
}

/// What placement knows of an entry: a hash of where its elements lie.
///
/// The state of the file is left out, so a file that is written again keeps
/// its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey(u64);

impl EntryKey {
    /// The key of `entry`, which lies in `file`.
    pub fn new(file: &File, entry: &Entry) -> EntryKey {
        EntryKey::at(&file.path, entry.elements.start)
    }

    /// The key of the first entry of the file with this name.
    pub fn of_name(name: &str) -> EntryKey {
        EntryKey::at(name.as_bytes(), 0)
    }

    fn at(path: &[u8], start: u64) -> EntryKey {
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 placement entry");
        hasher.update(&start.to_le_bytes());
        hasher.update(path);
        EntryKey(first_word(&hasher))
    }
}

/// What placement knows of a node: a hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeKey(u64);

impl NodeKey {
    /// The key of `node`.
    pub fn new(node: NodeId) -> NodeKey {
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 placement node");
        hasher.update(&node.0);
        NodeKey(first_word(&hasher))
    }

    /// The weight of this node for an entry; the heaviest node comes first.
    ///
    /// The keys are cryptographic hashes and made once per node and entry.
    /// Pairs are many, so a pair costs only a bijective mix of 64 bits (the
    /// finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable
    /// pseudorandom number generators", OOPSLA 2014).
    pub fn weight(self, entry: EntryKey) -> u64 {
        let mut word = self.0 ^ entry.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// The nodes in the order in which an entry prefers them. Equal weights, which
/// chance hardly makes, are ordered by name.
pub fn rendezvous_order(entry: EntryKey, nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut order: Vec<NodeId> = nodes.into_iter().collect();
    order.sort_by_cached_key(|&node| (Reverse(NodeKey::new(node).weight(entry)), node));
    order
}

fn first_word(hasher: &blake3::Hasher) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::manifest::{Manifest, imaginary_file};

    fn nodes(count: u8) -> Vec<NodeId> {
        (0..count).map(|index| NodeId([index; 16])).collect()
    }

    fn keys(count: u64) -> Vec<EntryKey> {
        let file = imaginary_file("data.npy", DType::U8, count);
        let manifest = Manifest::with_entry_bytes(vec![file], 1).expect("a valid file");
        manifest.entries().iter().map(|e| EntryKey::new(manifest.file(e), e)).collect()
    }

    /// These words are part of the protocol: nodes that disagree lose warm caches.
    const ENTRY_A: u64 = 0x1849_61a9_80bf_2859;
    const NODE_7: u64 = 0x94fc_0a72_27c8_db68;

    #[test]
    fn the_order_is_the_same_on_every_machine() {
        assert_eq!(EntryKey::new(&imaginary_file("a", DType::U8, 1), &one()).0, ENTRY_A);
        assert_eq!(EntryKey::of_name("a").0, ENTRY_A);
        assert_eq!(NodeKey::new(NodeId([7; 16])).0, NODE_7);
    }

    fn one() -> Entry {
        Entry::line(0, 0..1)
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_the_nodes() {
        let mut shuffled = nodes(9);
        shuffled.reverse();
        shuffled.swap(2, 5);
        for key in keys(50) {
            let order = rendezvous_order(key, nodes(9));
            assert_eq!(order, rendezvous_order(key, shuffled.clone()));
        }
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_entries() {
        let left = NodeId([3; 16]);
        for key in keys(200) {
            let mut order = rendezvous_order(key, nodes(8));
            order.retain(|&node| node != left);
            let without = nodes(8).into_iter().filter(|&node| node != left);
            assert_eq!(order, rendezvous_order(key, without));
        }
    }

    #[test]
    fn entries_spread_evenly() {
        let mut entries_per_node = [0_u32; 8];
        for key in keys(8000) {
            entries_per_node[usize::from(rendezvous_order(key, nodes(8))[0].0[0])] += 1;
        }
        // 1000 each on average, with a standard deviation of 30.
        assert!(entries_per_node.iter().all(|n| (850..1150).contains(n)), "{entries_per_node:?}");
    }

    #[test]
    fn names_are_short() {
        assert_eq!(NodeId([0xab; 16]).to_string(), "abababab");
    }
}
