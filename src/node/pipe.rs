//! What a parent and a node that it started say over the node's standard
//! input and output.
//!
//! ```text
//!   stdin    secret: 32 bytes   length: u32 LE   assignment: postcard
//!            ... then nothing, open for as long as the node is to live
//!   stdout   "ready ADDRESS" or "failed MESSAGE", one line
//!            ... then nothing, open for as long as the node lives
//! ```
//!
//! Both ends are the same program, so there is no version.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::placement::NodeId;
use crate::transport::Secret;
use crate::transport::token::SECRET_BYTES;

/// The most bytes of an encoded assignment. It fits into a pipe's buffer, so
/// that a parent never waits for a child to read it.
const ASSIGNMENT_BYTES_MAX: usize = 32 << 10;

/// The most bytes of a node's line.
pub(super) const LINE_BYTES_MAX: u64 = 4096;

/// Who a node that was started by another is, and what it is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its name for programs.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// What else the program wants its nodes to know, in the program's own
    /// encoding.
    pub settings: Vec<u8>,
}

/// Writes what a node waits for on its standard input.
///
/// # Errors
/// The node is gone, or [`io::ErrorKind::InvalidInput`] if the settings are
/// too long.
pub(super) fn write_assignment(
    mut to: impl Write,
    secret: &Secret,
    assignment: &Assignment,
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(assignment).map_err(io::Error::other)?;
    if bytes.len() > ASSIGNMENT_BYTES_MAX {
        let message =
            format!("its settings take {} bytes, the most is {ASSIGNMENT_BYTES_MAX}", bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    to.write_all(secret.expose())?;
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads what [`write_assignment`] wrote.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the parent is gone, and
/// [`io::ErrorKind::InvalidData`] if it is no parent.
pub(super) fn read_assignment(mut from: impl Read) -> io::Result<(Secret, Assignment)> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    from.read_exact(&mut *secret)?;
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > ASSIGNMENT_BYTES_MAX {
        let message =
            format!("an assignment of {length} bytes, the most is {ASSIGNMENT_BYTES_MAX}");
        return Err(invalid(message));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    let assignment = postcard::from_bytes(&bytes).map_err(|error| invalid(error.to_string()))?;
    Ok((Secret::from_bytes(*secret), assignment))
}

/// What became of a node's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// It listens here.
    Ready(SocketAddr),
    /// It could not, for this reason.
    Failed(String),
}

impl Started {
    /// The node's line, with its end.
    pub(super) fn to_line(&self) -> String {
        match self {
            Started::Ready(addr) => format!("ready {addr}\n"),
            Started::Failed(message) => {
                let mut line = format!("failed {}", message.replace(['\n', '\r'], " "));
                let fits = |&end: &usize| line.is_char_boundary(end);
                line.truncate((0..LINE_BYTES_MAX as usize).rev().find(fits).unwrap_or(0));
                line + "\n"
            }
        }
    }

    /// Reads a node's line; `None` if no node wrote it.
    pub(super) fn from_line(line: &str) -> Option<Started> {
        match line.strip_suffix('\n')?.split_once(' ')? {
            ("ready", addr) => Some(Started::Ready(addr.parse().ok()?)),
            ("failed", message) => Some(Started::Failed(message.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(settings_bytes: usize) -> Assignment {
        Assignment {
            id: NodeId([7; 16]),
            name: "node-3".to_owned(),
            settings: vec![1; settings_bytes],
        }
    }

    #[test]
    fn an_assignment_arrives_as_it_was_sent() {
        let secret = Secret::from_bytes([9; SECRET_BYTES]);
        let mut pipe = Vec::new();
        write_assignment(&mut pipe, &secret, &assignment(1000)).expect("memory takes it");
        let read = read_assignment(&pipe[..]).expect("all of it is there");
        assert_eq!(read, (secret, assignment(1000)));
        for end in 0..pipe.len() {
            let error = read_assignment(&pipe[..end]).expect_err("the end is missing");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn an_assignment_that_could_block_a_pipe_is_refused() {
        let secret = Secret::from_bytes([9; SECRET_BYTES]);
        let long = assignment(ASSIGNMENT_BYTES_MAX);
        let error = write_assignment(Vec::new(), &secret, &long).expect_err("too long");
        assert!(error.to_string().contains("the most is 32768"), "{error}");
        let pipe = [[0xff; 36].as_slice(), &[0; 100]].concat();
        let error = read_assignment(&pipe[..]).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let ready = Started::Ready(([127, 0, 0, 1], 4242).into());
        let failed = Started::Failed("no such device 'gpu:9'".to_owned());
        for started in [ready, failed] {
            assert_eq!(Started::from_line(&started.to_line()), Some(started));
        }
        let two_lines = Started::Failed("a\nb".to_owned()).to_line();
        assert_eq!(two_lines, "failed a b\n");
        let long = Started::Failed("é".repeat(5000)).to_line();
        assert!(long.len() as u64 <= LINE_BYTES_MAX && long.ends_with("é\n"));
        for line in ["", "\n", "ready\n", "ready 127.0.0.1:1", "ready nowhere\n", "hello world\n"] {
            assert_eq!(Started::from_line(line), None, "{line:?}");
        }
    }
}
