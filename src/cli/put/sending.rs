//! Many files to many nodes at once.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::parcel::Parcel;
use crate::cli::exit::{Blame, Failure};
use crate::cli::progress::Progress;
use crate::cli::via::blame_of;
use crate::client::{Client, Elements, PlaceError, Placed};
use crate::manifest::File;
use crate::os;
use crate::placement::NodeId;
use crate::source::identity;
use crate::wire::{MemberInfo, TroubleKind};

/// Files that are sent at once: fewer than a node takes from one asker.
const THREADS: usize = 4;

/// One file to one node.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Which one it is.
    pub parcel: usize,
    pub node: NodeId,
}

/// What came of a task.
pub struct Sent {
    pub task: Task,
    pub outcome: Outcome,
}

/// Whether the node has the file now.
pub enum Outcome {
    Placed(Placed),
    /// The node was lost, or is about to leave.
    Lost,
    /// The node cannot write it, and why.
    Unable(String),
}

/// Carries out all tasks and adds to the bytes that were sent. The first that fails by more
/// than its node ends the others.
pub fn send(
    client: &Client,
    parcels: &[Parcel],
    nodes: &[MemberInfo],
    tasks: &[Task],
    progress: &Progress,
    bytes: &AtomicU64,
) -> Result<Vec<Sent>, Failure> {
    let shared = Shared { client, parcels, nodes, progress, bytes, ended: AtomicBool::new(false) };
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if shared.ended.load(Ordering::Relaxed) {
                break;
            }
            let result = shared.send(task);
            if result.is_err() {
                shared.ended.store(true, Ordering::Relaxed);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS.min(tasks.len()) {
            scope.spawn(work);
        }
        work();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Those that were ended by another's failure do not hide that.
    let (sent, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let mut failures: Vec<Failure> = failed.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|failure| failure.blame == Blame::Interrupted);
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(sent.into_iter().filter_map(Result::ok).collect()),
    }
}

struct Shared<'a> {
    client: &'a Client,
    parcels: &'a [Parcel],
    nodes: &'a [MemberInfo],
    progress: &'a Progress,
    /// Bytes that were sent.
    bytes: &'a AtomicU64,
    /// Whether a task has failed.
    ended: AtomicBool,
}

impl Shared<'_> {
    fn send(&self, task: Task) -> Result<Sent, Failure> {
        let parcel = &self.parcels[task.parcel];
        let node = self.nodes.iter().find(|node| node.id == task.node);
        let lost = Sent { task, outcome: Outcome::Lost };
        let Some(node) = node else { return Ok(lost) };
        if self.client.reach(node).is_err() {
            return Ok(lost);
        }
        let mut elements = OpenElements::open(parcel, self)?;
        let (array, digest) = (&parcel.array, parcel.digest);
        let result = self.client.place(node.id, &parcel.name, array, digest, &mut elements);
        let sent = elements.sent;
        match result {
            Ok(placed) => {
                self.add(parcel.bytes - sent.min(parcel.bytes));
                Ok(Sent { task, outcome: Outcome::Placed(placed) })
            }
            Err(PlaceError::Lost) => Ok(lost),
            Err(PlaceError::Refused(trouble)) if trouble.kind == TroubleKind::Leaving => Ok(lost),
            Err(PlaceError::Refused(trouble)) if trouble.kind == TroubleKind::Storage => {
                let reason = format!("node '{}': {trouble}", node.name);
                Ok(Sent { task, outcome: Outcome::Unable(reason) })
            }
            Err(PlaceError::Refused(trouble)) => {
                let message = format!("node '{}': {trouble}", node.name);
                Err(Failure::new(blame_of(trouble.kind), message))
            }
            Err(PlaceError::Wrong(answer)) => {
                let message = format!(
                    "node '{}' gave a wrong answer: {answer}; run the same version of adsum on all nodes",
                    node.name
                );
                Err(Failure::new(Blame::Cluster, message))
            }
            Err(PlaceError::Unread(failure)) => Err(failure),
        }
    }

    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.set(before + bytes);
    }
}

/// The elements of a file that is open.
struct OpenElements<'a> {
    given: &'a str,
    file: &'a File,
    path: PathBuf,
    open: fs::File,
    shared: &'a Shared<'a>,
    /// Bytes that were read, and so are as good as sent.
    sent: u64,
}

impl<'a> OpenElements<'a> {
    fn open(parcel: &'a Parcel, shared: &'a Shared<'a>) -> Result<OpenElements<'a>, Failure> {
        let path = os::path_from_bytes(&parcel.file.path).unwrap_or_default();
        let open = os::open_regular(&path).map_err(|error| unread(&parcel.given, &error))?;
        let (given, file) = (&*parcel.given, &parcel.file);
        let mut elements = OpenElements { given, file, path, open, shared, sent: 0 };
        elements.verify()?;
        Ok(elements)
    }
}

impl Elements for OpenElements<'_> {
    type Error = Failure;

    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Failure> {
        if self.shared.ended.load(Ordering::Relaxed) {
            return Err(Failure::new(Blame::Interrupted, "another file failed"));
        }
        let mut filled = 0;
        while filled < buffer.len() {
            let at = self.file.data_offset_bytes + offset + filled as u64;
            match os::read_at(&self.open, &mut buffer[filled..], at) {
                Ok(0) => {
                    self.verify()?;
                    return Err(unread(self.given, &io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unread(self.given, &error)),
            }
        }
        self.sent += buffer.len() as u64;
        self.shared.add(buffer.len() as u64);
        Ok(())
    }

    fn verify(&mut self) -> Result<(), Failure> {
        let same = identity::check(self.given, &self.path, &self.open, &self.file.identity);
        same.map_err(|error| Failure::new(Blame::Input, error))
    }
}

fn unread(name: &str, error: &io::Error) -> Failure {
    let message = format!("'{name}' could not be read: {error}; see to its disk, or copy it again");
    Failure::new(Blame::Input, message)
}
