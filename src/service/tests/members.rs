//! Whom a node dials, and what it knows before it has met anybody.

use super::*;
use crate::catalogue::Unmet;
use crate::wire::Usage;

/// The addresses that are to be dialled.
fn dialled(outputs: &[Output]) -> Vec<SocketAddr> {
    let dialled = outputs.iter().filter_map(|output| match output {
        Output::Dial(addr) => Some(*addr),
        _ => None,
    });
    dialled.collect()
}

#[test]
fn a_member_that_is_down_is_dialled_in_case_that_it_returns() {
    let mut node1 = Node::new();
    node1.connect(2, true);
    node1.service.handle_lost(NOW, node(2));
    let mut now = NOW;
    let mut again = Vec::new();
    while now < Now::from_secs(60) && again.is_empty() {
        let Some(at) = node1.service.poll_timeout() else { break };
        now = at.max(now);
        node1.service.handle_timeout(now);
        again = dialled(&node1.outputs());
    }
    assert_eq!(again, [addr(2)]);
    // One way to a member is enough: its other addresses are dialled no more.
    let addrs = vec![addr(2), addr(22)];
    node1.service.handle_connected(now, &Hello { addrs, ..hello(2, true) }, addr(2));
    let outputs = node1.outputs();
    assert!(outputs.iter().any(|output| matches!(output, Output::Forget(a) if *a == addr(22))));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Forget(a) if *a == addr(2))));
}

#[test]
fn a_member_that_claims_addresses_of_others_does_not_keep_them_from_being_dialled() {
    let mut node1 = Node::new();
    node1.connect(2, true);
    node1.connect(3, true);
    node1.service.handle_lost(NOW, node(3));
    let mut now = NOW;
    let mut is_down = false;
    while !is_down {
        now = node1.service.poll_timeout().expect("it is declared down").max(now);
        node1.service.handle_timeout(now);
        is_down = dialled(&node1.outputs()).contains(&addr(3));
    }
    let addrs = vec![addr(4), addr(2), addr(3), addr(44)];
    node1.service.handle_connected(now, &Hello { addrs, ..hello(4, true) }, addr(4));
    let forgotten: Vec<SocketAddr> = node1
        .outputs()
        .iter()
        .filter_map(|output| match output {
            Output::Forget(addr) => Some(*addr),
            _ => None,
        })
        .collect();
    assert_eq!(forgotten, [addr(44)]);
}

#[test]
fn a_node_that_comes_back_dials_whom_it_remembers() {
    let memory = {
        let mut before = Node::new();
        for number in [2, 3] {
            before.connect(number, true);
            before.offer(number, vec![held("old.npy", number), held("older.npy", 7)]);
        }
        before.service.memory()
    };
    let config = membership::Config::default();
    let mut node1 = Node { service: Service::new(hello(1, true), config, &memory, 1) };
    assert_eq!(dialled(&node1.outputs()), [addr(2), addr(3)]);
}

fn expand(pattern: &str) -> Question {
    Question::Expand { patterns: vec![pattern.to_owned()], each_node: false }
}

fn unmet(node: &mut Node, pattern: &str) -> Option<Unmet> {
    match node.answer(expand(pattern)) {
        Reply::Expanded(expansion) => expansion.unmet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_that_was_to_join_and_met_nobody_does_not_know_what_there_is() {
    let mut node1 = Node::new();
    node1.connect(9, false);
    node1.service.set_held(vec![held("a.npy", 1)], Vec::new()).expect("few files");
    // It is told to join nobody, or only itself.
    assert_eq!(unmet(&mut node1, "*"), None);
    node1.service.expect(&[addr(1).to_string()]);
    assert_eq!(unmet(&mut node1, "*"), None);

    node1.service.expect(&[addr(2).to_string(), addr(3).to_string()]);
    let Some(told) = unmet(&mut node1, "*") else { panic!("it has met nobody") };
    assert!(!told.remembers);
    assert_eq!(told.seeds, [addr(2).to_string(), addr(3).to_string()]);
    // A name that is known means what it meant.
    assert_eq!(unmet(&mut node1, "a.npy"), None);
    let (kind, message) = node1.refusal(expand("b*"));
    assert_eq!(kind, TroubleKind::Incomplete);
    assert!(message.contains(&addr(2).to_string()), "{message}");
    match node1.answer(Question::Status) {
        Reply::Status(status) => assert!(status.problems[0].contains("has met no other node")),
        other => panic!("{other:?}"),
    }

    // One of them turns out to be itself by another address; the other comes.
    node1.service.handle_itself(addr(3));
    assert_eq!(unmet(&mut node1, "*").expect("it has met nobody").seeds, [addr(2).to_string()]);
    node1.connect(8, false);
    assert!(unmet(&mut node1, "*").is_some());
    node1.connect(2, true);
    assert_eq!(unmet(&mut node1, "*"), None);
    assert_eq!(node1.refusal(expand("b*")).0, TroubleKind::Question);
    // What was met stays known.
    node1.service.handle_lost(NOW, node(2));
    assert_eq!(unmet(&mut node1, "*"), None);
}

#[test]
fn a_node_that_comes_back_says_that_it_knows_what_was_before() {
    let memory = {
        let mut before = Node::new();
        before.connect(2, true);
        before.offer(2, vec![held("a.npy", 1)]);
        before.service.memory()
    };
    let config = membership::Config::default();
    let mut node1 = Node { service: Service::new(hello(1, true), config, &memory, 1) };
    node1.connect(9, false);
    let told = unmet(&mut node1, "*").expect("it has met nobody");
    assert!(told.remembers && told.to_string().contains("what there was before"), "{told}");
    node1.connect(3, true);
    assert_eq!(unmet(&mut node1, "*"), None);
}

#[test]
fn a_status_tells_how_fast_it_is_and_how_many_copies_there_are() {
    let mut node1 = Node::new();
    node1.connect(9, false);
    node1
        .service
        .set_held(vec![held("a.npy", 1), held("b.npy", 2)], Vec::new())
        .expect("few files");
    for number in [2, 3] {
        node1.connect(number, true);
    }
    node1.offer(2, vec![held("a.npy", 1), held("c.npy", 3)]);
    node1.offer(3, vec![held("a.npy", 1)]);
    node1.service.handle_lost(NOW, node(2));
    let usage = Usage { device: 0, tiles: 2, bytes: 100, busy_ns: 50 };
    node1.service.handle_usage(&usage);
    let Reply::Status(status) = node1.answer(Question::Status) else { panic!("no status") };
    assert_eq!(status.usage, [usage]);
    // c.npy on none, b.npy on one, a.npy on two.
    assert_eq!(status.replicas, [1, 1, 1]);
}
