//! Partials that were made already.
//!
//! A partial follows from an entry's contents, so where these are known by their
//! digest it can be kept. A node whose collector died then answers the next one
//! without reading anything again, and so it does if the same is asked twice.
//!
//! A digest says what the contents were when they were hashed. A disk may have lost
//! some since, so a partial is kept for one state of the file on this node, and not for
//! all that has the digest: when the file is put back, it is read again. What was
//! verified takes the place of what was not, and what was found to be damaged is
//! forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::compute::TaskKey;
use crate::manifest::{Entry, Manifest};
use crate::op::Spec;
use crate::partial::{FORMAT_VERSION, Partial};
use crate::source::States;

/// All that a partial of an entry follows from, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cause([u8; 32]);

impl Cause {
    /// Of an entry whose contents are known, from files in these states.
    fn of(manifest: &Manifest, entry: &Entry, states: &States, spec: &Spec) -> Option<Cause> {
        let contents = |file: u32| manifest.files()[file as usize].digest;
        let first = contents(entry.file)?;
        let second = match entry.second {
            Some((file, start)) => Some((contents(file)?, start)),
            None => None,
        };
        let block = entry.block;
        let block = (block.outer, block.reduced, block.inner, block.stride);
        let (along, elements) = (manifest.is_along_axis(), &entry.elements);
        let cause = (
            FORMAT_VERSION,
            spec,
            first,
            second,
            states,
            along,
            elements,
            block,
            entry.first_index,
        );
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
    /// With whether the contents are verified on the way.
    under_way: HashMap<TaskKey, (Cause, bool)>,
}

impl Recall {
    pub fn new(bytes_max: u64) -> Recall {
        let kept = LruCache::unbounded();
        Recall { inner: Mutex::new(Inner { kept, bytes: 0, bytes_max, under_way: HashMap::new() }) }
    }

    /// The partial of an entry of a manifest, if it is kept and need not be verified.
    /// Else notes that it is on its way.
    pub fn find(
        &self,
        key: TaskKey,
        (manifest, entry): (&Manifest, &Entry),
        states: &States,
        spec: &Spec,
    ) -> Option<Partial> {
        let cause = Cause::of(manifest, entry, states, spec)?;
        let files = [Some(entry.file), entry.second.map(|(file, _)| file)];
        let is_verified = |file: u32| manifest.files()[file as usize].verified;
        let verified = files.into_iter().flatten().any(is_verified);
        let mut inner = self.lock();
        let found = if verified { None } else { inner.kept.get(&cause).cloned() };
        if found.is_none() {
            inner.under_way.insert(key, (cause, verified));
        }
        found
    }

    /// A task ended, with this partial or none.
    pub fn end(&self, key: &TaskKey, partial: Option<&Partial>) {
        let mut inner = self.lock();
        let Some((cause, verified)) = inner.under_way.remove(key) else { return };
        if verified && let Some(unverified) = inner.kept.pop(&cause) {
            inner.bytes -= unverified.encoded_bytes_max();
        }
        let Some(partial) = partial else { return };
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
            let states = (manifest.files()[0].identity, None);
            let found = recall.find(key, (manifest, entry), &states, spec);
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
    fn a_file_that_was_put_back_is_read_again() {
        let recall = Recall::new(1 << 20);
        let (sum, data) = (Spec::sum(DType::F64), manifest(Some(1), false));
        let back = manifest(Some(1), false);
        let mut file = back.files()[0].clone();
        file.identity.inode += 1;
        let back = Manifest::with_entry_bytes(vec![file], 800).unwrap();
        assert_eq!(recall_all(&recall, &data, &sum, 1), 0);
        assert_eq!(recall_all(&recall, &back, &sum, 2), 0);
        assert_eq!(recall_all(&recall, &back, &sum, 3), 10);
    }

    #[test]
    fn what_was_verified_takes_the_place_of_what_was_not() {
        let sum = Spec::sum(DType::F64);
        let (plain, verified) = (manifest(Some(1), false), manifest(Some(1), true));
        let (entry, states) = (&plain.entries()[0], (plain.files()[0].identity, None));
        let other = Partial::identity(&sum, 2);
        for right in [Some(&other), None] {
            let recall = Recall::new(1 << 20);
            assert_eq!(recall_all(&recall, &plain, &sum, 1), 0);
            assert_eq!(recall.find(key(2, 0), (&verified, entry), &states, &sum), None);
            recall.end(&key(2, 0), right);
            // What was found to be damaged gives no partial, and none is kept.
            assert_eq!(recall.find(key(3, 0), (&plain, entry), &states, &sum).as_ref(), right);
            let kept: u64 = recall.lock().kept.iter().map(|(_, one)| one.encoded_bytes_max()).sum();
            assert_eq!(recall.lock().bytes, kept);
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
        let states = (data.files()[0].identity, None);
        assert_eq!(recall.find(key(1, 0), (&data, &data.entries()[0]), &states, &sum), None);
        recall.abandon(JobId([1; 32]));
        recall.end(&key(1, 0), Some(&partial(&sum)));
        assert!(recall.lock().under_way.is_empty() && recall.lock().kept.is_empty());
    }
}
