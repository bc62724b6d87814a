//! The safety of a world: a result is the oracle's, and an error has a reason.

use adsum::Op;
use adsum::engine::{Holders, JobError, Outcome};
use adsum::finish::{Options, finish};

use crate::ask::Ask;
use crate::world::World;

pub fn result(world: &mut World, index: usize, outcome: &Outcome) {
    let Ask { result: None, data, .. } = world.asks[index] else {
        panic!("request {index} ended twice");
    };
    let data = &world.data[data];
    let entries = data.manifest.entries().len();
    assert_eq!(outcome.coverage.entries(), entries, "not all entries");
    assert_eq!(outcome.total.elements(), data.expected.elements, "elements");
    let outputs = 0..outcome.total.outputs();
    let result = |op: Op, output| {
        let dtype = op.natural_output(data.spec.dtype);
        let finished = finish(op, outcome.total.states(output), Options::default(), dtype);
        finished.ok().map(|finished| finished.value.bits())
    };
    let bits: Vec<Vec<Option<String>>> =
        outputs.map(|output| data.ops.iter().map(|&op| result(op, output)).collect()).collect();
    assert_eq!(bits, data.expected.bits, "{:?} are wrong", data.ops);
    let counted: u64 = outcome.nodes.iter().map(|node| node.entries).sum();
    assert_eq!(counted, entries as u64, "entries counted by node");
    // A rogue does not say which device it used.
    let bytes: u64 = outcome.usage.values().map(|usage| usage.bytes).sum();
    assert!(bytes == data.manifest.bytes() || world.weather.rogues, "bytes counted by device");

    let (along_axis, states) = (data.manifest.is_along_axis(), data.spec.monoids.len());
    let stats = &mut world.stats;
    stats.results += 1;
    stats.results_along_an_axis += u64::from(along_axis);
    stats.results_of_several_states += u64::from(states > 1);
    stats.results_after_a_loss += u64::from(outcome.nodes.iter().any(|node| node.lost));
    stats.results_with_warnings += u64::from(!outcome.warnings.is_empty());
    stats.entries_recomputed += outcome.course.recomputed;
    stats.entries_speculated += outcome.course.speculated;
    stats.entries_twice += outcome.course.duplicates;
}

pub fn error(world: &mut World, index: usize, error: &JobError) {
    let Ask { result: None, data, deadline, cancelled, .. } = world.asks[index] else {
        panic!("request {index} ended twice");
    };
    match error {
        JobError::Incomplete { unfinished } => {
            assert!(unfinished.missing_count >= unfinished.missing.len());
            assert_orphan(world, index, unfinished.missing[0].position);
            world.stats.incomplete += 1;
        }
        JobError::Deadline { limit, .. } => {
            assert_eq!(Some(*limit), deadline, "a deadline that nobody set");
            world.stats.deadlines += 1;
        }
        JobError::Shard { position, node, .. } => {
            let flaws = &world.nodes[world.place_of(*node)].flaws;
            let flawed = flaws.contains_key(&(data, *position));
            assert!(flawed || world.weather.rogues, "a healthy node failed");
            world.stats.shard_errors += 1;
        }
        JobError::Cancelled => {
            assert!(cancelled, "nobody cancelled");
            world.stats.cancelled += 1;
        }
    }
}

/// Checks that nobody who has the entry at `position` could be asked for it.
fn assert_orphan(world: &World, index: usize, position: u32) {
    let Ask { at, data, .. } = world.asks[index];
    let file = world.data[data].manifest.entries()[position as usize].file as usize;
    for (place, node) in world.nodes.iter().enumerate() {
        // The request's own word; others may have named more.
        let holds = match &world.asks[index].holders {
            Holders::Everyone => true,
            Holders::PerFile(files) => files[file].contains(&node.id),
        };
        let reachable = place == at || world.knows(at, place);
        let refuses = node.workers == 0 || world.config.jobs_max < 64 || world.weather.rogues;
        assert!(!holds || !reachable || refuses, "node {place} has entry {position}");
    }
}
