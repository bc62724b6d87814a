//! Requests in a world.

use std::time::Duration;

use adsum::engine::{Holders, JobError, Outcome, RequestId};

use crate::world::Place;

/// Somebody who wants the sum of a data set.
pub struct Ask {
    pub data: usize,
    pub holders: Holders,
    pub deadline: Option<Duration>,
    /// The node that was asked.
    pub at: Place,
    pub id: RequestId,
    pub cancelled: bool,
    pub result: Option<Result<Outcome, JobError>>,
    /// When that came.
    pub ended: Duration,
    /// Whether its node knows of it.
    pub running: bool,
    pub progress: usize,
}
