//! What `adsum run` and the process that it starts on each host say.
//!
//! ```text
//!   stdin    "adsum run" version: u32 LE   secret: 32 bytes   frames of Order
//!            ... open for as long as the ranks are to live
//!   stdout   "adsum run" version: u32 LE   frames of Event
//!            ... open for as long as this process lives
//! ```
//!
//! A frame is a length, u32 LE, and postcard. Before its greeting a host's
//! standard output may hold what its shell prints; that is passed over.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::os::process::End;
use crate::transport::Secret;
use crate::transport::token::SECRET_BYTES;

/// The version of what is said. Hosts of another refuse.
pub const VERSION: u32 = 2;

const MAGIC: [u8; 9] = *b"adsum run";

/// The most bytes of a frame: a program's arguments and environment.
const FRAME_BYTES_MAX: usize = 8 << 20;

/// The most bytes of output or input in one frame.
pub const PIECE_BYTES_MAX: usize = 64 << 10;

/// The most pieces of standard input on their way to rank 0. They wait in
/// memory there, so that what is said after them is heard at once.
pub const PIECES_MAX: usize = 8;

/// The most bytes that a shell may print before the greeting.
const NOISE_BYTES_MAX: usize = 64 << 10;

/// What a host is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// To start ranks. The first, and given once.
    Start(Start),
    /// Bytes for rank 0's standard input.
    Input(Vec<u8>),
    /// The end of rank 0's standard input.
    InputEnd,
    /// To end all ranks, those that do not listen after their time of grace.
    End,
    /// To end all ranks at once.
    Kill,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The host, as it was given.
    pub host: String,
    /// The program and its arguments, as bytes.
    pub program: Vec<Vec<u8>>,
    /// The directory to start in.
    pub directory: Vec<u8>,
    /// Variables to set.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// The ranks of this host, in order.
    pub ranks: Vec<u32>,
    /// How many ranks there are.
    pub size: u32,
    /// The host of rank 0's address.
    pub root: String,
    /// Its port. For the host of rank 0 it may be 0, which is any that is free there.
    pub port: u16,
    /// Where the ranks' output goes.
    pub output: Output,
    /// How long ranks have to end, in milliseconds.
    pub grace_ms: u64,
}

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Into this open file; what goes to standard error is inherited.
    Inherited(i32),
    /// Over the channel as it comes; what goes to standard error is inherited.
    Piped,
    /// Over the channel, whole lines with the rank before each.
    Prefixed,
}

/// What a host tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Ranks wrote this to standard output, or standard error.
    Output {
        /// Whether it goes to standard error.
        is_error: bool,
        /// What they wrote.
        bytes: Vec<u8>,
    },
    /// Rank 0 will listen on this port, which is bound.
    Listening(u16),
    /// The ranks run, in process groups of these numbers.
    Started(Vec<u32>),
    /// Rank 0 has read a piece of its standard input, or never will.
    InputTaken,
    /// A rank's process ended.
    Ended {
        /// The rank.
        rank: u32,
        /// How.
        how: Ending,
    },
    /// All ranks have ended, and all that they wrote was told.
    Done,
    /// The ranks could not be started.
    Failed {
        /// The code to exit with.
        code: u8,
        /// What was wrong, and the way out.
        message: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// The exit code that says the same, as shells have it.
    pub fn code(self) -> u8 {
        match self {
            Ending::Code(code) => code as u8,
            Ending::Signal(signal) => 128_u8.wrapping_add(signal as u8),
        }
    }
}

impl From<End> for Ending {
    fn from(end: End) -> Ending {
        match end {
            End::Code(code) => Ending::Code(code),
            End::Signal(signal) => Ending::Signal(signal),
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "ended with exit code {code}"),
            Ending::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Writes the greeting of either end.
pub fn greet(mut to: impl Write) -> io::Result<()> {
    to.write_all(&MAGIC)?;
    to.write_all(&VERSION.to_le_bytes())?;
    to.flush()
}

/// Reads the greeting, and the other end's version.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`]: the other end is gone.
/// [`io::ErrorKind::InvalidData`]: it is something else.
pub fn read_greeting(mut from: impl Read) -> io::Result<u32> {
    let mut last = [0; MAGIC.len()];
    from.read_exact(&mut last)?;
    let mut noise = 0;
    while last != MAGIC {
        last.rotate_left(1);
        from.read_exact(&mut last[MAGIC.len() - 1..])?;
        noise += 1;
        if noise > NOISE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it says something else"));
        }
    }
    let mut version = [0; 4];
    from.read_exact(&mut version)?;
    Ok(u32::from_le_bytes(version))
}

/// Writes the secret.
pub fn write_secret(mut to: impl Write, secret: &Secret) -> io::Result<()> {
    to.write_all(secret.expose())
}

/// Reads the secret.
pub fn read_secret(mut from: impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    from.read_exact(&mut *bytes)?;
    Ok(Secret::from_bytes(*bytes))
}

/// Writes one frame.
pub fn write<T: Serialize>(mut to: impl Write, value: &T) -> io::Result<()> {
    let mut frame = vec![0; 4];
    frame = postcard::to_extend(value, frame).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        let message = format!(
            "the program's arguments and variables have {length} bytes, the most is {FRAME_BYTES_MAX}"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame; `None` at the end.
pub fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(invalid(format!("a frame of {length} bytes, the most is {FRAME_BYTES_MAX}")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_found_behind_what_a_shell_prints() {
        let mut said = b"Welcome to adsum adsum rux!\n".to_vec();
        greet(&mut said).expect("memory takes it");
        write(&mut said, &Order::Kill).expect("memory takes it");
        let mut rest = &said[..];
        assert_eq!(read_greeting(&mut rest).expect("it is there"), VERSION);
        assert_eq!(read::<Order>(&mut rest).expect("a frame"), Some(Order::Kill));
        assert_eq!(read::<Order>(&mut rest).expect("the end"), None);
        let error = read_greeting(&b"command not found\n"[..]).expect_err("no greeting");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = read_greeting(io::repeat(b'x')).expect_err("no greeting");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn frames_are_bounded_in_both_directions() {
        let long = Order::Input(vec![0; FRAME_BYTES_MAX + 1]);
        let error = write(io::sink(), &long).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = read::<Order>(&u32::MAX.to_le_bytes()[..]).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn secrets_arrive_as_they_were() {
        let secret = Secret::from_bytes([7; SECRET_BYTES]);
        let mut pipe = Vec::new();
        write_secret(&mut pipe, &secret).expect("memory takes it");
        assert_eq!(read_secret(&pipe[..]).expect("it is whole"), secret);
    }

    #[test]
    fn endings_are_told_as_shells_do() {
        assert_eq!(Ending::Code(7).code(), 7);
        assert_eq!(Ending::Signal(9).code(), 137);
    }
}
