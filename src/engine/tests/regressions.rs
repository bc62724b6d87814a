//! Bugs that were, each with its story.

use super::*;

/// Seed 14708 of the simulation. A job ran, ended, and ran again with fewer
/// holders; a repeated offer of the first run reached a node that was not
/// among them. It pulled, the collector did not answer a node that it had not
/// asked, and at the end of the job it did not tell it either: the node kept
/// the job until its connection closed.
#[test]
fn a_node_that_pulls_what_it_was_not_offered_is_told_to_drop_it() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 2);
    cluster.submit(0, request(1, &manifest, held_by(1, &[1])));
    let job = manifest.job_id(&spec());
    cluster.deliver(0, 2, Message::Offer { job, spec: spec(), manifest });
    assert_eq!(cluster.abandoned, [node(2)]);
}

/// A cancellation of an earlier run of a job came late. The worker dropped the
/// job, its collector waited for the entries for ever. Now a worker says that
/// it has dropped a job, and a collector that wants it offers it again.
#[test]
fn a_worker_that_a_late_message_stopped_is_offered_the_job_again() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 4);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    cluster.deliver(0, 1, Message::Cancel { job: manifest.job_id(&spec()) });
    assert_eq!(cluster.abandoned, [node(1)]);
    assert_eq!(cluster.stuck_at(1).len(), 2);
    cluster.release(1);
    cluster.release(1);
    assert_eq!(cluster.result(4).course.recomputed, 2);
}

/// A late refusal took a working node out of the job, which it then never
/// left: the end of the job was told to members only.
#[test]
fn a_node_whose_refusal_came_late_takes_part() {
    for refusal in [Refusal::Busy, Refusal::NoWorkers, Refusal::Unknown] {
        let mut cluster = Cluster::new(&[0, 1], Config::default());
        cluster.behave(1, Behaviour::Stuck);
        let manifest = manifest(1, 4);
        cluster.submit(0, request(1, &manifest, Holders::Everyone));
        cluster.deliver(1, 0, Message::Refused { job: manifest.job_id(&spec()), refusal });
        cluster.release(1);
        cluster.release(1);
        cluster.result(4);
        assert_eq!(cluster.abandoned.last(), Some(&node(1)));
        assert!(cluster.stuck.is_empty());
    }
}

/// A pull of nothing left a node a member that was never served, and entries
/// that only it had in the backlog for ever.
#[test]
fn a_pull_of_nothing_is_a_pull_of_one() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 4);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    cluster.deliver(1, 0, Message::Pull { job: manifest.job_id(&spec()), want: 0 });
    (0..4).for_each(|_| cluster.release(1));
    cluster.result(4);
}

/// One end dials again before the other notices that the connection broke. The
/// other then has two, and what was under way on the first is lost.
#[test]
fn a_second_connection_means_that_the_first_is_lost() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 4), Holders::Everyone));
    let now = cluster.now;
    cluster.engine(0).handle_connected(now, node(1));
    cluster.engine(1).handle_connected(now, node(0));
    cluster.run();
    assert_eq!(cluster.abandoned, [node(1)]);
    cluster.behave(1, Behaviour::Prompt);
    cluster.release(1);
    assert!(cluster.result(4).nodes[0].lost);
}

/// A failure of an earlier run of the job says nothing about this one.
#[test]
fn what_was_not_asked_cannot_fail() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 4);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    let (job, error) = (manifest.job_id(&spec()), ShardError::changed("long ago"));
    cluster.deliver(1, 0, Message::Failed { job, position: 3, node: node(1), error });
    cluster.release(1);
    cluster.release(1);
    assert_eq!(cluster.result(4).warnings, []);
}

/// Answers can come twice and for jobs that are no more.
#[test]
fn late_and_repeated_messages_are_harmless() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.behave(2, Behaviour::Stuck);
    let manifest = manifest(1, 4);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    let job = manifest.job_id(&spec());
    let position = cluster.stuck_at(1)[0];
    let result = || {
        let result = EntryResult { position, partial: partial(position), usage: Vec::new() };
        Message::Results { job, results: vec![result.clone(), result], want: 2 }
    };
    let error = ShardError::changed("long ago");
    // Node 2 brings what was asked of node 1, twice; and fails what it has not.
    cluster.deliver(2, 0, result());
    cluster.deliver(2, 0, Message::Failed { job, position, node: node(2), error: error.clone() });
    cluster.release(1);
    cluster.release(2);
    let outcome = cluster.result(4);
    assert_eq!((outcome.course.duplicates, outcome.warnings.len()), (2, 0));

    cluster.messages.clear();
    let pull = Message::Pull { job, want: 2 };
    for message in [result(), pull, Message::Failed { job, position, node: node(2), error }] {
        cluster.deliver(1, 0, message);
    }
    let refusal = Refusal::Unknown;
    cluster.deliver(1, 0, Message::Refused { job, refusal });
    cluster.deliver(0, 1, Message::Assign { job, positions: vec![0], alone: false });
    cluster.deliver(0, 1, Message::Cancel { job });
    // Each is answered once, and that is all.
    let cancel = (node(0), node(1), Message::Cancel { job });
    let refused = (node(1), node(0), Message::Refused { job, refusal });
    assert_eq!(cluster.messages, [cancel.clone(), cancel.clone(), cancel, refused]);
}
