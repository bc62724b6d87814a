//! A file that is whole or not there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::SinkError;
use super::unfinished::UNFINISHED;
use crate::os;

/// A file in the making.
///
/// Its bytes go to a temporary file beside the target, which
/// [`finish`](NewFile::finish) gives the target's name. Dropped before, it
/// leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// Where its bytes are until it is finished.
    temporary: PathBuf,
    /// Where it will be: the path as given, or what a link there leads to.
    target: PathBuf,
    /// The path as given, for messages.
    name: String,
    overwrite: bool,
}

impl NewFile {
    /// Begins a file that will be at `path`, in place of what is there if
    /// `overwrite` allows it. A link at `path` stays, and what it leads to is
    /// replaced.
    ///
    /// # Errors
    /// The target exists and may not be replaced, or is nothing that a file
    /// can replace; its directory does not exist or cannot be written to.
    pub fn create(path: &Path, overwrite: bool) -> Result<NewFile, SinkError> {
        let name = path.display().to_string();
        let target = target(path, &name, overwrite)?;
        let directory = match target.parent() {
            Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
            Some(directory) => directory,
            None => return Err(SinkError::Directory { name }),
        };
        match UNFINISHED.create(directory) {
            Ok((temporary, file)) => Ok(NewFile { file, temporary, target, name, overwrite }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    let directory = directory.display().to_string();
                    SinkError::NoDirectory { name, directory }
                }
                _ => SinkError::Io { name, source: error },
            }),
        }
    }

    /// As [`NewFile::create`] for a file that replaces nothing, whose bytes go to a
    /// temporary file in `directory`, on the same file system, until it is finished.
    ///
    /// # Errors
    /// As [`NewFile::create`]; the message is about `path`.
    pub fn create_in(directory: &Path, path: &Path) -> Result<NewFile, SinkError> {
        let name = path.display().to_string();
        let target = target(path, &name, false)?;
        match UNFINISHED.create(directory) {
            Ok((temporary, file)) => {
                Ok(NewFile { file, temporary, target, name, overwrite: false })
            }
            Err(source) => Err(SinkError::Io { name, source }),
        }
    }

    /// The file, as it is open.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes` from byte `offset` on. Bytes that are never written, but
    /// lie before some that are, become zeros.
    ///
    /// # Errors
    /// As the system says, for example that the disk is full. The file is of
    /// no more use.
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), SinkError> {
        os::write_all_at(&self.file, bytes, offset).map_err(|source| self.io(source))
    }

    /// Brings all bytes to the disk, then the file to its place in one step:
    /// nobody sees a part of it.
    ///
    /// # Errors
    /// As the system says, or that a file has come to the target meanwhile
    /// that may not be replaced. Nothing is left of this one then.
    pub fn finish(self) -> Result<(), SinkError> {
        self.file.sync_all().map_err(|source| self.io(source))?;
        UNFINISHED.place(&self.temporary, &self.target, self.overwrite).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::AlreadyExists => SinkError::Exists { name: self.name.clone() },
            _ => self.io(error),
        })
    }

    /// Where its bytes are until it is finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The path as it was given, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn io(&self, source: io::Error) -> SinkError {
        SinkError::Io { name: self.name.clone(), source }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        UNFINISHED.remove(&self.temporary);
    }
}

/// Where a file for `path` goes, if it may be made.
fn target(path: &Path, name: &str, overwrite: bool) -> Result<PathBuf, SinkError> {
    let name = name.to_owned();
    // `results/` and `results/.` are directories, whatever is there.
    let bytes = path.as_os_str().as_encoded_bytes();
    if !path.file_name().is_some_and(|file| bytes.ends_with(file.as_encoded_bytes())) {
        return Err(SinkError::Directory { name });
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(SinkError::Directory { name }),
        Ok(found) if !found.is_file() => Err(SinkError::NotRegular { name }),
        Ok(_) if !overwrite => Err(SinkError::Exists { name }),
        Ok(_) => fs::canonicalize(path).map_err(|source| SinkError::Io { name, source }),
        // The only thing that is there and has no metadata is a link to nothing.
        Err(_) if path.is_symlink() => Err(SinkError::NotRegular { name }),
        Err(error) => match error.kind() {
            // Nothing is there. If its directory is not there either, making a
            // file in it will tell.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(path.to_owned()),
            _ => Err(SinkError::Io { name, source: error }),
        },
    }
}
