//! Ranks as threads.

use std::thread;

use adsum::communicator::{Communicator, Config};

pub use crate::limits::tiny;

/// Runs `body` as every rank of a group; the results are in rank order.
pub fn group<T: Send + 'static>(
    size: usize,
    body: impl Fn(Communicator) -> T + Send + Sync + Clone + 'static,
) -> Vec<T> {
    group_with(size, &Config::default(), body)
}

/// The same with limits and times of its own.
pub fn group_with<T: Send + 'static>(
    size: usize,
    config: &Config,
    body: impl Fn(Communicator) -> T + Send + Sync + Clone + 'static,
) -> Vec<T> {
    each(Communicator::local_with(size, config), body)
}

/// Runs `body` as each of the ranks.
pub fn each<T: Send + 'static>(
    ranks: Vec<Communicator>,
    body: impl Fn(Communicator) -> T + Send + Sync + Clone + 'static,
) -> Vec<T> {
    let start = |rank| {
        let body = body.clone();
        thread::spawn(move || body(rank))
    };
    let threads: Vec<_> = ranks.into_iter().map(start).collect();
    threads.into_iter().map(|thread| thread.join().expect("a rank that does not panic")).collect()
}
