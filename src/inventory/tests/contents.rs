//! Digests against ones made by hand.

use super::*;

#[test]
fn digests_are_of_the_description_and_of_runs_of_elements() {
    use ByteOrder::{Big, Little};
    use MemoryOrder::{C, Fortran};
    let data: Vec<u8> = (0..=255).cycle().take(3 * 5 * 8).collect();
    // Runs of 64 bytes: several, a part of one, just one, none.
    for (descr, dtype, byte_order, order, shape) in [
        ("<f8", DType::F64, Little, C, &[3, 5][..]),
        ("<f8", DType::F64, Little, Fortran, &[3, 5]),
        (">f8", DType::F64, Big, C, &[3, 5]),
        (">i2", DType::I16, Big, Fortran, &[4, 8]),
        ("<u4", DType::U32, Little, C, &[16]),
        ("<u4", DType::U32, Little, C, &[17]),
        ("<i8", DType::I64, Little, C, &[]),
        ("<i8", DType::I64, Little, C, &[0]),
        ("<i8", DType::I64, Little, Fortran, &[7, 0, 2]),
        ("|u1", DType::U8, ByteOrder::NATIVE, C, &[1]),
    ] {
        let elements: u64 = shape.iter().product();
        let data = &data[..elements as usize * dtype.size_bytes()];
        let place = Place::new();
        place.write("a.npy", &npy(descr, order, shape, data, 0));
        // What comes after the array is no part of it, nor is its header.
        let trailing = [data, b"trailing"].concat();
        place.write("trailing.npy", &npy(descr, order, shape, &trailing, 0));
        place.write("padded.npy", &npy(descr, order, shape, data, 1000));
        let watched = place.start();
        let snapshot = watched.until_hashed();
        let expected = digest((dtype, byte_order, order), shape, data, RUN);
        let runs: Vec<[u8; 32]> =
            data.chunks(RUN).map(|run| *blake3::hash(run).as_bytes()).collect();
        for (name, found) in &snapshot.files {
            assert_eq!(found.file.digest, Some(expected), "{name}: {descr} {order:?} {shape:?}");
            assert_eq!(*found.runs, *runs);
        }
        assert_eq!((snapshot.files.len(), snapshot.hashed, snapshot.problem_count), (3, 3, 0));
        assert!(snapshot.held().iter().all(|held| held.digest == Some(expected)));
    }
}

#[test]
fn runs_may_be_longer_than_what_is_read_at_a_time() {
    let data: Vec<u8> = (0_u32..1_000_003).flat_map(u32::to_le_bytes).collect();
    // Of one read and a bit, and of less.
    for run in [1_500_000, 70_000] {
        let mut place = Place::new();
        place.limits.run_bytes = run as u64;
        place.write("a.npy", &npy("<u4", MemoryOrder::C, &[1_000_003], &data, 3));
        let watched = place.start();
        watched.until_hashed();
        let array = (DType::U32, ByteOrder::Little, MemoryOrder::C);
        assert_eq!(watched.digest("a.npy"), Some(digest(array, &[1_000_003], &data, run)));
    }
}

#[test]
fn a_run_has_the_bytes_of_an_entry() {
    let limits = Limits::default();
    assert_eq!((limits.run_bytes, limits.settle), (64 << 20, Duration::from_secs(2)));
    assert_eq!((limits.files_max, limits.cache_bytes_max), (1 << 20, 256 << 20));
    let mut place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    place.date("a.npy", -3);
    place.limits = limits;
    let watched = place.start();
    watched.until_hashed();
    let array = (DType::U8, ByteOrder::NATIVE, MemoryOrder::C);
    assert_eq!(watched.digest("a.npy"), Some(digest(array, &[3], b"abc", 64 << 20)));
}

#[test]
fn without_hashing_nothing_is_hashed() {
    let place = Place::without_hashes();
    place.write("a.npy", &bytes_npy(b"abc"));
    let watched = place.start();
    place.write("b.npy", &bytes_npy(b"abc"));
    let snapshot = watched.until("new", |snapshot| snapshot.files.len() == 2);
    assert_eq!((snapshot.unhashed, snapshot.hashed), (2, 0));
    drop(watched);
    assert!(!place.state().join("digests").exists());
}
