//! Measuring the links, so that calls choose their schedules by it.

use std::time::Duration;

use super::{Communicator, GroupError, Operator};
use crate::collective::{Algorithm, Kind, Tuning};
use crate::group::{Call, Counts, Purpose};

/// Barriers of which the fastest counts.
const BARRIERS: usize = 9;

/// Bytes of the array whose way takes long enough to be measured.
const ARRAY_BYTES: usize = 1 << 20;

impl Communicator {
    /// Measures how long a message and how long many bytes take, and has this
    /// communicator choose its schedules by what the slowest rank found. All
    /// ranks call it; it takes about ten rounds and two arrays of 1 MiB.
    ///
    /// Choices change time and never bits.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn calibrate(&self) -> Result<Tuning, GroupError> {
        let clock = || self.kept.shared.clock();
        let mut round = Duration::MAX;
        for _ in 0..BARRIERS {
            let start = clock();
            let barrier =
                self.by(Algorithm::Flat).moving::<u8>(Kind::Barrier, &[], Counts::Whole(0), 0);
            self.start(Call { purpose: Purpose::Calibrate, ..barrier }, drop).wait()?;
            round = round.min(clock() - start);
        }
        let array = vec![0_u8; ARRAY_BYTES];
        let mut way = Duration::MAX;
        for _ in 0..2 {
            let start = clock();
            self.by(Algorithm::Direct).all_reduce(&array, Operator::BitOr)?;
            way = way.min(clock() - start);
        }
        // All must choose alike, so all take the slowest.
        let own = [round, way].map(|time| time.as_nanos() as u64);
        let slowest = self.all_reduce(&own, Operator::Max)?;
        let [round, way] = [slowest[0], slowest[1]].map(Duration::from_nanos);
        let seconds = (way.saturating_sub(2 * round)).as_secs_f64().max(1e-6);
        let tuning = Tuning::measured(2 * round, 2.0 * ARRAY_BYTES as f64 / seconds);
        let context = self.kept.context;
        self.kept.shared.tell(|group, _| group.tune(context, tuning));
        Ok(tuning)
    }
}
