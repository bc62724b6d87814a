//! Remembers between runs which kernels passed their self-test on an adapter, and
//! how large blocks and grids are to be there.
//!
//! An entry of the first kind is an empty-handed witness: its name is a hash of everything that
//! the verdict depends on, so there is nothing in it to trust or to keep up to
//! date. Only passes are remembered. A note is a few
//! words that make nothing wrong, whatever they say. A cache that cannot be read or written
//! only costs the time of another self-test.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The most entries kept, those of all kernels of several adapters; beyond them
/// the oldest go.
pub const ENTRIES_MAX: usize = 512;

/// What an entry holds, for a person who looks into it.
const CONTENT: &[u8] = b"A kernel passed adsum's self-test on an adapter.\n";

/// The most bytes of a note that are read.
const NOTE_BYTES_MAX: u64 = 256;

/// A directory of passed self-tests, and of notes.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// A cache that remembers nothing.
    pub fn none() -> Cache {
        Cache::default()
    }

    /// The cache in this directory, which is made when it is first written.
    pub fn at(directory: impl Into<PathBuf>) -> Cache {
        Cache { directory: Some(directory.into()) }
    }

    /// The cache of the user who runs the program, or none if the environment
    /// does not say where that would be.
    pub fn of_user() -> Cache {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let caches = if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
        };
        Cache { directory: caches.map(|caches| caches.join("adsum").join("self-test")) }
    }

    /// Whether an entry of this name was kept.
    pub(super) fn holds(&self, name: &str) -> bool {
        let content = self.directory.as_ref().map(|directory| fs::read(directory.join(name)));
        content.is_some_and(|content| content.is_ok_and(|content| content == CONTENT))
    }

    /// Keeps an entry of this name, if the directory can be written.
    pub(super) fn keep(&self, name: &str) {
        self.write(name, CONTENT);
    }

    /// What was noted under a name; the reader decides whether it makes sense.
    pub(super) fn recall(&self, name: &str) -> Option<String> {
        let file = fs::File::open(self.directory.as_ref()?.join(name)).ok()?;
        let mut text = String::new();
        file.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Notes a few words under a name, in place of what was there.
    pub(super) fn note(&self, name: &str, text: &str) {
        debug_assert!(text.len() as u64 <= NOTE_BYTES_MAX, "a note of {} bytes", text.len());
        self.write(name, text.as_bytes());
    }

    fn write(&self, name: &str, content: &[u8]) {
        if let Some(directory) = &self.directory {
            // Without the entry the next run finds it out again: slower, not wrong.
            let _ = write(directory, name, content).and_then(|()| prune(directory));
        }
    }
}

/// The program that runs, as far as it can be told apart from another build of
/// the same version; `None` if the system does not say.
pub(super) fn program() -> Option<String> {
    let metadata = fs::metadata(std::env::current_exe().ok()?).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(format!("{version} {} {}", metadata.len(), modified.as_nanos()))
}

/// A name that two lists of parts share only if they are equal.
pub(super) fn name<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn write(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (mut builder, mut options) = (fs::DirBuilder::new(), fs::OpenOptions::new());
    builder.recursive(true);
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.create(directory)?;
    options.open(directory.join(name))?.write_all(content)
}

fn prune(directory: &Path) -> io::Result<()> {
    let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(directory)?
        .map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.modified()?, entry.path()))))
        .collect::<io::Result<_>>()?;
    entries.sort();
    let excess = entries.len().saturating_sub(ENTRIES_MAX);
    entries.iter().take(excess).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_kept_and_only_under_its_own_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(directory.path().join("deep/down"));
        let (this, other) = (name(["ab", "c"]), name(["a", "bc"]));
        assert!(!cache.holds(&this));
        cache.keep(&this);
        assert!(cache.holds(&this));
        assert!(!cache.holds(&other));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_or_write_an_entry() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("adsum");
        Cache::at(&directory).keep("entry");
        let mode = |path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(directory.clone()), 0o700);
        assert_eq!(mode(directory.join("entry")), 0o600);
    }

    #[test]
    fn the_oldest_entries_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(directory.path());
        for index in 0..ENTRIES_MAX + 3 {
            cache.keep(&index.to_string());
            let file =
                fs::File::options().write(true).open(directory.path().join(index.to_string()));
            let age = std::time::Duration::from_secs(index as u64);
            file.and_then(|file| file.set_modified(UNIX_EPOCH + age)).expect("just written");
        }
        cache.keep("newest");
        assert!(cache.holds("newest"));
        assert!(!cache.holds("3"));
        assert!(cache.holds("4"));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let cache = Cache::at(file.path().join("below"));
        cache.keep("entry");
        assert!(!cache.holds("entry"));
        Cache::none().keep("entry");
        assert!(!Cache::none().holds("entry"));
    }
}
