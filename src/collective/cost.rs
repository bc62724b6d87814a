//! What the schedules cost, as numbers: the tables of their files.

use super::{Algorithm, Kind};

/// What a call takes of the network, the segments of one part counted as one
/// message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Messages of which each can only be sent when the one before has come.
    pub rounds: u64,
    /// Messages of all ranks together, at most.
    pub messages: u64,
    /// Bytes that the rank sends that sends most, at most.
    pub bytes_sent: u64,
}

impl Cost {
    /// The cost of a call among `size` ranks. `bytes` are those of the array that
    /// every rank has, of what each sends to all in gathers, and of all blocks
    /// together in reduce_scatter, scatter and all_to_all.
    pub fn of(kind: Kind, algorithm: Algorithm, size: usize, bytes: u64) -> Cost {
        let ranks = size as u64;
        let others = ranks - 1;
        if others == 0 {
            return Cost { rounds: 0, messages: 0, bytes_sent: 0 };
        }
        // Slices differ by one element, which has 16 bytes at most.
        let slice = bytes / ranks + 16;
        let cost = |rounds, messages, bytes_sent| Cost { rounds, messages, bytes_sent };
        match (algorithm, kind) {
            (_, Kind::AllGather | Kind::Split) => cost(1, ranks * others, others * bytes),
            (_, Kind::Gather) => cost(1, others, bytes),
            (_, Kind::Scatter) => cost(1, others, bytes),
            (_, Kind::AllToAll) => cost(1, ranks * others, bytes),
            (_, Kind::ReduceScatter) => cost(1, ranks * others, bytes),
            (Algorithm::Flat, Kind::AllReduce | Kind::AllMerge) => {
                cost(1, ranks * others, others * bytes)
            }
            (Algorithm::Flat, Kind::Barrier) => cost(1, ranks * others, 0),
            (Algorithm::Flat, Kind::Reduce | Kind::Merge) => cost(1, others, bytes),
            (Algorithm::Flat, Kind::Broadcast) => cost(1, others, others * bytes),
            (Algorithm::Flat, Kind::Scan | Kind::Exscan) => {
                cost(1, ranks * others / 2, others * bytes)
            }
            (Algorithm::Tree { fan }, _) => {
                let fan = u64::from(fan);
                let depth = digits(others, fan);
                match kind {
                    Kind::Reduce | Kind::Merge => cost(depth, others, bytes),
                    Kind::Broadcast => cost(depth, others, (fan - 1) * depth * bytes),
                    Kind::Barrier => cost(2 * depth, 2 * others, 0),
                    // A node between sends its fold up and the result down.
                    _ => cost(2 * depth, 2 * others, ((fan - 1) * depth).max(1) * bytes),
                }
            }
            (Algorithm::Direct, Kind::AllReduce | Kind::Scan | Kind::Exscan) => {
                cost(2, 2 * ranks * others, 2 * others * slice)
            }
            (Algorithm::Direct, Kind::Reduce) => {
                cost(2, ranks * others + others, (others + 1) * slice)
            }
            (Algorithm::Direct, Kind::Broadcast) => {
                let root = (2 * others).max(1) * slice;
                cost(2, others + others * others, root)
            }
            (Algorithm::Dissemination, _) => {
                let rounds = digits(others, 2);
                cost(rounds, ranks * rounds, 0)
            }
            (Algorithm::Direct, Kind::Barrier | Kind::Merge | Kind::AllMerge) => {
                unreachable!("{} has no slices", kind.name())
            }
        }
    }
}

/// Digits of a positive number in a base.
fn digits(number: u64, base: u64) -> u64 {
    std::iter::successors(Some(number), |&n| (n >= base).then_some(n / base)).count() as u64
}
