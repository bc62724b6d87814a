//! What an all-reduce of float32 costs, by size: `benches/collective/run` sets other
//! libraries beside it.
//!
//! ```sh
//! adsum run -n 4 -- target/release/examples/all_reduce [BYTES ..]
//! ```
//!
//! Each line is a size in bytes, the median time of a call in microseconds (of a call, the
//! slowest rank's), bytes over time (algbw), the bytes that a ring would send in
//! that time (busbw), and how many elements were wrong.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adsum::communicator::{Communicator, Operator};

/// From 8 bytes to 64 MiB.
const SIZES: [usize; 9] = [8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20];
/// Each size is measured for so long, but no more often than this.
const LEAST: Duration = Duration::from_millis(400);
const CALLS_MAX: usize = 2000;
/// The first calls find buffers and routes cold, and do not count.
const COLD: usize = 3;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let group = Communicator::from_env()?;
    let (rank, size) = (group.rank(), group.size());
    if rank == 0 {
        println!("bytes us algbw_gb_per_s busbw_gb_per_s wrong");
    }
    let sizes = std::env::args().skip(1).map(|size| size.parse()).collect::<Result<Vec<_>, _>>()?;
    for bytes in if sizes.is_empty() { SIZES.to_vec() } else { sizes } {
        let count = bytes / size_of::<f32>();
        let value = |rank: usize, index: usize| ((index * 7 + rank * 13) % 1000) as f32;
        let own: Vec<f32> = (0..count).map(|index| value(rank, index)).collect();
        let right: Vec<f32> =
            (0..count).map(|index| (0..size).map(|rank| value(rank, index)).sum()).collect();
        let mut data = own.clone();
        let (mut times, mut wrong) = (Vec::new(), 0_usize);
        let begun = Instant::now();
        // All ranks stop at the same call.
        loop {
            data.copy_from_slice(&own);
            group.barrier()?;
            let start = Instant::now();
            group.all_reduce_in_place(&mut data, Operator::Sum)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
            wrong += data.iter().zip(&right).filter(|(a, b)| a != b).count();
            let enough =
                times.len() >= 2 * COLD && (begun.elapsed() > LEAST || times.len() >= CALLS_MAX);
            if group.broadcast(&[u8::from(enough)], 0)? == [1] {
                break;
            }
        }
        let mut slowest = group.all_reduce(&times[COLD..], Operator::Max)?;
        let wrong = group.all_reduce(&[wrong as u64], Operator::Sum)?[0];
        slowest.sort_by(f64::total_cmp);
        if rank == 0 {
            let us = slowest[slowest.len() / 2];
            let rate = bytes as f64 / us / 1e3;
            let bus = rate * 2.0 * (size as f64 - 1.0) / size as f64;
            println!("{bytes} {us:.1} {rate:.3} {bus:.3} {wrong}");
        }
    }
    Ok(())
}
