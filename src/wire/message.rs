//! The messages and their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ask::{Question, Reply};
use super::codec::{Reader, Writer};
use super::report::{self, Report};
use super::{
    ADDRS_MAX, DEVICES_MAX, FILES_MAX, GOSSIP_BYTES_MAX, HELD_MAX, HOLDERS_MAX, MAGIC,
    POSITIONS_MAX, PROTOCOL_VERSION, RESULTS_MAX, TEAM_MAX, WireError,
};
use crate::backend::DeviceInfo;
use crate::catalogue::{Held, Memory, UNUSABLE_MAX, Unusable};
use crate::manifest::{Cut, JobId, Manifest};
use crate::op::Spec;
use crate::partial::{ENCODED_BYTES_MAX, Partial};
use crate::placement::{Holders, NodeId};
use crate::shard::ShardError;

/// All that a node says to another.
///
/// ```text
///     collector                       worker
///         | -------- Offer ------------> |
///         | <------- Pull -------------- |   or Refused
///         | -------- Assign -----------> |
///         | <------- Results ----------- |   or Failed; and so on
///         | -------- Cancel -----------> |   when the job has ended
/// ```
///
/// Where there are many nodes, some of them are deputies for others. A deputy is a
/// collector to its team, and to its own collector it is
///
/// ```text
///     collector                       deputy
///         | ------- Delegate ----------> |
///         | <------- Pull -------------- |   or Refused
///         | -------- Assign -----------> |
///         | <------- Report ------------ |   or Failed, Returned; and so on
///         | -------- Cancel -----------> |   when the job has ended
/// ```
///
/// Every message can come twice, late, or for a job that is no more, and does
/// no harm then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message on a connection, from the node that opened it.
    Hello(Hello),
    /// The answer to a [`Message::Hello`]. Only then do the two count as connected.
    Welcome(Hello),
    /// Collector to worker: here is a job, pull entries of it if you can.
    Offer {
        /// The job's name: the hash of all the rest.
        job: JobId,
        /// What to reduce.
        spec: Spec,
        /// The entries to reduce.
        manifest: Arc<Manifest>,
    },
    /// Collector to deputy: collect what I assign to you from these nodes.
    Delegate {
        /// As in [`Message::Offer`].
        job: JobId,
        /// As in [`Message::Offer`].
        spec: Spec,
        /// As in [`Message::Offer`].
        manifest: Arc<Manifest>,
        /// The nodes, the deputy among them, in order; at most [`TEAM_MAX`].
        team: Vec<NodeId>,
        /// Which of them have which files.
        holders: Holders,
    },
    /// Worker to collector: keep me supplied.
    Pull {
        /// The job.
        job: JobId,
        /// The most entries of the job that the worker takes at once. Not an
        /// increment: a message that comes twice changes nothing.
        want: u32,
    },
    /// Collector to worker: reduce these entries.
    Assign {
        /// The job.
        job: JobId,
        /// Positions in its manifest, at most [`POSITIONS_MAX`].
        positions: Vec<u32>,
        /// Whether a deputy is to report each of them by itself, because others
        /// have them too. It counts also for entries that it has under way.
        alone: bool,
    },
    /// Worker to collector: entries done.
    Results {
        /// The job.
        job: JobId,
        /// At most [`RESULTS_MAX`].
        results: Vec<EntryResult>,
        /// As in [`Message::Pull`].
        want: u32,
    },
    /// Deputy to collector: entries done, merged into one partial.
    Report {
        /// The job.
        job: JobId,
        /// Which, and how.
        report: Box<Report>,
        /// As in [`Message::Pull`].
        want: u32,
    },
    /// Deputy to collector: these of the team I do not reach.
    Unreached {
        /// The job.
        job: JobId,
        /// The nodes, at most [`TEAM_MAX`].
        nodes: Vec<NodeId>,
    },
    /// Deputy to collector: nobody that I can reach has these entries.
    Returned {
        /// The job.
        job: JobId,
        /// Their positions, at most [`POSITIONS_MAX`].
        positions: Vec<u32>,
    },
    /// Worker or deputy to collector: this entry I cannot reduce.
    Failed {
        /// The job.
        job: JobId,
        /// Position of the entry.
        position: u32,
        /// The node where it failed, or did last.
        node: NodeId,
        /// What is wrong.
        error: ShardError,
    },
    /// Worker or deputy to collector: I do not work on this job.
    Refused {
        /// The job.
        job: JobId,
        /// Why not.
        refusal: Refusal,
    },
    /// Collector to worker or deputy: drop this job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Node to node: a packet of the membership protocol, at most
    /// [`GOSSIP_BYTES_MAX`].
    Gossip(Vec<u8>),
    /// Node to node: the files that I offer, all of them in several messages.
    Held {
        /// Whether this is the first message of a list.
        first: bool,
        /// Whether it is the last; only then the list counts.
        last: bool,
        /// At most [`HELD_MAX`].
        files: Vec<Held>,
    },
    /// Node to node: the files that I have and cannot offer.
    Unusable(Vec<Unusable>),
    /// Node to node: what I remember of the catalogue, or a part of it: at most
    /// [`HELD_MAX`] names.
    Known(Memory),
    /// Anybody to a node: a question.
    Ask {
        /// Its number, of no other question on this connection.
        ask: u64,
        /// The question.
        question: Box<Question>,
    },
    /// The answer.
    Reply {
        /// Number of the question.
        ask: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// The asker does not want to know any more.
    Withdraw {
        /// Number of the question.
        ask: u64,
    },
}

/// Who a node is, said once on every new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol version that it speaks; here always [`PROTOCOL_VERSION`],
    /// since no other decodes.
    pub version: u32,
    /// Its name for programs.
    pub node: NodeId,
    /// Its name for people.
    pub name: String,
    /// What it computes with, at most [`DEVICES_MAX`].
    pub devices: Vec<DeviceInfo>,
    /// How many entries it reduces at the same time; zero for a node that only asks.
    pub workers: u32,
    /// Where members of the cluster can reach it, the best first, at most
    /// [`ADDRS_MAX`]; none for who only asks.
    pub addrs: Vec<SocketAddr>,
}

/// The partial of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryResult {
    /// Position of the entry.
    pub position: u32,
    /// What its elements reduce to.
    pub partial: Partial,
    /// Which devices did the work, at most [`DEVICES_MAX`].
    pub usage: Vec<Usage>,
}

/// The work that one device of a node did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The device: its place in [`Hello::devices`].
    pub device: u16,
    /// Tiles reduced.
    pub tiles: u32,
    /// Bytes of elements reduced.
    pub bytes: u64,
    /// Time spent, in ns.
    pub busy_ns: u64,
}

impl Usage {
    /// Adds what the same device did besides. The numbers may come from a
    /// peer, so sums of them saturate.
    pub fn add(&mut self, other: &Usage) {
        self.tiles = self.tiles.saturating_add(other.tiles);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.busy_ns = self.busy_ns.saturating_add(other.busy_ns);
    }
}

/// Why a node does not work on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// It has no workers: it only asks.
    #[error("it has no workers")]
    NoWorkers,
    /// It has as many jobs as it takes.
    #[error("it has as many jobs as it takes")]
    Busy,
    /// It does not know the job, or was told to drop it, or cannot be a deputy for
    /// it. A collector that still wants it offers it again.
    #[error("it does not know the job")]
    Unknown,
}

/// What stands first in every message but a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Tag {
    Offer,
    Pull,
    Assign,
    Results,
    Failed,
    Refused,
    Cancel,
    Gossip,
    Held,
    Known,
    Ask,
    Reply,
    Withdraw,
    Unusable,
    Delegate,
    Report,
    Returned,
    Unreached,
}

/// What stands after [`MAGIC`] in a handshake.
const KIND_HELLO: u8 = 0;
const KIND_WELCOME: u8 = 1;

pub(super) fn write(message: &Message) -> Vec<u8> {
    let mut to = Writer::default();
    match message {
        Message::Hello(hello) => write_handshake(&mut to, KIND_HELLO, hello),
        Message::Welcome(hello) => write_handshake(&mut to, KIND_WELCOME, hello),
        Message::Offer { job, spec, manifest } => {
            to.value(&(Tag::Offer, job, spec, manifest.cut_by()));
            to.list(manifest.files(), FILES_MAX, |to, file| to.value(file));
        }
        Message::Delegate { job, spec, manifest, team, holders } => {
            to.value(&(Tag::Delegate, job, spec, manifest.cut_by()));
            to.list(manifest.files(), FILES_MAX, |to, file| to.value(file));
            to.list(team, TEAM_MAX, |to, node| to.value(node));
            write_holders(&mut to, team, holders);
        }
        Message::Report { job, report, want } => {
            to.value(&(Tag::Report, job, want));
            report::write(&mut to, report);
        }
        Message::Unreached { job, nodes } => {
            to.value(&(Tag::Unreached, job));
            to.list(nodes, TEAM_MAX, |to, node| to.value(node));
        }
        Message::Returned { job, positions } => {
            to.value(&(Tag::Returned, job));
            to.list(positions, POSITIONS_MAX, |to, position| to.value(position));
        }
        Message::Pull { job, want } => to.value(&(Tag::Pull, job, want)),
        Message::Assign { job, positions, alone } => {
            to.value(&(Tag::Assign, job, alone));
            to.list(positions, POSITIONS_MAX, |to, position| to.value(position));
        }
        Message::Results { job, results, want } => {
            to.value(&(Tag::Results, job, want));
            to.list(results, RESULTS_MAX, |to, result| {
                to.value(&result.position);
                to.blob(&result.partial.to_bytes());
                to.list(&result.usage, DEVICES_MAX, |to, usage| to.value(usage));
            });
        }
        Message::Failed { job, position, node, error } => {
            to.value(&(Tag::Failed, job, position, node, error.kind));
            to.text(&error.message);
        }
        Message::Refused { job, refusal } => to.value(&(Tag::Refused, job, refusal)),
        Message::Cancel { job } => to.value(&(Tag::Cancel, job)),
        Message::Gossip(packet) => {
            to.value(&Tag::Gossip);
            to.blob(packet);
        }
        Message::Held { first, last, files } => {
            to.value(&(Tag::Held, first, last));
            to.list(files, HELD_MAX, |to, file| to.value(file));
        }
        Message::Known(memory) => to.value(&(Tag::Known, memory)),
        Message::Ask { ask, question } => to.value(&(Tag::Ask, ask, question)),
        Message::Reply { ask, reply } => to.value(&(Tag::Reply, ask, reply)),
        Message::Withdraw { ask } => to.value(&(Tag::Withdraw, ask)),
        Message::Unusable(files) => {
            to.value(&Tag::Unusable);
            to.list(files, UNUSABLE_MAX, |to, file| {
                to.text(&file.name);
                to.text(&file.reason);
            });
        }
    }
    to.finish()
}

pub(super) fn read(bytes: &[u8]) -> Result<Message, WireError> {
    let mut from = Reader::new(bytes);
    let message = if bytes.starts_with(&MAGIC) {
        read_handshake(&mut from)?
    } else {
        read_message(&mut from)?
    };
    from.finish()?;
    Ok(message)
}

fn write_handshake(to: &mut Writer, kind: u8, hello: &Hello) {
    to.raw(&MAGIC);
    to.raw(&[kind]);
    to.raw(&hello.version.to_le_bytes());
    to.value(&(hello.node, hello.workers));
    to.text(&hello.name);
    let devices = &hello.devices[..hello.devices.len().min(DEVICES_MAX)];
    to.list(devices, DEVICES_MAX, |to, device| {
        to.value(&device.kind);
        for text in [&device.id, &device.name, &device.backend, &device.driver] {
            to.text(text);
        }
    });
    let addrs = &hello.addrs[..hello.addrs.len().min(ADDRS_MAX)];
    to.list(addrs, ADDRS_MAX, |to, addr| to.value(addr));
}

fn read_handshake(from: &mut Reader) -> Result<Message, WireError> {
    let _: [u8; MAGIC.len()] = from.array("magic")?;
    let [kind] = from.array("kind of handshake")?;
    let version = u32::from_le_bytes(from.array("version")?);
    // Another version may have other kinds, so this check comes first.
    if version != PROTOCOL_VERSION {
        return Err(WireError::Version { ours: PROTOCOL_VERSION, theirs: version });
    }
    let (node, workers) = from.value("node")?;
    let name = from.text("name of a node")?;
    let devices = from.list("devices", DEVICES_MAX, |from| {
        Ok(DeviceInfo {
            kind: from.value("kind of a device")?,
            id: from.text("id of a device")?,
            name: from.text("name of a device")?,
            backend: from.text("backend of a device")?,
            driver: from.text("driver of a device")?,
        })
    })?;
    let addrs = from.list("addresses", ADDRS_MAX, |from| from.value("address"))?;
    let hello = Hello { version, node, name, devices, workers, addrs };
    match kind {
        KIND_HELLO => Ok(Message::Hello(hello)),
        KIND_WELCOME => Ok(Message::Welcome(hello)),
        _ => Err(WireError::Malformed {
            what: "kind of handshake",
            source: postcard::Error::DeserializeBadEnum,
        }),
    }
}

fn read_message(from: &mut Reader) -> Result<Message, WireError> {
    Ok(match from.value("message")? {
        Tag::Offer => {
            let (job, spec, manifest) = read_job(from)?;
            Message::Offer { job, spec, manifest }
        }
        Tag::Delegate => {
            let (job, spec, manifest) = read_job(from)?;
            let team: Vec<NodeId> =
                from.list("nodes of a team", TEAM_MAX, |from| from.value("node"))?;
            if !team.is_sorted_by(|a, b| a < b) {
                return Err(WireError::Holders);
            }
            let holders = read_holders(from, &team, manifest.files().len())?;
            Message::Delegate { job, spec, manifest, team, holders }
        }
        Tag::Report => {
            let (job, want) = from.value("report")?;
            Message::Report { job, report: Box::new(report::read(from)?), want }
        }
        Tag::Unreached => {
            let job = from.value("job")?;
            let nodes = from.list("nodes of a team", TEAM_MAX, |from| from.value("node"))?;
            Message::Unreached { job, nodes }
        }
        Tag::Returned => {
            let job = from.value("job")?;
            let positions = from.list("positions", POSITIONS_MAX, |from| from.value("position"))?;
            Message::Returned { job, positions }
        }
        Tag::Pull => {
            let (job, want) = from.value("pull")?;
            Message::Pull { job, want }
        }
        Tag::Assign => {
            let (job, alone) = from.value("job")?;
            let positions = from.list("positions", POSITIONS_MAX, |from| from.value("position"))?;
            Message::Assign { job, positions, alone }
        }
        Tag::Results => {
            let (job, want) = from.value("results")?;
            let results = from.list("results", RESULTS_MAX, read_result)?;
            Message::Results { job, results, want }
        }
        Tag::Failed => {
            let (job, position, node, kind) = from.value("failed entry")?;
            let message = from.text("error")?;
            Message::Failed { job, position, node, error: ShardError { kind, message } }
        }
        Tag::Refused => {
            let (job, refusal) = from.value("refusal")?;
            Message::Refused { job, refusal }
        }
        Tag::Cancel => Message::Cancel { job: from.value("job")? },
        Tag::Gossip => Message::Gossip(from.blob("packet", GOSSIP_BYTES_MAX)?.to_vec()),
        Tag::Held => {
            let (first, last) = from.value("list of files")?;
            let files = from.list("files", HELD_MAX, |from| from.value("file"))?;
            Message::Held { first, last, files }
        }
        Tag::Known => {
            from.check_length("names", HELD_MAX)?;
            Message::Known(from.value("memory of the catalogue")?)
        }
        Tag::Ask => {
            let (ask, question) = from.value("question")?;
            Message::Ask { ask, question }
        }
        Tag::Reply => {
            let (ask, reply) = from.value("answer")?;
            Message::Reply { ask, reply }
        }
        Tag::Unusable => Message::Unusable(from.list("files", UNUSABLE_MAX, |from| {
            Ok(Unusable { name: from.text("name of a file")?, reason: from.text("reason")? })
        })?),
        Tag::Withdraw => Message::Withdraw { ask: from.value("number of a question")? },
    })
}

fn read_job(from: &mut Reader) -> Result<(JobId, Spec, Arc<Manifest>), WireError> {
    let (job, spec, cut): (JobId, Spec, Cut) = from.value("spec")?;
    let files = from.list("files", FILES_MAX, |from| from.value("file"))?;
    let manifest = Manifest::cut(files, cut)?;
    if !manifest.suits(&spec) {
        return Err(WireError::Spec { spec, manifest: manifest.dtype() });
    }
    let expected = manifest.job_id(&spec);
    if job != expected {
        return Err(WireError::Job { expected, got: job });
    }
    Ok((job, spec, Arc::new(manifest)))
}

/// The different sets of holders, as places in the team, and the set of each file.
fn write_holders(to: &mut Writer, team: &[NodeId], holders: &Holders) {
    let Holders::PerFile(files) = holders else {
        to.value(&false);
        return;
    };
    to.value(&true);
    let mut numbers: BTreeMap<&BTreeSet<NodeId>, usize> = BTreeMap::new();
    let mut sets: Vec<&BTreeSet<NodeId>> = Vec::new();
    let mut set_of_file = Vec::with_capacity(files.len());
    for nodes in files {
        let number = *numbers.entry(nodes).or_insert_with(|| {
            sets.push(nodes);
            sets.len() - 1
        });
        set_of_file.push(number as u32);
    }
    to.list(&sets, FILES_MAX, |to, set| {
        let places: Vec<u32> =
            set.iter().filter_map(|node| team.binary_search(node).ok()).map(|p| p as u32).collect();
        to.list(&places, TEAM_MAX, |to, place| to.value(place));
    });
    to.list(&set_of_file, FILES_MAX, |to, number| to.value(number));
}

fn read_holders(from: &mut Reader, team: &[NodeId], files: usize) -> Result<Holders, WireError> {
    if !from.value::<bool>("whether holders follow")? {
        return Ok(Holders::Everyone);
    }
    let sets = from.list("sets of holders", FILES_MAX, |from| {
        let places = from.list("holders", TEAM_MAX, |from| from.value::<u32>("holder"))?;
        let nodes = places.into_iter().map(|place| team.get(place as usize).copied());
        nodes.collect::<Option<BTreeSet<NodeId>>>().ok_or(WireError::Holders)
    })?;
    // A set is copied for each of its files, so that is what memory takes.
    let mut holders_left = HOLDERS_MAX;
    let of_files = from.list("files with holders", FILES_MAX, |from| {
        let set = sets.get(from.value::<u32>("set of holders")? as usize);
        let set = set.ok_or(WireError::Holders)?;
        holders_left = holders_left.checked_sub(set.len()).ok_or(WireError::Holders)?;
        Ok(set.clone())
    })?;
    match of_files.len() == files {
        true => Ok(Holders::PerFile(of_files)),
        false => Err(WireError::Holders),
    }
}

fn read_result(from: &mut Reader) -> Result<EntryResult, WireError> {
    let position = from.value("position")?;
    let partial = read_partial(from)?;
    let usage = from.list("devices", DEVICES_MAX, read_usage)?;
    Ok(EntryResult { position, partial, usage })
}

pub(super) fn read_partial(from: &mut Reader) -> Result<Partial, WireError> {
    Ok(Partial::from_bytes(from.blob("bytes of a partial", ENCODED_BYTES_MAX)?)?)
}

pub(super) fn read_usage(from: &mut Reader) -> Result<Usage, WireError> {
    let usage: Usage = from.value("usage")?;
    if usize::from(usage.device) >= DEVICES_MAX {
        return Err(WireError::Device { max: DEVICES_MAX as u16 - 1, got: usage.device });
    }
    Ok(usage)
}
