//! Shards whose bytes are hashed after they have been reduced.

use std::ops::Range;
use std::sync::Arc;

use crate::dtype::Layout;
use crate::manifest::{ENTRY_BYTES, File};
use crate::os;
use crate::shard::{Shard, ShardError};

use super::local::{OpenFile, Resolve};

/// Bytes that are read and hashed at a time.
const BLOCK_BYTES: u64 = 1 << 20;

/// Elements of a file whose contents are known by the BLAKE3 hashes of its runs of
/// [`ENTRY_BYTES`].
///
/// They are hashed when all of them have been reduced, from the same pages of the
/// system's cache: an entry is not larger than a run, and was read a moment ago. So
/// bits that flipped on the disk are found, whether they flipped before the file
/// was read or since it was hashed.
pub(super) struct VerifiedShard {
    inner: Arc<dyn Shard>,
    hashed: Hashed,
    /// Who is told if the bytes are others, and how the file is called there.
    told: Option<(Arc<dyn Resolve>, File)>,
}

/// A file, where its array lies, and what it should be.
pub(super) struct Hashed {
    pub(super) file: Arc<OpenFile>,
    /// Where the array starts, in bytes from the start of the file.
    pub(super) start_bytes: u64,
    /// Bytes of the whole array.
    pub(super) bytes: u64,
    /// The bytes of the array that the shard has.
    pub(super) of_shard: Range<u64>,
    pub(super) runs: Arc<[[u8; 32]]>,
}

impl VerifiedShard {
    pub(super) fn new(
        inner: Arc<dyn Shard>,
        hashed: Hashed,
        told: Option<(Arc<dyn Resolve>, File)>,
    ) -> VerifiedShard {
        VerifiedShard { inner, hashed, told }
    }
}

impl Hashed {
    /// Hashes all runs that the shard has a part of, up to the first that is another than
    /// it was: its bytes of the array.
    fn first_other(&self) -> Result<Option<Range<u64>>, ShardError> {
        let Range { start, end } = self.of_shard;
        let mut block = vec![0; BLOCK_BYTES as usize];
        for run in start / ENTRY_BYTES..end.div_ceil(ENTRY_BYTES) {
            let first = run * ENTRY_BYTES;
            let last = (first + ENTRY_BYTES).min(self.bytes);
            if self.runs.get(run as usize) != Some(&self.hash(first..last, &mut block)?) {
                return Ok(Some(first..last));
            }
        }
        Ok(None)
    }

    fn hash(&self, bytes: Range<u64>, block: &mut [u8]) -> Result<[u8; 32], ShardError> {
        let mut hasher = blake3::Hasher::new();
        let mut at = bytes.start;
        while at < bytes.end {
            let wanted = (bytes.end - at).min(BLOCK_BYTES) as usize;
            let name = &self.file.name;
            match os::read_at(&self.file.file, &mut block[..wanted], self.start_bytes + at) {
                Ok(0) => return Err(ShardError::changed(format!("'{name}' ends too early"))),
                Ok(got) => {
                    hasher.update(&block[..got]);
                    at += got as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(ShardError::unreadable(format!(
                        "'{name}' could not be read again to verify it: {error}"
                    )));
                }
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

impl Shard for VerifiedShard {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn elements(&self) -> u64 {
        self.inner.elements()
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        self.inner.read(elements, block)
    }

    fn verify(&self) -> Result<(), ShardError> {
        let other = self.hashed.first_other()?;
        // After the hash, so that the file was the same all the while.
        self.inner.verify()?;
        let Some(Range { start, end }) = other else { return Ok(()) };
        let opened = &self.hashed.file;
        if let Some((resolve, file)) = &self.told {
            resolve.doubt(file, &opened.identity);
        }
        let name = &opened.name;
        Err(ShardError::changed(format!(
            "'{name}' has other bytes than when it was hashed, between bytes {start} and {end} of its array, and its times are the same: the disk or the memory of this node gives wrong bits; put the file back from another copy, and examine the disk"
        )))
    }
}
