//! What the hosts of a run are told, and where rank 0 is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::super::args::RanksArgs;
use super::super::exit::{Blame, Failure};
use super::channel::{Output, Start};
use super::hosts::{self, Here, Host};
use super::{NEVER, internal};

/// What all hosts are told.
pub struct Template {
    start: Start,
}

impl Template {
    /// Asks for what is of this machine, as its directory.
    ///
    /// # Errors
    /// Variables that are not set, or hosts that cannot reach rank 0.
    pub fn new(
        args: &RanksArgs,
        hosts: &[Host],
        ranks: &[Vec<u32>],
        here: &Here,
    ) -> Result<Template, Failure> {
        let bytes = |text: &OsStr| text.as_bytes().to_vec();
        let directory = std::env::current_dir()
            .map_err(|error| internal("find the current directory", error))?;
        let environment = hosts::variables(&args.environment)?;
        let environment =
            environment.iter().map(|(name, value)| (name.clone().into_bytes(), bytes(value)));
        Ok(Template {
            start: Start {
                host: String::new(),
                program: args.program.iter().map(|word| bytes(word)).collect(),
                directory: bytes(directory.as_os_str()),
                environment: environment.collect(),
                ranks: Vec::new(),
                size: ranks.iter().map(|ranks| ranks.len() as u32).sum(),
                root: root(hosts, ranks, here)?,
                port: args.port.unwrap_or(0),
                output: Output::Piped,
                grace_ms: grace_of(args).as_millis() as u64,
            },
        })
    }

    /// What the host of these ranks is told.
    pub fn with_ranks(&self, ranks: Vec<u32>) -> Start {
        Start { ranks, ..self.start.clone() }
    }
}

/// Where rank 0 will listen: the first host that has ranks.
fn root(hosts: &[Host], ranks: &[Vec<u32>], here: &Here) -> Result<String, Failure> {
    let used: Vec<&Host> = hosts
        .iter()
        .zip(ranks)
        .filter(|(_, ranks)| !ranks.is_empty())
        .map(|(host, _)| host)
        .collect();
    let first = used.first().ok_or_else(|| Failure::new(Blame::Usage, "there is no host"))?;
    let is_one = used.len() == 1;
    if first.is_loopback() && !is_one {
        return Err(Failure::new(
            Blame::Usage,
            format!(
                "rank 0 would be on '{}', where other hosts cannot reach it; give this machine's name or address as the others know it",
                first.name
            ),
        ));
    }
    let host = if is_one && first.is_here(here) { "127.0.0.1" } else { first.address() };
    Ok(host.to_owned())
}

/// How long ranks have to end: longer than any run is no longer.
pub fn grace_of(args: &RanksArgs) -> Duration {
    args.grace.min(NEVER)
}
