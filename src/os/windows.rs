//! Files on Windows.

use std::fs::{File, Metadata};
use std::io;
use std::os::windows::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::manifest::FileIdentity;

/// Opens a file for reading. Others may still write to it, rename it and
/// delete it meanwhile, as everywhere else; its identity tells.
pub fn open_regular(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Reads at `offset` as much as one call gives; 0 is the end of the file.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    match file.seek_read(buffer, offset) {
        // A read that starts past the end is an error here (ERROR_HANDLE_EOF),
        // not a read of nothing.
        Err(error) if error.raw_os_error() == Some(38) => Ok(0),
        result => result,
    }
}

/// Writes all of `bytes` from `offset` on.
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The state that `metadata` shows a file in. The standard library does not
/// give volume and file number here, so a file that replaces another is told
/// by its size and by when it was created and written.
pub fn identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity {
        device: 0,
        inode: 0,
        size_bytes: metadata.file_size(),
        modified_ns: nanoseconds(metadata.last_write_time()),
        changed_ns: nanoseconds(metadata.creation_time()),
    }
}

/// From units of 100 ns since 1601 to ns since the Unix epoch.
fn nanoseconds(file_time: u64) -> i128 {
    const EPOCH: i128 = 116_444_736_000_000_000;
    (i128::from(file_time) - EPOCH) * 100
}

/// The UTF-8 bytes of a path, or `None` where it is no valid Unicode.
pub fn path_bytes(path: &Path) -> Option<Vec<u8>> {
    path.to_str().map(|path| path.as_bytes().to_vec())
}

/// The path that these are the bytes of, or `None` if they are not UTF-8.
pub fn path_from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// Whether only the owner of a file can read or change it. Access lists are not
/// looked at: files in a user's directories are private from the start.
#[cfg(feature = "net")]
pub fn is_private(_: &Metadata) -> bool {
    true
}

/// Does nothing, see [`is_private`].
#[cfg(feature = "net")]
pub fn make_output_private() -> io::Result<()> {
    Ok(())
}

/// The standard library does not tell here.
#[cfg(feature = "net")]
pub fn free_bytes(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Does nothing: libraries are not told of the end of a process here in a way that
/// would hinder it.
#[cfg(feature = "net")]
pub fn end_at_once(_: i32) {}
