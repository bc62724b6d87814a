//! Files that change while they are in use: always an error, never a number,
//! and never the end of the program.

use std::fs::{self, FileTimes, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adsum::shard::{Shard, ShardError, ShardErrorKind};
use adsum::source::{Access, LocalFiles};

use crate::fixture::{Directory, WAYS, f64_bytes, npy_f64, open, read_all};

/// A file of many pages and one entry.
const ELEMENTS: u64 = 100_000;

fn write(directory: &Directory) -> std::path::PathBuf {
    directory.write("a.npy", &npy_f64(&vec![1.0; ELEMENTS as usize]))
}

fn shard(path: &Path, access: Access) -> Result<Arc<dyn Shard>, ShardError> {
    let manifest = open(&[path]).unwrap().manifest;
    LocalFiles::new(access).shard(&manifest, &manifest.entries()[0])
}

/// A shard that is mapped, which is what the test is about.
#[cfg(unix)]
fn mapped_shard(path: &Path) -> Arc<dyn Shard> {
    let shard = shard(path, Access::Mapped).unwrap();
    let mut block = Vec::new();
    shard.read(0..1, &mut block).unwrap();
    assert!(block.is_empty(), "'{}' is on no local file system; set TMPDIR", path.display());
    shard
}

/// Reads a byte that changes while it is borrowed, which the compiler must not
/// think it knows.
fn byte(bytes: &[u8], index: usize) -> u8 {
    // SAFETY: a reference to one byte is a valid address of it.
    unsafe { std::ptr::read_volatile(&bytes[index]) }
}

fn truncate(path: &Path, bytes: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_change_between_opening_and_verifying_is_an_error() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 6] = [
        ("from 800128 to 700000 bytes", |path| truncate(path, 700_000)),
        ("from 800128 to 0 bytes", |path| truncate(path, 0)),
        ("from 800128 to 800129 bytes", |path| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap();
        }),
        ("it was written to", |path| {
            // Whatever the steps of the file system's clock, an hour shows.
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let later = SystemTime::now() + Duration::from_secs(3600);
            file.set_times(FileTimes::new().set_modified(later)).unwrap();
        }),
        (if cfg!(unix) { "another file took its place" } else { "changed" }, |path| {
            let other = path.with_extension("new");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        }),
        ("it was removed or renamed", |path| fs::rename(path, path.with_extension("old")).unwrap()),
    ];
    for access in WAYS {
        for (words, change) in changes {
            let directory = Directory::new();
            let path = write(&directory);
            let shard = shard(&path, access).unwrap();
            shard.read(0..100, &mut Vec::new()).unwrap();
            change(&path);
            let error = shard.verify().unwrap_err();
            assert_eq!(error.kind, ShardErrorKind::Changed, "{error}");
            assert!(error.message.contains("a.npy' changed while it was in use"), "{error}");
            assert!(error.message.contains(words), "{error}");
        }
    }
}

#[test]
fn a_change_before_opening_is_an_error() {
    for access in WAYS {
        let directory = Directory::new();
        let path = write(&directory);
        let manifest = open(&[&path]).unwrap().manifest;
        let files = LocalFiles::new(access);
        let entry = &manifest.entries()[0];
        drop(files.shard(&manifest, entry).unwrap());
        truncate(&path, 1000);
        for files in [files, LocalFiles::new(access)] {
            let error = files.shard(&manifest, entry).map(drop).unwrap_err();
            assert_eq!(error.kind, ShardErrorKind::Changed, "{error}");
        }
        // A manifest of what is there now is served, by the same opener too.
        fs::write(&path, npy_f64(&[5.0])).unwrap();
        let manifest = open(&[&path]).unwrap().manifest;
        let shard = LocalFiles::new(access).shard(&manifest, &manifest.entries()[0]).unwrap();
        assert_eq!(read_all(&*shard, 1).unwrap(), f64_bytes(&[5.0]));

        fs::remove_file(&path).unwrap();
        let error = LocalFiles::new(access).shard(&manifest, &manifest.entries()[0]).map(drop);
        assert!(error.unwrap_err().message.contains("removed"));
    }
}

#[test]
fn more_files_than_stay_open_are_served() {
    let directory = Directory::new();
    let count = adsum::source::local::OPEN_FILES_MAX + 5;
    let paths: Vec<_> =
        (0..count).map(|i| directory.write(&format!("{i}.npy"), &npy_f64(&[i as f64]))).collect();
    let manifest = open(&paths).unwrap().manifest;
    let files = LocalFiles::new(Access::Positional);
    for _round in 0..2 {
        for (i, entry) in manifest.entries().iter().enumerate() {
            let shard = files.shard(&manifest, entry).unwrap();
            assert_eq!(read_all(&*shard, 1).unwrap(), f64_bytes(&[i as f64]));
        }
    }
}

/// A file that shrinks while threads are reading it. Mapped, most of them meet
/// the lost pages in the middle of a run.
#[test]
fn a_file_that_shrinks_under_its_readers_is_an_error() {
    for access in WAYS {
        let directory = Directory::new();
        let path = write(&directory);
        let shard = shard(&path, access).unwrap();
        let mut block = Vec::new();
        let bytes = shard.read(0..ELEMENTS, &mut block).unwrap();
        assert_eq!(byte(bytes, 7), 0x3f);
        truncate(&path, 4096 * 3);
        if cfg!(unix) && access == Access::Mapped {
            // The slice that was lent reaches past what the file has by now.
            assert_eq!(byte(bytes, 4096 * 3 - 128 - 1), 0x3f);
            assert!((4096 * 3 - 128..bytes.len()).all(|index| byte(bytes, index) == 0));
        }
        std::thread::scope(|scope| {
            for _thread in 0..4 {
                scope.spawn(|| {
                    let error = read_all(&*shard, 1000).unwrap_err();
                    assert_eq!(error.kind, ShardErrorKind::Changed, "{error}");
                });
            }
        });
        assert_eq!(shard.verify().unwrap_err().kind, ShardErrorKind::Changed);
    }
}

/// A file that shrinks and grows again to what it was: the size is the same,
/// the elements are lost.
#[cfg(unix)]
#[test]
fn a_file_that_shrank_for_a_moment_is_an_error() {
    let directory = Directory::new();
    let path = write(&directory);
    let shard = mapped_shard(&path);
    let mut block = Vec::new();
    let bytes = shard.read(0..ELEMENTS, &mut block).unwrap();
    truncate(&path, 0);
    assert_eq!(byte(bytes, 500_000), 0);
    truncate(&path, 800_128);
    assert_eq!(shard.verify().unwrap_err().kind, ShardErrorKind::Changed);
}

/// A mapping that is gone frees its place in the guard's table, and the next
/// one there starts without its mark.
#[cfg(unix)]
#[test]
fn a_lost_mapping_leaves_nothing_behind() {
    let directory = Directory::new();
    // More rounds than the table has places.
    for _round in 0..1100 {
        let path = directory.write("a.npy", &npy_f64(&[1.0; 1000]));
        let shard = mapped_shard(&path);
        let mut block = Vec::new();
        let bytes = shard.read(0..1000, &mut block).unwrap();
        assert_eq!(byte(bytes, 7999), 0x3f);
        truncate(&path, 0);
        assert_eq!(byte(bytes, 7999), 0);
        assert!(shard.verify().is_err());
    }
}

/// A SIGBUS that is none of the guard's business keeps its effect.
#[cfg(target_os = "linux")]
#[test]
fn other_bus_errors_still_end_the_program() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const CASE: &str = "ADSUM_TEST_BUS_ERROR";
    let name = "change::other_bus_errors_still_end_the_program";
    match std::env::var(CASE).as_deref() {
        Ok("sent") => {
            let directory = Directory::new();
            let _shard = mapped_shard(&write(&directory));
            // Rust's own handler, which gets the first one passed on, puts the
            // default action in its place and returns.
            for _time in 0..2 {
                // SAFETY: sends a signal to this process, whose end is the
                // point.
                unsafe { libc::raise(libc::SIGBUS) };
            }
        }
        Ok("fault") => {
            use std::os::fd::AsRawFd;
            let directory = Directory::new();
            let _shard = mapped_shard(&write(&directory));
            let empty = fs::File::open(directory.write("empty", b"")).unwrap();
            // SAFETY: a new mapping of a file without pages; reading it faults,
            // which is the point.
            unsafe {
                let (null, fd) = (std::ptr::null_mut(), empty.as_raw_fd());
                let page = libc::mmap(null, 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
                assert_ne!(page, libc::MAP_FAILED);
                page.cast::<u8>().read_volatile();
            }
        }
        _ => {
            // What the children leave behind goes away with this.
            let directory = Directory::new();
            for case in ["sent", "fault"] {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", name])
                    .env(CASE, case)
                    .env("TMPDIR", directory.path(""))
                    .current_dir(directory.path(""))
                    .output()
                    .unwrap();
                assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{case}: {output:?}");
            }
        }
    }
}
