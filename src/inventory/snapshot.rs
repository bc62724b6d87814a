//! What was found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalogue::{Array, Held};
use crate::manifest::File;

/// The most problems that a snapshot holds.
pub const PROBLEMS_MAX: usize = 1000;

/// The arrays under the data directory at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The arrays by their names: paths relative to the data directory, parts
    /// joined by `/`.
    pub files: BTreeMap<String, Found>,
    /// What looks like an array and cannot be used, and what else went wrong;
    /// [`PROBLEMS_MAX`] at most.
    pub problems: Vec<Problem>,
    /// The number of all problems, also of those that are not in the list.
    pub problem_count: usize,
    /// Files without a digest, also those that could not be hashed.
    pub unhashed: usize,
    /// Files that were hashed since the start. What was remembered from before
    /// does not count.
    pub hashed: u64,
    /// Number of the snapshot: 0 for the first one, larger for each later one.
    pub generation: u64,
}

impl Snapshot {
    /// The arrays as a node offers them to its cluster.
    pub fn held(&self) -> Vec<Held> {
        let held = |(name, Found { file, .. }): (&String, &Found)| Held {
            name: name.clone(),
            array: Array {
                layout: file.layout,
                memory_order: file.memory_order,
                shape: file.shape.clone(),
            },
            digest: file.digest,
            identity: file.identity,
        };
        self.files.iter().map(held).collect()
    }
}

/// An array under the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file by its absolute path, and its digest as soon as it has been
    /// hashed.
    pub file: File,
    /// BLAKE3 of each run of [`ENTRY_BYTES`](crate::manifest::ENTRY_BYTES) of
    /// the bytes of the elements; empty until the file has been hashed.
    pub runs: Arc<[[u8; 32]]>,
}

impl Found {
    /// An array whose runs of elements have these hashes.
    pub fn of(file: File, runs: Vec<[u8; 32]>) -> Found {
        let digest = super::hash::digest_of(&file, &runs);
        Found { file: File { digest: Some(digest), ..file }, runs: Arc::from(runs) }
    }
}

/// Something that is not as it should be, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is about: a name below the data directory, or a path.
    pub name: String,
    /// A whole sentence that names the file.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Problems, the first of them with their words and all with their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Problems {
    pub list: Vec<Problem>,
    pub count: usize,
}

impl Problems {
    pub fn push(&mut self, name: &str, message: impl Into<String>) {
        self.count += 1;
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(Problem { name: name.to_owned(), message: message.into() });
        }
    }
}
