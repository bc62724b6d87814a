//! Nodes that are told to leave in the middle of a job.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, MANY, PATIENCE, Shape, bits, shards};
use crate::numbers::Op;

/// How long a node goes on that was told to leave.
const FINISH: Duration = Duration::from_secs(5);

/// What else its end takes, on a busy machine.
const REST: Duration = Duration::from_secs(3);

const SHAPE: Shape = Shape { hosts: 3, copies: 2, files: MANY };

#[test]
fn what_a_node_has_under_way_is_not_lost() {
    let Some(mut cluster) = Cluster::start(SHAPE) else { return };
    let mut asked = cluster.begin(Op::Columns, 0);
    cluster.wait_until_at_work(&mut asked, 0);
    let start = Instant::now();
    cluster.stop(1);
    println!("a worker left after {:?}", start.elapsed());
    assert!(start.elapsed() < FINISH + REST);
    let (run, _) = asked.end(PATIENCE);
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");
    let answer = run.json();
    // Entries that others had to do again would be told.
    assert_eq!(answer["warnings"].as_array().map(Vec::len), Some(0), "{run:?}");
    println!("{} done by it, {} recomputed", shards(&answer, 1), answer["shards"]["recomputed"]);
    let log = cluster.nodes[1].log();
    assert!(!log.contains("others have to take over"), "{log}");
}

#[test]
fn a_node_that_leaves_answers_whom_it_has_and_sends_others_on() {
    let Some(mut cluster) = Cluster::start(SHAPE) else { return };
    let mut first = cluster.begin(Op::Columns, 0);
    cluster.wait_until_at_work(&mut first, 0);
    cluster.nodes[0].running().signal("-TERM");
    let second = cluster.begin(Op::Sum, 0);
    let mut left = cluster.nodes[0].process.take().unwrap();
    let status = left.wait(FINISH + REST);
    assert_eq!(status.code(), Some(0), "{}", cluster.nodes[0].log());
    for (asked, op) in [(first, Op::Columns), (second, Op::Sum)] {
        let (run, _) = asked.end(PATIENCE);
        assert_eq!(bits(&run), cluster.right(op), "{run:?}");
        if op == Op::Columns && !cluster.nodes[0].log().contains("others have to take over") {
            // Who was asked instead would not know it any more.
            assert!(shards(&run.json(), 0) > 0, "{run:?}");
        }
    }
}

#[test]
fn what_takes_too_long_is_handed_over() {
    let Some(mut cluster) = Cluster::start(Shape { copies: 1, ..SHAPE }) else { return };
    for signals in [1, 2] {
        let mut asked = cluster.begin(Op::Columns, 0);
        cluster.wait_until_at_work(&mut asked, 0);
        // Until it is back, the job does not end.
        cluster.kill(1);
        let start = Instant::now();
        cluster.nodes[0].running().signal("-TERM");
        if signals == 2 {
            cluster.wait("it has begun to leave", |cluster| {
                cluster.nodes[0].log().contains("what is under way is finished")
            });
            cluster.nodes[0].running().signal("-INT");
        }
        let mut left = cluster.nodes[0].process.take().unwrap();
        let status = left.wait(FINISH + REST);
        let took = start.elapsed();
        println!("{signals} signals: the node left after {took:?}");
        assert_eq!(status.code(), Some(0), "{}", cluster.nodes[0].log());
        assert_eq!(took >= FINISH, signals == 1, "{took:?}");
        cluster.launch(0);
        cluster.launch(1);
        let (run, _) = asked.end(PATIENCE);
        assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");
        cluster.settle();
    }
}
