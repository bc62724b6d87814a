//! Ranks of a group on hosts of their own: `adsum run` reaches them by a stand-in
//! for ssh, and they meet over the network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adsum::communicator::{Communicator, Operator};

use super::lan::{Lan, Place, addr};
use super::program::to_run;

/// What the ranks are to do.
const ROLE: &str = "ROLE_OF_A_RANK";

/// The code of a rank that has lost another.
const LOST: i32 = 7;

/// Longer than a lost rank takes to be noticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// `adsum run` in the hub's namespace, with `slots` ranks on each of the hosts: this
/// file's own program, which then runs the one test that is a rank.
fn run(lan: &Lan, hosts: usize, slots: usize, role: &str, folder: &Path) -> Command {
    let rsh = folder.join("rsh");
    let prefix = lan.prefix();
    let script = format!(
        "#!/bin/sh\nhost=$((${{1#10.77.0.}} - 1))\nshift\nexec ip netns exec {prefix}.$host sh -c \"$*\"\n"
    );
    fs::write(&rsh, script).unwrap();
    fs::set_permissions(&rsh, fs::Permissions::from_mode(0o755)).unwrap();
    let hosts: Vec<String> = (0..hosts).map(|host| format!("{}:{slots}", addr(host))).collect();
    let mut command = lan.command(Place::Hub, env!("CARGO_BIN_EXE_adsum"));
    command
        .args(["run", "--hosts", &hosts.join(","), "--env", &format!("{ROLE}={role}"), "--prefix"])
        .arg("--rsh")
        .arg(&rsh)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["ranks::as_a_rank", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::null());
    command
}

#[test]
fn ranks_on_several_hosts_are_one_group() {
    let Some(lan) = Lan::new(3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = to_run(&run(&lan, 3, 2, "sum", folder.path()).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout.matches("the sum is 15\n").count(), 6, "{run:?}");
}

#[test]
fn a_host_that_is_cut_off_ends_the_run_in_time() {
    let Some(lan) = Lan::new(3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let role = format!("loop {}", started.display());
    let mut command = run(&lan, 3, 1, &role, folder.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !started.exists() {
        assert!(begin.elapsed() < PATIENCE, "the ranks did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    lan.set_link(2, false);
    let cut = Instant::now();
    let run = to_run(&child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(LOST), "{run:?}");
    assert!(cut.elapsed() < PATIENCE, "{:?}", cut.elapsed());
    println!("a host that was cut off ended the run after {:.1?}", cut.elapsed());
}

#[test]
#[ignore = "is a rank, when 'adsum run' starts it for the tests beside it"]
fn as_a_rank() {
    let role = std::env::var(ROLE).expect("a role");
    let group = Communicator::from_env().unwrap();
    let mine = [group.rank() as f64];
    let Some(started) = role.strip_prefix("loop ") else {
        let total = group.all_reduce(&mine, Operator::Sum).unwrap();
        println!("the sum is {}", total[0]);
        return;
    };
    for round in 0.. {
        match group.all_reduce(&mine, Operator::Sum) {
            Ok(total) => assert_eq!(total, [3.0]),
            Err(error) => {
                println!("after {round} rounds: {error}");
                std::process::exit(LOST);
            }
        }
        if round == 100 && group.rank() == 0 {
            fs::write(started, "").unwrap();
        }
    }
}
