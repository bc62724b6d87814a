use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use rand::RngExt;

use super::config::DOWN_KEPT;
use super::*;

mod net;
mod packets;

use net::Net;

fn id(index: usize) -> NodeId {
    NodeId([index as u8; 16])
}

fn index(node: NodeId) -> usize {
    usize::from(node.0[0])
}

fn member(index: usize) -> Member {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000 + index as u16));
    Member::new(id(index), format!("node-{index}"), vec![addr])
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn all_but(count: usize, gone: usize) -> Vec<usize> {
    (0..count).filter(|&node| node != gone).collect()
}

#[test]
fn all_learn_of_each_other_from_one_seed() {
    for count in [2, 3, 10, 40] {
        for loss in [0.0, 0.1] {
            let mut net = Net::new(count, 7);
            net.loss = loss;
            (1..count).for_each(|node| net.dial(node, 0));
            let all: Vec<usize> = (0..count).collect();
            net.run_until(ms(1_000), |net| net.all_see(&all));
            if loss == 0.0 {
                net.run(ms(20_000));
                assert_eq!(net.changes(), count * (count - 1), "nobody goes down");
            }
        }
    }
}

#[test]
fn a_node_that_dies_is_down_everywhere_within_the_bound() {
    for (count, runs, mean, bound) in [
        (2, 20, 2_000, 2_500),
        (3, 20, 2_500, 3_000),
        (10, 20, 2_500, 4_500),
        (40, 6, 3_500, 6_000),
    ] {
        let mut sum = Duration::ZERO;
        for seed in 0..runs {
            let mut net = Net::joined(count, u64::from(seed));
            // At different times within a period.
            net.run(ms(u64::from(seed) * 37));
            let since = net.now;
            net.kill(count - 1);
            net.run(ms(bound));
            let rest = all_but(count, count - 1);
            net.assert_all_see(&rest);
            sum += net.last_news(&rest, count - 1, since);
        }
        assert!(sum / runs < ms(mean), "{count} nodes: {:?} on average", sum / runs);
    }
}

#[test]
fn a_broken_link_to_a_dead_node_makes_the_verdict_quicker() {
    for (count, bound) in [(2, 1_010), (10, 1_010), (40, 1_610)] {
        let mut net = Net::joined(count, 3);
        net.kill(0);
        (1..count).for_each(|node| net.cut(node, 0));
        let rest = all_but(count, 0);
        net.run_until(ms(bound), |net| net.all_see(&rest));
        net.run(ms(10_000));
        net.assert_all_see(&rest);
    }
}

#[test]
fn a_broken_link_between_live_nodes_is_no_verdict() {
    for count in [3, 10, 40] {
        for seed in 0..10 {
            let mut net = Net::joined(count, seed);
            let changes = net.changes();
            net.cut(0, 1);
            net.run(ms(20_000));
            net.assert_all_see(&(0..count).collect::<Vec<_>>());
            assert_eq!(net.changes(), changes, "{count} nodes, seed {seed}");
        }
    }
}

#[test]
fn a_link_that_comes_back_ends_the_suspicion() {
    for seed in 0..10 {
        let mut net = Net::joined(2, seed);
        let changes = net.changes();
        for _ in 0..10 {
            net.cut(0, 1);
            net.run(ms(900));
            net.dial(0, 1);
            net.run(ms(2_000));
        }
        assert_eq!(net.changes(), changes);
        for node in &net.nodes {
            let mut states = node.membership.protocol.iter_membership_state();
            assert!(states.all(|known| known.state() == State::Alive));
        }
    }
}

#[test]
fn who_leaves_is_down_at_once_and_stays_so() {
    for count in [2, 10, 40] {
        let mut net = Net::joined(count, 11);
        let now = net.now;
        net.nodes[1].membership.leave(now);
        net.drain(1);
        net.run(ms(2));
        let rest = all_but(count, 1);
        net.assert_all_see(&rest);
        assert_eq!(net.nodes[1].membership.poll_timeout(), None);
        // It goes on to receive, which must not bring it back.
        net.nodes[1].membership.handle_connected(net.now, member(0));
        net.nodes[0].membership.handle_connected(net.now, member(1));
        net.drain(0);
        net.run(ms(20_000));
        net.assert_all_see(&rest);
    }
}

#[test]
fn a_paused_node_comes_back_by_itself() {
    for count in [2, 3, 10, 40] {
        for pause in [1_500, 5_000, 60_000] {
            let mut net = Net::joined(count, pause);
            let changes = net.changes();
            net.nodes[0].paused_until = net.now + ms(pause);
            net.run(ms(pause));
            if pause >= 5_000 {
                net.assert_all_see(&all_but(count, 0));
            }
            let all: Vec<usize> = (0..count).collect();
            net.run_until(ms(5_000), |net| net.all_see(&all));
            net.run(ms(20_000));
            net.assert_all_see(&all);
            // Others see one node go and come back, and nothing else happens.
            assert!(net.changes() - changes <= 2 * (count - 1), "{count} nodes, {pause} ms");
        }
    }
}

#[test]
fn a_node_that_was_paused_passes_no_verdict_before_it_listened() {
    for seed in 0..10 {
        let mut net = Net::joined(5, seed);
        let changes = net.nodes[0].changes;
        // It suspects node 1, and is not there when node 1 objects. When it
        // wakes, its timers come before its packets.
        net.cut(0, 1);
        net.nodes[0].paused_until = net.now + ms(5_000);
        net.run(ms(20_000));
        net.assert_all_see(&[0, 1, 2, 3, 4]);
        assert_eq!(net.nodes[0].changes, changes, "seed {seed}");
    }
}

#[test]
fn two_halves_find_together_again() {
    for count in [2, 10, 40] {
        for loss in [0.0, 0.1] {
            let mut net = Net::joined(count, 5);
            net.loss = loss;
            let half = count / 2;
            (half..count).for_each(|node| net.side[node] = 1);
            let between: Vec<(usize, usize)> =
                net.links.iter().copied().filter(|&(a, b)| a < half && b >= half).collect();
            // The links stay for a while, then break.
            net.run(ms(1_700));
            between.iter().for_each(|&(a, b)| net.cut(a, b));
            net.run(ms(10_000));
            if loss == 0.0 {
                net.assert_all_see(&(0..half).collect::<Vec<_>>());
                net.assert_all_see(&(half..count).collect::<Vec<_>>());
            }
            net.side.fill(0);
            net.dial(half - 1, half);
            let all: Vec<usize> = (0..count).collect();
            net.run_until(ms(3_000), |net| net.all_see(&all));
            if loss == 0.0 {
                let changes = net.changes();
                net.run(ms(20_000));
                assert_eq!(net.changes(), changes);
            }
        }
    }
}

#[test]
fn ten_minutes_leave_nothing_behind() {
    let count = 10;
    let mut net = Net::joined(count, 1);
    net.loss = 0.02;
    let packets = net.packets;
    for minute in 0..10 {
        let victim = 1 + minute % (count - 1);
        net.nodes[victim].paused_until = net.now + ms(10_000);
        net.run(ms(60_000));
        for node in &net.nodes {
            assert!(node.membership.effects.timers.len() <= 6 + 3 * count);
            assert!(node.membership.protocol.iter_membership_state().len() <= count);
            assert!(node.membership.protocol.updates_backlog() <= count);
        }
        assert!(net.queue.len() < 100);
    }
    net.loss = 0.0;
    net.run(ms(10_000));
    net.assert_all_see(&(0..count).collect::<Vec<_>>());
    let rate = (net.packets - packets) as f64 / 610.0 / count as f64;
    assert!(rate < 20.0, "{rate} packets per node and second");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let mut net = Net::joined(10, 99);
        net.loss = 0.2;
        net.kill(3);
        net.run(ms(20_000));
        (net.packets, net.changes(), net.sequence)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_node_started_again_under_its_name_outdoes_its_past() {
    let mut net = Net::joined(3, 8);
    // Node 2 goes and comes back twice, so its generation is remembered.
    for _ in 0..2 {
        net.nodes[2].paused_until = net.now + ms(5_000);
        net.run(ms(12_000));
    }
    net.kill(2);
    (0..2).for_each(|node| net.cut(node, 2));
    net.run(ms(5_000));
    net.nodes[2].membership = Membership::new(member(2), Config::default(), 1);
    net.nodes[2].running = true;
    net.nodes[2].up.clear();
    net.dial(2, 0);
    net.run(ms(5_000));
    net.assert_all_see(&[0, 1, 2]);
}
