use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Instant, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::manifest::{Digest, FileIdentity};

mod adopted;
mod change;
mod contents;
mod remembered;
mod start;

/// The longest that something may take which takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `.npy` file, its header padded by `padding` more bytes than it needs.
fn npy(descr: &str, order: MemoryOrder, shape: &[u64], data: &[u8], padding: usize) -> Vec<u8> {
    let lengths: String = shape.iter().map(|length| format!("{length},")).collect();
    let fortran = if order == MemoryOrder::Fortran { "True" } else { "False" };
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({lengths}), }}");
    let text = format!("{text}{}\n", " ".repeat(padding));
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

/// The `.npy` file of these bytes as one axis.
fn bytes_npy(data: &[u8]) -> Vec<u8> {
    npy("|u1", MemoryOrder::C, &[data.len() as u64], data, 0)
}

/// What a digest is, made by hand.
fn digest(
    array: (DType, ByteOrder, MemoryOrder),
    shape: &[u64],
    data: &[u8],
    run: usize,
) -> Digest {
    let (dtype, byte_order, order) = array;
    let runs: Vec<[u8; 32]> = data.chunks(run).map(|run| *blake3::hash(run).as_bytes()).collect();
    Digest::of(Layout { dtype, byte_order }, order, shape, &runs)
}

fn bytes_digest(data: &[u8]) -> Digest {
    let array = (DType::U8, ByteOrder::NATIVE, MemoryOrder::C);
    digest(array, &[data.len() as u64], data, RUN)
}

/// Bytes of a run where a test says nothing else.
const RUN: usize = 64;

/// A data directory and a state directory.
struct Place {
    directory: TempDir,
    limits: Limits,
    hash: bool,
}

/// An inventory, and what it calls out.
struct Watched {
    inventory: Inventory,
    calls: Receiver<()>,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        let limits = Limits { run_bytes: RUN as u64, settle: Duration::ZERO, ..Limits::default() };
        Place { directory, limits, hash: true }
    }

    fn without_hashes() -> Place {
        Place { hash: false, ..Place::new() }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    /// Makes a file, or another one in its place. No walk sees a part of it.
    fn write(&self, name: &str, bytes: &[u8]) {
        let (path, temporary) = (self.at(name), self.directory.path().join("temporary"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&temporary, bytes).unwrap();
        rename(&temporary, &path);
    }

    /// Makes a file whose elements take minutes to hash and no room.
    #[cfg(unix)]
    fn write_huge(&self, name: &str) {
        const BYTES: u64 = 1 << 40;
        let header = npy("|u1", MemoryOrder::C, &[BYTES], &[], 0);
        self.write(name, &header);
        self.resize(name, BYTES + header.len() as u64);
    }

    fn resize(&self, name: &str, bytes: u64) {
        fs::File::options().write(true).open(self.at(name)).unwrap().set_len(bytes).unwrap();
    }

    /// Modified so many seconds from now.
    fn date(&self, name: &str, seconds: i64) {
        let (now, by) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
        let time = if seconds < 0 { now - by } else { now + by };
        fs::File::options().write(true).open(self.at(name)).unwrap().set_modified(time).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.at(name)).unwrap();
    }

    fn make_directory(&self, name: &str) {
        fs::create_dir_all(self.at(name)).unwrap();
    }

    fn identity(&self, name: &str) -> FileIdentity {
        crate::os::identity(&fs::metadata(self.at(name)).unwrap())
    }

    /// The bytes of the file that remembers.
    fn remembered(&self) -> Vec<u8> {
        fs::read(self.state().join("digests")).unwrap()
    }

    fn set_remembered(&self, bytes: &[u8]) {
        fs::create_dir_all(self.state()).unwrap();
        fs::write(self.state().join("digests"), bytes).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            data: self.data(),
            state: self.state(),
            interval: Duration::from_millis(5),
            hash: self.hash,
        }
    }

    fn start_with(&self, options: Options) -> Result<Watched, InventoryError> {
        let (sender, calls) = channel();
        // A test that has ended no longer listens.
        let changed = move || {
            let _ = sender.send(());
        };
        let inventory = Inventory::start_within(options, self.limits, Box::new(changed))?;
        Ok(Watched { inventory, calls })
    }

    fn start_unhashed(&self) -> Watched {
        self.start_with(Options { hash: false, ..self.options() }).unwrap()
    }

    fn start(&self) -> Watched {
        self.start_with(self.options()).unwrap()
    }
}

impl Watched {
    fn now(&self) -> Arc<Snapshot> {
        self.inventory.snapshot()
    }

    fn names(&self) -> Vec<String> {
        self.now().files.keys().cloned().collect()
    }

    /// Waits for a snapshot of which `holds` is true.
    fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let started = Instant::now();
        loop {
            let snapshot = self.now();
            if holds(&snapshot) {
                return snapshot;
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            assert!(self.calls.recv_timeout(left).is_ok(), "never {what}: {snapshot:?}");
        }
    }

    fn until_hashed(&self) -> Arc<Snapshot> {
        self.until("hashed", |snapshot| snapshot.unhashed == 0)
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        self.inventory.find(name)?.file.digest
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn message(snapshot: &Snapshot) -> &str {
    assert_eq!((snapshot.problems.len(), snapshot.problem_count), (1, 1), "{snapshot:?}");
    &snapshot.problems[0].message
}

#[test]
fn it_finds_nested_arrays_and_nothing_else() {
    let place = Place::without_hashes();
    let array = bytes_npy(b"abc");
    for name in ["a.npy", "deep/er/b.npy", "deep/no extension", "name with spaces.npy"] {
        place.write(name, &array);
    }
    for name in [".hidden.npy", ".hidden/c.npy", "deep/.d.npy"] {
        place.write(name, &array);
    }
    place.write("text.txt", b"no array");
    place.write("empty", b"");
    let watched = place.start();
    assert_eq!(
        watched.names(),
        ["a.npy", "deep/er/b.npy", "deep/no extension", "name with spaces.npy"]
    );
    let snapshot = watched.now();
    assert_eq!((&*snapshot.problems, snapshot.problem_count), (&[][..], 0));
    assert_eq!((snapshot.unhashed, snapshot.generation), (4, 0));

    let found = watched.inventory.find("deep/er/b.npy").unwrap();
    let path = fs::canonicalize(place.at("deep/er/b.npy")).unwrap();
    assert_eq!(found.file.path, crate::os::path_bytes(&path).unwrap());
    assert!(path.is_absolute());
    assert_eq!(found.file.shape, [3]);
    assert_eq!(found.file.data_offset_bytes as usize, array.len() - 3);
    assert_eq!(found.file.identity, place.identity("deep/er/b.npy"));
    assert_eq!((found.file.digest, found.runs.len()), (None, 0));
    assert_eq!(watched.inventory.find("deep"), None);

    let held = snapshot.held();
    assert_eq!(held.len(), 4);
    assert_eq!(held[1].name, "deep/er/b.npy");
    assert_eq!((&held[1].array.shape, held[1].digest), (&found.file.shape, None));
    assert_eq!(held[1].identity, found.file.identity);
}

#[test]
fn the_state_directory_may_lie_in_the_data() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    place.write("state/b.npy", &bytes_npy(b"abc"));
    place.write("estate/b.npy", &bytes_npy(b"abc"));
    let within = Options { state: place.at("state"), ..place.options() };
    let watched = place.start_with(within).unwrap();
    assert_eq!(watched.names(), ["a.npy", "estate/b.npy"]);
    drop(watched);
    let same = Options { state: place.data(), ..place.options() };
    let watched = place.start_with(same).unwrap();
    assert_eq!(watched.names(), ["a.npy", "estate/b.npy", "state/b.npy"]);
    let snapshot = watched.until_hashed();
    drop(watched);
    assert_eq!(snapshot.problem_count, 0, "{snapshot:?}");
    assert!(place.at("digests").exists());
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let place = Place::without_hashes();
    place.write("a.npy", &bytes_npy(b"abc"));
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b.npy"), bytes_npy(b"abc")).unwrap();
    symlink(&outside, place.at("directory")).unwrap();
    symlink(outside.join("b.npy"), place.at("file.npy")).unwrap();
    symlink("nothing", place.at("broken.npy")).unwrap();
    symlink(".", place.at("circle")).unwrap();
    symlink(place.at("./circle/../a.npy"), place.at("again.npy")).unwrap();
    let watched = place.start();
    assert_eq!(watched.names(), ["a.npy"]);
    // Somebody may think that these count.
    let snapshot = watched.now();
    let mut named: Vec<&str> = snapshot.problems.iter().map(|problem| &*problem.name).collect();
    named.sort_unstable();
    assert_eq!(named, ["directory", "file.npy"]);
    let message = &snapshot.problems[0].message;
    assert!(message.contains("is a link out of the data directory"), "{message}");
    // A file that becomes a link is gone, and not what the link leads to.
    fs::remove_file(place.at("a.npy")).unwrap();
    symlink(outside.join("b.npy"), place.at("a.npy")).unwrap();
    watched.until("gone", |snapshot| snapshot.files.is_empty());
    // The data directory itself may be named by a link.
    let link = place.directory.path().join("link");
    symlink(&outside, &link).unwrap();
    drop(watched);
    let watched = place.start_with(Options { data: link, ..place.options() }).unwrap();
    assert_eq!(watched.names(), ["b.npy"]);
}

#[test]
fn what_looks_like_an_array_and_is_none_is_a_problem() {
    let cut_off = &bytes_npy(&[1; 100])[..80];
    for (name, bytes, words) in [
        ("a.npy", &b"some text"[..], "is not a .npy file"),
        ("a.NPY", b"", "it is empty"),
        ("a.npy", cut_off, "is cut off"),
        ("a.dat", cut_off, "is cut off"),
        ("a.npy", &cut_off[..20], "is cut off"),
        ("a.npy", &npy("<c16", MemoryOrder::C, &[1], &[0; 16], 0), "complex numbers"),
        ("a.npy", &npy("<f8", MemoryOrder::C, &[1 << 62], &[], 0), "past 64 bits"),
    ] {
        let place = Place::new();
        place.write(name, bytes);
        let watched = place.start();
        let snapshot = watched.now();
        let told = message(&snapshot);
        assert!(told.contains(words) && told.contains(name), "{told}");
        assert_eq!(snapshot.problems[0].name, name);
        assert_eq!(snapshot.problems[0].to_string(), told);
        assert_eq!(snapshot.files.len(), 0);
    }
}

#[cfg(unix)]
#[test]
fn names_that_nobody_could_send_are_problems() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::without_hashes();
    place.write("a.npy", &bytes_npy(b"abc"));
    // 5 names of 200 bytes and their slashes are 1005 bytes.
    let deep: String = (0..5).map(|_| "d".repeat(200) + "/").collect();
    place.write(&format!("{deep}{}", "x".repeat(19)), &bytes_npy(b"abc"));
    assert_eq!(place.start().now().problem_count, 0);
    place.write(&format!("{deep}{}", "x".repeat(20)), &bytes_npy(b"abc"));
    let snapshot = place.start().now();
    assert_eq!(snapshot.files.len(), 2);
    assert!(message(&snapshot).contains("has 1025 bytes, the most is 1024; rename"));
    // Not every file system takes such names.
    let strange = place.data().join(OsStr::from_bytes(b"strange\xff.npy"));
    if fs::write(strange, bytes_npy(b"abc")).is_ok() {
        let snapshot = place.start().now();
        assert_eq!((snapshot.files.len(), snapshot.problem_count), (2, 2));
        let told = snapshot.problems.iter().map(|problem| &*problem.message);
        assert!(told.clone().any(|told| told.contains("is not valid Unicode; rename")));
    }
}

#[test]
fn of_too_many_files_or_problems_there_is_the_number() {
    let mut place = Place::without_hashes();
    for number in 0..20 {
        place.write(&format!("{number}.npy"), &bytes_npy(b"abc"));
    }
    place.limits.files_max = 20;
    assert_eq!(place.start().now().problem_count, 0);
    place.limits.files_max = 19;
    let snapshot = place.start().now();
    assert_eq!(snapshot.files.len(), 19);
    assert!(message(&snapshot).contains("has more than 19 files"));

    let place = Place::without_hashes();
    for number in 0..PROBLEMS_MAX + 5 {
        place.write(&format!("{number}.npy"), b"no array");
    }
    let snapshot = place.start().now();
    assert_eq!((snapshot.problems.len(), snapshot.problem_count), (PROBLEMS_MAX, 1005));
    let names: BTreeSet<&str> = snapshot.problems.iter().map(|problem| &*problem.name).collect();
    assert_eq!(names.len(), PROBLEMS_MAX);
}
