//! Files on Linux and macOS.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::FileIdentity;

/// Opens a file for reading, and never waits: a pipe that took the place of a
/// file after it was looked at opens at once, for its caller to refuse.
pub fn open_regular(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Reads at `offset` as much as one call gives; 0 is the end of the file.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Writes all of `bytes` from `offset` on.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// The state that `metadata` shows a file in.
pub fn identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size_bytes: metadata.size(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// The bytes of a path. Unix paths are bytes, so there always are some.
pub fn path_bytes(path: &Path) -> Option<Vec<u8>> {
    Some(path.as_os_str().as_bytes().to_vec())
}

/// The path that these are the bytes of.
pub fn path_from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// Whether only the owner of a file can read or change it.
#[cfg(feature = "net")]
pub fn is_private(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 == 0
}

/// Keeps what goes to standard output from all but its owner, where that is a file:
/// a shell made it before this program could.
#[cfg(feature = "net")]
pub fn make_output_private() -> io::Result<()> {
    use std::os::fd::AsFd;
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if output.metadata()?.is_file() {
        output.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

/// The bytes that this user can still write where `path` is, if the system tells.
#[cfg(feature = "net")]
pub fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero, and `status` has room for the struct that the
    // call writes.
    let result = unsafe { libc::statvfs(path.as_ptr(), status.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written the whole struct.
    let status = unsafe { status.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "the fields have 32 bits on macOS")]
    let (blocks, block_bytes) = (status.f_bavail as u64, status.f_frsize as u64);
    Ok(Some(blocks.saturating_mul(block_bytes)))
}

/// Ends the process without what libraries do at its end, which crashes while threads
/// of theirs still work.
#[cfg(feature = "net")]
pub fn end_at_once(code: i32) {
    // SAFETY: it takes any number and does not return.
    unsafe { libc::_exit(code) }
}
