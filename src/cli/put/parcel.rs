//! Files that are to be placed, and how they are called.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path};

use crate::catalogue::{Array, check_name};
use crate::cli::exit::{Blame, Failure};
use crate::manifest::{Digest, File};
use crate::os;
use crate::placement::NodeId;
use crate::source::{self, Options, SourceError};

/// A file on its way.
pub struct Parcel {
    /// Its path as it was given, for people.
    pub given: String,
    /// Its name in the catalogue.
    pub name: String,
    /// The file by its path without links.
    pub file: File,
    pub array: Array,
    /// Bytes of its elements.
    pub bytes: u64,
    pub digest: Digest,
    /// Nodes that had it before.
    pub already: Vec<NodeId>,
    /// Nodes that were sent it.
    pub placed: Vec<NodeId>,
    /// Nodes that may be sent it, the preferred first.
    pub candidates: VecDeque<NodeId>,
    /// Nodes that were lost before they had it.
    pub missed: Vec<NodeId>,
    /// How often such a node was tried again.
    pub retries: usize,
}

impl Parcel {
    /// The nodes that have it.
    pub fn all_holders(&self) -> impl Iterator<Item = NodeId> {
        self.already.iter().chain(&self.placed).copied()
    }

    /// How many these are.
    pub fn holders(&self) -> usize {
        self.already.len() + self.placed.len()
    }
}

/// The files that paths and globs mean, each under its name, and what the user should
/// know of them.
pub fn list(
    patterns: &[OsString],
    prefix: Option<&str>,
) -> Result<(Vec<Parcel>, Vec<String>), Failure> {
    if prefix.is_some_and(|prefix| prefix.trim_matches('/').is_empty()) {
        let message = format!(
            "'--as {:?}' names no directory; say one, as '--as runs/', or leave it out",
            prefix.unwrap_or_default()
        );
        return Err(Failure::new(Blame::Usage, message));
    }
    let listed = source::list(patterns, &Options::default());
    let (files, warnings) = listed.map_err(|error| match error {
        SourceError::NotNpy { name, start } => Failure::new(
            Blame::Input,
            format!(
                "'{name}' is not a .npy file ({start}), and nodes hold no others; save it as one with 'numpy.save'"
            ),
        ),
        error => Failure::from(error),
    })?;
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let mut parcels = Vec::new();
    for file in files {
        let parcel = parcel(file, prefix)?;
        if let Some(other) = given.insert(parcel.name.clone(), parcel.given.clone()) {
            let message = format!(
                "'{other}' and '{}' would both be called '{}'; put them one by one, with '--as PREFIX/'",
                parcel.given, parcel.name
            );
            return Err(Failure::new(Blame::Usage, message));
        }
        parcels.push(parcel);
    }
    Ok((parcels, warnings))
}

fn parcel(mut file: File, prefix: Option<&str>) -> Result<Parcel, Failure> {
    let given = file.name();
    let path = os::path_from_bytes(&file.path).unwrap_or_default();
    let name = name(&path, prefix)
        .ok_or_else(|| format!("'{given}' has no valid Unicode name; rename it"))
        .and_then(|name| check_name(&name).map(|()| name).map_err(|error| error.to_string()))
        .map_err(|message| Failure::new(Blame::Usage, message))?;
    let canonical = fs::canonicalize(&path).map_err(|error| {
        Failure::new(Blame::Input, format!("'{given}' could not be opened: {error}"))
    })?;
    file.path = os::path_bytes(&canonical).ok_or_else(|| {
        let message = format!("'{given}' leads to a path that is not valid Unicode; rename it");
        Failure::new(Blame::Usage, message)
    })?;
    let array =
        Array { layout: file.layout, memory_order: file.memory_order, shape: file.shape.clone() };
    array.check(&name).map_err(|error| Failure::new(Blame::Input, error))?;
    Ok(Parcel {
        given,
        bytes: array.bytes().unwrap_or(u64::MAX),
        name,
        file,
        array,
        digest: Digest([0; 32]),
        already: Vec::new(),
        placed: Vec::new(),
        candidates: VecDeque::new(),
        missed: Vec::new(),
        retries: 0,
    })
}

/// How the file at `path` is called: as it is given, if that is a path below the
/// current directory, else by its last part.
fn name(path: &Path, prefix: Option<&str>) -> Option<String> {
    let is_below = |part: &Component| matches!(part, Component::Normal(_) | Component::CurDir);
    let parts: Vec<&str> = match path.components().all(|part| is_below(&part)) {
        true => path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_str())
            .collect::<Option<_>>()?,
        false => vec![path.file_name()?.to_str()?],
    };
    let name = parts.join("/");
    Some(match prefix.map(|prefix| prefix.strip_suffix('/').unwrap_or(prefix)) {
        Some(prefix) => format!("{prefix}/{name}"),
        None => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_they_are_given_if_that_is_below_here() {
        let name = |path: &str, prefix| name(Path::new(path), prefix);
        for (path, called) in [
            ("a.npy", "a.npy"),
            ("./a.npy", "a.npy"),
            ("b/./c/a.npy", "b/c/a.npy"),
            ("../a.npy", "a.npy"),
            ("b/../a.npy", "a.npy"),
            ("/b/a.npy", "a.npy"),
        ] {
            assert_eq!(name(path, None).as_deref(), Some(called), "{path}");
            let below = format!("x/y/{called}");
            assert_eq!(name(path, Some("x/y/")), Some(below.clone()), "{path}");
            assert_eq!(name(path, Some("x/y")), Some(below), "{path}");
        }
        assert_eq!(name("..", None), None);
        // What the prefix makes invalid is for the catalogue to refuse.
        assert_eq!(name("a.npy", Some("/x")).as_deref(), Some("/x/a.npy"));
        assert_eq!(name("a.npy", Some("../x")).as_deref(), Some("../x/a.npy"));
    }
}
