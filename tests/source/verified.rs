//! Files that are hashed while they are reduced. A disk that flips bits leaves the
//! times of a file alone, which a test cannot; so here the hashes are those of
//! other bytes, which is the same to whoever compares them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adsum::manifest::{Digest, ENTRY_BYTES, File, FileIdentity, Manifest};
use adsum::shard::{ShardError, ShardErrorKind};
use adsum::source::{Access, LocalFiles, Resolve, Resolved};

use crate::fixture::{Directory, npy_f64, open, read_all};

/// Elements of two runs, the second not whole.
const ELEMENTS: usize = (ENTRY_BYTES as usize + (1 << 20)) / 8 + 5;

/// A file of this machine, whatever is asked for, and how often it was doubted.
struct Always(Resolved, AtomicUsize);

impl Resolve for Always {
    fn resolve(&self, _: &File) -> Result<Resolved, ShardError> {
        Ok(self.0.clone())
    }

    fn doubt(&self, file: &File, identity: &FileIdentity) {
        assert_eq!((&*file.name(), identity), ("name", &self.0.file.identity));
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads both entries of a file whose runs have these hashes.
fn verify(
    local: &Manifest,
    runs: &[[u8; 32]],
    verified: bool,
    access: Access,
) -> (Vec<Result<(), ShardError>>, usize) {
    let file = &local.files()[0];
    let resolved = Resolved { file: file.clone(), runs: Arc::from(runs) };
    let digest = Some(Digest::of(file.layout, file.memory_order, &file.shape, runs));
    let named = File { path: b"name".to_vec(), digest, verified, ..file.clone() };
    let manifest = Manifest::new(vec![named]).unwrap();
    let always = Arc::new(Always(resolved, AtomicUsize::new(0)));
    let files = LocalFiles::new(access).resolved_by(always.clone());
    let entries = manifest.entries().iter();
    let read = entries.map(|entry| read_all(&*files.shard(&manifest, entry)?, 1 << 17).map(drop));
    (read.collect(), always.1.load(Ordering::Relaxed))
}

#[test]
fn bytes_that_are_not_those_that_were_hashed_are_an_error_and_named() {
    let values: Vec<f64> = (0..ELEMENTS).map(|index| index as f64).collect();
    let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let directory = Directory::new();
    let path = directory.write("a.npy", &npy_f64(&values));
    let local = open(&[&path]).unwrap().manifest;
    let hashes = |bytes: &[u8]| -> Vec<[u8; 32]> {
        bytes.chunks(ENTRY_BYTES as usize).map(|run| *blake3::hash(run).as_bytes()).collect()
    };
    let right = hashes(&bytes);
    assert_eq!(right.len(), 2);
    // One bit of the last element.
    *bytes.last_mut().unwrap() ^= 1;
    let flipped = hashes(&bytes);
    for access in [Access::Mapped, Access::Positional] {
        let whole = (vec![Ok(()), Ok(())], 0);
        assert_eq!(verify(&local, &right, true, access), whole);
        let (outcomes, doubted) = verify(&local, &flipped, true, access);
        assert_eq!(doubted, 1);
        assert_eq!(outcomes[0], Ok(()));
        let error = outcomes[1].clone().unwrap_err();
        assert_eq!(error.kind, ShardErrorKind::Changed);
        assert!(error.message.contains("a.npy") && error.message.contains("67108864"), "{error}");
        // Only who asks for it pays for it.
        assert_eq!(verify(&local, &flipped, false, access), whole);
        // And who has no hashes cannot have it.
        let error = verify(&local, &[], true, access).0[0].clone().unwrap_err();
        assert!(error.message.contains("has not been hashed"), "{error}");
    }
}
