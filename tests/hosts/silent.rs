//! Nodes that live and are not heard: stopped, slow, cut off, parted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, MANY, PATIENCE, Shape, bits, shards};
use crate::lan::{Place, addr};
use crate::numbers::Op;
use crate::process::{Process, signal};

/// Time for a job that has to get along without a node.
const LONG: Duration = Duration::from_secs(25);

/// Asks by the first node and lets something happen when the work has begun.
#[track_caller]
fn meanwhile(cluster: &mut Cluster, what: &str, fault: impl FnOnce(&mut Cluster)) {
    let mut asked = cluster.begin(Op::Columns, 0);
    cluster.wait_until_at_work(&mut asked, 0);
    let start = Instant::now();
    fault(cluster);
    let (run, took) = asked.end(LONG);
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{what}: {run:?}");
    println!("{what}: {took:?} in all, {:?} after it", start.elapsed());
}

#[test]
fn nodes_that_stop_or_lose_their_cable_are_passed_over() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 4, copies: 2, files: MANY }) else {
        return;
    };
    meanwhile(&mut cluster, "a worker stopped for a second", |cluster| {
        let worker = cluster.nodes[2].running();
        worker.signal("-STOP");
        std::thread::sleep(Duration::from_secs(1));
        worker.signal("-CONT");
    });
    cluster.settle();
    meanwhile(&mut cluster, "a worker stopped for ever", |cluster| {
        cluster.nodes[2].running().signal("-STOP");
    });
    cluster.nodes[2].running().signal("-CONT");
    println!("back after {:?}", cluster.settle());
    meanwhile(&mut cluster, "the collector stopped for ever", |cluster| {
        cluster.nodes[0].running().signal("-STOP");
    });
    cluster.nodes[0].running().signal("-CONT");
    println!("back after {:?}", cluster.settle());
    for (host, what) in [(3, "a worker's cable pulled"), (0, "the collector's cable pulled")] {
        meanwhile(&mut cluster, what, |cluster| cluster.lan.set_link(host, false));
        cluster.lan.set_link(host, true);
        println!("back after {:?}", cluster.settle());
    }
}

#[test]
fn what_is_lost_one_way_only_is_found_out() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 3, copies: 2, files: 72 }) else {
        return;
    };
    for (from, to, what) in [
        (1, 0, "a worker that the collector does not hear"),
        (0, 1, "a worker that does not hear the collector"),
        (1, 2, "a worker that another worker does not hear"),
    ] {
        meanwhile(&mut cluster, what, |cluster| cluster.lan.set_mute(from, to, true));
        cluster.lan.set_mute(from, to, false);
        println!("back after {:?}", cluster.settle());
    }
}

#[test]
fn a_cluster_that_was_parted_is_one_again() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 3, copies: 2, files: 72 }) else {
        return;
    };
    meanwhile(&mut cluster, "parted 2 to 1", |cluster| cluster.lan.part(&[2]));
    cluster.wait("the two miss the third", |cluster| cluster.status(0).len() == 2);
    // The smaller side has not all files, and says so.
    let mut alone =
        cluster.asker_at(Place::Host(2), &cluster.token(), &["sum", "--json", "obs/*.npy"], &[2]);
    let (run, _) = Process::start_piped(&mut alone).end(LONG);
    run.refused(5, &["obs/000.npy", "anna"]);
    cluster.check(Op::Sum, 0);
    cluster.lan.part(&[]);
    println!("parted 2 to 1: one again after {:?}", cluster.settle());
    for via in 0..3 {
        cluster.check(Op::Sum, via);
    }
    // Each alone, for longer than any silence that is forgiven.
    (0..3).for_each(|host| cluster.lan.set_link(host, false));
    std::thread::sleep(Duration::from_secs(2));
    (0..3).for_each(|host| cluster.lan.set_link(host, true));
    println!("all cables pulled: one again after {:?}", cluster.settle());
    cluster.check(Op::Sum, 2);
}

#[test]
fn others_take_over_from_a_slow_node() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 3, copies: 2, files: MANY }) else {
        return;
    };
    let slow = cluster.nodes[1].running().id();
    let over = AtomicBool::new(false);
    let (run, took) = std::thread::scope(|scope| {
        // Of every 100 ms it has 5.
        let brake = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                signal(slow, "-STOP");
                std::thread::sleep(Duration::from_millis(95));
                signal(slow, "-CONT");
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let answer = cluster.begin(Op::Columns, 0).try_end(PATIENCE);
        over.store(true, Ordering::Relaxed);
        brake.join().unwrap();
        answer
    })
    .expect("the job does not end");
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");
    let did: Vec<u64> = (0..3).map(|host| shards(&run.json(), host)).collect();
    println!("with a slow node at {}: {took:?}, entries {did:?}", addr(1));
    assert!(did[1] < did[0] && did[1] < did[2], "{did:?}");
    cluster.settle();
    cluster.check(Op::Sum, 1);
    cluster.kill(1);
}

#[test]
fn a_deadline_holds_where_nobody_answers() {
    let Some(mut cluster) = Cluster::start(Shape { hosts: 2, copies: 1, files: MANY }) else {
        return;
    };
    let freeze = |cluster: &mut Cluster, how: &str| {
        (0..2).for_each(|host| cluster.nodes[host].running().signal(how));
    };
    for fault in ["before the question", "within the job"] {
        let columns = [Op::Columns.arguments(), &["--deadline", "1500ms", "obs/*.npy"]].concat();
        if fault == "before the question" {
            freeze(&mut cluster, "-STOP");
        }
        let mut asked = Process::start_piped(&mut cluster.asker(&columns, &[0]));
        if fault == "within the job" {
            cluster.wait_until_at_work(&mut asked, 0);
            freeze(&mut cluster, "-STOP");
        }
        let (run, took) = asked.end(PATIENCE);
        println!("all stopped {fault}: an end after {took:?}");
        run.refused(6, &[]);
        // It waited for 10 s.
        assert!(took < Duration::from_secs(8), "{took:?}");
        freeze(&mut cluster, "-CONT");
        cluster.settle();
    }
}
