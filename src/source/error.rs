//! Why inputs cannot be used.

use std::io;

use crate::dtype::DType;
use crate::manifest::ManifestError;

use super::npy::HeaderError;

/// Why a list of paths, or a stream, is no data set.
///
/// Each message names the file, the value that is wrong and the way out.
/// Nothing has been reduced when one of these comes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No file has this path.
    #[error("'{name}' does not exist; check the path")]
    Missing {
        /// The path.
        name: String,
    },
    /// A directory where a file is needed.
    #[error("'{name}' is a directory; name the files in it, for example '{name}/*.npy'")]
    Directory {
        /// The path.
        name: String,
    },
    /// A pipe, device or socket, which cannot be read in ranges.
    #[error("'{name}' is not a regular file; pipe it into '-'")]
    NotRegular {
        /// The path.
        name: String,
    },
    /// A glob that no file matches.
    #[error(
        "no file matches '{pattern}'; check the path, and quote it if the shell should not expand it"
    )]
    NoMatch {
        /// The glob.
        pattern: String,
    },
    /// Neither the path of a file nor a valid glob.
    #[error(
        "'{pattern}' is no file and no valid glob: {problem}; write [*], [?] or [[] for *, ? or [ itself"
    )]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A path that this system cannot store as bytes.
    #[error("'{name}' is not valid Unicode; rename the file")]
    Path {
        /// The path, with replacements.
        name: String,
    },
    /// The operating system refused or failed.
    #[error("'{name}' could not be read: {source}{}", advice(source))]
    Io {
        /// The path.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// No magic string, and nothing says what else it is.
    #[error("'{name}' is not a .npy file ({start}); for raw binary say --dtype")]
    NotNpy {
        /// The file.
        name: String,
        /// How it starts.
        start: String,
    },
    /// A `.npy` file that is said to be raw binary.
    #[error(
        "'{name}' is a .npy file, which knows its dtype; leave out --dtype, or say by --offset how many bytes of header to skip"
    )]
    NpyAsRaw {
        /// The file.
        name: String,
    },
    /// A header that cannot be used.
    #[error("'{name}' {source}")]
    Header {
        /// The file.
        name: String,
        /// What is wrong with its header.
        source: HeaderError,
    },
    /// A shape of more elements than can be counted, or more bytes than a file
    /// can have.
    #[error(
        "'{name}' claims the shape {shape:?} of {dtype}, which is past 64 bits; its header is broken or the shape is mistyped"
    )]
    Overflow {
        /// The file.
        name: String,
        /// The shape it claims.
        shape: Vec<u64>,
        /// The element type it claims.
        dtype: DType,
    },
    /// Fewer elements than the shape promises.
    #[error(
        "'{name}' is cut off: its shape {shape:?} of {dtype} takes {expected_bytes} bytes, there are {got_bytes}; copy or save it again"
    )]
    Truncated {
        /// The file.
        name: String,
        /// The shape it claims.
        shape: Vec<u64>,
        /// The element type it claims.
        dtype: DType,
        /// Bytes of such an array.
        expected_bytes: u64,
        /// Bytes that there are.
        got_bytes: u64,
    },
    /// A shape that raw data does not have.
    #[error(
        "'{name}' has {got_bytes} bytes of data, the shape {shape:?} of {dtype} takes {expected_bytes}; correct --shape, or leave it out to take all"
    )]
    Shape {
        /// The file.
        name: String,
        /// The shape given.
        shape: Vec<u64>,
        /// The element type given.
        dtype: DType,
        /// Bytes of such an array.
        expected_bytes: u64,
        /// Bytes that there are, or that came up to where the error was clear.
        got_bytes: u64,
    },
    /// Data that begins after its file ends.
    #[error("'{name}' has {size_bytes} bytes, no data can start at --offset {offset_bytes}")]
    Offset {
        /// The file.
        name: String,
        /// Where the data should start.
        offset_bytes: u64,
        /// Bytes that there are.
        size_bytes: u64,
    },
    /// Raw data that ends inside an element.
    #[error(
        "'{name}' has {bytes} bytes of data, which is no multiple of the {} bytes of {dtype}; check --dtype and --offset",
        dtype.size_bytes()
    )]
    Remainder {
        /// The file.
        name: String,
        /// Bytes that there are.
        bytes: u64,
        /// The element type given.
        dtype: DType,
    },
    /// A file that has data and says it has none, as those of `/proc` do.
    #[error("'{name}' has data but gives its size as 0 bytes; pipe it into '-'")]
    Unsized {
        /// The file.
        name: String,
    },
    /// A stream that ends before it starts.
    #[error("'{name}' is empty; nothing was piped into it")]
    Empty {
        /// The stream.
        name: String,
    },
    /// Files that make no data set together, or too large a one.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl SourceError {
    /// Whether the command was wrong and not the data: the same files can be
    /// used if they are named or described in another way.
    pub fn is_usage(&self) -> bool {
        match self {
            SourceError::Glob { .. }
            | SourceError::NpyAsRaw { .. }
            | SourceError::Offset { .. }
            | SourceError::Shape { .. } => true,
            SourceError::Missing { .. }
            | SourceError::Directory { .. }
            | SourceError::NotRegular { .. }
            | SourceError::NoMatch { .. }
            | SourceError::NotNpy { .. }
            | SourceError::Path { .. }
            | SourceError::Io { .. }
            | SourceError::Header { .. }
            | SourceError::Overflow { .. }
            | SourceError::Truncated { .. }
            | SourceError::Remainder { .. }
            | SourceError::Unsized { .. }
            | SourceError::Empty { .. }
            | SourceError::Manifest(_) => false,
        }
    }

    /// The error of a system call on the file `name`.
    pub(super) fn io(name: &str, source: io::Error) -> SourceError {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::Missing { name },
            io::ErrorKind::IsADirectory => SourceError::Directory { name },
            _ => SourceError::Io { name, source },
        }
    }

    /// A file that starts with `start` where a `.npy` file is needed.
    pub(super) fn not_npy(name: &str, start: &[u8]) -> SourceError {
        let start = match start.is_empty() {
            true => "it is empty".to_owned(),
            false => format!("starts with \"{}\"", start.escape_ascii()),
        };
        SourceError::NotNpy { name: name.to_owned(), start }
    }

    /// A header that cannot be used.
    pub(super) fn header(name: &str, source: HeaderError) -> SourceError {
        SourceError::Header { name: name.to_owned(), source }
    }
}

/// The way out of a system error, where there is one to name.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; give its user or group the right to read it",
        _ => "",
    }
}
