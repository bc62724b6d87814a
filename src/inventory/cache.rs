//! What was hashed, remembered from one start to the next.
//!
//! A file in the state directory: a version number, the length of the runs, the
//! number of entries, and the entries. It is only a way to save time. An entry
//! counts for the very state of the file that it was made of, and only if its
//! digest follows from the file's header and its runs.
//!
//! One thing in it no hashing finds again: that a file no longer has the contents that
//! it was hashed with ([`Trust`]).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::manifest::{Digest, File, FileIdentity};
use crate::sink::{NewFile, SinkError};

use super::hash;
use super::snapshot::Found;

/// Name of the file in the state directory.
pub const FILE_NAME: &str = "digests";

/// The most bytes that are read and written.
pub const BYTES_MAX: u64 = 256 << 20;

/// Changes whenever the form of the file, or what a digest is, changes.
const VERSION: u32 = 2;

/// The file that remembers.
#[derive(Clone, Debug)]
pub struct Cache {
    pub path: PathBuf,
    pub run_bytes: u64,
    pub bytes_max: u64,
}

/// Whether a file still has the contents that it was hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    Sound,
    /// Somebody read others, and it has not been hashed once more.
    Doubted,
    /// It was hashed once more, and has others.
    Damaged,
}

/// One hashed file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Remembered {
    name: String,
    identity: FileIdentity,
    trust: Trust,
    digest: Digest,
    runs: Vec<[u8; 32]>,
}

impl Remembered {
    /// The array of `file` with the contents that it was hashed with, if it is the one
    /// that was hashed.
    pub fn recall(self, file: &File, run_bytes: u64) -> Option<(Found, Trust)> {
        let fits = self.identity == file.identity
            && self.runs.len() as u64 == hash::run_count(file, run_bytes)
            && self.digest == hash::digest_of(file, &self.runs);
        let file = File { digest: Some(self.digest), ..file.clone() };
        fits.then(|| (Found { file, runs: Arc::from(self.runs) }, self.trust))
    }
}

/// The fields of [`Remembered`] where they lie.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    identity: FileIdentity,
    trust: Trust,
    digest: Digest,
    runs: &'a [[u8; 32]],
}

impl Cache {
    /// What is remembered, by name. Nothing if there is no file.
    ///
    /// # Errors
    /// Why the file is of no use.
    pub fn read(&self) -> Result<HashMap<String, Remembered>, String> {
        match self.bytes() {
            Ok(bytes) => self.decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
            Err(error) => Err(error.to_string()),
        }
        .map_err(|what| {
            let path = self.path.display();
            format!(
                "'{path}' could not be used: {what}; the files are hashed again and it is written anew"
            )
        })
    }

    /// At most one byte more than there may be.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(&self.path)?.take(self.bytes_max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<HashMap<String, Remembered>, String> {
        if bytes.len() as u64 > self.bytes_max {
            return Err(format!("it has more than {} bytes", self.bytes_max));
        }
        let broken = |_| "it is broken".to_owned();
        let (version, rest) = postcard::take_from_bytes::<u32>(bytes).map_err(broken)?;
        if version != VERSION {
            return Err(format!("it has version {version}, known is {VERSION}"));
        }
        let ((run_bytes, entries), mut rest) =
            postcard::take_from_bytes::<(u64, u64)>(rest).map_err(broken)?;
        if run_bytes != self.run_bytes {
            return Err(format!("its runs have {run_bytes} bytes, not {}", self.run_bytes));
        }
        let mut remembered = HashMap::new();
        for _ in 0..entries {
            let entry: Remembered;
            (entry, rest) = postcard::take_from_bytes(rest).map_err(broken)?;
            remembered.insert(entry.name.clone(), entry);
        }
        match rest.is_empty() {
            true => Ok(remembered),
            false => Err("it has bytes after its end".to_owned()),
        }
    }

    /// Remembers these files in place of what was remembered; returns how many
    /// of them did not fit, which are the smallest of those that are sound.
    ///
    /// # Errors
    /// The file could not be written, and is as it was.
    pub fn write<'a>(
        &self,
        files: impl Iterator<Item = (&'a str, &'a Found, Trust)>,
    ) -> Result<usize, SinkError> {
        let mut files: Vec<_> = files.collect();
        // What hashing does not find again comes first, then what takes longest.
        files.sort_by_key(|(_, found, trust)| {
            (*trust == Trust::Sound, Reverse(found.file.identity.size_bytes))
        });
        let start = |entries: u64| encoded(&(VERSION, self.run_bytes, entries));
        let room = self.bytes_max.saturating_sub(start(u64::MAX).len() as u64);
        let (mut body, mut entries) = (Vec::new(), 0);
        for &(name, found, trust) in &files {
            let Some(digest) = found.file.digest else { continue };
            let identity = found.file.identity;
            let entry = encoded(&Entry { name, identity, trust, digest, runs: &found.runs });
            if (body.len() + entry.len()) as u64 <= room {
                body.extend(entry);
                entries += 1;
            }
        }
        let start = start(entries);
        let mut file = NewFile::create(&self.path, true)?;
        file.write_at(&start, 0)?;
        file.write_at(&body, start.len() as u64)?;
        file.finish()?;
        Ok(files.len() - entries as usize)
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("encoding writes to memory only")
}
