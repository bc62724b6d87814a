//! The tile queue over data in memory, as a node uses it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::backend::Backend;
use crate::cli::exit::{Blame, Failure};
use crate::compute::{Compute, Notice, Task, TaskKey};
use crate::manifest::JobId;
use crate::op::Spec;
use crate::partial::Partial;
use crate::shard::Shard;
use crate::site::Site;

/// Processors at work on one queue.
pub struct Tiles {
    compute: Compute,
    notices: Receiver<Notice>,
}

impl Tiles {
    /// Starts them; the queue holds so many shards.
    pub fn start(backends: Vec<Box<dyn Backend>>, shards: usize) -> Result<Tiles, Failure> {
        let (sender, notices) = channel();
        let compute = Compute::start(backends, shards, move |notice| {
            // The receiver goes only when the queue does.
            let _ = sender.send(notice);
        });
        let compute = compute.map_err(|error| Failure::new(Blame::Internal, error))?;
        Ok(Tiles { compute, notices })
    }

    /// Reduces shards that follow one another.
    pub fn reduce(&self, spec: &Spec, shards: &[Arc<dyn Shard>]) -> Result<Partial, Failure> {
        let mut first = 0;
        for (position, shard) in (0..).zip(shards) {
            let key = TaskKey { job: JobId([0; 32]), position };
            let site = Site::line(shard.elements(), first);
            first += shard.elements();
            let task = Task { key, spec: spec.clone(), shard: Arc::clone(shard), site };
            self.compute.submit(task).expect("the queue holds all shards");
        }
        let mut total = Partial::identity(spec, 1);
        for _ in shards {
            let notice = self.notices.recv();
            match notice.map_err(|_| Failure::new(Blame::Internal, "the tile queue ended"))? {
                Notice::Completed(done) => {
                    let partial =
                        done.outcome.map_err(|error| Failure::new(Blame::Internal, error))?;
                    total.merge(&partial).expect("one spec, and fewer than 2^64 elements");
                }
                Notice::DeviceDropped(message) => {
                    return Err(Failure::new(Blame::Device, message));
                }
            }
        }
        Ok(total)
    }
}
