//! Files that come into a data directory from outside: whole and checked, or not at
//! all.
//!
//! The bytes of a file grow under a hidden name, in a directory of their own on the
//! same file system ([`INCOMING`]), and are hashed as they come. When they are what was
//! announced, they are brought to the disk and take their name in one step, never
//! that of another file. What a node that crashed left there is removed when the next
//! one starts.
//!
//! Names come from peers. One leads to a place below the data directory or nowhere:
//! links are not followed on the way.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::{Array, check_name};
use crate::inventory::{Found, Inventory, Runs};
use crate::manifest::{Digest, ENTRY_BYTES, FileIdentity};
use crate::os;
use crate::sink::NewFile;
use crate::sink::npy::header_of;
use crate::source::dataset::describe_npy;

mod error;

pub use error::StoreError;

/// Where files grow, below the data directory. An inventory passes hidden directories
/// over.
pub const INCOMING: &str = ".adsum/incoming";

/// What takes files for one inventory.
#[derive(Debug)]
pub struct Store {
    inventory: Arc<Inventory>,
    incoming: PathBuf,
}

/// What came of the wish to place a file.
#[derive(Debug)]
pub enum Begun {
    /// Its bytes may come.
    Growing(Box<Growing>),
    /// It is there already.
    There,
}

/// A file in the making. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Growing {
    name: String,
    path: PathBuf,
    array: Array,
    digest: Digest,
    file: NewFile,
    data_offset_bytes: u64,
    runs: Runs,
}

impl Store {
    /// What takes files for `inventory`, once what a crash left is removed. Never fails:
    /// a directory that cannot be written is an error of who wants to write.
    pub fn open(inventory: Arc<Inventory>) -> Store {
        let incoming = inventory.data().join(INCOMING);
        remove_leftovers(&incoming);
        Store { inventory, incoming }
    }

    /// Begins a file, if it is not there.
    ///
    /// # Errors
    /// It cannot be placed, as far as that is known before its bytes are.
    pub fn begin(&self, name: &str, array: &Array, digest: Digest) -> Result<Begun, StoreError> {
        check_name(name)?;
        array.check(name)?;
        let path = self.path(name)?;
        match fs::symlink_metadata(&path) {
            Ok(metadata) => {
                let identity = os::identity(&metadata);
                return self.meet(name, &path, &identity, digest);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(&path, error)),
        }
        make_private_directory(&self.incoming)
            .map_err(|error| StoreError::io(&self.incoming, error))?;
        self.probe(name, &path)?;
        let file = NewFile::create_in(&self.incoming, &path)
            .map_err(|error| StoreError::sink(&path, error))?;
        // So that no other node over the same directory takes it for a leftover. Where
        // files cannot be locked, none does so while it runs.
        let _unsupported = file.file().try_lock();
        let header = header_of(array.layout, array.memory_order, &array.shape);
        let header = header.ok_or_else(|| StoreError::Shape {
            name: name.to_owned(),
            shape: array.shape.clone(),
        })?;
        let mut growing = Growing {
            name: name.to_owned(),
            path,
            array: array.clone(),
            digest,
            file,
            data_offset_bytes: header.len() as u64,
            runs: Runs::new(ENTRY_BYTES),
        };
        growing.write_at(&header, 0)?;
        Ok(Begun::Growing(Box::new(growing)))
    }

    /// Checks the contents of a file, gives it its name, and tells the inventory.
    ///
    /// # Errors
    /// They are not what was announced, or it cannot be placed.
    pub fn seal(&self, growing: Growing) -> Result<(), StoreError> {
        let name = growing.name.clone();
        match growing.finish(self.inventory.data()) {
            Ok(found) => self.inventory.adopt(name, found),
            Err(Unfinished::There { path, identity, digest }) => {
                self.meet(&name, &path, &identity, digest)?;
            }
            Err(Unfinished::Failed(error)) => return Err(error),
        }
        Ok(())
    }

    /// Something has the path of a file that is to be placed.
    fn meet(
        &self,
        name: &str,
        path: &Path,
        identity: &FileIdentity,
        digest: Digest,
    ) -> Result<Begun, StoreError> {
        let found = self.inventory.find(name).filter(|found| found.file.identity == *identity);
        let shown = path.display().to_string();
        match found.map(|found| found.file.digest) {
            Some(Some(there)) if there == digest => Ok(Begun::There),
            Some(Some(_)) => Err(StoreError::Taken { path: shown }),
            Some(None) => Err(StoreError::Unknown { path: shown }),
            None => match path.symlink_metadata() {
                Ok(metadata) if !metadata.is_file() => Err(StoreError::Taken { path: shown }),
                _ => Err(StoreError::Unknown { path: shown }),
            },
        }
    }

    /// Where the file of this name lies, if an inventory finds it there.
    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let wrong = |problem: String| StoreError::Name { name: name.to_owned(), problem };
        let mut path = self.inventory.data().to_owned();
        for part in name.split('/') {
            // On some systems more than '/' divides a path.
            let mut components = Path::new(part).components();
            match (components.next(), components.next()) {
                (Some(Component::Normal(only)), None) if only == part => {}
                _ => return Err(wrong(format!("'{part}' is no name of a file here"))),
            }
            if part.starts_with('.') {
                return Err(wrong(format!("'{part}' is hidden, and hidden files do not count")));
            }
            path.push(part);
        }
        match path.starts_with(self.inventory.state()) {
            true => Err(wrong("it lies in the node's state directory".to_owned())),
            false => Ok(path),
        }
    }

    /// Finds out whether a file can appear at `path`, and leaves no trace.
    fn probe(&self, name: &str, path: &Path) -> Result<(), StoreError> {
        let (directory, next) = existing(name, path, self.inventory.data())?;
        // Where case does not tell names apart, an inventory calls it otherwise.
        let real = fs::canonicalize(&directory).map_err(|e| StoreError::io(&directory, e))?;
        if real != directory {
            let problem = format!("there is '{}' already", real.display());
            return Err(StoreError::Name { name: name.to_owned(), problem });
        }
        let device = |path: &Path| {
            let metadata = fs::symlink_metadata(path);
            metadata.map(|found| os::identity(&found).device).map_err(|e| StoreError::io(path, e))
        };
        if device(&directory)? != device(&self.incoming)? {
            let path = directory.display().to_string();
            return Err(StoreError::FileSystem { name: name.to_owned(), path });
        }
        let probe = NewFile::create(&directory.join(next), false);
        probe.map(drop).map_err(|error| StoreError::sink(path, error))
    }
}

/// Why a file did not take its name.
enum Unfinished {
    /// A file of that name came meanwhile.
    There {
        path: PathBuf,
        identity: FileIdentity,
        digest: Digest,
    },
    Failed(StoreError),
}

impl From<StoreError> for Unfinished {
    fn from(error: StoreError) -> Unfinished {
        Unfinished::Failed(error)
    }
}

impl Growing {
    /// The next bytes of the elements.
    ///
    /// # Errors
    /// As the system says. The file is of no more use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let offset = self.data_offset_bytes + self.runs.done();
        self.write_at(bytes, offset)?;
        self.runs.update(bytes);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let written = self.file.write_at(bytes, offset);
        written.map_err(|error| StoreError::sink(&self.path, error))
    }

    fn finish(mut self, data: &Path) -> Result<Found, Unfinished> {
        let Growing { name, path, digest, .. } = &self;
        let (name, path, digest) = (name.clone(), path.clone(), *digest);
        let failed = |error| Unfinished::Failed(StoreError::io(&path, error));
        let identity = |file: &fs::File| file.metadata().map(|metadata| os::identity(&metadata));

        // Some systems let nobody else read what is locked.
        let _unsupported = self.file.file().unlock();
        // What an inventory will read, it reads now, so that nothing can become visible
        // that it would call broken.
        let file = describe_npy(self.file.temporary())
            .map_err(|_| StoreError::Contents { name: name.clone() })?;
        let there = Array {
            layout: file.layout,
            memory_order: file.memory_order,
            shape: file.shape.clone(),
        };
        let mut found = Found::of(file, self.runs.finish());
        if there != self.array || found.file.digest != Some(digest) {
            return Err(StoreError::Contents { name }.into());
        }
        self.file.file().sync_all().map_err(failed)?;
        let before = identity(self.file.file()).map_err(failed)?;

        let made = Directories::make(&name, &path, data)?;
        if let Err(error) = self.file.finish() {
            let error = StoreError::sink(&path, error);
            let metadata = fs::symlink_metadata(&path);
            return Err(match (error, metadata) {
                (StoreError::Taken { .. }, Ok(metadata)) => {
                    Unfinished::There { identity: os::identity(&metadata), path, digest }
                }
                (error, _) => Unfinished::Failed(error),
            });
        }
        made.keep();
        let after = fs::symlink_metadata(&path).map(|metadata| os::identity(&metadata));
        let after = after.map_err(failed)?;
        // To be named changes only the time of the metadata.
        if (FileIdentity { changed_ns: before.changed_ns, ..after }) != before {
            return Err(StoreError::Changed { path: path.display().to_string() }.into());
        }
        found.file.identity = after;
        found.file.path = os::path_bytes(&path).unwrap_or_default();
        Ok(found)
    }
}

/// The nearest directory above `path` that exists, and the part of the path that
/// comes after it. No link is followed below `data`.
fn existing(name: &str, path: &Path, data: &Path) -> Result<(PathBuf, PathBuf), StoreError> {
    let mut directory = data.to_owned();
    let below = path.strip_prefix(data).unwrap_or(path);
    for part in below.components() {
        let next = directory.join(part);
        if next == path {
            break;
        }
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_dir() => directory = next,
            Ok(_) => {
                let path = next.display().to_string();
                return Err(StoreError::NotDirectory { name: name.to_owned(), path });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((directory, part.as_os_str().into()));
            }
            Err(error) => return Err(StoreError::io(&next, error)),
        }
    }
    let last = path.file_name().unwrap_or_default();
    Ok((directory, last.into()))
}

/// Directories that were made for a file. They go again unless they are kept.
struct Directories {
    made: Vec<PathBuf>,
    /// The directory of the file.
    last: PathBuf,
}

impl Directories {
    /// Makes those that the file at `path` needs.
    fn make(name: &str, path: &Path, data: &Path) -> Result<Directories, StoreError> {
        let last = path.parent().unwrap_or(data).to_owned();
        let mut directories = Directories { made: Vec::new(), last };
        loop {
            let (directory, next) = existing(name, path, data)?;
            if directory == directories.last {
                return Ok(directories);
            }
            let next = directory.join(next);
            match fs::create_dir(&next) {
                Ok(()) => directories.made.push(next),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io(&next, error)),
            }
        }
    }

    /// The file is there: that it is comes to the disk, too.
    fn keep(mut self) {
        let parents = self.made.iter().filter_map(|made| made.parent().map(Path::to_owned));
        let touched: Vec<PathBuf> = parents.chain([self.last.clone()]).collect();
        self.made.clear();
        for directory in touched {
            // Not every system can do this to a directory, and the file is whole at any
            // rate: after a loss of power it may be missing, and is put again.
            let _unsupported = fs::File::open(directory).and_then(|open| open.sync_all());
        }
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        for directory in self.made.iter().rev() {
            // Somebody may have put something there.
            let _not_empty = fs::remove_dir(directory);
        }
    }
}

/// Makes a directory that only this user reads, if it is not there.
fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)?;
    // A link could lead anywhere.
    match fs::symlink_metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no directory")),
    }
}

/// Removes files that grew when a node crashed. Those of a node that runs are locked.
fn remove_leftovers(incoming: &Path) {
    let Ok(entries) = fs::read_dir(incoming) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(b".adsum-");
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let in_use = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)));
        if !in_use {
            // One that stays takes room and is never seen.
            let _stays = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests;
