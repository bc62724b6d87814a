//! The thread that walks and hashes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cache::Cache;
use super::clock::{self, Pace};
use super::hash::{Hashing, Miss, Step};
use super::look::Look;
use super::shelf::Shelf;
use super::snapshot::{Found, Problems, Snapshot};
use super::walk::Walk;
use super::{Limits, Shared};

/// How often what was hashed is written down while there is more to hash.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);

/// How long to wait when it could not be written down.
const REMEMBER_AGAIN: Duration = Duration::from_secs(60);

/// All that the thread works with. It does one thing after the other: a walk
/// when one is due, else one block of one file.
pub struct Watcher {
    pub data: PathBuf,
    pub state: PathBuf,
    pub interval: Duration,
    pub limits: Limits,
    pub shared: Arc<Shared>,
    pub changed: Box<dyn Fn() + Send>,
    pub shelf: Shelf,
    /// Number of the snapshot that is shown.
    pub generation: u64,
    pub cache: Cache,
    /// What is wrong with the cache.
    pub remark: Option<String>,
    /// Whether the cache is to be written.
    pub is_stale: bool,
    pub walks: Pace,
    pub publications: Pace,
    pub writes: Pace,
    /// Whether the last writing of the cache failed.
    pub has_failed: bool,
    pub hashing: Option<Hashing>,
    /// What is read at a time.
    pub block: Vec<u8>,
}

impl Watcher {
    /// Works until it is told to stop.
    pub fn run(mut self) {
        while !self.shared.stop.is_said() {
            if self.walks.is_due(self.interval) {
                self.walk();
            }
            let is_busy = self.hash_block();
            let adopted = self.adopt();
            self.doubt();
            let publish_every = self.publish_every(is_busy && adopted.is_empty());
            if self.shelf.is_changed && self.publications.is_due(publish_every) {
                self.publish();
                self.shared.settle(&adopted);
                (self.changed)();
            }
            if self.is_stale && self.writes.is_due(self.write_every(is_busy)) {
                self.write();
            }
            if !is_busy {
                self.shared.stop.wait(self.idle());
            }
        }
        self.adopt();
        if self.is_stale {
            self.write();
        }
    }

    /// While there is more to come, a snapshot for every file would be many.
    fn publish_every(&self, is_busy: bool) -> Duration {
        if is_busy { self.interval } else { Duration::ZERO }
    }

    fn write_every(&self, is_busy: bool) -> Duration {
        match is_busy {
            _ if self.has_failed => REMEMBER_AGAIN,
            true => REMEMBER_EVERY,
            false => Duration::ZERO,
        }
    }

    /// How long there is nothing to do.
    fn idle(&self) -> Duration {
        let mut idle = self.walks.left(self.interval);
        if self.shelf.is_changed {
            idle = idle.min(self.publications.left(self.publish_every(false)));
        }
        if self.is_stale {
            idle = idle.min(self.writes.left(self.write_every(false)));
        }
        self.shelf.next_settles().map_or(idle, |settles| idle.min(clock::until(settles)))
    }

    /// Looks through the directory once.
    pub fn walk(&mut self) {
        self.walks.begin();
        self.shelf.begin_walk();
        let walk = Walk { data: &self.data, state: &self.state, files_max: self.limits.files_max };
        let met = walk.run(&self.shared.stop, |name, path, identity| {
            // Headers are read once. If that takes long, as it may at first, the
            // next walk need not wait for 20 times as long.
            let look = || self.walks.except(|| Look::at(path, &identity));
            self.shelf.see(name, identity, look);
        });
        if let Some(met) = met {
            self.shelf.end_walk(met);
        }
        let shelf = &self.shelf;
        self.hashing.take_if(|hashing| !shelf.has(&hashing.name, &hashing.identity()));
        self.walks.end();
    }

    /// Takes in the files that were adopted since the last snapshot.
    fn adopt(&mut self) -> BTreeMap<String, Found> {
        let adopted = self.shared.adopted();
        for (name, found) in &adopted {
            if !self.shelf.has(name, &found.file.identity) || !self.shelf.is_hashed(name) {
                self.shelf.adopt(name, found.clone());
                self.is_stale |= self.shelf.hash;
            }
        }
        adopted
    }

    /// Has the files hashed once more of which somebody doubts that they are as they were.
    fn doubt(&mut self) {
        for (name, identity) in self.shared.take_doubted() {
            let was_known = self.shelf.hash && self.shelf.doubt(&name, &identity);
            self.is_stale |= was_known;
        }
    }

    /// Hashes one block, if there is one to hash.
    fn hash_block(&mut self) -> bool {
        let mut hashing = match self.hashing.take() {
            Some(hashing) => hashing,
            None => {
                let Some((name, path, identity)) = self.shelf.next_to_hash() else { return false };
                match Hashing::begin(name.clone(), path, &identity, self.limits.run_bytes) {
                    Ok(hashing) => hashing,
                    Err(miss) => {
                        self.miss(&name, miss);
                        return true;
                    }
                }
            }
        };
        match hashing.step(&mut self.block) {
            Step::More => self.hashing = Some(hashing),
            Step::Done(found) => {
                self.shelf.put_hashed(&hashing.name, found);
                self.is_stale = true;
            }
            Step::Missed(miss) => self.miss(&hashing.name, miss),
        }
        true
    }

    fn miss(&mut self, name: &str, miss: Miss) {
        match miss {
            Miss::Changed => self.shelf.put_off(name),
            Miss::Failed(why) => self.shelf.put_failed(name, why),
        }
    }

    /// Shows what there is now.
    fn publish(&mut self) {
        self.publications.begin();
        self.generation += 1;
        let snapshot = Arc::new(self.snapshot());
        self.shared.put(snapshot);
        self.shelf.is_changed = false;
        self.publications.end();
    }

    /// What there is now.
    pub fn snapshot(&self) -> Snapshot {
        let mut problems = Problems::default();
        if let Some(remark) = &self.remark {
            problems.push(&self.cache.path.to_string_lossy(), remark);
        }
        self.shelf.snapshot(problems, self.generation)
    }

    /// Writes down what was hashed.
    fn write(&mut self) {
        self.writes.begin();
        let result = self.cache.write(self.shelf.hashed());
        self.writes.end();
        self.has_failed = result.is_err();
        self.is_stale = self.has_failed;
        let path = self.cache.path.display();
        let remark = match result {
            Ok(0) => None,
            Ok(left_out) => Some(format!(
                "'{path}' has no room for {left_out} files, the most is {} bytes; they are hashed again at the next start, divide the data directory to save that",
                self.cache.bytes_max
            )),
            Err(error) => Some(format!(
                "what was hashed could not be remembered: {error}; it is tried again, and until then hashed again at every start"
            )),
        };
        self.shelf.is_changed |= remark != self.remark;
        self.remark = remark;
    }
}
