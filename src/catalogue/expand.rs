//! Names and globs to the arrays that they mean.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::{Digest, File, FileIdentity};
use crate::placement::NodeId;

use super::live::Offered;
use super::memory::Trace;
use super::pattern::Pattern;
use super::standing::{Lot, Standing, Verdict};
use super::{Array, Catalogue, CatalogueError, Copies, NAMES_MAX, Nodes, listed};

/// What patterns mean. Each name that counts is in one of `files`, `missing` and
/// `conflicts`, so nothing gets lost on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expansion {
    /// What is there, in the order in which it counts.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub files: Vec<Found>,
    /// What should be there.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub missing: Vec<Missing>,
    /// What means different things.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub conflicts: Vec<Conflict>,
    /// What connected nodes have and cannot offer, each with its node and the reason,
    /// where no contents of the name count.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub unusable: Vec<String>,
    /// What was removed, does not count, and is there again: for a warning.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub removed: Vec<Returned>,
    /// Whom the node that was asked has not met, so that there may be more than it knows.
    pub unmet: Option<Unmet>,
    /// What people should know besides.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub warnings: Vec<String>,
}

/// A name whose array is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The array. Its path is the name, and its offset 0, as each holder has a file
    /// of its own. With a digest its identity is only the size of its elements, so
    /// that it is the same whoever holds it; without, that of its one holder's file.
    pub file: File,
    /// The connected nodes that hold these contents. Only one without a digest,
    /// since two files that are not hashed may differ.
    pub holders: BTreeSet<NodeId>,
}

/// A name whose array should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The name.
    pub name: String,
    /// Nodes that held it, as far as that is remembered.
    pub last: Nodes,
    /// Connected nodes that have a file of the name and have not hashed it yet: it
    /// may be this array.
    pub hashing: Nodes,
    /// What is wrong with files of the name that connected nodes have and cannot offer.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")]
    pub unusable: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.hashing.is_empty() {
            let nodes = listed(&self.hashing);
            return write!(f, "'{}', being hashed at {nodes}, so ask again soon", self.name);
        }
        write!(f, "'{}', last seen at {}", self.name, listed(&self.last))?;
        self.unusable.iter().try_for_each(|reason| write!(f, " ({reason})"))
    }
}

/// The most addresses that an [`Unmet`] has.
const SEEDS_MAX: usize = 64;

/// A node that has met no other since it started, though there are others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// The node, as people call it.
    pub node: String,
    /// Where it was told that others are.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, SEEDS_MAX>")]
    pub seeds: Vec<String>,
    /// Whether it remembers what they had when it met them last.
    pub remembers: bool,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmet { node, seeds, remembers } = self;
        write!(f, "node {node} has met no other node since it started")?;
        if !seeds.is_empty() {
            write!(f, " and was told to join {}", seeds.join(", "))?;
        }
        match remembers {
            true => f.write_str(", so it knows what there was before"),
            false => f.write_str(", so it knows no files but its own"),
        }
    }
}

/// A name that means different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The name.
    pub name: String,
    /// All of them, with their holders.
    pub contents: Vec<Copies>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' has different contents: ", self.name)?;
        for (index, copies) in self.contents.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            match copies.digest {
                Some(digest) => write!(f, "{comma}{digest:?}")?,
                None => write!(f, "{comma}not hashed yet")?,
            }
            match copies.live.is_empty() {
                true => write!(f, ", last seen at {}", listed(&copies.last))?,
                false => write!(f, " at {}", listed(&copies.live))?,
            }
        }
        write!(
            f,
            "; rename or delete all files but those of one, then forget what is gone with 'adsum rm', or take each of them with '--each-node'"
        )
    }
}

/// Contents that were removed and are there again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Their name.
    pub name: String,
    /// What they are.
    pub digest: Digest,
    /// The connected nodes that hold them.
    pub holders: Nodes,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' was removed and does not count, but {} has it again; delete it there, or let it count again with 'adsum put'",
            self.name,
            listed(&self.holders)
        )
    }
}

impl Catalogue {
    /// What `patterns` mean: each a name or, where no name is that, a glob, whose
    /// names count in the order of their bytes. A name that is met twice counts
    /// once, with a warning.
    ///
    /// A name that was removed is no match, but still that name: it does not become
    /// a glob. With `each`, a name that means different things means all of them: each
    /// contents is an array of its own, in the order of their digests.
    ///
    /// # Errors
    /// The first pattern that matches nothing that counts, or is none.
    pub fn expand(&self, patterns: &[String], each: bool) -> Result<Expansion, CatalogueError> {
        let mut expansion = Expansion::default();
        let mut seen = HashSet::new();
        for pattern in patterns {
            let (mut matched, mut removed) = (0, 0);
            for standing in self.matches(pattern)? {
                let counts = !matches!(standing.verdict(), Verdict::Removed);
                *(if counts { &mut matched } else { &mut removed }) += 1;
                if seen.insert(standing.name) {
                    self.take(&standing, each, &mut expansion);
                } else if counts {
                    let name = standing.name;
                    let warning = format!("'{name}' is given more than once and counts once");
                    expansion.warnings.push(warning);
                }
            }
            for reason in self.unusable_for(pattern) {
                matched += 1;
                if !expansion.unusable.contains(&reason) {
                    expansion.unusable.push(reason);
                }
            }
            if matched == 0 {
                return Err(CatalogueError::NoMatch { pattern: pattern.clone(), removed });
            }
        }
        Ok(expansion)
    }

    /// What is wrong with files that a pattern means and that nobody offers.
    fn unusable_for(&self, pattern: &str) -> Vec<String> {
        let glob = Pattern::new(pattern);
        let is_meant = |name: &str| {
            let below = pattern.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
            name == pattern || below || glob.as_ref().is_ok_and(|glob| glob.matches(name))
        };
        let counts = |name: &str| self.standing(name).is_some_and(|standing| standing.is_known());
        self.unusable_where(|name| is_meant(name) && !counts(name))
    }

    /// What is wrong with these files at which node.
    fn unusable_where(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let mut reasons = Vec::new();
        for (&node, files) in &self.unusable {
            let meant = files.iter().filter(|file| is_meant(&file.name));
            let nodes = self.live.named([node]);
            reasons.extend(meant.map(|file| format!("at {}: {}", listed(&nodes), file.reason)));
        }
        reasons
    }

    /// The names that a pattern stands for, removed ones included.
    fn matches<'a>(&'a self, pattern: &'a str) -> Result<Vec<Standing<'a>>, CatalogueError> {
        if let Some(standing) = self.standing(pattern) {
            return Ok(vec![standing]);
        }
        let pattern = Pattern::new(pattern)?;
        let names = self.memory.iter().filter(|(name, _)| pattern.matches(name));
        Ok(names.map(|(name, kept)| Standing::new(name, kept, &self.live)).collect())
    }

    fn missing(&self, standing: &Standing<'_>, trace: Option<&Trace>) -> Missing {
        Missing {
            name: standing.name.to_owned(),
            last: trace.map(|trace| trace.last.clone()).unwrap_or_default(),
            hashing: self.live.named(standing.hashing()),
            unusable: self.unusable_where(|name| name == standing.name),
        }
    }

    /// Puts a name where it belongs.
    fn take(&self, standing: &Standing<'_>, each: bool, expansion: &mut Expansion) {
        let name = standing.name;
        expansion.removed.extend(standing.returned().map(|lot| Returned {
            name: name.to_owned(),
            digest: lot.digest,
            holders: self.live.named(lot.live.iter().copied()),
        }));
        match standing.verdict() {
            Verdict::Hashed(lot) => expansion.files.push(hashed(name, lot)),
            Verdict::Unhashed(node, offered) => {
                expansion.files.push(unhashed(name, node, offered));
            }
            Verdict::Missing(trace) => expansion.missing.push(self.missing(standing, trace)),
            Verdict::Conflict if each => {
                let (found, gone): (Vec<_>, Vec<_>) =
                    standing.known().partition(|lot| !lot.live.is_empty());
                expansion.files.extend(found.iter().map(|lot| hashed(name, lot)));
                let missing = gone.iter().map(|lot| self.missing(standing, Some(lot.trace)));
                expansion.missing.extend(missing);
                // Where no contents are known, these are in conflict with each other.
                if found.is_empty() && gone.is_empty() {
                    let copies = standing.unhashed();
                    expansion.files.extend(copies.map(|(node, copy)| unhashed(name, node, copy)));
                }
            }
            Verdict::Conflict => {
                let mut contents = standing.copies(&self.live);
                contents.retain(|copies| !copies.removed);
                expansion.conflicts.push(Conflict { name: name.to_owned(), contents });
            }
            Verdict::Removed => {}
        }
    }
}

/// Contents that live nodes hold.
fn hashed(name: &str, lot: &Lot<'_>) -> Found {
    let size_bytes = lot.trace.array.bytes().expect("every array is checked when it is learnt");
    let identity = FileIdentity { device: 0, inode: 0, size_bytes, modified_ns: 0, changed_ns: 0 };
    let file = file(name, &lot.trace.array, identity, Some(lot.digest));
    Found { file, holders: lot.live.clone() }
}

/// A copy that only its node can tell from others.
fn unhashed(name: &str, node: NodeId, offered: &Offered) -> Found {
    let file = file(name, &offered.array, offered.identity, None);
    Found { file, holders: BTreeSet::from([node]) }
}

fn file(name: &str, array: &Array, identity: FileIdentity, digest: Option<Digest>) -> File {
    File {
        path: name.as_bytes().to_vec(),
        layout: array.layout,
        memory_order: array.memory_order,
        shape: array.shape.clone(),
        data_offset_bytes: 0,
        identity,
        digest,
        verified: false,
    }
}
