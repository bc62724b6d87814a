//! Groups of real processes over QUIC, which `adsum run` starts: every call against
//! a model that computes it in one place, and what happens when processes are killed, stop,
//! or panic in any phase of any call.
//!
//! The ranks are this file's own program, which then runs the one test that is a rank.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]

mod oracle;
mod program;

#[path = "groups/bits.rs"]
mod bits;
#[expect(dead_code, reason = "worlds of nodes need more of it")]
#[path = "simulation/chance.rs"]
mod chance;
#[path = "processes/endings.rs"]
mod endings;
#[path = "groups/every.rs"]
mod every;
#[path = "processes/faulty.rs"]
mod faulty;
#[path = "processes/launching.rs"]
mod launching;
#[path = "groups/limits.rs"]
mod limits;
#[allow(dead_code, reason = "threads need more of it")]
#[path = "groups/model.rs"]
mod model;
#[path = "processes/rank.rs"]
mod rank;
#[path = "processes/right.rs"]
mod right;
#[path = "groups/sequence.rs"]
mod sequence;
#[path = "groups/single.rs"]
mod single;
