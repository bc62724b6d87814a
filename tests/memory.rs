//! A node's memory stays within `--memory`, whatever the size of the data.

#![cfg(all(feature = "cli", target_os = "linux"))]

mod program;

use std::fs::{self, File};
use std::process::Stdio;

use program::{command, write_npy};

/// The most memory that the process ever had resident, in bytes; mapped pages
/// count.
fn peak_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

#[test]
fn a_file_larger_than_the_memory_is_reduced_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.npy");
    let bytes: u64 = 2 << 30;
    write_npy(&path, "<f4", (bytes / 4) as usize, &[]);
    File::options().write(true).open(&path).unwrap().set_len(bytes + 128).unwrap();
    let path = path.to_str().unwrap();
    for (memory, extra) in
        [(512_u64 << 20, &[][..]), (256 << 20, &[]), (64 << 20, &[]), (128 << 20, &["--no-mmap"])]
    {
        let limit = memory.to_string();
        let arguments = [&["sum", "--device", "cpu", "--memory", &limit, path][..], extra].concat();
        let mut child =
            command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut peak = 0;
        let code = loop {
            peak = peak_bytes(child.id()).unwrap_or(peak);
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
        };
        assert_eq!(code, Some(0));
        assert!(peak > 0, "the process was never seen");
        assert!(peak <= memory, "{peak} bytes of {memory} with {extra:?}");
    }
}
