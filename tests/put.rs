//! `adsum put` between real processes: whole files or none, whoever is killed.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]

mod data_kinds;
mod oracle;
mod program;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adsum::DType;
use data_kinds::{Kind, floats};
use program::{Run, command, finish, to_run, write_npy};
use serde_json::Value as Json;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes, and a directory to put files from.
struct Cluster {
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
}

struct Node {
    process: Child,
    addr: String,
    data: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    /// Whether the node has a file that grows to more than so many bytes.
    fn grows(&self, bytes: u64) -> bool {
        files(&self.data.join(".adsum/incoming"))
            .iter()
            .any(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > bytes))
    }

    /// All files that are not hidden.
    fn visible(&self) -> Vec<PathBuf> {
        let mut visible = files(&self.data);
        visible.retain(|path| !path.to_str().unwrap().contains("/."));
        visible
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// All files below a directory, without its path.
fn files(directory: &Path) -> Vec<PathBuf> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => collect(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    collect(directory, &mut found);
    found
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(sent.success(), "cannot send {name} to {process}");
}

impl Cluster {
    fn new(nodes: usize) -> Cluster {
        let folder = tempfile::Builder::new().prefix("adsum-put").tempdir().unwrap();
        let token = finish(&mut command(&["token", "new"])).stdout;
        let path = folder.path().join("token");
        fs::write(&path, token).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut cluster = Cluster { folder, nodes: Vec::new() };
        for number in 0..nodes {
            let node = cluster.start(number);
            cluster.nodes.push(node);
        }
        let all = |object: &Json| object["nodes"].as_array().unwrap().len() == nodes;
        eventually("all nodes know each other", || {
            (0..nodes).all(|via| all(&cluster.run(via, &["status", "--json"]).json()))
        });
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a node, which may have been there before.
    fn start(&self, number: usize) -> Node {
        self.start_with(number, &[])
    }

    fn start_with(&self, number: usize, arguments: &[&str]) -> Node {
        let (data, name) = (self.path(&format!("data-{number}")), format!("node-{number}"));
        fs::create_dir_all(&data).unwrap();
        let mut command = command(&["node", "--json", "--bind", "127.0.0.1:0", "--threads", "1"]);
        command.args(["--name", &name]).arg("--data").arg(&data).args(arguments);
        command.arg("--token").arg(self.path("token"));
        if let Some(first) = self.nodes.iter().find(|node| node.data != data) {
            command.args(["--join", &first.addr]);
        }
        let log = fs::File::create(self.path(&format!("log-{number}"))).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Json = serde_json::from_str(&line).expect("it says that it is ready");
        let addr = ready["listen"].as_str().unwrap().to_owned();
        Node { process, addr, data }
    }

    /// A command in the directory with the files, over a node.
    fn command(&self, via: usize, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.args(["--via", &self.nodes[via].addr]).arg("--token").arg(self.path("token"));
        command.current_dir(self.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, via: usize, arguments: &[&str]) -> Run {
        finish(&mut self.command(via, arguments))
    }

    fn write(&self, name: &str, elements: usize, seed: u64) -> Vec<u8> {
        let values: Vec<f64> = floats(Kind::Wild, elements, seed);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        write_npy(&self.path(name), "<f8", elements, &bytes);
        bytes
    }

    /// 200 MB, as the sum's bits say.
    fn write_big(&self, name: &str) -> (Vec<u8>, String) {
        let values: Vec<f64> = floats(Kind::Wild, 250_000, 3);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut exact = oracle::sum(DType::F64, &bytes);
        exact.units *= 100;
        let bytes = bytes.repeat(100);
        write_npy(&self.path(name), "<f8", 25_000_000, &bytes);
        (bytes, format!("{:#018x}", exact.f64_bits()))
    }

    /// Starts to put a big file, and waits until a node of `chosen` has begun to get it.
    fn start_put(&self, arguments: &[&str], chosen: &[usize]) -> (Child, usize) {
        let mut put = self.command(0, arguments).spawn().unwrap();
        let mut found = None;
        eventually("a file grows", || {
            assert!(put.try_wait().unwrap().is_none(), "it ended too early");
            found = chosen.iter().copied().find(|&node| self.nodes[node].grows(1 << 20));
            found.is_some()
        });
        (put, found.unwrap())
    }

    /// That no node has more than these names, and nothing grows.
    fn holds_only(&self, names: &[&str]) {
        for node in &self.nodes {
            eventually("nothing grows", || files(&node.data.join(".adsum/incoming")).is_empty());
            for path in node.visible() {
                let name = path.strip_prefix(&node.data).unwrap().to_str().unwrap();
                assert!(names.contains(&name), "{path:?}");
            }
        }
    }

    /// How a name stands, and the number of nodes that hold it.
    fn standing(&self, via: usize, name: &str) -> Option<(String, usize)> {
        let listed = self.run(via, &["ls", "--json", name]).json();
        let listed = listed["names"].as_array().unwrap().first().cloned()?;
        let nodes = listed["contents"][0]["nodes"].as_array().unwrap().len();
        Some((listed["state"].as_str().unwrap().to_owned(), nodes))
    }
}

fn end(child: Child) -> Run {
    to_run(&child.wait_with_output().unwrap())
}

fn bits(bytes: &[u8]) -> String {
    format!("{:#018x}", oracle::sum(DType::F64, bytes).f64_bits())
}

fn names(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn files_are_held_by_as_many_nodes_as_asked_for() {
    let cluster = Cluster::new(3);
    let sets = [("a.npy", 200_000), ("sub/b.npy", 1000), ("sub/c.npy", 0)];
    let bytes: Vec<Vec<u8>> =
        sets.iter().zip(1..).map(|((name, n), seed)| cluster.write(name, *n, seed)).collect();
    let arguments = ["put", "--json", "--replicas", "2", "a.npy", "sub/*.npy"];
    let put = cluster.run(0, &arguments).json();
    for (file, ((name, _), bytes)) in
        put["files"].as_array().unwrap().iter().zip(sets.iter().zip(&bytes))
    {
        assert_eq!(file["name"], *name);
        assert_eq!(file["bytes"], bytes.len());
        assert_eq!(names(&file["already"]), [""; 0]);
        let holders = names(&file["nodes"]);
        assert_eq!(holders.len(), 2, "{file}");
        for (number, node) in cluster.nodes.iter().enumerate() {
            let copy = fs::read(node.data.join(name));
            let should = holders.contains(&&*format!("node-{number}"));
            assert_eq!(copy.is_ok(), should, "{name} at {number}");
            if let Ok(copy) = copy {
                assert!(copy.ends_with(bytes) && copy.len() < bytes.len() + 200);
            }
        }
    }
    let expected = bits(&bytes.concat());
    for via in 0..3 {
        eventually("every node tells of it", || {
            sets.iter()
                .all(|(name, _)| cluster.standing(via, name) == Some(("present".to_owned(), 2)))
        });
        let sum = cluster.run(via, &["sum", "--json", "a.npy", "sub/*.npy"]);
        assert_eq!(sum.bits(), expected);
    }
    // A second time there is nothing to do, whoever is asked.
    let stamp = |name| fs::metadata(name).unwrap().modified().unwrap();
    let before: Vec<_> = cluster.nodes.iter().flat_map(Node::visible).collect();
    let times: Vec<_> = before.iter().map(stamp).collect();
    let again = cluster.run(1, &arguments).json();
    for (file, before) in
        again["files"].as_array().unwrap().iter().zip(put["files"].as_array().unwrap())
    {
        let (mut now, mut then) = (names(&file["already"]), names(&before["nodes"]));
        now.sort_unstable();
        then.sort_unstable();
        assert_eq!(now, then);
        assert_eq!(file["digest"], before["digest"]);
    }
    assert_eq!(cluster.nodes.iter().flat_map(Node::visible).collect::<Vec<_>>(), before);
    assert_eq!(before.iter().map(stamp).collect::<Vec<_>>(), times);
    // More nodes get only what is missing.
    let more = cluster.run(2, &["put", "--json", "--replicas", "3", "a.npy"]).json();
    assert_eq!(names(&more["files"][0]["already"]).len(), 2);
    assert_eq!(names(&more["files"][0]["nodes"]).len(), 3);
    // The summary is for people.
    let told = cluster.run(0, &["put", "a.npy", "--replicas", "3"]);
    assert_eq!((told.code, &*told.stdout), (Some(0), ""));
    assert!(told.stderr.starts_with("1 file, 1.60 MB, onto 3 nodes each, in "), "{told:?}");
    assert!(told.stderr.ends_with("all were there already\n"), "{told:?}");
    assert_eq!(cluster.run(0, &["put", "-q", "a.npy"]).stderr, "");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let cluster = Cluster::new(2);
    cluster.write("a.npy", 1000, 1);
    cluster.write("sub/a.npy", 1000, 1);
    cluster.run(0, &["put", "a.npy", "--replicas", "3"]).refused(10, &["replicas 3", "2 nodes"]);
    cluster.run(0, &["put", "a.npy", "--replicas", "0"]).refused(2, &["--replicas"]);
    cluster.run(0, &["put", "none*.npy"]).refused(3, &["none*.npy"]);
    cluster.run(0, &["put", "token"]).refused(3, &["token", "not a .npy file", "numpy.save"]);
    cluster.run(0, &["put", "a.npy", "--as", ""]).refused(2, &["--as"]);
    cluster.run(0, &["put", "a.npy", "--as", "../x"]).refused(2, &["../x/a.npy"]);
    cluster.run(0, &["put", "a.npy", "--as", ".x"]).refused(3, &["node-", ".x/a.npy", "hidden"]);
    let below = cluster.path("sub/a.npy");
    cluster
        .run(0, &["put", "a.npy", below.to_str().unwrap()])
        .refused(2, &["'a.npy'", "sub/a.npy", "--as"]);
    let mut nobody = command(&["put", "a.npy"]);
    finish(nobody.current_dir(cluster.folder.path())).refused(2, &["--via"]);
    cluster.holds_only(&[]);
    assert_eq!(cluster.run(0, &["ls", "--json"]).json()["names"].as_array().unwrap().len(), 0);
}

#[test]
fn a_name_never_gets_other_bytes() {
    let cluster = Cluster::new(2);
    cluster.write("a.npy", 1000, 1);
    assert_eq!(cluster.run(0, &["put", "a.npy"]).code, Some(0));
    cluster.write("a.npy", 1000, 2);
    cluster.write("b.npy", 1000, 2);
    let refused = cluster.run(0, &["put", "b.npy", "a.npy", "--replicas", "2"]);
    refused.refused(3, &["'a.npy'", "other contents", "node-", "127.0.0.1"]);
    cluster.holds_only(&["a.npy"]);
    // Under another name they are welcome.
    assert_eq!(cluster.run(0, &["put", "a.npy", "--as", "second"]).code, Some(0));
    assert_eq!(cluster.standing(0, "second/a.npy"), Some(("present".to_owned(), 1)));
}

#[test]
fn an_asker_that_is_killed_leaves_nothing_and_can_be_repeated() {
    let cluster = Cluster::new(3);
    let (_, bits) = cluster.write_big("big.npy");
    cluster.write("small.npy", 10, 1);
    for kill in ["-KILL", "-INT"] {
        let arguments = ["put", "small.npy", "big.npy", "--replicas", "2"];
        let (put, _) = cluster.start_put(&arguments, &[0, 1, 2]);
        if kill == "-INT" {
            // The first node has all of it by then, and does not show it.
            let growing = || cluster.nodes.iter().filter(|node| node.grows(1 << 20)).count();
            eventually("a second copy grows", || growing() == 2);
        }
        signal(put.id(), kill);
        let ended = end(put);
        if kill == "-INT" {
            ended.refused(130, &["interrupted"]);
        }
        // The small one may be done already; of the big one there is no trace.
        cluster.holds_only(&["small.npy"]);
        assert_eq!(cluster.standing(0, "big.npy"), None);
    }
    let put = cluster.run(1, &["put", "--json", "small.npy", "big.npy", "--replicas", "2"]).json();
    assert_eq!(names(&put["files"][1]["already"]), [""; 0]);
    assert_eq!(names(&put["files"][1]["nodes"]).len(), 2);
    assert_eq!(cluster.run(1, &["sum", "--json", "big.npy"]).bits(), bits);
    assert_eq!(cluster.standing(1, "big.npy"), Some(("present".to_owned(), 2)));
}

#[test]
fn an_asker_that_is_interrupted_says_so_and_is_not_waited_for() {
    for name in ["-INT", "-TERM"] {
        let mut cluster = Cluster::new(0);
        // Many zeros, which take long to read and no room.
        let elements = 4_000_000_000_usize;
        fs::create_dir_all(cluster.path("data-0")).unwrap();
        let path = write_npy(&cluster.path("data-0/long.npy"), "<f8", elements, &[]);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() + 8 * elements as u64).unwrap();
        cluster.nodes.push(cluster.start_with(0, &["-vv"]));
        let log = || fs::read_to_string(cluster.path("log-0")).unwrap();
        let sum = cluster.command(0, &["sum", "long.npy"]).spawn().unwrap();
        eventually("it asks", || log().contains("somebody asks"));
        // Until it knows whom it asks.
        std::thread::sleep(Duration::from_millis(300));
        signal(sum.id(), name);
        let ended = end(sum);
        ended.refused(130, &["interrupted"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        eventually("the node hears of it", || log().contains("somebody asks no more"));
        let log = log();
        assert!(log.contains("the peer shut down") && !log.contains("silent"), "{log}");
    }
}

/// Two that put different files under one new name at the same time may both be taken on,
/// and then one of them at least learns of the other.
#[test]
fn of_two_who_give_a_name_at_once_one_has_it() {
    let cluster = Cluster::new(3);
    for round in 0..8 {
        let name = format!("new-{round}.npy");
        let written = [("one", 2 * round), ("two", 2 * round + 1)]
            .map(|(folder, seed)| cluster.write(&format!("{folder}/{name}"), 1000, seed));
        let put = |via: usize, folder: &str| {
            let mut put = cluster.command(via, &["put", &name, "--replicas", "2"]);
            put.current_dir(cluster.path(folder)).spawn().unwrap()
        };
        let both = [put(0, "one"), put(1, "two")].map(end);
        let won: Vec<usize> = (0..2).filter(|&put| both[put].code == Some(0)).collect();
        assert_eq!(won.len(), 1, "{both:?}");
        both[1 - won[0]].refused(3, &[&name]);
        assert_eq!(cluster.standing(2, &name), Some(("present".to_owned(), 2)));
        assert_eq!(cluster.run(2, &["sum", "--json", &name]).bits(), bits(&written[won[0]]));
    }
}

#[test]
fn a_target_that_is_killed_is_replaced_and_holds_no_half_file() {
    let mut cluster = Cluster::new(4);
    let (bytes, bits) = cluster.write_big("big.npy");
    let arguments = ["put", "--json", "big.npy", "--replicas", "2"];
    let (put, victim) = cluster.start_put(&arguments, &[1, 2, 3]);
    cluster.nodes[victim].kill();
    let put = end(put).json();
    let holders = names(&put["files"][0]["nodes"]);
    assert_eq!(holders.len(), 2, "{put}");
    assert!(!holders.contains(&&*format!("node-{victim}")), "{put}");
    assert_eq!(cluster.run(0, &["sum", "--json", "big.npy"]).bits(), bits);
    // It comes back, and what it had begun goes.
    assert!(cluster.nodes[victim].visible().is_empty());
    cluster.nodes[victim] = cluster.start(victim);
    cluster.holds_only(&["big.npy"]);
    for node in &cluster.nodes {
        for path in node.visible() {
            assert!(fs::read(&path).unwrap().ends_with(&bytes), "{path:?}");
        }
    }
}

#[test]
fn with_too_few_targets_left_the_run_ends_with_an_error_and_can_be_repeated() {
    let mut cluster = Cluster::new(2);
    let (_, bits) = cluster.write_big("big.npy");
    let (put, victim) = cluster.start_put(&["put", "big.npy", "--replicas", "2"], &[1]);
    cluster.nodes[victim].kill();
    end(put).refused(10, &["'big.npy' is on 1 of 2 nodes", "node-1"]);
    cluster.nodes[victim] = cluster.start(victim);
    let all = |object: &Json| object["nodes"].as_array().unwrap().len() == 2;
    eventually("it is back", || all(&cluster.run(0, &["status", "--json"]).json()));
    let put = cluster.run(0, &["put", "--json", "big.npy", "--replicas", "2"]).json();
    assert_eq!(names(&put["files"][0]["already"]), ["node-0"]);
    assert_eq!(cluster.run(0, &["sum", "--json", "big.npy"]).bits(), bits);
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_an_error() {
    let cluster = Cluster::new(1);
    cluster.write_big("big.npy");
    let (put, _) = cluster.start_put(&["put", "big.npy"], &[0]);
    let path = cluster.path("big.npy");
    fs::File::options().write(true).open(path).unwrap().set_len(100_000).unwrap();
    end(put).refused(3, &["big.npy", "changed"]);
    cluster.holds_only(&[]);
    assert_eq!(cluster.standing(0, "big.npy"), None);
}

#[test]
fn a_name_that_was_removed_counts_again_when_it_is_put() {
    let cluster = Cluster::new(2);
    let bytes = cluster.write("a.npy", 1000, 1);
    let put = cluster.run(0, &["put", "--json", "a.npy"]).json();
    let holder: usize = names(&put["files"][0]["nodes"])[0][5..].parse().unwrap();
    let copy = cluster.nodes[holder].data.join("a.npy");
    let kept = fs::read(&copy).unwrap();
    fs::remove_file(&copy).unwrap();
    eventually("it is missed", || cluster.standing(0, "a.npy") == Some(("missing".to_owned(), 0)));
    assert_eq!(cluster.run(0, &["rm", "a.npy"]).code, Some(0));
    assert_eq!(cluster.standing(1, "a.npy"), None);
    // A copy that comes back does not count; to put it does.
    fs::write(&copy, kept).unwrap();
    eventually("it has returned", || {
        cluster.standing(0, "a.npy") == Some(("returned".to_owned(), 1))
    });
    let again = cluster.run(1, &["put", "--json", "a.npy"]).json();
    assert_eq!(names(&again["files"][0]["already"]), [format!("node-{holder}")]);
    for via in 0..2 {
        assert_eq!(cluster.run(via, &["sum", "--json", "a.npy"]).bits(), bits(&bytes));
    }
}

#[test]
fn a_copy_that_is_still_to_be_hashed_is_waited_for() {
    let cluster = Cluster::new(2);
    cluster.write("a.npy", 1000, 1);
    fs::copy(cluster.path("a.npy"), cluster.nodes[1].data.join("a.npy")).unwrap();
    eventually("it is seen", || cluster.standing(0, "a.npy").is_some());
    let put = cluster.run(0, &["put", "--json", "a.npy"]).json();
    assert_eq!(names(&put["files"][0]["already"]), ["node-1"]);
    // Another array is refused at once.
    cluster.write("b.npy", 999, 1);
    fs::copy(cluster.path("b.npy"), cluster.nodes[1].data.join("b.npy")).unwrap();
    eventually("it is seen", || cluster.standing(0, "b.npy").is_some());
    cluster.write("b.npy", 998, 1);
    cluster.run(0, &["put", "b.npy"]).refused(3, &["'b.npy'", "float64 [999]", "node-1"]);
}

/// A file system of 4 MB for the data of the only node, where this user may make one.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, options: &str) -> Option<Mount> {
        fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Mount(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_cannot_take_a_file_is_told_with_its_node() {
    let mut cluster = Cluster::new(0);
    let Some(mount) = Mount::new(cluster.path("data-0"), "size=4m") else { return };
    // Where files are open for writing, a file system does not become read-only.
    let state = cluster.path("state-0");
    let node = cluster.start_with(0, &["--state", state.to_str().unwrap()]);
    cluster.nodes.push(node);
    cluster.write("a.npy", 1_000_000, 1);
    cluster.write("b.npy", 10, 1);
    cluster.run(0, &["put", "a.npy"]).refused(1, &["'node-0'", "data-0/a.npy", "make room"]);
    cluster.holds_only(&[]);
    assert_eq!(cluster.run(0, &["put", "b.npy"]).code, Some(0));
    let below = Mount::new(cluster.path("data-0/sub"), "size=1m").expect("as before");
    cluster
        .run(0, &["put", "b.npy", "--as", "sub/deep"])
        .refused(1, &["'node-0'", "data-0/sub'", "another file system"]);
    drop(below);
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro"]).arg(&mount.0);
    assert!(remount.status().unwrap().success());
    let refused = cluster.run(0, &["put", "b.npy", "--as", "x"]);
    refused.refused(1, &["'node-0'", "data-0/x/b.npy", "let the user that runs this node write"]);
    drop(cluster);
}

#[test]
fn where_a_node_cannot_write_others_take_the_files() {
    let mut cluster = Cluster::new(0);
    let Some(mount) = Mount::new(cluster.path("data-0"), "size=4m") else { return };
    for number in 0..3 {
        let state = cluster.path(&format!("state-{number}"));
        let state = state.to_str().unwrap();
        // A name that stands for nothing keeps nobody from starting, nor from joining.
        let unknown = ["--state", state, "--join", "no-such-host.invalid"];
        let arguments = if number == 0 { &unknown[..2] } else { &unknown[..] };
        let node = cluster.start_with(number, arguments);
        cluster.nodes.push(node);
    }
    let all = |object: &Json| object["nodes"].as_array().unwrap().len() == 3;
    eventually("all know each other", || {
        (0..3).all(|via| all(&cluster.run(via, &["status", "--json"]).json()))
    });
    // Some of so many names prefer the node whose disk is full.
    let names: Vec<String> = (0..6).map(|number| format!("f{number}.npy")).collect();
    names.iter().for_each(|name| drop(cluster.write(name, 1_000_000, 1)));
    let mut put = vec!["put", "--replicas", "2"];
    put.extend(names.iter().map(String::as_str));
    let run = cluster.run(1, &put);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("node 'node-0': "), "{run:?}");
    assert!(run.stderr.contains("others are asked instead"), "{run:?}");
    assert!(cluster.nodes[0].visible().is_empty());
    for node in &cluster.nodes[1..] {
        assert_eq!(node.visible().len(), names.len());
    }
    cluster
        .run(1, &["put", "--replicas", "3", &names[0]])
        .refused(1, &["'f0.npy' is on 2 of 3 nodes", "'node-0'", "make room"]);
    drop(cluster);
    drop(mount);
}
