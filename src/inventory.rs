//! The arrays under one data directory of this machine: found, watched and
//! hashed in the background.
//!
//! An [`Inventory`] walks through the directory again and again and keeps a
//! [`Snapshot`] of what it found. A file counts if it starts as a `.npy` file
//! does, whatever its name. Hidden files and directories, links and the state
//! directory are passed over. What looks like an array and cannot be used is a
//! [`Problem`]. A header is read again only when the file's identity has changed.
//!
//! Hashing goes on between the walks, one file after the other and one block
//! after the other, the smallest file first. A file that may still be being
//! written waits. What was hashed is remembered in the state directory, so a
//! start does not hash it again. Only one inventory at a time has a state
//! directory.
//!
//! Who puts a file there and knows its contents can say so ([`Inventory::adopt`]), and
//! so can who reads other bytes than were hashed ([`Inventory::doubt`]).
//!
//! Two writes within one step of the file system's clock look like one, here as
//! for every reader of files; see [`source::identity`](crate::source::identity).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::manifest::{Digest, ENTRY_BYTES, File, FileIdentity};
use crate::os;
use crate::sink::{NewFile, SinkError};

use cache::Cache;
use clock::Pace;
use hash::{Hashing, Miss, Step};
use shelf::Shelf;
use stop::Stop;
use watcher::Watcher;

mod cache;
mod clock;
mod error;
mod hash;
mod look;
mod queue;
mod runs;
mod shelf;
mod snapshot;
mod stop;
mod walk;
mod watcher;

pub use error::InventoryError;
pub use runs::Runs;
pub use snapshot::{Found, PROBLEMS_MAX, Problem, Snapshot};
pub use walk::NAME_BYTES_MAX;

/// The most files under one data directory, arrays or not.
pub const FILES_MAX: usize = 1 << 20;

/// How long a file must not have been modified before it is hashed.
pub const SETTLE: Duration = Duration::from_secs(2);

/// What to watch, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory with the arrays, in it and below.
    pub data: PathBuf,
    /// The directory for what is remembered. It is made, for this user only, if it
    /// is not there.
    pub state: PathBuf,
    /// How often the directory is looked through; less often if that would take
    /// more than a 20th of the time, not counting headers that are read.
    pub interval: Duration,
    /// Whether to hash what is not remembered. Without it nothing new is
    /// remembered either.
    pub hash: bool,
}

/// What tests have smaller.
#[derive(Clone, Copy, Debug)]
struct Limits {
    run_bytes: u64,
    settle: Duration,
    files_max: usize,
    cache_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            run_bytes: ENTRY_BYTES,
            settle: SETTLE,
            files_max: FILES_MAX,
            cache_bytes_max: cache::BYTES_MAX,
        }
    }
}

/// A data directory that is watched as long as this lives.
#[derive(Debug)]
pub struct Inventory {
    data: PathBuf,
    state: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread shares with its owner.
#[derive(Debug)]
struct Shared {
    snapshot: Mutex<Arc<Snapshot>>,
    /// Files by their names whose contents somebody knows and that are not in the
    /// snapshot yet.
    adopted: Mutex<BTreeMap<String, Found>>,
    /// Files by their names from which somebody read other bytes than were hashed, with
    /// the states that they were in.
    doubted: Mutex<BTreeMap<String, FileIdentity>>,
    stop: Stop,
    /// Locked until both have let go of it.
    _lock: fs::File,
}

impl Shared {
    fn put(&self, snapshot: Arc<Snapshot>) {
        *self.lock() = snapshot;
    }

    /// What is to be taken in.
    fn adopted(&self) -> BTreeMap<String, Found> {
        self.lock_adopted().clone()
    }

    /// These are in the snapshot by now.
    fn settle(&self, adopted: &BTreeMap<String, Found>) {
        if !adopted.is_empty() {
            self.lock_adopted().retain(|name, found| adopted.get(name) != Some(found));
        }
    }

    fn take_doubted(&self) -> BTreeMap<String, FileIdentity> {
        std::mem::take(&mut *self.lock_doubted())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_adopted(&self) -> MutexGuard<'_, BTreeMap<String, Found>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_doubted(&self) -> MutexGuard<'_, BTreeMap<String, FileIdentity>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inventory {
    /// Looks through the directory once, and starts to watch it. Of each file
    /// the header has been read when this returns, and its contents are known if
    /// they are remembered.
    ///
    /// From then on `changed` is called whenever there is another snapshot, by
    /// the thread that watches: what it does keeps that thread.
    ///
    /// # Errors
    /// The data directory cannot be read, the state directory cannot be written
    /// or belongs to another inventory, or there is no thread to be had.
    pub fn start(
        options: Options,
        changed: impl Fn() + Send + 'static,
    ) -> Result<Inventory, InventoryError> {
        Inventory::start_within(options, Limits::default(), Box::new(changed))
    }

    fn start_within(
        options: Options,
        limits: Limits,
        changed: Box<dyn Fn() + Send>,
    ) -> Result<Inventory, InventoryError> {
        let data = open_data(&options.data)?;
        let (state, lock) = open_state(&options.state)?;
        let cache = Cache {
            path: state.join(cache::FILE_NAME),
            run_bytes: limits.run_bytes,
            bytes_max: limits.cache_bytes_max,
        };
        let (remembered, remark) = match cache.read() {
            Ok(remembered) => (remembered, None),
            Err(remark) => (Default::default(), Some(remark)),
        };
        let shared = Arc::new(Shared {
            snapshot: Mutex::default(),
            adopted: Mutex::default(),
            doubted: Mutex::default(),
            stop: Stop::default(),
            _lock: lock,
        });
        let mut watcher = Watcher {
            data: data.clone(),
            state: state.clone(),
            interval: options.interval,
            limits,
            shared: Arc::clone(&shared),
            changed,
            shelf: Shelf::new(remembered, options.hash, limits.run_bytes, limits.settle),
            generation: 0,
            cache,
            is_stale: options.hash && remark.is_some(),
            remark,
            walks: Pace::new(),
            publications: Pace::new(),
            writes: Pace::new(),
            has_failed: false,
            hashing: None,
            block: Vec::new(),
        };
        watcher.walk();
        watcher.shelf.is_changed = false;
        shared.put(Arc::new(watcher.snapshot()));
        let thread = thread::Builder::new()
            .name("adsum-inventory".to_owned())
            .spawn(move || watcher.run())
            .map_err(|source| InventoryError::Thread { name: shown(&options.data), source })?;
        Ok(Inventory { data, state, shared, thread: Some(thread) })
    }

    /// What there is by now. Cheap: nothing is copied.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.lock())
    }

    /// The array of this name, if there is one by now.
    pub fn find(&self, name: &str) -> Option<Found> {
        let adopted = self.shared.lock_adopted().get(name).cloned();
        adopted.or_else(|| self.snapshot().files.get(name).cloned())
    }

    /// Takes in a file that somebody has put into the data directory and whose contents
    /// are known: as `found` describes it, in the state that its path is in now. It is
    /// found from now on, and in the snapshot soon.
    pub fn adopt(&self, name: String, found: Found) {
        self.shared.lock_adopted().insert(name, found);
        self.shared.stop.wake();
    }

    /// Somebody read other bytes from a file than it had when it was hashed, though it is
    /// still in the state `identity`. It is hashed once more; if that gives others, too,
    /// it becomes a [`Problem`] until it changes, also for later inventories with this
    /// state directory, and is in no snapshot.
    pub fn doubt(&self, name: String, identity: FileIdentity) {
        self.shared.lock_doubted().insert(name, identity);
        self.shared.stop.wake();
    }

    /// The data directory, absolute and free of links.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The state directory, absolute and free of links.
    pub fn state(&self) -> &Path {
        &self.state
    }
}

impl Drop for Inventory {
    /// Stops within one read. What was hashed and not written down yet is.
    fn drop(&mut self) {
        self.shared.stop.say();
        if let Some(thread) = self.thread.take()
            // `changed` may have been the last owner, and cannot wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            // A panic has been told when it happened.
            let _ = thread.join();
        }
    }
}

/// Why the contents of a file could not be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It is not in the state that was described.
    #[error("'{name}' changed while it was in use; run again when nothing changes it")]
    Changed {
        /// The file.
        name: String,
    },
    /// It could not be read.
    #[error("{message}")]
    Failed {
        /// A whole sentence that names the file.
        message: String,
    },
}

/// The digest of the array in a file of this machine. `on_progress` is told how many
/// bytes have been hashed.
///
/// # Errors
/// The file is not as it is described, or cannot be read. Its path must not be a link.
pub fn digest(file: &File, mut on_progress: impl FnMut(u64)) -> Result<Digest, DigestError> {
    let name = file.name();
    let error = |miss| match miss {
        Miss::Changed => DigestError::Changed { name: name.clone() },
        Miss::Failed(message) => DigestError::Failed { message },
    };
    let path = os::path_from_bytes(&file.path).ok_or_else(|| DigestError::Failed {
        message: format!("'{name}' could not be hashed: its path is not valid here"),
    })?;
    let hashing = Hashing::of(name.clone(), path, file.clone(), ENTRY_BYTES);
    let (mut hashing, mut block) = (hashing.map_err(error)?, Vec::new());
    loop {
        match hashing.step(&mut block) {
            Step::More => on_progress(hashing.done()),
            Step::Done(found) => {
                return Ok(found.file.digest.expect("what is hashed has a digest"));
            }
            Step::Missed(miss) => return Err(error(miss)),
        }
    }
}

/// The path of the data directory, absolute and free of links, if it can be
/// listed.
fn open_data(data: &Path) -> Result<PathBuf, InventoryError> {
    let name = || shown(data);
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => InventoryError::Missing { name: name() },
        io::ErrorKind::NotADirectory => InventoryError::NotDirectory { name: name() },
        _ => InventoryError::Unreadable { name: name(), source },
    };
    let path = fs::canonicalize(data).map_err(unreadable)?;
    if !fs::metadata(&path).map_err(unreadable)?.is_dir() {
        return Err(InventoryError::NotDirectory { name: name() });
    }
    fs::read_dir(&path).map_err(unreadable)?;
    Ok(path)
}

/// The path of the state directory, absolute and free of links, and its lock.
fn open_state(state: &Path) -> Result<(PathBuf, fs::File), InventoryError> {
    let failed = |source| InventoryError::State { name: shown(state), source };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(state).map_err(failed)?;
    let path = fs::canonicalize(state).map_err(failed)?;
    let mut options = fs::OpenOptions::new();
    let lock = options.write(true).create(true).truncate(false).open(path.join("lock"));
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(InventoryError::Locked { name: shown(state) });
        }
        Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    // To be refused now is better than after hours of hashing.
    match NewFile::create(&path.join(cache::FILE_NAME), true) {
        Ok(_) => Ok((path, lock)),
        Err(SinkError::Io { source, .. }) => Err(failed(source)),
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

/// A path for people.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests;
