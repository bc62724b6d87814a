//! No mapped files on this system: a file that shrinks under a mapping cannot
//! be survived the way [`super::guard`] does it on Unix.

use std::convert::Infallible;
use std::fs::File;

/// A mapping, of which there is none here.
#[derive(Debug)]
pub struct Mapping(Infallible);

/// That nothing is mapped on this system.
#[derive(Debug)]
pub struct Unmapped;

impl Mapping {
    /// Never maps anything.
    pub fn new(_file: &File, _offset: u64, _bytes: usize) -> Result<Mapping, Unmapped> {
        Err(Unmapped)
    }

    /// The mapped bytes.
    pub fn bytes(&self) -> &[u8] {
        match self.0 {}
    }

    /// Whether a page was lost.
    pub fn is_lost(&self) -> bool {
        match self.0 {}
    }
}
