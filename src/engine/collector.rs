//! The half of an engine that drives jobs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::holders::Holders;
use super::job::{Job, Step};
use super::{JobError, JobRequest, Now, Outbox, Output, RequestId, SubmitError};
use crate::manifest::JobId;
use crate::placement::NodeId;
use crate::shard::ShardError;
use crate::wire::{EntryResult, FRAME_BYTES_MAX, Message, Refusal, encode};

/// The jobs that run here, and the requests that wait for them.
#[derive(Debug)]
pub(super) struct Collector {
    config: Config,
    jobs: BTreeMap<JobId, Job>,
    requests: BTreeMap<RequestId, Request>,
    /// The requests of each job, at least one.
    waiting: BTreeMap<JobId, BTreeSet<RequestId>>,
    deadlines: BTreeSet<(Now, RequestId)>,
    /// Jobs that had results since progress was last reported.
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
        match self.jobs.entry(job) {
            Entry::Occupied(_) => self.step(now, job, outbox, |job, _, outbox| {
                job.add_holders(now, holders, nodes, outbox)
            }),
            Entry::Vacant(place) => {
                place.insert(Job::new(now, job, spec, manifest, holders, nodes));
                self.step(now, job, outbox, |job, _, outbox| {
                    job.offer(outbox);
                    Ok(())
                });
            }
        }
        Ok(())
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
        self.step(now, job, outbox, |job, _, outbox| job.add_holders(now, holders, nodes, outbox));
    }

    /// Ends a request; its job ends with its last one.
    pub(super) fn cancel(&mut self, id: RequestId, outbox: &mut Outbox) {
        self.end_request(id, outbox, |_, _| JobError::Cancelled);
    }

    pub(super) fn handle_connected(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        self.step_all(now, outbox, |job, _, outbox| job.handle_connected(now, node, outbox));
    }

    pub(super) fn handle_lost(&mut self, now: Now, node: NodeId, outbox: &mut Outbox) {
        self.step_all(now, outbox, |job, _, outbox| job.handle_lost(now, node, outbox));
    }

    pub(super) fn handle_pull(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        want: u32,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, _, outbox| {
            job.handle_pull(now, node, want, outbox)
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
        self.step_or_cancel(now, node, id, outbox, |job, _, outbox| {
            job.handle_results(now, node, results, want, outbox)
        });
        if self.jobs.contains_key(&id) {
            self.moved.insert(id);
        }
    }

    pub(super) fn handle_failed(
        &mut self,
        now: Now,
        node: NodeId,
        id: JobId,
        position: u32,
        error: ShardError,
        outbox: &mut Outbox,
    ) {
        self.step_or_cancel(now, node, id, outbox, |job, _, outbox| {
            job.handle_failed(now, node, position, error, outbox)
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
        self.step(now, id, outbox, |job, _, outbox| job.handle_refused(now, node, refusal, outbox));
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

    /// Reports progress where there was any.
    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        for id in std::mem::take(&mut self.moved) {
            let Some(job) = self.jobs.get(&id) else { continue };
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
        match event(job, &self.config, outbox) {
            Ok(()) if !job.is_complete() => job.arm(now, &self.config),
            Ok(()) => self.end(id, None, outbox),
            Err(error) => self.end(id, Some(*error), outbox),
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
        event: impl FnOnce(&mut Job, &Config, &mut Outbox) -> Step,
    ) {
        if self.jobs.contains_key(&id) {
            self.step(now, id, outbox, event);
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
