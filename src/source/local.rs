//! Files of this machine as shards.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dtype::Layout;
use crate::manifest::{Entry, File, FileIdentity, Manifest};
use crate::os::{self, Mapping};
use crate::shard::{PairedShard, Shard, ShardError};

use super::held::Held;
use super::identity;
use super::mapped::MappedShard;
use super::masked::{Mask, MaskedShard};
use super::positional::PositionalShard;
use super::strided::StridedShard;
use super::verified::{Hashed, VerifiedShard};

/// The most files that are kept open for their next entry. Files of shards in
/// use are open besides.
pub const OPEN_FILES_MAX: usize = 32;

/// How the bytes of a file come into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By mapping the range of an entry, where that is safe: on local file
    /// systems of Linux and macOS. Elsewhere as [`Access::Positional`].
    ///
    /// From the page cache this is up to 1.4 times as fast where the cache
    /// holds the file in large pieces, as it does when the file was read before
    /// or written by NumPy, and half as fast where it holds single pages,
    /// because each is then mapped by itself. Sets a handler for SIGBUS, so it
    /// is a choice for programs and not for libraries inside of others.
    Mapped,
    /// By reading into the caller's block, which stays in the processor's cache
    /// if it has 256 KiB to 2 MiB.
    Positional,
}

/// Finds the files of this machine that a manifest's are.
pub trait Resolve: Send + Sync {
    /// The file on this machine.
    ///
    /// # Errors
    /// This machine has no such file.
    fn resolve(&self, file: &File) -> Result<Resolved, ShardError>;

    /// What was verified of a file of a manifest, on this machine in the state `identity`,
    /// has other bytes than when it was hashed.
    fn doubt(&self, file: &File, identity: &FileIdentity);
}

/// A file of this machine.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The file with its path, offset and state on this machine.
    pub file: File,
    /// BLAKE3 of each run of [`ENTRY_BYTES`](crate::manifest::ENTRY_BYTES) of the bytes of its elements, where
    /// they have been hashed; else none.
    pub runs: Arc<[[u8; 32]]>,
}

/// Opens the entries of manifests that [`open`](super::open) has made on this
/// machine, or of those whose files it is told how to find.
///
/// Shards of one file share one open file. At most [`OPEN_FILES_MAX`] stay open
/// between shards, the least recently used is closed first.
pub struct LocalFiles {
    access: Access,
    resolve: Option<Arc<dyn Resolve>>,
    mask: Option<Arc<Mask>>,
    held: Vec<Held>,
    /// The most recently used last.
    open: Mutex<Vec<Arc<OpenFile>>>,
}

/// The states of the file of an entry, and of the one that is reduced beside it.
pub type States = (FileIdentity, Option<FileIdentity>);

impl LocalFiles {
    /// No file is open yet.
    pub fn new(access: Access) -> LocalFiles {
        LocalFiles {
            access,
            resolve: None,
            mask: None,
            held: Vec::new(),
            open: Mutex::new(Vec::new()),
        }
    }

    /// The same for manifests whose files are found by `resolve`.
    pub fn resolved_by(self, resolve: Arc<dyn Resolve>) -> LocalFiles {
        LocalFiles { resolve: Some(resolve), ..self }
    }

    /// The same without what a mask leaves out, for manifests of one data set that has
    /// the files of the mask.
    pub fn masked(self, mask: Arc<Mask>) -> LocalFiles {
        LocalFiles { mask: Some(mask), ..self }
    }

    /// The same for manifests of which some files are arrays in memory.
    pub fn holding(self, held: Vec<Held>) -> LocalFiles {
        LocalFiles { held, ..self }
    }

    /// The elements of `entry`, one of `manifest`. Mapped ones take addresses
    /// as long as the shard lives, and memory only as the system has it to
    /// spare.
    ///
    /// # Errors
    /// The file cannot be opened, or is not in the state that the manifest
    /// describes.
    pub fn shard(&self, manifest: &Manifest, entry: &Entry) -> Result<Arc<dyn Shard>, ShardError> {
        self.shard_and_states(manifest, entry).map(|(shard, _)| shard)
    }

    /// [`LocalFiles::shard`], and the states of its one or two files here.
    ///
    /// # Errors
    /// As [`LocalFiles::shard`].
    pub fn shard_and_states(
        &self,
        manifest: &Manifest,
        entry: &Entry,
    ) -> Result<(Arc<dyn Shard>, States), ShardError> {
        let (span, state) = self.span(manifest.file(entry), entry.elements.clone())?;
        let Some((file, start)) = entry.second else {
            return Ok((self.of_one(span, entry), (state, None)));
        };
        let elements = start..start + entry.len();
        let (second, other) = self.span(&manifest.files()[file as usize], elements)?;
        Ok((Arc::new(PairedShard::new(span, second)), (state, Some(other))))
    }

    /// The elements of an entry of one file, which lie within `span`.
    fn of_one(&self, span: Arc<dyn Shard>, entry: &Entry) -> Arc<dyn Shard> {
        let shard = match entry.block.is_contiguous() {
            true => span,
            false => Arc::new(StridedShard::new(span, entry.block)),
        };
        match &self.mask {
            Some(mask) => Arc::new(MaskedShard::new(shard, Arc::clone(mask), entry)),
            None => shard,
        }
    }

    /// The elements of a file from the first to the last of a range.
    fn span(
        &self,
        named: &File,
        elements: Range<u64>,
    ) -> Result<(Arc<dyn Shard>, FileIdentity), ShardError> {
        if let Some(held) = self.held.iter().find(|held| held.file().path == named.path) {
            return Ok((Arc::new(held.shard(elements)), named.identity));
        }
        let found = self.resolve.as_ref().map(|resolve| resolve.resolve(named)).transpose()?;
        let described = found.as_ref().map_or(named, |found| &found.file);
        let file = self.file(described)?;
        let range = FileRange {
            layout: described.layout,
            elements: elements.end - elements.start,
            start_bytes: described.data_offset_bytes
                + elements.start * described.layout.dtype.size_bytes() as u64,
            file,
        };
        let hashed = match named.verified {
            false => None,
            true => Some(hashed(&range, described, elements, found.as_ref())?),
        };
        let span = self.span_of(range);
        let shard: Arc<dyn Shard> = match hashed {
            Some(hashed) => {
                let resolve = self.resolve.clone().map(|resolve| (resolve, named.clone()));
                Arc::new(VerifiedShard::new(span, hashed, resolve))
            }
            None => span,
        };
        Ok((shard, described.identity))
    }

    fn span_of(&self, range: FileRange) -> Arc<dyn Shard> {
        if self.access == Access::Mapped
            && let Ok(bytes) = usize::try_from(range.bytes())
            && let Ok(mapping) = Mapping::new(&range.file.file, range.start_bytes, bytes)
        {
            return Arc::new(MappedShard::new(range, mapping));
        }
        Arc::new(PositionalShard::new(range))
    }

    /// The file, open and in the state described.
    fn file(&self, described: &File) -> Result<Arc<OpenFile>, ShardError> {
        let file = match self.kept(described) {
            Some(file) => file,
            None => Arc::new(OpenFile::open(described)?),
        };
        file.check()?;
        self.keep(&file);
        Ok(file)
    }

    /// The file, if it is open already.
    fn kept(&self, described: &File) -> Option<Arc<OpenFile>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|file| file.is(&described.path, &described.identity)).cloned()
    }

    /// Makes `file` the most recently used one.
    fn keep(&self, file: &Arc<OpenFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| !other.is(&file.path_bytes, &file.identity));
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push(Arc::clone(file));
    }
}

/// What the elements of a range should be.
fn hashed(
    range: &FileRange,
    described: &File,
    elements: Range<u64>,
    found: Option<&Resolved>,
) -> Result<Hashed, ShardError> {
    let size = described.layout.dtype.size_bytes() as u64;
    let runs = found.map(|found| Arc::clone(&found.runs)).unwrap_or_default();
    let bytes = described.elements().unwrap_or(0) * size;
    if runs.is_empty() && bytes > 0 {
        let name = described.name();
        return Err(ShardError::unreadable(format!(
            "'{name}' cannot be verified, it has not been hashed on this node; ask again soon"
        )));
    }
    Ok(Hashed {
        file: Arc::clone(&range.file),
        start_bytes: described.data_offset_bytes,
        bytes,
        of_shard: elements.start * size..elements.end * size,
        runs,
    })
}

/// A file that is open, and the state that it should be in.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) name: String,
    pub(super) file: fs::File,
    path: PathBuf,
    path_bytes: Vec<u8>,
    pub(super) identity: FileIdentity,
}

impl OpenFile {
    fn open(described: &File) -> Result<OpenFile, ShardError> {
        let name = described.name();
        let unreadable =
            |what: String| ShardError::unreadable(format!("'{name}' could not be opened: {what}"));
        let path = os::path_from_bytes(&described.path)
            .ok_or_else(|| unreadable("its path is not valid here".to_owned()))?;
        let file = match os::open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(identity::changed(&name, "it was removed or renamed"));
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Ok(OpenFile {
            file,
            path,
            path_bytes: described.path.clone(),
            identity: described.identity,
            name,
        })
    }

    fn is(&self, path_bytes: &[u8], identity: &FileIdentity) -> bool {
        self.path_bytes == path_bytes && self.identity == *identity
    }

    /// # Errors
    /// The file is not in the state that it should be in.
    pub(super) fn check(&self) -> Result<(), ShardError> {
        identity::check(&self.name, &self.path, &self.file, &self.identity)
    }
}

/// Where the elements of one entry lie.
#[derive(Debug)]
pub(super) struct FileRange {
    pub(super) file: Arc<OpenFile>,
    pub(super) layout: Layout,
    pub(super) elements: u64,
    pub(super) start_bytes: u64,
}

impl FileRange {
    pub(super) fn bytes(&self) -> u64 {
        self.elements * self.layout.dtype.size_bytes() as u64
    }
}
