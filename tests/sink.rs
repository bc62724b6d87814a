//! Files of results: whole or not there, and with NumPy's bytes.
#![cfg(feature = "files")]

use std::fs;
use std::path::{Path, PathBuf};

use adsum::DType;
use adsum::sink::{NewFile, NpySink, SinkError};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Names in a directory, also of hidden files.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refused(path: &Path, overwrite: bool) -> SinkError {
    NpySink::create(path, DType::F64, &[2], overwrite).expect_err("the target is refused")
}

/// `numpy.save` of `numpy.arange(6, dtype='<i2').reshape(2, 3)`, NumPy 2.4.6.
const RECORDED: &[u8] = b"\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, \
    'shape': (2, 3), }                                                          \n\
    \x00\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00";

#[test]
fn pieces_in_any_order_make_the_bytes_of_numpy() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    let mut sink = NpySink::create(&path, DType::I16, &[2, 3], false).unwrap();
    sink.write_at(4, &[4, 0, 5, 0]).unwrap();
    sink.write_at(0, &[0, 0]).unwrap();
    sink.write_at(1, &[1, 0, 2, 0, 3, 0]).unwrap();
    assert!(!path.exists(), "half an array has no name");
    sink.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), RECORDED);
    assert_eq!(names(folder.path()), ["out.npy"]);
}

#[test]
fn scalars_and_empty_arrays_are_files_too() {
    let folder = folder();
    let path = folder.path().join("scalar.npy");
    let mut sink = NpySink::create(&path, DType::F64, &[], false).unwrap();
    sink.write_at(0, &1.5_f64.to_le_bytes()).unwrap();
    sink.finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 136);
    let path = folder.path().join("empty.npy");
    let sink = NpySink::create(&path, DType::F64, &[3, 0], false).unwrap();
    sink.finish().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 128);
}

#[test]
fn an_array_with_elements_missing_or_twice_is_none() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    for pieces in [&[(0, 1)][..], &[(0, 2), (1, 2), (0, 1)], &[]] {
        let mut sink = NpySink::create(&path, DType::I8, &[4], false).unwrap();
        for (first, count) in pieces {
            sink.write_at(*first, &vec![1; *count]).unwrap();
        }
        let error = sink.finish().unwrap_err();
        assert!(matches!(error, SinkError::Incomplete { elements: 4, .. }), "{error}");
        assert!(!error.is_usage());
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
#[should_panic(expected = "a piece lies inside its array")]
fn no_piece_goes_past_the_end() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    let mut sink = NpySink::create(&path, DType::I16, &[4], false).unwrap();
    let _ = sink.write_at(3, &[0; 4]);
}

#[test]
fn what_exists_is_replaced_only_on_demand() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    fs::write(&path, "old").unwrap();
    let error = refused(&path, false);
    assert!(matches!(error, SinkError::Exists { .. }), "{error}");
    assert!(error.is_usage());
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()) && text.contains("--force"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["out.npy"]);

    let mut file = NewFile::create(&path, true).unwrap();
    file.write_at(b"new", 0).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old", "the old one stays until the new one is whole");
    file.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["out.npy"]);
}

#[test]
fn a_file_that_came_meanwhile_is_not_replaced() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    let file = NewFile::create(&path, false).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    let error = file.finish().unwrap_err();
    assert!(matches!(error, SinkError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    assert_eq!(names(folder.path()), ["out.npy"]);
}

#[test]
fn what_is_dropped_leaves_nothing() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    let mut file = NewFile::create(&path, false).unwrap();
    file.write_at(b"half", 100).unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    drop(file);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn directories_are_no_targets() {
    let folder = folder();
    let inside = |name: &str| folder.path().join(name);
    let slash = PathBuf::from(format!("{}/results/", folder.path().display()));
    let dot = inside("results").join(".");
    for path in [folder.path(), Path::new("/"), Path::new(".."), Path::new(""), &slash, &dot] {
        for overwrite in [false, true] {
            let error = refused(path, overwrite);
            assert!(matches!(error, SinkError::Directory { .. }), "{}: {error}", path.display());
            assert!(error.is_usage());
        }
    }
    fs::write(inside("file"), "").unwrap();
    for path in [inside("missing/out.npy"), inside("file/out.npy")] {
        let error = refused(&path, false);
        assert!(matches!(error, SinkError::NoDirectory { .. }), "{error}");
        assert!(error.is_usage());
        assert!(error.to_string().contains("is not a directory; make it"), "{error}");
    }
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_bare_name_is_in_the_working_directory() {
    let name = format!("adsum-sink-{}.tmp", std::process::id());
    let file = NewFile::create(Path::new(&name), false).unwrap();
    file.finish().unwrap();
    fs::remove_file(&name).unwrap();
}

#[test]
fn a_name_as_long_as_the_system_takes_is_no_trouble() {
    let folder = folder();
    let path = folder.path().join("n".repeat(255));
    NewFile::create(&path, false).unwrap().finish().unwrap();
    assert!(path.exists());
    let error = refused(&folder.path().join("n".repeat(256)), false);
    assert!(matches!(error, SinkError::Io { .. }), "{error}");
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn a_shape_that_no_file_holds_makes_none() {
    let folder = folder();
    let path = folder.path().join("out.npy");
    for shape in [&[1 << 62, 4][..], &[1; 65]] {
        let error = NpySink::create(&path, DType::F64, shape, false).unwrap_err();
        assert!(matches!(error, SinkError::Shape { .. }), "{error}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn devices_and_links_to_nothing_are_no_targets() {
        let folder = folder();
        let dangling = folder.path().join("dangling");
        symlink("nothing", &dangling).unwrap();
        let round = folder.path().join("round");
        symlink("round", &round).unwrap();
        for path in [Path::new("/dev/full"), Path::new("/dev/null"), &dangling, &round] {
            for overwrite in [false, true] {
                let error = refused(path, overwrite);
                assert!(matches!(error, SinkError::NotRegular { .. }), "{error}");
                assert!(error.is_usage());
            }
        }
        assert_eq!(names(folder.path()), ["dangling", "round"]);
    }

    #[test]
    fn a_link_stays_and_leads_to_the_new_file() {
        let folder = folder();
        fs::create_dir(folder.path().join("far")).unwrap();
        let far = folder.path().join("far/data");
        fs::write(&far, "old").unwrap();
        let link = folder.path().join("link");
        symlink("far/data", &link).unwrap();
        assert!(matches!(refused(&link, false), SinkError::Exists { .. }));
        let mut file = NewFile::create(&link, true).unwrap();
        file.write_at(b"new", 0).unwrap();
        file.finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&far).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["far", "link"]);
        assert_eq!(names(&folder.path().join("far")), ["data"]);
    }

    #[test]
    fn permissions_are_those_of_any_new_file() {
        let folder = folder();
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777
        };
        fs::write(folder.path().join("plain"), "").unwrap();
        NewFile::create(&folder.path().join("ours"), false).unwrap().finish().unwrap();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn a_directory_without_rights_is_refused_before_any_work() {
        let folder = folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let path = folder.path().join("out.npy");
        match NewFile::create(&path, false) {
            // The superuser may write everywhere.
            Ok(file) => file.finish().unwrap(),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("that you may write to"), "{text}");
                assert!(!error.is_usage());
            }
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn no_directory_that_cannot_hold_files_is_written_to() {
        let error = refused(Path::new("/proc/out.npy"), false);
        assert!(matches!(error, SinkError::NoDirectory { .. } | SinkError::Io { .. }), "{error}");
    }
}
