//! Why there is no inventory.

use std::io;

/// Why a data directory cannot be watched.
///
/// Each message names the directory and the way out.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// No data directory has this path.
    #[error(
        "the data directory '{name}' does not exist; make it, or name the one that holds the arrays with --data DIR"
    )]
    Missing {
        /// The path.
        name: String,
    },
    /// A file where the data directory should be.
    #[error(
        "the data directory '{name}' is not a directory; name the one that holds the arrays with --data DIR"
    )]
    NotDirectory {
        /// The path.
        name: String,
    },
    /// The data directory cannot be listed.
    #[error(
        "the data directory '{name}' could not be read: {source}; give this user the right to list it, or name another with --data DIR"
    )]
    Unreadable {
        /// The path.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The state directory cannot be made, or nothing can be written to it.
    #[error(
        "the state directory '{name}' could not be made or written: {source}; name another, on a disk that this user may write to, with --state DIR"
    )]
    State {
        /// The path.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another inventory has the state directory.
    #[error(
        "the state directory '{name}' is in use by another node; end that one, or give this one a directory of its own with --state DIR"
    )]
    Locked {
        /// The path.
        name: String,
    },
    /// No thread could be started.
    #[error(
        "no thread could be started to watch '{name}': {source}; raise this user's limit of threads, or end other programs"
    )]
    Thread {
        /// The data directory.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}
