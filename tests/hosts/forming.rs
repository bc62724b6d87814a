//! How nodes come together, and how they go.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cluster::{Cluster, MANY, Shape, bits, name, shards};
use crate::numbers::Op;
use crate::program::Run;

#[test]
fn nodes_find_each_other_by_any_of_them() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 4, copies: 2, files: MANY }) else {
        return;
    };
    cluster.launch_with_seeds(0, &[]);
    cluster.launch_with_seeds(1, &[0]);
    // Not by the first.
    cluster.launch_with_seeds(2, &[1]);
    cluster.launch_with_seeds(3, &[2]);
    println!("4 nodes are one cluster after {:?}", cluster.settle());
    for via in cluster.running() {
        cluster.check(Op::Sum, via);
    }

    // Who leaves is missed by the others at once.
    let left = Instant::now();
    cluster.stop(3);
    let gone = left.elapsed();
    cluster.wait("the node that left is missed", |cluster| {
        cluster.status(0).iter().all(|node| node["name"] != name(3).as_str())
    });
    println!("SIGTERM: ended after {gone:?}, missed after {:?}", left.elapsed());
    assert!(left.elapsed() < Duration::from_secs(2));

    // Who comes while a job runs takes part.
    let mut asked = cluster.begin(Op::Columns, 1);
    cluster.wait_until_at_work(&mut asked, 1);
    cluster.launch(3);
    let (run, took) = asked.end(Duration::from_secs(30));
    assert_eq!(bits(&run), cluster.right(Op::Columns), "{run:?}");
    let did = shards(&run.json(), 3);
    println!("the node that came during a job of {took:?} did {did} of {MANY} entries");
    assert!(did > 0, "{run:?}");

    // The first one comes back, and is not in the way of its own memory.
    cluster.stop(0);
    cluster.launch(0);
    println!("a node that was restarted is back after {:?}", cluster.settle());
    for via in cluster.running() {
        cluster.check(Op::Sum, via);
    }
    assert_eq!(cluster.status(1).len(), 4);
    // It did not take the process before it for another node.
    let log = cluster.nodes[0].log();
    assert!(!log.contains("leads back to this node"), "{log}");
}

/// The lines of a list in the object that a run gave.
fn told(run: &Run, list: &str) -> String {
    let object: Json = serde_json::from_str(&run.stdout).unwrap();
    object[list].to_string()
}

#[test]
fn a_node_that_has_met_nobody_does_not_take_what_it_has_for_all_there_is() {
    let Some(mut cluster) = Cluster::new(Shape { hosts: 2, copies: 1, files: 4 }) else { return };
    // The other is not there yet.
    cluster.launch_with_seeds(0, &[1]);
    cluster.wait("its files are hashed", |cluster| cluster.status(0)[0]["unhashed"] == 0);
    let whole = ["sum", "--json", "obs/*.npy"];
    cluster.ask(&whole, 0).refused(5, &["has met no other node", &name(0)]);
    let run = cluster.ask(&["sum", "--json", "--allow-partial", "obs/*.npy"], 0);
    assert_eq!(run.code, Some(9), "{run:?}");
    assert!(told(&run, "missing").contains("has met no other node"), "{run:?}");
    let log = cluster.nodes[0].log();
    assert!(log.contains("not joined yet"), "{log}");
    cluster.launch_with_seeds(1, &[0]);
    cluster.settle();
    cluster.check(Op::Sum, 0);

    // What it met it remembers, and then says how much that is worth.
    cluster.stop(1);
    cluster.stop(0);
    cluster.launch_with_seeds(0, &[1]);
    cluster.wait("its files are hashed", |cluster| cluster.status(0)[0]["unhashed"] == 0);
    cluster.ask(&whole, 0).refused(5, &["last seen at", &name(1)]);
    let run = cluster.ask(&["sum", "--json", "--allow-partial", "obs/*.npy"], 0);
    assert_eq!(run.code, Some(9), "{run:?}");
    assert!(told(&run, "warnings").contains("what there was before"), "{run:?}");
}
