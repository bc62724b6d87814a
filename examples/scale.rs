//! What a job costs in clusters of 3 to 10,000 nodes, simulated: a table for
//! `docs/protocol.md` on standard output, and `docs/scale.svg`.
//!
//! ```sh
//! cargo run --no-default-features --example scale
//! ```
//!
//! The engines are real, network and clock are not: whole clusters run in one
//! thread, in virtual time, as in `tests/simulation.rs`. It takes a minute.

#![allow(dead_code, missing_docs, clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

#[path = "../tests/simulation/chance.rs"]
mod chance;
#[path = "../tests/simulation/check.rs"]
mod check;
#[path = "../tests/simulation/data.rs"]
mod data;
#[path = "../tests/simulation/event.rs"]
mod event;
#[path = "../tests/simulation/fault.rs"]
mod fault;
#[path = "../tests/simulation/formula.rs"]
mod formula;
#[path = "scale/plot.rs"]
mod plot;
#[path = "../tests/simulation/scale.rs"]
mod scale;
#[path = "../tests/simulation/stats.rs"]
mod stats;
#[path = "../tests/simulation/traffic.rs"]
mod traffic;
#[path = "../tests/simulation/weather.rs"]
mod weather;
#[path = "../tests/simulation/world.rs"]
mod world;

use formula::Job;
use plot::{Axis, Curve, Panel};
use scale::{START, calm};

const NODES: [u64; 8] = [3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

/// Gigabits per second of each node's link, where it has a limit.
const LINK_GBIT: u64 = 10;

fn job(nodes: u64) -> Job {
    Job::growing(nodes, 64)
}

/// What one size gave.
struct Row {
    nodes: u64,
    entries: u64,
    messages: u64,
    /// All bytes, and those of offers.
    bytes: u64,
    offer_bytes: u64,
    /// Of the job, where links have no limit and where they have.
    time: Duration,
    time_limited: Duration,
    /// Of this program, for the first of these.
    wall: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for nodes in NODES {
        rows.push(row(nodes)?);
    }
    println!(
        "| nodes | entries | messages | bytes | of these offers | time | time, links of {LINK_GBIT} Gbit/s | the simulation took |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in &rows {
        println!(
            "| {} | {} | {} | {} | {:.0} % | {:.1} ms | {:.1} ms | {:.1} s |",
            grouped(row.nodes),
            grouped(row.entries),
            grouped(row.messages),
            grouped(row.bytes),
            100.0 * row.offer_bytes as f64 / row.bytes as f64,
            1e3 * row.time.as_secs_f64(),
            1e3 * row.time_limited.as_secs_f64(),
            row.wall.as_secs_f64(),
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scale.svg");
    std::fs::write(path, picture(&rows))?;
    Ok(())
}

/// Simulates one size, and checks it against the formula.
fn row(nodes: u64) -> Result<Row, Box<dyn Error>> {
    let job = job(nodes);
    let begin = Instant::now();
    let (time, counts) = run(&job, None)?;
    let wall = begin.elapsed();
    if counts != job.counts(&[]) || time != job.time() {
        return Err(format!("{nodes} nodes: the formula is wrong").into());
    }
    let (time_limited, _) = run(&job, Some(LINK_GBIT * 1_000_000_000 / 8))?;
    Ok(Row {
        nodes,
        entries: job.entries,
        messages: counts.values().map(|count| count.messages).sum(),
        bytes: counts.values().map(|count| count.bytes).sum(),
        offer_bytes: counts["Offer"].bytes,
        time,
        time_limited,
        wall,
    })
}

fn run(
    job: &Job,
    bytes_per_second: Option<u64>,
) -> Result<(Duration, traffic::Counts), Box<dyn Error>> {
    let mut world = calm(job, bytes_per_second);
    world.run_until(START + Duration::from_secs(600));
    let ask = &world.asks[0];
    match &ask.result {
        Some(Ok(_)) => {}
        other => return Err(format!("{} nodes: {other:?}", job.nodes).into()),
    }
    let counts = world.traffic.take().map(|traffic| traffic.counts).unwrap_or_default();
    Ok((ask.ended - START, counts))
}

fn picture(rows: &[Row]) -> String {
    let points = |value: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter().map(|row| (row.nodes as f64, value(row))).collect()
    };
    let limited = format!("each node's link sends {LINK_GBIT} Gbit/s");
    plot::svg(&[
        Panel {
            y: Axis { name: "messages per job", low: 10.0, high: 1e6 },
            curves: vec![Curve {
                name: "simulated, equal to the formula",
                color: "#2f6fa8",
                points: points(&|row| row.messages as f64),
            }],
        },
        Panel {
            y: Axis { name: "virtual time of a job (ms)", low: 10.0, high: 1e4 },
            curves: vec![
                Curve {
                    name: &limited,
                    color: "#b5482a",
                    points: points(&|row| 1e3 * row.time_limited.as_secs_f64()),
                },
                Curve {
                    name: "links without limit",
                    color: "#2f6fa8",
                    points: points(&|row| 1e3 * row.time.as_secs_f64()),
                },
            ],
        },
    ])
}

/// A number with a space before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
