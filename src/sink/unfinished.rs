//! The files of this process that have not taken their place yet.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All of this process.
pub static UNFINISHED: Unfinished = Unfinished::new();

/// Removes every unfinished file of this process.
///
/// For a program that is about to end, as on Ctrl-C. As long as it holds what
/// this returns, no file is begun and none takes its place: whoever tries
/// waits.
pub fn remove_unfinished() -> Removed<'static> {
    UNFINISHED.remove_all()
}

/// That all unfinished files are removed, and no other comes while this lives.
#[must_use = "as soon as it is dropped, files are begun and finished again"]
pub struct Removed<'a> {
    _paths: MutexGuard<'a, BTreeSet<PathBuf>>,
}

/// Temporary files by their paths. A file is made, placed and removed under the
/// lock, so that [`Unfinished::remove_all`] meets each of them before or after
/// such a step.
pub struct Unfinished {
    paths: Mutex<BTreeSet<PathBuf>>,
}

impl Unfinished {
    pub const fn new() -> Unfinished {
        Unfinished { paths: Mutex::new(BTreeSet::new()) }
    }

    /// Makes an empty file in `directory` that can be read and written, with
    /// the permissions that the user gives to new files.
    pub fn create(&self, directory: &Path) -> io::Result<(PathBuf, File)> {
        // Unique in this process; a process of the same number elsewhere, or
        // one that was killed, may have left files, which are passed over.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut paths = self.lock();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".adsum-{}-{number}.tmp", std::process::id()));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    paths.insert(path.clone());
                    return Ok((path, file));
                }
            }
        }
    }

    /// Gives the file `path` the name `target`, which takes the place of what
    /// is there only if it may.
    ///
    /// # Errors
    /// `AlreadyExists` if it may not; others as the system says. The file is
    /// then still unfinished.
    pub fn place(&self, path: &Path, target: &Path, overwrite: bool) -> io::Result<()> {
        let mut paths = self.lock();
        if overwrite {
            fs::rename(path, target)?;
        } else {
            rename_new(path, target)?;
        }
        paths.remove(path);
        Ok(())
    }

    /// Removes the file `path`, unless it has taken its place.
    pub fn remove(&self, path: &Path) {
        if self.lock().remove(path) {
            // What cannot be removed cannot be helped: this runs when
            // something else has failed, which is told.
            let _ = fs::remove_file(path);
        }
    }

    fn remove_all(&self) -> Removed<'_> {
        let mut paths = self.lock();
        for path in std::mem::take(&mut *paths) {
            let _ = fs::remove_file(path);
        }
        Removed { _paths: paths }
    }

    /// A panic elsewhere leaves the set as valid as it was.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rename that replaces nothing. The standard library has none, but a second
/// name for a file is refused where the name is taken.
fn rename_new(path: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(path, target) {
        Ok(()) => {
            // The result is there; a name too many is not worth its loss.
            let _ = fs::remove_file(path);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // File systems without second names: an empty file takes the name, if
        // nobody has it, and is replaced.
        Err(_) => claim_and_rename(path, target),
    }
}

fn claim_and_rename(path: &Path, target: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(target)?;
    fs::rename(path, target).inspect_err(|_| {
        let _ = fs::remove_file(target);
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_are_removed_but_those_that_took_their_place() {
        let directory = tempfile::tempdir().unwrap();
        let files = Unfinished::new();
        let (done, _) = files.create(directory.path()).unwrap();
        let (open, _file) = files.create(directory.path()).unwrap();
        let (closed, _) = files.create(directory.path()).unwrap();
        files.place(&done, &directory.path().join("done"), false).unwrap();
        assert_eq!(names(directory.path()).len(), 3);
        drop(files.remove_all());
        assert_eq!(names(directory.path()), ["done"]);
        // Too late: there is nothing to place, and nothing to remove.
        assert!(files.place(&open, &directory.path().join("late"), false).is_err());
        assert!(files.place(&closed, &directory.path().join("late"), true).is_err());
        files.remove(&open);
        assert_eq!(names(directory.path()), ["done"]);
    }

    #[test]
    fn nothing_begins_while_the_program_ends() {
        let directory = tempfile::tempdir().unwrap();
        let files = Unfinished::new();
        let removed = files.remove_all();
        std::thread::scope(|scope| {
            let begun = scope.spawn(|| files.create(directory.path()).unwrap());
            assert_eq!(names(directory.path()), [""; 0]);
            drop(removed);
            begun.join().unwrap();
        });
        assert_eq!(names(directory.path()).len(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = Unfinished::new().create(directory.path()).unwrap();
        let name = first.file_name().unwrap().to_str().unwrap();
        let start = name.rsplit_once('-').unwrap().0;
        for number in 0..1000 {
            let _ = File::create_new(directory.path().join(format!("{start}-{number}.tmp")));
        }
        let (second, _) = Unfinished::new().create(directory.path()).unwrap();
        assert_ne!(first, second);
        assert!(second.exists());
    }

    #[test]
    fn without_second_names_a_file_replaces_nothing_either() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("new"), "new").unwrap();
        fs::write(at("old"), "old").unwrap();
        let error = claim_and_rename(&at("new"), &at("old")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        claim_and_rename(&at("new"), &at("free")).unwrap();
        assert!(claim_and_rename(&at("gone"), &at("claimed")).is_err());
        assert_eq!(names(directory.path()), ["free", "old"]);
        assert_eq!(fs::read(at("free")).unwrap(), b"new");
        assert_eq!(fs::read(at("old")).unwrap(), b"old");
    }
}
