//! The half of an engine that drives jobs, for requests or for other collectors.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::deputy::Deputy;
use super::job::{Description, Job, Step};
use super::schedule::Failure;
use super::{JobError, JobRequest, Now, Outbox, Output, RequestId, SubmitError};
use crate::manifest::JobId;
use crate::placement::{Holders, NodeId};
use crate::wire::{EntryResult, FRAME_BYTES_MAX, Message, Refusal, Report, encode};

/// The jobs that run here, and the requests that wait for them.
#[derive(Debug)]
pub(super) struct Collector {
    config: Config,
    jobs: BTreeMap<JobId, Job>,
    requests: BTreeMap<RequestId, Request>,
    /// The requests of each job, at least one; none of a job for another collector.
    waiting: BTreeMap<JobId, BTreeSet<RequestId>>,
    deadlines: BTreeSet<(Now, RequestId)>,
    /// Jobs of which something may have to be reported.
    moved: BTreeSet<JobId>,
}

#[derive(Debug)]
struct Request {
    job: JobId,
    /// How long it may take, and when that is over.
    deadline: Option<(Duration, Now)>,
}

impl Collector {
    pub(super) fn new(config: Config) -> Collector {
        Collector {
            config,
            jobs: BTreeMap::new(),
            requests: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            moved: BTreeSet::new(),
        }
    }

    /// Starts a job among `nodes`, the connected ones and this, or joins it.
    pub(super) fn submit(
        &mut self,
        now: Now,
        request: JobRequest,
        nodes: impl Iterator<Item = NodeId>,
        outbox: &mut Outbox,
    ) -> Result<(), SubmitError> {
        let job = request.manifest.job_id(&request.spec);
        self.check(job, &request)?;
        let JobRequest { id, manifest, spec, holders, deadline } = request;
        let deadline = deadline.map(|limit| (limit, now.saturating_add(limit)));
        self.deadlines.extend(deadline.map(|(_, end)| (end, id)));
        self.requests.insert(id, Request { job, deadline });
        self.waiting.entry(job).or_default().insert(id);
        // One node collects a job for one only, and a request comes first.
        self.end_deputy(job, |_| true, outbox);
        match self.jobs.entry(job) {
            Entry::Occupied(_) => self.step(now, job, outbox, |job, _, outbox| {
                job.add_holders(now, holders, nodes, outbox);
                Ok(())
            }),
            Entry::Vacant(place) => {
                let description = Description { id: job, spec, manifest, holders };
                place.insert(Job::new(now, description, nodes, &self.config, outbox.own));
                self.step(now, job, outbox, |job, _, outbox| {
                    job.invite_all(outbox);
                    Ok(())
                });
            }
        }
        Ok(())
    }

    /// Another collector asks this node to collect for it from a team of `nodes`,
    /// the connected ones and this.
    pub(super) fn handle_delegate(
        &mut self,
        now: Now,
        from: NodeId,
        description: Description,
        team: Vec<NodeId>,
        nodes: impl Iterator<Item = NodeId>,
        outbox: &mut Outbox,
    ) {
        let id = description.id;
        let entries = description.manifest.entries().len();
        match self.jobs.get(&id) {
            Some(job) if job.parent() == Some(from) => return,
            None if self.jobs.len() < self.config.jobs_max && self.has_room(entries) => {}
            _ => {
                outbox.send(from, Message::Refused { job: id, refusal: Refusal::Unknown });
                return;
            }
        }
        let own = outbox.own;
        let nodes: BTreeSet<NodeId> = nodes.collect();
        let reached = |node: NodeId| node == own || nodes.contains(&node);
        let deputy = Deputy::new(from, team.into_iter().collect(), reached);
        let job =
            Job::for_parent(description, nodes.iter().copied(), &self.config, outbox.own, deputy);
        self.jobs.insert(id, job);
        self.step(now, id, outbox, |job, _, outbox| {
            job.invite_all(outbox);
            Ok(())
        });
    }

    /// Whether this node collects a job for `parent`.
    pub(super) fn is_deputy(&self, id: JobId, parent: NodeId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.parent() == Some(parent))
    }

    /// The collector that this node collects a job for assigns entries of it.
    pub(super) fn handle_share(
        &mut self,
        now: Now,
        id: JobId,
        positions: Vec<u32>,
        alone: bool,
        outbox: &mut Outbox,
    ) {
        self.step(now, id, outbox, |job, _, outbox| {
            job.handle_share(now, positions, alone, outbox);
            Ok(())
        });
    }

    /// The collector that this node collects a job for does not need it any more. It
    /// is told that the job was dropped, in case that the message came late and
    /// was not meant for this run.
    pub(super) fn handle_dismissed(&mut self, id: JobId, from: NodeId, outbox: &mut Outbox) {
        self.end_deputy(id, |parent| parent == from, outbox);
    }

    /// Takes in what is known by now of who has what.
    pub(super) fn add_holders(
        &mut self,
        now: Now,
        request: RequestId,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
        outbox: &mut Outbox,
    ) {
        let Some(job) = self.requests.get(&request).map(|request| request.job) else { return };
        self.step(now, job, outbox, |job, _, outbox| {
            job.add_holders(now, holders, nodes, outbox);
            Ok(())
        });
    }

    /// Whether nothing is collected here.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Ends a request; its job ends with its last one.
    pub(super) fn cancel(&mut self, id: RequestId, outbox: &mut Outbox) {
        self.end_request(id, outbox, |_, _| JobError::Cancelled);
    }

    pub(super) fn handle_connected(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        self.step_all(now, outbox, |job, _, outbox| {
            job.handle_connected(now, node, outbox);
            Ok(())
        });
    }

    pub(super) fn handle_lost(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        let all: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in all {
            self.end_deputy(id, |parent| parent == node, outbox);
        }
        self.step_all(now, outbox, |job, _, outbox| {
            job.handle_lost(now, node, outbox);
            Ok(())
        });
    }

    pub(super) fn handle_pull(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        want: u32,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_pull(now, node, want, outbox);
        });
    }

    pub(super) fn handle_results(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        results: Vec<EntryResult>,
        want: u32,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_results(now, node, results, want, outbox);
        });
        self.note_moved(id);
    }

    pub(super) fn handle_report(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        report: &Report,
        want: u32,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_report(now, node, report, want, outbox);
        });
        self.note_moved(id);
    }

    pub(super) fn handle_unreached(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        nodes: &[NodeId],
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_unreached(now, node, nodes, outbox);
        });
    }

    pub(super) fn handle_returned(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        positions: &[u32],
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_returned(now, node, positions, outbox);
        });
    }

    pub(super) fn handle_failed(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        position: u32,
        failure: Failure,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, outbox| {
            job.handle_failed(now, node, position, failure, outbox);
        });
    }

    pub(super) fn handle_refused(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        refusal: Refusal,
        outbox: &mut Outbox,
    ) {
        // Of a job that is no more this is what should be.
        self.step(now, id, outbox, |job, _, outbox| {
            job.handle_refused(now, node, refusal, outbox);
            Ok(())
        });
    }

    pub(super) fn handle_timeout(&mut self, now: Now, outbox: &mut Outbox) {
        while let Some(&(end, id)) = self.deadlines.first()
            && end <= now
        {
            self.end_request(id, outbox, |limit, job| JobError::Deadline {
                limit,
                unfinished: job.unfinished(),
            });
        }
        self.step_all(now, outbox, |job, config, outbox| job.handle_timeout(now, config, outbox));
    }

    pub(super) fn next_timeout(&self) -> Option<Now> {
        let jobs = self.jobs.values().filter_map(|job| job.next_timeout(&self.config));
        self.deadlines.first().map(|&(end, _)| end).into_iter().chain(jobs).min()
    }

    /// Reports progress where there was any, and what deputies have for others.
    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        for id in std::mem::take(&mut self.moved) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.parent().is_some() {
                job.report(outbox);
                continue;
            }
            let (entries_done, entries, bytes_done, bytes) = job.progress();
            for &request in &self.waiting[&id] {
                outbox.push(Output::Progress { request, entries_done, entries, bytes_done, bytes });
            }
        }
    }

    fn check(&self, job: JobId, request: &JobRequest) -> Result<(), SubmitError> {
        let JobRequest { id, manifest, spec, holders, .. } = request;
        if self.requests.contains_key(id) {
            return Err(SubmitError::Duplicate { id: id.0 });
        }
        if spec.dtype != manifest.dtype() {
            return Err(SubmitError::DTypes { spec: spec.dtype, manifest: manifest.dtype() });
        }
        if !manifest.suits(spec) {
            return Err(SubmitError::Spec { spec: spec.clone() });
        }
        if let Holders::PerFile(files) = holders
            && files.len() != manifest.files().len()
        {
            let expected = manifest.files().len();
            return Err(SubmitError::Holders { expected, got: files.len() });
        }
        if self.requests.len() >= self.config.requests_max {
            return Err(SubmitError::Busy { what: "requests", max: self.config.requests_max });
        }
        if self.jobs.contains_key(&job) {
            return Ok(());
        }
        if self.jobs.len() >= self.config.jobs_max {
            return Err(SubmitError::Busy { what: "jobs", max: self.config.jobs_max });
        }
        if !self.has_room(manifest.entries().len()) {
            return Err(SubmitError::Busy { what: "entries", max: self.config.entries_max });
        }
        let offer = Message::Offer { job, spec: spec.clone(), manifest: Arc::clone(manifest) };
        let got = encode(&offer).len();
        if got > FRAME_BYTES_MAX {
            return Err(SubmitError::ManifestBytes { max: FRAME_BYTES_MAX, got });
        }
        Ok(())
    }

    /// Lets something happen to a job, and ends the job if that was its end.
    fn step(
        &mut self,
        now: Now,
        id: JobId,
        outbox: &mut Outbox,
        event: impl FnOnce(&mut Job, &Config, &mut Outbox) -> Step,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let outcome = event(job, &self.config, outbox);
        if job.is_complete() {
            self.end(id, None, outbox);
        } else if let Err(error) = outcome.and_then(|()| job.arm(now, &self.config, outbox)) {
            self.end(id, Some(*error), outbox);
        } else if job.parent().is_some() {
            self.moved.insert(id);
        }
    }

    fn note_moved(&mut self, id: JobId) {
        if self.jobs.contains_key(&id) {
            self.moved.insert(id);
        }
    }

    /// Whether so many entries more can be collected here.
    fn has_room(&self, entries: usize) -> bool {
        let held: usize = self.jobs.values().map(|job| job.manifest.entries().len()).sum();
        held == 0 || held + entries <= self.config.entries_max
    }

    /// Ends a job that is for another collector, if that `is` the one, and says so.
    fn end_deputy(&mut self, id: JobId, is: impl Fn(NodeId) -> bool, outbox: &mut Outbox) {
        let Some(parent) = self.jobs.get(&id).and_then(Job::parent).filter(|&parent| is(parent))
        else {
            return;
        };
        if let Some(job) = self.jobs.remove(&id) {
            job.dismiss(outbox);
            outbox.send(parent, Message::Refused { job: id, refusal: Refusal::Unknown });
        }
    }

    /// As [`Collector::step`] for a message of `node`. If there is no such job,
    /// the node should not have it either.
    fn step_or_cancel(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        outbox: &mut Outbox,
        event: impl FnOnce(&mut Job, &mut Outbox),
    ) {
        if self.jobs.contains_key(&id) {
            self.step(now, id, outbox, |job, _, outbox| {
                event(job, outbox);
                Ok(())
            });
        } else {
            outbox.send(node, Message::Cancel { job: id });
        }
    }

    fn step_all(
        &mut self,
        now: Now,
        outbox: &mut Outbox,
        mut event: impl FnMut(&mut Job, &Config, &mut Outbox) -> Step,
    ) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.step(now, id, outbox, &mut event);
        }
    }

    /// Ends a job: with an error, or complete.
    fn end(&mut self, id: JobId, error: Option<JobError>, outbox: &mut Outbox) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.moved.remove(&id);
        job.dismiss(outbox);
        let result = match error {
            Some(error) => Err(error),
            None => Ok(job.into_outcome()),
        };
        for request in self.waiting.remove(&id).unwrap_or_default() {
            self.forget(request);
            outbox.push(Output::Finished { request, result: result.clone() });
        }
    }

    /// Ends one request with the error that `reason` makes of its time limit
    /// (zero without one) and its job; and its job, if it was the last.
    fn end_request(
        &mut self,
        id: RequestId,
        outbox: &mut Outbox,
        reason: impl FnOnce(Duration, &Job) -> JobError,
    ) {
        let Some(request) = self.requests.get(&id) else { return };
        let (job_id, limit) = (request.job, request.deadline.map_or(Duration::ZERO, |d| d.0));
        let Some(job) = self.jobs.get(&job_id) else { return };
        let result = Err(reason(limit, job));
        outbox.push(Output::Finished { request: id, result });
        self.forget(id);
        if let Some(requests) = self.waiting.get_mut(&job_id) {
            requests.remove(&id);
            if requests.is_empty() {
                self.waiting.remove(&job_id);
                self.moved.remove(&job_id);
                if let Some(job) = self.jobs.remove(&job_id) {
                    job.dismiss(outbox);
                }
            }
        }
    }

    fn forget(&mut self, id: RequestId) {
        if let Some(Request { deadline: Some((_, end)), .. }) = self.requests.remove(&id) {
            self.deadlines.remove(&(end, id));
        }
    }
}
