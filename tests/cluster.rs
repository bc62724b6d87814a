//! Clusters of child processes. This file is a program of its own, since its
//! processes are: started with a role it is a node, or a parent to be killed;
//! started without, it runs the tests, one after the other.

#[path = "support/imaginary.rs"]
mod imaginary;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adsum::driver::RequestError;
use adsum::engine::JobError;
use adsum::node::cluster::{ClusterConfig, ClusterError, LocalCluster};
use adsum::node::supervised;

use imaginary::{check, equipment, request};

/// Long enough for a machine under load; a test that waits this long failed.
const PATIENCE: Duration = Duration::from_secs(60);

const TESTS: [(&str, fn()); 11] = [
    ("a_cluster_makes_one_exact_sum", a_cluster_makes_one_exact_sum),
    ("a_killed_node_changes_nothing", a_killed_node_changes_nothing),
    ("a_node_that_hangs_changes_nothing_and_is_killed", a_hanging_node),
    ("a_cluster_whose_nodes_are_all_killed_fails_at_once", all_killed),
    ("a_cancelled_request_ends_and_the_cluster_stays", a_cancelled_request_ends),
    ("nodes_end_with_their_cluster", nodes_end_with_their_cluster),
    ("nodes_end_with_a_parent_that_is_killed", nodes_end_with_a_killed_parent),
    ("a_node_that_cannot_start_says_why", a_node_that_cannot_start_says_why),
    ("a_node_that_ends_too_early_is_an_error", a_node_that_ends_too_early),
    ("a_program_that_is_no_node_is_an_error", a_program_that_is_no_node),
    ("a_node_that_hangs_at_its_start_is_an_error_in_time", a_node_that_hangs),
];

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        Some("node") => return node(),
        Some("parent") => parent(),
        Some("babbler") => say("what is the matter?"),
        Some("sleeper") => std::thread::sleep(10 * PATIENCE),
        Some("suicide") => {}
        _ => return run_tests(argument.filter(|name| !name.starts_with('-'))),
    }
    ExitCode::SUCCESS
}

/// Runs the tests whose names contain `filter`.
fn run_tests(filter: Option<String>) -> ExitCode {
    if !cfg!(unix) {
        say("skipped: these tests need a shell's kill");
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    let chosen = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    for (name, test) in TESTS.into_iter().filter(|(name, _)| chosen(name)) {
        let start = Instant::now();
        // A test that fails ends the program by its panic.
        test();
        say(&format!("test {name} ... ok ({:?})", start.elapsed()));
    }
    ExitCode::SUCCESS
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("somebody reads the output");
}

/// The role of a node: its settings are the milliseconds that an entry takes,
/// or what is wrong with it.
fn node() -> ExitCode {
    let error = supervised::run(|assignment, completions| {
        let settings = String::from_utf8_lossy(&assignment.settings);
        let delay_ms = settings.parse().map_err(|_| settings.into_owned())?;
        Ok(equipment(completions, 2, Duration::from_millis(delay_ms)).0)
    });
    match error {
        Err(_) => ExitCode::FAILURE,
    }
}

/// The role of a parent: says its nodes' process numbers and waits to be killed.
fn parent() {
    let cluster = LocalCluster::start(config(&["3600000"; 3])).expect("nodes start");
    let pids: Vec<String> = cluster.nodes().iter().map(|node| node.pid.to_string()).collect();
    say(&pids.join(" "));
    // Nodes must end even while they are at work.
    let _never = cluster.reduce(request(100), |_| {}, &AtomicBool::new(false));
}

fn config(settings: &[&str]) -> ClusterConfig {
    let settings = settings.iter().map(|text| text.as_bytes().to_vec()).collect();
    ClusterConfig::new([OsString::from("node")], settings)
}

fn start(settings: &[&str]) -> LocalCluster {
    LocalCluster::start(config(settings)).expect("nodes start")
}

fn reduce(cluster: &LocalCluster, entries: u64) -> Result<adsum::engine::Outcome, RequestError> {
    cluster.reduce(request(entries), |_| {}, &AtomicBool::new(false))
}

fn kill(pid: u32) {
    signal(pid, "-9");
}

fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.expect("there is a kill command").success());
}

/// Whether a process of this number exists. One that is dead and that nobody
/// waited for exists too.
fn exists(pid: u32) -> bool {
    let status = Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status();
    status.expect("there is a kill command").success()
}

fn eventually(what: &str, condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

fn a_cluster_makes_one_exact_sum() {
    let cluster = start(&["1", "1", "1"]);
    let outcome = reduce(&cluster, 300).expect("all are there");
    check(&outcome, 300);
    let nodes = cluster.nodes();
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.name, format!("node-{index}"));
        assert_eq!((node.lost, &node.ended, node.workers), (false, &None, 2));
        assert_eq!(node.devices[0].name, "imaginary");
        assert!(outcome.nodes.iter().any(|report| report.id == node.id && report.entries > 0));
    }
    // A cluster is good for more than one request.
    check(&reduce(&cluster, 10).expect("all are there"), 10);
}

fn a_killed_node_changes_nothing() {
    let cluster = start(&["5", "5"]);
    let victim = &cluster.nodes()[1];
    let mut killed_at = None;
    let on_progress = |progress: adsum::driver::Progress| {
        if progress.entries_done > 10 && killed_at.is_none() {
            kill(victim.pid);
            killed_at = Some(Instant::now());
        }
    };
    let outcome = cluster.reduce(request(300), on_progress, &AtomicBool::new(false));
    let outcome = outcome.expect("one node is left");
    check(&outcome, 300);
    assert!(killed_at.is_some(), "it was killed in the middle");
    let report = outcome.nodes.iter().find(|node| node.id == victim.id);
    assert!(report.is_some_and(|report| report.lost), "{:?}", outcome.nodes);
    let victim = &cluster.nodes()[1];
    assert!(victim.lost);
    let ended = victim.ended.as_ref().expect("it was seen to end");
    assert!(ended.contains("signal: 9"), "{ended}");

    let survivor = cluster.nodes()[0].pid;
    kill(survivor);
    let noticed = eventually("the death is noticed", || cluster.nodes()[0].lost);
    say(&format!("a killed process was noticed after {noticed:?}"));
}

fn a_hanging_node() {
    let cluster = start(&["5", "5"]);
    let victim = cluster.nodes()[0].pid;
    let mut stopped = false;
    let on_progress = |progress: adsum::driver::Progress| {
        if progress.entries_done > 10 && !stopped {
            signal(victim, "-STOP");
            stopped = true;
        }
    };
    let outcome = cluster.reduce(request(100), on_progress, &AtomicBool::new(false));
    check(&outcome.expect("the other one takes over"), 100);
    assert!(stopped, "it was stopped in the middle");
    drop(cluster);
    assert!(!exists(victim), "it did not hear that it should end");
}

fn all_killed() {
    let cluster = start(&["3600000", "3600000"]);
    let pids: Vec<u32> = cluster.nodes().iter().map(|node| node.pid).collect();
    let killer = std::thread::spawn(move || {
        pids.into_iter().for_each(kill);
        Instant::now()
    });
    let error = reduce(&cluster, 100).expect_err("nobody is left");
    let ended = Instant::now();
    assert!(matches!(error, RequestError::Job(JobError::Incomplete { .. })), "{error}");
    let killed = killer.join().expect("kill works");
    say(&format!("the request failed {:?} after the last kill", ended.duration_since(killed)));
    let error = reduce(&cluster, 100).expect_err("nobody is left");
    assert!(matches!(error, RequestError::Job(JobError::Incomplete { .. })), "{error}");
}

fn a_cancelled_request_ends() {
    let cluster = start(&["100"]);
    let cancelled = AtomicBool::new(false);
    let on_progress = |_| cancelled.store(true, Ordering::Relaxed);
    let error = cluster.reduce(request(10_000), on_progress, &cancelled);
    let error = error.expect_err("it was cancelled");
    assert!(matches!(error, RequestError::Job(JobError::Cancelled)), "{error}");
    check(&reduce(&cluster, 2).expect("the node is there"), 2);
}

fn nodes_end_with_their_cluster() {
    let cluster = start(&["0", "0", "0"]);
    let pids: Vec<u32> = cluster.nodes().iter().map(|node| node.pid).collect();
    assert!(pids.iter().all(|&pid| exists(pid)));
    let start = Instant::now();
    drop(cluster);
    say(&format!("a cluster of three ended in {:?}", start.elapsed()));
    assert!(!pids.iter().any(|&pid| exists(pid)), "a node outlived its cluster");
}

fn nodes_end_with_a_killed_parent() {
    let program = std::env::current_exe().expect("it runs");
    let mut parent = Command::new(program).arg("parent").stdout(Stdio::piped()).spawn();
    let parent = parent.as_mut().expect("it starts");
    let mut line = String::new();
    let stdout = parent.stdout.take().expect("it is piped");
    let mut stdout = BufReader::new(stdout.take(4096));
    stdout.read_line(&mut line).expect("the parent speaks");
    let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids.len(), 3);
    parent.kill().expect("it runs");
    parent.wait().expect("it was killed");
    let took =
        eventually("the nodes end", || !pids.iter().any(|&pid| exists(pid) && !is_zombie(pid)));
    say(&format!("the nodes of a killed parent ended after {took:?}"));
}

/// Whether a process is dead and only waits for somebody to ask how it ended,
/// which in a container may be nobody.
fn is_zombie(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| output.stdout.starts_with(b"Z"))
}

fn a_node_that_cannot_start_says_why() {
    let error = LocalCluster::start(config(&["0", "no such device 'gpu:9'"]));
    let error = error.expect_err("the second cannot");
    assert_eq!(error.to_string(), "node-1 did not start: no such device 'gpu:9'");

    let program = Some("/no/such/program".into());
    let error = LocalCluster::start(ClusterConfig { program, ..config(&["0"]) });
    let error = error.expect_err("there is no such program");
    assert!(matches!(error, ClusterError::Spawn { .. }), "{error}");

    let settings = vec![vec![0; 1 << 20]];
    let error = LocalCluster::start(ClusterConfig { settings, ..config(&["0"]) });
    assert!(error.expect_err("too long").to_string().contains("settings take 1048"));
}

fn a_node_that_ends_too_early() {
    let args = vec![OsString::from("suicide")];
    let error = LocalCluster::start(ClusterConfig { args, ..config(&["0"]) });
    let error = error.expect_err("it ended").to_string();
    assert_eq!(error, "node-0 did not start: its process ended with exit status: 0");
}

fn a_program_that_is_no_node() {
    let args = vec![OsString::from("babbler")];
    let error = LocalCluster::start(ClusterConfig { args, ..config(&["0"]) });
    let error = error.expect_err("it babbles").to_string();
    assert!(error.contains("it said \"what is the matter?\" instead"), "{error}");

    // A node whose parent is none ends by itself.
    let program = std::env::current_exe().expect("it runs");
    let status = Command::new(program).arg("node").stdin(Stdio::null()).status();
    assert!(!status.expect("it starts").success());
}

fn a_node_that_hangs() {
    let args = vec![OsString::from("sleeper")];
    let start_timeout = Duration::from_millis(300);
    let error = LocalCluster::start(ClusterConfig { args, start_timeout, ..config(&["0"]) });
    let error = error.expect_err("it sleeps");
    assert!(matches!(error, ClusterError::Timeout { .. }), "{error}");
}
