//! What a node remembers of the catalogue from one run to the next.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
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
    /// `None` only while it is being dropped.
    sender: Option<Sender<Memory>>,
    writer: Option<JoinHandle<()>>,
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
        let (sender, receiver) = channel();
        let writer = std::thread::Builder::new()
            .name("adsum-memory".to_owned())
            .spawn(move || write_all(&path, &receiver))
            .map_err(|error| Failure::new(Blame::Internal, error))?;
        Ok(Remembered { memory, sender: Some(sender), writer: Some(writer) })
    }

    /// What takes a newer memory.
    pub fn keep(&self) -> Box<dyn FnMut(Memory) + Send> {
        let sender = self.sender.clone();
        Box::new(move |memory| {
            // The writer outlives all senders.
            let _written = sender.as_ref().map(|sender| sender.send(memory));
        })
    }
}

impl Drop for Remembered {
    /// Waits until all is written, which needs the node to be gone before.
    fn drop(&mut self) {
        self.sender = None;
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
fn write_all(path: &Path, memories: &Receiver<Memory>) {
    while let Ok(mut memory) = memories.recv() {
        while let Ok(newer) = memories.try_recv() {
            memory = newer;
        }
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
