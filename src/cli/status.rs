//! `adsum status` and `adsum cancel`: what the nodes of a cluster have and do.

use serde_json::{Value as Json, json};

use super::args::{CancelArgs, StatusArgs};
use super::exit::{self, Blame, Failure};
use super::report::{SCHEMA, decimal_bytes};
use super::secret;
use super::table::{Align, Table};
use crate::client::{Client, ClientError};
use crate::wire::{JobStatus, MemberInfo, NodeStatus, Question, Reply, TroubleKind};

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
    let mut nodes = Vec::new();
    for member in client.members()? {
        let status = match member.id == first.node.id {
            true => Ok(first.clone()),
            // Each is asked by itself: what others say of it is no status.
            false => Client::connect(&member.addrs, &secret)
                .and_then(|client| status_of(&client))
                .map_err(|error| error.to_string()),
        };
        nodes.push(Asked { member, status });
    }
    exit::answer(&if args.json { to_json(&nodes).to_string() } else { to_text(&nodes) })
}

/// Ends a job, at whichever node collects it.
pub fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let client = args.via.client()?;
    let secret = secret::read(args.via.token.as_deref())?;
    let question = Question::Cancel { job: args.job.clone() };
    let own = client.addr();
    let mut ended = Vec::new();
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
        false => ended.join("\n"),
    };
    exit::answer(&text)
}

fn status_of(client: &Client) -> Result<NodeStatus, ClientError> {
    match client.ask(&Question::Status)? {
        Reply::Status(status) => Ok(*status),
        other => Err(client.wrong(&other)),
    }
}

fn to_text(nodes: &[Asked]) -> String {
    let columns = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    let mut table = Table::new(&columns);
    table.push(["NODE", "ID", "ADDRESS", "FILES", "SIZE", "DEVICES"].map(str::to_owned));
    let mut remarks = Vec::new();
    let mut jobs = Vec::new();
    for Asked { member, status } in nodes {
        let addr = member.addrs.first().map(ToString::to_string).unwrap_or_default();
        let mut row = vec![member.name.clone(), member.id.to_string(), addr];
        match status {
            Ok(status) => {
                row.extend([status.files.to_string(), decimal_bytes(status.bytes)]);
                row.push(devices(status));
                if status.unhashed > 0 {
                    let count = status.unhashed;
                    remarks.push(format!("{}: {count} files are not hashed yet", member.name));
                }
                let problems = status.problems.iter();
                remarks.extend(problems.map(|problem| format!("{}: {problem}", member.name)));
                jobs.extend(status.jobs.iter().map(|job| (member.name.clone(), job)));
            }
            Err(error) => {
                row.extend(["?".to_owned(), "?".to_owned(), "not reached".to_owned()]);
                remarks.push(format!("{}: {error}", member.name));
            }
        }
        table.push(row);
    }
    let mut text = table.to_text();
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

fn devices(status: &NodeStatus) -> String {
    let device = |device: &crate::backend::DeviceInfo| match device.id.as_str() {
        "cpu" => format!("cpu, {} workers", status.workers),
        id => format!("{id} {}", device.name),
    };
    status.devices.iter().map(device).collect::<Vec<_>>().join("; ")
}

fn to_json(nodes: &[Asked]) -> Json {
    let nodes: Vec<Json> = nodes.iter().map(node_json).collect();
    json!({ "schema": SCHEMA, "version": env!("CARGO_PKG_VERSION"), "nodes": nodes })
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
            "devices": status.devices.iter().map(|device| json!({
                "id": device.id,
                "name": device.name,
                "kind": device.kind,
                "backend": device.backend,
                "driver": device.driver,
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
