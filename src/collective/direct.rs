//! Each rank owns a slice: everybody sends each slice to its owner, who folds what
//! comes and gives the result to whom it belongs.
//!
//! ```text
//!                slice 0   slice 1   slice 2          (arrays of 3 ranks)
//!      rank 0    a0        a1        a2
//!      rank 1    b0        b1        b2
//!      rank 2    c0        c1        c2
//!                 |         |         |     1. up: each column to its owner
//!                 v         v         v
//!               rank 0    rank 1    rank 2     folds its column once
//!                 |         |         |     2. down: the results to all
//!                 v         v         v
//!      all       f0        f1        f2
//! ```
//!
//! An owner has all contributions of a segment when it folds it, so a sum of floats is
//! rounded once. The bytes are those of a ring, in two rounds instead of 2 (P - 1).
//! A broadcast is the second half after the root has given each owner its slice. In a
//! scan the owner makes the fold up to each rank and sends each rank its own.
//!
//! Of `P` ranks and `n` bytes (of reduce_scatter: of all blocks):
//!
//! | call | rounds | messages of all ranks | bytes that one rank sends |
//! |---|---|---|---|
//! | all_reduce, scan, exscan | 2 | at most 2 P (P - 1) | 2 n (P - 1) / P |
//! | reduce | 2 | at most P (P - 1) + P - 1 | n |
//! | reduce_scatter | 1 | at most P (P - 1) | at most n |
//! | broadcast | 2 | at most (P - 1) + (P - 1)^2 | n, the root; others n (P - 2) / P |
//!
//! Slices that are empty send nothing.

use super::{
    Call, Down, Extent, Kind, Make, Part, Plan, Room, Up, all_after, others_after, slice, whole,
};

/// The share of a rank.
pub fn plan(call: &Call<'_>) -> Plan {
    match call.kind {
        Kind::ReduceScatter => reduce_scatter(call),
        Kind::Broadcast => broadcast(call),
        Kind::Reduce | Kind::AllReduce | Kind::Scan | Kind::Exscan => to_and_fro(call),
        _ => unreachable!("{} has no slices", call.kind.name()),
    }
}

fn others(rank: usize, size: usize) -> Vec<usize> {
    (0..size).filter(|&other| other != rank).collect()
}

fn contribution(owner: usize) -> Up {
    Up { children: Vec::new(), own: Some(0), parent: Some(owner), make: Make::Fold }
}

fn owning(rank: usize, size: usize, make: Make) -> Up {
    Up { children: others(rank, size), own: Some(rank), parent: None, make }
}

fn to_and_fro(call: &Call<'_>) -> Plan {
    let &Call { kind, rank, size, root, .. } = call;
    let count = whole(call);
    let has_result = match kind {
        Kind::Reduce => rank == root,
        Kind::Exscan => rank > 0,
        _ => true,
    };
    let make = match kind {
        Kind::Scan => Make::Prefixes { exclusive: false },
        Kind::Exscan => Make::Prefixes { exclusive: true },
        _ => Make::Fold,
    };
    let part = |owner: usize| {
        let range = slice(count, size, owner);
        let up = match owner == rank {
            true => owning(rank, size, make),
            false => contribution(owner),
        };
        let down = match (kind, owner == rank) {
            (Kind::Reduce, true) if rank == root => None,
            (Kind::Reduce, true) => Some(Down { from: None, to: vec![root] }),
            (Kind::Reduce, false) if rank != root => None,
            // Rank 0 has nothing before itself.
            (Kind::Exscan, true) => {
                let to = others_after(rank, size).filter(|&other| other > 0);
                Some(Down { from: None, to: to.collect() })
            }
            (Kind::Exscan, false) if rank == 0 => None,
            (_, true) => Some(Down { from: None, to: others_after(rank, size).collect() }),
            (_, false) => Some(Down { from: Some(owner), to: Vec::new() }),
        };
        let room = has_result.then(|| Room::At(range.clone()));
        Part { id: owner as u32, input: range, room, up: Some(up), down, after: None }
    };
    let parts = all_after(rank, size).map(part).filter(|part| !part.input.is_empty());
    Plan { parts: parts.collect(), output: if has_result { count } else { 0 }, ..Plan::default() }
}

fn reduce_scatter(call: &Call<'_>) -> Plan {
    let &Call { rank, size, .. } = call;
    let Extent::Blocks(counts) = call.extent else { panic!("reduce_scatter is of known blocks") };
    let start = |owner: usize| counts[..owner].iter().sum::<u64>();
    let part = |owner: usize| {
        let input = start(owner)..start(owner) + counts[owner];
        let (up, room) = match owner == rank {
            true => (owning(rank, size, Make::Fold), Some(Room::At(0..counts[rank]))),
            false => (contribution(owner), None),
        };
        Part { id: owner as u32, input, room, up: Some(up), down: None, after: None }
    };
    let parts = all_after(rank, size).map(part).filter(|part| !part.input.is_empty());
    Plan { parts: parts.collect(), apart: true, output: counts[rank], ..Plan::default() }
}

fn broadcast(call: &Call<'_>) -> Plan {
    let &Call { rank, size, root, .. } = call;
    let count = whole(call);
    let part = |owner: usize| {
        let range = slice(count, size, owner);
        let everybody_else = || others_after(owner, size).filter(|&other| other != root).collect();
        let down = match (rank == root, rank == owner) {
            (true, true) => Down { from: None, to: everybody_else() },
            (true, false) => Down { from: None, to: vec![owner] },
            (false, true) => Down { from: Some(root), to: everybody_else() },
            (false, false) => Down { from: Some(owner), to: Vec::new() },
        };
        let room = (rank != root).then(|| Room::At(range.clone()));
        Part { id: owner as u32, input: range, room, up: None, down: Some(down), after: None }
    };
    let parts = all_after(rank, size).map(part).filter(|part| !part.input.is_empty());
    Plan { parts: parts.collect(), output: count, ..Plan::default() }
}
