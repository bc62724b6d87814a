//! What can go wrong, each thing on its own. A scenario is a list of these
//! with times.

use std::sync::Arc;
use std::time::Duration;

use adsum::ledger::Parcel;
use adsum::manifest::JobId;
use adsum::placement::{Holders, NodeId};
use adsum::shard::ShardError;
use adsum::wire::{Course, EntryResult, Message, Refusal, Report, Share};
use adsum::{DType, Partial, Spec};

use crate::data::Lie;
use crate::event::{Event, Letter};
use crate::world::{Place, World};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection of two nodes breaks; one of them dials again later.
    Cut { a: Place, b: Place, dial_after: Duration },
    /// One of two connected nodes dials the other again, for no reason.
    Dial { a: Place, b: Place },
    /// A node dies; a new one with the same name and data comes later, or never.
    Crash { place: Place, start_after: Option<Duration> },
    /// A node starts, and dials all others.
    Start { place: Place },
    /// A node starts, and dials the first so many.
    Return { place: Place, hubs: usize },
    /// A node becomes this many times slower than a healthy one.
    Slow { place: Place, slowness: u32 },
    /// Who asked has no more interest.
    Cancel { ask: usize },
    /// A node says something to another that it should not.
    Rogue { from: Place, to: Place },
}

impl Fault {
    pub fn strike(self, world: &mut World) {
        match self {
            Fault::Cut { a, b, dial_after } => {
                world.cut(a, b);
                world.schedule(world.now + dial_after, Event::Fault(Fault::Dial { a, b }));
            }
            Fault::Dial { a, b } => world.connect(a, b),
            Fault::Crash { place, start_after } => {
                world.crash(place);
                match start_after {
                    None => world.nodes[place].doomed = true,
                    Some(after) => {
                        let start = Event::Fault(Fault::Start { place });
                        world.schedule(world.now + after, start);
                    }
                }
            }
            Fault::Start { place } => {
                if !world.nodes[place].doomed {
                    world.start(place);
                    (0..world.nodes.len()).for_each(|peer| world.connect(place, peer));
                }
            }
            Fault::Return { place, hubs } => {
                world.nodes[place].doomed = false;
                world.start(place);
                (0..hubs).for_each(|hub| world.connect(place, hub));
            }
            Fault::Slow { place, slowness } => world.nodes[place].slowness = slowness,
            Fault::Cancel { ask } => world.cancel(ask),
            Fault::Rogue { from, to } => {
                let letter = Letter::Message(Box::new(nonsense(world)));
                // As a ghost it needs no connection that it was sent on.
                let deliver =
                    Event::Deliver { place: to, from, connection: usize::MAX, ghost: true, letter };
                world.schedule(world.now, deliver);
            }
        }
    }
}

/// A well-formed message that nobody asked for, mostly about a job that there is.
fn nonsense(world: &mut World) -> Message {
    let data = Arc::clone(&world.data[world.chance.index(world.data.len())]);
    let (spec, manifest) = (data.spec.clone(), Arc::clone(&data.manifest));
    let job = if world.chance.per_mille(100) { JobId([9; 32]) } else { manifest.job_id(&spec) };
    let nodes: Vec<NodeId> = world.nodes.iter().map(|node| node.id).collect();
    let chance = &mut world.chance;
    let position = chance.number(0..=manifest.entries().len() as u64) as u32;
    let want = chance.pick(&[0, 1, 2, u32::MAX]);
    let node = chance.pick(&nodes);
    match chance.index(12) {
        0 => Message::Offer { job: manifest.job_id(&spec), spec, manifest },
        1 => Message::Pull { job, want },
        2 => Message::Assign {
            job,
            positions: vec![position, position],
            alone: chance.per_mille(500),
        },
        3 => {
            // A lie that has the right count cannot be seen, so none is told here.
            let partial = match manifest.entry(position) {
                Some(entry) => data.reduce(entry, chance.pick(&[Lie::None, Lie::Short])),
                None => Partial::identity(&Spec::sum(DType::Bool), 1),
            };
            let results = vec![EntryResult { position, partial, usage: Vec::new() }];
            Message::Results { job, results, want }
        }
        4 => Message::Failed { job, position, node, error: ShardError::changed("no reason") },
        5 => {
            let refusal = chance.pick(&[Refusal::Busy, Refusal::NoWorkers, Refusal::Unknown]);
            Message::Refused { job, refusal }
        }
        6 => {
            let team = nodes.iter().copied().filter(|_| chance.per_mille(500)).collect();
            let job = manifest.job_id(&spec);
            Message::Delegate { job, spec, manifest, team, holders: Holders::Everyone }
        }
        7 => {
            // As with results: of the right count or none.
            let mut partial = Partial::identity(&spec, manifest.outputs() as usize);
            if let Some(entry) = manifest.entry(position) {
                let lie = chance.pick(&[Lie::None, Lie::Short]);
                let _ = partial.merge_at(entry.first_output as usize, &data.reduce(entry, lie));
            }
            let report = Report {
                parcel: Parcel { positions: vec![position], partial },
                shares: vec![Share { node, entries: 1, usage: Vec::new() }],
                course: Course::default(),
                warnings: Vec::new(),
            };
            Message::Report { job, report: Box::new(report), want }
        }
        9 => Message::Unreached { job, nodes },
        8 => Message::Returned { job, positions: vec![position, position] },
        _ => Message::Cancel { job },
    }
}
