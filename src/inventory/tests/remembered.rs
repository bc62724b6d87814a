//! What is known from one start to the next.

use super::*;

/// A place whose three files have been hashed and remembered.
fn hashed() -> Place {
    let place = Place::new();
    for (name, data) in FILES {
        place.write(name, &bytes_npy(data));
    }
    let snapshot = place.start().until_hashed();
    assert_eq!(snapshot.hashed, 3);
    place
}

const FILES: [(&str, &[u8]); 3] = [("a.npy", b"abc"), ("b.npy", &[5; 200]), ("c/d.npy", b"")];

/// The digests are right, and so many had to be hashed.
fn assert_hashed(place: &Place, times: u64) -> Arc<Snapshot> {
    let snapshot = place.start().until_hashed();
    assert_eq!(snapshot.hashed, times);
    for (name, data) in FILES {
        let found = &snapshot.files[name];
        assert_eq!(found.file.digest, Some(bytes_digest(data)), "{name}");
        assert_eq!(found.runs.len(), data.len().div_ceil(RUN));
    }
    snapshot
}

#[test]
fn what_was_hashed_is_not_hashed_again() {
    let place = hashed();
    let watched = place.start();
    // Known as soon as it has started, whoever wants more hashed or not.
    assert_eq!((watched.now().unhashed, watched.now().hashed), (0, 0));
    drop(watched);
    assert_hashed(&place, 0);
    assert_eq!(place.start_unhashed().now().unhashed, 0);
    // Nothing but the two files is left in the state directory.
    assert_eq!(names_in(&place.state()), ["digests", "lock"]);
}

#[test]
fn only_files_in_the_same_state_are_remembered() {
    let place = hashed();
    place.write("a.npy", &bytes_npy(b"xyz"));
    rename(&place.at("b.npy"), &place.at("e.npy"));
    let snapshot = place.start().until_hashed();
    assert_eq!(snapshot.hashed, 2);
    assert_eq!(snapshot.files["a.npy"].file.digest, Some(bytes_digest(b"xyz")));
    assert_eq!(snapshot.files["e.npy"].file.digest, Some(bytes_digest(&[5; 200])));
}

#[test]
fn what_is_gone_is_forgotten() {
    let place = hashed();
    let before = place.remembered().len();
    for name in ["a.npy", "b.npy"] {
        place.remove(name);
    }
    place.write("n.npy", &bytes_npy(b"new"));
    place.start().until_hashed();
    let after = place.remembered().len();
    assert!(after < before, "{after} bytes after {before}");
}

#[test]
fn a_broken_cache_is_told_of_and_made_again() {
    let good = hashed().remembered();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    for (bytes, words) in [
        (vec![], "it is broken"),
        (b"\xff\xff\xff\xff\xff\xff\xff".to_vec(), "it is broken"),
        (with(&|bytes| bytes.truncate(good.len() / 2)), "it is broken"),
        (with(&|bytes| bytes.truncate(good.len() - 1)), "it is broken"),
        (with(&|bytes| bytes.push(0)), "it has bytes after its end"),
        (with(&|bytes| bytes[0] += 1), "it has version 3, known is 2"),
        (with(&|bytes| bytes[0] -= 1), "it has version 1, known is 2"),
        (with(&|bytes| bytes[1] += 1), "its runs have 65 bytes, not 64"),
    ] {
        let place = hashed();
        place.set_remembered(&bytes);
        // Without hashing there is nothing to make it of, so it is told and left.
        let snapshot = place.start_unhashed().now();
        assert!(message(&snapshot).contains(words), "{snapshot:?}");
        assert_eq!(place.remembered(), bytes);

        let watched = place.start();
        let told = watched.now();
        assert!(told.generation > 0 || message(&told).contains(words), "{told:?}");
        let snapshot = watched
            .until("made again", |snapshot| snapshot.unhashed == 0 && snapshot.problem_count == 0);
        assert_eq!(snapshot.hashed, 3);
        drop(watched);
        assert_hashed(&place, 0);
    }
}

#[test]
fn a_cache_is_made_again_even_if_there_is_nothing_to_hash() {
    let place = Place::new();
    place.set_remembered(b"");
    place.start().until("made again", |snapshot| snapshot.problem_count == 0);
    assert_ne!(place.remembered(), b"");
}

#[test]
fn an_entry_that_was_tampered_with_is_no_entry() {
    let place = hashed();
    let good = place.remembered();
    let mut times = Vec::new();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        place.set_remembered(&bytes);
        let watched = place.start();
        let snapshot = watched.until_hashed();
        drop(watched);
        times.push(snapshot.hashed);
        for (name, data) in FILES {
            assert_eq!(snapshot.files[name].file.digest, Some(bytes_digest(data)), "byte {at}");
        }
    }
    assert!(times.iter().all(|&times| (1..=3).contains(&times)), "{times:?}");
}

#[test]
fn a_cache_that_is_full_keeps_the_large_files() {
    let mut place = hashed();
    let full = place.remembered().len();
    place.set_remembered(b"");
    place.limits.cache_bytes_max = full as u64;
    let watched = place.start();
    let told = "has no room for 1 files";
    watched.until("told", |snapshot| {
        snapshot.problems.iter().any(|problem| problem.message.contains(told))
    });
    drop(watched);
    assert!(place.remembered().len() <= full);
    assert_hashed(&place, 1);
    // And one that is too long was not written by this.
    place.limits.cache_bytes_max = 10;
    let snapshot = place.start().now();
    let told = message(&snapshot);
    assert!(told.contains("it has more than 10 bytes") || told.contains("no room"), "{told}");
}

#[test]
fn a_cache_that_cannot_be_written_is_a_problem_and_no_more() {
    let place = Place::new();
    let watched = place.start();
    // Something else takes its place, which no file can replace.
    place.make_directory("../state/digests");
    place.write("a.npy", &bytes_npy(b"abc"));
    let snapshot = watched.until("told", |snapshot| snapshot.problem_count == 1);
    assert!(message(&snapshot).contains("could not be remembered"), "{snapshot:?}");
    assert_eq!(watched.digest("a.npy"), Some(bytes_digest(b"abc")));
}
