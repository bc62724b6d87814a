//! A barrier in rounds of doubling distance (Hensgen, Finkel and Manber, 1988).
//!
//! ```text
//!   round 0:  r -> r + 1       round 1:  r -> r + 2       round 2:  r -> r + 4
//!
//!   0 -> 1 -> 2 -> 3 -> 4 ..   0 ------> 2 ------> 4 ..   0 ----------------> 4 ..
//! ```
//!
//! A rank begins a round when it has the message of the one before. After round `i`
//! it has heard, directly or through others, of the 2^(i+1) - 1 ranks before it.
//!
//! | call | rounds | messages of all ranks | bytes |
//! |---|---|---|---|
//! | barrier | ceil(log2 P) | P ceil(log2 P) | 0 |

use super::{Call, Down, Part, Plan, Room};

/// The share of a rank.
pub fn plan(call: &Call<'_>) -> Plan {
    let &Call { rank, size, .. } = call;
    let mut plan = Plan::default();
    let mut distance = 1;
    let mut heard = None;
    while distance < size {
        let (to, from) = ((rank + distance) % size, (rank + size - distance) % size);
        // A part for each message, called by its sender and round.
        let id = |sender: usize| plan_id(distance, sender, size);
        let (sent, received) = (id(rank), id(from));
        plan.parts.push(Part {
            id: sent,
            input: 0..0,
            room: None,
            up: None,
            down: Some(Down { from: None, to: vec![to] }),
            after: heard,
        });
        // Messages of later rounds may overtake; a round is over only after the one before.
        let before = heard.replace(plan.parts.len());
        plan.parts.push(Part {
            id: received,
            input: 0..0,
            room: Some(Room::At(0..0)),
            up: None,
            down: Some(Down { from: Some(from), to: Vec::new() }),
            after: before,
        });
        distance *= 2;
    }
    plan
}

fn plan_id(distance: usize, sender: usize, size: usize) -> u32 {
    distance.trailing_zeros() * size as u32 + sender as u32
}
