//! Questions, and what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::requests::Request;
use super::{Met, Output, Service, holder};
use crate::catalogue::{CatalogueError, Holder};
use crate::engine::{Holders, JobError, JobRequest, Outcome, RequestId, SubmitError};
use crate::manifest::{Cut, File, JobId, Manifest};
use crate::op::Spec;
use crate::placement::NodeId;
use crate::wire::{
    Bytes, Contribution, FRAME_BYTES_MAX, Finished, JobStatus, LINES_MAX, MemberInfo, Message,
    NAMES_MAX, NodeStatus, PATTERNS_MAX, Question, Reply, Trouble, TroubleKind, Usage,
};

/// The most questions of one peer that wait for an answer.
pub(super) const ASKS_MAX: usize = 64;

/// The most bytes that the result of a job may take, by the bound of them that is
/// known before: the bound may be twice the bytes, which are checked in the end.
const RESULT_BYTES_MAX: u64 = 2 * FRAME_BYTES_MAX as u64;

/// The most problems with files that a status names.
const PROBLEMS_MAX: usize = 64;

impl Service {
    pub(super) fn handle_ask(&mut self, from: NodeId, ask: u64, question: Question) {
        let reply = match question {
            Question::Members => Ok(Reply::Members(self.member_infos())),
            Question::Expand { patterns, each_node } => self.expand(&patterns, each_node),
            Question::List => self.list(),
            Question::Names { names } => self.names(&names),
            Question::Status => Ok(Reply::Status(Box::new(self.status()))),
            Question::Remove { name } => self.remove(&name),
            Question::Cancel { job } => self.cancel_jobs(&job),
            Question::Submit { .. } | Question::Place { .. } if self.retired => {
                let name = &self.hello.name;
                let message = format!("node {name} is about to leave; ask another one");
                Err(Trouble::new(TroubleKind::Leaving, message))
            }
            // These are answered when it is done.
            Question::Submit { spec, files, cut, deadline } => {
                match self.submit(from, ask, spec, files, cut, deadline) {
                    Ok(()) => return,
                    Err(trouble) => Err(trouble),
                }
            }
            Question::Place { name, array, digest } => {
                match self.place(from, ask, name, array, digest) {
                    Ok(()) => return,
                    Err(trouble) => Err(trouble),
                }
            }
            Question::Piece { place, offset, bytes: Bytes(bytes) } => {
                match self.piece(from, ask, place, offset, bytes) {
                    Ok(()) => return,
                    Err(trouble) => Err(trouble),
                }
            }
            Question::Seal { place } => match self.seal(from, ask, place) {
                Ok(()) => return,
                Err(trouble) => Err(trouble),
            },
        };
        self.reply(from, ask, reply.unwrap_or_else(Reply::Refused));
    }

    /// The asker does not want to know any more.
    pub(super) fn withdraw(&mut self, from: NodeId, ask: u64) {
        if let Some(request) = self.requests.of_ask(from, ask) {
            self.requests.remove(request);
            self.outputs.push_back(Output::Cancel(request));
        }
        self.withdraw_place(from, ask);
    }

    /// How far a request is.
    pub fn handle_progress(&mut self, id: RequestId, entries_done: u64, bytes_done: u64) {
        if let Some(request) = self.requests.get_mut(id) {
            (request.entries_done, request.bytes_done) = (entries_done, bytes_done);
            let (asker, ask) = (request.asker, request.ask);
            self.reply(asker, ask, Reply::Progress { entries_done, bytes_done });
        }
    }

    /// A request has ended.
    pub fn handle_finished(&mut self, id: RequestId, result: Result<Outcome, JobError>) {
        let Some(request) = self.requests.remove(id) else { return };
        let reply = match result {
            Ok(outcome) => Reply::Finished(Box::new(self.finished(outcome))),
            Err(error) => {
                let kind = match &error {
                    JobError::Incomplete { .. } => TroubleKind::Incomplete,
                    JobError::Deadline { .. } => TroubleKind::Deadline,
                    JobError::Shard { error, .. } => TroubleKind::Shard(error.kind),
                    JobError::Cancelled => TroubleKind::Cancelled,
                };
                Reply::Refused(Trouble::new(kind, self.named(&error.to_string())))
            }
        };
        self.reply(request.asker, request.ask, reply);
    }

    /// The engine did not take a request.
    pub fn handle_refused(&mut self, id: RequestId, error: &SubmitError) {
        let Some(request) = self.requests.remove(id) else { return };
        let kind = match error {
            SubmitError::Busy { .. } => TroubleKind::Busy,
            _ => TroubleKind::Question,
        };
        self.reply(request.asker, request.ask, Reply::Refused(Trouble::new(kind, error)));
    }

    fn expand(&self, patterns: &[String], each: bool) -> Result<Reply, Trouble> {
        if patterns.len() > PATTERNS_MAX {
            let message = format!("{} names and globs, the most is {PATTERNS_MAX}", patterns.len());
            return Err(Trouble::new(TroubleKind::Question, message));
        }
        // What a name means that is known is known for ever.
        let is_open = patterns.iter().any(|pattern| !self.catalogue.knows(pattern));
        let unmet = self.company.unmet(&self.hello.name).filter(|_| is_open);
        let mut expansion = match (self.catalogue.expand(patterns, each), &unmet) {
            (Err(error @ CatalogueError::NoMatch { .. }), Some(unmet)) => {
                return Err(Trouble::new(TroubleKind::Incomplete, format!("{error}; {unmet}")));
            }
            (expansion, _) => expansion?,
        };
        few(expansion.files.len(), "use a narrower glob")?;
        expansion.unmet = unmet;
        Ok(Reply::Expanded(expansion))
    }

    fn list(&self) -> Result<Reply, Trouble> {
        let names = self.catalogue.list();
        few(names.len(), "ask for names one by one, by a reduction over a glob")?;
        Ok(Reply::Listed(names))
    }

    fn names(&self, names: &[String]) -> Result<Reply, Trouble> {
        if names.len() > PATTERNS_MAX {
            let message = format!("{} names, the most is {PATTERNS_MAX}", names.len());
            return Err(Trouble::new(TroubleKind::Question, message));
        }
        Ok(Reply::Listed(self.catalogue.list_of(names)))
    }

    fn remove(&mut self, name: &str) -> Result<Reply, Trouble> {
        let removed = self.catalogue.remove(name)?;
        self.tell_known(name);
        Ok(Reply::Removed(removed))
    }

    fn cancel_jobs(&mut self, prefix: &str) -> Result<Reply, Trouble> {
        let meant: BTreeMap<RequestId, JobId> = self
            .requests
            .all()
            .filter(|(_, request)| request.job.to_string().starts_with(prefix))
            .map(|(id, request)| (id, request.job))
            .collect();
        if prefix.is_empty() || meant.is_empty() {
            let message = format!("no job '{prefix}' runs here; see 'adsum status --via HOST'");
            return Err(Trouble::new(TroubleKind::Question, message));
        }
        let jobs: BTreeSet<JobId> = meant.values().copied().collect();
        // The engine tells that they ended, and the askers hear it by that.
        self.outputs.extend(meant.into_keys().map(Output::Cancel));
        Ok(Reply::Cancelled(jobs.into_iter().collect()))
    }

    fn submit(
        &mut self,
        asker: NodeId,
        ask: u64,
        spec: Spec,
        files: Vec<File>,
        cut: Cut,
        deadline: Option<Duration>,
    ) -> Result<(), Trouble> {
        let question = |message: String| Trouble::new(TroubleKind::Question, message);
        if self.requests.of_asker(asker).len() >= ASKS_MAX {
            let message =
                format!("{ASKS_MAX} requests of one asker are running, which is the most");
            return Err(Trouble::new(TroubleKind::Busy, message));
        }
        if self.requests.of_ask(asker, ask).is_some() {
            return Err(question(format!("question {ask} is being answered already")));
        }
        let manifest = Manifest::cut(files, cut).map_err(|error| question(error.to_string()))?;
        if !manifest.suits(&spec) {
            return Err(question(format!("{spec:?} cannot be carried out over this data")));
        }
        // The total is there from the start, and must fit into the answer.
        let got = manifest.total_bytes_max(&spec);
        if got > RESULT_BYTES_MAX {
            let message = format!(
                "{} results take up to {got} bytes, the most is {RESULT_BYTES_MAX}; ask for fewer at once",
                manifest.outputs()
            );
            return Err(question(message));
        }
        let manifest = Arc::new(manifest);
        let holders = self.holders_of(&manifest);
        check_pairs(&manifest, &holders)?;
        let id = self.requests.add(Request {
            asker,
            ask,
            job: manifest.job_id(&spec),
            manifest: Arc::clone(&manifest),
            entries_done: 0,
            bytes_done: 0,
        });
        self.outputs.push_back(Output::Submit(JobRequest {
            id,
            manifest,
            spec,
            holders,
            deadline,
        }));
        Ok(())
    }

    fn finished(&self, outcome: Outcome) -> Finished {
        let nodes = outcome.nodes.iter().map(|report| {
            let own = report.id == self.hello.node;
            let met = self.met.get(&report.id);
            let hello = if own { Some(&self.hello) } else { met.map(|met| &met.hello) };
            let addr =
                if own { self.hello.addrs.first().copied() } else { met.map(|met| met.addr) };
            let devices = (report.id, 0)..=(report.id, u16::MAX);
            Contribution {
                id: report.id,
                name: hello.map(|hello| hello.name.clone()).unwrap_or_default(),
                addr,
                entries: report.entries,
                lost: report.lost,
                devices: hello.map(|hello| hello.devices.clone()).unwrap_or_default(),
                workers: hello.map_or(0, |hello| hello.workers),
                usage: outcome
                    .usage
                    .range(devices)
                    .map(|(_, &usage)| usage)
                    .collect::<Vec<Usage>>(),
            }
        });
        let mut warnings: Vec<String> =
            outcome.warnings.iter().map(|warning| self.named(&warning.to_string())).collect();
        if outcome.course.warnings_omitted > 0 {
            warnings
                .push(format!("{} more warnings are left out", outcome.course.warnings_omitted));
        }
        Finished {
            total: outcome.total.to_bytes(),
            entries: outcome.coverage.entries() as u64,
            nodes: nodes.collect(),
            recalled: outcome.course.recalled,
            recomputed: outcome.course.recomputed,
            warnings,
        }
    }

    /// A text with the names of nodes beside their ids.
    pub(super) fn named(&self, text: &str) -> String {
        let own = std::iter::once((self.hello.node, &self.hello.name));
        let met = self.met.iter().map(|(&id, met)| (id, &met.hello.name));
        let names: BTreeMap<String, &String> =
            own.chain(met).map(|(id, name)| (id.to_string(), name)).collect();
        let digits = self.hello.node.to_string().len();
        // Once from left to right: a name may look like an id itself.
        let (mut named, mut rest) = (String::new(), text);
        while let Some(next) = rest.chars().next() {
            let word = rest.get(..digits).and_then(|word| Some((word, names.get(word)?)));
            let step = match word {
                Some((id, name)) => {
                    named.push_str(&format!("{name} ({id})"));
                    id.len()
                }
                None => {
                    named.push(next);
                    next.len_utf8()
                }
            };
            rest = &rest[step..];
        }
        named
    }

    fn member_infos(&self) -> Vec<MemberInfo> {
        let others = self.membership.members().into_iter();
        let workers = |node: NodeId| self.met.get(&node).map_or(0, |met: &Met| met.hello.workers);
        let others = others.map(|member| MemberInfo {
            id: member.node,
            name: member.name.clone(),
            addrs: member.addrs.clone(),
            workers: workers(member.node),
        });
        std::iter::once(self.own_info()).chain(others).collect()
    }

    fn own_info(&self) -> MemberInfo {
        let hello = &self.hello;
        MemberInfo {
            id: hello.node,
            name: hello.name.clone(),
            addrs: hello.addrs.clone(),
            workers: hello.workers,
        }
    }

    fn status(&self) -> NodeStatus {
        let mut jobs: BTreeMap<JobId, JobStatus> = BTreeMap::new();
        for (_, request) in self.requests.all() {
            let status = jobs.entry(request.job).or_insert_with(|| JobStatus {
                job: request.job,
                entries_done: 0,
                entries: request.manifest.entries().len() as u64,
                bytes_done: 0,
                bytes: request.manifest.bytes(),
                askers: Vec::new(),
            });
            status.entries_done = status.entries_done.max(request.entries_done);
            status.bytes_done = status.bytes_done.max(request.bytes_done);
            let asker = self.met.get(&request.asker);
            status.askers.push(asker.map(|met| met.addr.to_string()).unwrap_or_default());
        }
        let unmet = self.company.unmet(&self.hello.name);
        let unmet = unmet.iter().map(ToString::to_string);
        NodeStatus {
            node: self.own_info(),
            usage: self.pace.usage(),
            replicas: self.catalogue.replicas(),
            devices: self.hello.devices.clone(),
            workers: self.hello.workers,
            files: self.held.len() as u64,
            bytes: self.held.iter().map(|held| held.array.bytes().unwrap_or(0)).sum(),
            unhashed: self.held.iter().filter(|held| held.digest.is_none()).count() as u64,
            problems: unmet
                .chain(self.problems.iter().map(|file| file.reason.clone()))
                .take(PROBLEMS_MAX)
                .collect(),
            connected: self.members(),
            gone: self.gone(),
            jobs: jobs.into_values().collect(),
        }
    }

    /// Nodes that people may look for in vain.
    fn gone(&self) -> Vec<(NodeId, Holder)> {
        let met = self.met.iter().filter(|(_, met)| !met.hello.addrs.is_empty());
        let met = met.map(|(&id, met)| (id, holder(&met.hello)));
        let mut gone: BTreeMap<NodeId, Holder> = self.catalogue.missed_holders();
        gone.extend(met);
        let members = self.member_infos();
        // One that lost its state is there under another id.
        let is_there = |id: NodeId, holder: &Holder| {
            let at = |addr: &SocketAddr| addr.to_string() == holder.addr;
            let same = |member: &MemberInfo| member.id == id || member.addrs.iter().any(at);
            members.iter().any(same)
        };
        gone.retain(|&id, holder| !is_there(id, holder));
        gone.into_iter().take(LINES_MAX).collect()
    }

    fn reply(&mut self, to: NodeId, ask: u64, reply: Reply) {
        let got = reply.message_bytes();
        let reply = match got <= FRAME_BYTES_MAX {
            true => reply,
            false => {
                let message = format!(
                    "the answer takes {got} bytes, a message has at most {FRAME_BYTES_MAX}; ask for less at once"
                );
                Reply::Refused(Trouble::new(TroubleKind::Question, message))
            }
        };
        self.send(to, Message::Reply { ask, reply: Box::new(reply) });
    }
}

/// Of two data sets, files that are reduced side by side must lie on one node.
fn check_pairs(manifest: &Manifest, holders: &Holders) -> Result<(), Trouble> {
    let Holders::PerFile(holders) = holders else { return Ok(()) };
    for entry in manifest.entries() {
        if let Some((second, _)) = entry.second
            && holders[entry.file as usize].is_empty()
        {
            let (first, second) = (manifest.file(entry), &manifest.files()[second as usize]);
            let message = format!(
                "no node that is there has both '{}' and '{}', which are reduced side by side; put both onto one, as with 'adsum put --replicas', or start the node that has them",
                first.name(),
                second.name()
            );
            return Err(Trouble::new(TroubleKind::Incomplete, message));
        }
    }
    Ok(())
}

fn few(names: usize, way_out: &str) -> Result<(), Trouble> {
    match names <= NAMES_MAX {
        true => Ok(()),
        false => {
            let message = format!("{names} names, an answer has at most {NAMES_MAX}; {way_out}");
            Err(Trouble::new(TroubleKind::Question, message))
        }
    }
}

impl From<CatalogueError> for Trouble {
    fn from(error: CatalogueError) -> Trouble {
        Trouble::new(TroubleKind::Question, error)
    }
}
