//! The arguments of `adsum run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::program::Again;
use crate::launch::RANKS_MAX;

/// Start a program as the ranks of a group.
#[derive(Debug, Args)]
pub struct RanksArgs {
    /// How many ranks [default: one for each slot of the hosts]
    #[arg(
        short = 'n', long = "ranks", value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RANKS_MAX)),
        required_unless_present_any = ["hosts", "hostfile", "remote"]
    )]
    pub ranks: Option<u32>,

    /// Where, as a,b or a:2,b:4 with a number of slots; repeatable [default: this
    /// machine]
    #[arg(
        long,
        value_name = "HOST[:SLOTS],..",
        value_delimiter = ',',
        conflicts_with = "hostfile"
    )]
    pub hosts: Vec<String>,

    /// Where, one host a line: HOST slots=N; # begins a comment
    #[arg(long, value_name = "FILE")]
    pub hostfile: Option<PathBuf>,

    /// Which ranks go where: neighbours together, or to each host in turn
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Placement::Block)]
    pub placement: Placement,

    /// The command that runs another on a host; it is given the host, then a
    /// command line
    #[arg(long, value_name = "COMMAND", env = "ADSUM_RSH", default_value = RSH)]
    pub rsh: String,

    /// The adsum of other hosts [default: this program's own path]
    #[arg(long, value_name = "PATH")]
    pub adsum: Option<String>,

    /// The UDP port of rank 0 [default: a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Set a variable for all ranks: NAME=VALUE, or NAME with the value it has
    /// here; ranks of this machine have all that are set here anyway; repeatable
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    pub environment: Vec<String>,

    /// Put the rank before each line of output, as [3]; lines stay whole
    #[arg(long)]
    pub prefix: bool,

    /// How long ranks have to end by themselves when they are told to
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub grace: Duration,

    /// Start the ranks of one host, as standard input says.
    #[arg(long, hide = true)]
    pub remote: bool,

    /// What the processes of hosts are started with.
    #[arg(skip)]
    pub again: Again,

    /// The program and its arguments
    #[arg(
        required_unless_present = "remote",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub program: Vec<OsString>,
}

/// OpenSSH, which must not ask anything: nobody could answer.
const RSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=15";

/// Which ranks go to which host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// Fill one host after the other
    Block,
    /// One to each host in turn, while it has slots
    RoundRobin,
}
