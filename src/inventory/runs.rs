//! The elements of one array, hashed run by run as they come.

use std::fmt;

/// Hashes of runs, the last of which has begun.
pub struct Runs {
    run_bytes: u64,
    /// Bytes that were hashed.
    done: u64,
    run: blake3::Hasher,
    list: Vec<[u8; 32]>,
}

impl Runs {
    /// Of runs of so many bytes, at least one.
    pub fn new(run_bytes: u64) -> Runs {
        Runs { run_bytes, done: 0, run: blake3::Hasher::new(), list: Vec::new() }
    }

    /// Bytes that were hashed.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.run_bytes - self.done % self.run_bytes;
            let (now, later) = match usize::try_from(left) {
                Ok(left) if left < bytes.len() => bytes.split_at(left),
                _ => (bytes, &[][..]),
            };
            self.run.update(now);
            self.done += now.len() as u64;
            if self.done.is_multiple_of(self.run_bytes) {
                self.end_run();
            }
            bytes = later;
        }
    }

    /// There are no more bytes: the hashes of all runs.
    pub fn finish(&mut self) -> Vec<[u8; 32]> {
        if !self.done.is_multiple_of(self.run_bytes) {
            self.end_run();
        }
        std::mem::take(&mut self.list)
    }

    fn end_run(&mut self) {
        self.list.push(*self.run.finalize().as_bytes());
        self.run.reset();
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runs of {} of {} bytes", self.run_bytes, self.done)
    }
}
