//! `--nodes N`: nodes on this machine, each a process of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::blame::job_failure;
use super::exit::{Blame, Failure};
use super::node::{ARGUMENTS, NodeSettings};
use super::program::Again;
use super::report::{self, DeviceReport, NodeReport};
use super::talk::Talk;
use crate::driver::RequestError;
use crate::engine::{self, Holders, JobRequest, Outcome};
use crate::executor::{self, Settings};
use crate::local::Observer;
use crate::manifest::Manifest;
use crate::node::cluster::{ClusterConfig, ClusterError, LocalCluster, LocalNode};
use crate::node::random_request_id;
use crate::op::Spec;
use crate::placement::NodeId;
use crate::wire::Usage;

/// The nodes of this run, and what they have done so far.
///
/// All of them read the same files of this machine, so every node can take over
/// from any other.
pub struct Nodes {
    cluster: LocalCluster,
    threads: Vec<usize>,
    usage: BTreeMap<(NodeId, u16), Usage>,
    reports: BTreeMap<NodeId, engine::NodeReport>,
}

impl Nodes {
    /// Starts so many nodes.
    pub fn start(
        nodes: usize,
        again: &Again,
        settings: &Settings,
        quiet: bool,
        left: Option<Duration>,
    ) -> Result<Nodes, Failure> {
        // What no node could do is told once, by this process, with its own code.
        let threads = divide(settings.threads, nodes);
        executor::check(&Settings { threads: threads[0], ..settings.clone() })?;
        let encoded = threads.iter().map(|&threads| {
            let executor = Settings { threads, ..settings.clone() };
            postcard::to_stdvec(&NodeSettings { executor, quiet })
                .map_err(|error| Failure::new(Blame::Internal, error))
        });
        let encoded = encoded.collect::<Result<Vec<_>, Failure>>()?;
        let mut words = again.words().map_err(ClusterError::Program)?.into_iter();
        let program = words.next().map(PathBuf::from);
        let args = words.chain(ARGUMENTS.map(OsString::from));
        let mut config = ClusterConfig { program, ..ClusterConfig::new(args, encoded) };
        let patience = config.start_timeout;
        config.start_timeout = left.map_or(patience, |left| left.min(patience));
        let hurried = config.start_timeout < patience;
        let cluster = LocalCluster::start(config).map_err(|error| match error {
            ClusterError::Timeout { .. } | ClusterError::Connect { .. } if hurried => {
                Failure::new(Blame::Deadline, format!("{error}; the deadline passed meanwhile"))
            }
            error => Failure::from(error),
        })?;
        Ok(Nodes { cluster, threads, usage: BTreeMap::new(), reports: BTreeMap::new() })
    }

    /// Asks the nodes for the partial of a data set.
    pub fn reduce(
        &mut self,
        manifest: &Arc<Manifest>,
        spec: &Spec,
        left: Option<Duration>,
        deadline: Option<Duration>,
        talk: &mut Talk,
    ) -> Result<Outcome, Failure> {
        let request = JobRequest {
            id: random_request_id(),
            manifest: Arc::clone(manifest),
            spec: spec.clone(),
            holders: Holders::Everyone,
            deadline: left,
        };
        let never = AtomicBool::new(false);
        let outcome = self
            .cluster
            .reduce(request, |progress| talk.progress(progress.bytes_done), &never)
            .map_err(|error| match error {
                RequestError::Job(error) => job_failure(error, deadline),
                error => Failure::from(error),
            })?;
        for (&device, part) in &outcome.usage {
            let sum =
                self.usage.entry(device).or_insert(Usage { device: device.1, ..Usage::default() });
            sum.add(part);
        }
        for &part in &outcome.nodes {
            let report = self.reports.entry(part.id).or_insert(engine::NodeReport {
                id: part.id,
                entries: 0,
                lost: false,
            });
            report.entries += part.entries;
            report.lost |= part.lost;
        }
        Ok(outcome)
    }

    /// What each device and each node did.
    pub fn reports(&self) -> (Vec<DeviceReport>, Vec<NodeReport>) {
        let members = self.cluster.nodes();
        let devices = device_reports(&members, &self.usage, &self.threads);
        let nodes = members.iter().map(|member| self.node_report(member)).collect();
        (devices, nodes)
    }

    fn node_report(&self, member: &LocalNode) -> NodeReport {
        let part = self.reports.get(&member.id);
        NodeReport {
            id: member.id.to_string(),
            name: member.name.clone(),
            addr: member.addr.to_string(),
            shards: part.map_or(0, |part| part.entries),
            lost: member.lost || part.is_some_and(|part| part.lost),
        }
    }
}

/// The machine's threads, shared out evenly; every node has one at least.
fn divide(threads: usize, nodes: usize) -> Vec<usize> {
    let share = |node: usize| threads / nodes + usize::from(node < threads % nodes);
    (0..nodes).map(|node| share(node).max(1)).collect()
}

fn device_reports(
    members: &[LocalNode],
    usage: &BTreeMap<(NodeId, u16), Usage>,
    threads: &[usize],
) -> Vec<DeviceReport> {
    let of_member = |(member, &threads): (&LocalNode, &usize)| {
        let devices = (member.id, 0)..=(member.id, u16::MAX);
        let usage: Vec<Usage> = usage.range(devices).map(|(_, usage)| *usage).collect();
        report::device_reports(&member.devices, &usage, Some(&member.name), threads)
    };
    members.iter().zip(threads).flat_map(of_member).collect()
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn threads_are_shared_out_evenly_and_no_node_goes_without() {
        assert_eq!(divide(8, 3), [3, 3, 2]);
        assert_eq!(divide(2, 2), [1, 1]);
        assert_eq!(divide(2, 4), [1, 1, 1, 1]);
    }
}
