//! The thread on which one communicator applies functions of the user's.
//!
//! A function may take its time or panic. It runs with no lock held and on no thread of
//! the link, so it keeps nothing waiting but the calls of its own communicator that have
//! functions. The thread is there from the first of these calls on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// What is to be done.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The thread. When it is dropped it does what was asked, and ends.
pub(super) struct Worker {
    jobs: Sender<Job>,
}

impl Worker {
    pub fn start() -> Worker {
        let (jobs, asked) = channel::<Job>();
        let work = move || {
            for job in asked {
                // What a function panics with was caught; this is of what it owned.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        thread::Builder::new()
            .name("adsum-functions".to_owned())
            .spawn(work)
            .expect("the system has no thread left");
        Worker { jobs }
    }

    pub fn run(&self, job: Job) {
        self.jobs.send(job).expect("the thread ends after its worker");
    }
}
