//! Which schedule a call takes when none is asked for.
//!
//! The choice must be the same at all ranks, so it depends on nothing but the
//! call, the number of ranks and a [`Tuning`] that all have. What was measured
//! comes in through the tuning.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Algorithm, Kind};

/// Where one schedule becomes better than another. All ranks of a group have the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// The most bytes that a rank sends in one call to have it done in one round;
    /// with more it goes by slices, or from a root by a tree.
    pub flat_bytes_max: u64,
    /// The most ranks that all send to all, or from which one takes everything.
    pub flat_ranks_max: usize,
    /// The most bytes of an array that goes along a tree.
    pub tree_bytes_max: u64,
    /// Children of a node at each level, and one.
    pub fan: u8,
}

impl Default for Tuning {
    /// For a local network, or one machine.
    fn default() -> Tuning {
        Tuning { flat_bytes_max: 48 << 10, flat_ranks_max: 16, tree_bytes_max: 64 << 10, fan: 4 }
    }
}

impl Tuning {
    /// A tuning for links of which one message takes `round_trip` there and back,
    /// and which carry so many bytes in a second.
    ///
    /// One round more pays where the bytes that it spares would take longer than
    /// it does. On links of long round trips trees are flat.
    pub fn measured(round_trip: Duration, bytes_per_second: f64) -> Tuning {
        let usual = Tuning::default();
        let round_s = round_trip.as_secs_f64() / 2.0;
        let bytes = (round_s * bytes_per_second).clamp(4096.0, (1 << 20) as f64) as u64;
        let far = round_trip >= Duration::from_millis(1);
        Tuning {
            flat_bytes_max: 2 * bytes,
            flat_ranks_max: if far { 64 } else { usual.flat_ranks_max },
            tree_bytes_max: 2 * bytes,
            fan: if far { 16 } else { usual.fan },
        }
    }
}

/// The schedule of a call. `bytes` are those of the array that every rank has;
/// `in_groups` says whether its contributions may be folded in groups.
pub fn choose(kind: Kind, size: usize, bytes: u64, in_groups: bool, tuning: &Tuning) -> Algorithm {
    let few = size <= tuning.flat_ranks_max;
    let others = size.saturating_sub(1) as u64;
    let tree = Algorithm::Tree { fan: tuning.fan.max(2) };
    match kind {
        Kind::AllGather | Kind::AllToAll | Kind::Gather | Kind::Scatter | Kind::Split => {
            Algorithm::Flat
        }
        Kind::ReduceScatter => Algorithm::Flat,
        Kind::Barrier if few => Algorithm::Flat,
        Kind::Barrier => Algorithm::Dissemination,
        // What is merged has no slices; a tree merges a part of it at each node.
        Kind::Merge if few && bytes <= tuning.flat_bytes_max => Algorithm::Flat,
        Kind::AllMerge if few && others.saturating_mul(bytes) <= tuning.flat_bytes_max => {
            Algorithm::Flat
        }
        Kind::Merge | Kind::AllMerge => tree,
        // One other rank: nothing is spared by slices, and a message more is sent.
        Kind::Reduce | Kind::Broadcast if size <= 2 => Algorithm::Flat,
        Kind::Reduce if bytes <= tuning.flat_bytes_max && few => Algorithm::Flat,
        Kind::Reduce if in_groups && bytes <= tuning.tree_bytes_max => tree,
        Kind::Broadcast if few && others.saturating_mul(bytes) <= tuning.flat_bytes_max => {
            Algorithm::Flat
        }
        Kind::Broadcast if bytes <= tuning.tree_bytes_max => tree,
        Kind::AllReduce if few && others.saturating_mul(bytes) <= tuning.flat_bytes_max => {
            Algorithm::Flat
        }
        Kind::AllReduce if in_groups && !few && bytes <= tuning.tree_bytes_max => tree,
        Kind::Scan | Kind::Exscan if others.saturating_mul(bytes) <= tuning.flat_bytes_max => {
            Algorithm::Flat
        }
        Kind::Reduce | Kind::AllReduce | Kind::Broadcast | Kind::Scan | Kind::Exscan => {
            Algorithm::Direct
        }
    }
}
