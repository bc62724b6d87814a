//! Why a process does not know its place in a group.

use crate::launch::{HostListError, Launcher, RANKS_MAX, variable};

/// Why a process does not know its place in a group, its rank 0 or its secret.
///
/// All are whoever's fault who started the process; each names the variables,
/// their values, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Nothing says which rank this is.
    #[error(
        "nothing says which rank this process is: start it with 'adsum run -n N -- PROGRAM', mpirun, torchrun or srun, or set {} and {}{hint}",
        variable::RANK,
        variable::SIZE
    )]
    NoLauncher {
        /// What may be meant, beginning with a semicolon; or empty.
        hint: &'static str,
    },
    /// A variable that should be a number is none.
    #[error("{variable} is '{value}', which is no whole number from 0 to {}", u32::MAX)]
    Number {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// What should be the number of an open file is none.
    #[error(
        "{variable} is '{value}', which is the number of no open file; 'adsum run' sets it, and elsewhere {instead}"
    )]
    OpenFile {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What does without it.
        instead: &'static str,
    },
    /// One of two variables that belong together is missing.
    #[error("{set} is {value}, but {missing} is not set; {advice}")]
    HalfSet {
        /// The variable that is set.
        set: &'static str,
        /// Its value.
        value: u32,
        /// The variable that is missing.
        missing: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A rank that its group does not have.
    #[error(
        "{rank_variable} is {rank} and {size_variable} is {size}; ranks count from 0 and end before the size"
    )]
    RankOutside {
        /// Where the rank comes from.
        rank_variable: &'static str,
        /// The rank.
        rank: u32,
        /// Where the size comes from.
        size_variable: &'static str,
        /// The size.
        size: u32,
    },
    /// More ranks than a group can have.
    #[error("{variable} is {size}; a group has at most {RANKS_MAX} ranks")]
    TooMany {
        /// Where the size comes from.
        variable: &'static str,
        /// The size.
        size: u32,
    },
    /// Two variables that cannot both be true.
    #[error("{first} is {first_value}, but {second} is {second_value}; {advice}")]
    Contradiction {
        /// A variable.
        first: &'static str,
        /// Its value.
        first_value: u32,
        /// Another variable.
        second: &'static str,
        /// Its value.
        second_value: u32,
        /// What to do.
        advice: &'static str,
    },
    /// Nothing says where rank 0 is.
    #[error(
        "{launcher} does not say where rank 0 is; set {} to HOST or HOST:PORT of rank 0, the same at every rank",
        variable::ROOT
    )]
    NoRoot {
        /// Who said which rank this is.
        launcher: Launcher,
    },
    /// Rank 0's address is none.
    #[error(
        "{source_name} is '{value}', which is no address: {what}; use HOST or HOST:PORT, with an IPv6 address in brackets before a port"
    )]
    Root {
        /// Where it comes from.
        source_name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A list of hosts cannot be read.
    #[error(
        "{variable} is '{value}', which is no list of hosts: {source}; set {} instead",
        variable::ROOT
    )]
    Hosts {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        source: HostListError,
    },
    /// A list of tasks per node cannot be read.
    #[error("{variable} is '{value}', which is no list of tasks per node as '2(x3),1'")]
    Tasks {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// Nothing says where the secret is.
    #[error(
        "a group of {size} ranks needs a secret that all of them know: make one with 'adsum token new > group.token', the same file for all ranks, and set {} to its path; 'adsum run' hands over one of its own",
        variable::TOKEN_FILE
    )]
    NoSecret {
        /// How many ranks there are.
        size: u32,
    },
}
