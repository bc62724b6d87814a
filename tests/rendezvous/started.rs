//! Ranks that `adsum run` starts: this suite's own program, which then runs the one test that
//! is told to be a rank.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use adsum::communicator::{Communicator, Link, Operator};
use adsum::launch::{Given, Launch};
use adsum::rendezvous::{Mesh, environment, meet};

use crate::{Group, Inbox, News, PATIENCE, config, frame, listen};

/// What the ranks are to do.
const ROLE: &str = "ROLE_OF_A_RANK";

fn run(ranks: &str, role: &str) -> Output {
    let own = std::env::current_exe().unwrap();
    Command::new(env!("CARGO_BIN_EXE_adsum"))
        .args(["run", "-n", ranks, "--prefix", "--"])
        .arg(own)
        .args(["started::as_a_rank", "--exact", "--ignored", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn they_meet_with_what_they_are_given() {
    let output = run("4", "greet");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for rank in 0..4 {
        assert!(text.contains(&format!("[{rank}] heard 3 of 4\n")), "{text}");
    }
}

#[test]
fn a_rank_that_is_killed_is_lost_to_the_others() {
    let output = run("3", "die");
    assert_eq!(output.status.code(), Some(128 + 9), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("rank 2 on localhost was ended by signal 9"), "{text}");
}

#[test]
fn they_are_a_communicator() {
    let output = run("4", "sum");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("the sum is [6.0, 0.4]\n").count(), 4, "{text}");
}

#[test]
fn a_rank_whose_process_dies_is_lost_in_bounded_time() {
    // Without 'adsum run', which would end all.
    let group = Group::new();
    // The system gives no such port to who asks for any.
    let port = 20_000 + std::process::id() % 10_000;
    let start = |rank: u32| {
        Command::new(std::env::current_exe().unwrap())
            .args(["started::as_a_rank", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, if rank == 1 { "die" } else { "survive" })
            .env("ADSUM_RANK", rank.to_string())
            .env("ADSUM_SIZE", "3")
            .env("ADSUM_ROOT", format!("127.0.0.1:{port}"))
            .env("ADSUM_TOKEN_FILE", group.folder.path().join("token"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let ranks = [0, 1, 2].map(start);
    let begin = Instant::now();
    for (rank, process) in ranks.into_iter().enumerate() {
        let output = process.wait_with_output().unwrap();
        if rank != 1 {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("lost 1: the peer was silent for 4s"), "{rank}: {text}");
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

/// Waits until rank 1 is lost; another survivor may leave before.
fn survive(mesh: &Mesh, inbox: &Inbox<News>) {
    mesh.send(1, frame(b"met", b""));
    loop {
        let mut news = None;
        let mut is_done = || {
            news = news.take().or_else(|| inbox.try_recv().ok());
            news.is_some()
        };
        assert_eq!(mesh.drive(&mut is_done, PATIENCE), Some(true));
        match news {
            Some(News::Lost(1, reason)) => return println!("lost 1: {reason}"),
            _ => assert!(news.is_some()),
        }
    }
}

fn sum() {
    let group = Communicator::from_env().unwrap();
    let mine = [group.rank() as f64, 0.1];
    for _ in 0..200 {
        let total = group.all_reduce(&mine, Operator::Sum).unwrap();
        assert_eq!(total, [6.0, 0.4]);
    }
    // Of many frames, and beside others.
    let long: Vec<f64> = vec![mine[0]; 1 << 20];
    let calls: Vec<_> = (0..4).map(|_| group.all_reduce_async(&long, Operator::Sum)).collect();
    for call in calls {
        assert!(call.wait().unwrap().iter().all(|&total| total == 6.0));
    }
    println!("the sum is {:?}", group.all_reduce(&mine, Operator::Sum).unwrap());
}

#[test]
#[ignore = "is a rank, when 'adsum run' starts it for the tests beside it"]
fn as_a_rank() {
    let role = std::env::var(ROLE).expect("a role");
    if role == "sum" {
        return sum();
    }
    let launch = Launch::resolve(&Given::default(), &environment()).unwrap();
    let mesh = meet(&launch, &config()).unwrap();
    // The token is still known when the pipe is empty.
    assert!(adsum::rendezvous::read_secret(launch.secret.as_ref().unwrap()).is_ok());
    let inbox = listen(&mesh);
    if role == "survive" {
        return survive(&mesh, &inbox);
    }
    // By 'adsum run' the last one; by hand the one that is told to.
    let is_last = mesh.rank() + 1 == mesh.size();
    let is_by_hand = std::env::var_os("ADSUM_TOKEN_FILE").is_some();
    if role == "die" && (is_last || is_by_hand) {
        if is_by_hand {
            // The others have met, too; whom they cannot reach then is no lost one.
            for _ in 1..mesh.size() {
                assert!(matches!(inbox.recv_timeout(PATIENCE).unwrap(), News::Frame(..)));
            }
        }
        let own = std::process::id().to_string();
        Command::new("kill").args(["-KILL", &own]).status().unwrap();
    }
    for to in (0..mesh.size()).filter(|&to| to != mesh.rank()) {
        mesh.send(to, frame(b"hello", b""));
    }
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() + 1 < mesh.size() {
        match inbox.recv_timeout(PATIENCE).unwrap() {
            News::Frame(from, bytes) => assert!(bytes == b"hello" && heard.insert(from)),
            // One that has said all may leave.
            News::Lost(peer, reason) => assert!(heard.contains(&peer), "{peer}: {reason}"),
        }
    }
    let heard = heard.len();
    println!("heard {heard} of {}", mesh.size());
}
