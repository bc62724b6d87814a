//! Who asks: with another secret, of nobody, and no longer.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, MANY, PATIENCE, Shape, bits};
use crate::lan::Place;
use crate::numbers::Op;
use crate::process::Process;

const STATUS: [&str; 2] = ["status", "--json"];

#[test]
fn strangers_hear_why_and_nobody_is_waited_for_long() {
    // On the fourth host is no node.
    let Some(mut cluster) = Cluster::new(Shape { hosts: 4, copies: 2, files: 12 }) else { return };
    let other = cluster.new_token("other-token");
    (0..3).for_each(|host| cluster.launch(host));
    cluster.settle();

    for attempt in 1..=3 {
        let mut asker = cluster.asker_at(Place::Hub, &other, &STATUS, &[0]);
        let (run, took) = Process::start_piped(&mut asker).end(PATIENCE);
        run.refused(7, &["10.77.0.1:7386", "secret"]);
        assert!(took < Duration::from_secs(15), "{took:?}");
        // Once for all attempts.
        cluster.wait("the node logs it", |cluster| turned_away(cluster, 0) >= 1);
        assert_eq!(turned_away(&cluster, 0), 1, "attempt {attempt}: {}", cluster.nodes[0].log());
    }
    // A node of another cluster does not get in either.
    cluster.launch_with_token(3, &other, &[0]);
    let mut refused = cluster.nodes[3].process.take().unwrap();
    assert_eq!(refused.wait(PATIENCE).code(), Some(7), "{}", cluster.nodes[3].log());
    assert!(cluster.nodes[3].log().contains("secret"), "{}", cluster.nodes[3].log());
    assert_eq!(cluster.status(0).len(), 3);
    cluster.check(Op::Sum, 0);

    let mut asker = cluster.asker(&["sum", "obs/*.npy"], &[3]);
    asker.args(["--via", "10.77.0.77", "--via", "10.77.0.3:9999"]);
    let (run, took) = Process::start_piped(&mut asker).end(PATIENCE);
    run.refused(10, &["10.77.0.4:7386", "10.77.0.77:7386", "10.77.0.3:9999"]);
    println!("that nobody is there takes {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    // One that is there is enough.
    let mut asker = cluster.asker(&["sum", "--json", "obs/*.npy"], &[3, 2]);
    let (run, _) = Process::start_piped(&mut asker).end(PATIENCE);
    assert_eq!(bits(&run), cluster.right(Op::Sum), "{run:?}");
}

fn turned_away(cluster: &Cluster, host: usize) -> usize {
    let log = cluster.nodes[host].log();
    let turned_away = log.lines().filter(|line| line.contains("somebody was turned away"));
    turned_away.filter(|line| line.contains("secret")).count()
}

#[test]
fn who_gives_up_leaves_no_job_behind() {
    let Some(cluster) = Cluster::start(Shape { hosts: 3, copies: 2, files: MANY }) else {
        return;
    };
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let mut asked = cluster.begin(Op::Columns, 1);
        cluster.wait_until_at_work(&mut asked, 1);
        asked.signal(signal);
        let start = Instant::now();
        let (run, _) = asked.end(PATIENCE);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{run:?}");
        gone(&cluster, signal, start);
    }

    // Who asks for the same is not disturbed.
    let [first, second] = [1, 1].map(|via| cluster.begin(Op::Columns, via));
    cluster.wait("both have asked", |cluster| {
        cluster.jobs(1).iter().any(|job| job["askers"].as_array().unwrap().len() == 2)
    });
    first.signal("-INT");
    assert_eq!(first.end(PATIENCE).0.code, Some(130));
    let (run, _) = second.end(PATIENCE);
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");

    // By another node than the one that collects it, and a part of its name.
    let mut asked = cluster.begin(Op::Columns, 1);
    cluster.wait_until_at_work(&mut asked, 1);
    let job = cluster.jobs(1)[0]["id"].as_str().unwrap()[..12].to_owned();
    let start = Instant::now();
    let run = cluster.ask(&["cancel", &job], 2);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with(&job), "{run:?}");
    let (run, _) = asked.end(PATIENCE);
    run.refused(130, &["cancel"]);
    gone(&cluster, "cancel", start);
    cluster.ask(&["cancel", &job], 2).refused(3, &[&job]);

    // A deadline ends it too.
    let mut late =
        cluster.asker(&["sumsq", "--axis", "0", "--deadline", "300ms", "obs/*.npy"], &[0]);
    let (run, _) = Process::start_piped(&mut late).end(PATIENCE);
    run.refused(6, &["the deadline of 300ms passed"]);
}

fn gone(cluster: &Cluster, why: &str, since: Instant) {
    cluster.wait("the job is gone", |cluster| cluster.jobs(1).is_empty());
    println!("{why}: the job is gone after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(3));
}
