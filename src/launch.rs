//! Who this process is in a group: its rank, how many there are, where rank 0
//! is, and where the secret comes from.
//!
//! Whatever started the process says so in the environment, each launcher in
//! variables of its own. They are asked in this order, and the first that says
//! anything is believed:
//!
//! | launcher | rank | size | on this machine |
//! |---|---|---|---|
//! | what the program was given | | | |
//! | `adsum run`, or by hand | `ADSUM_RANK` | `ADSUM_SIZE` | `ADSUM_LOCAL_RANK`, `ADSUM_LOCAL_SIZE` |
//! | Open MPI | `OMPI_COMM_WORLD_RANK` | `.._SIZE` | `.._LOCAL_RANK`, `.._LOCAL_SIZE` |
//! | PMI: Hydra (MPICH, Intel MPI), MS-MPI, Slurm's PMI-2 | `PMI_RANK` | `PMI_SIZE` | `MPI_LOCALRANKID`, `MPI_LOCALNRANKS`, else `PMI_LOCAL_RANK`, `PMI_LOCAL_SIZE` |
//! | torchrun | `RANK` | `WORLD_SIZE` | `LOCAL_RANK`, `LOCAL_WORLD_SIZE` |
//! | Slurm, inside a step only | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS`, else `SLURM_NTASKS` | `SLURM_LOCALID`, `SLURM_STEP_TASKS_PER_NODE` |
//! | PMIx without any of these | `PMIX_RANK` | `ADSUM_SIZE` | - |
//! | Kubernetes, an indexed job | `JOB_COMPLETION_INDEX` | `ADSUM_SIZE` | - |
//!
//! Variables that are half set, or contradict each other, are errors: a rank
//! that guessed its place could make a total of the wrong ranks.
//!
//! Pure: the environment is an argument, and no name is looked up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

mod error;
mod hostlist;
mod ladder;
mod root;
mod slurm;

pub use error::LaunchError;
pub use hostlist::{HostListError, expand};
#[cfg(feature = "net")]
pub(crate) use root::wildcard;
pub use root::{PORT_FIRST, PORTS, Root};

/// The most ranks of a group. Each is connected with every other.
pub const RANKS_MAX: u32 = 1024;

/// The variables of `adsum run`, which a person may set as well.
pub mod variable {
    /// This process's rank.
    pub const RANK: &str = "ADSUM_RANK";
    /// How many ranks there are.
    pub const SIZE: &str = "ADSUM_SIZE";
    /// This process's rank among those of its machine.
    pub const LOCAL_RANK: &str = "ADSUM_LOCAL_RANK";
    /// How many ranks its machine has.
    pub const LOCAL_SIZE: &str = "ADSUM_LOCAL_SIZE";
    /// Rank 0's address: `HOST` or `HOST:PORT`.
    pub const ROOT: &str = "ADSUM_ROOT";
    /// The file with the group's token.
    pub const TOKEN_FILE: &str = "ADSUM_TOKEN_FILE";
    /// The number of an open pipe with the group's token.
    pub const TOKEN_FD: &str = "ADSUM_TOKEN_FD";
    /// Of rank 0 alone: the number of an open UDP socket, bound to the port of
    /// `ADSUM_ROOT`.
    pub const ROOT_FD: &str = "ADSUM_ROOT_FD";
}

/// A process's environment variables.
///
/// One that is empty counts as not set, since that is how scripts unset them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// What a program was given by its own arguments, before any variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Its rank; with `size` or not at all.
    pub rank: Option<u32>,
    /// How many ranks there are.
    pub size: Option<u32>,
    /// Rank 0's address: `HOST` or `HOST:PORT`.
    pub root: Option<String>,
    /// The file with the group's token.
    pub token_file: Option<PathBuf>,
}

/// What a process is told of its group before it meets the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its rank, and how many there are.
    pub place: Place,
    /// Who said so.
    pub launcher: Launcher,
    /// Where rank 0 listens.
    pub root: Root,
    /// The number under which this process was handed a socket that is bound to that
    /// port; only at rank 0. Without one, or if it is not there, rank 0 binds the port
    /// itself.
    pub listener: Option<i32>,
    /// What the launcher calls the job, the same at every rank and of no other
    /// job; empty where it has no name for it.
    pub job: String,
    /// Where the secret comes from. A group of one may have none.
    pub secret: Option<SecretSource>,
}

impl Launch {
    /// Climbs the ladder.
    ///
    /// # Errors
    /// No launcher, or variables that are half set, contradict each other or
    /// make no sense; no address of rank 0, or no secret, for more than one
    /// rank. Nothing is kept: a later call may succeed.
    pub fn resolve(given: &Given, environment: &Environment) -> Result<Launch, LaunchError> {
        let (place, launcher) = ladder::place(given, environment)?;
        let job = ladder::job(environment)?;
        let root = root::find(given, environment, place, launcher, &job)?;
        let listener = ladder::listener(given, environment, place)?;
        let secret = ladder::secret(given, environment, place)?;
        Ok(Launch { place, launcher, root, listener, job, secret })
    }
}

/// A rank of a group, below the group's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    rank: u32,
    size: u32,
    local: Option<Local>,
}

/// A rank among those of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Counted from zero.
    pub rank: u32,
    /// How many the machine has, where that is known.
    pub size: Option<u32>,
}

impl Place {
    /// The rank of this process.
    pub fn rank(self) -> u32 {
        self.rank
    }

    /// How many ranks there are.
    pub fn size(self) -> u32 {
        self.size
    }

    /// Its rank among those of its machine, where that is known.
    pub fn local(self) -> Option<Local> {
        self.local
    }

    /// Whether all ranks are known to be on this machine.
    pub fn is_all_local(self) -> bool {
        self.size == 1 || self.local.and_then(|local| local.size) == Some(self.size)
    }
}

/// Where the secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An open pipe of this number, which gives the token once.
    Pipe(i32),
    /// A file with the token.
    File(PathBuf),
}

/// What started the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// The program's own arguments.
    Given,
    /// `adsum run`, or a person who set its variables.
    Adsum,
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// A process manager with the PMI interface, as Hydra.
    Pmi,
    /// PyTorch's `torchrun`, or who sets its variables.
    Torchrun,
    /// Slurm's `srun`.
    Slurm,
    /// A process manager with the PMIx interface that says no more.
    Pmix,
    /// An indexed job of Kubernetes.
    Kubernetes,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Launcher::Given => "the arguments",
            Launcher::Adsum => "ADSUM_RANK",
            Launcher::OpenMpi => "Open MPI",
            Launcher::Pmi => "PMI",
            Launcher::Torchrun => "torchrun",
            Launcher::Slurm => "Slurm",
            Launcher::Pmix => "PMIx",
            Launcher::Kubernetes => "Kubernetes",
        })
    }
}

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The number in a variable that is set.
    ///
    /// # Errors
    /// [`LaunchError::Number`]: it is no whole number of 32 bits.
    fn number(&self, name: &'static str) -> Result<Option<u32>, LaunchError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match value.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(LaunchError::Number { variable: name, value: value.to_owned() }),
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Environment {
        Environment(variables.into_iter().map(|(n, v)| (n.into(), v.into())).collect())
    }
}
