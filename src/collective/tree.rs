//! K-nomial trees.
//!
//! With ranks counted from the root and written in base `k`, the parent of a rank
//! is the rank with its lowest digit that is not zero made zero. For `k` = 2 and
//! `k` = 3:
//!
//! ```text
//!            0                                  0
//!         /  |   \                      / /  /   \   \  \
//!        4   2    1                    1 2  3     6  ...
//!       / \   \                            / \   / \
//!      6   5   3                          4   5 7   8
//!      |
//!      7
//! ```
//!
//! A subtree is a run of ranks, and a node folds itself and then its children from
//! the nearest to the farthest: the order of ranks counted from the root. Folding in
//! groups is right for what is associative in its own type; sums of floats are not
//! and travel here only as exact states (`reduce_partial`, `all_reduce_partial`), which
//! are merged as wholes.
//!
//! Of `P` ranks and `n` bytes, with `d` = the digits of P - 1 in base k:
//!
//! | call | rounds | messages of all ranks | bytes that one rank sends |
//! |---|---|---|---|
//! | reduce, reduce_partial | d | P - 1 | n |
//! | broadcast | d | P - 1 | at most (k - 1) d n, the root |
//! | all_reduce, all_reduce_partial, barrier | 2 d | 2 (P - 1) | at most (k - 1) d n, rank 0 |

use super::{Call, Down, Kind, Part, Plan, Up, folding, whole};

/// The share of a rank in trees of `fan`. Of a barrier the array is empty.
pub fn plan(call: &Call<'_>, fan: usize) -> Plan {
    let &Call { kind, rank, size, .. } = call;
    let count = whole(call);
    let (make, room, output) = folding(call);
    let rooted = matches!(kind, Kind::Reduce | Kind::Broadcast | Kind::Merge);
    let root = if rooted { call.root } else { 0 };
    let counted = (rank + size - root) % size;
    let real = |counted: usize| (counted + root) % size;
    let children: Vec<usize> = children(counted, size, fan).into_iter().map(real).collect();
    let parent = parent(counted, fan).map(real);
    let mut plan = Plan { output, ..Plan::default() };
    let up = Up { children: children.clone(), own: Some(0), parent, make };
    // The deepest subtrees are sent to first.
    let down = Down { from: parent, to: children.into_iter().rev().collect() };
    let (up, down) = match kind {
        Kind::Reduce | Kind::Merge => (Some(up), None),
        Kind::Broadcast => (None, Some(down)),
        Kind::AllReduce | Kind::AllMerge | Kind::Barrier => (Some(up), Some(down)),
        _ => unreachable!("{} has no tree", kind.name()),
    };
    let has_result = match kind {
        Kind::Reduce | Kind::Merge => rank == root,
        // The root's is there.
        Kind::Broadcast => rank != root,
        _ => true,
    };
    if kind == Kind::Reduce && rank != root {
        plan.output = 0;
    }
    let room = has_result.then_some(room);
    plan.parts.push(Part { id: 0, input: 0..count, room, up, down, after: None });
    plan
}

/// The parent of a rank that is counted from the root.
fn parent(counted: usize, fan: usize) -> Option<usize> {
    let mut unit = 1;
    while unit <= counted {
        let digit = counted / unit % fan;
        if digit != 0 {
            return Some(counted - digit * unit);
        }
        unit *= fan;
    }
    None
}

/// The children of a rank that is counted from the root, nearest first.
fn children(counted: usize, size: usize, fan: usize) -> Vec<usize> {
    let mut children = Vec::new();
    let mut unit = 1;
    while counted + unit < size && (counted / unit).is_multiple_of(fan) {
        children.extend((1..fan).map(|digit| counted + digit * unit).take_while(|&c| c < size));
        unit *= fan;
    }
    children
}
