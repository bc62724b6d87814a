//! Limits and times of a group, as values.

use std::time::Duration;

use crate::collective::Tuning;

/// The most bytes of a segment: with its head it fits into a frame.
const SEGMENT_BYTES_MAX: usize = 32 << 20;

/// More than any other size is useful for, and far from overflowing.
const BYTES_MAX: u64 = 1 << 40;

/// What a group is told about sizes and times. Equal at all ranks, except for the
/// times. A size that makes no sense counts as the nearest one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a segment, which is one message. A multiple of 16, up to 32 MiB.
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

impl Config {
    /// The same with sizes that make sense.
    pub(super) fn within_limits(self) -> Config {
        let segment_bytes = (self.segment_bytes / 16 * 16).clamp(16, SEGMENT_BYTES_MAX);
        Config {
            segment_bytes,
            window_bytes: self.window_bytes.clamp(segment_bytes as u64, BYTES_MAX),
            ahead_bytes_max: self.ahead_bytes_max.min(BYTES_MAX),
            eager_bytes: self.eager_bytes.min(BYTES_MAX),
            calls_max: self.calls_max.max(1),
            ..self
        }
    }
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
