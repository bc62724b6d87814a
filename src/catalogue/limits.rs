//! How much of everything there may be, and what is well formed. All of it comes
//! from peers.

use crate::manifest::AXES_MAX;

use super::memory::{Remembered, Trace};
use super::{Array, CatalogueError, Held, Holder, Memory, Nodes, clip};

/// The longest name in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// The most names that a catalogue remembers, removed ones included.
pub const NAMES_MAX: usize = 1 << 20;

/// The most files that one node offers.
pub const FILES_MAX: usize = 1 << 20;

/// The most different contents that are remembered of one name, removed ones
/// included. More than one is a mistake of people already.
pub const CONTENTS_MAX: usize = 16;

/// The most nodes that are remembered to have held some contents.
pub const HOLDERS_MAX: usize = 8;

/// The longest name or address of a node in bytes.
pub const TEXT_BYTES_MAX: usize = 255;

/// The most times that contents can be placed, removed and placed again.
pub const CHANGES_MAX: u32 = 1 << 20;

/// The most files that one node has and cannot offer, as far as others are told.
pub const UNUSABLE_MAX: usize = 1000;

/// The most nodes that are counted apart when copies are counted.
pub const REPLICAS_MAX: usize = 15;

/// The longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 4096;

/// Checks that there is no more of something than there may be.
pub(super) fn check_count(
    what: impl FnOnce() -> String,
    got: usize,
    max: usize,
    advice: &'static str,
) -> Result<(), CatalogueError> {
    match got <= max {
        true => Ok(()),
        false => Err(CatalogueError::Limit { what: what(), got, max, advice }),
    }
}

/// Checks that a file can have this name in a cluster: on every system it is a path
/// below a directory, and only one path leads to a file.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), CatalogueError> {
    check_count(
        || format!("bytes of the name '{}'", clip(name)),
        name.len(),
        NAME_BYTES_MAX,
        "rename the file",
    )?;
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.starts_with('/') {
        "it starts with '/'"
    } else if name.contains('\0') {
        "it has a NUL"
    } else if name.split('/').any(str::is_empty) {
        "it has an empty part"
    } else if name.split('/').any(|part| part == "." || part == "..") {
        "it has a part '.' or '..'"
    } else {
        return Ok(());
    };
    Err(CatalogueError::Name { name: name.escape_debug().to_string(), problem })
}

/// Checks all that a node offers, but for names that come twice.
pub(super) fn check_offer(holder: &Holder, files: &[Held]) -> Result<(), CatalogueError> {
    holder.check()?;
    check_count(
        || format!("files of node '{}'", holder.name),
        files.len(),
        FILES_MAX,
        "offer a smaller directory, or join the files",
    )?;
    files.iter().try_for_each(Held::check)
}

impl Array {
    /// Checks the array that somebody says is under `name`.
    ///
    /// # Errors
    /// More axes than there may be, or more bytes than can be counted.
    pub fn check(&self, name: &str) -> Result<(), CatalogueError> {
        check_count(
            || format!("axes of '{}'", clip(name)),
            self.shape.len(),
            AXES_MAX,
            "check the header of its file",
        )?;
        match self.bytes() {
            Some(_) => Ok(()),
            None => Err(CatalogueError::TooLarge {
                name: clip(name),
                shape: self.shape.clone(),
                dtype: self.layout.dtype,
            }),
        }
    }
}

impl Held {
    /// Checks what somebody says of a file.
    ///
    /// # Errors
    /// No valid name, or an array that is none or that its file cannot hold.
    pub fn check(&self) -> Result<(), CatalogueError> {
        check_name(&self.name)?;
        self.array.check(&self.name)?;
        let size_bytes = self.identity.size_bytes;
        match self.array.bytes().filter(|&needed_bytes| needed_bytes > size_bytes) {
            None => Ok(()),
            Some(needed_bytes) => Err(CatalogueError::Extent {
                name: self.name.clone(),
                shape: self.array.shape.clone(),
                dtype: self.array.layout.dtype,
                needed_bytes,
                size_bytes,
            }),
        }
    }
}

impl Holder {
    /// Checks what a node says of itself.
    ///
    /// # Errors
    /// A name or an address that is too long.
    pub fn check(&self) -> Result<(), CatalogueError> {
        for (what, text) in [("name", &self.name), ("address", &self.addr)] {
            check_count(
                || format!("bytes of the {what} of node '{}'", clip(text)),
                text.len(),
                TEXT_BYTES_MAX,
                "give the node a shorter one",
            )?;
        }
        Ok(())
    }
}

impl Memory {
    /// Checks what another node says it remembers, or what was stored.
    ///
    /// # Errors
    /// What is not well formed or passes a limit.
    pub fn check(&self) -> Result<(), CatalogueError> {
        check_names(self.len(), NAMES_MAX)?;
        for (name, remembered) in self.iter() {
            check_name(name)?;
            match remembered {
                Remembered::Unhashed(trace) => trace.check(name)?,
                Remembered::Hashed(contents) => {
                    check_contents(name, contents.len())?;
                    if contents.is_empty() {
                        return Err(damaged(name, "nothing".to_owned()));
                    }
                    contents.values().try_for_each(|trace| trace.check(name))?;
                }
            }
        }
        Ok(())
    }
}

impl Trace {
    fn check(&self, name: &str) -> Result<(), CatalogueError> {
        self.array.check(name)?;
        check_count(
            || format!("holders of '{name}'"),
            self.last.len(),
            HOLDERS_MAX,
            "the memory is damaged: delete it where it is stored",
        )?;
        check_nodes(&self.last)?;
        // More removals than placements would outlast any restoration.
        match self.added == 0 || self.removed > self.added || self.added > CHANGES_MAX {
            false => Ok(()),
            true => Err(damaged(
                name,
                format!(
                    "{} placements and {} removals, where {CHANGES_MAX} placements are the most, 1 the least, and each is removed once at most",
                    self.added, self.removed
                ),
            )),
        }
    }
}

fn check_nodes(nodes: &Nodes) -> Result<(), CatalogueError> {
    nodes.values().try_for_each(Holder::check)
}

/// Checks the number of all names.
pub(super) fn check_names(got: usize, max: usize) -> Result<(), CatalogueError> {
    let what = || "names in the catalogue".to_owned();
    check_count(what, got, max, "join files, or make two clusters")
}

/// Checks the number of contents of one name.
pub(super) fn check_contents(name: &str, got: usize) -> Result<(), CatalogueError> {
    let what = || format!("different contents under the name '{name}'");
    check_count(what, got, CONTENTS_MAX, "a name is for one array: place others under other names")
}

fn damaged(name: &str, problem: String) -> CatalogueError {
    CatalogueError::Memory { name: name.to_owned(), problem }
}
