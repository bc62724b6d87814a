//! The time, read once for all that goes on at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands between two ticks: quinn asks for the time in every step of a
/// packet's way, where a few microseconds are no difference.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// Nanoseconds since the start at the last tick; [`RUNS`] while nobody ticks.
    at: AtomicU64,
}

const RUNS: u64 = u64::MAX;

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now(), at: AtomicU64::new(RUNS) }
    }

    /// Reads the time. The clock stands there until the next tick, or until
    /// [`Clock::release`].
    pub(super) fn tick(&self) -> Instant {
        let now = Instant::now();
        // RUNS are centuries.
        let nanos = u64::try_from((now - self.start).as_nanos()).unwrap_or(RUNS);
        self.at.store(nanos, Ordering::Relaxed);
        now
    }

    /// Lets it run: who ticks sleeps, or leaves.
    pub(super) fn release(&self) {
        self.at.store(RUNS, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Instant {
        match self.at.load(Ordering::Relaxed) {
            RUNS => Instant::now(),
            nanos => self.start + Duration::from_nanos(nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_from_a_tick_until_it_is_released() {
        let clock = Clock::new();
        let first = clock.now();
        let tick = clock.tick();
        assert!(first <= tick);
        while Instant::now() == tick {}
        assert_eq!((clock.now(), clock.now()), (tick, tick));
        clock.release();
        assert!(clock.now() > tick);
    }
}
