//! One shard on its way through the queue.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Task, TaskKey};
use crate::backend::Takes;
use crate::op::Spec;
use crate::partial::Partial;
use crate::reduction::CombineError;
use crate::shard::Shard;
use crate::site::Site;
use crate::wire::Usage;

/// A task with what is known of it so far.
///
/// Each element is in exactly one place: not yet taken, held by one worker, or
/// merged. Only when all are merged is the task complete.
pub struct ActiveTask {
    pub key: TaskKey,
    pub spec: Spec,
    pub shard: Arc<dyn Shard>,
    pub site: Site,
    state: Mutex<State>,
}

struct State {
    /// Runs that no worker has.
    untaken: Vec<Range<u64>>,
    merged_elements: u64,
    /// What was merged, if anything was.
    partial: Option<Partial>,
    usage: Vec<Usage>,
    closed: bool,
}

/// What a merge led to.
pub enum Merged {
    /// Elements are missing still, or the task has ended before.
    Pending,
    /// These were the last elements.
    Complete,
}

impl ActiveTask {
    pub fn new(task: Task) -> ActiveTask {
        let elements = task.shard.elements();
        let state = State {
            untaken: Vec::from_iter((elements > 0).then_some(0..elements)),
            merged_elements: 0,
            partial: None,
            usage: Vec::new(),
            closed: false,
        };
        let Task { key, spec, shard, site } = task;
        ActiveTask { key, spec, shard, site, state: Mutex::new(state) }
    }

    pub fn elements(&self) -> u64 {
        self.shard.elements()
    }

    pub fn is_taken_by(&self, takes: Takes) -> bool {
        takes(&self.spec, &self.site)
    }

    /// A block of at most `bytes_max` bytes and at least one element, or `None`
    /// when workers hold all that is left.
    pub fn take(&self, bytes_max: usize) -> Option<Range<u64>> {
        // Both data sets of a pair are read.
        let sets = 1 + usize::from(self.shard.second().is_some());
        let size = self.shard.layout().dtype.size_bytes() * sets;
        let count_max = (bytes_max / size).max(1) as u64;
        let mut state = self.lock();
        let run = state.untaken.last_mut()?;
        let taken = run.start..run.start + self.site.block_at(run.clone(), count_max);
        run.start = taken.end;
        if run.is_empty() {
            state.untaken.pop();
        }
        Some(taken)
    }

    /// Puts a run back; false when the task has ended and nobody wants it.
    pub fn put_back(&self, run: Range<u64>) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.untaken.push(run);
        }
        !state.closed
    }

    /// Merges the partial of runs that one worker took, and says what `device`
    /// did for it.
    pub fn merge(&self, partial: Partial, usage: Usage) -> Result<Merged, CombineError> {
        let mut state = self.lock();
        if state.closed {
            return Ok(Merged::Pending);
        }
        let elements = partial.elements();
        match &mut state.partial {
            Some(merged) => merged.merge(&partial)?,
            None => state.partial = Some(partial),
        }
        state.merged_elements += elements;
        match state.usage.iter_mut().find(|known| known.device == usage.device) {
            Some(known) => known.add(&usage),
            None => state.usage.push(usage),
        }
        let complete = state.merged_elements == self.elements();
        Ok(if complete { Merged::Complete } else { Merged::Pending })
    }

    /// Ends the task and returns what it gathered; `None` when it had ended.
    pub fn close(&self) -> Option<(Partial, Vec<Usage>)> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.closed = true;
        state.untaken.clear();
        let partial = state.partial.take();
        let partial = partial.unwrap_or_else(|| Partial::identity(&self.spec, self.site.outputs()));
        Some((partial, std::mem::take(&mut state.usage)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that can panic.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
