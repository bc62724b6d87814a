//! Nodes that are lost, late, broken or lying.

use super::*;

#[test]
fn others_take_over_from_a_lost_node() {
    let mut cluster = Cluster::new(&[0, 2, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    assert_eq!(cluster.stuck_at(1).len(), 4);
    cluster.lose(1);
    let outcome = cluster.result(40);
    assert_eq!(outcome.course.recomputed, 4);
    assert_eq!(outcome.course.speculated, 0);
    assert_eq!(outcome.warnings, [Warning::Lost { node: node(1), entries: 4 }]);
    let report = |id, entries, lost| NodeReport { id: node(id), entries, lost };
    assert_eq!(outcome.nodes, [report(1, 0, true), report(2, 40, false)]);
}

#[test]
fn a_node_that_comes_is_used_by_the_running_job() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    cluster.join(2, 1, Config::default());
    cluster.release(1);
    assert_eq!(cluster.result(40).nodes[1].entries, 38);
}

#[test]
fn a_late_entry_is_asked_of_one_more_node() {
    let mut cluster = Cluster::new(&[0, 1, 1, 1], Config::default());
    (1..4).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 4), held_by(1, &[1])));
    assert_eq!(cluster.stuck_at(1), [0, 1]);
    // Two more entries wait at node 1, and others learn of the file. They take
    // what nobody has before they take what is late.
    cluster.submit(0, request(2, &manifest(1, 4), held_by(1, &[2, 3])));
    let helped = |cluster: &Cluster| cluster.stuck_at(2).len() + cluster.stuck_at(3).len();
    assert_eq!(helped(&cluster), 2);
    cluster.advance(ms(499));
    assert_eq!(helped(&cluster), 2);
    cluster.advance(ms(500));
    // Each of the four is late. Nodes 2 and 3 have room for two more.
    assert_eq!(helped(&cluster), 4);
    cluster.advance(ms(5_000));
    assert_eq!(helped(&cluster), 4);
    (1..4).for_each(|name| cluster.release(name));
    assert!(cluster.finished.iter().all(|(_, result)| {
        result.as_ref().is_ok_and(|outcome| outcome.course.speculated == 2)
    }));
    assert_eq!(cluster.finished.len(), 2);
}

#[test]
fn a_late_node_is_not_asked_for_the_same_again() {
    let mut cluster = Cluster::new(&[0, 2], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 1), Holders::Everyone));
    cluster.advance(ms(5_000));
    cluster.release(1);
    assert_eq!(cluster.result(1).course.recomputed, 0);
}

#[test]
fn a_node_is_late_by_its_own_rate() {
    let config = Config { straggler_min: ms(10), ..Config::default() };
    let mut cluster = Cluster::new(&[0, 1, 1], config);
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 3), held_by(1, &[1])));
    // Node 1 took a second for two entries. Now it has one more, which node 2 turns
    // out to have, too. Three times as long as one entry takes is 1.5 s.
    cluster.advance(ms(1_000));
    cluster.release(1);
    assert_eq!(cluster.stuck_at(1), [2]);
    cluster.submit(0, request(2, &manifest(1, 3), Holders::Everyone));
    cluster.behave(2, Behaviour::Stuck);
    cluster.advance(ms(1_490));
    assert!(cluster.stuck_at(2).is_empty(), "node 1 takes no longer than it did");
    cluster.advance(ms(20));
    assert_eq!(cluster.stuck_at(2), [2]);
}

#[test]
fn an_entry_that_fails_goes_to_the_next_holder() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Broken);
    cluster.submit(0, request(1, &manifest(1, 10), Holders::Everyone));
    let outcome = cluster.result(10);
    let failed =
        |warning: &Warning| matches!(warning, Warning::Failed { node: n, .. } if *n == node(1));
    assert!(!outcome.warnings.is_empty() && outcome.warnings.iter().all(failed));
    assert_eq!(outcome.course.recomputed, outcome.warnings.len() as u64);
}

#[test]
fn an_entry_that_every_live_holder_fails_ends_the_job() {
    let mut cluster = Cluster::new(&[0, 1, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Broken);
    cluster.behave(2, Behaviour::Broken);
    cluster.submit(0, request(1, &manifest(1, 1), held_by(1, &[1, 2, 9])));
    let error = cluster.error();
    let JobError::Shard { position: 0, tried: 2, error: reason, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(reason.kind, ShardErrorKind::Unreadable);
    let text = error.to_string();
    assert!(text.starts_with("0.npy (entry 0), nodes that tried: 2, the last 0"), "{text}");
    assert!(text.ends_with(": a scratch"), "{text}");
}

#[test]
fn a_wrong_result_counts_as_a_failure() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Liar);
    cluster.submit(0, request(1, &manifest(1, 10), Holders::Everyone));
    let outcome = cluster.result(10);
    assert!(outcome.warnings.iter().all(|w| matches!(w, Warning::Misbehaved { .. })));
    assert_eq!(outcome.nodes[0], NodeReport { id: node(1), entries: 0, lost: false });

    cluster.submit(0, request(2, &manifest(1, 1), held_by(1, &[1])));
    let error = RecordError::Elements { position: 0, expected: 1, got: 0 };
    assert!(cluster.error().to_string().ends_with(&error.to_string()));
}

#[test]
fn a_job_waits_for_a_holder_and_then_says_what_is_missing() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    let files = vec![BTreeSet::from([node(1)]), BTreeSet::from([node(8), node(9)])];
    cluster.submit(0, request(1, &manifest(2, 20), Holders::PerFile(files)));
    cluster.advance(ms(9_999));
    assert!(cluster.finished.is_empty());
    cluster.advance(ms(1));
    let error = cluster.error();
    let JobError::Incomplete { unfinished } = &error else { panic!("{error}") };
    assert_eq!((unfinished.missing_count, unfinished.entries), (20, 40));
    assert_eq!(unfinished.missing.len(), MISSING_NAMED_MAX);
    assert_eq!(
        unfinished.missing[0].to_string(),
        "1.npy[0..1] (entry 20, last held by 08080808 09090909)"
    );
    let text = error.to_string();
    assert!(text.contains(" and 4 more; start a node that has these files"), "{text}");
    assert_eq!(cluster.abandoned, [node(1)]);
}

#[test]
fn a_holder_that_returns_in_time_is_used() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 4), held_by(1, &[1])));
    cluster.lose(1);
    cluster.advance(ms(9_999));
    cluster.behave(1, Behaviour::Prompt);
    cluster.join(1, 1, Config::default());
    cluster.advance(ms(60_000));
    let outcome = cluster.result(4);
    assert_eq!(outcome.nodes, [NodeReport { id: node(1), entries: 4, lost: true }]);
}

#[test]
fn without_grace_the_loss_of_the_last_holder_is_the_end() {
    let config = Config { holder_grace: Duration::ZERO, ..Config::default() };
    let mut cluster = Cluster::new(&[0, 1], config);
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 4), Holders::Everyone));
    cluster.advance(ms(10));
    assert!(cluster.finished.is_empty());
    cluster.lose(1);
    cluster.advance(Duration::ZERO);
    let JobError::Incomplete { unfinished } = cluster.error() else { panic!("another error") };
    assert_eq!(unfinished.missing[0].last_holders, [node(1)]);
    assert_eq!(unfinished.warnings, [Warning::Lost { node: node(1), entries: 2 }]);
}

#[test]
fn a_worker_drops_the_job_of_a_lost_collector() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 4), Holders::Everyone));
    let (_, job, position) = cluster.stuck[0];
    cluster.lose(0);
    assert_eq!(cluster.abandoned, [node(1)]);
    // A driver that reports all the same is not heard.
    let now = cluster.now;
    cluster.engine(1).handle_computed(now, job, position, Ok(computed(position)));
    assert!(cluster.engine(1).poll_output().is_none());
}
