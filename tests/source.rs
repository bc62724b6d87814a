//! Files and streams as sources: every way in which they go right or wrong.
#![cfg(feature = "files")]
#![expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]

#[path = "source/change.rs"]
mod change;
#[path = "source/files.rs"]
mod files;
#[path = "source/fixture.rs"]
mod fixture;
#[path = "source/masked.rs"]
mod masked;
#[path = "source/recorded.rs"]
mod recorded;
#[path = "source/shaped.rs"]
mod shaped;
#[path = "source/stream.rs"]
mod stream;
#[path = "source/verified.rs"]
mod verified;
