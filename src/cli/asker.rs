//! Who is asked for partials: this process, nodes on this machine, or a cluster. Several
//! jobs can be asked for one after the other, as operations of several rounds
//! and long results need.

use std::sync::Arc;
use std::time::Instant;

use super::args::RunArgs;
use super::blame::job_failure;
#[cfg(feature = "net")]
use super::cluster::Nodes;
use super::exit::{Blame, Failure};
use super::report::{self, DeviceReport, NodeReport, ShardsReport, Work};
use super::talk::Talk;
#[cfg(feature = "net")]
use super::via::Remote;
use crate::backend::DeviceInfo;
use crate::executor::Settings;
use crate::local::{LocalError, LocalNode, Observer, add_usage};
use crate::manifest::Manifest;
use crate::op::Spec;
use crate::partial::Partial;
use crate::wire::Usage;

/// Answers jobs, and knows in the end who did what for all of them.
pub struct Asker<'a> {
    run: &'a RunArgs,
    start: Instant,
    who: Who,
    shards: ShardsReport,
    bytes: u64,
}

enum Who {
    Alone(Box<Alone>),
    #[cfg(feature = "net")]
    Nodes(Box<Nodes>),
    #[cfg(feature = "net")]
    Cluster(Remote),
}

/// This process and its devices.
struct Alone {
    node: LocalNode,
    devices: Vec<DeviceInfo>,
    threads: usize,
    usage: Vec<Usage>,
}

impl<'a> Asker<'a> {
    /// Starts what is to reduce.
    pub fn start(
        run: &'a RunArgs,
        settings: &Settings,
        quiet: bool,
        start: Instant,
        talk: &mut Talk,
    ) -> Result<Asker<'a>, Failure> {
        let who = match run.nodes {
            #[cfg(feature = "net")]
            None if run.via.is_given() => Who::Cluster(Remote::default()),
            None => {
                let node = LocalNode::start(settings)?;
                node.warnings().iter().for_each(|warning| talk.warning(warning));
                let devices = node.devices().to_vec();
                let threads = settings.threads;
                Who::Alone(Box::new(Alone { node, devices, threads, usage: Vec::new() }))
            }
            #[cfg(feature = "net")]
            Some(nodes) => Who::Nodes(Box::new(Nodes::start(
                nodes as usize,
                &run.again,
                settings,
                quiet,
                run.time_left(start),
            )?)),
            #[cfg(not(feature = "net"))]
            Some(_) => {
                let _ = quiet;
                return Err(Failure::new(
                    Blame::Usage,
                    "this adsum was built without the 'net' feature, leave '--nodes' out",
                ));
            }
        };
        let shards = ShardsReport::default();
        Ok(Asker { run, start, who, shards, bytes: 0 })
    }

    /// Reduces a data set.
    pub fn reduce(
        &mut self,
        manifest: &Arc<Manifest>,
        spec: &Spec,
        talk: &mut Talk,
    ) -> Result<Partial, Failure> {
        talk.begin(self.bytes);
        let left = self.run.time_left(self.start);
        let deadline = self.run.deadline;
        let outcome = match &mut self.who {
            Who::Alone(alone) => {
                let outcome = alone
                    .node
                    .reduce(Arc::clone(manifest), spec.clone(), left, talk)
                    .map_err(|error| match error {
                        LocalError::Job(error) => job_failure(error, deadline),
                        error => Failure::from(error),
                    })?;
                outcome.usage.values().for_each(|part| add_usage(&mut alone.usage, part));
                outcome
            }
            #[cfg(feature = "net")]
            Who::Nodes(nodes) => nodes.reduce(manifest, spec, left, deadline, talk)?,
            #[cfg(feature = "net")]
            Who::Cluster(remote) => {
                let client = self.run.via.client()?;
                let answered = remote.reduce(client, manifest, spec, left, deadline, talk);
                let answered = answered.inspect_err(|failure| {
                    if failure.blame == Blame::Incomplete {
                        let incomplete = &self.run.via.incomplete;
                        incomplete.set(incomplete.get() + 1);
                    }
                })?;
                self.shards.total += manifest.entries().len() as u64;
                self.shards.done += answered.entries;
                self.shards.recalled += answered.recalled;
                self.shards.recomputed += answered.recomputed;
                self.bytes += manifest.bytes();
                return Ok(answered.total);
            }
        };
        outcome.warnings.iter().for_each(|warning| talk.warning(&warning.to_string()));
        self.shards.total += manifest.entries().len() as u64;
        self.shards.done += outcome.coverage.entries() as u64;
        self.shards.recomputed += outcome.course.recomputed;
        self.bytes += manifest.bytes();
        Ok(outcome.total)
    }

    /// What was done for all jobs together, over the files of `manifest`.
    pub fn work(self, files: &Manifest) -> Work {
        let (devices, nodes): (Vec<DeviceReport>, Vec<NodeReport>) = match self.who {
            Who::Alone(alone) => {
                let Alone { devices, usage, threads, .. } = *alone;
                (report::device_reports(&devices, &usage, None, threads), Vec::new())
            }
            #[cfg(feature = "net")]
            Who::Nodes(nodes) => nodes.reports(),
            #[cfg(feature = "net")]
            Who::Cluster(remote) => remote.reports(),
        };
        Work {
            files: report::file_reports(files),
            shards: self.shards,
            devices,
            nodes,
            bytes: self.bytes,
            elapsed: self.start.elapsed(),
        }
    }
}
