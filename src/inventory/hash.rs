//! The contents of one file, hashed block by block.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::{Digest, File, FileIdentity};
use crate::os;

use super::look::Look;
use super::runs::Runs;
use super::snapshot::Found;

/// Bytes that are read at a time.
const BLOCK_BYTES: u64 = 1 << 20;

/// A file that is being hashed.
#[derive(Debug)]
pub struct Hashing {
    pub name: String,
    path: PathBuf,
    open: fs::File,
    file: File,
    /// Bytes of the elements.
    bytes: u64,
    runs: Runs,
}

/// What came of a step.
#[derive(Debug)]
pub enum Step {
    /// There is more to do.
    More,
    /// All is hashed, and the file has not changed meanwhile.
    Done(Found),
    /// Nothing, and there is nothing more to do.
    Missed(Miss),
}

/// Why a file has not been hashed.
#[derive(Debug)]
pub enum Miss {
    /// The file is no longer what it was.
    Changed,
    /// The file could not be read; why.
    Failed(String),
}

impl Hashing {
    /// Begins to hash the file at `path` if it is in the state `expected`.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub fn begin(
        name: String,
        path: PathBuf,
        expected: &FileIdentity,
        run_bytes: u64,
    ) -> Result<Hashing, Miss> {
        // The header is read once more: it may have been written twice in one
        // step of the clock, which its times do not show. By now it has settled.
        let file = match Look::at(&path, expected) {
            Look::Array(file) if file.identity == *expected => file,
            Look::Broken(why) | Look::Unread(why) => return Err(Miss::Failed(why)),
            _ => return Err(Miss::Changed),
        };
        Hashing::of(name, path, file, run_bytes)
    }

    /// Begins to hash the file at `path`, which `file` describes.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub fn of(name: String, path: PathBuf, file: File, run_bytes: u64) -> Result<Hashing, Miss> {
        let open = os::open_regular(&path).map_err(|error| failed(&path, error))?;
        let (bytes, runs) = (element_bytes(&file), Runs::new(run_bytes));
        let hashing = Hashing { name, path, open, file, bytes, runs };
        match hashing.is_unchanged() {
            Ok(true) => Ok(hashing),
            Ok(false) => Err(Miss::Changed),
            Err(error) => Err(failed(&hashing.path, error)),
        }
    }

    /// The state of the file that is hashed.
    pub fn identity(&self) -> FileIdentity {
        self.file.identity
    }

    /// Reads and hashes one block at most. Nothing more may be asked of it after
    /// anything but [`Step::More`].
    pub fn step(&mut self, block: &mut Vec<u8>) -> Step {
        let done = self.runs.done();
        if done == self.bytes {
            return self.finish();
        }
        let want = BLOCK_BYTES.min(self.bytes - done);
        block.resize(BLOCK_BYTES as usize, 0);
        let offset = self.file.data_offset_bytes + done;
        match os::read_at(&self.open, &mut block[..want as usize], offset) {
            Ok(0) => self.blame(|| io::Error::other(format!("it ends at byte {offset}"))),
            Ok(got) => {
                self.runs.update(&block[..got]);
                Step::More
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::More,
            Err(error) => self.blame(|| error),
        }
    }

    fn finish(&mut self) -> Step {
        match self.is_unchanged() {
            Ok(true) => Step::Done(Found::of(self.file.clone(), self.runs.finish())),
            Ok(false) => Step::Missed(Miss::Changed),
            Err(error) => Step::Missed(failed(&self.path, error)),
        }
    }

    /// A read failed: because the file changed, or for the reason given.
    fn blame(&self, reason: impl FnOnce() -> io::Error) -> Step {
        match self.is_unchanged() {
            Ok(false) => Step::Missed(Miss::Changed),
            _ => Step::Missed(failed(&self.path, reason())),
        }
    }

    /// Bytes of elements that were hashed.
    pub fn done(&self) -> u64 {
        self.runs.done()
    }

    /// Whether the open file, and the one at its path, are in the state that is
    /// described.
    fn is_unchanged(&self) -> io::Result<bool> {
        let by_path = fs::symlink_metadata(&self.path)?;
        let is = |metadata| os::identity(metadata) == self.file.identity;
        Ok(by_path.is_file() && is(&by_path) && is(&self.open.metadata()?))
    }
}

/// The digest of an array whose runs of elements have these hashes.
pub fn digest_of(file: &File, runs: &[[u8; 32]]) -> Digest {
    Digest::of(file.layout, file.memory_order, &file.shape, runs)
}

/// The number of runs that an array has.
pub fn run_count(file: &File, run_bytes: u64) -> u64 {
    element_bytes(file).div_ceil(run_bytes)
}

fn element_bytes(file: &File) -> u64 {
    let bytes = |elements: u64| elements.checked_mul(file.layout.dtype.size_bytes() as u64);
    file.elements().and_then(bytes).expect("a described array lies in its file")
}

fn failed(path: &Path, error: io::Error) -> Miss {
    if error.kind() == io::ErrorKind::NotFound {
        return Miss::Changed;
    }
    let path = path.display();
    Miss::Failed(format!(
        "'{path}' could not be hashed: {error}; copy it again if its disk is sound"
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests;
