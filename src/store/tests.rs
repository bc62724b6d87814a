use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::inventory;

/// A data directory with an inventory, its state elsewhere.
struct Place {
    directory: TempDir,
    store: Store,
}

impl Place {
    fn new() -> Place {
        Place::prepared(|_| {})
    }

    /// With a data directory that something is done to before.
    fn prepared(prepare: impl FnOnce(&Path)) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        prepare(&data);
        let store = Store::open(Place::inventory(directory.path()));
        Place { directory, store }
    }

    fn inventory(directory: &Path) -> Arc<Inventory> {
        let options = inventory::Options {
            data: directory.join("data"),
            state: directory.join("data/state"),
            interval: Duration::from_secs(3600),
            hash: true,
        };
        Arc::new(Inventory::start(options, || {}).unwrap())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn begin(&self, name: &str, elements: &[u8]) -> Result<Box<Growing>, StoreError> {
        let (array, digest) = described(elements);
        match self.store.begin(name, &array, digest)? {
            Begun::Growing(growing) => Ok(growing),
            Begun::There => panic!("'{name}' is there"),
        }
    }

    fn put(&self, name: &str, elements: &[u8]) -> Result<(), StoreError> {
        let mut growing = self.begin(name, elements)?;
        elements.chunks(3).try_for_each(|bytes| growing.write(bytes))?;
        self.store.seal(*growing)
    }

    /// All that is in the data directory, but the directories for what is hidden.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut open = vec![self.data()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.data()).unwrap().to_str().unwrap().to_owned();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                }
                if ![".adsum", INCOMING].contains(&&*name) && !name.starts_with("state") {
                    names.push(name);
                }
            }
        }
        names.sort();
        names
    }
}

/// One axis of big-endian numbers of two bytes in Fortran order, and their digest made
/// by hand.
fn described(elements: &[u8]) -> (Array, Digest) {
    let layout = Layout { dtype: DType::I16, byte_order: ByteOrder::Big };
    let (memory_order, shape) = (MemoryOrder::Fortran, vec![elements.len() as u64 / 2]);
    let runs: Vec<[u8; 32]> = match elements.is_empty() {
        true => Vec::new(),
        false => vec![*blake3::hash(elements).as_bytes()],
    };
    let digest = Digest::of(layout, memory_order, &shape, &runs);
    (Array { layout, memory_order, shape }, digest)
}

#[test]
fn a_file_takes_its_name_with_its_bytes() {
    let place = Place::new();
    for (name, elements) in [("a.npy", &[1, 2, 3, 4, 5, 6][..]), ("b/c/d", &[7; 1000]), ("e", &[])]
    {
        let (array, digest) = described(elements);
        place.put(name, elements).unwrap();
        let bytes = fs::read(place.data().join(name)).unwrap();
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
        assert_eq!(&bytes[bytes.len() - elements.len()..], elements);
        assert_eq!((bytes.len() - elements.len()) % 64, 0);
        // The inventory knows the contents at once, in the state of the file.
        let file = place.store.inventory.find(name).unwrap().file;
        assert_eq!(file.digest, Some(digest));
        assert_eq!((file.layout, file.shape), (array.layout, array.shape.clone()));
        let metadata = fs::symlink_metadata(place.data().join(name)).unwrap();
        assert_eq!(file.identity, os::identity(&metadata));
        assert!(matches!(place.store.begin(name, &array, digest), Ok(Begun::There)));
    }
    assert_eq!(place.names(), ["a.npy", "b", "b/c", "b/c/d", "e"]);
}

#[test]
fn other_bytes_than_were_announced_leave_nothing() {
    let place = Place::new();
    for sent in [&[1, 2, 3][..], &[1, 2, 3, 5], &[1, 2, 3, 4, 5, 6], &[]] {
        let mut growing = place.begin("b/a.npy", &[1, 2, 3, 4]).unwrap();
        growing.write(sent).unwrap();
        let error = place.store.seal(*growing).unwrap_err();
        assert!(matches!(error, StoreError::Contents { .. }), "{error}");
        assert!(error.to_string().contains("'b/a.npy'"), "{error}");
        assert_eq!(place.names(), [""; 0], "{sent:?}");
    }
}

#[test]
fn a_file_that_is_given_up_leaves_nothing() {
    let place = Place::new();
    let mut growing = place.begin("b/a.npy", &[1, 2]).unwrap();
    growing.write(&[1]).unwrap();
    assert_eq!(place.names().len(), 1, "it grows under a hidden name");
    assert!(place.names()[0].starts_with(INCOMING));
    drop(growing);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn names_lead_to_a_place_below_the_data_directory_or_nowhere() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(place.data().join("file"), "no directory").unwrap();
    for name in ["", "/a", "../a", "a/../../b", "a//b", "a/", ".", "a\0"] {
        let error = place.begin(name, &[1, 2]).unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{name:?}: {error}");
    }
    for name in [".a", "a/.b/c", ".adsum/incoming/a", "state/a", "state"] {
        let error = place.begin(name, &[1, 2]).unwrap_err();
        assert!(matches!(error, StoreError::Name { .. }), "{name:?}: {error}");
    }
    let error = place.begin("file/a", &[1, 2]).unwrap_err();
    assert!(!matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(place.names(), ["file"]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, place.data().join("link")).unwrap();
    symlink(outside.join("target"), place.data().join("file")).unwrap();
    let error = place.begin("link/a", &[1, 2]).unwrap_err();
    assert!(matches!(error, StoreError::NotDirectory { .. }), "{error}");
    let error = place.begin("file", &[1, 2]).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    // One that comes while the file is sent, too.
    let mut growing = place.begin("late/a", &[1, 2]).unwrap();
    growing.write(&[1, 2]).unwrap();
    symlink(&outside, place.data().join("late")).unwrap();
    let error = place.store.seal(*growing).unwrap_err();
    assert!(matches!(error, StoreError::NotDirectory { .. }), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(place.names(), ["file", "late", "link"]);
}

#[test]
fn nothing_is_replaced() {
    let place = Place::new();
    place.put("a", &[1, 2]).unwrap();
    let before = fs::read(place.data().join("a")).unwrap();
    let error = place.put("a", &[1, 3]).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    // What the inventory has not seen may be anything.
    fs::write(place.data().join("b"), &before).unwrap();
    let error = place.put("b", &[1, 2]).unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    fs::create_dir(place.data().join("c")).unwrap();
    let error = place.put("c", &[1, 2]).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    assert_eq!(fs::read(place.data().join("a")).unwrap(), before);
    assert_eq!(place.names(), ["a", "b", "c"]);
}

#[test]
fn of_two_that_come_at_once_one_takes_the_name() {
    let place = Place::new();
    let begin = |elements: &[u8]| {
        let mut growing = place.begin("b/a", elements).unwrap();
        growing.write(elements).unwrap();
        growing
    };
    let (first, same, other) = (begin(&[1, 2]), begin(&[1, 2]), begin(&[1, 3]));
    place.store.seal(*first).unwrap();
    place.store.seal(*same).unwrap();
    let error = place.store.seal(*other).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    assert_eq!(place.names(), ["b", "b/a"]);
    assert!(fs::read(place.data().join("b/a")).unwrap().ends_with(&[1, 2]));
}

#[test]
fn what_a_crash_left_goes_at_the_next_start() {
    let place = Place::prepared(|data| {
        let incoming = data.join(INCOMING);
        fs::create_dir_all(&incoming).unwrap();
        fs::write(incoming.join(".adsum-7-0.tmp"), "half").unwrap();
        fs::write(incoming.join("another's"), "whole").unwrap();
    });
    assert_eq!(place.names(), [format!("{INCOMING}/another's")]);
    // A file that grows in another node over the same directory stays.
    let growing = place.begin("a", &[1, 2]).unwrap();
    remove_leftovers(&place.store.incoming);
    assert_eq!(place.names().len(), 2);
    drop(growing);
}

#[test]
fn what_was_placed_is_still_known_after_a_start() {
    let place = Place::new();
    place.put("a", &[1, 2]).unwrap();
    let digest = described(&[1, 2]).1;
    let Place { directory, store } = place;
    drop(store);
    let inventory = Place::inventory(directory.path());
    assert_eq!(inventory.find("a").unwrap().file.digest, Some(digest));
}
