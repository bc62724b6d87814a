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

#[path = "../tests/simulation/ask.rs"]
mod ask;
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

use adsum::engine::Config;
use formula::Job;
use plot::{Axis, Curve, Panel};
use scale::{START, calm};
use world::World;

const NODES: [u64; 8] = [3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

/// As many entries of each node as it takes at once.
const ENTRIES: u64 = 8;

/// Gigabits per second of each node's link.
const LINK_GBIT: u64 = 10;

/// What a node needs for a message that comes alone: half of what one and its
/// answer take in `benches/messages.rs`.
const MESSAGE_US: u64 = 17;

/// What one size gave, without teams or with them.
struct Side {
    messages: u64,
    bytes: u64,
    /// Messages that came to the node to which most came.
    busiest: u64,
    time: Duration,
}

struct Row {
    nodes: u64,
    entries: u64,
    flat: Side,
    teams: Side,
    /// Of this program, for the teams.
    wall: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for nodes in NODES {
        let begin = Instant::now();
        let teams = side(&Job::growing(nodes, ENTRIES, Config::default().fan_in as u64))?;
        let wall = begin.elapsed();
        let flat = side(&Job::growing(nodes, ENTRIES, u64::MAX))?;
        rows.push(Row { nodes, entries: ENTRIES * (nodes - 1), flat, teams, wall });
    }
    println!(
        "| nodes | entries | messages, flat | with teams | to the busiest node, flat | with teams | bytes, flat | with teams | time, flat | with teams | the simulation took |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for Row { nodes, entries, flat, teams, wall } in &rows {
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.1} ms | {:.1} ms | {:.1} s |",
            grouped(*nodes),
            grouped(*entries),
            grouped(flat.messages),
            grouped(teams.messages),
            grouped(flat.busiest),
            grouped(teams.busiest),
            grouped(flat.bytes),
            grouped(teams.bytes),
            1e3 * flat.time.as_secs_f64(),
            1e3 * teams.time.as_secs_f64(),
            wall.as_secs_f64(),
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scale.svg");
    std::fs::write(path, picture(&rows))?;
    Ok(())
}

/// Simulates one job, and checks it against the formula where there is one.
fn side(job: &Job) -> Result<Side, Box<dyn Error>> {
    let world = run(job, None, 0)?;
    let traffic = world.traffic.as_ref().ok_or("nothing was counted")?;
    let team = job.team(&world.job_id(0));
    if team.teams.iter().all(|below| below.teams.is_empty()) {
        let computed: Vec<&[u32]> = world.nodes.iter().map(|node| &node.computed[..]).collect();
        let time = world.asks[0].ended - START;
        if traffic.counts != job.counts(&team, &computed) || time != job.time(&team) {
            return Err(format!("{} nodes: the formula is wrong", job.nodes).into());
        }
    }
    let limited = run(job, Some(LINK_GBIT * 1_000_000_000 / 8), MESSAGE_US)?;
    Ok(Side {
        messages: traffic.counts.values().map(|count| count.messages).sum(),
        bytes: traffic.counts.values().map(|count| count.bytes).sum(),
        busiest: world.nodes.iter().map(|node| node.received).max().unwrap_or(0),
        time: limited.asks[0].ended - START,
    })
}

fn run(job: &Job, bytes_per_second: Option<u64>, message_us: u64) -> Result<World, Box<dyn Error>> {
    let mut world = calm(job, bytes_per_second, message_us);
    world.run_until(START + Duration::from_secs(600));
    match &world.asks[0].result {
        Some(Ok(_)) => Ok(world),
        other => Err(format!("{} nodes: {other:?}", job.nodes).into()),
    }
}

fn picture(rows: &[Row]) -> String {
    let points = |value: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter().map(|row| (row.nodes as f64, value(row))).collect()
    };
    plot::svg(&[
        Panel {
            y: Axis { name: "messages of a job", low: 1.0, high: 1e6 },
            curves: vec![
                Curve {
                    name: "all, with teams",
                    color: "#5b8a3c",
                    points: points(&|row| row.teams.messages as f64),
                },
                Curve {
                    name: "to the busiest node, flat",
                    color: "#b5482a",
                    points: points(&|row| row.flat.busiest as f64),
                },
                Curve {
                    name: "to the busiest node, with teams",
                    color: "#2f6fa8",
                    points: points(&|row| row.teams.busiest as f64),
                },
            ],
        },
        Panel {
            y: Axis { name: "virtual time of a job (ms)", low: 10.0, high: 1e4 },
            curves: vec![
                Curve {
                    name: "flat",
                    color: "#b5482a",
                    points: points(&|row| 1e3 * row.flat.time.as_secs_f64()),
                },
                Curve {
                    name: "with teams",
                    color: "#2f6fa8",
                    points: points(&|row| 1e3 * row.teams.time.as_secs_f64()),
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
