//! `adsum put`: files of this machine onto nodes of a cluster.
//!
//! All files are hashed first. What the cluster knows of their names then says whether
//! they may be placed, and which nodes have them; only what is missing is sent. So a
//! run that was interrupted can be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::args::PutArgs;
use super::exit::{self, Blame, Failure};
use super::progress::Progress;
use super::report::{SCHEMA, decimal_bytes};
use crate::catalogue::{Copies, Listed};
use crate::client::Client;
use crate::inventory::{self, DigestError};
use crate::placement::{EntryKey, NodeId, rendezvous_order};
use crate::wire::MemberInfo;

mod parcel;
mod sending;

use parcel::Parcel;
use sending::{Outcome, Sent, Task};

/// What is said when somebody ends it.
pub const INTERRUPTED: &str = "interrupted; files that are whole on their nodes stay there, of others nothing does; repeat this to send what is missing";

/// How long nodes may take to hash what they have under the names.
const HASH_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take until all is told of in the cluster.
const TELL_PATIENCE: Duration = Duration::from_secs(10);

/// How often a node that was lost is tried again with a file.
const RETRIES_MAX: usize = 2;

/// How often the cluster is asked meanwhile.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// Places files and tells what was done.
pub fn run(args: &PutArgs) -> Result<(), Failure> {
    let start = Instant::now();
    let (mut parcels, warnings) = parcel::list(&args.files, args.prefix.as_deref())?;
    let client = args.via.client()?;
    let mut run = Run {
        client,
        args,
        nodes: nodes(client, args.replicas)?,
        lost: BTreeSet::new(),
        unable: BTreeMap::new(),
        warnings,
    };
    if !args.quiet && !args.json {
        run.warnings.iter().for_each(|warning| exit::say(&format!("adsum: warning: {warning}")));
    }
    run.hash(&mut parcels)?;
    run.plan(&mut parcels)?;
    loop {
        run.send(&mut parcels)?;
        if run.is_told(&mut parcels)? {
            break;
        }
    }
    run.tell(&parcels, start.elapsed())
}

/// The nodes that may hold files: those that reduce.
fn nodes(client: &Client, replicas: u64) -> Result<Vec<MemberInfo>, Failure> {
    let mut nodes = client.members()?;
    nodes.retain(|node| node.workers > 0);
    match nodes.len() as u64 >= replicas {
        true => Ok(nodes),
        false => {
            let there = nodes.len();
            let message = format!(
                "'--replicas {replicas}' where {there} nodes are there; start more nodes, or say '--replicas {there}'"
            );
            Err(Failure::new(Blame::Cluster, message))
        }
    }
}

struct Run<'a> {
    client: &'a Client,
    args: &'a PutArgs,
    nodes: Vec<MemberInfo>,
    /// Nodes that were lost meanwhile.
    lost: BTreeSet<NodeId>,
    /// Nodes that cannot write what they are sent, each with the reason.
    unable: BTreeMap<NodeId, String>,
    /// What the user should know.
    warnings: Vec<String>,
}

impl Run<'_> {
    fn progress(&self, bytes: u64) -> Progress {
        Progress::new(Some(bytes), !self.args.quiet)
    }

    fn hash(&self, parcels: &mut [Parcel]) -> Result<(), Failure> {
        let progress = self.progress(parcels.iter().map(|parcel| parcel.bytes).sum());
        let mut before = 0;
        for parcel in parcels {
            let digest = inventory::digest(&parcel.file, |done| progress.set(before + done));
            parcel.digest = digest.map_err(|error| match error {
                DigestError::Changed { .. } => {
                    Failure::new(Blame::Input, DigestError::Changed { name: parcel.given.clone() })
                }
                error => Failure::new(Blame::Input, error),
            })?;
            before += parcel.bytes;
        }
        Ok(())
    }

    /// Decides where each file is to be, if it may be anywhere.
    fn plan(&self, parcels: &mut [Parcel]) -> Result<(), Failure> {
        let known = self.hashed_names(parcels)?;
        check_same(&known, parcels)?;
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        for parcel in parcels {
            let copies = copies_of(&known, parcel);
            let holds = |node: &NodeId| copies.is_some_and(|copies| copies.live.contains_key(node));
            let (holders, others): (Vec<NodeId>, Vec<NodeId>) =
                rendezvous_order(EntryKey::of_name(&parcel.name), ids.iter().copied())
                    .into_iter()
                    .partition(holds);
            // Copies of removed contents count when a node is told that they do.
            if copies.is_some_and(|copies| copies.removed) {
                parcel.candidates = holders.into_iter().chain(others).collect();
            } else {
                parcel.already = holders;
                parcel.candidates = others.into();
            }
        }
        Ok(())
    }

    /// How the names stand when no node has anything under them that is not hashed.
    fn hashed_names(&self, parcels: &[Parcel]) -> Result<Vec<Listed>, Failure> {
        let names: Vec<String> = parcels.iter().map(|parcel| parcel.name.clone()).collect();
        let give_up = Instant::now() + HASH_PATIENCE;
        loop {
            let known = self.client.names(&names)?;
            let hashing = |copies: &Copies| copies.digest.is_none() && !copies.live.is_empty();
            // What is another array at any rate need not be waited for.
            let open = known.iter().find(|listed| {
                let parcel = parcels.iter().find(|parcel| parcel.name == listed.name);
                let may_be =
                    |parcel: &Parcel| listed.check_same(&parcel.array, parcel.digest).is_ok();
                parcel.is_some_and(may_be) && listed.contents.iter().any(hashing)
            });
            let Some(open) = open else { return Ok(known) };
            if Instant::now() > give_up {
                let message = format!(
                    "'{}' is being hashed by its nodes for {HASH_PATIENCE:?}; put it again when 'adsum ls' shows it as present",
                    open.name
                );
                return Err(Failure::new(Blame::Cluster, message));
            }
            pause();
        }
    }

    /// Sends what is missing, each file to the nodes that its name prefers, and to the
    /// next ones where these are lost or cannot write.
    fn send(&mut self, parcels: &mut [Parcel]) -> Result<(), Failure> {
        let replicas = self.args.replicas as usize;
        let absent = |parcel: &Parcel| replicas.saturating_sub(parcel.holders()) as u64;
        let bytes = parcels.iter().map(|parcel| parcel.bytes * absent(parcel)).sum();
        let (progress, sent) = (self.progress(bytes), AtomicU64::new(0));
        loop {
            let mut tasks = Vec::new();
            for (index, parcel) in parcels.iter_mut().enumerate() {
                let wanted = parcel.holders()..replicas;
                let nodes =
                    wanted.map(|_| self.next_node(parcel)).collect::<Result<Vec<_>, _>>()?;
                if !nodes.is_empty() {
                    tasks.push(Task { parcel: index, nodes });
                }
            }
            if tasks.is_empty() {
                return Ok(());
            }
            for Sent { parcel, node, outcome } in
                sending::send(self.client, parcels, &self.nodes, &tasks, &progress, &sent)?
            {
                match outcome {
                    Outcome::Now => parcels[parcel].placed.push(node),
                    Outcome::Before => parcels[parcel].already.push(node),
                    Outcome::Lost => {
                        parcels[parcel].missed.push(node);
                        self.lose(node, parcels, Some(&progress));
                    }
                    Outcome::Unable(reason) => self.pass_over(node, reason, &progress),
                }
            }
        }
    }

    /// The next node for a file. One that was lost is tried again if the others do
    /// not suffice and it is still a member: it may have been busy only.
    fn next_node(&mut self, parcel: &mut Parcel) -> Result<NodeId, Failure> {
        while let Some(node) = parcel.candidates.pop_front() {
            if self.unable.contains_key(&node) {
                continue;
            }
            if !self.lost.contains(&node) {
                return Ok(node);
            }
            parcel.missed.push(node);
        }
        if parcel.retries < RETRIES_MAX && !parcel.missed.is_empty() {
            let members = self.client.members()?;
            let is_member = |node: &NodeId| members.iter().any(|member| member.id == *node);
            if let Some(at) = parcel.missed.iter().position(is_member) {
                parcel.retries += 1;
                let node = parcel.missed.swap_remove(at);
                self.lost.remove(&node);
                return Ok(node);
            }
        }
        Err(self.too_few(parcel))
    }

    /// The error that not enough nodes are left for a file.
    fn too_few(&self, parcel: &Parcel) -> Failure {
        let lost = self.lost.iter().map(|&node| format!("node '{}' was lost", self.name(node)));
        let unable = self.unable.values().cloned();
        let message = format!(
            "'{}' is on {} of {} nodes and there is no other to take it: {}; see to that and repeat this, which sends only what is missing",
            parcel.name,
            parcel.holders(),
            self.args.replicas,
            lost.chain(unable).collect::<Vec<_>>().join("; "),
        );
        let blame = if self.unable.is_empty() { Blame::Cluster } else { Blame::Internal };
        Failure::new(blame, message)
    }

    /// Warns where somebody reads it.
    fn warn(&mut self, message: &str, progress: Option<&Progress>) {
        self.warnings.push(message.to_owned());
        let line = format!("adsum: warning: {message}");
        match (self.args.quiet || self.args.json, progress) {
            (true, _) => {}
            (false, Some(progress)) => progress.say(&line),
            (false, None) => exit::say(&line),
        }
    }

    /// A node takes no more, and keeps what it has.
    fn pass_over(&mut self, node: NodeId, reason: String, progress: &Progress) {
        if !self.unable.contains_key(&node) {
            self.warn(&format!("{reason}; others are asked instead"), Some(progress));
            self.unable.insert(node, reason);
        }
    }

    /// A node is gone, with whatever it held.
    fn lose(&mut self, node: NodeId, parcels: &mut [Parcel], progress: Option<&Progress>) {
        if self.lost.insert(node) {
            self.warn(&format!("node '{}' was lost", self.name(node)), progress);
        }
        for parcel in parcels {
            parcel.placed.retain(|holder| *holder != node);
            parcel.already.retain(|holder| *holder != node);
        }
    }

    /// Waits until the cluster tells of all files at all their nodes. `false` if nodes
    /// were lost, so that more is to be sent.
    fn is_told(&mut self, parcels: &mut [Parcel]) -> Result<bool, Failure> {
        let names: Vec<String> = parcels.iter().map(|parcel| parcel.name.clone()).collect();
        let give_up = Instant::now() + TELL_PATIENCE;
        loop {
            let known = self.client.names(&names)?;
            // Somebody may have placed others under a name at the same time.
            check_same(&known, parcels)?;
            let untold = parcels.iter().find_map(|parcel| {
                let copies = copies_of(&known, parcel).filter(|copies| !copies.removed);
                let is_told =
                    |node: &NodeId| copies.is_some_and(|copies| copies.live.contains_key(node));
                let untold = parcel.all_holders().find(|node| !is_told(node))?;
                Some((parcel.name.clone(), untold))
            });
            let Some((name, node)) = untold else { return Ok(true) };
            if Instant::now() > give_up {
                if !self.client.members()?.iter().any(|member| member.id == node) {
                    self.lose(node, parcels, None);
                    return Ok(false);
                }
                let message = format!(
                    "node '{}' has '{name}' and the cluster does not tell of it after {TELL_PATIENCE:?}; see 'adsum ls', and repeat this",
                    self.name(node)
                );
                return Err(Failure::new(Blame::Cluster, message));
            }
            pause();
        }
    }

    fn tell(&self, parcels: &[Parcel], time: Duration) -> Result<(), Failure> {
        if self.args.json {
            let files: Vec<Json> = parcels.iter().map(|parcel| self.to_json(parcel)).collect();
            let object = json!({
                "schema": SCHEMA,
                "version": env!("CARGO_PKG_VERSION"),
                "files": files,
                "warnings": self.warnings,
            });
            return exit::answer(&object.to_string());
        }
        if !self.args.quiet {
            exit::say(&summary(parcels, self.args.replicas, time));
        }
        Ok(())
    }

    fn to_json(&self, parcel: &Parcel) -> Json {
        let names = |nodes: &mut dyn Iterator<Item = NodeId>| {
            nodes.map(|node| self.name(node).to_owned()).collect::<Vec<String>>()
        };
        json!({
            "name": parcel.name,
            "bytes": parcel.bytes,
            "digest": parcel.digest.to_string(),
            "nodes": names(&mut parcel.all_holders()),
            "already": names(&mut parcel.already.iter().copied()),
        })
    }

    fn name(&self, node: NodeId) -> &str {
        let found = self.nodes.iter().find(|known| known.id == node);
        found.map_or("", |known| &known.name)
    }
}

/// Refuses files whose names stand for other contents.
fn check_same(known: &[Listed], parcels: &[Parcel]) -> Result<(), Failure> {
    for listed in known {
        for parcel in parcels.iter().filter(|parcel| parcel.name == listed.name) {
            let checked = listed.check_same(&parcel.array, parcel.digest);
            checked.map_err(|error| Failure::new(Blame::Input, error))?;
        }
    }
    Ok(())
}

/// What the cluster knows of the contents of a file under its name.
fn copies_of<'a>(known: &'a [Listed], parcel: &Parcel) -> Option<&'a Copies> {
    let listed = known.iter().find(|listed| listed.name == parcel.name)?;
    listed.contents.iter().find(|copies| copies.digest == Some(parcel.digest))
}

fn summary(parcels: &[Parcel], replicas: u64, time: Duration) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (files, nodes) = (parcels.len(), replicas as usize);
    let bytes = decimal_bytes(parcels.iter().map(|parcel| parcel.bytes).sum());
    let seconds = time.as_secs_f64();
    let mut line = format!(
        "{files} file{}, {bytes}, onto {nodes} node{} each, in {seconds:.1} s",
        plural(files),
        plural(nodes)
    );
    let already: usize = parcels.iter().map(|parcel| parcel.already.len()).sum();
    let all: usize = parcels.iter().map(Parcel::holders).sum();
    if already > 0 {
        line.push_str(&match already == all {
            true => "; all were there already".to_owned(),
            false => format!("; {already} of {all} copies were there already"),
        });
    }
    line
}

/// Lets the cluster do something.
fn pause() {
    let (_never, wait) = channel::<()>();
    let _late = wait.recv_timeout(ASK_INTERVAL);
}
