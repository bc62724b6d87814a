//! A job that this node collects for another collector.
//!
//! A deputy is a collector of the entries that its parent assigns to it, among the
//! nodes of its team. What it cannot do it gives back at once: an entry that all
//! holders failed is `Failed`, one without a live holder `Returned`; so are nodes
//! of its team, `Unreached`. What it can, it merges, and reports
//!
//! * when it has answered all that it was asked for,
//! * when a quarter of what its team takes at once is done, so that more comes
//!   before the team has nothing to do, and
//! * [`Config::report_every`] after the first result that waits.
//!
//! A parcel can only be taken whole. So an entry that another node may answer too
//! is reported alone, as soon as the parent says that it has asked another.
//!
//! ```text
//!     parent                 deputy                        team
//!       | ----- Delegate -----> | -------- Offer ----------> |
//!       | <------ Pull -------- | <------- Pull ------------ |   when all have pulled
//!       | ------ Assign ------> | ------- Assign ----------> |
//!       | <----- Report ------- | <------ Results ---------- |
//!       | ------ Cancel ------> | ------- Cancel ----------> |
//! ```

use std::collections::BTreeSet;

use super::config::Config;
use super::job::Job;
use super::{Now, Outbox};
use crate::ledger::{Ledger, Recorded};
use crate::manifest::Entry;
use crate::placement::NodeId;
use crate::shard::{ShardError, ShardErrorKind};
use crate::wire::{Course, EntryResult, Message, POSITIONS_MAX, Report, Share};

/// What a deputy owes its parent.
#[derive(Debug)]
pub(super) struct Deputy {
    pub(super) parent: NodeId,
    /// The nodes that it may ask, itself among them.
    team: BTreeSet<NodeId>,
    /// Nodes that it may not ask any more, since it did not reach them.
    unreached: BTreeSet<NodeId>,
    /// Entries to report by themselves.
    alone: BTreeSet<u32>,
    /// Reports that are to be sent.
    ready: Vec<Report>,
    /// The want that the parent was told last.
    told: Option<u32>,
    /// When what waits is reported.
    due: Option<Now>,
    now: Now,
}

/// How many reports a deputy makes of as many entries as its team takes at once.
const PARCELS_PER_WANT: usize = 4;

impl Deputy {
    /// Collects for `parent` from those of a team that are `reached`.
    pub(super) fn new(
        parent: NodeId,
        team: BTreeSet<NodeId>,
        reached: impl Fn(NodeId) -> bool,
    ) -> Deputy {
        let (team, unreached) = team.into_iter().partition(|&node| reached(node));
        Deputy {
            parent,
            team,
            unreached,
            alone: BTreeSet::new(),
            ready: Vec::new(),
            told: None,
            due: None,
            now: Now::ZERO,
        }
    }

    pub(super) fn may_ask(&self, node: NodeId) -> bool {
        self.team.contains(&node)
    }

    /// A node is not there any more.
    pub(super) fn lose(&mut self, node: NodeId) {
        if self.team.remove(&node) {
            self.unreached.insert(node);
        }
    }

    pub(super) fn due(&self) -> Option<Now> {
        self.due
    }
}

impl Job {
    /// The parent assigns entries.
    pub(super) fn handle_share(
        &mut self,
        now: Now,
        positions: Vec<u32>,
        alone: bool,
        outbox: &mut Outbox,
    ) {
        for position in positions {
            if self.manifest.entry(position).is_none() {
                let message = format!("the job has no entry {position}");
                let error = ShardError { kind: ShardErrorKind::Internal, message };
                self.give_up(position, outbox.own, error, outbox);
            } else if self.ledger.contains(position) {
                // It is done, and will be reported.
            } else {
                if !self.schedule.contains(position) {
                    self.schedule.want(now, position);
                }
                if alone {
                    self.separate(position, outbox);
                }
            }
        }
        self.serve(now, outbox);
    }

    /// Has an entry that is under way, or will be, reported by itself.
    pub(super) fn separate(&mut self, position: u32, outbox: &mut Outbox) {
        if let Some(deputy) = &mut self.deputy {
            deputy.alone.insert(position);
        }
        for &node in self.schedule.flight(position) {
            if self.schedule.is_deputy(node) {
                let positions = vec![position];
                outbox.send(node, Message::Assign { job: self.id, positions, alone: true });
            }
        }
    }

    /// Keeps a result to be reported by itself, if it is to be. One that is wrong
    /// is left to who reads it next.
    pub(super) fn take_alone(&mut self, node: NodeId, entry: &Entry, result: &EntryResult) -> bool {
        let position = result.position;
        let Some(deputy) = self.deputy.as_mut().filter(|d| d.alone.contains(&position)) else {
            return false;
        };
        let mut ledger =
            Ledger::new(&self.spec, self.ledger.entries(), self.manifest.outputs() as usize);
        if ledger.record(entry, &result.partial) != Ok(Recorded::First) {
            return false;
        }
        deputy.alone.remove(&position);
        let recalled = u64::from(result.usage.is_empty());
        deputy.ready.push(Report {
            parcel: ledger.take_parcel().expect("an entry was recorded"),
            shares: vec![Share { node, entries: 1, usage: result.usage.clone() }],
            course: Course { recalled, ..Course::default() },
            warnings: Vec::new(),
        });
        true
    }

    /// Makes room in the ledger for `count` entries more.
    pub(super) fn make_room(&mut self, count: usize) {
        if self.deputy.is_some() && self.ledger.covered() + count > POSITIONS_MAX {
            self.pack();
        }
    }

    /// To be called after every event: gives back what cannot be done here.
    pub(super) fn give_back(&mut self, now: Now, config: &Config, outbox: &mut Outbox) {
        while let Some((position, failures)) = self.schedule.take_exhausted() {
            let (node, error) = failures.last;
            self.give_up(position, node, error, outbox);
        }
        let orphans = self.schedule.take_orphans();
        let Some(deputy) = &mut self.deputy else { return };
        if !deputy.unreached.is_empty() {
            let nodes = std::mem::take(&mut deputy.unreached).into_iter().collect();
            outbox.send(deputy.parent, Message::Unreached { job: self.id, nodes });
        }
        for position in &orphans {
            deputy.alone.remove(position);
        }
        for positions in orphans.chunks(POSITIONS_MAX) {
            let positions = positions.to_vec();
            outbox.send(deputy.parent, Message::Returned { job: self.id, positions });
        }
        deputy.now = now;
        if deputy.due.is_none() {
            deputy.due = Some(now.saturating_add(config.report_every));
        }
    }

    /// Reports what is to be reported by now.
    pub(super) fn report(&mut self, outbox: &mut Outbox) {
        let Some(deputy) = &mut self.deputy else { return };
        let is_due = deputy.due.is_some_and(|due| due <= deputy.now);
        let everybody = self.schedule.wants();
        let want = everybody.unwrap_or_else(|| self.schedule.wants_so_far()).min(POSITIONS_MAX);
        let enough = self.ledger.covered() >= (want / PARCELS_PER_WANT).max(1);
        if is_due || enough || self.schedule.entries() == 0 {
            self.pack();
        }
        let want = want as u32;
        let Some(deputy) = &mut self.deputy else { return };
        let (job, parent) = (self.id, deputy.parent);
        for report in std::mem::take(&mut deputy.ready) {
            deputy.told = Some(want);
            outbox.send(parent, Message::Report { job, report: Box::new(report), want });
        }
        if (everybody.is_some() || is_due) && deputy.told != Some(want) {
            deputy.told = Some(want);
            outbox.send(parent, Message::Pull { job, want });
        }
        if is_due || (self.ledger.covered() == 0 && deputy.told == Some(want)) {
            deputy.due = None;
        }
    }

    /// Makes a report of all that was merged.
    fn pack(&mut self) {
        let Some(deputy) = &mut self.deputy else { return };
        let Some(parcel) = self.ledger.take_parcel() else { return };
        for position in &parcel.positions {
            deputy.alone.remove(position);
        }
        let mut course = std::mem::take(&mut self.tally.course);
        course.add(&self.schedule.take_course());
        let shares = self.tally.take_shares();
        let warnings = std::mem::take(&mut self.tally.warnings);
        deputy.ready.push(Report { parcel, shares, course, warnings });
    }

    /// Tells the parent that an entry cannot be reduced by the team.
    fn give_up(&mut self, position: u32, node: NodeId, error: ShardError, outbox: &mut Outbox) {
        if let Some(deputy) = &mut self.deputy {
            deputy.alone.remove(&position);
            outbox.send(deputy.parent, Message::Failed { job: self.id, position, node, error });
        }
    }
}
