//! Which entries of a job are in its result.

use fixedbitset::FixedBitSet;

use crate::manifest::Entry;
use crate::op::Spec;
use crate::partial::Partial;
use crate::reduction::CombineError;

/// A job's running partial and the positions that are in it. Each position
/// counts once: a second partial for it changes nothing.
#[derive(Clone, Debug)]
pub struct Ledger {
    covered: FixedBitSet,
    covered_count: usize,
    total: Partial,
}

/// Whether a partial went into the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It was the first for its position and is now in the total.
    First,
    /// The position was covered before; the total is unchanged.
    Duplicate,
}

/// Why a partial was refused. The ledger is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The job has no such position.
    #[error("position {position} does not exist, the job has {entries} entries")]
    Position {
        /// The position that came.
        position: u32,
        /// Number of entries of the job.
        entries: usize,
    },
    /// The partial holds more or fewer elements than the entry has.
    #[error("the partial for position {position} holds {got} elements, the entry has {expected}")]
    Elements {
        /// The position.
        position: u32,
        /// Elements of the entry.
        expected: u64,
        /// Elements of the partial.
        got: u64,
    },
    /// The partial has more or fewer outputs than the entry, or they have not
    /// the entry's elements each.
    #[error("the partial for position {position} has other outputs than the entry's {expected}")]
    Outputs {
        /// The position.
        position: u32,
        /// Outputs of the entry.
        expected: u64,
    },
    /// The partial does not merge with this job's.
    #[error(transparent)]
    Combine(#[from] CombineError),
}

/// Proof that every entry of a job is in the total. Only
/// [`Ledger::coverage`] makes one, and only a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    entries: usize,
}

impl Coverage {
    /// Number of entries, all of them covered.
    pub fn entries(self) -> usize {
        self.entries
    }
}

impl Ledger {
    /// An empty ledger for a job of `entries` entries and `outputs` outputs.
    pub fn new(spec: &Spec, entries: usize, outputs: usize) -> Ledger {
        Ledger {
            covered: FixedBitSet::with_capacity(entries),
            covered_count: 0,
            total: Partial::identity(spec, outputs),
        }
    }

    /// Adds one position at the end, for a stream whose length shows only
    /// when it ends, and returns it.
    pub fn extend(&mut self) -> u32 {
        let position = self.covered.len();
        self.covered.grow(position + 1);
        u32::try_from(position).expect("a stream has fewer than 2^32 entries")
    }

    /// Takes the partial of an entry.
    ///
    /// # Errors
    /// The job has no such entry, or the partial is not of it.
    pub fn record(&mut self, entry: &Entry, partial: &Partial) -> Result<Recorded, RecordError> {
        let (position, index) = (entry.position, entry.position as usize);
        if index >= self.covered.len() {
            return Err(RecordError::Position { position, entries: self.covered.len() });
        }
        let (expected, got) = (entry.len(), partial.elements());
        if got != expected {
            return Err(RecordError::Elements { position, expected, got });
        }
        let expected = entry.outputs();
        if partial.outputs() as u64 != expected || !partial.holds_each(entry.block.reduced) {
            return Err(RecordError::Outputs { position, expected });
        }
        if self.covered.contains(index) {
            return Ok(Recorded::Duplicate);
        }
        self.total.merge_at(entry.first_output as usize, partial)?;
        self.covered.insert(index);
        self.covered_count += 1;
        Ok(Recorded::First)
    }

    /// Whether the entry at `position` is in the total.
    pub fn contains(&self, position: u32) -> bool {
        self.covered.contains(position as usize)
    }

    /// Number of entries of the job.
    pub fn entries(&self) -> usize {
        self.covered.len()
    }

    /// Number of entries in the total.
    pub fn covered(&self) -> usize {
        self.covered_count
    }

    /// The positions that are not in the total, in order.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        self.covered.zeroes().map(|index| index as u32)
    }

    /// The proof that the total is complete, or `None` while entries are missing.
    pub fn coverage(&self) -> Option<Coverage> {
        (self.covered_count == self.covered.len())
            .then_some(Coverage { entries: self.covered.len() })
    }

    /// The total of a complete ledger, with the proof; an incomplete one comes
    /// back unchanged.
    ///
    /// # Errors
    /// The ledger itself, when entries are missing.
    pub fn into_total(self) -> Result<(Partial, Coverage), Ledger> {
        match self.coverage() {
            Some(coverage) => Ok((self.total, coverage)),
            None => Err(self),
        }
    }
}

#[cfg(test)]
mod tests;
