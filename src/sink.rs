//! Files that hold results: the counterpart of [`source`](crate::source).
//!
//! A file is whole or it is not there. It grows under a name of its own in the
//! directory where it will be, and takes its place at the end, when its bytes
//! are on the disk. What could forbid that (the target exists, there is no such
//! directory, no right to write in it) is found out before any work is done.
//!
//! [`NewFile`] is any such file, [`NpySink`] one that holds an array. A program
//! that ends in the midst of one, as on Ctrl-C, calls [`remove_unfinished`].

pub mod error;
pub mod new_file;
pub mod npy;
mod unfinished;

pub use error::SinkError;
pub use new_file::NewFile;
pub use npy::NpySink;
pub use unfinished::{Removed, remove_unfinished};
