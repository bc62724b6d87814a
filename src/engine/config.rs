//! The engine's policy, as values.

use std::time::Duration;

/// The least [`Config::fan_in`]: one deputy alone would have all others behind it.
pub const FAN_IN_MIN: usize = 2;

/// How patient and how greedy an engine is. The defaults suit a LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Entries that each worker of this node takes at once, from all
    /// collectors together: 2, one to reduce and one to have when that is
    /// done, which hides a round trip shorter than an entry takes.
    pub outstanding_per_worker: usize,
    /// An entry is never late sooner than this: 500 ms, far above the jitter
    /// of a LAN and of a process that is busy elsewhere.
    pub straggler_min: Duration,
    /// An entry is late when it takes this many times as long as its node, by
    /// its lately measured rate, takes for all entries that it has at once: 3.
    pub straggler_factor: u32,
    /// The rate of a node as long as nothing was measured in a job, in bytes
    /// per second: 10^8, a hard disk.
    pub rate_assumed: u64,
    /// How long a job waits for a node that holds an entry when no connected
    /// one does: 10 s, enough to start a node again. Zero where all nodes are
    /// there from the start and none returns.
    pub holder_grace: Duration,
    /// The most nodes that a collector speaks to itself before it makes teams of
    /// them: 32, below which a job of many entries takes no longer without. Never
    /// below [`FAN_IN_MIN`].
    pub fan_in: usize,
    /// How long a deputy keeps what it has merged: 200 ms. It reports sooner when
    /// its team will soon need more to do, and when all is done.
    pub report_every: Duration,
    /// The most results sent in one message: 64, fewer if they are large. Above
    /// [`RESULTS_MAX`](crate::wire::RESULTS_MAX) that limit counts.
    pub results_per_message: usize,
    /// The most jobs that this node collects, and the most that it works on: 64 each.
    pub jobs_max: usize,
    /// The most entries of all jobs that this node collects, and of all that it
    /// works on: 2^21 each, some 200 MB.
    pub entries_max: usize,
    /// The most requests for the jobs that this node collects: 1024.
    pub requests_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            outstanding_per_worker: 2,
            straggler_min: Duration::from_millis(500),
            straggler_factor: 3,
            rate_assumed: 100_000_000,
            holder_grace: Duration::from_secs(10),
            fan_in: 32,
            report_every: Duration::from_millis(200),
            results_per_message: 64,
            jobs_max: 64,
            entries_max: 1 << 21,
            requests_max: 1024,
        }
    }
}
