//! `--via`: a cluster that is asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::args::{OutputArgs, RunArgs, ViaArgs};
use super::exit::{self, Blame, Failure};
use super::report::{self, DeviceReport, NodeReport};
use super::secret;
use super::talk::Talk;
use crate::catalogue::{Expansion, Missing, Returned, Unmet};
use crate::client::{Client, ClientError, PATIENCE};
use crate::local::Observer;
use crate::manifest::{File, Manifest};
use crate::node::Stopper;
use crate::op::Spec;
use crate::partial::Partial;
use crate::placement::NodeId;
use crate::shard::ShardErrorKind;
use crate::transport::LinkError;
use crate::wire::{Contribution, Question, Reply, TroubleKind, Usage};

/// How long missing files are looked for before they count as missing.
const GRACE: Duration = Duration::from_secs(2);

/// How often they are looked for.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How often a run is repeated because data were lost meanwhile of which a part is
/// allowed.
const REPEATS_MAX: u32 = 3;

/// The most names that an error lists.
const NAMED_MAX: usize = 16;

/// How long a program that is interrupted takes to say so to the cluster.
const FAREWELL: Duration = Duration::from_millis(200);

/// What ends the connection to the cluster that is asked.
static ASKED: OnceLock<Stopper> = OnceLock::new();

/// Ends the connection to the cluster, if there is one, for a process that is about to
/// end: its jobs there end with it.
pub fn leave() {
    if let Some(stopper) = ASKED.get() {
        stopper.stop(FAREWELL);
    }
}

impl ViaArgs {
    /// The connection to the cluster, which is made on the first call.
    pub fn client(&self) -> Result<&Client, Failure> {
        self.client_within(None)
    }

    /// The same for who has so much time in all.
    pub fn client_within(&self, deadline: Option<Duration>) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        if self.via.is_empty() {
            return Err(Failure::new(
                Blame::Usage,
                "which cluster? say '--via HOST' with any of its nodes",
            ));
        }
        let secret = secret::read(self.token.as_deref())?;
        let mut addrs: Vec<SocketAddr> = Vec::new();
        let mut unknown = Vec::new();
        for endpoint in &self.via {
            match endpoint.addrs() {
                Ok(found) => addrs.extend(found),
                Err(error) => unknown.push(error),
            }
        }
        // One node is enough.
        if addrs.is_empty() {
            return Err(Failure::new(Blame::Cluster, unknown.join("; ")));
        }
        let patience = deadline.unwrap_or(PATIENCE).min(PATIENCE);
        let client = Client::connect_within(&addrs, &secret, patience)
            .map_err(|error| in_time(error, deadline))?;
        // Only the first is asked for jobs.
        let _set_before = ASKED.set(client.stopper());
        Ok(self.client.get_or_init(|| client))
    }
}

/// Who is waited for less long because of a deadline has missed that.
fn in_time(error: ClientError, deadline: Option<Duration>) -> Failure {
    let is_late = match &error {
        ClientError::Late { .. } => true,
        // Who answers and refuses does so in time.
        ClientError::Unreachable { errors, .. } => {
            let refuses = |error: &LinkError| {
                matches!(error, LinkError::Identity | LinkError::Version { .. })
            };
            !errors.iter().any(refuses)
        }
        _ => false,
    };
    match deadline.filter(|deadline| is_late && *deadline < PATIENCE) {
        Some(deadline) => {
            let message = format!("the deadline of {deadline:?} passed: {error}");
            Failure::new(Blame::Deadline, message)
        }
        None => error.into(),
    }
}

/// Repeats what ended because nobody is left who has some of the data, over what is
/// still there, where a part is allowed.
pub fn repeat_where_partial(
    run: &RunArgs,
    output: &OutputArgs,
    answer: impl Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let before = run.via.incomplete.get();
        let ended = answer();
        let lost = run.via.incomplete.get();
        match ended {
            Err(Failure { blame: Blame::Incomplete, message })
                if run.allow_partial && before < lost && lost <= REPEATS_MAX =>
            {
                if !output.quiet && !output.json {
                    exit::say(&format!("adsum: warning: {message}; what is left is asked for"));
                }
            }
            other => return other,
        }
    }
}

/// The files that names and globs stand for in the catalogue of the cluster.
pub fn files(run: &RunArgs, patterns: Vec<String>, talk: &mut Talk) -> Result<Vec<File>, Failure> {
    let client = run.via.client_within(run.deadline)?;
    // A job that lost its data has waited for them.
    let grace = if run.via.incomplete.get() == 0 { GRACE } else { Duration::ZERO };
    let grace = run.deadline.map_or(grace, |deadline| deadline.min(grace));
    let expansion = expand(client, &patterns, run.each_node, grace, run.deadline)?;
    expansion.warnings.iter().for_each(|warning| talk.warning(warning));
    warn_returned(&expansion.removed, talk);
    refuse_unclear(&expansion)?;
    if let Some(unmet) = &expansion.unmet {
        take_unmet(unmet, run.allow_partial && !expansion.files.is_empty(), talk)?;
    }
    if !run.allow_partial && !expansion.unusable.is_empty() {
        return Err(refuse_unusable(&expansion.unusable));
    }
    if run.allow_partial && !expansion.files.is_empty() {
        talk.leave_out(expansion.missing.iter().map(ToString::to_string).collect());
        talk.leave_out(expansion.unusable.clone());
    } else {
        refuse_missing(&expansion.missing)?;
    }
    let files = expansion.files.into_iter().map(|found| match (run.verify, found.file.digest) {
        (true, None) => {
            let message = format!(
                "'{}' cannot be verified, it has not been hashed yet; ask again soon",
                found.file.name()
            );
            Err(Failure::new(Blame::Input, message))
        }
        (verified, _) => Ok(File { verified, ..found.file }),
    });
    files.collect()
}

/// What the patterns stand for. What is missing is looked for a little longer: a node
/// that has just started, or was cut off, has not met all others yet.
fn expand(
    client: &Client,
    patterns: &[String],
    each_node: bool,
    grace: Duration,
    deadline: Option<Duration>,
) -> Result<Expansion, Failure> {
    let give_up = Instant::now() + grace;
    loop {
        let question = Question::Expand { patterns: patterns.to_vec(), each_node };
        let expansion = match client.ask(&question) {
            Ok(Reply::Expanded(expansion)) => Ok(expansion),
            Ok(other) => return Err(client.wrong(&other).into()),
            Err(ClientError::Refused(trouble)) if trouble.kind == TroubleKind::Incomplete => {
                Err(trouble)
            }
            Err(error) => return Err(in_time(error, deadline)),
        };
        let left = give_up.saturating_duration_since(Instant::now());
        let is_whole = expansion.as_ref().is_ok_and(|expansion| {
            let knows_enough = expansion.unmet.as_ref().is_none_or(|unmet| unmet.remembers);
            expansion.missing.is_empty() && knows_enough
        });
        if is_whole || left.is_zero() {
            return expansion.map_err(|trouble| ClientError::Refused(trouble).into());
        }
        // Nobody unparks this thread; if somebody did, it would only ask sooner.
        std::thread::park_timeout(left.min(ASK_AGAIN));
    }
}

/// There may be more than the node knows. One that remembers nothing has no answer; what
/// came since another was there last is for a warning, since nobody may be left to meet.
fn take_unmet(unmet: &Unmet, is_partial_allowed: bool, talk: &mut Talk) -> Result<(), Failure> {
    match (unmet.remembers, is_partial_allowed) {
        (true, _) => talk.warning(&unmet.to_string()),
        (false, true) => talk.leave_out(vec![unmet.to_string()]),
        (false, false) => {
            let message = format!(
                "{unmet}; start a node that it was to join, ask one that is in the cluster, or allow a part with '--allow-partial'"
            );
            return Err(Failure::new(Blame::Incomplete, message));
        }
    }
    Ok(())
}

fn refuse_unusable(reasons: &[String]) -> Failure {
    let named: Vec<&str> = reasons.iter().take(NAMED_MAX).map(String::as_str).collect();
    let (named, more) = (named.join("; "), more(reasons.len()));
    let message = format!(
        "of the files that are meant some cannot be used, {named}{more}; mend or delete them, or leave them out with '--allow-partial'"
    );
    Failure::new(Blame::Input, message)
}

fn refuse_unclear(expansion: &Expansion) -> Result<(), Failure> {
    let conflicts = &expansion.conflicts;
    match conflicts.is_empty() {
        true => Ok(()),
        false => {
            let named = conflicts.iter().take(NAMED_MAX).map(ToString::to_string);
            let named = named.collect::<Vec<_>>().join("; ");
            let more = more(conflicts.len());
            Err(Failure::new(Blame::Input, format!("{named}{more}")))
        }
    }
}

/// Copies that came back after their names were forgotten do not count, which nobody
/// should learn from the number.
fn warn_returned(returned: &[Returned], talk: &mut Talk) {
    returned.iter().take(NAMED_MAX).for_each(|one| talk.warning(&one.to_string()));
    let more = more(returned.len());
    if !more.is_empty() {
        talk.warning(&format!("of names that were removed there are copies again{more}"));
    }
}

fn refuse_missing(missing: &[Missing]) -> Result<(), Failure> {
    match missing.is_empty() {
        true => Ok(()),
        false => {
            let named = missing.iter().take(NAMED_MAX).map(ToString::to_string);
            let named = named.collect::<Vec<_>>().join("; ");
            let more = more(missing.len());
            let files = match missing.len() {
                1 => "a file is".to_owned(),
                count => format!("{count} files are"),
            };
            if missing.iter().all(|missing| !missing.hashing.is_empty()) {
                return Err(Failure::new(
                    Blame::Incomplete,
                    format!(
                        "{files} not known to be what was there before: {named}{more}; or allow a part with '--allow-partial'"
                    ),
                ));
            }
            Err(Failure::new(
                Blame::Incomplete,
                format!(
                    "{files} on no node that is there: {named}{more}; start a node that has them, forget what is gone for good with 'adsum rm NAME', or allow a part with '--allow-partial'"
                ),
            ))
        }
    }
}

fn more(count: usize) -> String {
    match count.saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// What the nodes of a cluster did for this run so far.
#[derive(Default)]
pub struct Remote {
    usage: BTreeMap<(NodeId, u16), Usage>,
    contributions: BTreeMap<NodeId, Contribution>,
}

/// What is told of one job.
pub struct Answered {
    pub total: Partial,
    pub entries: u64,
    pub recalled: u64,
    pub recomputed: u64,
}

impl Remote {
    /// Asks the cluster for the partial of a data set.
    pub fn reduce(
        &mut self,
        client: &Client,
        manifest: &Manifest,
        spec: &Spec,
        left: Option<Duration>,
        deadline: Option<Duration>,
        talk: &mut Talk,
    ) -> Result<Answered, Failure> {
        let progress = |_, bytes_done| talk.progress(bytes_done);
        let (total, finished) = client
            .reduce(manifest, spec, left, progress)
            .map_err(|error| with_whole_deadline(error.into(), left, deadline))?;
        finished.warnings.iter().for_each(|warning| talk.warning(warning));
        for node in finished.nodes {
            for usage in &node.usage {
                let fresh = Usage { device: usage.device, ..Usage::default() };
                self.usage.entry((node.id, usage.device)).or_insert(fresh).add(usage);
            }
            let known = self.contributions.entry(node.id).or_insert_with(|| Contribution {
                entries: 0,
                lost: false,
                ..node.clone()
            });
            known.entries += node.entries;
            known.lost |= node.lost;
        }
        let (entries, recalled) = (finished.entries, finished.recalled);
        Ok(Answered { total, entries, recalled, recomputed: finished.recomputed })
    }

    /// What each device and each node did.
    pub fn reports(&self) -> (Vec<DeviceReport>, Vec<NodeReport>) {
        let devices = self.contributions.values().flat_map(|node| {
            let devices = (node.id, 0)..=(node.id, u16::MAX);
            let usage: Vec<Usage> = self.usage.range(devices).map(|(_, usage)| *usage).collect();
            report::device_reports(&node.devices, &usage, Some(&node.name), 1)
        });
        let nodes = self.contributions.values().map(|node| NodeReport {
            id: node.id.to_string(),
            name: node.name.clone(),
            addr: node.addr.map(|addr| addr.to_string()).unwrap_or_default(),
            shards: node.entries,
            lost: node.lost,
        });
        (devices.collect(), nodes.collect())
    }
}

/// A node knows what was left of the deadline when it was asked. The user gave the
/// whole of it.
fn with_whole_deadline(
    mut failure: Failure,
    left: Option<Duration>,
    deadline: Option<Duration>,
) -> Failure {
    if let (Blame::Deadline, Some(left), Some(whole)) = (failure.blame, left, deadline) {
        failure.message = failure.message.replacen(&format!("{left:?}"), &format!("{whole:?}"), 1);
    }
    failure
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let blame = match &error {
            ClientError::Unreachable { is_identity: true, .. } => Blame::Identity,
            ClientError::Unreachable { .. }
            | ClientError::Late { .. }
            | ClientError::Lost { .. }
            | ClientError::Wrong { .. } => Blame::Cluster,
            ClientError::Deadline { .. } => Blame::Deadline,
            ClientError::Transport(_) => Blame::Internal,
            ClientError::Refused(trouble) => blame_of(trouble.kind),
        };
        Failure::new(blame, error)
    }
}

/// Whose fault it is that a node has no answer.
pub fn blame_of(kind: TroubleKind) -> Blame {
    match kind {
        TroubleKind::Incomplete => Blame::Incomplete,
        TroubleKind::Deadline => Blame::Deadline,
        TroubleKind::Cancelled => Blame::Interrupted,
        TroubleKind::Question => Blame::Input,
        TroubleKind::Busy | TroubleKind::Leaving => Blame::Cluster,
        TroubleKind::Storage | TroubleKind::Shard(ShardErrorKind::Internal) => Blame::Internal,
        TroubleKind::Shard(ShardErrorKind::NoBackend) => Blame::Device,
        TroubleKind::Shard(_) => Blame::Input,
    }
}
