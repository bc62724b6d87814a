//! One file, looked at.

use std::io;
use std::path::Path;

use crate::manifest::{File, FileIdentity};
use crate::source::SourceError;
use crate::source::dataset::describe_npy;
use crate::source::npy::HeaderError;

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Array(File),
    /// It looks like an array and cannot be used; why.
    Broken(String),
    /// Reading it failed, perhaps only now; how.
    Unread(String),
    /// Something that is no array, and does not look like one.
    Other,
    /// It is no longer there, or another file took its place.
    Gone,
}

impl Look {
    /// Reads the header of the file at `path` that was seen in the state `seen`.
    pub fn at(path: &Path, seen: &FileIdentity) -> Look {
        let file = match describe_npy(path) {
            Ok(file) => file,
            Err(error) => return Look::failed(path, &error),
        };
        // A link that took its place may lead anywhere. The file itself may have
        // grown meanwhile: the description is of its new state then.
        let same = (file.identity.device, file.identity.inode) == (seen.device, seen.inode);
        if same { Look::Array(file) } else { Look::Gone }
    }

    fn failed(path: &Path, error: &SourceError) -> Look {
        match error {
            SourceError::Missing { .. }
            | SourceError::Directory { .. }
            | SourceError::NotRegular { .. } => Look::Gone,
            SourceError::Io { source, .. }
            | SourceError::Header { source: HeaderError::Read(source), .. }
                if source.kind() != io::ErrorKind::PermissionDenied =>
            {
                Look::Unread(error.to_string())
            }
            // These have been read up to where they start as a `.npy` file does.
            SourceError::Header { .. }
            | SourceError::Overflow { .. }
            | SourceError::Truncated { .. } => Look::Broken(error.to_string()),
            SourceError::NotNpy { name, start } if is_named_npy(path) => Look::Broken(format!(
                "'{name}' is not a .npy file ({start}); save it as one, or take the suffix away"
            )),
            _ if is_named_npy(path) => Look::Broken(error.to_string()),
            _ => Look::Other,
        }
    }
}

fn is_named_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}
