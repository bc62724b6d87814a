//! Whether a file is still in the state that a manifest describes.
//!
//! A file is taken for unchanged while device, inode, size and both times are
//! the same. The kernel stamps times in steps (a few ms before Linux 6.13, finer
//! since), so two writes within one step, the first before the manifest is made
//! and the second after it, look like one; a writer through a shared mapping may
//! be stamped late. No reader of a file can tell these.

use std::fs;
use std::path::Path;

use crate::manifest::FileIdentity;
use crate::os;
use crate::shard::ShardError;

/// Compares an open file, and what its path leads to by now, with the state
/// that a manifest expects.
///
/// # Errors
/// Something differs: the message says what. Or the file cannot be asked.
pub fn check(
    name: &str,
    path: &Path,
    file: &fs::File,
    expected: &FileIdentity,
) -> Result<(), ShardError> {
    let unreadable =
        |error| ShardError::unreadable(format!("'{name}' could not be examined: {error}"));
    // The path first: to be renamed or replaced also changes the open file's
    // metadata, and says less.
    let by_path = match fs::metadata(path) {
        Ok(metadata) => os::identity(&metadata),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(changed(name, "it was removed or renamed"));
        }
        Err(error) => return Err(unreadable(error)),
    };
    compare(name, expected, &by_path)?;
    compare(name, expected, &os::identity(&file.metadata().map_err(unreadable)?))
}

/// # Errors
/// The two states differ.
pub fn compare(
    name: &str,
    expected: &FileIdentity,
    found: &FileIdentity,
) -> Result<(), ShardError> {
    let what = if (expected.device, expected.inode) != (found.device, found.inode) {
        "another file took its place"
    } else if expected.size_bytes != found.size_bytes {
        let (from, to) = (expected.size_bytes, found.size_bytes);
        return Err(changed(name, &format!("its size went from {from} to {to} bytes")));
    } else if expected.modified_ns != found.modified_ns {
        "it was written to"
    } else if expected.changed_ns != found.changed_ns {
        "its metadata changed"
    } else {
        return Ok(());
    };
    Err(changed(name, what))
}

/// The error that `name` changed, and how.
pub fn changed(name: &str, what: &str) -> ShardError {
    ShardError::changed(format!(
        "'{name}' changed while it was in use: {what}; run again when nothing changes it"
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let expected =
            FileIdentity { device: 1, inode: 2, size_bytes: 3, modified_ns: 4, changed_ns: 5 };
        assert_eq!(compare("a", &expected, &expected), Ok(()));
        for (found, words) in [
            (FileIdentity { device: 9, ..expected }, "another file"),
            (FileIdentity { inode: 9, ..expected }, "another file"),
            (FileIdentity { size_bytes: 9, ..expected }, "from 3 to 9 bytes"),
            (FileIdentity { modified_ns: 9, ..expected }, "written"),
            (FileIdentity { changed_ns: 9, ..expected }, "metadata"),
        ] {
            let message = compare("a", &expected, &found).unwrap_err().message;
            assert!(message.starts_with("'a' changed") && message.contains(words), "{message}");
        }
    }
}
