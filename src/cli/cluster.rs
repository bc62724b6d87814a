//! `adsum sum --nodes N`: nodes on this machine, each a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::args::SumArgs;
use super::blame::job_failure;
use super::exit::{Blame, Failure};
use super::node::{ARGUMENTS, NodeSettings};
use super::report::{self, Answer, DeviceReport, NodeReport};
use super::talk::Talk;
use crate::driver::RequestError;
use crate::engine::{Holders, JobRequest};
use crate::executor::{self, Settings};
use crate::local::Observer;
use crate::manifest::Manifest;
use crate::node::cluster::{ClusterConfig, ClusterError, LocalCluster, LocalNode};
use crate::node::random_request_id;
use crate::op::Spec;
use crate::placement::NodeId;
use crate::wire::Usage;

/// Starts the nodes, asks them, and ends them.
///
/// All of them read the same files of this machine, so every node can take over
/// from any other.
pub fn reduce(
    nodes: usize,
    args: &SumArgs,
    manifest: &Arc<Manifest>,
    spec: Spec,
    settings: &Settings,
    talk: &mut Talk,
    start: Instant,
) -> Result<Answer, Failure> {
    // What no node could do is told once, by this process, with its own code.
    let threads = divide(settings.threads, nodes);
    executor::check(&Settings { threads: threads[0], ..settings.clone() })?;
    let encoded = threads.iter().map(|&threads| {
        let executor = Settings { threads, ..settings.clone() };
        postcard::to_stdvec(&NodeSettings {
            executor,
            quiet: args.output.quiet || args.output.json,
        })
        .map_err(|error| Failure::new(Blame::Internal, error))
    });
    let encoded = encoded.collect::<Result<Vec<_>, Failure>>()?;
    let mut config = ClusterConfig::new(ARGUMENTS.map(Into::into), encoded);
    let left = args.run.time_left(start);
    config.start_timeout = left.unwrap_or(config.start_timeout).min(config.start_timeout);
    let cluster = LocalCluster::start(config).map_err(|error| match error {
        ClusterError::Timeout { .. } | ClusterError::Connect { .. }
            if args.run.time_left(start).is_some_and(|left| left.is_zero()) =>
        {
            Failure::new(Blame::Deadline, format!("{error}; the deadline passed meanwhile"))
        }
        error => Failure::from(error),
    })?;
    let request = JobRequest {
        id: random_request_id(),
        manifest: Arc::clone(manifest),
        spec,
        holders: Holders::Everyone,
        deadline: args.run.time_left(start),
    };
    let never = AtomicBool::new(false);
    let outcome = cluster
        .reduce(request, |progress| talk.progress(progress.bytes_done), &never)
        .map_err(|error| match error {
            RequestError::Job(error) => job_failure(error, args.run.deadline),
            error => Failure::from(error),
        })?;
    outcome.warnings.iter().for_each(|warning| talk.warning(&warning.to_string()));
    let elapsed = start.elapsed();
    let members = cluster.nodes();
    Ok(Answer {
        spec,
        total: outcome.total,
        files: report::file_reports(manifest),
        shards: report::shards_report(manifest, outcome.coverage.entries(), outcome.recomputed),
        devices: device_reports(&members, &outcome.usage, &threads),
        nodes: members.iter().map(|member| node_report(member, &outcome.nodes)).collect(),
        bytes: manifest.bytes(),
        elapsed,
    })
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

fn node_report(member: &LocalNode, reports: &[crate::engine::NodeReport]) -> NodeReport {
    let part = reports.iter().find(|report| report.id == member.id);
    NodeReport {
        id: member.id.to_string(),
        name: member.name.clone(),
        addr: member.addr.to_string(),
        shards: part.map_or(0, |part| part.entries),
        lost: member.lost || part.is_some_and(|part| part.lost),
    }
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
