//! Folds by functions, which run outside of the machine: when they run decides nothing,
//! and contributions that are merged may have any lengths.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use adsum::DType;
use adsum::collective::{Algorithm, Kind};
use adsum::group::{
    Call, Config, Counts, Fold, Group, GroupError, OpId, Outcome, Output, OwnFold, Purpose,
    Unmergeable, WORLD, Work,
};
use bytes::Bytes;

use crate::chance::Chance;

/// The sorted union of sorted bytes: merging in any order gives the same.
fn union() -> OwnFold {
    Arc::new(|all| {
        if let Some(position) = all.iter().position(|one| one.contains(&255)) {
            return Err(Unmergeable { position, reason: "it has 255".to_owned() });
        }
        let mut union = all.concat();
        union.sort_unstable();
        Ok(union)
    })
}

/// Carries out one call at all ranks, with everything in an order of chance.
fn run(
    seed: u64,
    kind: Kind,
    algorithm: Algorithm,
    contributions: &[Vec<u8>],
) -> Vec<Result<Option<Vec<u8>>, GroupError>> {
    let mut chance = Chance::new(seed);
    let size = contributions.len();
    let config = Config {
        segment_bytes: 16,
        window_bytes: 48,
        ahead_bytes_max: 64,
        timeout: None,
        ..Config::default()
    };
    let mut groups: Vec<Group> =
        (0..size).map(|rank| Group::new(rank, size, config.clone())).collect();
    let mut wires: BTreeMap<(usize, usize), VecDeque<Bytes>> = BTreeMap::new();
    let mut work: Vec<(usize, Work)> = Vec::new();
    let mut ended: BTreeMap<usize, Result<Option<Vec<u8>>, GroupError>> = BTreeMap::new();
    let mut calls: Vec<usize> = (0..size).collect();
    let mut ids: BTreeMap<usize, OpId> = BTreeMap::new();
    while ended.len() < size {
        let full = wires.iter().filter(|(_, frames)| !frames.is_empty()).map(|(&wire, _)| wire);
        let full: Vec<(usize, usize)> = full.collect();
        let choices = full.len() + work.len() + calls.len();
        assert!(choices > 0, "seed {seed}: {kind:?} by {algorithm:?} of {size} hangs");
        let choice = chance.index(choices);
        let rank = if let Some(&(from, to)) = full.get(choice) {
            let frame = wires.get_mut(&(from, to)).and_then(VecDeque::pop_front).expect("full");
            groups[to].handle_frame(Duration::ZERO, from, frame);
            to
        } else if choice < full.len() + work.len() {
            let (rank, one) = work.swap_remove(choice - full.len());
            groups[rank].handle_folded(Duration::ZERO, one.run(&union()));
            rank
        } else {
            let rank = calls.swap_remove(choice - full.len() - work.len());
            let call = Call {
                kind,
                purpose: Purpose::Plain,
                root: if kind == Kind::Merge { size / 2 } else { 0 },
                dtype: DType::U8,
                counts: Counts::Bounded { most: 200, of: 7 },
                fold: Fold::Own,
                commutative: true,
                algorithm: Some(algorithm),
                array: Box::new(contributions[rank].clone()),
                timeout: None,
            };
            ids.insert(rank, groups[rank].start(Duration::ZERO, WORLD, call));
            rank
        };
        while let Some(output) = groups[rank].poll_output() {
            match output {
                Output::Send { to, frame } => {
                    let bytes = [&frame.head[..], &frame.body[..]].concat();
                    wires.entry((rank, to)).or_default().push_back(bytes.into());
                }
                Output::Fold(one) => {
                    assert_eq!(Some(&one.id()), ids.get(&rank).or(Some(&1)));
                    work.push((rank, one));
                }
                Output::Finished { result, .. } => {
                    let merged = result.map(|outcome| match outcome {
                        Outcome::Answer(answer) => answer.blocks.into_values().next(),
                        _ => panic!("an array was wanted"),
                    });
                    ended.insert(rank, merged);
                }
                Output::Abandon { .. } => panic!("nobody dies"),
            }
        }
    }
    ended.into_values().collect()
}

const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Flat, Algorithm::Tree { fan: 2 }, Algorithm::Tree { fan: 4 }];

#[test]
fn what_is_merged_is_all_there_is_whatever_comes_when() {
    for seed in 0..400 {
        let mut chance = Chance::new(seed * 77 + 1);
        let size = chance.number(1..=11) as usize;
        let contributions: Vec<Vec<u8>> = (0..size)
            .map(|rank| {
                let length = chance.number(0..=18);
                (0..length).map(|n| (rank as u64 * 19 + n) as u8).collect()
            })
            .collect();
        let all = Some(contributions.concat());
        for algorithm in ALGORITHMS {
            let found = run(seed, Kind::AllMerge, algorithm, &contributions);
            assert!(found.iter().all(|one| *one == Ok(all.clone())), "seed {seed}: {found:?}");
            let found = run(seed, Kind::Merge, algorithm, &contributions);
            for (rank, one) in found.into_iter().enumerate() {
                let expected = (rank == size / 2).then(|| all.clone()).flatten();
                assert_eq!(one, Ok(expected), "seed {seed}: {rank} of {size}, {algorithm:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_merged_is_an_error_at_all_ranks_that_names_one() {
    for seed in 0..50 {
        let mut contributions = vec![vec![1, 2, 3]; 7];
        contributions[5] = vec![9, 255];
        for algorithm in ALGORITHMS {
            for one in run(seed, Kind::AllMerge, algorithm, &contributions) {
                let Err(GroupError::Protocol { what, .. }) = one else { panic!("{one:?}") };
                assert!(what.contains("it has 255"), "{what}");
            }
        }
    }
}
