//! Files and standard input as sources of shards.
//!
//! [`open`] turns paths and globs into a [`Manifest`]: which arrays there are,
//! and the state each file is in. [`LocalFiles`] turns an entry of a manifest
//! into a [`Shard`](crate::shard::Shard), by reading or by mapping its range of
//! the file; a file that changes meanwhile is an error and never a number.
//! [`Stream`] does without a manifest what comes through a pipe.
//!
//! # Formats
//! A file that starts with the magic string of `.npy` is one, whatever its
//! name. Every other file is raw binary, and [`RawFormat`] must say what lies in
//! it. Where it is given, a `.npy` file among the inputs is an error, for its
//! header would be summed with the data; an offset past the header says that
//! just the bytes after it are meant.

use std::io::{self, Read};

use crate::manifest::Manifest;

pub mod dataset;
pub mod error;
mod glob;
pub mod held;
pub mod identity;
pub mod local;
pub mod mapped;
pub mod masked;
pub mod npy;
pub mod positional;
pub mod raw;
pub mod stream;
pub mod strided;
mod verified;

pub use dataset::{list, open};
pub use error::SourceError;
pub use held::{Held, Memory};
pub use local::{Access, LocalFiles, Resolve, Resolved, States};
pub use masked::Mask;
pub use raw::RawFormat;
pub use stream::Stream;

/// How to read what is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What raw binary files hold; without it, files are `.npy`.
    pub raw: Option<RawFormat>,
    /// Bytes of one entry where they are not to be
    /// [`ENTRY_BYTES`](crate::manifest::ENTRY_BYTES): tests use it to have many
    /// entries of little data.
    pub entry_bytes: Option<u64>,
}

/// The arrays that a list of paths and globs names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// What there is to reduce. It has no entries if all arrays are empty.
    pub manifest: Manifest,
    /// What the user should know although it is no error, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads until `buffer` is full or the source ends; returns the bytes read.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
