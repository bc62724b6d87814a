//! Why ranks did not meet.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::launch::{LaunchError, Root, variable};
use crate::transport::token::TokenError;
use crate::transport::{LinkError, TransportError};

/// Why ranks did not meet. Nothing is left of the meeting.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    /// This process does not know its place.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No certificate, thread or socket.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Rank 0 cannot listen where it should.
    #[error(
        "rank 0 cannot listen on {addr}: {source}; if another group has this port, set {} to HOST:PORT with a port of its own, at every rank",
        variable::ROOT
    )]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Rank 0 was handed the socket of its port, and somebody else has it.
    #[error(
        "rank 0 cannot listen on {addr}: {source}; 'adsum run' has handed down a socket with this port under the number {fd}, which another group of this process has taken, or a program between has kept: have that leave open what {} and {} name",
        variable::ROOT_FD,
        variable::TOKEN_FD
    )]
    NotHanded {
        /// The address.
        addr: SocketAddr,
        /// The number under which the socket should be.
        fd: i32,
        /// What the operating system said.
        source: io::Error,
    },
    /// Rank 0 did not answer.
    #[error(
        "rank 0 did not answer at {root} within {after:?}: {error}; see that {} names the machine of rank 0, that it runs there, and that no firewall blocks UDP",
        variable::ROOT
    )]
    NoRoot {
        /// Where it should be.
        root: Root,
        /// How long this rank tried.
        after: Duration,
        /// What came of the last try.
        error: String,
    },
    /// Rank 0 answered, and the connection ended before all had come.
    #[error("rank 0, at {root}, was lost before all ranks had come: {error}")]
    RootLost {
        /// Where it was.
        root: Root,
        /// Why.
        #[source]
        error: LinkError,
    },
    /// Rank 0 has another secret.
    #[error(
        "this rank and rank 0, at {root}, do not have the same secret; use one token file for all ranks of a group"
    )]
    Identity {
        /// Where it is.
        root: Root,
    },
    /// The meeting was called off, by this rank 0 or another.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// All came, but some are out of this rank's reach.
    #[error(
        "rank {rank} cannot reach {}: {error}; see that no firewall blocks UDP between their machines",
        ranks(unreachable)
    )]
    Unreachable {
        /// This rank.
        rank: u32,
        /// The others.
        unreachable: Vec<u32>,
        /// What came of the last try.
        error: String,
    },
}

impl MeetError {
    /// Of an address that cannot be bound, whose socket may have been handed down under a number.
    pub(super) fn bind(addr: SocketAddr, source: io::Error, handed: Option<i32>) -> MeetError {
        match handed {
            Some(fd) => MeetError::NotHanded { addr, fd, source },
            None => MeetError::Bind { addr, source },
        }
    }
}

/// What rank 0 found wrong, as it tells all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Ranks do not agree on how many they are.
    #[error(
        "rank {rank} was told of {theirs} ranks and rank 0 of {ours}; start all ranks of a group with one size"
    )]
    Size {
        /// The rank.
        rank: u32,
        /// How many there are, by that rank.
        theirs: u32,
        /// How many there are, by rank 0.
        ours: u32,
    },
    /// Two processes have one rank.
    #[error(
        "two processes are rank {rank}, at {first} and at {second}; give each process a rank of its own, and each group a secret or a port of its own"
    )]
    Duplicate {
        /// The rank.
        rank: u32,
        /// Where one is.
        first: SocketAddr,
        /// Where the other is.
        second: SocketAddr,
    },
    /// A rank that the group does not have.
    #[error("the process at {addr} says that it is rank {rank} of {size}")]
    Rank {
        /// The rank.
        rank: u32,
        /// How many there are.
        size: u32,
        /// Where it is.
        addr: SocketAddr,
    },
    /// The group has met.
    #[error(
        "the group has met, with another process as rank {rank}; start all ranks of a group once, and together"
    )]
    Late {
        /// The rank.
        rank: u32,
    },
    /// A rank of another job came.
    #[error(
        "at this address is rank 0 of another group; give each group a port of its own, in {}",
        variable::ROOT
    )]
    Group,
    /// Not all came.
    #[error("{} did not come within {after:?}{hint}; see that all were started", ranks(missing))]
    Missing {
        /// Who.
        missing: Vec<u32>,
        /// How long they were waited for.
        after: Duration,
        /// Who was turned away, beginning with a comma; or empty.
        hint: String,
    },
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error(
        "the token file '{}' cannot be read: {source}; make one with 'adsum token new > group.token', and set {} to its path",
        path.display(), variable::TOKEN_FILE
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "others can read the token file '{0}', and whoever has it is a rank; run 'chmod 600 {0}', and make a new token if others may have read it",
        path.display()
    )]
    Public {
        /// The file.
        path: PathBuf,
    },
    /// The launcher's pipe cannot be read.
    #[error(
        "the token cannot be read from the open file {fd} that {} names: {source}; a program between 'adsum run' and this one must leave it open",
        variable::TOKEN_FD
    )]
    Pipe {
        /// The number.
        fd: i32,
        /// What the operating system said.
        source: io::Error,
    },
    /// What was read is no token.
    #[error("in {place}: {source}")]
    Token {
        /// Where it was read from.
        place: String,
        /// What is wrong with it.
        source: TokenError,
    },
}

/// The most ranks that a message names.
const NAMED_MAX: usize = 16;

/// Ranks, as a message names them.
fn ranks(ranks: &[u32]) -> String {
    let named = ranks.iter().take(NAMED_MAX).map(u32::to_string).collect::<Vec<_>>().join(", ");
    let what = if ranks.len() == 1 { "rank" } else { "ranks" };
    match ranks.len().saturating_sub(NAMED_MAX) {
        0 => format!("{what} {named}"),
        more => format!("{what} {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_some_ranks_and_counts_the_rest() {
        assert_eq!(ranks(&[3]), "rank 3");
        assert_eq!(ranks(&[1, 2]), "ranks 1, 2");
        let many: Vec<u32> = (1..100).collect();
        assert!(ranks(&many).ends_with("15, 16 and 83 more"), "{}", ranks(&many));
    }
}
