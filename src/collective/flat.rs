//! Every rank with every rank, in one round.
//!
//! ```text
//!  all_reduce, barrier       reduce          broadcast       scan
//!
//!      0 <---> 1            1  2  3           root           0 -> 1, 2, 3
//!      ^ \   / ^             \ | /           / | \           1 -> 2, 3
//!      |   x   |              root          1  2  3          2 -> 3
//!      v /   \ v
//!      2 <---> 3
//! ```
//!
//! Everybody gets the contributions of all and folds them in rank order by itself,
//! so all have the same bits. Of `P` ranks and arrays of `n` bytes:
//!
//! | call | rounds | messages of all ranks | bytes that one rank sends |
//! |---|---|---|---|
//! | all_reduce, all_reduce_partial, barrier | 1 | P (P - 1) | (P - 1) n |
//! | reduce, reduce_partial | 1 | P - 1 | n |
//! | broadcast | 1 | P - 1 | (P - 1) n, the root |
//! | scan, exscan | 1 | P (P - 1) / 2 | (P - 1) n, rank 0 |

use super::{Call, Down, Kind, Part, Plan, Up, folding, others_after, whole};

/// The share of a rank. Of a barrier the array is empty.
pub fn plan(call: &Call<'_>) -> Plan {
    let &Call { kind, rank, size, root, .. } = call;
    let count = whole(call);
    let (make, here, output) = folding(call);
    let all = 0..count;
    let part = |owner: usize, up, down, room| Part {
        id: owner as u32,
        input: all.clone(),
        room,
        up,
        down,
        after: None,
    };
    let here = || Some(here.clone());
    let to_owner = |owner: usize| {
        let up = Up { children: Vec::new(), own: Some(0), parent: Some(owner), make };
        part(owner, Some(up), None, None)
    };
    let owned = |children: Vec<usize>, own: bool| {
        let before = children.iter().filter(|&&child| child < rank).count();
        let up = Up { children, own: own.then_some(before), parent: None, make };
        part(rank, Some(up), None, here())
    };
    let mut plan = Plan { output, ..Plan::default() };
    match kind {
        Kind::AllReduce | Kind::AllMerge | Kind::Barrier => {
            plan.parts.extend(others_after(rank, size).map(to_owner));
            plan.parts.push(owned((0..size).filter(|&other| other != rank).collect(), true));
            // What is sent to a slow rank must not be what was folded meanwhile.
            plan.apart = true;
        }
        Kind::Scan | Kind::Exscan => {
            plan.parts.extend((rank + 1..size).map(to_owner));
            let inclusive = kind == Kind::Scan;
            // That of rank 0 alone is a fold too: of NaN, -0 and truth it changes the bits.
            match (rank, inclusive) {
                (0, false) => plan.output = 0,
                _ => plan.parts.push(owned((0..rank).collect(), inclusive)),
            }
            plan.apart = true;
        }
        Kind::Reduce | Kind::Merge if rank == root => {
            plan.parts.push(owned((0..size).filter(|&other| other != rank).collect(), true));
        }
        Kind::Reduce | Kind::Merge => {
            plan.output = 0;
            plan.parts.push(to_owner(root));
        }
        Kind::Broadcast => {
            let from = (rank != root).then_some(root);
            let to = match rank == root {
                true => others_after(rank, size).collect(),
                false => Vec::new(),
            };
            let room = (rank != root).then(here).flatten();
            plan.parts.push(part(root, None, Some(Down { from, to }), room));
        }
        _ => unreachable!("{} is of blocks", kind.name()),
    }
    plan
}
