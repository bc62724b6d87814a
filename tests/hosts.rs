//! Nodes on hosts of their own: real processes in network namespaces, each with its
//! own address, whose nodes, cables and files fail.
//!
//! What holds in every test: an answer has the bits of the right one, or there is
//! an error that says why, in time. The right one is made of integers.
//!
//! It takes root and `ip` of iproute2 on Linux. Elsewhere each test says that it is
//! skipped, and fails instead where `CI` or `ADSUM_NEED_HOSTS` is set.
//! `ADSUM_SOAK_SECONDS` sets for how long faults come by chance.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured, for people")]

mod program;

#[path = "hosts/asking.rs"]
mod asking;
#[path = "hosts/chance.rs"]
mod chance;
#[path = "hosts/cluster.rs"]
mod cluster;
#[path = "hosts/disk.rs"]
mod disk;
#[path = "hosts/files.rs"]
mod files;
#[path = "hosts/flipped.rs"]
mod flipped;
#[path = "hosts/forming.rs"]
mod forming;
#[path = "hosts/killed.rs"]
mod killed;
#[path = "hosts/lan.rs"]
mod lan;
#[path = "hosts/leaving.rs"]
mod leaving;
#[path = "hosts/numbers.rs"]
mod numbers;
#[path = "hosts/process.rs"]
mod process;
#[path = "hosts/ranks.rs"]
mod ranks;
#[path = "hosts/silent.rs"]
mod silent;
#[path = "hosts/soak.rs"]
mod soak;
#[path = "hosts/strangers.rs"]
mod strangers;
