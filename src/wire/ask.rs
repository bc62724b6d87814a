//! What is asked of a node beside partials, and what it answers.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{DEVICES_MAX, FILES_MAX, LINES_MAX, NAMES_MAX, PATTERNS_MAX, PIECE_BYTES_MAX, Usage};
use crate::backend::DeviceInfo;
use crate::catalogue::{Array, Expansion, Holder, Listed, REPLICAS_MAX};
use crate::manifest::{Cut, Digest, File, JobId};
use crate::op::Spec;
use crate::placement::NodeId;
use crate::shard::ShardErrorKind;

/// Numbers in [`NodeStatus::replicas`].
const REPLICAS_COUNTED: usize = REPLICAS_MAX + 1;

/// A question to a node. Each has exactly one last [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Where the nodes of the cluster are.
    Members,
    /// What patterns stand for in the catalogue, at most
    /// [`PATTERNS_MAX`].
    Expand {
        /// Whether a name under which nodes have different contents means all of
        /// them.
        each_node: bool,
        /// Names and globs.
        #[serde(deserialize_with = "crate::bounded::list::<_, _, FILES_MAX>")]
        patterns: Vec<String>,
    },
    /// Every name that the cluster knows.
    List,
    /// These names, as far as the cluster knows them, at most
    /// [`PATTERNS_MAX`].
    Names {
        /// The names; none is a glob.
        #[serde(deserialize_with = "crate::bounded::list::<_, _, PATTERNS_MAX>")]
        names: Vec<String>,
    },
    /// Begin a file that this node is to hold. The place ends with the connection,
    /// and when one of its questions is withdrawn or refused.
    Place {
        /// Its name in the catalogue.
        name: String,
        /// What it holds.
        array: Array,
        /// What its contents will turn out to be.
        digest: Digest,
    },
    /// The next bytes of the elements of a file that was begun.
    Piece {
        /// The place that a [`Reply::Placing`] named.
        place: PlaceId,
        /// Where they lie, in bytes from the first element: after the piece before.
        offset: u64,
        /// At least one of them, at most [`PIECE_BYTES_MAX`](super::PIECE_BYTES_MAX).
        bytes: Bytes,
    },
    /// All pieces were sent: check the contents and give the file its name.
    Seal {
        /// The place.
        place: PlaceId,
    },
    /// What this node has and does.
    Status,
    /// Forget the contents of a name that nobody holds any more.
    Remove {
        /// The name.
        name: String,
    },
    /// Reduce; the node that is asked collects.
    Submit {
        /// What to reduce to.
        spec: Spec,
        /// Files by their names in the catalogue, at most [`FILES_MAX`].
        #[serde(deserialize_with = "crate::bounded::list::<_, _, FILES_MAX>")]
        files: Vec<File>,
        /// How they are cut into entries.
        cut: Cut,
        /// How long it may take.
        deadline: Option<Duration>,
    },
    /// End the jobs that this node collects whose ids begin so.
    Cancel {
        /// Hexadecimal digits, one at least.
        job: String,
    },
}

/// A file that is being placed, as the node that takes it numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlaceId(pub u64);

/// Bytes that travel as such, not one by one.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Borrowed;
        impl Visitor<'_> for Borrowed {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {PIECE_BYTES_MAX} bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                match bytes.len() <= PIECE_BYTES_MAX {
                    true => Ok(Bytes(bytes.to_vec())),
                    false => Err(E::invalid_length(bytes.len(), &self)),
                }
            }
        }
        deserializer.deserialize_bytes(Borrowed)
    }
}

/// An answer to a [`Question`]. [`Reply::Progress`] may come several times, all
/// others are the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// All nodes that are believed alive, this one first.
    Members(Vec<MemberInfo>),
    /// What the patterns stand for.
    Expanded(Expansion),
    /// Every name, or those that were asked for, at most [`NAMES_MAX`].
    Listed(#[serde(deserialize_with = "crate::bounded::list::<_, _, NAMES_MAX>")] Vec<Listed>),
    /// The file was begun; pieces may come.
    Placing(PlaceId),
    /// The piece is written.
    Taken,
    /// The file is there under its name, now or since before.
    Placed,
    /// The node itself.
    Status(Box<NodeStatus>),
    /// What was forgotten.
    Removed(Vec<Digest>),
    /// How far a job is.
    Progress {
        /// Entries in the total.
        entries_done: u64,
        /// Bytes of elements in the total.
        bytes_done: u64,
    },
    /// The result.
    Finished(Box<Finished>),
    /// The jobs that were ended.
    Cancelled(Vec<JobId>),
    /// There is no answer.
    Refused(Trouble),
}

/// A node and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name for programs.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// The addresses that it advertises, the best first.
    pub addrs: Vec<SocketAddr>,
    /// How many entries it reduces at the same time, as far as the node that was asked
    /// knows.
    pub workers: u32,
}

/// What a node has and does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub node: MemberInfo,
    /// What it computes with, at most [`DEVICES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, DEVICES_MAX>")]
    pub devices: Vec<DeviceInfo>,
    /// How many entries it reduces at the same time.
    pub workers: u32,
    /// Files that it offers.
    pub files: u64,
    /// Bytes of the elements in them.
    pub bytes: u64,
    /// What its devices did lately, at most [`DEVICES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, DEVICES_MAX>")]
    pub usage: Vec<Usage>,
    /// How many names that count are held by no live node, by one, by two and so on, as
    /// this node sees it. The last number is of [`REPLICAS_MAX`] nodes and more.
    #[serde(deserialize_with = "crate::bounded::list::<_, _, REPLICAS_COUNTED>")]
    pub replicas: Vec<u64>,
    /// How many of the files are not hashed yet.
    pub unhashed: u64,
    /// Files that it cannot offer, the first of them, and why; at most [`LINES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, LINES_MAX>")]
    pub problems: Vec<String>,
    /// Nodes that it is connected with.
    pub connected: Vec<NodeId>,
    /// Nodes that are no members now, though it met them, or names are missing that they
    /// held; at most [`LINES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, LINES_MAX>")]
    pub gone: Vec<(NodeId, Holder)>,
    /// Jobs that it collects.
    pub jobs: Vec<JobStatus>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The job.
    pub job: JobId,
    /// Entries in the total.
    pub entries_done: u64,
    /// Entries of the job.
    pub entries: u64,
    /// Bytes of elements in the total.
    pub bytes_done: u64,
    /// Bytes of elements of the job.
    pub bytes: u64,
    /// Who waits for it, at most [`LINES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, LINES_MAX>")]
    pub askers: Vec<String>,
}

/// The result of a job and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The canonical bytes of what all entries together reduce to.
    pub total: Vec<u8>,
    /// Entries in it: all of them.
    pub entries: u64,
    /// The nodes that worked on it.
    pub nodes: Vec<Contribution>,
    /// Entries whose partials nodes had kept from earlier jobs.
    pub recalled: u64,
    /// How often an entry was asked of another node after the first.
    pub recomputed: u64,
    /// What went wrong on the way, at most [`LINES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, LINES_MAX>")]
    pub warnings: Vec<String>,
}

/// What one node did for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The node.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub addr: Option<SocketAddr>,
    /// Entries in the total that came from it.
    pub entries: u64,
    /// Whether it was lost meanwhile.
    pub lost: bool,
    /// What it computes with, at most [`DEVICES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, DEVICES_MAX>")]
    pub devices: Vec<DeviceInfo>,
    /// How many entries it reduces at the same time.
    pub workers: u32,
    /// What each of these did, at most [`DEVICES_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, DEVICES_MAX>")]
    pub usage: Vec<Usage>,
}

/// Whose fault it is that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TroubleKind {
    /// Entries are missing, and nobody has them.
    Incomplete,
    /// The deadline passed.
    Deadline,
    /// Somebody ended the job.
    Cancelled,
    /// The question makes no sense, or is about what is not there.
    Question,
    /// The node has as much to do as it takes.
    Busy,
    /// The node cannot write what it is sent.
    Storage,
    /// An entry could not be reduced.
    Shard(ShardErrorKind),
    /// The node is about to leave; another one can be asked.
    Leaving,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Trouble {
    /// What kind of trouble it is.
    pub kind: TroubleKind,
    /// What was wrong, the value, and the way out, for a person.
    pub message: String,
}

impl Question {
    /// Bytes of the message that carries it, or a few more.
    pub fn message_bytes(&self) -> usize {
        message_bytes(self)
    }
}

impl Reply {
    /// Bytes of the message that carries it, or a few more.
    pub fn message_bytes(&self) -> usize {
        message_bytes(self)
    }
}

fn message_bytes(contents: &impl Serialize) -> usize {
    // Tag and number.
    const HEAD_BYTES: usize = 1 + 10;
    let size = postcard::ser_flavors::Size::default();
    HEAD_BYTES + postcard::serialize_with_flavor(contents, size).expect("counting cannot fail")
}

impl Trouble {
    /// A trouble with its message.
    pub fn new(kind: TroubleKind, message: impl ToString) -> Trouble {
        Trouble { kind, message: message.to_string() }
    }
}
