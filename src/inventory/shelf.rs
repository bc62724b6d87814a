//! All files under the data directory, as they were when last looked at.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::manifest::{File, FileIdentity};
use crate::os;

use super::cache::{Remembered, Trust};
use super::clock::{self, Instant};
use super::look::Look;
use super::queue::Queue;
use super::snapshot::{Found, Problems, Snapshot};
use super::walk::Met;

/// The files by name, and which of them are to be hashed.
#[derive(Debug)]
pub struct Shelf {
    items: BTreeMap<String, Item>,
    /// What was hashed in an earlier life, until the first walk has ended.
    remembered: HashMap<String, Remembered>,
    queue: Queue,
    /// What the last walk met.
    met: Met,
    /// Number of the walk.
    walk: u64,
    hashed: u64,
    /// Whether something differs from the last snapshot.
    pub is_changed: bool,
    /// Whether to hash what is not remembered.
    pub hash: bool,
    run_bytes: u64,
    settle: Duration,
}

#[derive(Debug)]
struct Item {
    identity: FileIdentity,
    /// The last walk that saw it.
    walk: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Array(Box<Array>),
    Broken(String),
    /// It has other contents than these, which it was hashed with in this state.
    Damaged(Box<Found>),
    /// As [`Content::Broken`], but it is looked at again by every walk.
    Unread(String),
    Other,
}

#[derive(Debug)]
struct Array {
    found: Found,
    /// When it may be hashed.
    settles: Instant,
    /// Why it could not be hashed.
    failure: Option<String>,
    /// The array with what its contents were, while it is hashed once more because
    /// somebody read others.
    doubted: Option<Found>,
}

impl Item {
    fn is_shown(&self) -> bool {
        !matches!(self.content, Content::Other)
    }

    fn array(&self) -> Option<&Array> {
        match &self.content {
            Content::Array(array) => Some(array),
            Content::Broken(_) | Content::Damaged(_) | Content::Unread(_) | Content::Other => None,
        }
    }

    /// The array as it was hashed in this state, and whether it is still so.
    fn hashed(&self) -> Option<(&Found, Trust)> {
        let (found, trust) = match &self.content {
            Content::Damaged(found) => (&**found, Trust::Damaged),
            _ => {
                let array = self.array()?;
                let doubted = array.doubted.as_ref().map(|was| (was, Trust::Doubted));
                doubted.unwrap_or((&array.found, Trust::Sound))
            }
        };
        found.file.digest.is_some().then_some((found, trust))
    }
}

/// What is said of a file that lost its contents.
fn damage(name: &str) -> String {
    format!(
        "'{name}' has other bytes than when it was hashed, and its times are the same: the disk or the memory of this node gives wrong bits; delete it, put it back from another copy, and examine the disk"
    )
}

impl Shelf {
    /// Nothing has been seen yet. With `hash`, files that are not remembered are
    /// put into the queue when they have not been modified for `settle`.
    pub fn new(
        remembered: HashMap<String, Remembered>,
        hash: bool,
        run_bytes: u64,
        settle: Duration,
    ) -> Shelf {
        Shelf {
            items: BTreeMap::new(),
            remembered,
            queue: Queue::default(),
            met: Met::default(),
            walk: 0,
            hashed: 0,
            is_changed: false,
            hash,
            run_bytes,
            settle,
        }
    }

    pub fn begin_walk(&mut self) {
        self.walk += 1;
    }

    /// A walk saw the file in the state `identity`. It is looked at if it was
    /// not in this state before.
    pub fn see(&mut self, name: String, identity: FileIdentity, look: impl FnOnce() -> Look) {
        if let Some(item) = self.items.get_mut(&name)
            && item.identity == identity
            && !matches!(item.content, Content::Unread(_))
        {
            item.walk = self.walk;
            return;
        }
        let look = look();
        if let Some(item) = self.items.get_mut(&name)
            && let (Content::Unread(old), Look::Unread(new)) = (&item.content, &look)
            && old == new
        {
            item.walk = self.walk;
            return;
        }
        self.remove(&name);
        let (identity, content) = match look {
            Look::Gone => return,
            Look::Other => (identity, Content::Other),
            Look::Broken(why) => (identity, Content::Broken(why)),
            Look::Unread(why) => (identity, Content::Unread(why)),
            Look::Array(file) => (file.identity, self.content(&name, file)),
        };
        let item = Item { identity, walk: self.walk, content };
        self.is_changed |= item.is_shown();
        self.items.insert(name, item);
    }

    /// A new array, with its contents if they are remembered, else in the queue.
    fn content(&mut self, name: &str, file: File) -> Content {
        let remembered = self.remembered.remove(name);
        let recalled = remembered.and_then(|entry| entry.recall(&file, self.run_bytes));
        let unhashed = |file| Found { file, runs: Arc::default() };
        let (found, doubted) = match recalled {
            Some((found, Trust::Sound)) => (found, None),
            Some((found, Trust::Doubted)) => (unhashed(file), Some(found)),
            Some((found, Trust::Damaged)) => return Content::Damaged(Box::new(found)),
            None => (unhashed(file), None),
        };
        let FileIdentity { modified_ns, size_bytes, .. } = found.file.identity;
        // What was hashed in this state had settled in it.
        let since = if doubted.is_some() { 0 } else { modified_ns };
        let settles = clock::settles(since, self.settle);
        if self.hash && found.file.digest.is_none() {
            self.queue.add(name, size_bytes, settles);
        }
        Content::Array(Box::new(Array { found, settles, failure: None, doubted }))
    }

    /// A file came whose contents are known, `found`. What it says is believed for the
    /// state in which it is described: the next walk sees whether it is in that.
    pub fn adopt(&mut self, name: &str, found: Found) {
        self.remove(name);
        let identity = found.file.identity;
        let settles = clock::settles(0, self.settle);
        let array = Array { found, settles, failure: None, doubted: None };
        let content = Content::Array(Box::new(array));
        self.items.insert(name.to_owned(), Item { identity, walk: self.walk, content });
        self.hashed += 1;
        self.is_changed = true;
    }

    /// A walk has ended, and this is what it met besides files. What it did not
    /// see is gone.
    pub fn end_walk(&mut self, met: Met) {
        let gone = self
            .items
            .iter()
            .filter(|(name, item)| item.walk != self.walk && !met.is_unclear(name));
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.remove(&name);
        }
        self.is_changed |= self.met != met;
        self.met = met;
        self.remembered = HashMap::new();
    }

    fn remove(&mut self, name: &str) {
        let Some(item) = self.items.remove(name) else { return };
        self.is_changed |= item.is_shown();
        if let Some(array) = item.array() {
            self.queue.remove(name, item.identity.size_bytes, array.settles);
        }
    }

    /// Takes the file to hash next out of the queue: its name, path and state.
    pub fn next_to_hash(&mut self) -> Option<(String, PathBuf, FileIdentity)> {
        let name = self.queue.next()?;
        let file = &self.items.get(&name)?.array()?.found.file;
        let path = os::path_from_bytes(&file.path)?;
        let identity = file.identity;
        Some((name, path, identity))
    }

    /// When the next file may be hashed, where none may be yet.
    pub fn next_settles(&self) -> Option<Instant> {
        self.queue.settles()
    }

    /// Whether the file is there in this state, as far as the last walk knows.
    pub fn has(&self, name: &str, identity: &FileIdentity) -> bool {
        self.items.get(name).is_some_and(|item| item.identity == *identity)
    }

    /// Whether the contents of the file are known.
    pub fn is_hashed(&self, name: &str) -> bool {
        let array = self.items.get(name).and_then(Item::array);
        array.is_some_and(|array| array.found.file.digest.is_some())
    }

    /// The file was hashed in the state that `found` describes.
    pub fn put_hashed(&mut self, name: &str, found: Found) {
        let Some((identity, array)) = self.array_mut(name) else { return };
        if identity != found.file.identity {
            return;
        }
        let doubted = array.doubted.take();
        let was = doubted.filter(|was| was.file.digest != found.file.digest);
        array.found = found;
        self.hashed += 1;
        self.is_changed = true;
        if let Some(was) = was
            && let Some(item) = self.items.get_mut(name)
        {
            item.content = Content::Damaged(Box::new(was));
        }
    }

    /// Somebody read other bytes from the file in this state than it had when it was
    /// hashed. So its contents are unknown until it is hashed once more, and if that gives
    /// others, too, it is not offered before it has changed, nor after a start. Says
    /// whether it was known.
    pub fn doubt(&mut self, name: &str, identity: &FileIdentity) -> bool {
        let settles = clock::settles(0, self.settle);
        let Some((state, array)) = self.array_mut(name) else { return false };
        if state != *identity || array.found.file.digest.is_none() {
            return false;
        }
        array.doubted = Some(array.found.clone());
        array.found.file.digest = None;
        array.found.runs = Arc::default();
        array.settles = settles;
        self.queue.add(name, state.size_bytes, settles);
        self.is_changed = true;
        true
    }

    /// The file could not be hashed. It is tried again when it has changed.
    pub fn put_failed(&mut self, name: &str, why: String) {
        if let Some((_, array)) = self.array_mut(name) {
            array.failure = Some(why);
            self.is_changed = true;
        }
    }

    /// The file was another one than expected. If the next walk thinks
    /// otherwise, it is hashed then.
    pub fn put_off(&mut self, name: &str) {
        let settle = self.settle;
        let Some((identity, array)) = self.array_mut(name) else { return };
        array.settles = clock::settles(i128::MAX, settle);
        let settles = array.settles;
        self.queue.add(name, identity.size_bytes, settles);
    }

    fn array_mut(&mut self, name: &str) -> Option<(FileIdentity, &mut Array)> {
        let item = self.items.get_mut(name)?;
        match &mut item.content {
            Content::Array(array) => Some((item.identity, array)),
            Content::Broken(_) | Content::Damaged(_) | Content::Unread(_) | Content::Other => None,
        }
    }

    /// All files that have been hashed, as they were then.
    pub fn hashed(&self) -> impl Iterator<Item = (&str, &Found, Trust)> {
        self.items.iter().filter_map(|(name, item)| {
            let (found, trust) = item.hashed()?;
            Some((name.as_str(), found, trust))
        })
    }

    fn arrays(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.items.iter().filter_map(|(name, item)| Some((name.as_str(), item.array()?)))
    }

    /// What there is. `problems` are those that have nothing to do with any file.
    pub fn snapshot(&self, mut problems: Problems, generation: u64) -> Snapshot {
        for problem in &self.met.problems.list {
            problems.push(&problem.name, &*problem.message);
        }
        problems.count += self.met.problems.count - self.met.problems.list.len();
        for (name, item) in &self.items {
            match &item.content {
                Content::Broken(why) | Content::Unread(why) => problems.push(name, why),
                Content::Damaged(_) => problems.push(name, damage(name)),
                Content::Array(array) => {
                    array.failure.iter().for_each(|why| problems.push(name, why));
                }
                Content::Other => {}
            }
        }
        let files: BTreeMap<String, Found> =
            self.arrays().map(|(name, array)| (name.to_owned(), array.found.clone())).collect();
        let unhashed = files.values().filter(|found| found.file.digest.is_none()).count();
        let Problems { list, count } = problems;
        Snapshot {
            files,
            problems: list,
            problem_count: count,
            unhashed,
            hashed: self.hashed,
            generation,
        }
    }
}
