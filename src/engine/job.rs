//! One running job on its collector: its ledger, and the messages about it.
//!
//! [`Schedule`] knows which node reduces which entry; here partials go into
//! the ledger and errors come out.

use std::sync::Arc;

use super::config::Config;
use super::holders::Holders;
use super::outcome::{LAST_HOLDERS_MAX, MISSING_NAMED_MAX};
use super::schedule::{Assignments, Exhausted, Schedule};
use super::tally::Tally;
use super::{JobError, Missing, Now, Outbox, Outcome, Unfinished, Warning};
use crate::ledger::{Ledger, Recorded};
use crate::manifest::{JobId, Manifest};
use crate::op::Spec;
use crate::placement::NodeId;
use crate::shard::{ShardError, ShardErrorKind};
use crate::wire::{EntryResult, Message, POSITIONS_MAX, Refusal};

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Job {
    id: JobId,
    spec: Spec,
    manifest: Arc<Manifest>,
    ledger: Ledger,
    schedule: Schedule,
    tally: Tally,
}

/// Goes on, or ends the job.
pub(super) type Step = Result<(), Box<JobError>>;

impl Job {
    /// A job that is offered to those of `nodes` that have any of its files.
    pub(super) fn new(
        now: Now,
        id: JobId,
        spec: Spec,
        manifest: Arc<Manifest>,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Job {
        Job {
            id,
            ledger: Ledger::new(&spec, manifest.entries().len(), manifest.outputs() as usize),
            spec,
            schedule: Schedule::new(now, Arc::clone(&manifest), holders, nodes),
            tally: Tally::default(),
            manifest,
        }
    }

    /// Offers the job to all who may work on it.
    pub(super) fn offer(&self, outbox: &mut Outbox) {
        self.schedule.members().for_each(|node| self.offer_to(node, outbox));
    }

    /// Takes in what another request knows about who has what.
    pub(super) fn add_holders(
        &mut self,
        now: Now,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
        outbox: &mut Outbox,
    ) -> Step {
        self.schedule.add_holders(holders, now).map_err(|e| self.exhausted(e))?;
        for node in nodes {
            self.handle_connected(now, node, outbox)?;
        }
        Ok(())
    }

    /// A node is there: it is offered the job if it has any of its files.
    pub(super) fn handle_connected(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) -> Step {
        if self.schedule.add_member(node).map_err(|e| self.exhausted(e))? {
            self.offer_to(node, outbox);
        }
        self.serve(now, outbox);
        Ok(())
    }

    /// A node is gone: others take over what it had to do.
    pub(super) fn handle_lost(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) -> Step {
        if let Some(report) = self.tally.nodes.get_mut(&node) {
            report.lost = true;
        }
        let entries = self.schedule.remove_member(now, node).map_err(|e| self.exhausted(e))?;
        if entries > 0 {
            self.tally.warn(Warning::Lost { node, entries });
        }
        self.serve(now, outbox);
        Ok(())
    }

    /// A node says how many entries it takes at once. One that refused the job
    /// before takes part from now on; one that has no file of it pulls because
    /// of an offer that came late, and is to drop the job.
    pub(super) fn handle_pull(
        &mut self,
        now: Now,
        node: NodeId,
        want: u32,
        outbox: &mut Outbox,
    ) -> Step {
        self.schedule.add_member(node).map_err(|e| self.exhausted(e))?;
        if self.schedule.set_want(node, want as usize) {
            self.tally.node(node);
        } else {
            outbox.send(node, Message::Cancel { job: self.id });
        }
        self.serve(now, outbox);
        Ok(())
    }

    /// A node sends results. They count whether or not it was asked.
    pub(super) fn handle_results(
        &mut self,
        now: Now,
        node: NodeId,
        results: Vec<EntryResult>,
        want: u32,
        outbox: &mut Outbox,
    ) -> Step {
        for result in results {
            self.take_result(now, node, result)?;
        }
        self.handle_pull(now, node, want, outbox)
    }

    /// A node cannot reduce an entry. Only one that was asked can say so; all
    /// else is late.
    pub(super) fn handle_failed(
        &mut self,
        now: Now,
        node: NodeId,
        position: u32,
        error: ShardError,
        outbox: &mut Outbox,
    ) -> Step {
        if self.schedule.answered(now, node, position) && !self.ledger.contains(position) {
            self.tally.warn(Warning::Failed { node, position, error: error.clone() });
            self.schedule.fail(now, node, position, error).map_err(|e| self.exhausted(e))?;
        }
        self.schedule.feed(node);
        self.serve(now, outbox);
        Ok(())
    }

    /// A node does not work on this job.
    pub(super) fn handle_refused(
        &mut self,
        now: Now,
        node: NodeId,
        refusal: Refusal,
        outbox: &mut Outbox,
    ) -> Step {
        self.schedule.remove_member(now, node).map_err(|e| self.exhausted(e))?;
        match refusal {
            // A late refusal is of another run of the job, and the node works
            // on this one. Told to drop it, it answers that it does not know
            // it, and is offered it again.
            Refusal::NoWorkers => outbox.send(node, Message::Cancel { job: self.id }),
            Refusal::Busy => {
                self.tally.warn(Warning::Refused { node, refusal });
                outbox.send(node, Message::Cancel { job: self.id });
            }
            // A late message made it drop the job. Every such message makes
            // one such offer, so this ends.
            Refusal::Unknown => self.handle_connected(now, node, outbox)?,
        }
        self.serve(now, outbox);
        Ok(())
    }

    /// Looks for orphans whose grace is over, and for late entries.
    pub(super) fn handle_timeout(
        &mut self,
        now: Now,
        config: &Config,
        outbox: &mut Outbox,
    ) -> Step {
        if self.grace_end(config).is_some_and(|end| end <= now) {
            return Err(Box::new(JobError::Incomplete { unfinished: self.unfinished() }));
        }
        if self.schedule.look_at().is_some_and(|at| at <= now) {
            let assignments = self.schedule.speculate(now, config);
            self.assign(assignments, outbox);
        }
        Ok(())
    }

    /// When [`Job::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self, config: &Config) -> Option<Now> {
        self.grace_end(config).into_iter().chain(self.schedule.look_at()).min()
    }

    /// To be called after every event.
    pub(super) fn arm(&mut self, now: Now, config: &Config) {
        debug_assert_eq!(
            self.schedule.entries() + self.ledger.covered(),
            self.ledger.entries(),
            "an entry is in no place, or in two"
        );
        self.schedule.arm(now, config);
    }

    /// Whether every entry is in the total.
    pub(super) fn is_complete(&self) -> bool {
        self.ledger.coverage().is_some()
    }

    /// The result of a complete job.
    pub(super) fn into_outcome(self) -> Outcome {
        let (total, coverage) = self.ledger.into_total().expect("the job is complete");
        Outcome {
            total,
            coverage,
            nodes: self.tally.nodes.into_values().collect(),
            usage: self.tally.usage,
            recalled: self.tally.recalled,
            recomputed: self.schedule.reassigned(),
            speculated: self.schedule.speculated(),
            duplicates: self.tally.duplicates,
            warnings: self.tally.warnings,
            warnings_omitted: self.tally.warnings_omitted,
        }
    }

    /// What the job has not done, those entries first that nobody can do.
    pub(super) fn unfinished(&self) -> Unfinished {
        let orphans = self.schedule.orphans();
        let others = self.ledger.missing().filter(|&position| !orphans.contains(position));
        let named = orphans.positions().chain(others).take(MISSING_NAMED_MAX);
        Unfinished {
            missing: named.map(|position| self.missing(position)).collect(),
            missing_count: self.ledger.entries() - self.ledger.covered(),
            entries: self.ledger.entries(),
            warnings: self.tally.warnings.clone(),
        }
    }

    /// Tells all who may work on the job to drop it.
    pub(super) fn dismiss(&self, outbox: &mut Outbox) {
        for node in self.schedule.members() {
            outbox.send(node, Message::Cancel { job: self.id });
        }
    }

    /// Entries in the total, of all; bytes in the total, of all.
    pub(super) fn progress(&self) -> (usize, usize, u64, u64) {
        let (covered, entries) = (self.ledger.covered(), self.ledger.entries());
        (covered, entries, self.tally.bytes_done, self.manifest.bytes())
    }

    fn take_result(&mut self, now: Now, node: NodeId, result: EntryResult) -> Step {
        let EntryResult { position, partial, usage } = result;
        let asked = self.schedule.answered(now, node, position);
        let Some(entry) = self.manifest.entry(position) else {
            let message = format!("a result for entry {position}, which the job does not have");
            self.tally.warn(Warning::Misbehaved { node, message });
            return Ok(());
        };
        match self.ledger.record(entry, &partial) {
            Ok(Recorded::First) => {
                self.schedule.complete(position);
                let bytes = self.manifest.entry_bytes(entry);
                self.tally.entry(node, bytes, &usage);
            }
            Ok(Recorded::Duplicate) => self.tally.duplicates += 1,
            Err(error) => {
                let message = error.to_string();
                self.tally.warn(Warning::Misbehaved { node, message: message.clone() });
                if asked && !self.ledger.contains(position) {
                    let error = ShardError { kind: ShardErrorKind::Internal, message };
                    self.schedule
                        .fail(now, node, position, error)
                        .map_err(|e| self.exhausted(e))?;
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self, now: Now, outbox: &mut Outbox) {
        let assignments = self.schedule.serve(now);
        self.assign(assignments, outbox);
    }

    fn assign(&self, assignments: Assignments, outbox: &mut Outbox) {
        for (node, positions) in assignments {
            for positions in positions.chunks(POSITIONS_MAX) {
                let positions = positions.to_vec();
                outbox.send(node, Message::Assign { job: self.id, positions });
            }
        }
    }

    fn offer_to(&self, node: NodeId, outbox: &mut Outbox) {
        let manifest = Arc::clone(&self.manifest);
        outbox.send(node, Message::Offer { job: self.id, spec: self.spec.clone(), manifest });
    }

    fn grace_end(&self, config: &Config) -> Option<Now> {
        self.schedule.orphans().oldest().map(|since| since.saturating_add(config.holder_grace))
    }

    fn missing(&self, position: u32) -> Missing {
        let entry = &self.manifest.entries()[position as usize];
        let last_holders = match self.schedule.holders(position) {
            Some(holders) => holders.iter().copied().take(LAST_HOLDERS_MAX).collect(),
            None => self.tally.lost().take(LAST_HOLDERS_MAX).collect(),
        };
        Missing {
            position,
            name: self.manifest.file(entry).name(),
            range: entry.elements.clone(),
            last_holders,
        }
    }

    fn exhausted(&self, Exhausted { position }: Exhausted) -> Box<JobError> {
        let entry = &self.manifest.entries()[position as usize];
        let failures = self.schedule.failures(position).expect("the holders failed it");
        let (node, error) = failures.last.clone();
        Box::new(JobError::Shard {
            position,
            name: self.manifest.file(entry).name(),
            node,
            error,
            tried: failures.nodes.len(),
        })
    }
}
