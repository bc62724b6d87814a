//! Files that come, change and go.

use super::super::look::Look;
use super::*;

fn shape(snapshot: &Snapshot, name: &str) -> Option<Vec<u64>> {
    snapshot.files.get(name).map(|found| found.file.shape.clone())
}

#[test]
fn new_changed_truncated_and_deleted_files_are_noticed() {
    let place = Place::new();
    let watched = place.start();
    assert_eq!(watched.names(), [""; 0]);

    place.write("below/a.npy", &bytes_npy(b"abc"));
    let is = |shape_: &'static [u64]| {
        move |snapshot: &Snapshot| shape(snapshot, "below/a.npy").as_deref() == Some(shape_)
    };
    let first = watched.until("new", is(&[3]));
    assert!(first.generation > 0);
    watched.until_hashed();

    place.write("below/a.npy", &bytes_npy(b"abcd"));
    let second = watched.until("changed", is(&[4]));
    assert!(second.generation > first.generation);
    watched.until("hashed", |snapshot| snapshot.unhashed == 0 && is(&[4])(snapshot));
    assert_eq!(watched.digest("below/a.npy"), Some(bytes_digest(b"abcd")));

    let length = bytes_npy(b"abcd").len() as u64 - 1;
    place.resize("below/a.npy", length);
    let third = watched.until("truncated", |snapshot| snapshot.files.is_empty());
    assert!(message(&third).contains("is cut off"), "{third:?}");
    assert_eq!(third.unhashed, 0);

    // As a file that was being written: whole at last.
    place.write("below/a.npy", &bytes_npy(b"efgh"));
    let fourth = watched.until("whole", is(&[4]));
    assert_eq!(fourth.problem_count, 0);

    place.remove("below/a.npy");
    let last = watched.until("deleted", |snapshot| snapshot.files.is_empty());
    assert_eq!((last.unhashed, last.problem_count), (0, 0));
}

#[test]
fn nothing_is_said_where_nothing_changes() {
    let place = Place::without_hashes();
    place.write("a.npy", &bytes_npy(b"abc"));
    place.write("b.npy", b"no array");
    place.write("text", b"text");
    let watched = place.start();
    place.write("text", b"other text");
    place.write("c.npy", &bytes_npy(b"abc"));
    let snapshot = watched.until("new", |snapshot| snapshot.files.len() == 2);
    assert_eq!(snapshot.generation, 1);
    assert_eq!(watched.calls.recv_timeout(Duration::from_millis(100)).ok(), None);
}

#[test]
fn a_data_directory_that_goes_is_a_problem_until_it_is_back() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    let watched = place.start();
    let away = place.directory.path().join("away");
    rename(&place.data(), &away);
    // A walk that was under way may have found that it is empty.
    let snapshot =
        watched.until("gone", |snapshot| snapshot.files.is_empty() && snapshot.problem_count == 1);
    assert!(message(&snapshot).contains("bring it back"), "{snapshot:?}");
    rename(&away, &place.data());
    watched.until("back", |snapshot| snapshot.files.len() == 1 && snapshot.problem_count == 0);
}

#[test]
fn a_header_is_read_again_only_when_the_file_has_changed() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    let path = place.at("a.npy");
    let identity = place.identity("a.npy");
    let mut shelf = Shelf::new(Default::default(), false, 64, Duration::ZERO);
    let mut reads = 0;
    let mut see = |identity, look: Look| {
        shelf.begin_walk();
        shelf.see("a.npy".to_owned(), identity, || {
            reads += 1;
            look
        });
        shelf.end_walk(Default::default());
        (reads, std::mem::take(&mut shelf.is_changed))
    };
    let array = Look::at(&path, &identity);
    assert_eq!(see(identity, array.clone()), (1, true));
    assert_eq!(see(identity, array.clone()), (1, false));
    let later = FileIdentity { changed_ns: identity.changed_ns + 1, ..identity };
    assert_eq!(see(later, Look::Broken("broken".to_owned())), (2, true));
    assert_eq!(see(later, Look::Other), (2, false));
    let latest = FileIdentity { changed_ns: identity.changed_ns + 2, ..identity };
    // A failure of the disk may pass without a trace in the file's identity.
    assert_eq!(see(latest, Look::Unread("failed".to_owned())), (3, true));
    assert_eq!(see(latest, Look::Unread("failed".to_owned())), (4, false));
    assert_eq!(see(latest, Look::Other), (5, true));
    assert_eq!(see(latest, Look::Other), (5, false));
    // What is not there at the second look counts as not seen.
    assert_eq!(see(identity, Look::Gone), (6, false));
    assert_eq!(see(identity, array), (7, true));
}

#[test]
fn another_file_in_its_place_is_not_taken_for_it() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    let identity = place.identity("a.npy");
    let other = FileIdentity { device: identity.device + 1, ..identity };
    assert_eq!(Look::at(&place.at("a.npy"), &other), Look::Gone);
    assert_eq!(Look::at(&place.at("none.npy"), &identity), Look::Gone);
    assert_eq!(Look::at(&place.data(), &identity), Look::Gone);
}

#[test]
fn a_file_that_may_still_be_being_written_is_not_hashed() {
    let mut place = Place::new();
    place.limits.settle = Duration::from_secs(3600);
    place.write("new.npy", &bytes_npy(b"abc"));
    place.write("old.npy", &bytes_npy(b"abcdef"));
    place.write("future.npy", &bytes_npy(b"abcdef"));
    place.date("old.npy", -3601);
    place.date("future.npy", 1_000_000);
    let watched = place.start();
    let snapshot = watched.until("hashed", |snapshot| snapshot.unhashed == 2);
    assert_eq!(snapshot.files["old.npy"].file.digest, Some(bytes_digest(b"abcdef")));
}

#[test]
fn a_file_settles_even_if_it_claims_to_be_from_the_future() {
    let mut place = Place::new();
    place.limits.settle = Duration::from_millis(100);
    place.write("future.npy", &bytes_npy(b"abcdef"));
    place.date("future.npy", 1_000_000);
    let watched = place.start();
    watched.until_hashed();
    assert_eq!(watched.digest("future.npy"), Some(bytes_digest(b"abcdef")));
}

#[cfg(unix)]
#[test]
fn to_hash_a_large_file_keeps_nothing_from_being_seen() {
    let place = Place::new();
    place.write_huge("a.npy");
    place.write("z.npy", &bytes_npy(b"abc"));
    let watched = place.start();
    // The smallest file first.
    let snapshot = watched.until("hashed", |snapshot| snapshot.unhashed == 1);
    assert!(snapshot.files["z.npy"].file.digest.is_some());
    place.write("new.npy", &bytes_npy(b"abcd"));
    watched.until("new", |snapshot| snapshot.files.len() == 3);
    // It is given up as soon as it is another file, or gone.
    place.write("a.npy", &bytes_npy(b"abcde"));
    watched.until_hashed();
    assert_eq!(watched.digest("a.npy"), Some(bytes_digest(b"abcde")));
    assert_eq!(watched.digest("new.npy"), Some(bytes_digest(b"abcd")));
    place.write_huge("a.npy");
    watched.until("huge", |snapshot| snapshot.unhashed == 1);
    place.remove("a.npy");
    place.write("new.npy", &bytes_npy(b"other"));
    watched.until("hashed", |snapshot| snapshot.files.len() == 2 && snapshot.unhashed == 0);
}

#[test]
fn what_could_not_be_examined_is_not_taken_for_gone() {
    use std::io::{Error, ErrorKind};
    let place = Place::new();
    let names = ["a.npy", "below/a.npy", "below/b/a.npy", "below2/a.npy"];
    for name in names {
        place.write(name, &bytes_npy(b"abc"));
    }
    // What is there after a walk that saw no file and met this.
    let left = |name: &str, kind: ErrorKind| {
        let mut shelf = Shelf::new(Default::default(), false, 64, Duration::ZERO);
        shelf.begin_walk();
        for name in names {
            let identity = place.identity(name);
            shelf.see(name.to_owned(), identity, || Look::at(&place.at(name), &identity));
        }
        shelf.end_walk(Default::default());
        shelf.begin_walk();
        let mut met = walk::Met::default();
        met.fail(name, &place.at(name), Some(&Error::from(kind)));
        shelf.end_walk(met);
        let snapshot = shelf.snapshot(Default::default(), 0);
        let files: Vec<String> = snapshot.files.into_keys().collect();
        (files.join(" "), snapshot.problem_count)
    };
    let told = |files: &str| (files.to_owned(), 1);
    assert_eq!(left("below", ErrorKind::TimedOut), told("below/a.npy below/b/a.npy"));
    assert_eq!(left("below/b/a.npy", ErrorKind::TimedOut), told("below/b/a.npy"));
    assert_eq!(left("", ErrorKind::TimedOut), told(&names.join(" ")));
    // Whoever may not look at a file may not read it either.
    assert_eq!(left("below", ErrorKind::PermissionDenied), told(""));
    // Gone in the midst of the walk.
    assert_eq!(left("below", ErrorKind::NotFound), (String::new(), 0));
    assert_eq!(left("", ErrorKind::NotFound), told(""));
}
