//! What a node remembers of the catalogue from one run to the next.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::catalogue::Memory;
use crate::cli::exit::{Blame, Failure};
use crate::node::random_node_id;
use crate::placement::NodeId;

/// First bytes of the file: what it is, and the version of its form.
const HEADER: &[u8] = b"adsum catalogue 1\n";

/// Bytes of a node's name.
const NODE_BYTES: usize = 16;

/// The most bytes of the file.
const BYTES_MAX: u64 = 1 << 30;

/// The name for programs of the node with this state directory: the same whenever it
/// starts, so that others know it again.
///
/// A directory that was copied, to another machine or beside the first, is another
/// node's.
pub fn node_id(state: &Path) -> Result<NodeId, Failure> {
    let path = state.join("node");
    let failed = |error: io::Error| {
        let advice = "say '--state DIR' with a directory that this user can write to";
        Failure::new(Blame::Input, format!("'{}': {error}; {advice}", path.display()))
    };
    let kept = match fs::read(&path) {
        Ok(kept) if kept.len() == NODE_BYTES => kept,
        Ok(kept) => {
            let message = format!(
                "'{}' has {} bytes, the name of a node has {NODE_BYTES}; bring the file back, or move it away and the node gets a new name",
                path.display(),
                kept.len()
            );
            return Err(Failure::new(Blame::Input, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh = random_node_id().0.to_vec();
            replace(&path, &[&fresh]).map_err(failed)?;
            fresh
        }
        Err(error) => return Err(failed(error)),
    };
    let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 name of a node");
    let place = fs::canonicalize(state).map_err(failed)?;
    let host = gethostname::gethostname();
    for part in [&kept[..], host.as_encoded_bytes(), place.as_os_str().as_encoded_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = NodeId([0; NODE_BYTES]);
    id.0.copy_from_slice(&hasher.finalize().as_bytes()[..NODE_BYTES]);
    Ok(id)
}

/// The memory in a state directory.
pub struct Remembered {
    /// What was remembered at the start.
    pub memory: Memory,
    newest: Arc<Newest>,
    /// `None` only while it is being dropped.
    writer: Option<JoinHandle<()>>,
}

/// The newest memory, which takes the place of one that was not written yet.
#[derive(Default)]
struct Newest {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    memory: Option<Memory>,
    is_last: bool,
}

impl Newest {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, memory: Memory) {
        let older = self.state().memory.replace(memory);
        self.changed.notify_one();
        drop(older);
    }

    /// Waits for one; nothing when there will be no more.
    fn next(&self) -> Option<Memory> {
        let mut state = self.state();
        loop {
            match state.memory.take() {
                None if !state.is_last => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                memory => return memory,
            }
        }
    }
}

impl Remembered {
    /// Reads what is remembered in `state`, which exists, and writes what comes
    /// later, on a thread of its own.
    ///
    /// A file that cannot be read is an error: to go on without it would forget names
    /// in silence.
    pub fn start(state: &Path) -> Result<Remembered, Failure> {
        let path = state.join("catalogue");
        let memory = read(&path).map_err(|error| {
            Failure::new(
                Blame::Input,
                format!(
                    "what this node remembers, '{}', cannot be read: {error}; move the file away to start with no memory of names",
                    path.display()
                ),
            )
        })?;
        let newest = Arc::<Newest>::default();
        let memories = Arc::clone(&newest);
        let writer = std::thread::Builder::new()
            .name("adsum-memory".to_owned())
            .spawn(move || write_all(&path, &memories))
            .map_err(|error| Failure::new(Blame::Internal, error))?;
        Ok(Remembered { memory, newest, writer: Some(writer) })
    }

    /// What takes a newer memory.
    pub fn keep(&self) -> Box<dyn FnMut(Memory) + Send> {
        let newest = Arc::clone(&self.newest);
        Box::new(move |memory| newest.put(memory))
    }
}

impl Drop for Remembered {
    /// Waits until all is written, which needs the node to be gone before.
    fn drop(&mut self) {
        self.newest.state().is_last = true;
        self.newest.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            let _panicked = writer.join();
        }
    }
}

fn read(path: &Path) -> io::Result<Memory> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let body =
        bytes.strip_prefix(HEADER).ok_or_else(|| invalid("it is no memory of this version"))?;
    let (body, hash) = body.split_last_chunk::<32>().ok_or_else(|| invalid("it is cut off"))?;
    if blake3::hash(body).as_bytes() != hash {
        return Err(invalid("its bytes are damaged"));
    }
    postcard::from_bytes(body).map_err(|error| invalid(&error.to_string()))
}

/// Writes the newest memory, again and again.
fn write_all(path: &Path, memories: &Newest) {
    while let Some(memory) = memories.next() {
        if let Err(error) = write(path, &memory) {
            tracing::error!(path = %path.display(), %error, "names cannot be remembered");
        }
    }
}

fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    let body = postcard::to_stdvec(memory).map_err(io::Error::other)?;
    replace(path, &[HEADER, &body, blake3::hash(&body).as_bytes()])
}

/// Puts a file of these parts in the place of another, if there is one, at once.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.new", path.display()));
    let mut file = File::create(&temporary)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)
}
