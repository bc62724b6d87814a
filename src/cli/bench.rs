//! `adsum bench`: what this machine does, beside what it could do.
//!
//! Every row is measured in rounds, each of them the reduction, the naive way
//! and a plain read one right after the other, so that what else the machine
//! does meanwhile meets all three. Figures are medians, ratios those of single
//! rounds. Every answer is compared with the slow reference.

use std::time::Instant;

use super::args::{BenchCommand, BenchOutputArgs};
use super::exit::Failure;

mod cpu;
mod data;
mod files;
#[cfg(feature = "gpu")]
mod gpu;
mod naive;
mod picture;
mod rows;
mod tiles;

use rows::Rows;

/// Measures what was asked for.
pub fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Cpu(args) => cpu::run(args),
        BenchCommand::Files(args) => files::run(args),
        #[cfg(feature = "gpu")]
        BenchCommand::Gpu(args) => gpu::run(args),
        #[cfg(not(feature = "gpu"))]
        BenchCommand::Gpu(_) => Err(Failure::new(
            super::exit::Blame::Usage,
            "this adsum was built without the 'gpu' feature",
        )),
    }
}

/// Seconds that some work takes, and what it gives.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

/// The middle one of some numbers, of which there is one at least.
fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Whether a row is wanted: all words are parts of its name.
fn is_wanted(output: &BenchOutputArgs, name: &str) -> bool {
    output.filter.iter().all(|word| name.contains(word.as_str()))
}
