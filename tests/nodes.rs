//! Nodes as real processes: the same bits from any number of them, also when
//! they are killed, and nobody left behind.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]

mod data_kinds;
mod oracle;
mod program;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adsum::DType;
use data_kinds::{Kind, Random, floats};
use program::{Run, command, data, run, to_run, write_npy};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data set that takes seconds to reduce and little disk: one file of 64 MiB
/// under many names. Equal bytes under two names count twice.
struct DataSet {
    folder: tempfile::TempDir,
    /// The bits of the exact total, by big integers.
    bits: String,
}

impl DataSet {
    fn new(names: usize) -> DataSet {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = floats(Kind::Wild, 16 << 20, 9);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let first = write_npy(&folder.path().join("000.npy"), "<f4", values.len(), &bytes);
        for name in 1..names {
            fs::hard_link(&first, folder.path().join(format!("{name:03}.npy"))).unwrap();
        }
        let mut exact = oracle::sum(DType::F32, &bytes);
        exact.units *= names;
        DataSet { folder, bits: format!("{:#018x}", exact.f64_bits()) }
    }

    fn glob(&self) -> String {
        self.folder.path().join("*.npy").to_str().unwrap().to_owned()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let glob = self.glob();
        let all = [&["sum", "--json", &glob][..], arguments].concat();
        command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// A process's parent and its processor time so far, in ticks of 10 ms.
fn parent_and_ticks(process: u32) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields follow it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X");
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    (!ended).then_some((fields.get(1)?.parse().ok()?, ticks))
}

/// The living children of a process, with their processor time.
fn children(parent: u32) -> Vec<(u32, u64)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|process| {
            let (its_parent, ticks) = parent_and_ticks(process)?;
            (its_parent == parent).then_some((process, ticks))
        })
        .collect()
}

/// Waits until `count` nodes have a file of the data set in hand and have had
/// so much processor time each.
fn wait_until_at_work(set: &DataSet, parent: u32, count: usize, ticks: u64) -> Vec<u32> {
    let folder = set.folder.path().to_str().unwrap();
    let has_file = |process: u32| {
        fs::read_to_string(format!("/proc/{process}/maps")).is_ok_and(|maps| maps.contains(folder))
    };
    let start = Instant::now();
    loop {
        let at_work: Vec<u32> = children(parent)
            .into_iter()
            .filter(|&(process, worked)| worked >= ticks && has_file(process))
            .map(|(process, _)| process)
            .collect();
        if at_work.len() >= count {
            return at_work;
        }
        assert!(start.elapsed() < PATIENCE, "{count} nodes did not come to work");
        assert!(parent_and_ticks(parent).is_some(), "the run ended before its nodes worked");
        std::thread::yield_now();
    }
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(sent.success(), "cannot send {name} to {process}");
}

/// Waits until none of the processes lives.
fn wait_until_gone(processes: &[u32]) {
    let start = Instant::now();
    while processes.iter().any(|&process| parent_and_ticks(process).is_some()) {
        assert!(start.elapsed() < PATIENCE, "nodes outlive their parent: {processes:?}");
        std::thread::yield_now();
    }
}

fn end(child: Child) -> Run {
    to_run(&child.wait_with_output().unwrap())
}

#[test]
fn any_number_of_nodes_gives_the_same_bits() {
    let path = data("flights_time.npy");
    let alone = run(&["sum", "--json", &path]).bits();
    for nodes in ["1", "2", "3", "5"] {
        let answer = run(&["sum", "--json", "--nodes", nodes, &path]);
        assert_eq!(answer.bits(), alone, "{nodes} {answer:?}");
        assert_eq!(answer.json()["nodes"].as_array().unwrap().len().to_string(), nodes);
    }
    let set = DataSet::new(12);
    for nodes in ["1", "2", "3", "5"] {
        let answer = end(set.start(&["--nodes", nodes, "--threads", "4"]));
        assert_eq!(answer.bits(), set.bits, "{nodes} {answer:?}");
        let object = answer.json();
        let shards = object["nodes"].as_array().unwrap().iter().map(|node| &node["shards"]);
        assert_eq!(shards.map(|shards| shards.as_u64().unwrap()).sum::<u64>(), 12);
        assert_eq!(object["shards"]["done"], 12);
    }
    assert_eq!(end(set.start(&[])).bits(), set.bits);
}

/// Entries of equal bytes are two entries: their position is their identity.
#[test]
fn a_constant_array_of_several_shards_counts_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ones.bin");
    let bytes = 3 * (64 << 20) + 5;
    fs::write(&path, vec![1; bytes]).unwrap();
    let path = path.to_str().unwrap();
    for setting in [&[][..], &["--nodes", "1"], &["--nodes", "3"], &["--no-mmap"]] {
        let arguments = [&["sum", "--json", "--dtype", "u8", path][..], setting].concat();
        let answer = run(&arguments);
        assert_eq!(answer.json()["value"], bytes, "{setting:?} {answer:?}");
        assert_eq!(answer.json()["shards"]["total"], 4);
    }
}

#[test]
fn nodes_reduce_on_every_device_and_setting() {
    let path = data("flights_time.npy");
    let alone = run(&["sum", "--json", &path]).bits();
    for setting in [
        &["--device", "gpu"][..],
        &["--device", "cpu", "--device", "gpu:0", "--tile", "64KiB"],
        &["--no-mmap"],
        &["--memory", "64MiB"],
        &["--deadline", "5m"],
        &["--deadline", "300000000000y"],
        &["--threads", "32", "--memory", "128MiB"],
    ] {
        let arguments = [&["sum", "--json", "--nodes", "2", &path][..], setting].concat();
        assert_eq!(run(&arguments).bits(), alone, "{setting:?}");
    }
    let empty = run(&["sum", "--json", "--nodes", "2", &data("empty.npy")]);
    assert_eq!(empty.json()["value"], 0.0);
}

#[test]
fn nodes_killed_in_the_middle_change_nothing() {
    let set = DataSet::new(100);
    let mut random = Random(17);
    for round in 0..8 {
        let nodes = 3 + round % 3;
        let child = set.start(&["--nodes", &nodes.to_string(), "--threads", "4"]);
        let mut victims = wait_until_at_work(&set, child.id(), nodes, random.below(12) as u64);
        let survivors = 1 + random.below(nodes - 1);
        while victims.len() > survivors {
            let victim = victims.swap_remove(random.below(victims.len()));
            signal(victim, "-KILL");
        }
        let answer = end(child);
        assert_eq!(answer.bits(), set.bits, "round {round}: {answer:?}");
        let object = answer.json();
        let lost = object["nodes"].as_array().unwrap().iter().filter(|node| node["lost"] == true);
        assert_eq!(lost.count(), nodes - survivors, "round {round}: {answer:?}");
        assert!(object["shards"]["recomputed"].as_u64().unwrap() > 0, "round {round}");
    }
}

#[test]
fn a_stopped_node_is_passed_over() {
    let set = DataSet::new(40);
    let child = set.start(&["--nodes", "3", "--threads", "3"]);
    let nodes = wait_until_at_work(&set, child.id(), 3, 1);
    signal(nodes[1], "-STOP");
    let answer = end(child);
    assert_eq!(answer.bits(), set.bits, "{answer:?}");
    wait_until_gone(&nodes);
}

#[test]
fn with_no_node_left_the_run_ends_with_an_error() {
    let set = DataSet::new(60);
    let child = set.start(&["--nodes", "2", "--threads", "2"]);
    for node in wait_until_at_work(&set, child.id(), 2, 1) {
        signal(node, "-KILL");
    }
    end(child).refused(5, &["entries are missing", ".npy"]);
}

#[test]
fn the_deadline_ends_the_run_and_its_nodes() {
    // 256 GB: more than two nodes reduce in that time, which is long enough for them to start.
    let set = DataSet::new(4000);
    let child = set.start(&["--nodes", "2", "--deadline", "8s"]);
    let nodes = wait_until_at_work(&set, child.id(), 2, 1);
    end(child).refused(6, &["8s"]);
    wait_until_gone(&nodes);
}

#[test]
fn nodes_never_outlive_a_parent_that_is_killed() {
    let set = DataSet::new(1000);
    let mut child = set.start(&["--nodes", "3", "--threads", "3"]);
    let nodes = wait_until_at_work(&set, child.id(), 3, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(&nodes);
}

#[test]
fn ctrl_c_ends_the_run_and_its_nodes() {
    let set = DataSet::new(1000);
    let child = set.start(&["--nodes", "2"]);
    let nodes = wait_until_at_work(&set, child.id(), 2, 1);
    signal(child.id(), "-INT");
    end(child).refused(130, &["interrupted"]);
    wait_until_gone(&nodes);
}

#[test]
fn what_is_wrong_with_the_data_is_told_once_by_every_path() {
    let set = DataSet::new(60);
    let file = set.folder.path().join("031.npy");
    let child = set.start(&["--nodes", "2", "--threads", "2"]);
    wait_until_at_work(&set, child.id(), 2, 1);
    // All names are one file: a change of its metadata shows in all of them.
    fs::File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
    end(child).refused(3, &[".npy"]);
    run(&["sum", "--nodes", "2", "missing.npy"]).refused(3, &["missing.npy"]);
    run(&["sum", "--nodes", "2", "--device", "gpu:99", &data("nan.npy")]).refused(8, &["gpu:99"]);
    run(&["sum", "--nodes", "2", "--memory", "1MiB", &data("nan.npy")]).refused(2, &["--memory"]);
}

#[test]
fn a_node_without_a_parent_says_what_it_is_for() {
    run(&["node", "--supervised"]).refused(1, &["adsum itself starts"]);
}

#[test]
fn the_secret_is_nowhere_to_be_read() {
    let set = DataSet::new(60);
    let child = set.start(&["--nodes", "2"]);
    let nodes = wait_until_at_work(&set, child.id(), 2, 1);
    let read = |process: u32, what: &str| {
        fs::read(Path::new("/proc").join(process.to_string()).join(what)).unwrap_or_default()
    };
    for &node in &nodes {
        let line = read(node, "cmdline");
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).skip(1).collect();
        assert_eq!(words, [&b"node"[..], b"--supervised", b""]);
        let parents = read(child.id(), "environ");
        let environment = read(node, "environ");
        // Nothing beyond what the parent has, but what Mesa is told.
        for variable in environment.split(|byte| *byte == 0) {
            let told = variable.starts_with(b"XDG_RUNTIME_DIR=");
            assert!(told || parents.split(|byte| *byte == 0).any(|known| known == variable));
        }
    }
    assert_eq!(end(child).bits(), set.bits);
}
