use super::*;
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};

/// A file of these bytes that is said to hold `shape` bytes from `offset` on.
fn hashing(bytes: &[u8], offset: u64, shape: u64) -> (tempfile::NamedTempFile, Hashing) {
    let temporary = tempfile::NamedTempFile::new().unwrap();
    fs::write(temporary.path(), bytes).unwrap();
    let file = File {
        path: os::path_bytes(temporary.path()).unwrap(),
        layout: Layout { dtype: DType::U8, byte_order: ByteOrder::Little },
        memory_order: MemoryOrder::C,
        shape: vec![shape],
        data_offset_bytes: offset,
        identity: os::identity(&fs::metadata(temporary.path()).unwrap()),
        digest: None,
        verified: false,
    };
    let hashing = Hashing::of("name".to_owned(), temporary.path().to_owned(), file, 100).unwrap();
    (temporary, hashing)
}

fn last_step(mut hashing: Hashing) -> Step {
    let mut block = Vec::new();
    loop {
        match hashing.step(&mut block) {
            Step::More => {}
            step => return step,
        }
    }
}

#[test]
fn runs_end_where_they_should() {
    let bytes: Vec<u8> = (0..=255).collect();
    for shape in [0_usize, 1, 99, 100, 101, 200, 250] {
        let (_file, hashing) = hashing(&bytes, 5, shape as u64);
        let Step::Done(found) = last_step(hashing) else { panic!("it was not hashed") };
        let runs: Vec<[u8; 32]> =
            bytes[5..5 + shape].chunks(100).map(|run| *blake3::hash(run).as_bytes()).collect();
        assert_eq!(*found.runs, *runs, "{shape} bytes");
    }
}

#[test]
fn a_read_that_fails_is_told_with_its_reason() {
    // The description promises more than there is, and the file has not changed.
    let (_file, hashing) = hashing(&[7; 150], 0, 160);
    let Step::Missed(Miss::Failed(why)) = last_step(hashing) else { panic!("it did not fail") };
    assert!(why.contains("could not be hashed: it ends at byte 150"), "{why}");
}

#[test]
fn a_change_in_the_midst_is_no_result() {
    let changes: [fn(&std::path::Path); 4] = [
        |path| fs::write(path, [8; 151]).unwrap(),
        |path| fs::File::options().write(true).open(path).unwrap().set_len(110).unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            let other = path.with_extension("other");
            fs::write(&other, [8; 150]).unwrap();
            fs::rename(other, path).unwrap();
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let (file, mut hashing) = hashing(&[7; 150], 0, 150);
        assert!(matches!(hashing.step(&mut Vec::new()), Step::More));
        change(file.path());
        let step = last_step(hashing);
        assert!(matches!(step, Step::Missed(Miss::Changed)), "change {index}: {step:?}");
    }
}

#[test]
fn what_changed_before_it_began_does_not_begin() {
    let (file, hashing) = hashing(&[7; 150], 0, 150);
    let path = file.path().to_owned();
    let identity = FileIdentity { inode: !0, ..hashing.identity() };
    let begin =
        |identity: &FileIdentity| Hashing::begin("name".to_owned(), path.clone(), identity, 100);
    // By now it is no array, whichever state it is in.
    for identity in [identity, hashing.identity()] {
        let miss = begin(&identity).unwrap_err();
        assert!(matches!(miss, Miss::Changed), "{miss:?}");
    }
}
