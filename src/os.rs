//! Every call to the operating system that the standard library does not make
//! for us, with arms for Linux, macOS and Windows.
//!
//! * `file`: opening without hanging, positional reads and writes, identities, and
//!   paths as bytes.
//! * `mapping`: a range of a file as memory, safe to read while the file
//!   shrinks. Linux and macOS have it; elsewhere nothing is mapped, and callers
//!   read instead.
//! * `memory`: advice on it.
//! * `environment`: variables that libraries look at.
//! * `process`: processes in groups that are not left behind. Linux and macOS.
//! * `socket`: one that this process was started with.
//! * `signals`: what ends the program, and what `nohup` keeps from that.
//! * `watch`: a sleep that ends when a socket can be read, or somebody wakes it.

#[cfg(feature = "cli")]
mod environment;
#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod file;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod file_system;
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod guard;
#[cfg_attr(not(any(target_os = "linux", target_vendor = "apple")), path = "os/no_mapping.rs")]
mod mapping;
#[cfg(feature = "cli")]
mod memory;
#[cfg(all(unix, feature = "cli", feature = "net"))]
pub mod process;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "net")]
mod socket;
#[cfg(feature = "net")]
pub mod watch;

#[cfg(feature = "cli")]
pub use environment::quiet_graphics_drivers;
#[cfg(feature = "net")]
pub use file::{end_at_once, free_bytes, is_private, make_output_private};
pub use file::{identity, open_regular, path_bytes, path_from_bytes, read_at, write_all_at};
pub use mapping::Mapping;
#[cfg(feature = "cli")]
pub use memory::advise_large_pages;
#[cfg(feature = "cli")]
pub use signals::on_end;
#[cfg(feature = "net")]
pub use socket::take_udp;
