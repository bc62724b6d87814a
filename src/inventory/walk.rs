//! One walk through the data directory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path};

use walkdir::{DirEntry, WalkDir};

use crate::manifest::FileIdentity;
use crate::os;

use super::snapshot::Problems;
use super::stop::Stop;

/// The longest name of an array in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// Where to walk. Both paths are absolute and free of links.
#[derive(Debug)]
pub struct Walk<'a> {
    pub data: &'a Path,
    /// A directory to pass over.
    pub state: &'a Path,
    /// The most files to visit.
    pub files_max: usize,
}

/// What a whole walk met besides files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Met {
    pub problems: Problems,
    /// Names of what could not be examined: nobody knows whether what was there
    /// is still there. The empty name is the data directory.
    unclear: BTreeSet<String>,
}

impl Met {
    /// Whether nobody knows if the file of this name is still there.
    pub fn is_unclear(&self, name: &str) -> bool {
        if self.unclear.is_empty() {
            return false;
        }
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        ["", name].into_iter().chain(above).any(|name| self.unclear.contains(name))
    }

    /// What has this name or path could not be examined.
    pub fn fail(&mut self, name: &str, path: &Path, error: Option<&io::Error>) {
        let kind = error.map(io::Error::kind);
        let gone = matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory));
        if gone && !name.is_empty() {
            return;
        }
        let path = path.display();
        let what = error.map_or_else(|| "it leads to itself".to_owned(), io::Error::to_string);
        let way_out = match kind {
            Some(io::ErrorKind::PermissionDenied) => "give this user the right to read it",
            _ if gone => "bring it back, or start again with another --data DIR",
            _ => "it is tried again, see to its disk if that does not help",
        };
        self.problems.push(name, format!("'{path}' could not be read: {what}; {way_out}"));
        // What failed may work again in a moment; a right that was taken away
        // will not come back by itself.
        if !gone && kind != Some(io::ErrorKind::PermissionDenied) {
            self.unclear.insert(name.to_owned());
        }
    }
}

impl Walk<'_> {
    /// Gives each regular file that counts to `visit`: its name, path and
    /// state. Hidden files and links are passed over: what a link leads to could be
    /// anywhere, and change without a sign here. One that leads out of the directory
    /// is a problem, since somebody means it to count. `None` if it was stopped.
    pub fn run(
        &self,
        stop: &Stop,
        mut visit: impl FnMut(String, &Path, FileIdentity),
    ) -> Option<Met> {
        let mut met = Met::default();
        let mut visited = 0;
        let mut entries =
            WalkDir::new(self.data).into_iter().filter_entry(|entry| self.counts(entry));
        while let Some(entry) = entries.next() {
            if stop.is_said() {
                return None;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(self.data);
                    met.fail(&self.shown(path), path, error.io_error());
                    continue;
                }
            };
            let (path, kind) = (entry.path(), entry.file_type());
            if kind.is_symlink() && self.leads_out(path) {
                let problem = format!(
                    "'{}' is a link out of the data directory, which is not followed; move what it leads to here, or make that the data directory of another node",
                    path.display()
                );
                met.problems.push(&self.shown(path), problem);
            }
            if !kind.is_dir() && !kind.is_file() {
                continue;
            }
            let name = match self.name(path) {
                Ok(name) => name,
                Err(problem) => {
                    met.problems.push(&self.shown(path), problem);
                    // No name below this one is any better.
                    if kind.is_dir() {
                        entries.skip_current_dir();
                    }
                    continue;
                }
            };
            if kind.is_dir() {
                continue;
            }
            // By its path: what a directory says of a file may be old on Windows.
            match fs::symlink_metadata(path) {
                Ok(metadata) if !metadata.is_file() => {}
                Ok(_) if visited == self.files_max => {
                    met.problems.push("", self.too_many());
                    return Some(met);
                }
                Ok(metadata) => {
                    visited += 1;
                    visit(name, path, os::identity(&metadata));
                }
                Err(error) => met.fail(&name, path, Some(&error)),
            }
        }
        Some(met)
    }

    fn counts(&self, entry: &DirEntry) -> bool {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // What the data directory itself is called does not matter.
        entry.depth() == 0 || (!hidden && entry.path() != self.state)
    }

    /// Whether a link leads to what has no name of its own here, by what it says: to
    /// look there could take for ever.
    fn leads_out(&self, link: &Path) -> bool {
        let Ok(target) = fs::read_link(link) else { return false };
        let mut end = link.parent().unwrap_or(self.data).to_owned();
        for part in target.components() {
            match part {
                Component::ParentDir => {
                    end.pop();
                }
                Component::CurDir => {}
                part => end.push(part),
            }
        }
        !end.starts_with(self.data)
    }

    /// The name of a path below the data directory, or what is wrong with it.
    fn name(&self, path: &Path) -> Result<String, String> {
        let shown = path.display();
        let parts = path.strip_prefix(self.data).unwrap_or(path).components();
        let parts: Option<Vec<&str>> = parts.map(|part| part.as_os_str().to_str()).collect();
        let Some(parts) = parts else {
            return Err(format!("the name of '{shown}' is not valid Unicode; rename it"));
        };
        let name = parts.join("/");
        match name.len() {
            0..=NAME_BYTES_MAX => Ok(name),
            bytes => Err(format!(
                "the name of '{shown}' has {bytes} bytes, the most is {NAME_BYTES_MAX}; rename it or a directory above it"
            )),
        }
    }

    /// The name of a path for people; what is no Unicode is replaced.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.data).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn too_many(&self) -> String {
        let (data, most) = (self.data.display(), self.files_max);
        format!(
            "'{data}' has more than {most} files, and those past them are left out; divide it, or move what is no array elsewhere"
        )
    }
}
