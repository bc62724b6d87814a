//! Limits, each at its edge, and messages that break the rules.

use super::*;
use crate::op::{BINS_MAX, Bins, Monoid};

#[test]
fn a_collector_takes_so_many_jobs_and_requests() {
    let config = Config { jobs_max: 2, requests_max: 3, ..Config::default() };
    let mut engine = Engine::new(node(0), config, 0);
    let submit = |engine: &mut Engine, id, files| {
        engine.submit(Now::ZERO, request(id, &manifest(files, 1), Holders::Everyone))
    };
    assert_eq!(submit(&mut engine, 1, 1), Ok(()));
    assert_eq!(submit(&mut engine, 2, 2), Ok(()));
    let busy = |what, max| Err(SubmitError::Busy { what, max });
    assert_eq!(submit(&mut engine, 3, 3), busy("jobs", 2));
    assert_eq!(submit(&mut engine, 3, 1), Ok(()));
    assert_eq!(submit(&mut engine, 4, 1), busy("requests", 3));
    engine.cancel(Now::ZERO, RequestId(2));
    assert_eq!(submit(&mut engine, 4, 3), Ok(()));
}

#[test]
fn a_worker_takes_so_many_jobs() {
    let busy = Config { jobs_max: 1, ..Config::default() };
    let mut cluster = Cluster::new(&[0], Config::default());
    cluster.join(1, 1, busy);
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 1), Holders::Everyone));
    cluster.submit(0, request(2, &manifest(2, 1), Holders::Everyone));
    cluster.join(2, 1, Config::default());
    let outcome = cluster.finished.remove(0).1.expect("node 2 did it");
    let refused = Warning::Refused { node: node(1), refusal: Refusal::Busy };
    assert_eq!(outcome.warnings, [refused]);
    cluster.release(1);
    cluster.result(1);
}

#[test]
fn a_manifest_must_fit_into_a_message() {
    let path = "x".repeat(crate::manifest::PATH_BYTES_MAX);
    let files = |count| vec![imaginary_file(&path, DType::I64, 1); count];
    let fit = wire::FRAME_BYTES_MAX / (path.len() + 64);
    let submit = |count| {
        let manifest = Arc::new(Manifest::new(files(count)).expect("valid files"));
        let mut engine = Engine::new(node(0), Config::default(), 0);
        engine.submit(Now::ZERO, request(1, &manifest, Holders::Everyone))
    };
    assert_eq!(submit(fit), Ok(()));
    let too_long = submit(wire::FRAME_BYTES_MAX / path.len());
    assert!(
        matches!(too_long, Err(SubmitError::ManifestBytes { got, .. }) if got > wire::FRAME_BYTES_MAX)
    );
}

/// Partials can be so large that as many results as a message may have would
/// make it longer than a frame.
#[test]
fn large_partials_travel_in_several_messages() {
    let lower: Vec<u64> = (0..BINS_MAX as u64).map(|bin| bin << 48).collect();
    let bins = Bins { lower: lower.into(), last: u64::MAX };
    let spec = Spec::of(DType::I64, Monoid::Bins(bins));
    let count = 100;
    let manifest = manifest(1, count);
    assert!(manifest.suits(&spec));
    let job = manifest.job_id(&spec);
    let config = Config { results_per_message: wire::RESULTS_MAX, ..Config::default() };
    let mut engine = Engine::new(node(1), config, count as usize);
    let mut tell = |message| engine.handle_message(Now::ZERO, node(0), message);
    tell(Message::Offer { job, spec: spec.clone(), manifest });
    assert!(engine.poll_output().is_none(), "a peer that is not connected is not heard");
    engine.handle_connected(Now::ZERO, node(0));
    let manifest = super::manifest(1, count);
    let mut tell = |message| engine.handle_message(Now::ZERO, node(0), message);
    tell(Message::Offer { job, spec: spec.clone(), manifest });
    tell(Message::Assign { job, positions: (0..count as u32).collect(), alone: false });
    while engine.poll_output().is_some() {}
    let partial = Partial::identity(&spec, 1);
    let most = partial.encoded_bytes_max();
    for position in 0..count as u32 {
        let computed = Computed { partial: partial.clone(), usage: Vec::new() };
        engine.handle_computed(Now::ZERO, job, position, Ok(computed));
    }
    let (mut seen, mut messages) = (Vec::new(), 0);
    while let Some(output) = engine.poll_output() {
        let Output::Send { message, .. } = output else { panic!("{output:?}") };
        let Message::Results { results, .. } = &message else { panic!("{message:?}") };
        seen.extend(results.iter().map(|result| result.position));
        assert!(results.len() as u64 * most <= wire::FRAME_BYTES_MAX as u64);
        assert!(wire::encode(&message).len() <= wire::FRAME_BYTES_MAX);
        messages += 1;
    }
    assert_eq!(seen, Vec::from_iter(0..count as u32));
    assert!(messages > 1 && messages < count, "{messages} messages");
}

#[test]
fn warnings_are_counted_past_their_limit() {
    let mut cluster = Cluster::new(&[0, 1, 1], Config::default());
    cluster.behave(2, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 5), held_by(1, &[2])));
    let job = cluster.stuck[0].1;
    let past_the_end = |partial: Partial| {
        let results = vec![EntryResult { position: 5, partial, usage: Vec::new() }];
        Message::Results { job, results, want: 1 }
    };
    for _ in 0..WARNINGS_MAX + 3 {
        cluster.deliver(1, 0, past_the_end(partial(5)));
    }
    (0..3).for_each(|_| cluster.release(2));
    let outcome = cluster.result(5);
    assert_eq!((outcome.warnings.len(), outcome.course.warnings_omitted), (WARNINGS_MAX, 3));
}

#[test]
fn a_peer_that_is_not_connected_is_not_heard() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    let manifest = manifest(1, 1);
    let job = manifest.job_id(&spec());
    cluster.deliver(9, 1, Message::Offer { job, spec: spec(), manifest });
    cluster.deliver(0, 0, Message::Cancel { job });
    assert!(cluster.messages.is_empty());
}

#[test]
fn an_entry_that_the_job_has_not_cannot_be_reduced() {
    let mut cluster = Cluster::new(&[0, 1], Config::default());
    cluster.behave(1, Behaviour::Stuck);
    cluster.submit(0, request(1, &manifest(1, 2), Holders::Everyone));
    let job = cluster.stuck[0].1;
    cluster.deliver(0, 1, Message::Assign { job, positions: vec![2], alone: false });
    assert!(matches!(cluster.messages.last(), Some((_, _, Message::Failed { position: 2, .. }))));
    cluster.release(1);
    assert_eq!(cluster.result(2).warnings, [], "the collector never asked for it");
}
