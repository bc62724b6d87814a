//! `adsum status` and `adsum cancel`: what the nodes of a cluster have and do.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::args::{CancelArgs, StatusArgs};
use super::exit::{self, Blame, Failure};
use super::report::{SCHEMA, decimal_bytes};
use super::secret;
use super::table::{Align, Table};
use crate::backend::{DeviceInfo, DeviceKind};
use crate::catalogue::{Holder, REPLICAS_MAX};
use crate::client::{Client, ClientError};
use crate::wire::{JobStatus, MemberInfo, NodeStatus, Question, Reply, TroubleKind};

/// How long each node may take to be reached and to answer. One that hangs is a member
/// for a second or so.
const NODE_PATIENCE: Duration = Duration::from_secs(2);

/// Nodes that are asked at the same time.
const THREADS: usize = 16;

/// A node, and what it says of itself or why it does not.
struct Asked {
    member: MemberInfo,
    status: Result<NodeStatus, String>,
}

/// Asks every node for its status.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let client = args.via.client()?;
    let secret = secret::read(args.via.token.as_deref())?;
    let first = status_of(client)?;
    let members = client.members()?;
    let next = AtomicUsize::new(0);
    let asked = Mutex::new(Vec::new());
    let ask = || {
        while let Some(member) = members.get(next.fetch_add(1, Ordering::Relaxed)) {
            let status = match member.id == first.node.id {
                true => Ok(first.clone()),
                // Each is asked by itself: what others say of it is no status.
                false => Client::connect_within(&member.addrs, &secret, NODE_PATIENCE)
                    .and_then(|client| status_of(&client))
                    .map_err(|error| error.to_string()),
            };
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(Asked { member: member.clone(), status });
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS.min(members.len()) {
            scope.spawn(ask);
        }
        ask();
    });
    let mut nodes = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    let place = |node: &Asked| members.iter().position(|member| member.id == node.member.id);
    nodes.sort_by_key(place);
    exit::answer(&match args.json {
        true => to_json(&nodes, &first).to_string(),
        false => to_text(&nodes, &first),
    })
}

/// Ends a job, at whichever node collects it.
pub fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let client = args.via.client()?;
    let secret = secret::read(args.via.token.as_deref())?;
    let question = Question::Cancel { job: args.job.clone() };
    let own = client.addr();
    let mut ended = BTreeSet::new();
    for member in client.members()? {
        let answer = match member.addrs.contains(&own) {
            true => client.ask(&question),
            false => Client::connect(&member.addrs, &secret).and_then(|node| node.ask(&question)),
        };
        match answer {
            Ok(Reply::Cancelled(jobs)) => ended.extend(jobs.iter().map(ToString::to_string)),
            Ok(other) => return Err(client.wrong(&other).into()),
            // It collects no such job, or cannot be reached and does not either.
            Err(ClientError::Refused(trouble)) if trouble.kind == TroubleKind::Question => {}
            Err(error) => exit::say(&format!("adsum: warning: {}: {error}", member.name)),
        }
    }
    if ended.is_empty() {
        let message = format!("no job '{}' runs; see 'adsum status --via HOST'", args.job);
        return Err(Failure::new(Blame::Input, message));
    }
    let text = match args.json {
        true => {
            json!({ "schema": SCHEMA, "version": env!("CARGO_PKG_VERSION"), "cancelled": ended })
                .to_string()
        }
        false => ended.into_iter().collect::<Vec<_>>().join("\n"),
    };
    exit::answer(&text)
}

fn status_of(client: &Client) -> Result<NodeStatus, ClientError> {
    match client.ask(&Question::Status)? {
        Reply::Status(status) => Ok(*status),
        other => Err(client.wrong(&other)),
    }
}

/// `first` is what the node says that was asked first: of the others, too.
fn to_text(nodes: &[Asked], first: &NodeStatus) -> String {
    let columns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Left,
    ];
    let mut table = Table::new(&columns);
    table.push(["NODE", "ID", "ADDRESS", "FILES", "SIZE", "RATE", "DEVICES"].map(str::to_owned));
    let mut remarks = Vec::new();
    let mut jobs = Vec::new();
    for Asked { member, status } in nodes {
        let addr = member.addrs.first().map(ToString::to_string).unwrap_or_default();
        let mut row = vec![member.name.clone(), member.id.to_string(), addr];
        match status {
            Ok(status) => {
                row.extend([status.files.to_string(), decimal_bytes(status.bytes)]);
                row.extend([rate_text(status), devices(status)]);
                if status.unhashed > 0 {
                    let count = status.unhashed;
                    remarks.push(format!("{}: {count} files are not hashed yet", member.name));
                }
                let problems = status.problems.iter();
                remarks.extend(problems.map(|problem| format!("{}: {problem}", member.name)));
                jobs.extend(status.jobs.iter().map(|job| (member.name.clone(), job)));
            }
            Err(error) => {
                row.extend(["?", "?", "?", "not reached"].map(str::to_owned));
                remarks.push(format!("{}: {error}", member.name));
            }
        }
        table.push(row);
    }
    for (id, Holder { name, addr }) in &first.gone {
        let row = [name, &id.to_string(), addr, "?", "?", "?", "gone"];
        table.push(row.map(str::to_owned));
    }
    let mut text = table.to_text();
    text.push_str("\n\n");
    text.push_str(&replicas_text(&first.replicas));
    if !jobs.is_empty() {
        text.push_str("\n\n");
        text.push_str(&jobs_table(&jobs).to_text());
    }
    if !remarks.is_empty() {
        text.push_str("\n\n");
        let remarks: Vec<_> = remarks.iter().map(|remark| exit::plain(remark)).collect();
        text.push_str(&remarks.join("\n"));
    }
    text
}

fn jobs_table(jobs: &[(String, &JobStatus)]) -> Table {
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Left]);
    table.push(["JOB", "COLLECTOR", "DONE", "ASKED BY"].map(str::to_owned));
    for (node, job) in jobs {
        let percent = 100.0 * job.bytes_done as f64 / job.bytes.max(1) as f64;
        let done = format!("{percent:.0} % of {}", decimal_bytes(job.bytes));
        table.push([job.job.to_string(), node.clone(), done, job.askers.join(" ")]);
    }
    table
}

/// How many names there are, and of how many copies.
fn replicas_text(replicas: &[u64]) -> String {
    let names: u64 = replicas.iter().sum();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut text = format!("{names} name{}", plural(names as usize));
    let there = replicas.iter().enumerate().rev().filter(|(_, names)| **names > 0);
    for (index, (nodes, names)) in there.enumerate() {
        text.push_str(if index == 0 { ": " } else { ", " });
        text.push_str(&match nodes {
            0 => format!("{names} missing"),
            REPLICAS_MAX => format!("{names} on {REPLICAS_MAX} nodes and more"),
            _ => format!("{names} on {nodes} node{}", plural(nodes)),
        });
    }
    text
}

/// Bytes that a device of a node reduced lately in each second of its work, with all
/// its workers.
fn rate(status: &NodeStatus, index: usize, device: &DeviceInfo) -> Option<f64> {
    let usage = status.usage.iter().find(|usage| usize::from(usage.device) == index)?;
    let workers = if device.kind == DeviceKind::Cpu { f64::from(status.workers) } else { 1.0 };
    (usage.busy_ns > 0).then(|| usage.bytes as f64 * workers / usage.busy_ns as f64 * 1e9)
}

fn rates(status: &NodeStatus) -> impl Iterator<Item = Option<f64>> {
    status.devices.iter().enumerate().map(|(index, device)| rate(status, index, device))
}

fn rate_text(status: &NodeStatus) -> String {
    match rates(status).flatten().sum::<f64>() {
        0.0 => "-".to_owned(),
        rate => format!("{}/s", decimal_bytes(rate as u64)),
    }
}

fn devices(status: &NodeStatus) -> String {
    let device = |device: &DeviceInfo| match device.id.as_str() {
        "cpu" => format!("cpu, {} workers", status.workers),
        id => format!("{id} {}", device.name),
    };
    status.devices.iter().map(device).collect::<Vec<_>>().join("; ")
}

fn to_json(nodes: &[Asked], first: &NodeStatus) -> Json {
    let nodes: Vec<Json> = nodes.iter().map(node_json).collect();
    let gone = first.gone.iter().map(
        |(id, holder)| json!({ "id": id.to_string(), "name": holder.name, "addr": holder.addr }),
    );
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "nodes": nodes,
        "gone": gone.collect::<Vec<_>>(),
        "replicas": first.replicas,
    })
}

fn node_json(Asked { member, status }: &Asked) -> Json {
    let mut object = json!({
        "id": member.id.to_string(),
        "name": member.name,
        "addrs": member.addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "reached": status.is_ok(),
    });
    let more = match status {
        Err(error) => json!({ "error": error }),
        Ok(status) => json!({
            "devices": status.devices.iter().zip(rates(status)).map(|(device, rate)| json!({
                "id": device.id,
                "name": device.name,
                "kind": device.kind,
                "backend": device.backend,
                "driver": device.driver,
                "bytes_per_s": rate,
            })).collect::<Vec<_>>(),
            "workers": status.workers,
            "files": status.files,
            "bytes": status.bytes,
            "unhashed": status.unhashed,
            "problems": status.problems,
            "connected": status.connected.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "jobs": status.jobs.iter().map(|job| json!({
                "id": job.job.to_string(),
                "entries_done": job.entries_done,
                "entries": job.entries,
                "bytes_done": job.bytes_done,
                "bytes": job.bytes,
                "askers": job.askers,
            })).collect::<Vec<_>>(),
        }),
    };
    if let (Json::Object(object), Json::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
