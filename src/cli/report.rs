//! What is told after a reduction: the answer, its JSON object, and one line
//! for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::args::OutputArgs;
use super::exit::{self, Blame, Failure};
use super::shown::Shown;
use super::talk::Talk;
use crate::backend::{DeviceInfo, DeviceKind};
use crate::dtype::DType;
use crate::finish::Special;
use crate::manifest::{Digest, File, Manifest};
use crate::op::Op;
use crate::wire::Usage;

/// Version of the JSON objects. Fields are added, never changed, within one.
pub const SCHEMA: u32 = 1;

/// What was done for a result, wherever it was.
pub struct Work {
    pub files: Vec<FileReport>,
    pub shards: ShardsReport,
    pub devices: Vec<DeviceReport>,
    pub nodes: Vec<NodeReport>,
    /// Bytes of elements that were reduced, in every round anew.
    pub bytes: u64,
    pub elapsed: Duration,
}

/// All there is to tell about a reduction that gave an answer.
pub struct Report {
    pub op: Op,
    /// Type of the elements.
    pub dtype: DType,
    pub elements: u64,
    pub special: Special,
    pub work: Work,
    pub shown: Shown,
}

pub struct FileReport {
    pub path: String,
    /// Bytes of its elements.
    pub bytes: u64,
    /// Its contents, where they are known by their digest.
    pub digest: Option<Digest>,
}

#[derive(Default)]
pub struct ShardsReport {
    pub total: u64,
    pub done: u64,
    /// Shards that nodes remembered from an earlier job.
    pub recalled: u64,
    /// Shards that were asked of more than one node.
    pub recomputed: u64,
}

/// What one device of one node did.
pub struct DeviceReport {
    pub info: DeviceInfo,
    /// Name of its node; without nodes there is none.
    pub node: Option<String>,
    /// Number of workers: threads of a CPU, 1 for an adapter.
    pub workers: u64,
    pub usage: Usage,
}

pub struct NodeReport {
    pub id: String,
    pub name: String,
    pub addr: String,
    pub shards: u64,
    pub lost: bool,
}

impl Report {
    /// Prints the answer, and what there is to say about it. With `--strict`,
    /// NaN and infinities are a failure instead.
    pub fn tell(self, output: &OutputArgs, mut talk: Talk) -> Result<(), Failure> {
        let Special { nan, infinite, .. } = self.special;
        if output.strict && (nan > 0 || infinite) {
            return Err(Failure::new(
                Blame::Numeric,
                format!(
                    "of {} elements {nan} are NaN and {} infinite; leave '--strict' out to reduce them as IEEE 754 does",
                    self.elements,
                    if infinite { "some" } else { "none" },
                ),
            ));
        }
        let warnings = talk.take_warnings();
        talk.end();
        let missing = talk.missing();
        let answer = match output.json {
            true => self.to_json(&warnings, missing).to_string(),
            false => self.shown.text.clone(),
        };
        // What went into a file is not printed again.
        if !answer.is_empty() {
            exit::answer(&answer)?;
        }
        if !output.quiet {
            exit::say(&self.work.summary());
        }
        match missing {
            [] => Ok(()),
            missing => {
                let names = missing.join("; ");
                let files = match missing.len() {
                    1 => "a file is".to_owned(),
                    count => format!("{count} files are"),
                };
                let message = format!("the answer is partial, {files} not in it: {names}");
                Err(Failure::new(Blame::Partial, message))
            }
        }
    }

    /// The JSON object that `--json` prints.
    fn to_json(&self, warnings: &[String], missing: &[String]) -> Json {
        let work = &self.work;
        let (positive, negative) = self.special.infinities.unzip();
        let mut object = json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "op": self.op.name(),
            "dtype": self.dtype.name(),
            "elements": self.elements,
            "nan": self.special.nan,
            "positive_infinity": positive,
            "negative_infinity": negative,
            "bytes": work.bytes,
            "elapsed_s": work.elapsed.as_secs_f64(),
            "files": work.files.iter().map(FileReport::to_json).collect::<Vec<_>>(),
            "shards": {
                "total": work.shards.total,
                "done": work.shards.done,
                "recalled": work.shards.recalled,
                "recomputed": work.shards.recomputed,
            },
            "devices": work.devices.iter().map(DeviceReport::to_json).collect::<Vec<_>>(),
            "nodes": work.nodes.iter().map(NodeReport::to_json).collect::<Vec<_>>(),
            "warnings": warnings,
            "partial": !missing.is_empty(),
            "missing": missing,
        });
        if let Json::Object(fields) = &mut object {
            fields.extend(self.shown.fields.clone());
        }
        object
    }
}

impl Work {
    /// The line for people: how much, how fast, and who did which share.
    pub fn summary(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.bytes as f64 / seconds / 1e9 } else { 0.0 };
        let mut line = decimal_bytes(self.bytes);
        // Writing to a string cannot fail.
        let _ = match seconds {
            0.1.. => write!(line, " in {seconds:.2} s, "),
            _ => write!(line, " in {:.1} ms, ", seconds * 1e3),
        };
        let _ = match rate {
            1.0.. => write!(line, "{rate:.1} GB/s"),
            _ => write!(line, "{rate:.3} GB/s"),
        };
        // One share per kind of device: the same device on several nodes is
        // one device of this machine.
        let mut shares: BTreeMap<&str, (&DeviceReport, u64, u64)> = BTreeMap::new();
        for device in self.devices.iter().filter(|device| device.usage.bytes > 0) {
            let share = shares.entry(&device.info.id).or_insert((device, 0, 0));
            share.1 += device.workers;
            share.2 += device.usage.bytes;
        }
        let all: u64 = shares.values().map(|(_, _, bytes)| bytes).sum();
        for (index, (id, (device, workers, bytes))) in shares.iter().enumerate() {
            line.push_str(if index == 0 { ": " } else { ", " });
            let percent = (*bytes as f64 / all.max(1) as f64 * 100.0).round();
            let _ = match (*id, workers) {
                ("cpu", 1) => write!(line, "cpu 1 thread {percent} %"),
                ("cpu", _) => write!(line, "cpu {workers} threads {percent} %"),
                _ => write!(line, "{id} {} {percent} %", device.info.name),
            };
        }
        let lost = self.nodes.iter().filter(|node| node.lost).count();
        match (self.nodes.len(), lost) {
            (0, _) => {}
            (1, 0) => line.push_str("; 1 node"),
            (nodes, 0) => {
                let _ = write!(line, "; {nodes} nodes");
            }
            (nodes, lost) => {
                let recomputed = self.shards.recomputed;
                let _ =
                    write!(line, "; {nodes} nodes, {lost} lost, {recomputed} shards asked again");
            }
        }
        match self.shards.recalled {
            0 => {}
            recalled => {
                let _ = write!(line, "; {recalled} of {} shards remembered", self.shards.done);
            }
        }
        line
    }
}

impl FileReport {
    fn to_json(&self) -> Json {
        let digest = self.digest.map(|digest| digest.to_string());
        json!({ "path": self.path, "bytes": self.bytes, "digest": digest })
    }
}

impl DeviceReport {
    fn to_json(&self) -> Json {
        json!({
            "name": self.info.name,
            "id": self.info.id,
            "kind": self.info.kind,
            "backend": self.info.backend,
            "driver": self.info.driver,
            "node": self.node,
            "tiles": self.usage.tiles,
            "bytes": self.usage.bytes,
            "busy_s": Duration::from_nanos(self.usage.busy_ns).as_secs_f64(),
        })
    }
}

impl NodeReport {
    fn to_json(&self) -> Json {
        json!({
            "id": self.id,
            "name": self.name,
            "addr": self.addr,
            "shards": self.shards,
            "lost": self.lost,
        })
    }
}

/// One report for each file of the data set.
pub fn file_reports(manifest: &Manifest) -> Vec<FileReport> {
    let size = manifest.dtype().size_bytes() as u64;
    let report = |file: &File| FileReport {
        path: file.name(),
        bytes: file.elements().unwrap_or(0) * size,
        digest: file.digest,
    };
    manifest.files().iter().map(report).collect()
}

/// One report per device of a node, also of those that had nothing to do.
pub fn device_reports(
    devices: &[DeviceInfo],
    usage: &[Usage],
    node: Option<&str>,
    threads: usize,
) -> Vec<DeviceReport> {
    let report = |(index, info): (usize, &DeviceInfo)| DeviceReport {
        info: info.clone(),
        node: node.map(str::to_owned),
        workers: if info.kind == DeviceKind::Cpu { threads as u64 } else { 1 },
        usage: usage
            .iter()
            .find(|usage| usize::from(usage.device) == index)
            .copied()
            .unwrap_or_default(),
    };
    devices.iter().enumerate().map(report).collect()
}

/// A number of bytes with a decimal unit and three digits.
pub fn decimal_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        // 999.5 would print as 1000.
        if scaled < 999.5 {
            break;
        }
        scaled /= 1000.0;
        unit = next;
    }
    let decimals = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    format!("{scaled:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (1_073_741_824, "1.07 GB"),
            (99_940_000, "99.9 MB"),
            (999_600, "1.00 MB"),
            (123_000_000_000, "123 GB"),
        ] {
            assert_eq!(decimal_bytes(bytes), text);
        }
    }

    #[test]
    fn the_summary_names_devices_and_lost_nodes() {
        let device = |id: &str, name: &str, workers, bytes| DeviceReport {
            info: DeviceInfo {
                id: id.into(),
                name: name.into(),
                kind: crate::backend::DeviceKind::Other,
                backend: String::new(),
                driver: String::new(),
            },
            node: None,
            workers,
            usage: Usage { device: 0, tiles: 1, bytes, busy_ns: 0 },
        };
        let node = |lost| NodeReport {
            id: "a".into(),
            name: "node-0".into(),
            addr: "127.0.0.1:1".into(),
            shards: 1,
            lost,
        };
        let work = Work {
            files: vec![],
            shards: ShardsReport { total: 2, done: 2, recomputed: 1, recalled: 0 },
            devices: vec![
                device("cpu", "x", 4, 25),
                device("cpu", "x", 4, 13),
                device("gpu:0", "NAME", 1, 62),
            ],
            nodes: vec![node(true), node(false)],
            bytes: 1_070_000_000,
            elapsed: Duration::from_millis(310),
        };
        assert_eq!(
            work.summary(),
            "1.07 GB in 0.31 s, 3.5 GB/s: cpu 8 threads 38 %, gpu:0 NAME 62 %; \
             2 nodes, 1 lost, 1 shards asked again"
        );
    }
}
