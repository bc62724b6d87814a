//! What is due when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use std::time::Instant;

/// The time that is left to others after a piece of work, in multiples of the
/// time that it took.
const REST: u32 = 20;

/// How often work may be done that must not take more than a 20th of the time.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    ended: Instant,
}

impl Pace {
    /// Nothing has been done yet, and it may be done at once.
    pub fn new() -> Pace {
        let now = Instant::now();
        Pace { started: now, ended: now }
    }

    pub fn begin(&mut self) {
        self.started = Instant::now();
    }

    /// Does something in the midst of the work that does not count as time it
    /// took.
    pub fn except<T>(&mut self, other: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = other();
        self.started += begun.elapsed();
        result
    }

    pub fn end(&mut self) {
        self.ended = Instant::now();
    }

    /// Time until the work may be done again if it is to be done `every` so
    /// often.
    pub fn left(&self, every: Duration) -> Duration {
        let rest = self.ended.saturating_duration_since(self.started).saturating_mul(REST);
        every.max(rest).saturating_sub(self.ended.elapsed())
    }

    pub fn is_due(&self, every: Duration) -> bool {
        self.left(every).is_zero()
    }
}

/// When a file that was last modified at `modified_ns` has not been touched for
/// `settle`. A time to come says nothing, so it counts as now.
pub fn settles(modified_ns: i128, settle: Duration) -> Instant {
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age_ns = i128::try_from(epoch.as_nanos()).unwrap_or(i128::MAX) - modified_ns;
    let age = Duration::from_nanos(u64::try_from(age_ns.max(0)).unwrap_or(u64::MAX));
    Instant::now() + settle.saturating_sub(age)
}

/// Whether `time` has come.
pub fn has_come(time: Instant) -> bool {
    until(time).is_zero()
}

/// How long it is until `time`.
pub fn until(time: Instant) -> Duration {
    time.saturating_duration_since(Instant::now())
}
