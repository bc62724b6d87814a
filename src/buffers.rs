//! Memory for segments of arrays, kept for the next one.
//!
//! A segment lives for microseconds, and is of the same size as the one before.
//! From the allocator its memory would come as new pages, which the kernel must
//! clear: that takes longer than sending it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter ones the allocator keeps by itself.
const BYTES_MIN: usize = 16 << 10;

/// Longer ones are rare, and not worth keeping.
const BYTES_MAX: usize = 1 << 20;

/// The most that the whole process keeps.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// A block of memory whose end lets the allocator keep what is freed.
#[cfg(feature = "net")]
const FREED_BYTES: usize = 4 << 20;

/// Has the process keep memory that is freed.
///
/// The network takes and frees memory for each packet, which is a long one on one machine.
/// glibc gives what is free at the end of the heap back to the system from 128 KiB on, and
/// takes it again, page by page, for the next packet. It stops that for up to twice the
/// longest block it has mapped and freed (`M_TRIM_THRESHOLD` in mallopt(3)), so this frees
/// one, which nobody has touched. Other allocators keep what they keep.
#[cfg(feature = "net")]
pub fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(FREED_BYTES)));
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { free: [const { Vec::new() }; CLASSES], bytes: 0 });

/// Sizes are powers of two.
const CLASSES: usize = (BYTES_MAX / BYTES_MIN).ilog2() as usize + 1;

struct Kept {
    free: [Vec<Vec<u8>>; CLASSES],
    bytes: usize,
}

fn kept() -> MutexGuard<'static, Kept> {
    // Nothing that holds the lock can panic half way through a change.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The class of a size, if such ones are kept.
fn class(bytes: usize) -> Option<usize> {
    let is_kept = (BYTES_MIN..=BYTES_MAX).contains(&bytes);
    is_kept.then(|| (bytes.next_power_of_two() / BYTES_MIN).ilog2() as usize)
}

/// Bytes that grow up to the length they were made for.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// One with room for so many bytes, and whatever is in it.
    fn kept(bytes: usize) -> Buffer {
        let Some(class) = class(bytes) else { return Buffer(Vec::with_capacity(bytes)) };
        let mut kept = kept();
        if let Some(free) = kept.free[class].pop() {
            kept.bytes -= free.capacity();
            return Buffer(free);
        }
        drop(kept);
        Buffer(Vec::with_capacity(BYTES_MIN << class))
    }

    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Buffer {
        let mut buffer = Buffer::kept(bytes);
        buffer.0.clear();
        buffer
    }

    /// So many bytes of no meaning, all of which are to be written: zeros, or what was in
    /// the memory before.
    pub fn of(bytes: usize) -> Buffer {
        let mut buffer = Buffer::kept(bytes);
        buffer.0.resize(bytes, 0);
        buffer
    }

    /// A copy.
    pub fn copy(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::with_capacity(bytes.len());
        buffer.extend(bytes);
        buffer
    }

    /// Adds bytes at its end.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// What is in it.
    pub fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The bytes, to be shared. When the last share is dropped the memory is kept.
    pub fn freeze(mut self) -> Bytes {
        match class(self.0.capacity()) {
            Some(_) => Bytes::from_owner(self),
            None => std::mem::take(&mut self.0).into(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let capacity = self.0.capacity();
        // One that grew is of no class.
        let Some(class) = class(capacity).filter(|class| capacity == BYTES_MIN << class) else {
            return;
        };
        let mut kept = kept();
        if kept.bytes + capacity <= KEPT_BYTES_MAX {
            kept.free[class].push(std::mem::take(&mut self.0));
            kept.bytes += capacity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_at_every_boundary() {
        let sizes = [BYTES_MIN, BYTES_MAX].map(|size| [size - 1, size, size + 1]);
        for size in sizes.into_iter().flatten().chain([0, 1]) {
            for round in 0..3_u8 {
                let bytes = vec![round + 1; size];
                assert_eq!(Buffer::copy(&bytes).freeze(), bytes);
                let mut any = Buffer::of(size);
                assert_eq!(any.as_mut().len(), size);
                any.as_mut().fill(round);
                assert_eq!(any.freeze(), vec![round; size]);
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let count = KEPT_BYTES_MAX / BYTES_MAX + 8;
        let all: Vec<Bytes> = (0..count).map(|_| Buffer::of(BYTES_MAX).freeze()).collect();
        drop(all);
        let kept = kept();
        assert!(kept.bytes <= KEPT_BYTES_MAX);
        let free: usize = kept.free.iter().flatten().map(Vec::capacity).sum();
        assert_eq!(free, kept.bytes);
    }
}
