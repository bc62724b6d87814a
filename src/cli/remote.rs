//! A cluster as another program than the command line asks it: all that the command
//! line would refuse is refused here, too.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::args::{OutputArgs, RunArgs, ViaArgs};
use super::config;
use super::exit::{Blame, Failure};
use super::talk::Talk;
use super::via;
use crate::client::Client;
use crate::manifest::Manifest;
use crate::node::Stopper;
use crate::op::Spec;
use crate::partial::Partial;

/// A connection to a cluster.
#[derive(Debug)]
pub struct Cluster {
    run: RunArgs,
}

/// How a data set is to be taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Reduce what is there if some of it is missing.
    pub allow_partial: bool,
    /// Where nodes have different files of one name, take each of them.
    pub each_node: bool,
    /// Hash what is read, and compare.
    pub verify: bool,
    /// Give up after this time.
    pub deadline: Option<Duration>,
}

/// A data set of a cluster.
#[derive(Debug)]
pub struct Data<'a> {
    client: &'a Client,
    start: Instant,
    deadline: Option<Duration>,
    /// What is reduced.
    pub manifest: Manifest,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What is not in any result, one by one; there is none unless it was allowed.
    pub left_out: Vec<String>,
    /// Whether some of it was lost meanwhile. Where a part is allowed, what is left can
    /// be found anew.
    pub is_incomplete: bool,
}

impl Cluster {
    /// Connects with the cluster of the first of these hosts that answers, each as
    /// `--via` takes it, by the secret in the file `token`, or the user's own.
    ///
    /// # Errors
    /// No such host or secret, or nobody answers.
    pub fn connect(hosts: &[String], token: Option<PathBuf>) -> Result<Cluster, Failure> {
        let via = hosts.iter().map(|host| host.parse()).collect::<Result<Vec<_>, String>>();
        let via = via.map_err(|error| Failure::new(Blame::Usage, error))?;
        let mut via = ViaArgs { via, token, ..ViaArgs::default() };
        config::load()?.config.complete_via(&mut via)?;
        via.client()?;
        let mut run = RunArgs::default();
        run.via = via;
        Ok(Cluster { run })
    }

    /// The data set that names and globs stand for, whose elements are reduced in pairs
    /// with those of a `second` one if there is one. What is missing is looked for a
    /// little longer, unless it `was_lost` from a data set that was found before.
    ///
    /// # Errors
    /// It is not clear or not whole, and a part is not allowed, or nobody answers.
    pub fn find(
        &mut self,
        patterns: &[String],
        second: Option<&[String]>,
        how: How,
        was_lost: bool,
    ) -> Result<Data<'_>, Failure> {
        let start = Instant::now();
        self.run.allow_partial = how.allow_partial;
        self.run.each_node = how.each_node;
        self.run.verify = how.verify;
        self.run.via.incomplete.set(u32::from(was_lost));
        // Warnings are kept for the caller.
        let mut talk = Talk::new(&OutputArgs { json: true, ..OutputArgs::default() });
        let mut find = |patterns: &[String]| -> Result<Manifest, Failure> {
            Ok(Manifest::new(via::files(&self.run, patterns.to_vec(), &mut talk)?)?)
        };
        let mut manifest = find(patterns)?;
        if let Some(second) = second {
            manifest = Manifest::pairs(&manifest, &find(second)?)?;
        }
        Ok(Data {
            client: self.run.via.client()?,
            start,
            deadline: how.deadline,
            manifest,
            left_out: talk.missing().to_vec(),
            warnings: talk.take_warnings(),
            is_incomplete: false,
        })
    }
}

impl Data<'_> {
    /// What ends the connection, and with it all that is asked.
    pub fn stopper(&self) -> Stopper {
        self.client.stopper()
    }

    /// The partial of the data set. `on_progress` is told how many bytes are in it.
    ///
    /// # Errors
    /// There is no result.
    pub fn reduce(
        &mut self,
        spec: &Spec,
        mut on_progress: impl FnMut(u64),
    ) -> Result<Partial, Failure> {
        let left = self.deadline.map(|limit| limit.saturating_sub(self.start.elapsed()));
        let progress = |_, bytes_done| on_progress(bytes_done);
        let answered = self.client.reduce(&self.manifest, spec, left, progress);
        let (total, finished) = answered.map_err(Failure::from).inspect_err(|failure| {
            self.is_incomplete = failure.blame == Blame::Incomplete;
        })?;
        self.warnings.extend(finished.warnings);
        Ok(total)
    }
}
