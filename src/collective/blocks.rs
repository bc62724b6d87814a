//! What is only moved: one message from each source to each destination, and on
//! the wire nothing that is not wanted there.
//!
//! ```text
//!   all_gather          gather           scatter          all_to_all
//!
//!   a -> a b c d        a \              / a              a0 a1 a2    a0 b0 c0
//!   b -> a b c d        b -> a b c d   abcd - b           b0 b1 b2 -> a1 b1 c1
//!   c -> a b c d        c /              \ c              c0 c1 c2    a2 b2 c2
//! ```
//!
//! Blocks may be of different lengths. Where a receiver does not know them it learns
//! them from the messages ([`Room::Open`]).
//!
//! | call | rounds | messages of all ranks | bytes that one rank sends |
//! |---|---|---|---|
//! | all_gather | 1 | P (P - 1) | P - 1 times its block |
//! | gather | 1 | P - 1 | its block |
//! | scatter | 1 | P - 1 | all blocks but its own, the root |
//! | all_to_all | 1 | P (P - 1) | all blocks but its own |

use std::ops::Range;

use super::{Call, Down, Extent, Kind, Part, Plan, Room, others_after};

/// The share of a rank.
pub fn plan(call: &Call<'_>) -> Plan {
    let &Call { kind, rank, size, root, extent } = call;
    let (counts, known) = match extent {
        Extent::Blocks(counts) => (counts, true),
        Extent::Sent(counts) => (counts, false),
        Extent::Whole(_) => panic!("{} is of blocks", kind.name()),
    };
    // Where the block of a rank lies among those of all.
    let among = |of: usize| -> Range<u64> {
        let start: u64 = counts[..of].iter().sum();
        start..start + counts[of]
    };
    let room = |of: usize, range: &dyn Fn() -> Range<u64>| match known {
        true => Room::At(range()),
        false => Room::Open(of),
    };
    let send = |id: usize, input: Range<u64>, to: Vec<usize>| Part {
        id: id as u32,
        input,
        room: None,
        up: None,
        down: Some(Down { from: None, to }),
        after: None,
    };
    let receive = |id: usize, from: usize, room: Room| Part {
        id: id as u32,
        input: 0..0,
        room: Some(room),
        up: None,
        down: Some(Down { from: Some(from), to: Vec::new() }),
        after: None,
    };
    let mut plan = Plan { apart: true, ..Plan::default() };
    let all: u64 = counts.iter().sum();
    match kind {
        Kind::AllGather | Kind::Split => {
            // A rank's input is its own block, of which it alone may know.
            let own = 0..if known { counts[rank] } else { all };
            plan.output = if known { all } else { 0 };
            plan.local.push((own.clone(), room(rank, &|| among(rank))));
            plan.parts.push(send(rank, own, others_after(rank, size).collect()));
            let from = others_after(rank, size);
            plan.parts.extend(from.map(|from| receive(from, from, room(from, &|| among(from)))));
        }
        Kind::Gather if rank == root => {
            let own = 0..if known { counts[rank] } else { all };
            plan.output = if known { all } else { 0 };
            plan.local.push((own, room(rank, &|| among(rank))));
            let from = others_after(rank, size);
            plan.parts.extend(from.map(|from| receive(from, from, room(from, &|| among(from)))));
        }
        Kind::Gather => {
            let own = 0..if known { counts[rank] } else { all };
            plan.parts.push(send(rank, own, vec![root]));
        }
        Kind::Scatter if rank == root => {
            plan.output = if known { counts[rank] } else { 0 };
            plan.local.push((among(rank), room(0, &|| 0..counts[rank])));
            let to = others_after(rank, size);
            plan.parts.extend(to.map(|to| send(to, among(to), vec![to])));
        }
        Kind::Scatter => {
            plan.output = if known { counts[rank] } else { 0 };
            plan.parts.push(receive(rank, root, room(0, &|| 0..counts[rank])));
        }
        Kind::AllToAll => {
            plan.output = if known { all } else { 0 };
            plan.local.push((among(rank), room(rank, &|| among(rank))));
            for other in others_after(rank, size) {
                plan.parts.push(send(rank * size + other, among(other), vec![other]));
            }
            for other in others_after(rank, size) {
                let room = room(other, &|| among(other));
                plan.parts.push(receive(other * size + rank, other, room));
            }
        }
        _ => unreachable!("{} is not of blocks", kind.name()),
    }
    plan
}
