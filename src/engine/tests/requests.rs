//! Requests: how they share jobs and end.

use super::*;
use crate::op::{Monoid, Term};

#[test]
fn two_requests_for_one_job_are_one_job() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 2);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    cluster.submit(0, request(2, &manifest, Holders::Everyone));
    assert_eq!(cluster.stuck_at(1), [0, 1]);
    cluster.release(1);
    let ids: Vec<RequestId> = cluster.finished.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [RequestId(1), RequestId(2)]);
    assert!(cluster.finished.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_job_stops_with_its_last_request() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 2);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    cluster.submit(0, request(2, &manifest, Holders::Everyone));
    cluster.cancel(0, 1);
    assert_eq!(cluster.error(), JobError::Cancelled);
    assert!(cluster.abandoned.is_empty());
    cluster.cancel(0, 2);
    assert_eq!(cluster.error(), JobError::Cancelled);
    assert_eq!(cluster.abandoned, [node(1)]);
    assert!(cluster.stuck.is_empty());
    // Ended requests are no more.
    cluster.cancel(0, 2);
    assert!(cluster.finished.is_empty());
}

#[test]
fn a_second_request_can_know_more_holders() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    let manifest = manifest(2, 3);
    cluster.submit(0, request(1, &manifest, held_by(2, &[9])));
    cluster.advance(ms(9_000));
    cluster.submit(0, request(2, &manifest, held_by(2, &[1])));
    assert_eq!(cluster.finished.len(), 2);
    assert!(cluster.finished.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_deadline_ends_its_request_alone() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    let manifest = manifest(1, 3);
    cluster.advance(ms(5_000));
    let hasty = JobRequest { deadline: Some(ms(100)), ..request(1, &manifest, Holders::Everyone) };
    cluster.submit(0, hasty);
    cluster.submit(0, request(2, &manifest, Holders::Everyone));
    cluster.advance(ms(99));
    assert!(cluster.finished.is_empty());
    cluster.advance(ms(1));
    let error = cluster.error();
    assert!(
        matches!(&error, JobError::Deadline { unfinished, .. } if unfinished.missing_count == 3)
    );
    assert!(error.to_string().starts_with(
        "the deadline of 100ms passed, 3 of 3 entries are missing: 0.npy[0..1] (entry 0)"
    ));
    cluster.release(1);
    cluster.release(1);
    assert_eq!(cluster.finished[0].0, RequestId(2));
    cluster.result(3);
}

#[test]
fn two_collectors_of_one_job_share_a_worker() {
    let mut cluster = Cluster::new(&[0, 0, 1], Config::default());
    cluster.behave(2, Behaviour::Stuck);
    let manifest = manifest(1, 2);
    cluster.submit(0, request(1, &manifest, Holders::Everyone));
    cluster.submit(1, request(2, &manifest, Holders::Everyone));
    assert_eq!(cluster.stuck_at(2), [0, 1], "nothing is computed twice");
    // One of them goes, and the other is still served.
    cluster.lose(0);
    assert!(cluster.abandoned.is_empty());
    cluster.release(2);
    cluster.release(2);
    cluster.result(2);
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let mut engine = Engine::new(node(0), Config::default(), 1);
    let manifest = manifest(2, 1);
    let good = request(1, &manifest, Holders::Everyone);
    let wrong = JobRequest { spec: Spec::sum(DType::U8), ..good.clone() };
    assert_eq!(
        engine.submit(Now::ZERO, wrong),
        Err(SubmitError::DTypes { spec: DType::U8, manifest: DType::I64 })
    );
    // A spec that no node could carry out over this data.
    let dot = Spec::of(DType::I64, Monoid::Sum(Term::Product));
    let tree = Spec::of(DType::I64, Monoid::Tree);
    for spec in [dot, tree, Spec { dtype: DType::I64, monoids: Vec::new() }] {
        let wrong = JobRequest { spec: spec.clone(), ..good.clone() };
        assert_eq!(engine.submit(Now::ZERO, wrong), Err(SubmitError::Spec { spec }));
    }
    let wrong = JobRequest { holders: held_by(3, &[0]), ..good.clone() };
    assert_eq!(engine.submit(Now::ZERO, wrong), Err(SubmitError::Holders { expected: 2, got: 3 }));
    assert_eq!(engine.submit(Now::ZERO, good.clone()), Ok(()));
    assert_eq!(engine.submit(Now::ZERO, good), Err(SubmitError::Duplicate { id: 1 }));
}
