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

/// Whether the partial of several entries went into the total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// None of its positions was covered; all are now.
    First,
    /// All were covered before; the total is unchanged.
    Duplicate,
    /// Some were covered before, so no part of it could be used; the total is
    /// unchanged.
    Overlap,
}

/// The merged partials of some entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Their positions, in order, each once.
    pub positions: Vec<u32>,
    /// What their elements reduce to, for all outputs of the job.
    pub partial: Partial,
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
    /// The merged partial of some entries has other outputs than the job, or they
    /// have not the elements of these entries.
    #[error("the partial of {entries} entries does not hold their elements")]
    Parcel {
        /// Number of the entries.
        entries: usize,
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
        if !self.has(position) {
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

    /// Takes the merged partial of several of the manifest's entries, all or
    /// nothing: what is in it cannot be told apart any more.
    ///
    /// # Errors
    /// The job has no such entries, or the partial is not of them.
    pub fn absorb(&mut self, all: &[Entry], parcel: &Parcel) -> Result<Absorbed, RecordError> {
        let Parcel { positions, partial } = parcel;
        let entries = positions.iter().map(|&position| {
            let entry = all.get(position as usize).filter(|_| self.has(position));
            entry.ok_or(RecordError::Position { position, entries: self.covered.len() })
        });
        let entries = entries.collect::<Result<Vec<&Entry>, RecordError>>()?;
        let wrong = Err(RecordError::Parcel { entries: entries.len() });
        let outputs = self.total.outputs();
        if partial.outputs() != outputs || !positions.is_sorted_by(|a, b| a < b) {
            return wrong;
        }
        // Elements of each output, as the difference to the one before.
        let mut steps = vec![0_u64; outputs + 1];
        for entry in &entries {
            let (first, count) = (entry.first_output as usize, entry.outputs() as usize);
            steps[first] = steps[first].wrapping_add(entry.block.reduced);
            steps[first + count] = steps[first + count].wrapping_sub(entry.block.reduced);
        }
        let mut elements = 0_u64;
        for (output, step) in steps[..outputs].iter().enumerate() {
            elements = elements.wrapping_add(*step);
            if partial.states(output).iter().any(|state| state.elements() != elements) {
                return wrong;
            }
        }
        match positions.iter().filter(|&&position| self.contains(position)).count() {
            0 => {}
            count if count == positions.len() => return Ok(Absorbed::Duplicate),
            _ => return Ok(Absorbed::Overlap),
        }
        self.total.merge(partial)?;
        self.covered.extend(positions.iter().map(|&position| position as usize));
        self.covered_count += positions.len();
        Ok(Absorbed::First)
    }

    /// Takes out what was recorded since this was last done, and forgets it, for
    /// a ledger that only merges for another.
    pub fn take_parcel(&mut self) -> Option<Parcel> {
        if self.covered_count == 0 {
            return None;
        }
        let positions = self.covered.ones().map(|index| index as u32).collect();
        self.covered.clear();
        self.covered_count = 0;
        let identity = Partial::identity(self.total.spec(), self.total.outputs());
        let partial = std::mem::replace(&mut self.total, identity);
        Some(Parcel { positions, partial })
    }

    fn has(&self, position: u32) -> bool {
        (position as usize) < self.covered.len()
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
