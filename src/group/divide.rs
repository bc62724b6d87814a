//! How the ranks of a communicator are divided, once all have said what they wish.

use std::collections::BTreeMap;

use super::schedule::derived;
use super::{Group, GroupError, Made, Now, Outcome};

/// What a rank says in a split: its color, negative where it wants to be in none, and
/// its key, each as eight little-endian bytes.
const WISH_BYTES: usize = 16;

fn wish(bytes: &[u8]) -> Option<(i64, i64)> {
    let bytes: &[u8; WISH_BYTES] = bytes.try_into().ok()?;
    let (color, key) = bytes.split_at(8);
    let word = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    Some((word(color), word(key)))
}

impl Group {
    /// Makes the communicator of those that wish this rank's color, in the order of their
    /// keys, those of equal keys as they were.
    pub(super) fn divide(
        &mut self,
        now: Now,
        id: u64,
        call: u64,
        wishes: &BTreeMap<usize, Vec<u8>>,
    ) -> Result<Outcome, GroupError> {
        let mut all = Vec::with_capacity(wishes.len());
        for (&rank, bytes) in wishes {
            let (color, key) = wish(bytes).ok_or_else(|| GroupError::Protocol {
                rank: rank as u32,
                what: format!("a split of {} bytes", bytes.len()),
            })?;
            all.push((key, rank, color));
        }
        let context = &self.contexts[&id];
        let own = all.iter().find(|(_, rank, _)| *rank == context.rank);
        let color = own.map_or(-1, |(_, _, color)| *color);
        if color < 0 {
            return Ok(Outcome::Made(None));
        }
        all.retain(|(.., theirs)| *theirs == color);
        all.sort_unstable();
        let members: Vec<usize> = all.into_iter().map(|(_, rank, _)| rank).collect();
        let of_group = members.iter().map(|&rank| context.members[rank]).collect();
        let new = derived(id, "split", call, color);
        self.create(now, new, of_group);
        Ok(Outcome::Made(Some(Made { context: new, members })))
    }
}
