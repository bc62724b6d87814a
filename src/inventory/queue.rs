//! The files to be hashed.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::{self, Instant};

/// Names of files, in the order in which they are to be hashed.
#[derive(Debug, Default)]
pub struct Queue {
    /// Files that may still be being written, with their sizes, by the times at
    /// which they will have settled.
    waiting: BTreeMap<(Instant, String), u64>,
    /// Files that have settled, the smallest first.
    ready: BTreeSet<(u64, String)>,
}

impl Queue {
    pub fn add(&mut self, name: &str, size_bytes: u64, settles: Instant) {
        self.waiting.insert((settles, name.to_owned()), size_bytes);
    }

    /// Takes out a file that was added with these values, if it is still in.
    pub fn remove(&mut self, name: &str, size_bytes: u64, settles: Instant) {
        if self.waiting.remove(&(settles, name.to_owned())).is_none() {
            self.ready.remove(&(size_bytes, name.to_owned()));
        }
    }

    /// Takes out the file to hash next, if one has settled.
    pub fn next(&mut self) -> Option<String> {
        while let Some(first) = self.waiting.first_entry()
            && clock::has_come(first.key().0)
        {
            let ((_, name), size_bytes) = first.remove_entry();
            self.ready.insert((size_bytes, name));
        }
        self.ready.pop_first().map(|(_, name)| name)
    }

    /// When the next file settles.
    pub fn settles(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((settles, _), _)| *settles)
    }
}
