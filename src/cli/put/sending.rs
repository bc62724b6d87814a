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
use crate::client::{Client, Elements, PlaceError, Unsealed};
use crate::manifest::File;
use crate::os;
use crate::placement::NodeId;
use crate::source::identity;
use crate::wire::{MemberInfo, TroubleKind};

/// Files that are sent at once: fewer than a node takes from one asker.
const THREADS: usize = 4;

/// One file to nodes that do not have it, the preferred first.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which one it is.
    pub parcel: usize,
    pub nodes: Vec<NodeId>,
}

/// What came of a file at one of its nodes.
pub struct Sent {
    /// Which one it is.
    pub parcel: usize,
    pub node: NodeId,
    pub outcome: Outcome,
}

/// Whether the node has the file now.
pub enum Outcome {
    /// It was sent.
    Now,
    /// It was there.
    Before,
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
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
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
        None => Ok(sent.into_iter().filter_map(Result::ok).flatten().collect()),
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
    /// Sends a file to all its nodes, and has it named when each of them has all of it. So
    /// who is interrupted before leaves nothing.
    ///
    /// The node that the name prefers is the first to name it. All who put the name prefer
    /// the same node, which takes one file of a name, so that of two who put it at once one
    /// is refused before anybody sees its file.
    fn send(&self, task: &Task) -> Result<Vec<Sent>, Failure> {
        let (mut sent, mut whole) = (Vec::new(), Vec::new());
        for &node in &task.nodes {
            match self.place(task.parcel, node)? {
                Ok(unsealed) => whole.push((node, unsealed)),
                Err(outcome) => sent.push(Sent { parcel: task.parcel, node, outcome }),
            }
        }
        for (node, unsealed) in whole {
            let sealed = self.client.seal(unsealed);
            let outcome =
                sealed.map_or_else(|error| self.outcome(node, error), |()| Ok(Outcome::Now))?;
            sent.push(Sent { parcel: task.parcel, node, outcome });
        }
        Ok(sent)
    }

    /// Sends a file to a node, to be sealed; or what came of it besides.
    fn place(&self, parcel: usize, node: NodeId) -> Result<Result<Unsealed, Outcome>, Failure> {
        let parcel = &self.parcels[parcel];
        let Some(member) = self.nodes.iter().find(|member| member.id == node) else {
            return Ok(Err(Outcome::Lost));
        };
        if self.client.reach(member).is_err() {
            return Ok(Err(Outcome::Lost));
        }
        let mut elements = OpenElements::open(parcel, self)?;
        let (array, digest) = (&parcel.array, parcel.digest);
        match self.client.place(node, &parcel.name, array, digest, &mut elements) {
            Ok(Some(unsealed)) => Ok(Ok(unsealed)),
            Ok(None) => {
                self.add(parcel.bytes);
                Ok(Err(Outcome::Before))
            }
            Err(error) => self.outcome(node, error).map(Err),
        }
    }

    /// What it means that a node does not have a file.
    fn outcome(&self, node: NodeId, error: PlaceError<Failure>) -> Result<Outcome, Failure> {
        let member = self.nodes.iter().find(|member| member.id == node);
        let name = member.map_or("", |member| &member.name);
        match error {
            PlaceError::Lost => Ok(Outcome::Lost),
            PlaceError::Refused(trouble) => match trouble.kind {
                TroubleKind::Leaving => Ok(Outcome::Lost),
                TroubleKind::Storage => Ok(Outcome::Unable(format!("node '{name}': {trouble}"))),
                kind => Err(Failure::new(blame_of(kind), format!("node '{name}': {trouble}"))),
            },
            PlaceError::Wrong(answer) => {
                let message = format!(
                    "node '{name}' gave a wrong answer: {answer}; run the same version of adsum on all nodes"
                );
                Err(Failure::new(Blame::Cluster, message))
            }
            PlaceError::Unread(failure) => Err(failure),
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
}

impl<'a> OpenElements<'a> {
    fn open(parcel: &'a Parcel, shared: &'a Shared<'a>) -> Result<OpenElements<'a>, Failure> {
        let path = os::path_from_bytes(&parcel.file.path).unwrap_or_default();
        let open = os::open_regular(&path).map_err(|error| unread(&parcel.given, &error))?;
        let (given, file) = (&*parcel.given, &parcel.file);
        let mut elements = OpenElements { given, file, path, open, shared };
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
