//! Agreements on who goes on, over a network of chance: calls of unlike deadlines that
//! are made again, two calls at once, ranks that give the communicator back, deaths.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use adsum::DType;
use adsum::collective::Kind;
use adsum::fold::Operator;
use adsum::group::{
    Call, Config, Counts, Fold, Group, GroupError, Made, OpId, Outcome, Output, Purpose, WORLD,
};
use bytes::Bytes;

use crate::chance::Chance;

/// The ends of calls of a few machines, and the wires between them.
struct Net {
    groups: Vec<Group>,
    now: Duration,
    wires: BTreeMap<(usize, usize), VecDeque<Bytes>>,
    ended: Vec<BTreeMap<OpId, Result<Outcome, GroupError>>>,
    dead: BTreeSet<usize>,
}

impl Net {
    fn new(size: usize) -> Net {
        let config = Config { timeout: None, ..Config::default() };
        Net {
            groups: (0..size).map(|rank| Group::new(rank, size, config.clone())).collect(),
            now: Duration::ZERO,
            wires: BTreeMap::new(),
            ended: (0..size).map(|_| BTreeMap::new()).collect(),
            dead: BTreeSet::new(),
        }
    }

    fn with<T>(&mut self, rank: usize, f: impl FnOnce(&mut Group, Duration) -> T) -> T {
        let value = f(&mut self.groups[rank], self.now);
        while let Some(output) = self.groups[rank].poll_output() {
            match output {
                Output::Send { to, frame } => {
                    let bytes = [&frame.head[..], &frame.body[..]].concat();
                    self.wires.entry((rank, to)).or_default().push_back(bytes.into());
                }
                Output::Finished { id, result } => {
                    assert!(self.ended[rank].insert(id, result).is_none(), "two ends of a call");
                }
                Output::Abandon { .. } => {}
                Output::Fold(_) => unreachable!("no call has a function"),
            }
        }
        value
    }

    fn shrink(&mut self, rank: usize, context: u64, after: Option<u64>) -> OpId {
        self.with(rank, |group, now| group.shrink(now, context, after.map(Duration::from_millis)))
    }

    fn sum(&mut self, rank: usize, context: u64) -> OpId {
        let call = Call {
            kind: Kind::AllReduce,
            purpose: Purpose::Plain,
            root: 0,
            dtype: DType::I32,
            counts: Counts::Whole(1),
            fold: Fold::By(Operator::Sum),
            commutative: false,
            algorithm: None,
            array: Box::new(vec![1_i32]),
            timeout: None,
        };
        self.with(rank, |group, now| group.start(now, context, call))
    }

    /// Delivers one frame, chosen among wires. False if there is none.
    fn deliver(&mut self, choose: impl FnOnce(usize) -> usize) -> bool {
        let full = |(&(from, to), frames): (&(usize, usize), &VecDeque<Bytes>)| {
            (!frames.is_empty() && !self.dead.contains(&to)).then_some((from, to))
        };
        let full: Vec<(usize, usize)> = self.wires.iter().filter_map(full).collect();
        if full.is_empty() {
            return false;
        }
        let (from, to) = full[choose(full.len())];
        let frame = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front).expect("full");
        self.with(to, |group, now| group.handle_frame(now, from, frame));
        true
    }

    fn deliver_all(&mut self) {
        while self.deliver(|_| 0) {}
    }

    /// Lets the time of the next thing come that waits for it.
    fn pass(&mut self) {
        let living = (0..self.groups.len()).filter(|rank| !self.dead.contains(rank));
        let living: Vec<usize> = living.collect();
        let next = living.iter().filter_map(|&rank| self.groups[rank].poll_timeout()).min();
        self.now = self.now.max(next.expect("something waits for time"));
        for rank in living {
            self.with(rank, |group, now| group.handle_timeout(now));
        }
    }

    fn made(&mut self, rank: usize, id: OpId) -> Made {
        match self.ended[rank].remove(&id).expect("a call that has ended") {
            Ok(Outcome::Made(Some(made))) => made,
            Ok(_) => panic!("another outcome"),
            Err(error) => panic!("rank {rank}: {error}"),
        }
    }

    fn timed_out(&mut self, rank: usize, id: OpId) -> Vec<u32> {
        match self.ended[rank].remove(&id).expect("a call that has ended") {
            Err(GroupError::Timeout { waiting_for, .. }) => waiting_for,
            Err(error) => panic!("rank {rank}: {error}"),
            Ok(_) => panic!("rank {rank} did not wait"),
        }
    }
}

#[test]
fn a_call_that_gave_up_takes_what_the_others_agreed_on() {
    // Each rank is the late one once; rank 0 collects.
    for late in 0..3 {
        let mut net = Net::new(3);
        let first = net.shrink(late, WORLD, Some(50));
        net.deliver_all();
        net.pass();
        let waiting_for = net.timed_out(late, first);
        assert_eq!(waiting_for, if late == 0 { vec![1, 2] } else { vec![0] });
        let others: Vec<usize> = (0..3).filter(|&rank| rank != late).collect();
        let calls: Vec<OpId> = others.iter().map(|&rank| net.shrink(rank, WORLD, None)).collect();
        net.deliver_all();
        let theirs: Vec<Made> =
            others.iter().zip(calls).map(|(&rank, id)| net.made(rank, id)).collect();
        // They may begin before it has come.
        let sums: Vec<OpId> = others.iter().map(|&rank| net.sum(rank, theirs[0].context)).collect();
        net.deliver_all();
        let again = net.shrink(late, WORLD, Some(50));
        let own = net.made(late, again);
        assert!(theirs.iter().all(|made| *made == own && made.members == [0, 1, 2]));
        let sum = net.sum(late, own.context);
        net.deliver_all();
        for (rank, id) in others.into_iter().zip(sums).chain([(late, sum)]) {
            let Ok(Outcome::Answer(answer)) = net.ended[rank].remove(&id).expect("an end") else {
                panic!("rank {rank} has no sum")
            };
            assert_eq!(answer.output.bytes(), 3_i32.to_le_bytes());
        }
    }
}

#[test]
fn who_gave_up_and_leaves_is_not_waited_for() {
    let mut net = Net::new(3);
    let first = net.shrink(2, WORLD, Some(50));
    net.deliver_all();
    net.pass();
    net.timed_out(2, first);
    let calls = [net.shrink(0, WORLD, None), net.shrink(1, WORLD, None)];
    net.deliver_all();
    let made = net.made(0, calls[0]);
    assert_eq!(net.made(1, calls[1]), made);
    let sums = [net.sum(0, made.context), net.sum(1, made.context)];
    // It gives up for good: the new communicator goes with the old one.
    net.with(2, |group, _| group.close(WORLD));
    net.deliver_all();
    for (rank, id) in [0, 1].into_iter().zip(sums) {
        let ended = net.ended[rank].remove(&id).expect("an end").err();
        assert!(matches!(ended, Some(GroupError::PeerLost { rank: 2, .. })), "{ended:?}");
    }
    let calls = [net.shrink(0, made.context, None), net.shrink(1, made.context, None)];
    net.deliver_all();
    assert_eq!(net.made(0, calls[0]).members, [0, 1]);
    assert_eq!(net.made(1, calls[1]).members, [0, 1]);
}

#[test]
fn two_calls_at_once_are_two_agreements() {
    let mut net = Net::new(2);
    let first = [net.shrink(0, WORLD, None), net.shrink(0, WORLD, None)];
    let second = net.shrink(1, WORLD, None);
    net.deliver_all();
    assert_eq!(net.made(0, first[0]), net.made(1, second));
    assert!(net.ended[0].is_empty(), "the other one waits");
    let second = net.shrink(1, WORLD, None);
    net.deliver_all();
    assert_eq!(net.made(0, first[1]), net.made(1, second));
}

#[test]
fn who_has_gone_on_tells_what_was_agreed_before_it_is_gone() {
    // Rank 0 commits, rank 1 hears of it and gives the old communicator back, rank 0 dies
    // before ranks 2, 3 and 4 have heard.
    let mut net = Net::new(5);
    let calls: Vec<OpId> = (0..5).map(|rank| net.shrink(rank, WORLD, None)).collect();
    while net.ended[0].is_empty() {
        assert!(net.deliver(|_| 0));
    }
    while net.ended[1].is_empty() {
        let frame = net.wires.get_mut(&(0, 1)).and_then(VecDeque::pop_front).expect("a commit");
        net.with(1, |group, now| group.handle_frame(now, 0, frame));
    }
    net.dead.insert(0);
    (1..5).for_each(|to| net.wires.entry((0, to)).or_default().clear());
    net.with(1, |group, _| group.close(WORLD));
    for rank in 2..5 {
        net.with(rank, |group, now| group.handle_lost(now, 0, "killed".to_owned()));
    }
    net.deliver_all();
    let made = net.made(1, calls[1]);
    for (rank, id) in calls.into_iter().enumerate().skip(2) {
        assert_eq!(net.made(rank, id), made, "rank {rank}");
    }
}

/// A rank of the random test: what it waits for, and how it ended.
#[derive(Debug, Default)]
struct Rank {
    call: Option<OpId>,
    tries: usize,
    sum: Option<OpId>,
    made: Option<Made>,
    end: Option<Result<i32, GroupError>>,
}

fn run(seed: u64) {
    let mut chance = Chance::new(seed);
    let size = chance.number(2..=5) as usize;
    let mut net = Net::new(size);
    let mut ranks: Vec<Rank> = (0..size).map(|_| Rank::default()).collect();
    let victim = (chance.index(3) == 0).then(|| chance.index(size));
    let closer = (chance.index(3) == 0).then(|| chance.index(size));
    let (dies_at, closes_at) = (chance.number(0..=60), chance.number(0..=60));
    for step in 0.. {
        assert!(step < 100_000, "seed {seed}: no end");
        if step == dies_at
            && let Some(victim) = victim
        {
            net.dead.insert(victim);
            for rank in (0..size).filter(|&rank| rank != victim) {
                net.wires.entry((victim, rank)).or_default().clear();
                net.with(rank, |group, now| group.handle_lost(now, victim, "killed".to_owned()));
            }
        }
        let alive = |net: &Net, rank: usize| !net.dead.contains(&rank);
        if step == closes_at
            && let Some(rank) = closer.filter(|&rank| alive(&net, rank))
        {
            net.with(rank, |group, _| group.leave());
            ranks[rank].end = Some(Err(GroupError::Closed));
        }
        let open: Vec<usize> =
            (0..size).filter(|&rank| alive(&net, rank) && ranks[rank].end.is_none()).collect();
        if open.is_empty() {
            break;
        }
        let idle: Vec<usize> = open
            .iter()
            .copied()
            .filter(|&rank| ranks[rank].call.is_none() && ranks[rank].sum.is_none())
            .collect();
        let what = chance.index(10);
        if step == dies_at || step == closes_at {
            // What came of it is looked at first.
        } else if what < 3 && !idle.is_empty() {
            let rank = idle[chance.index(idle.len())];
            // The last try has no deadline.
            let after = (ranks[rank].tries < 3).then(|| chance.number(1..=40));
            ranks[rank].tries += 1;
            ranks[rank].call = Some(net.shrink(rank, WORLD, after));
        } else {
            let timed = open.iter().any(|&rank| net.groups[rank].poll_timeout().is_some());
            let early = what == 9 && timed;
            if early || (!net.deliver(|wires| chance.index(wires)) && idle.is_empty()) {
                assert!(timed, "seed {seed} hangs: {ranks:?}");
                net.pass();
            }
        }
        for rank in open {
            let state = &mut ranks[rank];
            if let Some(ended) = state.call.and_then(|id| net.ended[rank].remove(&id)) {
                state.call = None;
                match ended {
                    Ok(Outcome::Made(Some(made))) => {
                        state.sum = Some(net.sum(rank, made.context));
                        state.made = Some(made);
                    }
                    Ok(_) => panic!("seed {seed}: another outcome"),
                    Err(GroupError::Timeout { .. }) => {}
                    Err(error) => state.end = Some(Err(error)),
                }
            }
            if let Some(ended) = state.sum.and_then(|id| net.ended[rank].remove(&id)) {
                state.end = Some(ended.map(|outcome| {
                    let Outcome::Answer(answer) = outcome else { panic!("an array was wanted") };
                    i32::from_le_bytes(answer.output.bytes().try_into().expect("one element"))
                }));
            }
        }
    }
    let mut agreed = BTreeSet::new();
    for (rank, state) in ranks.iter().enumerate().filter(|(rank, _)| !net.dead.contains(rank)) {
        match state.end.as_ref().expect("it has ended") {
            Ok(sum) => {
                let made = state.made.clone().expect("it went on");
                assert_eq!(*sum as usize, made.members.len(), "seed {seed}: {rank}");
                agreed.insert(made.members);
            }
            Err(GroupError::Closed) => assert_eq!(closer, Some(rank), "seed {seed}"),
            Err(GroupError::PeerLost { .. } | GroupError::Minority { .. }) => {
                assert!(victim.is_some() || closer.is_some(), "seed {seed}: {rank} failed");
            }
            Err(error) => panic!("seed {seed}: {rank}: {error}"),
        }
    }
    assert!(agreed.len() <= 1, "seed {seed}: {agreed:?}");
}

#[test]
fn ranks_that_give_up_and_call_again_agree() {
    for seed in 0..3000 {
        run(seed);
    }
}
