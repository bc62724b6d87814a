//! A cluster of nodes, each a process on a host of its own, with data of which the
//! totals are known.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::lan::{Lan, Place, addr};
use crate::numbers::{Numbers, Op};
use crate::process::Process;
use crate::program::Run;

/// Longer than anything that is waited for takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// So many files take seconds by [`Op::Columns`], long enough for something to happen
/// meanwhile.
pub const MANY: usize = 600;

/// How often a cluster is asked whether something is so. Every question is a process.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// How much there is, and where.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub hosts: usize,
    /// Nodes that hold each file.
    pub copies: usize,
    /// Files, of 8 MiB each.
    pub files: usize,
}

/// The nodes, and all that belongs to them.
pub struct Cluster {
    // In the order of their ends: nodes, network, files.
    pub nodes: Vec<Node>,
    pub lan: Lan,
    pub numbers: Numbers,
    pub shape: Shape,
    folder: tempfile::TempDir,
}

/// A node, running or not.
pub struct Node {
    pub process: Option<Process>,
    /// Its data directory.
    pub data: PathBuf,
    log: PathBuf,
}

impl Node {
    pub fn running(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// What it said so far, in all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The name of a node.
pub fn name(host: usize) -> String {
    ["anna", "bert", "cleo", "dora", "emil", "fred"][host].to_owned()
}

/// The name of a file.
pub fn file(number: usize) -> String {
    format!("obs/{number:03}.npy")
}

impl Cluster {
    /// A network with files and without nodes. `None` where there can be none.
    pub fn new(shape: Shape) -> Option<Cluster> {
        let lan = Lan::new(shape.hosts)?;
        let folder = tempfile::tempdir().unwrap();
        let contents = folder.path().join("contents");
        fs::create_dir(&contents).unwrap();
        let numbers = Numbers::new(&contents, shape.files);
        let node = |host| {
            let data = folder.path().join(name(host));
            fs::create_dir_all(data.join("obs")).unwrap();
            let log = folder.path().join(format!("{}.log", name(host)));
            Node { process: None, data, log }
        };
        let nodes: Vec<Node> = (0..shape.hosts).map(node).collect();
        let cluster = Cluster { nodes, lan, numbers, shape, folder };
        // All links first: one more changes the state of the others.
        for number in 0..shape.files {
            for host in cluster.holders(number) {
                cluster.numbers.place(number, &cluster.path(host, number));
            }
        }
        cluster.new_token("token");
        Some(cluster)
    }

    /// With all nodes running and in agreement.
    pub fn start(shape: Shape) -> Option<Cluster> {
        let mut cluster = Cluster::new(shape)?;
        (0..shape.hosts).for_each(|host| cluster.launch(host));
        cluster.settle();
        Some(cluster)
    }

    /// The hosts that were given a file.
    pub fn holders(&self, number: usize) -> impl Iterator<Item = usize> + use<> {
        let Shape { hosts, copies, .. } = self.shape;
        (0..copies).map(move |copy| (number + copy) % hosts)
    }

    /// Where a file lies.
    pub fn path(&self, host: usize, number: usize) -> PathBuf {
        self.nodes[host].data.join(file(number))
    }

    /// Gives a node bytes of its own in place of a file that it shares.
    pub fn unshare(&self, host: usize, number: usize) -> PathBuf {
        let path = self.path(host, number);
        fs::remove_file(&path).unwrap();
        self.numbers.copy(number, &path);
        path
    }

    /// Makes a secret, in a file of this name.
    pub fn new_token(&self, name: &str) -> PathBuf {
        let made = self.lan.command(Place::Hub, PROGRAM).args(["token", "new"]).output().unwrap();
        let path = self.folder.path().join(name);
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(&made.stdout).unwrap();
        path
    }

    /// Starts a node that knows the first two hosts.
    pub fn launch(&mut self, host: usize) {
        let seeds: Vec<usize> =
            (0..self.shape.hosts).filter(|&seed| seed != host).take(2).collect();
        self.launch_with_seeds(host, &seeds);
    }

    /// Starts a node that knows these hosts.
    pub fn launch_with_seeds(&mut self, host: usize, seeds: &[usize]) {
        self.launch_with_token(host, &self.token(), seeds);
    }

    /// Starts a node of the cluster of another secret.
    pub fn launch_with_token(&mut self, host: usize, token: &Path, seeds: &[usize]) {
        let node = &mut self.nodes[host];
        assert!(node.process.is_none(), "{} runs already", name(host));
        let mut command = self.lan.command(Place::Host(host), PROGRAM);
        command.args(["node", "-v", "--device", "cpu", "--threads", "1", "--memory", "64MiB"]);
        // Each question is to be work, or there is nothing to disturb.
        command.args(["--remember", "0"]);
        command.arg("--data").arg(&node.data).args(["--name", &name(host)]);
        command.arg("--token").arg(token);
        for &seed in seeds {
            command.args(["--join", &addr(seed).to_string()]);
        }
        let log = File::options().create(true).append(true).open(&node.log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        node.process = Some(Process::start(&mut command));
    }

    /// Ends a node without a word.
    pub fn kill(&mut self, host: usize) {
        // Dropping it kills it.
        self.nodes[host].process.take().unwrap();
    }

    /// Ends a node in good order.
    #[track_caller]
    pub fn stop(&mut self, host: usize) {
        let mut process = self.nodes[host].process.take().unwrap();
        process.signal("-TERM");
        let status = process.wait(PATIENCE);
        assert_eq!(status.code(), Some(0), "{}: {}", name(host), self.nodes[host].log());
    }

    /// The hosts whose node runs.
    pub fn running(&self) -> Vec<usize> {
        (0..self.shape.hosts).filter(|&host| self.nodes[host].process.is_some()).collect()
    }

    /// What asks from the hub, with further arguments to come.
    pub fn asker(&self, arguments: &[&str], via: &[usize]) -> std::process::Command {
        self.asker_at(Place::Hub, &self.token(), arguments, via)
    }

    /// As [`Cluster::asker`], from another place or with another token.
    pub fn asker_at(
        &self,
        place: Place,
        token: &Path,
        arguments: &[&str],
        via: &[usize],
    ) -> std::process::Command {
        let mut command = self.lan.command(place, PROGRAM);
        command.args(arguments).arg("--token").arg(token);
        for &host in via {
            command.args(["--via", &addr(host).to_string()]);
        }
        command
    }

    /// The path of the token that all have.
    pub fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Asks and waits for the end.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str], via: usize) -> Run {
        Process::start_piped(&mut self.asker(arguments, &[via])).end(PATIENCE).0
    }

    /// Begins to ask for a result over all files.
    pub fn begin(&self, op: Op, via: usize) -> Process {
        let arguments = [op.arguments(), &["obs/*.npy"]].concat();
        Process::start_piped(&mut self.asker(&arguments, &[via]))
    }

    /// The bits of the right answer over all files.
    pub fn right(&self, op: Op) -> Json {
        self.numbers.bits(op, 0..self.shape.files)
    }

    /// Asks over all files for what must be right.
    #[track_caller]
    pub fn check(&self, op: Op, via: usize) -> Json {
        let (run, _) = self.begin(op, via).end(PATIENCE);
        assert_eq!(bits(&run), self.right(op), "{run:?}");
        run.json()
    }

    /// What `status` says of the nodes; nothing if it says nothing.
    pub fn status(&self, via: usize) -> Vec<Json> {
        let run = self.ask(&["status", "--json"], via);
        let told = serde_json::from_str(&run.stdout).unwrap_or(Json::Null);
        told["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// What `ls` says of the names; nothing if it says nothing.
    pub fn list(&self, via: usize) -> Vec<Json> {
        let run = self.ask(&["ls", "--json"], via);
        let told = serde_json::from_str(&run.stdout).unwrap_or(Json::Null);
        told["names"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until `found` is so; then says how long it took.
    #[track_caller]
    pub fn wait(&self, what: &str, mut found: impl FnMut(&Cluster) -> bool) -> Duration {
        let start = Instant::now();
        while !found(self) {
            assert!(start.elapsed() < PATIENCE, "it does not come to this: {what}");
            std::thread::sleep(ASK_INTERVAL);
        }
        start.elapsed()
    }

    /// Waits until all nodes that run are linked with each other, and all know of
    /// every file which of them hold it.
    #[track_caller]
    pub fn settle(&self) -> Duration {
        self.settle_without(&[])
    }

    /// As [`Cluster::settle`], but for these files, which may be anything.
    #[track_caller]
    pub fn settle_without(&self, files: &[usize]) -> Duration {
        let running = self.running();
        let start = Instant::now();
        self.wait("all nodes see each other", |cluster| {
            let status = cluster.status(running[0]);
            let linked = |node: &Json| {
                node["connected"].as_array().is_some_and(|to| to.len() + 1 == running.len())
            };
            status.len() == running.len()
                && status.iter().all(|node| linked(node) && node["unhashed"] == 0)
        });
        for &host in &running {
            self.wait("all nodes know all files", |cluster| cluster.knows_all(host, files));
        }
        start.elapsed()
    }

    fn knows_all(&self, host: usize, except: &[usize]) -> bool {
        let names = self.list(host);
        let files = (0..self.shape.files).filter(|number| !except.contains(number));
        files.into_iter().all(|number| {
            let holders = (0..self.shape.hosts).filter(|&host| {
                self.nodes[host].process.is_some() && self.path(host, number).exists()
            });
            let listed = names.iter().find(|listed| listed["name"] == file(number).as_str());
            let nodes = listed.and_then(|listed| listed["contents"][0]["nodes"].as_array());
            let hashed = listed.is_some_and(|listed| listed["state"] != "hashing");
            holders.count() == nodes.map_or(0, Vec::len) && hashed
        })
    }

    /// The jobs that a node collects.
    pub fn jobs(&self, host: usize) -> Vec<Json> {
        let nodes = self.status(host);
        let own = nodes.iter().find(|node| node["name"] == name(host).as_str());
        own.and_then(|node| node["jobs"].as_array().cloned()).unwrap_or_default()
    }

    /// Waits until a job is under way at the node that was asked, or has ended where
    /// machines are that fast.
    #[track_caller]
    pub fn wait_until_at_work(&self, asked: &mut Process, via: usize) {
        self.wait("the job is under way", |cluster| {
            asked.has_ended()
                || cluster.jobs(via).iter().any(|job| job["bytes_done"].as_u64() > Some(0))
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (host, node) in self.nodes.iter().enumerate() {
                let log = node.log();
                // Without those who asked.
                let told = log.lines().filter(|line| !line.contains("10.77.0.254"));
                let lines: Vec<&str> = told.collect();
                let last = lines[lines.len().saturating_sub(40)..].join("\n");
                eprintln!("--- the last of {}:\n{last}", name(host));
            }
        }
    }
}

/// The program that is tested.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_adsum");

/// The bits of an answer: a number's, or those of many.
#[track_caller]
pub fn bits(run: &Run) -> Json {
    run.json()["bits"].clone()
}

/// Entries of the answer that a node did.
pub fn shards(answer: &Json, host: usize) -> u64 {
    let nodes = answer["nodes"].as_array().unwrap().iter();
    // A node that was restarted has two lives in it.
    let lives = nodes.filter(|node| node["name"] == name(host).as_str());
    lives.map(|node| node["shards"].as_u64().unwrap()).sum()
}
