//! From a call to the plan of this rank, and what all ranks must have in common.

use super::{Call, Counts, Fold, Folding, GroupError, Signature};
use crate::collective::{self, Call as Scheduled, Extent, Kind, Tuning, choose};
use crate::fold::element_bytes;

/// The name of a communicator that comes from another: the same at all its ranks.
pub fn derived(parent: u64, how: &str, call: u64, color: i64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("adsum 2026 communicator");
    hasher.update(&parent.to_le_bytes()).update(how.as_bytes());
    hasher.update(&call.to_le_bytes()).update(&color.to_le_bytes());
    let bytes = hasher.finalize();
    let (first, _) = bytes.as_bytes().split_first_chunk().expect("32 bytes");
    // Zero is that of all ranks.
    u64::from_le_bytes(*first).max(1)
}

/// The share of this rank in a call, and what all ranks must have in common.
pub(super) fn scheduled(
    call: &Call,
    rank: usize,
    size: usize,
    segment_bytes: usize,
    tuning: &Tuning,
) -> Result<(collective::Plan, Signature, usize), GroupError> {
    let &Call { kind, purpose, root, dtype, commutative, .. } = call;
    if root >= size {
        return Err(GroupError::Rank { rank: root, size });
    }
    let (folding, located, in_groups) = match &call.fold {
        Fold::None => (Folding::None, false, true),
        Fold::By(operator) if operator.takes(dtype) => {
            (Folding::By(*operator), operator.is_located(), operator.folds_in_groups(dtype))
        }
        Fold::By(operator) => return Err(GroupError::Operator { operator: *operator, dtype }),
        Fold::Own => (Folding::Own { commutative }, false, commutative),
    };
    let unit = element_bytes(dtype, located);
    let have = (call.array.bytes().len() / unit) as u64;
    let length = |expected: u64| match have == expected {
        true => Ok(()),
        false => {
            let what = format!("the array of {}", kind.name());
            Err(GroupError::Length { what, expected, got: have })
        }
    };
    let own = [have];
    let (extent, count, counts, bytes) = match &call.counts {
        Counts::Whole(count) => {
            length(*count)?;
            (Extent::Whole(*count), *count, 0, have * unit as u64)
        }
        &Counts::Bounded { most, of } if have <= most => {
            (Extent::Sent(&own), most, of, most * unit as u64)
        }
        &Counts::Bounded { most, .. } => {
            let what = format!("the array of {}, at most,", kind.name());
            return Err(GroupError::Length { what, expected: most, got: have });
        }
        Counts::Blocks(blocks) => {
            // More than there can be is no length of an array, and told as such.
            let all = blocks.iter().fold(0_u64, |all, &block| all.saturating_add(block));
            if blocks.len() != size {
                let what = format!("the list of blocks of {}", kind.name());
                let (expected, got) = (size as u64, blocks.len() as u64);
                return Err(GroupError::Length { what, expected, got });
            }
            match kind {
                Kind::AllGather | Kind::Gather | Kind::Split => length(blocks[rank])?,
                Kind::Scatter if rank != root => {}
                _ => length(all)?,
            }
            (
                Extent::Blocks(blocks),
                all,
                Signature::of_counts(blocks),
                all.saturating_mul(unit as u64),
            )
        }
        Counts::Sent(blocks) => (Extent::Sent(blocks), 0, 0, 0),
    };
    let algorithm = call.algorithm.unwrap_or_else(|| choose(kind, size, bytes, in_groups, tuning));
    let groups = algorithm.folds_in_groups() && !in_groups;
    if !algorithm.serves(kind) || groups {
        let (call, algorithm) = (kind.name().to_owned(), algorithm.name().to_owned());
        return Err(GroupError::Algorithm { call, algorithm, groups });
    }
    let plan = collective::plan(&Scheduled { kind, rank, size, root, extent }, algorithm);
    // Whole elements.
    let segment = (segment_bytes / unit).max(1) * unit;
    let root = root as u32;
    let segment = segment as u32;
    let signature =
        Signature { kind, purpose, algorithm, folding, dtype, root, count, counts, segment };
    Ok((plan, signature, unit))
}
