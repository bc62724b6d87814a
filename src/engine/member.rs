//! A node as a job sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Now;
use crate::placement::{NodeId, NodeKey};

/// A connected node that was offered the job and has not refused it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its weight among the holders of an entry.
    pub(super) key: NodeKey,
    /// Whether it collects from a team, which may have no other by now.
    pub(super) is_deputy: bool,
    /// The most entries that it takes at once, once it has pulled.
    want: Option<usize>,
    assigned: BTreeMap<u32, Assigned>,
    assigned_bytes: u64,
    /// The most bytes that it had to reduce at once since it last had nothing.
    peak_bytes: u64,
    /// Since when it works without an answer.
    busy_since: Now,
    rate: Rate,
}

#[derive(Clone, Copy, Debug)]
struct Assigned {
    at: Now,
    bytes: u64,
}

/// Entries that were asked for and are answered, and what they took.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) positions: BTreeSet<u32>,
    pub(super) bytes: u64,
    /// How long the node worked for them.
    pub(super) busy: Duration,
}

impl Member {
    pub(super) fn new(node: NodeId) -> Member {
        Member {
            key: NodeKey::new(node),
            is_deputy: false,
            want: None,
            assigned: BTreeMap::new(),
            assigned_bytes: 0,
            peak_bytes: 0,
            busy_since: Duration::ZERO,
            rate: Rate::default(),
        }
    }

    pub(super) fn set_want(&mut self, want: usize) {
        self.want = Some(want);
    }

    /// The most entries that it takes at once, once it has pulled.
    pub(super) fn want(&self) -> Option<usize> {
        self.want
    }

    /// How many entries more it takes.
    pub(super) fn room(&self) -> usize {
        self.want.unwrap_or(0).saturating_sub(self.assigned.len())
    }

    /// The entries that it has not answered for.
    pub(super) fn assigned(&self) -> impl Iterator<Item = u32> {
        self.assigned.keys().copied()
    }

    pub(super) fn assign(&mut self, now: Now, position: u32, bytes: u64) {
        if self.assigned.is_empty() {
            self.busy_since = now;
            self.peak_bytes = 0;
        }
        self.assigned.insert(position, Assigned { at: now, bytes });
        self.assigned_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.assigned_bytes);
    }

    /// Takes answers for entries that came at once. Those for which the node was
    /// not asked are left out.
    pub(super) fn answer(&mut self, now: Now, positions: impl IntoIterator<Item = u32>) -> Answer {
        let busy = now.saturating_sub(self.busy_since);
        let mut answer = Answer { positions: BTreeSet::new(), bytes: 0, busy };
        for position in positions {
            if let Some(Assigned { bytes, .. }) = self.assigned.remove(&position) {
                answer.positions.insert(position);
                answer.bytes += bytes;
            }
        }
        if !answer.positions.is_empty() {
            self.assigned_bytes -= answer.bytes;
            self.busy_since = now;
            self.rate.add(answer.bytes, busy);
        }
        answer
    }

    /// How long the node has had an entry, and how long it should take for all
    /// that it had beside it, by its own rate or else by that of `others`. Which
    /// of its entries it takes first, and how many at once, is its own affair.
    pub(super) fn delay(
        &self,
        now: Now,
        position: u32,
        others: &Rate,
    ) -> Option<(Duration, Duration)> {
        let assigned = self.assigned.get(&position)?;
        let rate = if self.rate.is_measured() { &self.rate } else { others };
        Some((now.saturating_sub(assigned.at), rate.time_for(self.peak_bytes)))
    }
}

/// A moving rate: bytes over time, each answer weighing 3/4 of the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    bytes: u64,
    time_ns: u64,
}

impl Rate {
    /// The rate to go by while there is no other.
    pub(super) fn assumed(bytes_per_second: u64) -> Rate {
        Rate { bytes: bytes_per_second, time_ns: 1_000_000_000 }
    }

    pub(super) fn add(&mut self, bytes: u64, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.bytes = (self.bytes - self.bytes / 4).saturating_add(bytes);
        self.time_ns = (self.time_ns - self.time_ns / 4).saturating_add(time_ns);
    }

    pub(super) fn is_measured(&self) -> bool {
        self.bytes > 0
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let ns = u128::from(bytes) * u128::from(self.time_ns) / u128::from(self.bytes.max(1));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}
