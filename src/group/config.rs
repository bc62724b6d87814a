//! Limits and times of a group, as values.

use std::time::Duration;

use crate::collective::Tuning;

/// What a group is told about sizes and times. Equal at all ranks, except for the
/// times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a segment, which is one message. A multiple of 16.
    pub segment_bytes: usize,
    /// The most bytes of one call that are under way from one rank to another, until
    /// the receiver has folded or copied them.
    pub window_bytes: u64,
    /// The most bytes that one rank has sent to another in calls of one communicator
    /// that the other has not begun, before it asks first.
    pub ahead_bytes_max: u64,
    /// The most bytes of a message between two ranks that are sent before it is
    /// received there.
    pub eager_bytes: u64,
    /// After this time in one call a rank tells all others what it called.
    pub probe_after: Duration,
    /// How long a call may take where it does not say so itself.
    pub timeout: Option<Duration>,
    /// The most calls under way at once on one rank.
    pub calls_max: usize,
    /// Which schedule a call takes.
    pub tuning: Tuning,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            // With its head it fits into a packet of what one machine's network carries.
            segment_bytes: 63 << 10,
            window_bytes: 4 << 20,
            ahead_bytes_max: 8 << 20,
            eager_bytes: 64 << 10,
            probe_after: Duration::from_millis(500),
            timeout: Some(Duration::from_secs(3600)),
            calls_max: 1 << 16,
            tuning: Tuning::default(),
        }
    }
}
