//! Partials that were made already.
//!
//! A partial follows from an entry's contents, so where these are known by their
//! digest it can be kept. A node whose collector died then answers the next one
//! without reading anything again, and so it does if the same is asked twice.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::compute::TaskKey;
use crate::manifest::{Entry, Manifest};
use crate::op::Spec;
use crate::partial::{FORMAT_VERSION, Partial};

/// All that a partial of an entry follows from, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cause([u8; 32]);

impl Cause {
    /// Of an entry whose contents are known and are not to be verified.
    fn of(manifest: &Manifest, entry: &Entry, spec: &Spec) -> Option<Cause> {
        let contents = |file: u32| {
            let file = &manifest.files()[file as usize];
            file.digest.filter(|_| !file.verified)
        };
        let first = contents(entry.file)?;
        let second = match entry.second {
            Some((file, start)) => Some((contents(file)?, start)),
            None => None,
        };
        let block = entry.block;
        let block = (block.outer, block.reduced, block.inner, block.stride);
        let (along, elements) = (manifest.is_along_axis(), &entry.elements);
        let cause =
            (FORMAT_VERSION, spec, first, second, along, elements, block, entry.first_index);
        let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 cause of a partial");
        postcard::to_io(&cause, &mut hasher).expect("hashing writes to memory only");
        Some(Cause(*hasher.finalize().as_bytes()))
    }
}

/// The least recently used partials of a node, and which of those under way are to
/// be kept.
#[derive(Debug)]
pub struct Recall {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: LruCache<Cause, Partial>,
    bytes: u64,
    bytes_max: u64,
    under_way: HashMap<TaskKey, Cause>,
}

impl Recall {
    pub fn new(bytes_max: u64) -> Recall {
        let kept = LruCache::unbounded();
        Recall { inner: Mutex::new(Inner { kept, bytes: 0, bytes_max, under_way: HashMap::new() }) }
    }

    /// The partial of an entry, if it is kept. Else notes that it is on its way.
    pub fn find(
        &self,
        key: TaskKey,
        manifest: &Manifest,
        entry: &Entry,
        spec: &Spec,
    ) -> Option<Partial> {
        let cause = Cause::of(manifest, entry, spec)?;
        let mut inner = self.lock();
        let found = inner.kept.get(&cause).cloned();
        if found.is_none() {
            inner.under_way.insert(key, cause);
        }
        found
    }

    /// A task ended, with this partial or none.
    pub fn end(&self, key: &TaskKey, partial: Option<&Partial>) {
        let mut inner = self.lock();
        let (Some(cause), Some(partial)) = (inner.under_way.remove(key), partial) else { return };
        let bytes = partial.encoded_bytes_max();
        if bytes > inner.bytes_max / 16 || inner.kept.contains(&cause) {
            return;
        }
        inner.kept.put(cause, partial.clone());
        inner.bytes += bytes;
        while inner.bytes > inner.bytes_max
            && let Some((_, oldest)) = inner.kept.pop_lru()
        {
            inner.bytes -= oldest.encoded_bytes_max();
        }
    }

    /// A job is given up: none of its tasks will end.
    pub fn abandon(&self, job: crate::manifest::JobId) {
        self.lock().under_way.retain(|key, _| key.job != job);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::manifest::{Digest, File, JobId, imaginary_file};
    use crate::op::{Op, Spec};

    fn manifest(digest: Option<u8>, verified: bool) -> Manifest {
        let file = imaginary_file("a", DType::F64, 1000);
        let digest = digest.map(|byte| Digest([byte; 32]));
        Manifest::with_entry_bytes(vec![File { digest, verified, ..file }], 800).unwrap()
    }

    fn key(job: u8, position: u32) -> TaskKey {
        TaskKey { job: JobId([job; 32]), position }
    }

    fn partial(spec: &Spec) -> Partial {
        Partial::identity(spec, 1)
    }

    fn recall_all(recall: &Recall, manifest: &Manifest, spec: &Spec, job: u8) -> usize {
        let found = manifest.entries().iter().filter(|entry| {
            let key = key(job, entry.position);
            let found = recall.find(key, manifest, entry, spec);
            recall.end(&key, found.is_none().then(|| partial(spec)).as_ref());
            found.is_some()
        });
        found.count()
    }

    #[test]
    fn what_was_made_for_one_job_is_there_for_another() {
        let recall = Recall::new(1 << 20);
        let sum = Spec::sum(DType::F64);
        let data = manifest(Some(1), false);
        assert_eq!(recall_all(&recall, &data, &sum, 1), 0);
        assert_eq!(recall_all(&recall, &data, &sum, 2), 10);
        // Other contents, and another reduction of the same.
        assert_eq!(recall_all(&recall, &manifest(Some(2), false), &sum, 3), 0);
        let minimum = Spec { dtype: DType::F64, monoids: Op::Min.monoids(DType::F64) };
        assert_eq!(recall_all(&recall, &data, &minimum, 4), 0);
    }

    #[test]
    fn unknown_contents_and_those_to_be_verified_are_read_every_time() {
        let recall = Recall::new(1 << 20);
        let sum = Spec::sum(DType::F64);
        for data in [manifest(None, false), manifest(Some(1), true)] {
            assert_eq!(recall_all(&recall, &data, &sum, 1), 0);
            assert_eq!(recall_all(&recall, &data, &sum, 2), 0);
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let sum = Spec::sum(DType::F64);
        let bytes = partial(&sum).encoded_bytes_max();
        let recall = Recall::new(32 * bytes);
        for byte in 0..100 {
            recall_all(&recall, &manifest(Some(byte), false), &sum, byte);
            assert!(recall.lock().bytes <= 32 * bytes && recall.lock().kept.len() <= 32);
        }
        assert_eq!(recall_all(&recall, &manifest(Some(99), false), &sum, 200), 10);
        assert_eq!(recall_all(&recall, &manifest(Some(0), false), &sum, 201), 0);
        assert!(recall.lock().under_way.is_empty());
    }

    #[test]
    fn a_job_that_is_given_up_leaves_nothing() {
        let recall = Recall::new(1 << 20);
        let data = manifest(Some(1), false);
        let sum = Spec::sum(DType::F64);
        assert_eq!(recall.find(key(1, 0), &data, &data.entries()[0], &sum), None);
        recall.abandon(JobId([1; 32]));
        recall.end(&key(1, 0), Some(&partial(&sum)));
        assert!(recall.lock().under_way.is_empty() && recall.lock().kept.is_empty());
    }
}
