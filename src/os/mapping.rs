//! A range of a file as memory.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;

use super::file_system;
use super::guard::{GuardedRange, page_bytes};

/// A range of a file, mapped for reading until it is dropped.
///
/// Pages that the file loses read as zeros and set a mark, see
/// [`super::guard`]; [`Mapping::is_lost`] tells, and whoever used the bytes
/// asks it afterwards.
#[derive(Debug)]
pub struct Mapping {
    /// Dropped, and so withdrawn, before the pages are unmapped: `Pages` is
    /// the later field.
    guard: GuardedRange,
    pages: Pages,
    /// Bytes of the first page before the range.
    skip: usize,
    bytes: usize,
}

/// That a range is not to be mapped, for a reason that concerns only speed.
#[derive(Debug)]
pub struct Unmapped;

impl Mapping {
    /// Maps `bytes` bytes of `file` from byte `offset` on.
    ///
    /// # Errors
    /// The range is empty, the file does not lie on a local file system, or
    /// the system or the guard has no room; read the file instead.
    pub fn new(file: &File, offset: u64, bytes: usize) -> Result<Mapping, Unmapped> {
        if bytes == 0 || !file_system::is_local(file) {
            return Err(Unmapped);
        }
        let skip = (offset % page_bytes() as u64) as usize;
        let pages = Pages::new(file, offset - skip as u64, skip + bytes)?;
        let start = pages.start as usize;
        let end = start + pages.bytes.next_multiple_of(page_bytes());
        let guard = GuardedRange::new(start..end).ok_or(Unmapped)?;
        Ok(Mapping { guard, pages, skip, bytes })
    }

    /// The bytes of the range.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `pages` has `skip + bytes` readable bytes from `start` on,
        // which stay mapped as long as `self`: the guard replaces pages only by
        // readable ones. Their values may change while they are borrowed, if
        // another process writes to the file; no mapping can rule that out.
        // Every value of a byte is valid, so a reader that takes each element
        // once, and bounds what it derives from it by the width of its type,
        // meets no more than a wrong number, which `Shard::verify` discards.
        unsafe { std::slice::from_raw_parts(self.pages.start.add(self.skip), self.bytes) }
    }

    /// Whether a page of the range could not be had since it was mapped.
    pub fn is_lost(&self) -> bool {
        self.guard.is_lost()
    }
}

/// Whole pages of a file.
#[derive(Debug)]
struct Pages {
    start: *const u8,
    bytes: usize,
}

impl Pages {
    fn new(file: &File, offset: u64, bytes: usize) -> Result<Pages, Unmapped> {
        let offset = offset.try_into().map_err(|_| Unmapped)?;
        // SAFETY: a new mapping at an address of the system's choice, so no
        // memory in use is touched; the descriptor is open.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Unmapped);
        }
        let pages = Pages { start: start.cast(), bytes };
        // The whole range is wanted soon. Other advice gains nothing: mapping all
        // pages at once is slower with two threads than touching them.
        //
        // SAFETY: the range was mapped just now, and this is advice only.
        unsafe { libc::madvise(start, bytes, libc::MADV_WILLNEED) };
        Ok(pages)
    }
}

// SAFETY: the pages belong to the process, not to a thread, and are only read.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and nothing borrows it: bytes
        // are lent only with a borrow of the `Mapping` that owns this.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.bytes) };
    }
}
