//! Counts of what happened, to know that a simulation simulates.

use std::ops::AddAssign;

/// What happened in a world, or in many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub events: u64,
    pub messages: u64,
    pub messages_repeated: u64,
    pub messages_from_old_connections: u64,
    pub results: u64,
    pub results_along_an_axis: u64,
    pub results_of_several_states: u64,
    pub results_after_a_loss: u64,
    pub results_with_warnings: u64,
    pub entries_recomputed: u64,
    pub entries_speculated: u64,
    pub entries_twice: u64,
    pub delegations: u64,
    pub reports: u64,
    pub entries_returned: u64,
    pub incomplete: u64,
    pub shard_errors: u64,
    pub deadlines: u64,
    pub cancelled: u64,
    pub collectors_lost: u64,
}

impl Stats {
    fn counts(&mut self) -> [&mut u64; 20] {
        [
            &mut self.events,
            &mut self.messages,
            &mut self.messages_repeated,
            &mut self.messages_from_old_connections,
            &mut self.results,
            &mut self.results_along_an_axis,
            &mut self.results_of_several_states,
            &mut self.results_after_a_loss,
            &mut self.results_with_warnings,
            &mut self.entries_recomputed,
            &mut self.entries_speculated,
            &mut self.entries_twice,
            &mut self.delegations,
            &mut self.reports,
            &mut self.entries_returned,
            &mut self.incomplete,
            &mut self.shard_errors,
            &mut self.deadlines,
            &mut self.cancelled,
            &mut self.collectors_lost,
        ]
    }

    /// Whether everything happened that can.
    pub fn has_everything(mut self) -> bool {
        self.counts().into_iter().all(|count| *count > 0)
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, mut other: Stats) {
        for (sum, count) in self.counts().into_iter().zip(other.counts()) {
            *sum += *count;
        }
    }
}
