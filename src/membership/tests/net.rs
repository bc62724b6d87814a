//! Memberships in virtual time, over links that lose packets and break.

use super::*;

#[derive(Debug)]
pub enum Delivery {
    Packet { from: usize, to: usize, bytes: Vec<u8> },
    Link { node: usize, peer: usize },
}

pub struct Node {
    pub membership: Membership,
    pub running: bool,
    pub paused_until: Now,
    pub up: BTreeSet<usize>,
    /// When each peer last went up or down.
    pub news: BTreeMap<usize, Now>,
    pub changes: usize,
}

/// Nodes in virtual time. Each dials whom it sees come up.
pub struct Net {
    pub now: Now,
    pub nodes: Vec<Node>,
    pub links: BTreeSet<(usize, usize)>,
    pub queue: BTreeMap<(Now, u64), Delivery>,
    pub sequence: u64,
    pub rng: StdRng,
    /// The part of packets that are lost.
    pub loss: f64,
    /// Between nodes of different sides nothing passes.
    pub side: Vec<u8>,
    pub packets: u64,
}

impl Net {
    pub fn new(count: usize, seed: u64) -> Net {
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
    pub fn joined(count: usize, seed: u64) -> Net {
        let mut net = Net::new(count, seed);
        (1..count).for_each(|node| net.dial(node, 0));
        net.run(ms(10_000));
        net.assert_all_see(&(0..count).collect::<Vec<_>>());
        net
    }

    pub fn later(&mut self, delivery: Delivery) {
        let at = self.now + Duration::from_micros(self.rng.random_range(100..1000));
        self.queue.insert((at, self.sequence), delivery);
        self.sequence += 1;
    }

    pub fn dial(&mut self, a: usize, b: usize) {
        let up = self.nodes[a].running && self.nodes[b].running && self.side[a] == self.side[b];
        if up && self.links.insert((a.min(b), a.max(b))) {
            self.later(Delivery::Link { node: a, peer: b });
            self.later(Delivery::Link { node: b, peer: a });
        }
    }

    /// Breaks a link, which both ends see if they run.
    pub fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))) {
            for (node, peer) in [(a, b), (b, a)] {
                if self.nodes[node].running {
                    self.nodes[node].membership.handle_lost(self.now, id(peer));
                    self.drain(node);
                }
            }
        }
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node].running = false;
    }

    pub fn drain(&mut self, node: usize) {
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
    pub fn run(&mut self, time: Duration) {
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

    pub fn deliver(&mut self, delivery: Delivery) {
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
    pub fn run_until(&mut self, most: Duration, done: impl Fn(&Net) -> bool) {
        let start = self.now;
        while !done(self) {
            assert!(self.now - start < most, "not within {most:?}");
            self.run(ms(10));
        }
    }

    pub fn all_see(&self, nodes: &[usize]) -> bool {
        nodes.iter().all(|&node| {
            let others = nodes.iter().copied().filter(|&other| other != node);
            self.nodes[node].up == others.collect()
        })
    }

    pub fn assert_all_see(&self, nodes: &[usize]) {
        for &node in nodes {
            let others: BTreeSet<usize> =
                nodes.iter().copied().filter(|&other| other != node).collect();
            assert_eq!(self.nodes[node].up, others, "what node {node} sees");
        }
    }

    pub fn changes(&self) -> usize {
        self.nodes.iter().map(|node| node.changes).sum()
    }

    /// How long after `since` all of `nodes` saw the last change of `peer`.
    pub fn last_news(&self, nodes: &[usize], peer: usize, since: Now) -> Duration {
        let last = nodes.iter().map(|&node| self.nodes[node].news[&peer]).max();
        last.expect("some nodes") - since
    }
}
