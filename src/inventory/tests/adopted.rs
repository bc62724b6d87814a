//! Files whose contents somebody knows who put them there.

use super::*;
use crate::source::dataset::describe_npy;

/// What is at a path, said to have these contents.
fn found(place: &Place, name: &str, data: &[u8]) -> Found {
    let file = describe_npy(&place.at(name)).expect("it is there");
    Found::of(file, data.chunks(RUN).map(|run| *blake3::hash(run).as_bytes()).collect())
}

#[cfg(unix)]
#[test]
fn they_are_known_at_once_and_told_without_a_walk() {
    let place = Place::new();
    place.write_huge("huge.npy");
    let hours = Duration::from_secs(36_000);
    let watched =
        place.start_with(Options { interval: hours, ..place.options() }).expect("it starts");
    let data = [7; 200];
    place.write("a/b.npy", &bytes_npy(&data));
    assert_eq!(watched.inventory.find("a/b.npy"), None);
    let adopted = found(&place, "a/b.npy", &data);
    watched.inventory.adopt("a/b.npy".to_owned(), adopted.clone());
    assert_eq!(watched.inventory.find("a/b.npy"), Some(adopted.clone()));
    let snapshot = watched.until("told", |snapshot| snapshot.files.contains_key("a/b.npy"));
    assert_eq!(snapshot.files["a/b.npy"], adopted);
    assert_eq!(adopted.file.digest, Some(bytes_digest(&data)));
    // They stay known when they are no longer kept aside.
    assert_eq!(watched.inventory.find("a/b.npy"), Some(adopted));
}

#[test]
fn walks_see_what_became_of_them() {
    let mut place = Place::new();
    // What is new is not hashed before anything can be said of it.
    place.limits.settle = Duration::from_secs(36_000);
    let watched = place.start();
    place.write("a.npy", &bytes_npy(&[1; 100]));
    // What is said is believed, and not hashed again.
    let adopted = found(&place, "a.npy", &[2; 100]);
    watched.inventory.adopt("a.npy".to_owned(), adopted.clone());
    let is_told = |snapshot: &Snapshot| snapshot.files.get("a.npy") == Some(&adopted);
    watched.until("believed", is_told);
    place.write("b.npy", &bytes_npy(&[3; 100]));
    let snapshot = watched.until("seen", |snapshot| snapshot.files.contains_key("b.npy"));
    assert!(is_told(&snapshot));
    // Of another state of the file nothing was said.
    place.write("a.npy", &bytes_npy(&[4; 100]));
    place.date("a.npy", -100_000);
    let hashed = Some(bytes_digest(&[4; 100]));
    watched.until("hashed", |snapshot| snapshot.files["a.npy"].file.digest == hashed);
    place.write("a.npy", &bytes_npy(&[5; 100]));
    place.date("a.npy", -100_000);
    watched.inventory.adopt("a.npy".to_owned(), adopted);
    let hashed = Some(bytes_digest(&[5; 100]));
    watched.until("hashed", |snapshot| snapshot.files["a.npy"].file.digest == hashed);
    place.remove("a.npy");
    watched.until("gone", |snapshot| !snapshot.files.contains_key("a.npy"));
    assert_eq!(watched.inventory.find("a.npy"), None);
}

#[test]
fn one_file_can_be_hashed_by_itself() {
    let place = Place::new();
    let data: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    place.write("a.npy", &bytes_npy(&data));
    let file = describe_npy(&place.at("a.npy")).expect("it is there");
    let mut told = Vec::new();
    let expected = digest(
        (DType::U8, ByteOrder::NATIVE, MemoryOrder::C),
        &[data.len() as u64],
        &data,
        ENTRY_BYTES as usize,
    );
    assert_eq!(crate::inventory::digest(&file, |done| told.push(done)), Ok(expected));
    assert_eq!(told.last(), Some(&(data.len() as u64)));
    place.write("a.npy", &bytes_npy(&data));
    let error = crate::inventory::digest(&file, |_| {}).expect_err("it changed");
    assert!(matches!(error, DigestError::Changed { .. }), "{error}");
}

#[test]
fn contents_that_somebody_doubts_are_hashed_once_more() {
    let mut place = Place::new();
    // What is new is not hashed before anything can be said of it.
    place.limits.settle = Duration::from_secs(36_000);
    for name in ["a.npy", "b.npy"] {
        place.write(name, &bytes_npy(&[1; 100]));
    }
    place.date("b.npy", -100_000);
    let watched = place.start();
    let (inventory, right) = (&watched.inventory, Some(bytes_digest(&[1; 100])));
    let b = |snapshot: &Snapshot| snapshot.files["b.npy"].file.digest;
    let hashed = watched.until("hashed", |snapshot| b(snapshot) == right).hashed;
    // As if bits had flipped since it was hashed.
    inventory.adopt("a.npy".to_owned(), found(&place, "a.npy", &[2; 100]));
    let believed = Some(bytes_digest(&[2; 100]));
    watched.until("believed", |snapshot| snapshot.files["a.npy"].file.digest == believed);
    for name in ["a.npy", "b.npy"] {
        inventory.doubt(name.to_owned(), place.identity(name));
    }
    let snapshot = watched
        .until("examined", |snapshot| snapshot.hashed >= hashed + 3 && snapshot.problem_count == 1);
    assert_eq!(snapshot.problems[0].name, "a.npy");
    assert!(message(&snapshot).contains("gives wrong bits; delete it"));
    assert_eq!(snapshot.files.keys().collect::<Vec<_>>(), ["b.npy"]);
    assert_eq!(b(&snapshot), right);
    // Nor is it offered by who starts later, before it has changed.
    drop(watched);
    let is_told = |now: &Snapshot| {
        assert_eq!((&now.problems, now.problem_count), (&snapshot.problems, 1));
        assert!(!now.files.contains_key("a.npy"), "{now:?}");
        assert_eq!((now.unhashed, b(now)), (0, right));
    };
    is_told(&place.start_unhashed().now());
    for name in ["c.npy", "d.npy"] {
        let watched = place.start();
        is_told(&watched.now());
        // So that what is remembered is written anew.
        place.write(name, &bytes_npy(b"abc"));
        place.date(name, -100_000);
        let later = watched.until("hashed", |snapshot| snapshot.hashed == 1);
        is_told(&later);
    }
    let watched = place.start();
    let inventory = &watched.inventory;
    // Doubts about another state are about nothing that is there.
    let other = FileIdentity { inode: 1, ..place.identity("b.npy") };
    inventory.doubt("b.npy".to_owned(), other);
    inventory.doubt("e.npy".to_owned(), other);
    // A file that is put back counts again.
    place.write("a.npy", &bytes_npy(&[1; 100]));
    place.date("a.npy", -100_000);
    let back = |snapshot: &Snapshot| snapshot.files.get("a.npy").map(|a| a.file.digest);
    watched.until("back", |snapshot| back(snapshot) == Some(right));
    assert_eq!(watched.now().problem_count, 0);
    assert_eq!(b(&watched.now()), right);
}

#[cfg(unix)]
#[test]
fn a_doubt_outlives_who_was_told() {
    let mut place = Place::new();
    place.limits.settle = Duration::from_secs(36_000);
    place.write("a.npy", &bytes_npy(&[1; 100]));
    let watched = place.start();
    watched.inventory.adopt("a.npy".to_owned(), found(&place, "a.npy", &[2; 100]));
    let digest = |snapshot: &Snapshot| snapshot.files["a.npy"].file.digest;
    watched.until("believed", |snapshot| digest(snapshot) == Some(bytes_digest(&[2; 100])));
    // The doubt comes while another file takes minutes to hash.
    place.write_huge(".huge");
    place.date(".huge", -100_000);
    rename(&place.at(".huge"), &place.at("huge.npy"));
    watched.until("seen", |snapshot| snapshot.files.contains_key("huge.npy"));
    watched.inventory.doubt("a.npy".to_owned(), place.identity("a.npy"));
    watched.until("doubted", |snapshot| digest(snapshot).is_none());
    drop(watched);
    place.remove("huge.npy");
    let watched = place.start();
    let snapshot = watched.until("examined", |snapshot| snapshot.hashed == 1);
    assert!(message(&snapshot).contains("gives wrong bits; delete it"));
    assert!(snapshot.files.is_empty(), "{snapshot:?}");
}
