//! One running job on its collector: its ledger, and the messages about it.
//!
//! [`Schedule`] knows which node reduces which entry; here partials go into
//! the ledger and errors come out. A job is collected for requests, or for
//! another collector (`engine/deputy.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::Config;
use super::deputy::Deputy;
use super::outcome::{LAST_HOLDERS_MAX, MISSING_NAMED_MAX};
use super::schedule::{Assignments, Failure, Failures, Schedule};
use super::tally::Tally;
use super::{JobError, Missing, Now, Outbox, Outcome, Unfinished, Warning, teams};
use crate::ledger::{Absorbed, Ledger, Recorded};
use crate::manifest::{JobId, Manifest};
use crate::op::{Monoid, Spec};
use crate::placement::{Holders, NodeId};
use crate::shard::{ShardError, ShardErrorKind};
use crate::wire::{
    EntryResult, FRAME_BYTES_MAX, HOLDERS_MAX, Message, POSITIONS_MAX, Refusal, Report, TEAM_MAX,
    encode,
};

/// The most bytes of a total that deputies merge. Where there are many outputs,
/// merging their entries saves nothing.
const MERGED_BYTES_MAX: u64 = 1 << 20;

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) spec: Spec,
    pub(super) manifest: Arc<Manifest>,
    pub(super) ledger: Ledger,
    pub(super) schedule: Schedule,
    pub(super) tally: Tally,
    /// The collector that this is done for, if it is not for requests.
    pub(super) deputy: Option<Deputy>,
}

/// Goes on, or ends the job.
pub(super) type Step = Result<(), Box<JobError>>;

/// What a job is made of.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) id: JobId,
    pub(super) spec: Spec,
    pub(super) manifest: Arc<Manifest>,
    pub(super) holders: Holders,
}

impl Job {
    /// A job for requests, offered to those of `nodes` that have any of its files.
    pub(super) fn new(
        now: Now,
        description: Description,
        nodes: impl Iterator<Item = NodeId>,
        config: &Config,
        own: NodeId,
    ) -> Job {
        let mut job = Job::begin(description, nodes, config, own, None);
        (0..job.manifest.entries().len() as u32).for_each(|entry| job.schedule.want(now, entry));
        job
    }

    /// A job for another collector, which has not said yet which entries it wants.
    pub(super) fn for_parent(
        description: Description,
        nodes: impl Iterator<Item = NodeId>,
        config: &Config,
        own: NodeId,
        deputy: Deputy,
    ) -> Job {
        Job::begin(description, nodes, config, own, Some(deputy))
    }

    fn begin(
        description: Description,
        nodes: impl Iterator<Item = NodeId>,
        config: &Config,
        own: NodeId,
        deputy: Option<Deputy>,
    ) -> Job {
        let Description { id, spec, manifest, holders } = description;
        let nodes = nodes.filter(|&node| deputy.as_ref().is_none_or(|d| d.may_ask(node)));
        let teams = |mut nodes: Vec<NodeId>| {
            nodes.retain(|&node| node != own);
            // Whoever collects the same job at the same time should have other deputies.
            let salt =
                id.0[..8].iter().zip(own.0).fold(0, |salt, (&a, b)| (salt << 8) | u64::from(a ^ b));
            let is_large = nodes.len() > config.fan_in;
            match is_large && can_be_delegated(id, &spec, &manifest, &holders, nodes.len()) {
                true => teams::form(&nodes, config.fan_in, salt),
                false => Vec::new(),
            }
        };
        Job {
            id,
            ledger: Ledger::new(&spec, manifest.entries().len(), manifest.outputs() as usize),
            schedule: Schedule::new(Arc::clone(&manifest), holders.clone(), nodes, teams),
            tally: Tally::default(),
            spec,
            manifest,
            deputy,
        }
    }

    /// Invites all who may work on it.
    pub(super) fn invite_all(&self, outbox: &mut Outbox) {
        self.schedule.members().for_each(|node| self.invite(node, outbox));
    }

    /// Takes in what another request knows about who has what.
    pub(super) fn add_holders(
        &mut self,
        now: Now,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
        outbox: &mut Outbox,
    ) {
        self.schedule.add_holders(holders, now);
        nodes.for_each(|node| self.admit(node, outbox));
        self.serve(now, outbox);
    }

    /// A node is there: it is invited if it has any of the files.
    pub(super) fn handle_connected(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        self.admit(node, outbox);
        self.serve(now, outbox);
    }

    /// A node is gone: others take over what it had to do.
    pub(super) fn handle_lost(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        if let Some(report) = self.tally.nodes.get_mut(&node) {
            report.lost = true;
        }
        self.schedule.leave_team(now, node);
        let entries = self.remove(now, node, outbox);
        if let Some(deputy) = &mut self.deputy {
            deputy.lose(node);
        }
        if entries > 0 {
            self.tally.warn(Warning::Lost { node, entries });
        }
        self.serve(now, outbox);
    }

    /// A node says how many entries it takes at once. One that refused the job
    /// before takes part from now on; one that has no file of it pulls because
    /// of an offer that came late, and is to drop the job.
    pub(super) fn handle_pull(&mut self, now: Now, node: NodeId, want: u32, outbox: &mut Outbox) {
        if self.may_ask(node) {
            self.schedule.add_member(node);
        }
        if self.schedule.set_want(node, want as usize) {
            self.tally.node(node);
        } else {
            outbox.send(node, Message::Cancel { job: self.id });
        }
        self.serve(now, outbox);
    }

    /// A node sends results. For requests they count whether or not it was asked.
    pub(super) fn handle_results(
        &mut self,
        now: Now,
        node: NodeId,
        results: Vec<EntryResult>,
        want: u32,
        outbox: &mut Outbox,
    ) {
        let asked = self.schedule.answered(now, node, results.iter().map(|r| r.position));
        for result in &results {
            self.take_result(now, node, result, asked.contains(&result.position));
        }
        self.handle_pull(now, node, want, outbox);
    }

    /// A deputy reports.
    pub(super) fn handle_report(
        &mut self,
        now: Now,
        node: NodeId,
        report: &Report,
        want: u32,
        outbox: &mut Outbox,
    ) {
        let positions = report.parcel.positions.iter().copied();
        let asked = self.schedule.answered(now, node, positions);
        self.take_report(now, node, report, &asked);
        self.handle_pull(now, node, want, outbox);
    }

    /// A deputy does not reach some of its team. They are asked from here.
    pub(super) fn handle_unreached(
        &mut self,
        now: Now,
        deputy: NodeId,
        nodes: &[NodeId],
        outbox: &mut Outbox,
    ) {
        let team = self.schedule.team(deputy);
        for &node in nodes.iter().filter(|node| team.contains(node)) {
            self.schedule.leave_team(now, node);
            self.admit(node, outbox);
        }
        self.serve(now, outbox);
    }

    /// A node gives entries back: it reaches nobody who has them. Those who should
    /// have them and are of its team are asked from here.
    pub(super) fn handle_returned(
        &mut self,
        now: Now,
        node: NodeId,
        positions: &[u32],
        outbox: &mut Outbox,
    ) {
        let asked = self.schedule.answered(now, node, positions.iter().copied());
        for position in asked {
            if !self.schedule.contains(position) {
                continue;
            }
            let team = self.schedule.team(node);
            let holders = self.schedule.holders(position).filter(|nodes| !nodes.contains(&node));
            match holders.filter(|_| !team.is_empty()) {
                Some(holders) => {
                    for other in &team & holders {
                        self.schedule.leave_team(now, other);
                        self.admit(other, outbox);
                    }
                }
                // It has the entry itself, or a team that is not known here.
                None => self.dismiss_deputy(now, node, outbox),
            }
            self.schedule.return_entry(now, node, position);
        }
        self.schedule.feed(node);
        self.serve(now, outbox);
    }

    /// A node cannot reduce an entry, because of a failure at itself or another. Only
    /// one that was asked can say so; all else is late.
    pub(super) fn handle_failed(
        &mut self,
        now: Now,
        node: NodeId,
        position: u32,
        failure: Failure,
        outbox: &mut Outbox,
    ) {
        let asked = self.schedule.answered(now, node, [position]);
        if asked.contains(&position) && self.schedule.contains(position) {
            let (by, error) = failure.clone();
            self.tally.warn(Warning::Failed { node: by, position, error });
            self.schedule.fail(now, node, position, failure);
        }
        self.schedule.feed(node);
        self.serve(now, outbox);
    }

    /// A node does not work on this job.
    pub(super) fn handle_refused(
        &mut self,
        now: Now,
        node: NodeId,
        refusal: Refusal,
        outbox: &mut Outbox,
    ) {
        let is_deputy = self.schedule.is_deputy(node);
        if refusal == Refusal::NoWorkers && !is_deputy {
            // It has answered for all that it began.
            self.schedule.unbegin(node);
        }
        self.remove(now, node, outbox);
        match refusal {
            // Not as a deputy, but perhaps as a worker.
            _ if is_deputy => self.admit(node, outbox),
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
            Refusal::Unknown => self.admit(node, outbox),
        }
        self.serve(now, outbox);
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
            let positions = assignments.values().flatten();
            positions.for_each(|&position| self.separate(position, outbox));
            self.assign(assignments, true, outbox);
        }
        Ok(())
    }

    /// When [`Job::handle_timeout`] has something to do, or [`Job::report`].
    pub(super) fn next_timeout(&self, config: &Config) -> Option<Now> {
        let due = self.deputy.as_ref().and_then(Deputy::due);
        self.grace_end(config).into_iter().chain(self.schedule.look_at()).chain(due).min()
    }

    /// To be called after every event.
    pub(super) fn arm(&mut self, now: Now, config: &Config, outbox: &mut Outbox) -> Step {
        if self.deputy.is_some() {
            self.give_back(now, config, outbox);
        } else {
            debug_assert_eq!(
                self.schedule.entries() + self.ledger.covered(),
                self.ledger.entries(),
                "an entry is in no place, or in two"
            );
            if let Some((position, failures)) = self.schedule.take_exhausted() {
                return Err(self.exhausted(position, failures));
            }
        }
        self.schedule.arm(now, config);
        Ok(())
    }

    /// Whether every entry is in the total, which no deputy decides.
    pub(super) fn is_complete(&self) -> bool {
        self.deputy.is_none() && self.ledger.coverage().is_some()
    }

    /// The result of a complete job.
    pub(super) fn into_outcome(mut self) -> Outcome {
        let mut course = self.tally.course;
        course.add(&self.schedule.take_course());
        let (total, coverage) = self.ledger.into_total().expect("the job is complete");
        Outcome {
            total,
            coverage,
            nodes: self.tally.nodes.into_values().collect(),
            usage: self.tally.usage,
            course,
            warnings: self.tally.warnings,
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

    /// The collector that this is done for, if it is not for requests.
    pub(super) fn parent(&self) -> Option<NodeId> {
        self.deputy.as_ref().map(|deputy| deputy.parent)
    }

    fn take_result(&mut self, now: Now, node: NodeId, result: &EntryResult, asked: bool) {
        let position = result.position;
        let manifest = Arc::clone(&self.manifest);
        let Some(entry) = manifest.entry(position) else {
            let message = format!("a result for entry {position}, which the job does not have");
            self.tally.warn(Warning::Misbehaved { node, message });
            return;
        };
        if self.deputy.is_some() && !self.schedule.contains(position) {
            self.tally.course.duplicates += 1;
            return;
        }
        if self.take_alone(node, entry, result) {
            self.schedule.complete(position);
            return;
        }
        self.make_room(1);
        match self.ledger.record(entry, &result.partial) {
            Ok(Recorded::First) => {
                self.schedule.complete(position);
                self.tally.bytes_done += manifest.entry_bytes(entry);
                self.tally.entry(node, &result.usage);
            }
            Ok(Recorded::Duplicate) => self.tally.course.duplicates += 1,
            Err(error) => self.refuse(now, node, asked.then_some(position), &error.to_string()),
        }
    }

    fn take_report(&mut self, now: Now, node: NodeId, report: &Report, asked: &BTreeSet<u32>) {
        let parcel = &report.parcel;
        let open = parcel.positions.iter().filter(|&&p| self.schedule.contains(p)).count();
        self.make_room(parcel.positions.len());
        let outcome = match open {
            // What a deputy has reported is not in its ledger any more.
            0 if self.deputy.is_some() => Ok(Absorbed::Duplicate),
            _ if self.deputy.is_some() && open < parcel.positions.len() => Ok(Absorbed::Overlap),
            _ => self.ledger.absorb(self.manifest.entries(), parcel),
        };
        match outcome {
            Ok(Absorbed::First) => {
                for &position in &parcel.positions {
                    self.schedule.complete(position);
                    let entry = &self.manifest.entries()[position as usize];
                    self.tally.bytes_done += self.manifest.entry_bytes(entry);
                }
                for share in &report.shares {
                    self.tally.share(share.node, share.entries, &share.usage);
                }
                self.tally.course.add(&report.course);
                report.warnings.iter().for_each(|warning| self.tally.warn(warning.clone()));
            }
            Ok(Absorbed::Duplicate) => {
                self.tally.course.duplicates += parcel.positions.len() as u64;
            }
            // Those that are missing are asked again.
            Ok(Absorbed::Overlap) => {
                self.tally.course.duplicates += (parcel.positions.len() - open) as u64;
                for &position in asked {
                    self.schedule.return_entry(now, node, position);
                }
            }
            Err(error) => self.refuse(now, node, asked.iter().copied(), &error.to_string()),
        }
    }

    /// A node sent what cannot be: it is not asked for these entries again.
    fn refuse(
        &mut self,
        now: Now,
        node: NodeId,
        positions: impl IntoIterator<Item = u32>,
        message: &str,
    ) {
        self.tally.warn(Warning::Misbehaved { node, message: message.to_owned() });
        for position in positions {
            if self.schedule.contains(position) {
                let error =
                    ShardError { kind: ShardErrorKind::Internal, message: message.to_owned() };
                self.schedule.fail(now, node, position, (node, error));
            }
        }
    }

    pub(super) fn serve(&mut self, now: Now, outbox: &mut Outbox) {
        let assignments = self.schedule.serve(now);
        self.assign(assignments, false, outbox);
    }

    fn assign(&self, assignments: Assignments, alone: bool, outbox: &mut Outbox) {
        for (node, positions) in assignments {
            for positions in positions.chunks(POSITIONS_MAX) {
                let positions = positions.to_vec();
                outbox.send(node, Message::Assign { job: self.id, positions, alone });
            }
        }
    }

    fn may_ask(&self, node: NodeId) -> bool {
        self.deputy.as_ref().is_none_or(|deputy| deputy.may_ask(node))
    }

    /// Invites a node if it has any of the files and is not invited yet.
    fn admit(&mut self, node: NodeId, outbox: &mut Outbox) {
        if self.may_ask(node) && self.schedule.add_member(node) {
            self.invite(node, outbox);
        }
    }

    fn invite(&self, node: NodeId, outbox: &mut Outbox) {
        let (job, spec, manifest) = (self.id, self.spec.clone(), Arc::clone(&self.manifest));
        let mut team = self.schedule.team(node);
        let message = if !self.schedule.is_deputy(node) {
            Message::Offer { job, spec, manifest }
        } else {
            team.insert(node);
            let holders = self.schedule.holders_among(&team);
            Message::Delegate { job, spec, manifest, team: team.into_iter().collect(), holders }
        };
        outbox.send(node, message);
    }

    /// Takes a node from the members, and asks those who stand behind it from here
    /// on. Returns how many entries it had that nobody else was asked for.
    fn remove(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) -> usize {
        for other in self.schedule.team(node) {
            self.schedule.leave_team(now, other);
            self.admit(other, outbox);
        }
        self.schedule.remove_member(now, node)
    }

    /// Makes a deputy a worker as all others.
    fn dismiss_deputy(&mut self, now: Now, deputy: NodeId, outbox: &mut Outbox) {
        self.remove(now, deputy, outbox);
        outbox.send(deputy, Message::Cancel { job: self.id });
        self.admit(deputy, outbox);
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

    fn exhausted(&self, position: u32, failures: Failures) -> Box<JobError> {
        let entry = &self.manifest.entries()[position as usize];
        let (node, error) = failures.last;
        Box::new(JobError::Shard {
            position,
            name: self.manifest.file(entry).name(),
            node,
            error,
            tried: failures.nodes.len(),
        })
    }
}

/// Whether deputies can collect a job: what they merge stays small, and what they
/// are told fits into a message.
fn can_be_delegated(
    job: JobId,
    spec: &Spec,
    manifest: &Arc<Manifest>,
    holders: &Holders,
    nodes: usize,
) -> bool {
    // Places of a tree that lie apart do not become one.
    if spec.monoids.contains(&Monoid::Tree)
        || manifest.total_bytes_max(spec) > MERGED_BYTES_MAX
        || nodes > TEAM_MAX
    {
        return false;
    }
    let held: usize = match holders {
        Holders::Everyone => 0,
        Holders::PerFile(files) => files.iter().map(|nodes| nodes.len() + 1).sum(),
    };
    let offer = Message::Offer { job, spec: spec.clone(), manifest: Arc::clone(manifest) };
    // A number of a node, a set or a file has three bytes at most, a name 16.
    let bytes = encode(&offer).len() + 6 * (held + manifest.files().len()) + 16 * nodes;
    held <= HOLDERS_MAX && bytes <= FRAME_BYTES_MAX
}
