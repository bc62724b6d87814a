//! The paths that a glob stands for.
//!
//! The crate `glob` matches one name with one part of a pattern; the walk is our
//! own, since that of the crate panics at names that are no Unicode, and leaves them
//! out elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

use walkdir::WalkDir;

use super::SourceError;

/// As the catalogue takes globs of names, so that a name means the same here and there.
/// As in a shell, hidden files are meant only by a pattern that says so.
const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A part of a pattern, between two separators.
enum Part<'a> {
    /// What has no star, question mark or bracket, also `..` and the root.
    Name(Component<'a>),
    /// `**`: any number of directories that are not hidden, or at the end all files in
    /// them.
    Any,
    One(glob::Pattern),
}

/// What `pattern` stands for, in the order of the paths' bytes. In names that are no
/// Unicode, what is none counts as characters that only stars and question marks match.
///
/// # Errors
/// It is not well formed, or a directory that it leads into cannot be read.
pub fn expand(pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    let mut parts = Vec::new();
    for component in Path::new(pattern).components() {
        let text = component.as_os_str().to_str().filter(|text| is_glob(text));
        parts.push(match text {
            None => Part::Name(component),
            // One after another mean no more than one.
            Some("**") if matches!(parts.last(), Some(Part::Any)) => continue,
            Some("**") => Part::Any,
            Some(text) => Part::One(glob::Pattern::new(text).map_err(|error| {
                SourceError::Glob { pattern: pattern.to_owned(), problem: error.msg.to_owned() }
            })?),
        });
    }
    // A set, since two stars can lead to one path in several ways.
    let mut reached = BTreeSet::from([PathBuf::new()]);
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let mut next = BTreeSet::new();
        for base in &reached {
            match part {
                Part::Name(name) => {
                    let path = base.join(name);
                    if !is_last || exists(&path)? {
                        next.insert(path);
                    }
                }
                Part::One(pattern) => {
                    let is_meant = |name: &str| pattern.matches_with(name, OPTIONS);
                    children(base, is_meant, &mut next)?;
                }
                Part::Any => below(base, is_last, &mut next)?,
            }
        }
        reached = next;
    }
    if pattern.ends_with(['/', MAIN_SEPARATOR]) {
        reached.retain(|path| path.is_dir());
    }
    let mut paths: Vec<PathBuf> = reached.into_iter().collect();
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(paths)
}

/// Whether text means more than itself.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The entries of a directory whose names are meant. What is no directory has none.
fn children(
    base: &Path,
    is_meant: impl Fn(&str) -> bool,
    found: &mut BTreeSet<PathBuf>,
) -> Result<(), SourceError> {
    let Some(entries) = unless_missing(base, fs::read_dir(here(base)))? else {
        return Ok(());
    };
    for entry in entries {
        let name = entry.map_err(|error| failed(base, error))?.file_name();
        if is_meant(&name.to_string_lossy()) {
            found.insert(base.join(name));
        }
    }
    Ok(())
}

/// The directory and all below it, over links, too; or all files in them.
fn below(base: &Path, files: bool, found: &mut BTreeSet<PathBuf>) -> Result<(), SourceError> {
    let start = here(base);
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(start).follow_links(true).into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        // What lies behind a link that leads upwards is found above, and a link that
        // leads nowhere is a file that does not exist.
        let (path, is_dir) = match &entry {
            Ok(entry) => (entry.path(), entry.file_type().is_dir()),
            Err(error) => {
                let is_loop = error.loop_ancestor().is_some();
                let path = error.path().unwrap_or(start);
                if let Some(error) = error.io_error() {
                    let error = io::Error::from(error.kind());
                    unless_missing(path, Err::<(), _>(error))?;
                }
                (path, is_loop)
            }
        };
        let path = base.join(path.strip_prefix(start).unwrap_or(path));
        if is_dir != files && (is_dir || path != base) {
            found.insert(path);
        }
    }
    Ok(())
}

/// Whether anything has this path, if only a link.
fn exists(path: &Path) -> Result<bool, SourceError> {
    Ok(unless_missing(path, path.symlink_metadata())?.is_some())
}

fn unless_missing<T>(path: &Path, got: io::Result<T>) -> Result<Option<T>, SourceError> {
    match got {
        Ok(got) => Ok(Some(got)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

/// Whether nothing has the path. Windows says of `*` in a name that it is
/// invalid.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

fn failed(path: &Path, error: io::Error) -> SourceError {
    SourceError::io(&here(path).to_string_lossy(), error)
}

/// A path that the system takes: the empty one is the working directory.
fn here(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}
