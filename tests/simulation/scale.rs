//! Worlds of few nodes and of very many.

use std::collections::BTreeSet;
use std::time::Duration;

use adsum::engine::{Config, Holders};

use crate::chance::Chance;
use crate::data::Data;
use crate::event::Event;
use crate::fault::Fault;
use crate::formula::{Job, Team};
use crate::traffic::Traffic;
use crate::weather::Weather;
use crate::world::{Place, World};

/// When the first request comes: all nodes are connected by then.
pub const START: Duration = Duration::from_secs(1);

/// More events than a world of so many entries has.
fn events_max(nodes: usize, entries: usize) -> u64 {
    1000 + 100 * (nodes as u64 + entries as u64)
}

/// A world without faults where the node at 0 is asked for a job. What a node
/// sends takes time if `bytes_per_second` says so, and so do messages that it
/// takes in.
pub fn calm(job: &Job, bytes_per_second: Option<u64>, message_us: u64) -> World {
    let nodes = job.nodes as usize;
    let workers: Vec<usize> = (0..nodes)
        .map(|place| if place > 0 || job.collector_reduces { job.workers as usize } else { 0 })
        .collect();
    let config = Config {
        outstanding_per_worker: job.outstanding as usize,
        results_per_message: job.results_per_message as usize,
        fan_in: usize::try_from(job.fan_in).unwrap_or(usize::MAX),
        ..Config::default()
    };
    let mut world = World::new(Chance::new(1), config, &workers);
    let (delay, work) = (job.delay.as_micros() as u64, job.work.as_micros() as u64);
    world.weather = Weather {
        delay_us: (delay, delay),
        work_us: (work, work),
        bytes_per_second,
        message_us,
        bytes: nodes <= 100,
        ..Weather::CALM
    };
    world.traffic = Some(Traffic::default());
    world.events_max = events_max(nodes, job.entries as usize);
    let (files, entries) = (job.files as usize, job.entries as usize);
    assert!(entries.is_multiple_of(files), "files of one length");
    let data = Data::ones(files, entries / files);
    connect(&mut world, &job.team(&data.manifest.job_id(&data.spec).0));
    let data = world.add_data(data);
    world.ask(START, 0, data, Holders::Everyone, None);
    world
}

/// Connects a collector with all nodes that it collects from, and its deputies
/// with theirs.
fn connect(world: &mut World, team: &Team) {
    for place in team.everybody() {
        world.connect(team.collector, place);
    }
    team.teams.iter().for_each(|below| connect(world, below));
}

/// A world where two nodes are asked for the same job at once, every file is at
/// three nodes, messages come twice and late, and every tenth node dies: half of
/// them come back. Nodes that never do have not all copies of a file.
pub fn rough(seed: u64, nodes: usize, entries_per_file: usize) -> World {
    const COLLECTORS: usize = 2;
    let mut world = World::new(Chance::new(seed), Config::default(), &vec![2; nodes]);
    world.weather = Weather { repeated: 50, ghosts: 50, bytes: nodes <= 100, ..Weather::CALM };
    world.events_max = 2 * events_max(nodes, nodes * entries_per_file);
    let holders_of =
        |file: usize| -> BTreeSet<Place> { [0, 1, 7].map(|step| (file + step) % nodes).into() };
    let name = |place: Place| world.nodes[place].id;
    let holders = (0..nodes).map(|file| holders_of(file).into_iter().map(name).collect()).collect();
    let holders = Holders::PerFile(holders);
    let data = Data::counting(nodes, entries_per_file);
    let id = data.manifest.job_id(&data.spec).0;
    let data = world.add_data(data);
    for hub in 0..COLLECTORS {
        let others = (0..nodes).filter(|&place| place != hub).collect();
        connect(&mut world, &Team::of(hub, others, Config::default().fan_in, &id));
        world.ask(START, hub, data, holders.clone(), None);
    }
    let mut doomed: BTreeSet<Place> = BTreeSet::new();
    let mut dying: BTreeSet<Place> = BTreeSet::new();
    let count = nodes.div_ceil(10).min(nodes - COLLECTORS);
    while dying.len() < count {
        let place = COLLECTORS + world.chance.index(nodes - COLLECTORS);
        if !dying.insert(place) {
            continue;
        }
        let last = [0, 1, 7].into_iter().any(|step| {
            let copies = holders_of((place + nodes - step % nodes) % nodes);
            copies.iter().all(|&copy| copy == place || doomed.contains(&copy))
        });
        let returns = last || world.chance.per_mille(500);
        // A job takes some ten milliseconds without faults.
        let dies = START + world.chance.micros(0..=20_000);
        world.schedule(dies, Event::Fault(Fault::Crash { place, start_after: None }));
        if returns {
            let returns = dies + world.chance.millis(100..=3000);
            world.schedule(returns, Event::Fault(Fault::Return { place, hubs: COLLECTORS }));
        } else {
            doomed.insert(place);
        }
    }
    world
}
