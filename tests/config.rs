//! `config.toml` by the program: what wins over what, how mistakes are told, and what
//! `adsum config` says.

#![cfg(all(feature = "cli", not(windows), not(target_os = "macos")))]

mod program;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use program::{Run, command, data, finish};
use serde_json::Value as Json;

/// A user's configuration.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn with(text: &str) -> Home {
        let home = Home { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(home.folder.path().join("adsum")).unwrap();
        fs::write(home.file(), text).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("adsum/config.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("XDG_CONFIG_HOME", self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    /// A setting as `adsum config --json` tells it: its value, source, and from where.
    fn setting(&self, key: &str, environment: &[(&str, &str)]) -> (Json, Json, Json) {
        let mut command = self.command(&["config", "--json"]);
        command.envs(environment.iter().copied());
        let object = finish(&mut command).json();
        assert_eq!(object["schema"], 1);
        let settings = object["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap().clone();
        (setting["value"].clone(), setting["source"].clone(), setting["from"].clone())
    }
}

#[test]
fn the_environment_wins_over_the_file_and_that_over_the_default() {
    let home = Home::with("threads = 3\nmemory = \"64MiB\"\n");
    let file = home.file().to_str().unwrap().to_owned();
    assert_eq!(home.setting("threads", &[]), (3.into(), "file".into(), file.into()));
    assert_eq!(
        home.setting("threads", &[("ADSUM_THREADS", "5")]),
        (5.into(), "environment".into(), "ADSUM_THREADS".into())
    );
    assert_eq!(home.setting("memory", &[]).0, 64 << 20);
    let device = home.setting("device", &[]);
    assert_eq!(device, (vec!["auto"].into(), "default".into(), Json::Null));
    assert_eq!(home.setting("node.bind", &[]).0, "0.0.0.0:7386");
}

#[test]
fn a_run_takes_what_is_said_last() {
    let home = Home::with("device = \"gpu:99\"\nmemory = \"1KiB\"\n");
    let flights = data("flights_time.npy");
    // Little memory of the file, enough by the variable, little by the flag.
    let run = |more: &[&str], memory: Option<&str>| {
        let mut command = home.command(&[&["sum", "--quiet", flights.as_str()][..], more].concat());
        command.envs(memory.map(|memory| ("ADSUM_MEMORY", memory)));
        finish(&mut command)
    };
    run(&[], None).refused(8, &["gpu:99"]);
    run(&["--device", "cpu"], None).refused(2, &["1024 bytes"]);
    assert_eq!(run(&["--device", "cpu"], Some("512MiB")).stdout, "2755170.1666666665\n");
    run(&["--device", "cpu", "--memory", "2KiB"], Some("512MiB")).refused(2, &["2048 bytes"]);
    // What says nothing about it needs nothing of it.
    assert_eq!(home.run(&["sum", "--help"]).code, Some(0));
}

#[test]
fn another_file_can_be_named() {
    let home = Home::with("threads = 3");
    let other = home.folder.path().join("other.toml");
    fs::write(&other, "threads = 4").unwrap();
    let other = other.to_str().unwrap();
    assert_eq!(home.setting("threads", &[("ADSUM_CONFIG", other)]).0, 4);
    assert_eq!(home.setting("threads", &[("ADSUM_CONFIG", "")]).0, 3);
    assert_eq!(home.run(&["config", "--path"]).stdout.trim(), home.file().to_str().unwrap());
    let path = finish(home.command(&["config", "--path"]).env("ADSUM_CONFIG", "a/b.toml"));
    assert_eq!(path.stdout, "a/b.toml\n");
    let missing = finish(home.command(&["config"]).env("ADSUM_CONFIG", "/no/file.toml"));
    missing.refused(2, &["'/no/file.toml'", "ADSUM_CONFIG"]);
}

#[test]
fn the_table_has_key_value_and_source_and_no_secret() {
    let home = Home::with(
        "[cluster.lab]\nnodes = [\"lab1\", \"10.0.0.7:7386\"]\ntoken = \"lab.token\"\n[node]\ndata = \"/data\"\n",
    );
    let token = home.folder.path().join("adsum/lab.token");
    fs::write(&token, "adsum1-this-is-secret").unwrap();
    let run = home.run(&["config"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = |key: &str| {
        let line = run.stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key} in {}", run.stdout)).to_owned()
    };
    assert!(line("KEY").contains("VALUE") && line("KEY").contains("SOURCE"));
    assert!(line("memory").contains("512MiB") && line("memory").ends_with("default"));
    assert!(line("cluster.lab.nodes").contains("lab1 10.0.0.7:7386"));
    assert!(line("cluster.lab.token").contains(token.to_str().unwrap()));
    assert!(line("node.data").ends_with("config.toml"));
    assert!(!run.stdout.contains("secret"));
}

#[test]
fn mistakes_are_told_with_file_line_key_and_way_out() {
    let flights = data("flights_time.npy");
    for (text, words) in [
        ("threads = 3\nmemory = \"much\"\n", &["line 2", "'memory'", "much", "64KiB"][..]),
        ("tokn = \"x\"\n", &["line 1", "tokn", "threads", "take it out"]),
        ("[node]\nbind = \"a host\"\n", &["line 2", "'node.bind'", "a host"]),
        ("threads == 3\n", &["line 1"]),
    ] {
        let home = Home::with(text);
        for arguments in [&["config"][..], &["sum", &flights]] {
            let run = home.run(arguments);
            run.refused(2, words);
            run.refused(2, &[home.file().to_str().unwrap()]);
        }
        // The way to the file stays open.
        assert_eq!(home.run(&["config", "--path"]).code, Some(0));
        assert_eq!(home.run(&["completions", "bash"]).code, Some(0));
    }
    let home = Home::with("");
    fs::write(home.file(), vec![b'#'; (1 << 20) + 1]).unwrap();
    home.run(&["config"]).refused(2, &["1048576 bytes"]);
    fs::write(home.file(), b"# fine\n\xff\n").unwrap();
    home.run(&["config"]).refused(2, &["line 2", "UTF-8"]);
    let wrong = finish(Home::with("").command(&["config"]).env("ADSUM_THREADS", "0"));
    wrong.refused(2, &["ADSUM_THREADS", "'0'", "4096"]);
}

#[cfg(feature = "net")]
mod cluster {
    use super::*;

    #[test]
    fn the_name_of_a_cluster_stands_for_its_nodes_and_its_token() {
        let home = Home::with("[cluster.lab]\nnodes = [\"127.0.0.1:9\"]\ntoken = \"lab.token\"\n");
        // The token of the cluster is looked for, and not found.
        home.run(&["ls", "--via", "lab"]).refused(2, &["adsum/lab.token"]);
        home.run(&["ls", "--via", "lab", "--token", "mine"]).refused(2, &["'mine'"]);
        let by_variable =
            finish(home.command(&["ls", "--via", "lab"]).env("ADSUM_TOKEN_FILE", "v"));
        by_variable.refused(2, &["'v'"]);
    }

    #[test]
    fn a_node_takes_its_section() {
        let home = Home::with("[node]\ndata = \"data\"\ntoken = \"node.token\"\n");
        home.run(&["node"]).refused(2, &["adsum/node.token"]);
        home.run(&["node", "--token", "mine"]).refused(2, &["'mine'"]);
        let home = Home::with("");
        fs::write(home.folder.path().join("adsum/token"), "").unwrap();
        home.run(&["node"]).refused(2, &["token"]);
    }
}
