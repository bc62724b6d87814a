//! What can be wrong with what comes into the catalogue, or is asked of it.

use crate::dtype::DType;

/// Why the catalogue does not take something in, or has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// No name that a file can have in a cluster.
    #[error("'{name}' cannot be a name in the catalogue: {problem}; rename the file")]
    Name {
        /// The name, its start if it is long.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More of something than there may be.
    #[error("{what}: {got}, the most is {max}; {advice}")]
    Limit {
        /// What there is too much of.
        what: String,
        /// How much.
        got: usize,
        /// The most there may be.
        max: usize,
        /// The way out.
        advice: &'static str,
    },
    /// A name that stands for other contents.
    #[error(
        "'{name}' stands for other contents already: {known}, not {offered}; choose another name, or delete its files and forget it with 'adsum rm'"
    )]
    Taken {
        /// The name.
        name: String,
        /// What is known under it, and where.
        known: String,
        /// What it was to stand for as well.
        offered: String,
    },
    /// One node has two files of one name.
    #[error("'{name}' is offered twice by one node; offer each name once")]
    Twice {
        /// The name.
        name: String,
    },
    /// More bytes than 64 bits count. No storage holds that many: a shape lies.
    #[error(
        "'{name}' has the shape {shape:?} of {dtype}, which is more than 2^64 - 1 bytes; check the header of its file"
    )]
    TooLarge {
        /// The name.
        name: String,
        /// The shape it claims.
        shape: Vec<u64>,
        /// The element type it claims.
        dtype: DType,
    },
    /// An array that its file cannot hold.
    #[error(
        "'{name}' has {size_bytes} bytes, its shape {shape:?} of {dtype} needs {needed_bytes}; check whether its file is complete"
    )]
    Extent {
        /// The name.
        name: String,
        /// The shape it claims.
        shape: Vec<u64>,
        /// The element type it claims.
        dtype: DType,
        /// Bytes of such an array.
        needed_bytes: u64,
        /// The length of its file in bytes.
        size_bytes: u64,
    },
    /// A memory that no node can have come to.
    #[error(
        "what is remembered of '{name}' is {problem}; the memory is damaged: delete it where it is stored, and it comes back from other nodes"
    )]
    Memory {
        /// The name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A pattern that is no glob.
    #[error("'{pattern}' is neither a name in the cluster nor a pattern: {problem}; {SEE_NAMES}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A pattern for which there is nothing.
    #[error("'{pattern}' matches nothing that the cluster knows{}; {SEE_NAMES}", removed_remark(*removed))]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// Names that match and have been removed.
        removed: usize,
    },
    /// A name that was never seen.
    #[error("nothing is known of '{name}'{}; {SEE_NAMES}", glob_remark(name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name whose contents have all been removed.
    #[error("'{name}' has been removed already; {SEE_NAMES}")]
    Removed {
        /// The name.
        name: String,
    },
    /// A name that cannot be removed while its files are there.
    #[error("'{name}' is held by {holders}; delete the files there first")]
    Held {
        /// The name.
        name: String,
        /// The nodes that hold it.
        holders: String,
    },
}

/// The way out where a name is not known.
const SEE_NAMES: &str = "see the names with 'adsum ls --via HOST'";

/// Names are given one by one where something is lost by a mistake.
fn glob_remark(name: &str) -> &'static str {
    match name.contains(['*', '?', '[']) {
        true => ", and globs stand for nothing here",
        false => "",
    }
}

fn removed_remark(removed: usize) -> String {
    match removed {
        0 => String::new(),
        1 => " (1 name it matches has been removed)".to_owned(),
        count => format!(" ({count} names it matches have been removed)"),
    }
}
