//! Which members are dialled.

use super::*;

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
