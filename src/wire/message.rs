//! The messages and their bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ask::{Question, Reply};
use super::codec::{Reader, Writer};
use super::{
    ADDRS_MAX, DEVICES_MAX, FILES_MAX, GOSSIP_BYTES_MAX, HELD_MAX, MAGIC, POSITIONS_MAX,
    PROTOCOL_VERSION, RESULTS_MAX, WireError,
};
use crate::backend::DeviceInfo;
use crate::catalogue::{Held, Memory, UNUSABLE_MAX, Unusable};
use crate::manifest::{Cut, JobId, Manifest};
use crate::op::Spec;
use crate::partial::{ENCODED_BYTES_MAX, Partial};
use crate::placement::NodeId;
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
    /// Worker to collector: this entry I cannot reduce.
    Failed {
        /// The job.
        job: JobId,
        /// Position of the entry.
        position: u32,
        /// What is wrong.
        error: ShardError,
    },
    /// Worker to collector: I do not work on this job.
    Refused {
        /// The job.
        job: JobId,
        /// Why not.
        refusal: Refusal,
    },
    /// Collector to worker: drop this job.
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
    /// It does not know the job, or was told to drop it. A collector that
    /// still wants it offers it again.
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
        Message::Pull { job, want } => to.value(&(Tag::Pull, job, want)),
        Message::Assign { job, positions } => {
            to.value(&(Tag::Assign, job));
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
        Message::Failed { job, position, error } => {
            to.value(&(Tag::Failed, job, position, error.kind));
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
        Tag::Offer => read_offer(from)?,
        Tag::Pull => {
            let (job, want) = from.value("pull")?;
            Message::Pull { job, want }
        }
        Tag::Assign => {
            let job = from.value("job")?;
            let positions = from.list("positions", POSITIONS_MAX, |from| from.value("position"))?;
            Message::Assign { job, positions }
        }
        Tag::Results => {
            let (job, want) = from.value("results")?;
            let results = from.list("results", RESULTS_MAX, read_result)?;
            Message::Results { job, results, want }
        }
        Tag::Failed => {
            let (job, position, kind) = from.value("failed entry")?;
            let message = from.text("error")?;
            Message::Failed { job, position, error: ShardError { kind, message } }
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

fn read_offer(from: &mut Reader) -> Result<Message, WireError> {
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
    Ok(Message::Offer { job, spec, manifest: Arc::new(manifest) })
}

fn read_result(from: &mut Reader) -> Result<EntryResult, WireError> {
    let position = from.value("position")?;
    let partial = Partial::from_bytes(from.blob("bytes of a partial", ENCODED_BYTES_MAX)?)?;
    let usage = from.list("devices", DEVICES_MAX, |from| {
        let usage: Usage = from.value("usage")?;
        if usize::from(usage.device) >= DEVICES_MAX {
            return Err(WireError::Device { max: DEVICES_MAX as u16 - 1, got: usage.device });
        }
        Ok(usage)
    })?;
    Ok(EntryResult { position, partial, usage })
}
