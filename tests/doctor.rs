//! `adsum doctor`, alone and with clusters on loopback.

#![cfg(all(feature = "cli", feature = "net", target_os = "linux"))]

mod program;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use program::{Run, command, finish};
use serde_json::Value as Json;

/// A folder with a token, and configuration.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.path("adsum")).unwrap();
        place.new_token("token");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new_token(&self, name: &str) -> String {
        let path = self.path(name);
        let file = File::create(&path).unwrap();
        assert!(command(&["token", "new"]).stdout(file).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    }

    fn token(&self) -> String {
        self.path("token").to_str().unwrap().to_owned()
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("adsum/config.toml"), text).unwrap();
    }

    fn doctor(&self, arguments: &[&str]) -> Run {
        let all = [&["doctor"][..], arguments].concat();
        finish(command(&all).env("XDG_CONFIG_HOME", self.folder.path()))
    }

    fn node(&self, name: &str, arguments: &[&str]) -> Node {
        let data = self.path(name);
        fs::create_dir_all(&data).unwrap();
        let token = self.token();
        let fixed = [
            "node",
            "--json",
            "--data",
            data.to_str().unwrap(),
            "--name",
            name,
            "--bind",
            "127.0.0.1:0",
            "--device",
            "cpu",
            "--threads",
            "1",
            "--token",
            &token,
        ];
        let mut child = command(&[&fixed[..], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let object: Json = serde_json::from_str(&line).unwrap();
        Node { child, addr: object["listen"].as_str().unwrap().to_owned() }
    }
}

struct Node {
    child: Child,
    addr: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The report of a run that ends so, with every check in form.
#[track_caller]
fn report(run: &Run, code: i32) -> Vec<Json> {
    assert_eq!(run.code, Some(code), "{run:?}");
    let object: Json = serde_json::from_str(&run.stdout).unwrap();
    let checks = object["checks"].as_array().unwrap().clone();
    let count = |word: &str| checks.iter().filter(|check| check["outcome"] == word).count();
    assert_eq!(object["failures"], count("failure"));
    assert_eq!(object["warnings"], count("warning"));
    assert_eq!(count("ok") + count("warning") + count("failure"), checks.len());
    for check in &checks {
        assert!(!check["what"].as_str().unwrap().is_empty(), "{check}");
        assert!(!check["value"].as_str().unwrap().is_empty(), "{check}");
        assert_eq!(check["fix"].is_null(), check["outcome"] == "ok", "{check}");
    }
    if code != 0 {
        let error: Json = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
    checks
}

#[track_caller]
fn find<'a>(checks: &'a [Json], what: &str) -> &'a Json {
    let found = checks.iter().find(|check| check["what"] == what);
    found.unwrap_or_else(|| panic!("no '{what}' in {checks:#?}"))
}

#[track_caller]
fn check(checks: &[Json], what: &str, outcome: &str, words: &[&str]) {
    let found = find(checks, what);
    assert_eq!(found["outcome"], outcome, "{found}");
    for word in words {
        assert!(found.to_string().contains(word), "'{word}' is not in {found}");
    }
}

/// A port that is bound, so that no other test takes it meanwhile.
fn some_port() -> (std::net::UdpSocket, u16) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn a_machine_alone_is_looked_at() {
    let place = Place::new();
    let token = place.token();
    fs::create_dir(place.path("data")).unwrap();
    let data = place.path("data").to_str().unwrap().to_owned();
    place.configure(&format!("[node]\nbind = \"127.0.0.1:0\"\ndata = \"{data}\"\n"));
    let checks = report(&place.doctor(&["--json", "--token", &token]), 0);
    check(&checks, "configuration", "ok", &["config.toml"]);
    check(&checks, "device cpu", "ok", &["threads"]);
    check(&checks, "settings", "ok", &["auto"]);
    check(&checks, "token", "ok", &[&token, "mode 600"]);
    check(&checks, "UDP port 0", "ok", &["free"]);
    check(&checks, "address lo", "ok", &["127.0.0.1"]);
    check(&checks, "data directory", "ok", &[&data]);
    find(&checks, "UDP buffers");
    find(&checks, "memory");

    let text = place.doctor(&["--token", &token]);
    assert_eq!(text.code, Some(0), "{text:?}");
    let first = text.stdout.lines().next().unwrap();
    assert!(first.starts_with("ok       configuration"), "{first}");
}

/// A file system in memory, read-only, until this is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(path: PathBuf) -> Option<ReadOnly> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "ro,size=1m", "none"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then(|| ReadOnly(path))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_data_directory_that_cannot_be_written_is_told() {
    let place = Place::new();
    let data = place.path("data");
    fs::create_dir(&data).unwrap();
    place.configure(&format!("[node]\nbind = \"127.0.0.1:0\"\ndata = {data:?}\n"));
    let doctor = || report(&place.doctor(&["--json", "--token", &place.token()]), 0);
    check(&doctor(), "data directory", "ok", &[data.to_str().unwrap()]);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "something is left behind");
    let Some(mount) = ReadOnly::mount(data.clone()) else {
        eprintln!("skipped: this user may not mount");
        return;
    };
    let words = [data.to_str().unwrap(), "Read-only", "mount it writable", "--state", "adsum put"];
    check(&doctor(), "data directory", "warning", &words);
    drop(mount);
    check(&doctor(), "data directory", "ok", &[]);
}

#[test]
fn what_is_wrong_with_a_machine_is_told_with_the_way_out() {
    let place = Place::new();
    let token = place.token();
    place.configure("[node]\nbind = \"127.0.0.1:0\"\ndata = \"nothing\"\n");
    let checks = report(&place.doctor(&["--json", "--token", &token]), 1);
    check(&checks, "data directory", "failure", &["adsum/nothing", "[node]"]);

    place.configure("thread = 1\n");
    let checks = report(&place.doctor(&["--json", "--token", &token]), 1);
    check(&checks, "configuration", "failure", &["line 1", "thread", "take it out"]);

    let (_held, port) = some_port();
    place.configure(&format!("device = \"gpu:99\"\n[node]\nbind = \"127.0.0.1:{port}\"\n"));
    let checks = report(&place.doctor(&["--json", "--token", &token]), 8);
    check(&checks, "settings", "failure", &["gpu:99"]);
    check(&checks, &format!("UDP port {port}"), "failure", &["another program", "--bind"]);

    place.configure("[node]\nbind = \"127.0.0.1:0\"\n");
    let chmod = Command::new("chmod").args(["644", &token]).status();
    assert!(chmod.unwrap().success());
    let checks = report(&place.doctor(&["--json", "--token", &token]), 1);
    check(&checks, "token", "failure", &["others can read", "chmod 600"]);
    let checks = report(&place.doctor(&["--json"]), 0);
    check(&checks, "token", "warning", &["adsum token new"]);
}

#[test]
fn a_cluster_is_looked_at_from_here_and_from_its_nodes() {
    let place = Place::new();
    let token = place.token();
    let a = place.node("a", &[]);
    let b = place.node("b", &["--join", &a.addr]);
    let c = place.node("c", &["--join", &a.addr]);
    place.configure(&format!(
        "[cluster.lab]\nnodes = [\"{}\"]\ntoken = \"{token}\"\n[node]\nbind = \"{}\"\n",
        a.addr, b.addr
    ));
    let start = std::time::Instant::now();
    let checks = loop {
        // They need a moment to hear of each other.
        let run = place.doctor(&["--json", "--via", "lab"]);
        if run.code == Some(0) && run.stdout.contains("3 of 3 pairs") {
            break report(&run, 0);
        }
        assert!(start.elapsed().as_secs() < 60, "{run:?}");
    };
    check(&checks, &format!("via {}", a.addr), "ok", &["node a", "ms"]);
    for (name, node) in [("a", &a), ("b", &b), ("c", &c)] {
        check(&checks, &format!("node {name}"), "ok", &[&node.addr, "ms"]);
    }
    // Here a node has the port that is configured.
    let port = b.addr.rsplit_once(':').unwrap().1;
    check(&checks, &format!("UDP port {port}"), "ok", &["taken by node b"]);

    // One that cannot be reached where it says, and one that has not joined.
    let d = place.node("d", &["--join", &a.addr, "--advertise", "127.0.0.1:1"]);
    let e = place.node("e", &[]);
    let via = format!("{},{},{}", a.addr, d.addr, e.addr);
    let start = std::time::Instant::now();
    let checks = loop {
        let run = place.doctor(&["--json", "--via", &via, "--token", &token]);
        if run.stdout.contains("node d") && run.stdout.contains("another cluster") {
            break report(&run, 10);
        }
        assert!(start.elapsed().as_secs() < 60, "{run:?}");
    };
    let advertise = format!("--advertise {}", d.addr);
    check(&checks, "node d", "warning", &["127.0.0.1:1", &advertise]);
    check(&checks, "node e", "failure", &["another cluster", "--join"]);
}

#[test]
fn what_keeps_a_cluster_from_being_reached_is_told_apart() {
    let place = Place::new();
    let token = place.token();
    let other = place.new_token("other");
    place.configure("[node]\nbind = \"127.0.0.1:0\"\n");
    let node = place.node("a", &[]);
    let checks = report(&place.doctor(&["--json", "--via", &node.addr, "--token", &other]), 7);
    check(&checks, &format!("via {}", node.addr), "failure", &["secret", "copy the token"]);

    // Bound, but nobody answers.
    let (_silent, port) = some_port();
    let silent = format!("127.0.0.1:{port}");
    let checks = report(&place.doctor(&["--json", "--via", &silent, "--token", &token]), 10);
    check(&checks, &format!("via {silent}"), "failure", &["no answer", "firewall"]);

    let unknown = "no-such-host.invalid";
    let checks = report(&place.doctor(&["--json", "--via", unknown, "--token", &token]), 10);
    check(&checks, &format!("name {unknown}"), "failure", &["/etc/hosts"]);

    // What is asked with no token is not asked at all.
    let checks = report(&place.doctor(&["--json", "--via", &node.addr]), 1);
    check(&checks, "token", "failure", &["adsum token new"]);
}
