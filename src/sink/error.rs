//! Why results cannot be written.

use std::io;

use crate::dtype::DType;
use crate::manifest::AXES_MAX;

/// Why a file of results cannot be made.
///
/// Each message names the file, the value that is wrong and the way out. The
/// target is as it was before, and nothing lies beside it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The target exists and is not to be replaced.
    #[error("'{name}' exists; say --force to replace it, or name another file")]
    Exists {
        /// The path.
        name: String,
    },
    /// A directory where a file is to be.
    #[error("'{name}' is a directory; name a file in it")]
    Directory {
        /// The path.
        name: String,
    },
    /// A device, a pipe or a link that leads nowhere, which a file cannot
    /// replace.
    #[error("'{name}' is not a regular file; name one, or a path where nothing is")]
    NotRegular {
        /// The path.
        name: String,
    },
    /// The directory of the target does not exist.
    #[error("'{name}' cannot be made: '{directory}' is not a directory; make it, or name another")]
    NoDirectory {
        /// The path.
        name: String,
        /// What should be its directory.
        directory: String,
    },
    /// An array that no `.npy` file holds.
    #[error(
        "'{name}' cannot hold the shape {shape:?} of {dtype}: it is past 64 bits, or has more than {} axes",
        AXES_MAX
    )]
    Shape {
        /// The path.
        name: String,
        /// The shape.
        shape: Vec<u64>,
        /// Type of each element.
        dtype: DType,
    },
    /// Elements are missing, or came twice: a defect of the program.
    #[error(
        "'{name}' got {written} of the {elements} elements of its shape; nothing was kept, and this is a defect to report"
    )]
    Incomplete {
        /// The path.
        name: String,
        /// Elements that were written.
        written: u64,
        /// Elements of the shape.
        elements: u64,
    },
    /// The operating system refused or failed.
    #[error("'{name}' could not be written: {source}{}", advice(source))]
    Io {
        /// The path.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SinkError {
    /// Whether the command was wrong: another path, or `--force`, will do.
    pub fn is_usage(&self) -> bool {
        match self {
            SinkError::Exists { .. }
            | SinkError::Directory { .. }
            | SinkError::NotRegular { .. }
            | SinkError::NoDirectory { .. } => true,
            SinkError::Shape { .. } | SinkError::Incomplete { .. } | SinkError::Io { .. } => false,
        }
    }
}

/// The way out of a system error, where there is one to name.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name a file in a directory that you may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room, or name a file on another disk"
        }
        _ => "",
    }
}
