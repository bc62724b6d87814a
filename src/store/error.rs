//! Why a file cannot be placed.

use std::io;
use std::path::Path;

use crate::catalogue::CatalogueError;
use crate::sink::SinkError;

/// Why a file is not placed. Nothing of it is left then. Each message names the file,
/// the value that is wrong and the way out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No name, or an array that is none.
    #[error(transparent)]
    Invalid(#[from] CatalogueError),
    /// A name that no file below a data directory has for an inventory.
    #[error("'{name}' cannot be placed: {problem}; choose another name")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A link or a file where a directory should be.
    #[error(
        "'{name}' cannot be placed: '{path}' is no directory, and links are not followed; choose another name"
    )]
    NotDirectory {
        /// The name.
        name: String,
        /// What is in the way.
        path: String,
    },
    /// A directory on another file system, where a file cannot appear in one step.
    #[error(
        "'{name}' cannot be placed: '{path}' is on another file system than the data directory; choose another name, or make it the data directory of a node of its own"
    )]
    FileSystem {
        /// The name.
        name: String,
        /// The directory.
        path: String,
    },
    /// Something else has the path.
    #[error("'{path}' is there with other contents; choose another name, or delete it")]
    Taken {
        /// The path.
        path: String,
    },
    /// A file has the path and is not hashed.
    #[error(
        "'{path}' is there and its contents are not known yet; try again when 'adsum ls' shows them, or delete it"
    )]
    Unknown {
        /// The path.
        path: String,
    },
    /// An array that no `.npy` file holds.
    #[error("'{name}' cannot be placed: no file holds the shape {shape:?}")]
    Shape {
        /// The name.
        name: String,
        /// The shape.
        shape: Vec<u64>,
    },
    /// The bytes are not those that were announced.
    #[error(
        "'{name}' arrived with other contents than were announced: it changed while it was sent; put it again when nothing changes it"
    )]
    Contents {
        /// The name.
        name: String,
    },
    /// Somebody changed the file that was being placed.
    #[error("'{path}' was changed while it was placed; see who writes there, and put it again")]
    Changed {
        /// The path.
        path: String,
    },
    /// The operating system refused or failed.
    #[error("'{path}' could not be written: {source}; {}", advice(source))]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    pub(super) fn io(path: &Path, source: io::Error) -> StoreError {
        StoreError::Io { path: path.display().to_string(), source }
    }

    pub(super) fn sink(path: &Path, error: SinkError) -> StoreError {
        match error {
            SinkError::Exists { name } => StoreError::Taken { path: name },
            SinkError::Io { source, .. } => StoreError::io(path, source),
            other => StoreError::io(path, io::Error::other(other)),
        }
    }
}

/// The way out of a system error.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs this node write there, or end the node and put again"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there, or end the node and put again"
        }
        _ => "see to its disk, or end the node and put again",
    }
}
