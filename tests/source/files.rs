//! Opening and reading files that nobody changes.

use std::fs;

use adsum::dtype::{ByteOrder, DType, MemoryOrder};
use adsum::manifest::ManifestError;
use adsum::source::{Access, Options, RawFormat, SourceError};

use crate::fixture::{
    Directory, WAYS, contents, error_of, f64_bytes, names, npy, npy_f64, open, open_with, raw,
    raw_options,
};

#[test]
fn entries_of_any_size_give_the_file_back() {
    let directory = Directory::new();
    // Past several pages, so that entries start inside of pages and cross them.
    let values: Vec<f64> = (0..3000).map(|i| f64::from(i) * 0.5).collect();
    let path = directory.write("a.npy", &npy_f64(&values));
    for entry_bytes in [8, 24, 1000, 4096, 4104, 1 << 20] {
        let options = Options { entry_bytes: Some(entry_bytes), ..Options::default() };
        let data = open_with(&[&path], &options).unwrap();
        assert_eq!(data.manifest.entries().len() as u64, 24_000_u64.div_ceil(entry_bytes / 8 * 8));
        for access in WAYS {
            assert_eq!(contents(&data.manifest, access).unwrap(), f64_bytes(&values));
        }
    }
}

#[test]
fn layout_shape_and_memory_order_come_from_the_header() {
    let directory = Directory::new();
    let data: Vec<u8> = (0..12).collect();
    let path = directory.write("a.npy", &npy(">i2", true, "(2, 3)", &data));
    let opened = open(&[path]).unwrap();
    let file = &opened.manifest.files()[0];
    assert_eq!((file.layout.dtype, file.layout.byte_order), (DType::I16, ByteOrder::Big));
    assert_eq!((file.memory_order, &file.shape[..]), (MemoryOrder::Fortran, &[2, 3][..]));
    assert_eq!(opened.warnings, [""; 0]);
    for access in WAYS {
        assert_eq!(contents(&opened.manifest, access).unwrap(), data);
    }
}

#[test]
fn floats_of_16_bits_are_read() {
    let directory = Directory::new();
    let data: Vec<u8> = (0..10).collect();
    for (descr, dtype, order) in [
        ("<f2", DType::F16, ByteOrder::Little),
        (">f2", DType::F16, ByteOrder::Big),
        ("bfloat16", DType::BF16, ByteOrder::NATIVE),
        ("<bfloat16", DType::BF16, ByteOrder::Little),
    ] {
        let path = directory.write("half.npy", &npy(descr, false, "(5,)", &data));
        let opened = open(&[path]).unwrap();
        let layout = opened.manifest.files()[0].layout;
        assert_eq!((layout.dtype, layout.byte_order), (dtype, order), "{descr}");
        for access in WAYS {
            assert_eq!(contents(&opened.manifest, access).unwrap(), data, "{descr}");
        }
    }
    // What libraries save of bfloat16 says its size alone, and is read as raw data.
    let path = directory.write("nameless.npy", &npy("|V2", false, "(5,)", &data));
    let message = error_of(&path, &Options::default());
    assert!(message.contains("'--dtype bfloat16 --offset 128'"), "{message}");
    let format = RawFormat { offset_bytes: 128, ..raw(DType::BF16) };
    let path = directory.write("nameless.bin", &npy("|V2", false, "(5,)", &data));
    match open_with(&[path], &raw_options(format)) {
        Ok(opened) => assert_eq!(opened.manifest.elements(), 5),
        Err(error) => panic!("the way out leads nowhere: {error}"),
    }
}

#[test]
fn arrays_without_elements_and_without_axes_are_arrays() {
    let directory = Directory::new();
    let empty = directory.write("empty.npy", &npy("<f8", false, "(3, 0)", &[]));
    // The other lengths may be anything then, as in NumPy.
    let lies = directory.write("lies.npy", &npy("<f8", false, "(9223372036854775807, 0, 9)", &[]));
    let scalar = directory.write("scalar.npy", &npy("<f8", false, "()", &f64_bytes(&[2.5])));
    let nothing = directory.write("nothing.bin", &[]);

    let data = open(&[&empty, &lies]).unwrap();
    assert_eq!((data.manifest.entries().len(), data.manifest.elements()), (0, 0));
    let data = open(&[&empty, &scalar]).unwrap();
    assert_eq!((data.manifest.entries().len(), data.manifest.elements()), (1, 1));
    for access in WAYS {
        assert_eq!(contents(&data.manifest, access).unwrap(), f64_bytes(&[2.5]));
    }
    let data = open_with(&[nothing], &raw_options(raw(DType::F32))).unwrap();
    assert_eq!(data.manifest.files()[0].shape, [0]);
}

#[test]
fn bytes_after_the_array_are_ignored_with_a_warning() {
    let directory = Directory::new();
    let bytes = [npy_f64(&[1.0, 2.0]), vec![7; 5]].concat();
    let data = open(&[directory.write("a.npy", &bytes)]).unwrap();
    assert_eq!(data.manifest.elements(), 2);
    assert!(data.warnings[0].contains("5 bytes after its array"), "{:?}", data.warnings);
}

#[test]
fn cut_files_say_what_is_missing() {
    let directory = Directory::new();
    let whole = npy_f64(&[1.0, 2.0, 3.0]);
    for (cut, words) in [
        (whole.len() - 1, "shape [3] of float64 takes 24 bytes, there are 23"),
        (128, "takes 24 bytes, there are 0"),
        (100, "its header has 128 bytes, the file has 100"),
        (9, "its header has 10 bytes, the file has 9"),
        (3, "its header has 8 bytes, the file has 3"),
    ] {
        let path = directory.write("cut.npy", &whole[..cut]);
        let message = error_of(&path, &Options::default());
        assert!(message.contains("cut.npy' is cut off") && message.contains(words), "{message}");
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let directory = Directory::new();
    for (shape, words) in [
        ("(4294967296, 4294967296)", "past 64 bits"),
        ("(2305843009213693952,)", "past 64 bits"),
        ("(1000000000000,)", "takes 8000000000000 bytes, there are 8"),
        ("(-1,)", "negative length -1"),
    ] {
        let path = directory.write("lie.npy", &npy("<f8", false, shape, &[0; 8]));
        let message = error_of(&path, &Options::default());
        assert!(message.contains("lie.npy' ") && message.contains(words), "{message}");
    }
    let path = directory.write("complex.npy", &npy("<c16", false, "(1,)", &[0; 16]));
    let message = error_of(&path, &Options::default());
    assert!(message.contains("complex.npy' holds complex numbers ('<c16')"), "{message}");
}

#[test]
fn what_is_not_npy_needs_a_dtype_and_what_is_takes_none() {
    let directory = Directory::new();
    let text = directory.write("a.csv", b"1,2\n3,4\n");
    let error = open(&[&text]).unwrap_err();
    assert!(!error.is_usage());
    let words = "a.csv' is not a .npy file (starts with \"1,2\\n3,\"); for raw binary say --dtype";
    assert!(error.to_string().ends_with(words), "{error}");
    let empty = directory.write("empty.npy", b"");
    assert!(error_of(&empty, &Options::default()).contains("(it is empty)"));

    let array = directory.write("a.npy", &npy_f64(&[1.0]));
    let error = open_with(&[&array], &raw_options(raw(DType::F64))).unwrap_err();
    assert!(matches!(error, SourceError::NpyAsRaw { .. }) && error.is_usage(), "{error}");
    let past_header = RawFormat { offset_bytes: 128, ..raw(DType::F64) };
    let data = open_with(&[&array], &raw_options(past_header)).unwrap();
    assert_eq!(contents(&data.manifest, WAYS[0]).unwrap(), f64_bytes(&[1.0]));
}

#[test]
fn raw_files_are_described_by_the_caller() {
    let directory = Directory::new();
    let bytes: Vec<u8> = (0..26).collect();
    let path = directory.write("a.bin", &bytes);
    let format = RawFormat {
        dtype: DType::U32,
        byte_order: ByteOrder::Big,
        offset_bytes: 2,
        shape: Some(vec![2, 3]),
    };
    for shape in [None, Some(vec![2, 3])] {
        let flat = shape.is_none();
        let format = RawFormat { shape, ..format.clone() };
        let data = open_with(&[&path], &raw_options(format)).unwrap();
        let file = &data.manifest.files()[0];
        assert_eq!(file.shape, if flat { vec![6] } else { vec![2, 3] });
        assert_eq!(file.layout.byte_order, ByteOrder::Big);
        for access in WAYS {
            assert_eq!(contents(&data.manifest, access).unwrap(), bytes[2..]);
        }
    }
}

#[test]
fn raw_lengths_must_fit() {
    let directory = Directory::new();
    let path = directory.write("a.bin", &[0; 26]);
    let format = |dtype, offset_bytes, shape: Option<&[u64]>| {
        let shape = shape.map(<[u64]>::to_vec);
        raw_options(RawFormat { dtype, byte_order: ByteOrder::Little, offset_bytes, shape })
    };
    let huge = &[u64::MAX, 3][..];
    for (options, words) in [
        (format(DType::U32, 0, None), "26 bytes of data, which is no multiple of the 4 bytes"),
        (format(DType::U8, 27, None), "has 26 bytes, no data can start at --offset 27"),
        (
            format(DType::U16, 0, Some(&[3, 4])),
            "26 bytes of data, the shape [3, 4] of uint16 takes 24",
        ),
        (format(DType::U16, 0, Some(&[14])), "26 bytes of data, the shape [14] of uint16 takes 28"),
        (format(DType::U16, 0, Some(huge)), "past 64 bits"),
    ] {
        let message = error_of(&path, &options);
        assert!(message.contains("a.bin' ") && message.contains(words), "{message}");
    }
}

#[test]
fn files_count_in_the_order_given_and_globs_by_bytes() {
    let directory = Directory::new();
    for name in ["b/10.npy", "b/9.npy", "b/a.npy", "b/Z.npy", "b/.hidden.npy", "z.npy"] {
        directory.write(name, &npy_f64(&[1.0]));
    }
    let data = open(&[directory.path("z.npy"), directory.path("b/*.npy")]).unwrap();
    let ends = ["z.npy", "10.npy", "9.npy", "Z.npy", "a.npy"];
    assert!(names(&data).iter().zip(ends).all(|(name, end)| name.ends_with(end)), "{data:?}");
    assert_eq!(data.manifest.entries().len(), 5);

    let message = error_of(&directory.path("*.bin"), &Options::default());
    assert!(message.starts_with("no file matches '"), "{message}");
    let message = error_of(&directory.path("a***b"), &Options::default());
    assert!(message.contains("no valid glob"), "{message}");
}

#[test]
fn globs_mean_what_they_mean_in_a_shell() {
    let directory = Directory::new();
    for name in ["a.npy", "d/b.npy", "d/e/c.npy", "f/a.npy", ".h/d.npy", "f/.i.npy"] {
        directory.write(name, &npy_f64(&[1.0]));
    }
    let found = |pattern: &str| match open(&[directory.path(pattern)]) {
        Ok(data) => {
            let root = directory.path("");
            let below = |name: &String| name.strip_prefix(root.to_str().unwrap()).unwrap().into();
            names(&data).iter().map(below).collect::<Vec<String>>()
        }
        Err(SourceError::NoMatch { .. }) => Vec::new(),
        Err(error) => panic!("{pattern}: {error}"),
    };
    let all = ["a.npy", "d/b.npy", "d/e/c.npy", "f/a.npy"];
    for (pattern, expected) in [
        ("*.npy", &all[..1]),
        ("?/*.npy", &["d/b.npy", "f/a.npy"]),
        ("*/a.npy", &["f/a.npy"]),
        ("**", &all),
        ("**/*.npy", &all),
        ("**/**/*.npy", &all),
        ("**/?/**/*.npy", &all[1..]),
        ("d/../*.npy", &["d/../a.npy"]),
        (".h/*", &[".h/d.npy"]),
        ("f/.*", &["f/.i.npy"]),
        ("a.npy/*", &[]),
        ("a.npy/**", &[]),
        ("*.npy/", &[]),
        ("nowhere/*", &[]),
    ] {
        assert_eq!(found(pattern), expected, "{pattern}");
    }
}

#[test]
fn a_file_wins_over_its_name_as_a_glob() {
    let directory = Directory::new();
    directory.write("a1.npy", &npy_f64(&[1.0]));
    let pattern = directory.path("a[1].npy");
    assert_eq!(names(&open(&[&pattern]).unwrap()), [directory.path("a1.npy").to_str().unwrap()]);
    directory.write("a[1].npy", &npy_f64(&[2.0]));
    assert_eq!(names(&open(&[&pattern]).unwrap()), [pattern.to_str().unwrap()]);
}

#[test]
fn a_file_given_twice_counts_once_and_a_copy_counts_again() {
    let directory = Directory::new();
    let path = directory.write("a.npy", &npy_f64(&[1.0]));
    let copy = directory.write("copy.npy", &npy_f64(&[1.0]));
    let detour = directory.path("./a.npy");
    let data = open(&[&path, &copy, &detour, &directory.path("*.npy")]).unwrap();
    assert_eq!(data.manifest.elements(), 2);
    assert_eq!(data.warnings.len(), 3);
    assert!(data.warnings[0].contains("is given more than once and counts once"));
}

#[test]
fn a_data_set_has_one_dtype() {
    let directory = Directory::new();
    let one = directory.write("f8.npy", &npy_f64(&[1.0]));
    let other = directory.write("i4.npy", &npy("<i4", false, "(1,)", &[0; 4]));
    let error = open(&[one, other]).unwrap_err();
    assert!(matches!(error, SourceError::Manifest(ManifestError::DTypes { .. })));
    assert!(error.to_string().contains("i4.npy' holds int32"), "{error}");
    let none: [&str; 0] = [];
    assert!(matches!(open(&none), Err(SourceError::Manifest(ManifestError::Empty))));
}

#[test]
fn paths_that_are_no_files_are_refused() {
    let directory = Directory::new();
    let message = error_of(&directory.path("none.npy"), &Options::default());
    assert!(message.ends_with("none.npy' does not exist; check the path"), "{message}");
    let file = directory.write("b/a.npy", &npy_f64(&[1.0]));
    let message = error_of(&file.join("below"), &Options::default());
    assert!(message.contains("below' does not exist"), "{message}");
    let message = error_of(&directory.path("b"), &Options::default());
    assert!(message.contains("is a directory; name the files in it"), "{message}");
    // A directory that a glob finds is not left out silently.
    assert!(matches!(open(&[directory.path("*")]), Err(SourceError::Directory { .. })));
    fs::remove_dir_all(directory.path("b")).unwrap();
}

#[cfg(unix)]
mod unix {
    use std::ffi::{CString, OsStr};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn symbolic_links_are_the_file_and_hard_links_are_not() {
        let directory = Directory::new();
        let path = directory.write("a.npy", &npy_f64(&[1.0]));
        let (soft, hard) = (directory.path("soft.npy"), directory.path("hard.npy"));
        symlink(&path, &soft).unwrap();
        fs::hard_link(&path, &hard).unwrap();
        let data = open(&[&path, &soft, &hard]).unwrap();
        assert_eq!((data.manifest.elements(), data.warnings.len()), (2, 1));
        let dangling = directory.path("dangling.npy");
        symlink("nowhere", &dangling).unwrap();
        assert!(error_of(&dangling, &Options::default()).contains("does not exist"));
    }

    /// Not on macOS, whose file system takes Unicode only.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_may_be_any_bytes() {
        let directory = Directory::new();
        let path = directory.path("").join(OsStr::from_bytes(b"\xff\xfe.npy"));
        fs::write(&path, npy_f64(&[4.0])).unwrap();
        let data = open(&[&path]).unwrap();
        assert_eq!(data.manifest.files()[0].path, path.as_os_str().as_bytes());
        for access in WAYS {
            assert_eq!(contents(&data.manifest, access).unwrap(), f64_bytes(&[4.0]));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn globs_mean_names_that_are_no_unicode() {
        let directory = Directory::new();
        let folder = directory.path("").join(OsStr::from_bytes(b"d\xff"));
        fs::create_dir(&folder).unwrap();
        for path in [directory.path("").join(OsStr::from_bytes(b"\xff.npy")), folder.join("a.npy")]
        {
            fs::write(&path, npy_f64(&[4.0])).unwrap();
        }
        for (pattern, files) in [("*.npy", 1), ("?.npy", 1), ("*/*.npy", 1), ("**/*.npy", 2)] {
            let data = open(&[directory.path(pattern)]).unwrap();
            assert_eq!(data.manifest.files().len(), files, "{pattern}");
            assert_eq!(contents(&data.manifest, Access::Mapped).unwrap().len(), 8 * files);
        }
        let nothing = open(&[directory.path("[!a]*.bin")]);
        assert!(matches!(nothing, Err(SourceError::NoMatch { .. })), "{nothing:?}");
    }

    #[test]
    fn globs_follow_links_and_end_where_those_lead_back() {
        let directory = Directory::new();
        directory.write("a/b/1.npy", &npy_f64(&[1.0]));
        let outside = Directory::new();
        outside.write("2.npy", &npy_f64(&[2.0]));
        symlink(directory.path("a"), directory.path("a/b/up")).unwrap();
        symlink(outside.path(""), directory.path("a/out")).unwrap();
        let data = open(&[directory.path("**/*.npy")]).unwrap();
        assert_eq!((data.manifest.elements(), data.warnings.len()), (2, 0), "{data:?}");
        // A link that leads nowhere is not left out silently.
        symlink("nowhere", directory.path("a/3.npy")).unwrap();
        for pattern in ["**/*.npy", "**", "a/*.npy", "*/3.npy"] {
            let message = error_of(&directory.path(pattern), &Options::default());
            assert!(message.contains("3.npy' does not exist"), "{message}");
        }
    }

    #[test]
    fn pipes_devices_and_sockets_are_refused_without_waiting() {
        let directory = Directory::new();
        let fifo = directory.path("fifo");
        let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is a string that ends with zero and lives on.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let socket = directory.path("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for path in [&fifo, &socket, Path::new("/dev/zero"), Path::new("/dev/null")] {
            let message = error_of(path, &raw_options(raw(DType::U8)));
            assert!(message.ends_with("is not a regular file; pipe it into '-'"), "{message}");
        }
    }

    /// The file is readable to nobody. Root reads it all the same, so as root
    /// the test runs itself again as another user.
    #[test]
    fn files_that_may_not_be_read_are_refused() {
        const PATH: &str = "ADSUM_TEST_UNREADABLE";
        let check = |path: &Path| {
            let message = error_of(path, &Options::default());
            assert!(
                message.contains("secret.npy' could not be read: Permission denied"),
                "{message}"
            );
            assert!(message.contains("; give its user or group the right"), "{message}");
        };
        if let Some(path) = std::env::var_os(PATH) {
            return check(Path::new(&path));
        }
        let directory = Directory::new();
        let path = directory.write("secret.npy", &npy_f64(&[1.0]));
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&path, 0o000);
        // SAFETY: geteuid only returns a number.
        if unsafe { libc::geteuid() } != 0 {
            return check(&path);
        }
        // The other user may not reach the build directory, so the program
        // goes where the file is.
        mode(path.parent().unwrap(), 0o755);
        let program = directory.path("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        mode(&program, 0o755);
        let output = Command::new(&program)
            .args(["--exact", "files::unix::files_that_may_not_be_read_are_refused"])
            .env(PATH, &path)
            .current_dir("/")
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && talk.contains("1 passed"), "{talk}");
    }

    /// These are regular files of size 0 that have contents all the same, and
    /// the second one fails where nothing is mapped.
    #[cfg(target_os = "linux")]
    #[test]
    fn files_of_the_kernel_are_refused() {
        let message = error_of(Path::new("/proc/self/status"), &raw_options(raw(DType::U8)));
        assert!(message.contains("has data but gives its size as 0 bytes"), "{message}");
        let message = error_of(Path::new("/proc/self/mem"), &raw_options(raw(DType::U8)));
        assert!(message.contains("could not be read: Input/output error"), "{message}");
    }
}
