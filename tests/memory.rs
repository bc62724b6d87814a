//! A node's memory stays within `--memory`, whatever the size of the data.

#![cfg(all(feature = "cli", target_os = "linux"))]

mod program;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use program::{command, write_array, write_npy};

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
        let arguments = [&["sum", "--device", "cpu", path][..], extra].concat();
        stays_within(memory, &arguments);
    }
}

/// Runs to the end and watches the process's memory.
fn stays_within(memory: u64, arguments: &[&str]) {
    let limit = memory.to_string();
    let arguments = [arguments, &["--memory", &limit][..]].concat();
    let mut child =
        command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let code = loop {
        peak = peak_bytes(child.id()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    assert_eq!(code, Some(0), "{arguments:?}");
    assert!(peak > 0, "the process was never seen");
    assert!(peak <= memory, "{peak} bytes of {memory} with {arguments:?}");
}

/// A million columns, and a result larger than the memory.
#[test]
fn results_along_an_axis_go_through_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sparse = |path: &str, shape: [usize; 2]| {
        let bytes = (shape[0] * shape[1] * 4) as u64;
        let shape = format!("({}, {})", shape[0], shape[1]);
        write_array(Path::new(path), "<f4", &shape, &[]);
        File::options().write(true).open(path).unwrap().set_len(bytes + 128).unwrap();
    };
    let (columns, row, out) = (at("columns.npy"), at("row.npy"), at("out.npy"));
    sparse(&columns, [64, 1_000_000]);
    sparse(&row, [1, 3_000_000]);
    let along = |op: &'static str, path: &str, memory: u64| {
        let arguments = [op, "--device", "cpu", "--axis", "0", "--force", "--out", &out, path];
        stays_within(memory, &arguments);
    };
    along("sum", &columns, 64 << 20);
    along("std", &columns, 512 << 20);
    assert_eq!(fs::metadata(&out).unwrap().len(), 4_000_000 + 128);
    // The states of all outputs together would take several times the memory.
    along("sum", &row, 40 << 20);
    assert_eq!(fs::metadata(&out).unwrap().len(), 12_000_000 + 128);
}
