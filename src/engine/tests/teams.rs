//! Deputies.

use super::*;
use crate::op::Monoid;

/// A collector without workers, and ten nodes in three teams.
fn teams() -> Cluster {
    Cluster::new(&[&[0_usize][..], &[1; 10]].concat(), config())
}

fn config() -> Config {
    Config { fan_in: 3, holder_grace: Duration::ZERO, ..Config::default() }
}

/// The nodes that `from` made deputies, with their teams.
fn delegations(cluster: &Cluster, from: u8) -> BTreeMap<NodeId, Vec<NodeId>> {
    let all = cluster.messages.iter().filter(|(sender, ..)| *sender == node(from));
    all.filter_map(|(_, to, message)| match message {
        Message::Delegate { team, .. } => Some((*to, team.clone())),
        _ => None,
    })
    .collect()
}

fn sent(cluster: &Cluster, from: NodeId, to: NodeId, is: impl Fn(&Message) -> bool) -> usize {
    let all =
        cluster.messages.iter().filter(|(a, b, message)| (*a, *b) == (from, to) && is(message));
    all.count()
}

fn name(node: NodeId) -> u8 {
    node.0[0]
}

#[test]
fn a_collector_speaks_to_deputies_alone() {
    let mut cluster = teams();
    cluster.submit(0, request(1, &manifest(5, 40), Holders::Everyone));
    let outcome = cluster.result(200);
    let teams = delegations(&cluster, 0);
    let mut everybody: Vec<NodeId> = teams.values().flatten().copied().collect();
    everybody.sort();
    assert_eq!(everybody, (1..11).map(node).collect::<Vec<_>>());
    assert_eq!(teams.len(), 3);
    for (from, to, message) in &cluster.messages {
        let others = if *to == node(0) { from } else { to };
        if [*from, *to].contains(&node(0)) {
            assert!(teams.contains_key(others), "{others}: {message:?}");
            assert!(!matches!(message, Message::Results { .. } | Message::Offer { .. }));
        }
    }
    // Who did what is known all the same, and all was done once.
    assert_eq!(outcome.nodes.len(), 10);
    assert_eq!(outcome.nodes.iter().map(|report| report.entries).sum::<u64>(), 200);
    assert_eq!(outcome.usage.values().map(|usage| usage.bytes).sum::<u64>(), 200 * 8);
    assert_eq!(outcome.course, Course::default());
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    assert_eq!(cluster.abandoned.len(), 10);
}

#[test]
fn a_large_team_has_deputies_of_its_own() {
    let mut cluster = Cluster::new(&[1; 23], Config { fan_in: 2, ..config() });
    cluster.submit(0, request(1, &manifest(1, 500), Holders::Everyone));
    let outcome = cluster.result(500);
    assert_eq!(outcome.nodes.len(), 23);
    let above = delegations(&cluster, 0);
    assert_eq!(above.len(), 2);
    for (deputy, team) in above {
        assert_eq!(team.len(), 11);
        assert_eq!(delegations(&cluster, name(deputy)).len(), 2);
    }
}

#[test]
fn a_report_has_what_waited() {
    // Teams of four, whose nodes take eight entries each.
    let config = Config { fan_in: 4, ..config() };
    let mut cluster = Cluster::new(&[&[0_usize][..], &[4; 12]].concat(), config);
    (1..13).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 96), Holders::Everyone));
    let teams = delegations(&cluster, 0);
    let (&deputy, team) = teams.first_key_value().expect("there are three");
    let report = |message: &Message| matches!(message, Message::Report { .. });
    let reports = |cluster: &Cluster| sent(cluster, deputy, node(0), report);
    // Three of 32 entries are no quarter of them.
    let (first, rest): (Vec<_>, Vec<_>) =
        std::mem::take(&mut cluster.stuck).into_iter().partition(|(id, ..)| *id == team[0]);
    cluster.stuck = first[..3].to_vec();
    cluster.release(name(team[0]));
    assert_eq!(reports(&cluster), 0, "others of the team work on");
    cluster.advance(ms(190));
    assert_eq!(reports(&cluster), 0);
    cluster.advance(ms(10));
    assert_eq!(reports(&cluster), 1, "it waited for long enough");
    assert_eq!(cluster.progress, [(3, 24)]);
    cluster.stuck = [&first[3..], &rest].concat();
    for &member in team {
        cluster.release(name(member));
    }
    assert!(cluster.stuck_at(name(team[0])).is_empty());
    assert_eq!(reports(&cluster), 1 + 3, "quarters, and the rest at the end");
    (1..13).for_each(|name| cluster.release(name));
    cluster.result(96);
}

#[test]
fn a_lost_deputy_costs_what_it_had_not_reported() {
    let mut cluster = teams();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 60), Holders::Everyone));
    let teams = delegations(&cluster, 0);
    let (&deputy, team) = teams.first_key_value().expect("there are three");
    cluster.lose(name(deputy));
    for &member in team.iter().filter(|&&member| member != deputy) {
        assert_eq!(sent(&cluster, node(0), member, |m| matches!(m, Message::Offer { .. })), 1);
    }
    for _ in 0..60 {
        (1..11).filter(|&other| node(other) != deputy).for_each(|name| cluster.release(name));
    }
    let outcome = cluster.result(60);
    assert!(matches!(outcome.warnings[..], [Warning::Lost { node, .. }] if node == deputy));
    // Nobody works for the one that is gone.
    assert!(cluster.stuck.is_empty());
    assert_eq!(cluster.abandoned.iter().collect::<BTreeSet<_>>().len(), 9);
}

#[test]
fn a_node_that_its_deputy_does_not_reach_is_asked_directly() {
    let mut cluster = teams();
    let job = manifest(11, 2);
    // Every file at one node.
    let files = (0..11).map(|file| BTreeSet::from([node(1 + file % 10)])).collect();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &job, Holders::PerFile(files)));
    let teams = delegations(&cluster, 0);
    let (&deputy, team) = teams.first_key_value().expect("there are three");
    let one = team.iter().copied().find(|&member| member != deputy).expect("a team");
    let now = cluster.now;
    cluster.engine(name(deputy)).handle_lost(now, one);
    cluster.engine(name(one)).handle_lost(now, deputy);
    cluster.run();
    assert!(sent(&cluster, deputy, node(0), |m| matches!(m, Message::Returned { .. })) > 0);
    assert_eq!(sent(&cluster, node(0), one, |m| matches!(m, Message::Offer { .. })), 1);
    (0..9).for_each(|_| (1..11).for_each(|name| cluster.release(name)));
    assert_eq!(cluster.result(22).nodes.len(), 10);
}

#[test]
fn what_nobody_holds_is_missing() {
    let mut cluster = teams();
    let holders = (0..10).map(|file| BTreeSet::from([node(if file == 4 { 77 } else { 1 + file })]));
    cluster.submit(0, request(1, &manifest(10, 2), Holders::PerFile(holders.collect())));
    cluster.advance(ms(1));
    let JobError::Incomplete { unfinished } = cluster.error() else { panic!("it is missing") };
    assert_eq!(unfinished.missing_count, 2);
    assert_eq!(unfinished.missing[0].last_holders, [node(77)]);
}

/// All but one team work, as time passes, until the job ends.
fn let_others_work(cluster: &mut Cluster, team: &[NodeId]) {
    for _ in 0..100 {
        cluster.advance(ms(20));
        (1..11).filter(|&one| !team.contains(&node(one))).for_each(|name| cluster.release(name));
    }
}

#[test]
fn what_two_deputies_have_is_reported_alone() {
    let config = Config { straggler_min: ms(10), ..config() };
    let mut cluster = Cluster::new(&[&[0_usize][..], &[1; 10]].concat(), config);
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(2, 20), Holders::Everyone));
    let teams = delegations(&cluster, 0);
    let (&deputy, team) = teams.first_key_value().expect("there are three");
    let_others_work(&mut cluster, team);
    let outcome = cluster.result(40);
    assert!(outcome.course.speculated > 0);
    let alone = |m: &Message| matches!(m, Message::Assign { alone: true, .. });
    assert!(sent(&cluster, node(0), deputy, alone) > 0);
    let others = teams.keys().filter(|&&other| other != deputy);
    assert!(others.map(|&other| sent(&cluster, node(0), other, alone)).sum::<usize>() > 0);
    let reported = |m: &Message| matches!(m, Message::Report { .. });
    assert_eq!(sent(&cluster, deputy, node(0), reported), 0);
}

#[test]
fn of_a_parcel_that_overlaps_the_rest_is_asked_again() {
    let mut cluster = teams();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 20), Holders::Everyone));
    let teams = delegations(&cluster, 0);
    let (&deputy, team) = teams.first_key_value().expect("there are three");
    // One of its entries comes from elsewhere first.
    let (_, job, position) =
        *cluster.stuck.iter().find(|(id, ..)| team.contains(id)).expect("busy");
    let results = vec![EntryResult { position, partial: partial(position), usage: Vec::new() }];
    cluster.deliver(10, 0, Message::Results { job, results, want: 1 });
    let assigns =
        |cluster: &Cluster| sent(cluster, node(0), deputy, |m| matches!(m, Message::Assign { .. }));
    let before = assigns(&cluster);
    for _ in 0..9 {
        (1..11).for_each(|name| cluster.release(name));
    }
    assert!(assigns(&cluster) > before, "the others are asked again");
    let outcome = cluster.result(20);
    assert!(outcome.course.duplicates > 0 && outcome.course.recomputed > 0);
}

#[test]
fn a_request_comes_before_a_delegation() {
    let mut cluster = teams();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    let teams = delegations(&cluster, 0);
    let deputy = *teams.keys().next().expect("there are three");
    cluster.submit(name(deputy), request(2, &manifest(1, 40), Holders::Everyone));
    assert!(sent(&cluster, deputy, node(0), |m| matches!(m, Message::Refused { .. })) > 0);
    assert_eq!(sent(&cluster, node(0), deputy, |m| matches!(m, Message::Offer { .. })), 1);
    for _ in 0..60 {
        (1..11).for_each(|name| cluster.release(name));
    }
    assert_eq!(cluster.finished.len(), 2);
    let other = cluster.finished.pop().expect("two");
    assert!(other.1.is_ok());
    cluster.result(40);
}

#[test]
fn a_team_that_cannot_says_who() {
    let mut cluster = teams();
    let holders = (0..10).map(|file| BTreeSet::from([node(1 + file)])).collect();
    cluster.behave(7, Behaviour::Broken);
    cluster.submit(0, request(1, &manifest(10, 2), Holders::PerFile(holders)));
    let JobError::Shard { node: failed, tried, .. } = cluster.error() else { panic!("it failed") };
    assert_eq!((failed, tried), (node(7), 1));
}

#[test]
fn a_lost_collector_leaves_nothing_behind() {
    let mut cluster = teams();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    cluster.submit(0, request(1, &manifest(1, 40), Holders::Everyone));
    assert!(!cluster.stuck.is_empty());
    cluster.lose(0);
    assert!(cluster.stuck.is_empty());
    assert_eq!(cluster.abandoned.len(), 10);
    assert!(cluster.engines.values().all(|engine| engine.poll_timeout().is_none()));
}

#[test]
fn what_does_not_merge_small_is_collected_directly() {
    let tree = Spec::of(DType::F64, Monoid::Tree);
    let file = imaginary_file("a.npy", DType::F64, 80);
    let manifest = Arc::new(Manifest::with_entry_bytes(vec![file], 8).expect("a valid file"));
    let mut cluster = teams();
    (1..11).for_each(|name| cluster.behave(name, Behaviour::Stuck));
    let holders = Holders::Everyone;
    let request = JobRequest { id: RequestId(1), manifest, spec: tree, holders, deadline: None };
    cluster.submit(0, request);
    assert!(delegations(&cluster, 0).is_empty());
    assert_eq!(cluster.stuck.len(), 20);
}
