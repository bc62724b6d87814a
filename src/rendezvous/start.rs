//! From the environment to a communicator.

use std::sync::Arc;

use crate::communicator::{self, Communicator};
use crate::launch::{Given, Launch};
use crate::rendezvous::{Config, MeetError, environment, meet};

impl Communicator {
    /// The communicator of all ranks that this process was started with, by `adsum
    /// run`, mpirun, torchrun, srun or by hand; [`launch`](crate::launch) has the
    /// whole list. Waits until all have come.
    ///
    /// ```no_run
    /// use adsum::communicator::{Communicator, Operator};
    ///
    /// let group = Communicator::from_env()?;
    /// let total = group.all_reduce(&[group.rank() as f64], Operator::Sum)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The variables are missing or contradict each other, or not all ranks came
    /// in time.
    pub fn from_env() -> Result<Communicator, MeetError> {
        let launch = Launch::resolve(&Given::default(), &environment())?;
        Communicator::from_launch(&launch, &Config::default(), communicator::Config::default())
    }

    /// [`Communicator::from_env`] by a place that is known, with limits and times
    /// of its own.
    ///
    /// # Errors
    /// Not all ranks came in time, or they contradict each other.
    pub fn from_launch(
        launch: &Launch,
        meeting: &Config,
        config: communicator::Config,
    ) -> Result<Communicator, MeetError> {
        Ok(Communicator::connect(Arc::new(meet(launch, meeting)?), config))
    }
}
