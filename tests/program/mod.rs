//! Runs the program as a user does.

// Each test file uses a part of this.
#![allow(dead_code, reason = "every test file compiles its own copy and uses what it needs")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments, in a clean environment of its own.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adsum"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("ADSUM_DEVICE")
        .env_remove("ADSUM_THREADS")
        .env_remove("ADSUM_MEMORY")
        .env_remove("ADSUM_CONFIG")
        .env_remove("ADSUM_TOKEN_FILE")
        .env_remove("ADSUM_RSH")
        .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"));
    command
}

/// Runs to the end.
pub fn run(arguments: &[&str]) -> Run {
    finish(&mut command(arguments))
}

/// Runs with `input` on standard input.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    to_run(&output)
}

pub fn finish(command: &mut Command) -> Run {
    to_run(&command.output().unwrap())
}

pub fn to_run(output: &std::process::Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

impl Run {
    /// The answer's JSON object.
    #[track_caller]
    pub fn json(&self) -> Json {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer's bits.
    #[track_caller]
    pub fn bits(&self) -> String {
        self.json()["bits"].as_str().unwrap().to_owned()
    }

    /// Checks a refusal: the exit code, no number on stdout, no trace of a
    /// panic, and every one of `words` in the message.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in {self:?}");
        }
    }
}

/// A file of the recorded data.
pub fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    assert!(path.exists(), "{path:?} does not exist");
    path.to_str().unwrap().to_owned()
}

/// The recorded totals, made by Python's integers and fractions.
pub fn totals() -> Vec<Json> {
    let text = std::fs::read_to_string(data("totals.json")).unwrap();
    let recorded: Json = serde_json::from_str(&text).unwrap();
    let list = recorded.as_array().cloned().unwrap_or_else(|| {
        recorded["files"].as_array().cloned().expect("a list of recorded totals")
    });
    assert!(list.len() > 20);
    list
}

/// A one-dimensional little-endian `.npy` file.
pub fn write_npy(path: &Path, descr: &str, elements: usize, bytes: &[u8]) -> PathBuf {
    write_array(path, descr, &format!("({elements},)"), bytes)
}

/// A little-endian `.npy` file of this shape, in C order.
pub fn write_array(path: &Path, descr: &str, shape: &str, bytes: &[u8]) -> PathBuf {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    std::fs::write(path, file).unwrap();
    path.to_owned()
}
