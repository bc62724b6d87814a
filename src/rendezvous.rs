//! How the ranks of a group find each other, and the mesh of connections that
//! they have then.
//!
//! ```text
//!   rank 2 ---- Hello: group, rank, size ----> rank 0     all have come?
//!   rank 2 <--- Table: where everybody is ---- rank 0     each gets the table
//!   rank 2 ---- Hello -----------------------> rank 1     each dials those below
//!   rank 2 <--- Welcome ---------------------- rank 1
//!   all    <=== frames ======================> all
//! ```
//!
//! Connections are those of nodes: QUIC with mutual TLS under the group's
//! secret, with an application protocol of their own. Each carries one stream,
//! which the dialler opened, in both directions.
//!
//! Rank 0 writes into the table what it sees: the address that a rank's packets
//! come from. One that it sees on loopback is on its own machine, and is
//! reached where rank 0 is reached. So nobody needs to know its own address, and
//! no name of this machine is ever bound.
//!
//! A meeting ends in bounded time. Whatever contradiction rank 0 finds, it tells
//! all who have come, so that each ends with the reason.
//!
//! | module | what it is |
//! |---|---|
//! | `meet` | the meeting |
//! | `word` | what is said in it |
//! | `frames` | frames out of a stream |
//! | [`mesh`](Mesh) | the connections, as a [`Link`](crate::communicator::Link) |
//! | `reactor` | what runs the network, on a thread or in a caller who waits |
//! | `start` | [`Communicator::from_env`](crate::communicator::Communicator::from_env) |
//! | `secret` | the secret from where the launcher put it |

use std::time::Duration;

use crate::launch::{Environment, Launch, Root};
use crate::transport::{self, Secret, TransportError};

mod error;
mod frames;
mod meet;
mod mesh;
mod reactor;
mod secret;
mod start;
mod word;

pub use error::{MeetError, Refusal, SecretError};
pub use mesh::Mesh;
use reactor::Reactor;
pub use secret::read as read_secret;

/// The application protocol of TLS between ranks. It changes with what they say
/// in a meeting.
pub const ALPN: &[u8] = b"adsum-group/2";

/// How long ranks have to come, where nothing else is said.
pub const MEET_TIMEOUT: Duration = Duration::from_secs(60);

/// What has so many bytes goes its way by itself: a frame begins a packet, which on one
/// machine holds it, so that it is not copied where it arrives; and what the socket gives is
/// taken in before more is read.
const LARGE_BYTES: usize = 32 << 10;

/// The limits and times of a group's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long all ranks have to come.
    pub meet_timeout: Duration,
    /// How long they have to connect with each other when all have come.
    pub connect_timeout: Duration,
    /// Of each connection. Its address to bind is not used: the group has one
    /// of rank 0, and the others take any.
    pub transport: transport::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            meet_timeout: MEET_TIMEOUT,
            connect_timeout: Duration::from_secs(15),
            transport: transport::Config::group(([127, 0, 0, 1], 0).into()),
        }
    }
}

/// The environment variables of this process. What is not Unicode is read as
/// well as it can be.
pub fn environment() -> Environment {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Meets the other ranks; waits for them.
///
/// A group of one meets nobody and opens no port.
///
/// # Errors
/// Not all came in time, or they contradict each other. No connection and no
/// thread is left; the meeting may be tried again, by all.
pub fn meet(launch: &Launch, config: &Config) -> Result<Mesh, MeetError> {
    let source = launch.secret.as_ref().filter(|_| launch.place.size() > 1);
    let secret = source.map(secret::read).transpose()?;
    match secret {
        Some(secret) => join(launch, &secret, config),
        None => Ok(Mesh::alone()),
    }
}

/// Who a rank is in its group.
#[derive(Clone, Debug)]
struct Member {
    group: [u8; 16],
    rank: u32,
    size: u32,
    root: Root,
    listener: Option<i32>,
}

impl Member {
    fn new(launch: &Launch) -> Member {
        let name = blake3::derive_key("adsum 2026 name of a group", launch.job.as_bytes());
        let mut group = [0; 16];
        group.copy_from_slice(&name[..16]);
        Member {
            group,
            rank: launch.place.rank(),
            size: launch.place.size(),
            root: launch.root.clone(),
            listener: launch.listener,
        }
    }
}

/// Meets on the caller's thread, and starts the two that the connections have: one
/// that runs them, and one that turns away who comes late, and ends them.
fn join(launch: &Launch, secret: &Secret, config: &Config) -> Result<Mesh, MeetError> {
    let (member, mut config) = (Member::new(launch), config.clone());
    if launch.place.is_all_local() {
        config.transport = config.transport.on_one_machine(member.size as usize - 1);
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let here = launch.place.local().and_then(|local| local.size).unwrap_or(1) as usize;
    let running = Running::start(reactor::Config {
        segments_max: usize::from(u16::MAX / config.transport.payload_bytes_max),
        is_crowded: here > processors,
    });
    let running = running.map_err(TransportError::Thread)?;
    let tls = transport::tls::Tls::new(secret, ALPN).map_err(TransportError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TransportError::Thread)?;
    let reactor = &running.reactor;
    let (endpoint, peers) = runtime.block_on(meet::meet(&member, tls, &config, reactor))?;
    let (mesh, rest) = mesh::start(&member, reactor.clone(), peers);
    let thread = std::thread::Builder::new()
        .name("adsum-door".to_owned())
        .spawn(move || {
            runtime.block_on(rest.run(endpoint, &config));
            drop(running);
        })
        .map_err(TransportError::Thread)?;
    Ok(mesh.with_thread(thread))
}

/// A reactor and its thread, which end with it.
struct Running {
    reactor: Reactor,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(config: reactor::Config) -> std::io::Result<Running> {
        let reactor = Reactor::new(config)?;
        let runner = reactor.clone();
        let thread = std::thread::Builder::new()
            .name("adsum-mesh".to_owned())
            .spawn(move || runner.run())?;
        Ok(Running { reactor, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reactor.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _panicked = thread.join();
        }
    }
}
