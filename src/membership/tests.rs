use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BufMut;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::RngExt;

use super::config::DOWN_KEPT;
use super::*;

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

#[derive(Debug)]
enum Delivery {
    Packet { from: usize, to: usize, bytes: Vec<u8> },
    Link { node: usize, peer: usize },
}

struct Node {
    membership: Membership,
    running: bool,
    paused_until: Now,
    up: BTreeSet<usize>,
    /// When each peer last went up or down.
    news: BTreeMap<usize, Now>,
    changes: usize,
}

/// Nodes in virtual time. Each dials whom it sees come up.
struct Net {
    now: Now,
    nodes: Vec<Node>,
    links: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Now, u64), Delivery>,
    sequence: u64,
    rng: StdRng,
    /// The part of packets that are lost.
    loss: f64,
    /// Between nodes of different sides nothing passes.
    side: Vec<u8>,
    packets: u64,
}

impl Net {
    fn new(count: usize, seed: u64) -> Net {
        let node = |index| Node {
            membership: Membership::new(member(index), Config::default(), seed << 8 | index as u64),
            running: true,
            paused_until: Duration::ZERO,
            up: BTreeSet::new(),
            news: BTreeMap::new(),
            changes: 0,
        };
        Net {
            now: ms(1),
            nodes: (0..count).map(node).collect(),
            links: BTreeSet::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            rng: StdRng::seed_from_u64(seed),
            loss: 0.0,
            side: vec![0; count],
            packets: 0,
        }
    }

    /// A cluster in which each node dialled the first.
    fn joined(count: usize, seed: u64) -> Net {
        let mut net = Net::new(count, seed);
        (1..count).for_each(|node| net.dial(node, 0));
        net.run(ms(10_000));
        net.assert_all_see(&(0..count).collect::<Vec<_>>());
        net
    }

    fn later(&mut self, delivery: Delivery) {
        let at = self.now + Duration::from_micros(self.rng.random_range(100..1000));
        self.queue.insert((at, self.sequence), delivery);
        self.sequence += 1;
    }

    fn dial(&mut self, a: usize, b: usize) {
        let up = self.nodes[a].running && self.nodes[b].running && self.side[a] == self.side[b];
        if up && self.links.insert((a.min(b), a.max(b))) {
            self.later(Delivery::Link { node: a, peer: b });
            self.later(Delivery::Link { node: b, peer: a });
        }
    }

    /// Breaks a link, which both ends see if they run.
    fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))) {
            for (node, peer) in [(a, b), (b, a)] {
                if self.nodes[node].running {
                    self.nodes[node].membership.handle_lost(self.now, id(peer));
                    self.drain(node);
                }
            }
        }
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].running = false;
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].membership.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    assert!(bytes.len() <= PACKET_BYTES_MAX);
                    assert_ne!(index(to), node, "a packet to itself");
                    self.packets += 1;
                    let to = index(to);
                    let linked = self.links.contains(&(node.min(to), node.max(to)));
                    if linked && self.rng.random::<f64>() >= self.loss {
                        self.later(Delivery::Packet { from: node, to, bytes });
                    }
                }
                Output::Up(peer) => {
                    let peer_index = index(peer.node);
                    assert_ne!(peer_index, node, "a node sees itself come up");
                    assert_eq!(peer.addrs, member(peer_index).addrs);
                    assert_eq!(peer.name, member(peer_index).name);
                    let now = self.now;
                    let own = &mut self.nodes[node];
                    assert!(own.up.insert(peer_index), "{peer:?} is up twice");
                    own.news.insert(peer_index, now);
                    own.changes += 1;
                    self.dial(node, peer_index);
                }
                Output::Down(peer) => {
                    let own = &mut self.nodes[node];
                    assert!(own.up.remove(&index(peer.node)), "{peer:?} is down twice");
                    own.news.insert(index(peer.node), self.now);
                    own.changes += 1;
                }
            }
        }
        let own = &self.nodes[node];
        let members: Vec<usize> =
            own.membership.members().iter().map(|peer| index(peer.node)).collect();
        assert_eq!(members, own.up.iter().copied().collect::<Vec<_>>());
    }

    /// Lets `time` pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let delivery = self.queue.first_key_value().map(|(&(at, _), _)| at);
            let timer = (0..self.nodes.len())
                .filter(|&node| self.nodes[node].running)
                .filter_map(|node| {
                    let own = &self.nodes[node];
                    let at = own.membership.poll_timeout()?;
                    Some((at.max(own.paused_until), node))
                })
                .min();
            let next = delivery.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|&at| at <= end) else { break };
            self.now = self.now.max(next);
            match timer {
                Some((at, node)) if delivery.is_none_or(|first| at <= first) => {
                    self.nodes[node].membership.handle_timeout(self.now);
                    self.drain(node);
                }
                _ => {
                    let (_, delivery) = self.queue.pop_first().expect("it was there");
                    self.deliver(delivery);
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, delivery: Delivery) {
        let (Delivery::Packet { to: node, .. } | Delivery::Link { node, .. }) = delivery;
        let until = self.nodes[node].paused_until;
        if !self.nodes[node].running {
            return;
        }
        if until > self.now {
            self.queue.insert((until, self.sequence), delivery);
            self.sequence += 1;
            return;
        }
        let own = &mut self.nodes[node].membership;
        match delivery {
            Delivery::Packet { from, to, bytes } => {
                if self.side[from] != self.side[to] {
                    return;
                }
                own.handle_message(self.now, id(from), &bytes).expect("a packet of a node");
            }
            Delivery::Link { peer, .. } => own.handle_connected(self.now, member(peer)),
        }
        self.drain(node);
    }

    /// Runs until `done`.
    fn run_until(&mut self, most: Duration, done: impl Fn(&Net) -> bool) {
        let start = self.now;
        while !done(self) {
            assert!(self.now - start < most, "not within {most:?}");
            self.run(ms(10));
        }
    }

    fn all_see(&self, nodes: &[usize]) -> bool {
        nodes.iter().all(|&node| {
            let others = nodes.iter().copied().filter(|&other| other != node);
            self.nodes[node].up == others.collect()
        })
    }

    fn assert_all_see(&self, nodes: &[usize]) {
        for &node in nodes {
            let others: BTreeSet<usize> =
                nodes.iter().copied().filter(|&other| other != node).collect();
            assert_eq!(self.nodes[node].up, others, "what node {node} sees");
        }
    }

    fn changes(&self) -> usize {
        self.nodes.iter().map(|node| node.changes).sum()
    }

    /// How long after `since` all of `nodes` saw the last change of `peer`.
    fn last_news(&self, nodes: &[usize], peer: usize, since: Now) -> Duration {
        let last = nodes.iter().map(|&node| self.nodes[node].news[&peer]).max();
        last.expect("some nodes") - since
    }
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

/// What `from` sends to greet `to`, as the first packet of a conversation.
fn first_packet(from: usize, to: usize) -> Vec<u8> {
    let mut membership = Membership::new(member(from), Config::default(), 1);
    membership.handle_connected(ms(1), member(to));
    std::iter::from_fn(|| membership.poll_output())
        .find_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes),
            _ => None,
        })
        .expect("a greeting")
}

/// A packet of node 1 to node 0 with members numbered in 32 bits.
fn gossip(nodes: std::ops::Range<u32>, state: u8) -> Vec<u8> {
    let mut bytes = peer_bytes(id(1), b"one", &[]);
    bytes.put_u16(0);
    bytes.put_slice(&id(0).0);
    bytes.put_u32(0);
    bytes.put_u8(8);
    bytes.put_u16(nodes.len() as u16);
    for node in nodes {
        bytes.extend(peer_bytes(numbered(node), b"x", &[]));
        bytes.put_u16(0);
        bytes.put_u8(state);
    }
    bytes
}

fn numbered(number: u32) -> NodeId {
    let mut id = [0xee; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

fn peer_bytes(node: NodeId, name: &[u8], addrs: &[u8]) -> Vec<u8> {
    let mut bytes = node.0.to_vec();
    bytes.put_u32(0);
    bytes.put_u8(name.len() as u8);
    bytes.put_slice(name);
    bytes.put_u8(addrs.len() as u8);
    for family in addrs {
        bytes.put_u8(*family);
        bytes.put_slice(&[1; 4]);
        bytes.put_u16(1);
    }
    bytes
}

#[test]
fn more_members_than_the_limit_are_left_out() {
    let config = Config { members_max: 50, ..Config::default() };
    for state in 0..3 {
        let mut membership = Membership::new(member(0), config, 1);
        let over = Err(MembershipError::Members { max: 50 });
        membership.handle_message(ms(1), id(1), &gossip(0..30, state)).expect("room for all");
        assert_eq!(membership.handle_message(ms(2), id(1), &gossip(20..60, state)), over);
        assert_eq!(membership.known_count(), 50);
        // Known ones are still heard, new ones from outside are not.
        membership.handle_message(ms(3), id(1), &gossip(0..30, state)).expect("all are known");
        assert_eq!(membership.handle_message(ms(4), id(2), &first_packet(2, 0)), over);
        membership.handle_connected(ms(5), member(3));
        assert_eq!(membership.known_count(), 50);
        for number in 0..2000_u32 {
            let packet = gossip(number * 20..number * 20 + 20, state);
            let _ = membership.handle_message(ms(6 + u64::from(number)), id(1), &packet);
            while membership.poll_output().is_some() {}
            assert!(membership.known_count() <= 50);
            assert!(membership.effects.timers.len() <= 6 + 3 * 50);
            assert!(membership.protocol.updates_backlog() <= 51);
        }
        // What is down is forgotten, which makes room.
        membership.handle_timeout(DOWN_KEPT + ms(10_000));
        let now = DOWN_KEPT + ms(10_001);
        let result = membership.handle_message(now, id(1), &gossip(900..910, 0));
        assert_eq!(result.is_ok(), state == 2, "{result:?}");
    }
}

#[test]
fn lies_about_this_node_are_survived() {
    let mut membership = Membership::new(member(0), Config::default(), 1);
    let mut own = |state: u8, generation: u32, incarnation: u16, at: u64| {
        let mut bytes = gossip(0..0, 0);
        let count = bytes.len() - 2;
        bytes[count..].copy_from_slice(&1_u16.to_be_bytes());
        bytes.put_slice(&id(0).0);
        bytes.put_u32(generation);
        bytes.put_slice(&[0, 0]);
        bytes.put_u16(incarnation);
        bytes.put_u8(state);
        let now = membership.protocol.identity().generation();
        let dst = bytes.windows(16).position(|window| window == id(0).0).expect("its key") + 16;
        bytes[dst..dst + 4].copy_from_slice(&now.to_be_bytes());
        let _ = membership.handle_message(ms(at), id(1), &bytes);
        while let Some(output) = membership.poll_output() {
            match output {
                Output::Send { to, .. } => assert_ne!(to, id(0)),
                Output::Up(member) | Output::Down(member) => assert_ne!(member.node, id(0)),
            }
        }
        assert!(membership.effects.timers.len() <= 10);
        assert_eq!(membership.members().len(), 1);
    };
    let mut at = 1;
    for generation in [0, 1, 5, u32::MAX] {
        for incarnation in [0, 1, u16::MAX] {
            for state in 0..3 {
                own(state, generation, incarnation, at);
                at += 1;
            }
        }
    }
}

#[test]
fn broken_packets_are_errors() {
    let take = |bytes: &[u8], from| {
        let mut membership = Membership::new(member(0), Config::default(), 1);
        let result = membership.handle_message(ms(1), from, bytes);
        if result.is_err() {
            assert_eq!((membership.poll_output(), membership.known_count()), (None, 0));
        }
        result
    };
    let valid = gossip(0..20, 0);
    assert_eq!(take(&valid, id(1)), Ok(()));
    for end in 0..valid.len() {
        let result = take(&valid[..end], id(1));
        // A packet may end after its header.
        let header = end == 25 + 2 + 20 + 1;
        assert_eq!(result.is_ok(), header, "{end}: {result:?}");
    }
    let mut longer = valid.clone();
    longer.push(0);
    assert_eq!(take(&longer, id(1)), Err(MembershipError::Trailing { bytes: 1 }));
    let sender = MembershipError::Sender { from: id(2), got: id(1) };
    assert_eq!(take(&valid, id(2)), Err(sender));
    assert!(matches!(take(&first_packet(0, 1), id(0)), Err(MembershipError::Sender { .. })));
    let large = vec![0; PACKET_BYTES_MAX + 1];
    assert!(matches!(take(&large, id(1)), Err(MembershipError::PacketBytes { .. })));
    let addresses = peer_bytes(id(1), b"", &[4; 9]);
    let error = MembershipError::Addresses { max: ADDRS_MAX, got: 9 };
    assert_eq!(take(&addresses, id(1)), Err(error));
    let family = peer_bytes(id(1), b"", &[5]);
    assert!(matches!(take(&family, id(1)), Err(MembershipError::Malformed { .. })));
    assert_eq!(take(&peer_bytes(id(1), &[0xff], &[]), id(1)), Err(MembershipError::Text));
    // A name that says it is longer than the packet.
    let mut name = peer_bytes(id(1), b"", &[]);
    name[20] = 255;
    assert_eq!(take(&name, id(1)), Err(MembershipError::Malformed { what: "name" }));
    for (tag, what) in [(10, "message"), (255, "message")] {
        let mut unknown = valid.clone();
        unknown[25 + 2 + 20] = tag;
        assert_eq!(take(&unknown, id(1)), Err(MembershipError::Malformed { what }));
    }
    assert!(matches!(
        take(&gossip(0..1, 3), id(1)),
        Err(MembershipError::Malformed { what: "state" })
    ));
}

#[test]
fn names_and_addresses_are_clipped_to_what_travels() {
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
    let long = Member::new(id(1), "ä".repeat(200), vec![v6; 20]);
    assert_eq!((long.name.len(), long.addrs.len()), (254, ADDRS_MAX));
    let mut changed = long.clone();
    changed.name.push_str("more than fits");
    changed.addrs.push(v6);

    let mut sender = Membership::new(changed, Config::default(), 1);
    sender.handle_connected(ms(1), member(0));
    let mut receiver = Membership::new(member(0), Config::default(), 2);
    while let Some(output) = sender.poll_output() {
        if let Output::Send { bytes, .. } = output {
            receiver.handle_message(ms(2), id(1), &bytes).expect("a packet of a node");
        }
    }
    let heard = receiver.members();
    assert_eq!(heard[0].addrs, long.addrs);
    assert!(heard[0].name.starts_with(&long.name) && heard[0].name.len() <= NAME_BYTES_MAX);
}

#[test]
fn times_that_make_no_sense_are_mended() {
    for (period, timeout, suspect) in [(0, 0, 0), (100, 100, 0), (10, 5_000, 1), (1, 1, 1)] {
        let config = Config {
            probe_period: ms(period),
            probe_timeout: ms(timeout),
            suspect: ms(suspect),
            members_max: 0,
        };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        membership.handle_timeout(ms(60_000));
        assert_eq!(membership.members(), []);
        let config = Config { members_max: 1, ..config };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        assert_eq!(membership.members(), [member(1)]);
        for now in 2..2_000 {
            membership.handle_timeout(ms(now));
            assert!(membership.poll_timeout().is_none_or(|at| at > ms(now)));
        }
    }
}

/// Bytes that may get far: valid packets with some bytes changed, cut or added.
fn almost_valid() -> impl Strategy<Value = Vec<u8>> {
    let flips = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let base = (0..21_u32, 0..3_u8, 0..10_u8);
    (base, flips, any::<prop::sample::Index>(), vec(any::<u8>(), 0..4), any::<bool>()).prop_map(
        |((count, state, tag), flips, cut, tail, whole)| {
            let mut bytes = gossip(0..count, state);
            bytes[25 + 2 + 20] = tag;
            if (2..=5).contains(&tag) {
                bytes.splice(48..48, [7; 21]);
            } else if tag < 2 {
                bytes.insert(48, 7);
            }
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
                bytes.extend(tail);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_of_a_peer_do_harm(
        packets in vec(prop_oneof![almost_valid(), vec(any::<u8>(), 0..200)], 1..20),
    ) {
        let config = Config { members_max: 30, ..Config::default() };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        let mut up = BTreeSet::new();
        for (step, bytes) in packets.iter().enumerate() {
            let now = ms(100 * step as u64 + 2);
            let _ = membership.handle_message(now, id(1), bytes);
            membership.handle_timeout(now);
            while let Some(output) = membership.poll_output() {
                match output {
                    Output::Send { to, bytes } => {
                        prop_assert_ne!(to, id(0));
                        prop_assert!(bytes.len() <= PACKET_BYTES_MAX);
                    }
                    Output::Up(member) => prop_assert!(up.insert(member.node)),
                    Output::Down(member) => prop_assert!(up.remove(&member.node)),
                }
            }
            prop_assert!(!up.contains(&id(0)));
            prop_assert!(membership.known_count() <= 31);
            prop_assert!(membership.effects.timers.len() <= 6 + 3 * 31);
        }
    }
}
