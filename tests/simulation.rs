//! Whole clusters in one thread, from a seed, in virtual time.
//!
//! A seed makes a scenario: nodes, data, who holds what, who asks whom, and a
//! list of faults. Then two things are checked.
//!
//! * **Safety**: every result is the oracle's, bit for bit, with every entry
//!   in it once; every error has a reason; every request ends once.
//! * **Liveness**: once the faults cease, every request ends within a bound of
//!   virtual time, and after that no node works on anything.
//!
//! A seed that fails prints the line that replays it. `ADSUM_SEEDS` sets how
//! many seeds run, `ADSUM_SEED` picks one and tells its story.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use adsum::DType;
use adsum::engine::{Config, Holders};

#[path = "simulation/ask.rs"]
mod ask;
#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/data.rs"]
mod data;
#[path = "simulation/event.rs"]
mod event;
#[path = "simulation/fault.rs"]
mod fault;
#[path = "simulation/formula.rs"]
mod formula;
#[path = "simulation/large.rs"]
mod large;
#[path = "simulation/scale.rs"]
mod scale;
#[path = "simulation/stats.rs"]
mod stats;
#[path = "simulation/traffic.rs"]
mod traffic;
#[path = "simulation/weather.rs"]
mod weather;
#[path = "simulation/world.rs"]
mod world;

use chance::Chance;
use data::Data;
use event::Event;
use fault::Fault;
use stats::Stats;
use weather::{Flaw, Weather};
use world::{Place, World};

const SEEDS: u64 = 20_000;

/// Faults strike before this.
const FAULTS_END: Duration = Duration::from_secs(3);

/// How long after the faults ceased the last request may end: the longest
/// grace, and the slowest entries, which take two seconds each.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn every_seed_is_safe_and_ends() {
    if let Some(seed) = variable("ADSUM_SEED") {
        simulate(seed, true);
        return;
    }
    let mut all = Stats::default();
    for seed in 0..variable("ADSUM_SEEDS").unwrap_or(SEEDS) {
        match catch_unwind(AssertUnwindSafe(|| simulate(seed, false))) {
            Ok(stats) => all += stats,
            Err(panic) => {
                say(&format!(
                    "seed {seed} failed; replay it with\n\
                     ADSUM_SEED={seed} cargo test --no-default-features --test simulation \
                     every_seed -- --nocapture"
                ));
                resume_unwind(panic);
            }
        }
    }
    say(&format!("{all:#?}"));
    assert!(all.has_everything(), "a fault that never happens tests nothing: {all:#?}");
}

fn simulate(seed: u64, loud: bool) -> Stats {
    let mut world = scenario(seed);
    world.loud = loud;
    world.run_until(FAULTS_END);
    heal(&mut world);
    world.run_until(FAULTS_END + PATIENCE);
    // With all nodes gone for good there is nobody left to ask.
    if (0..world.nodes.len()).any(|place| world.is_up(place)) {
        for (index, ask) in world.asks.iter().enumerate() {
            assert!(ask.result.is_some(), "request {index} never ended");
        }
    }
    assert!(world.is_quiet(), "a node works for nobody");
    world.stats
}

/// Everything that a seed decides before the world begins.
fn scenario(seed: u64) -> World {
    let mut chance = Chance::new(seed);
    let nodes = chance.number(1..=8) as usize;
    let mut workers: Vec<usize> = (0..nodes).map(|_| chance.pick(&[0, 1, 1, 2, 3])).collect();
    if chance.per_mille(950) {
        workers[0] = workers[0].max(1);
    }
    let config = Config {
        outstanding_per_worker: chance.number(1..=3) as usize,
        straggler_min: chance.millis(20..=500),
        holder_grace: chance.pick(&[0, 2, 10, 10]) * Duration::from_secs(1),
        results_per_message: chance.number(1..=4) as usize,
        fan_in: chance.pick(&[2, 2, 3, 32]),
        report_every: chance.millis(1..=200),
        jobs_max: chance.pick(&[1, 2, 64, 64]),
        ..Config::default()
    };
    let mut world = World::new(chance.clone(), config, &workers);
    let rough = chance.per_mille(700);
    if rough {
        world.weather = Weather {
            delay_us: (50, chance.pick(&[100, 5_000, 100_000])),
            repeated: chance.pick(&[0, 0, 20, 200]),
            ghosts: chance.pick(&[0, 0, 20, 200]),
            rogues: chance.per_mille(150),
            ..Weather::CALM
        };
    }
    for a in 0..nodes {
        for b in 0..a {
            let when = if rough { chance.millis(0..=300) } else { Duration::ZERO };
            world.schedule(when, Event::Fault(Fault::Dial { a, b }));
        }
    }
    for _ in 0..chance.number(1..=3) {
        let dtype = chance.pick(&[DType::F64, DType::F32, DType::I64]);
        let files = chance.number(1..=5) as usize;
        let data = Data::random(&mut chance, dtype, files, 20);
        let index = world.add_data(data);
        if chance.per_mille(200) {
            add_flaws(&mut world, &mut chance, index);
        }
    }
    let mut asked = Vec::new();
    for _ in 0..chance.number(1..=4) {
        let data = chance.index(world.data.len());
        let files = world.data[data].manifest.files().len();
        let holders = if chance.per_mille(500) {
            Holders::Everyone
        } else {
            let replicas = chance.number(1..=3);
            let file = |_| (0..replicas).map(|_| world.nodes[chance.index(nodes)].id).collect();
            Holders::PerFile((0..files).map(file).collect())
        };
        let deadline = chance.per_mille(120).then(|| chance.millis(1..=3000));
        let when = chance.millis(0..=1000);
        let ask = world.ask(when, chance.index(nodes), data, holders, deadline);
        asked.push(when);
        if chance.per_mille(80) {
            let when = when + chance.millis(0..=500);
            world.schedule(when, Event::Fault(Fault::Cancel { ask }));
        }
    }
    if rough {
        for _ in 0..chance.number(0..=12) {
            // Jobs take some ten milliseconds, so most faults strike near one.
            let when = match chance.index(3) {
                0 => chance.micros(0..=FAULTS_END.as_micros() as u64),
                _ => chance.pick(&asked) + chance.millis(0..=50),
            };
            let fault = random_fault(&world, &mut chance, when);
            world.schedule(when, Event::Fault(fault));
        }
    }
    world
}

fn random_fault(world: &World, chance: &mut Chance, when: Duration) -> Fault {
    let nodes = world.nodes.len();
    let (a, b): (Place, Place) = (chance.index(nodes), chance.index(nodes));
    let later = chance.micros(0..=(FAULTS_END - when).as_micros() as u64);
    match chance.index(if world.weather.rogues { 9 } else { 6 }) {
        0 | 1 => Fault::Cut { a, b, dial_after: later },
        2 => Fault::Dial { a, b },
        3 => {
            let dies = chance.per_mille(150);
            Fault::Crash { place: a, start_after: (!dies).then_some(later) }
        }
        4 | 5 => Fault::Slow { place: a, slowness: chance.pick(&[10, 100, 1000]) },
        _ => Fault::Rogue { from: a, to: b },
    }
}

/// Some nodes cannot reduce some entries; now and then none can.
fn add_flaws(world: &mut World, chance: &mut Chance, data: usize) {
    let entries = world.data[data].manifest.entries().len();
    let everywhere = chance.per_mille(200);
    for _ in 0..chance.number(1..=3).min(entries as u64) {
        let position = chance.index(entries) as u32;
        let flaw = chance.pick(&[Flaw::Unreadable, Flaw::Short, Flaw::Misplaced, Flaw::Foreign]);
        for node in &mut world.nodes {
            if everywhere || chance.per_mille(300) {
                node.flaws.insert((data, position), flaw);
            }
        }
    }
}

/// The faults cease: all who are not gone for good are up, connected and well.
fn heal(world: &mut World) {
    world.weather = Weather { rogues: world.weather.rogues, ..Weather::CALM };
    for place in 0..world.nodes.len() {
        world.nodes[place].slowness = 1;
        if !world.nodes[place].doomed {
            world.start(place);
        }
    }
    for a in 0..world.nodes.len() {
        for b in (0..a).filter(|&b| !world.is_connected(a, b)).collect::<Vec<_>>() {
            world.connect(a, b);
        }
    }
}

#[test]
fn a_thousand_nodes_reduce_twenty_thousand_entries() {
    let (nodes, files, entries_per_file) = (1000, 20, 1000);
    let workers: Vec<usize> = (0..nodes).map(|place| usize::from(place > 0) * 2).collect();
    let mut world = World::new(Chance::new(1), Config::default(), &workers);
    world.weather = Weather { bytes: false, ..Weather::CALM };
    for place in 1..nodes {
        world.connect(0, place);
    }
    let data = world.add_data(Data::counting(files, entries_per_file));
    let ask = world.ask(Duration::from_secs(1), 0, data, Holders::Everyone, None);
    world.run_until(Duration::from_secs(60));
    let Some(Ok(outcome)) = &world.asks[ask].result else { panic!("no result") };
    assert_eq!(outcome.nodes.len(), nodes - 1);
    // No node did much more than its share of 20.
    let most = outcome.nodes.iter().map(|node| node.entries).max();
    assert!(most < Some(60), "{most:?}");
    // An entry costs at most a pull's worth of messages, besides offer and end.
    let messages = world.stats.messages;
    assert!(messages < 2 * 20_000 + 6 * nodes as u64, "{messages} messages");
}

/// The costly way: entries wait while nodes come, every file has holders of
/// its own, and every tenth node dies at its work.
#[test]
fn a_thousand_nodes_come_late_and_some_die() {
    let (nodes, files, entries_per_file) = (1001, 1000, 20);
    let workers: Vec<usize> = (0..nodes).map(|place| usize::from(place > 0) * 2).collect();
    let mut world = World::new(Chance::new(1), Config::default(), &workers);
    world.weather = Weather { bytes: false, ..Weather::CALM };
    let holders = (0..files).map(|file| {
        let places = [file, file + 1, file + 7].map(|place| place % files + 1);
        places.into_iter().map(|place| world.nodes[place].id).collect()
    });
    let holders = Holders::PerFile(holders.collect());
    let data = world.add_data(Data::counting(files, entries_per_file));
    let ask = world.ask(Duration::ZERO, 0, data, holders, None);
    for place in 1..nodes {
        let connect = Event::Fault(Fault::Dial { a: 0, b: place });
        world.schedule(Duration::from_micros(place as u64), connect);
    }
    for place in (1..nodes).step_by(10) {
        let crash = Event::Fault(Fault::Crash { place, start_after: None });
        world.schedule(Duration::from_millis(4), crash);
    }
    world.run_until(Duration::from_secs(60));
    let Some(Ok(outcome)) = &world.asks[ask].result else { panic!("no result") };
    assert!(outcome.nodes.iter().filter(|node| node.lost).count() > 50);
    assert!(outcome.course.recomputed > 100);
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[expect(clippy::print_stderr, reason = "a test talks to a person")]
fn say(text: &str) {
    eprintln!("{text}");
}
