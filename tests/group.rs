//! The state machines of a group over a network of chance: which frame arrives next,
//! who calls when, and who dies, come from a seed. Time goes on only when nothing else
//! can happen, so a group that hangs is found at once.

#[path = "group/agreement.rs"]
mod agreement;
#[expect(dead_code, reason = "worlds of nodes need more of it")]
#[path = "simulation/chance.rs"]
mod chance;
#[path = "group/counts.rs"]
mod counts;
#[path = "group/marks.rs"]
mod marks;
#[path = "group/merging.rs"]
mod merging;
#[path = "group/points.rs"]
mod points;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use adsum::DType;
use adsum::collective::{Algorithm, Kind};
use adsum::fold::Operator;
use adsum::group::{
    Call, Config, Counts, Fold, Group, GroupError, Made, OpId, Outcome, Output, Purpose, WORLD,
};
use bytes::Bytes;

use chance::Chance;

const CALLS: usize = 12;
const ELEMENTS: usize = 50;

/// What a rank of the test is about.
#[derive(Debug)]
enum Mode {
    /// So many of its calls are begun.
    Calling(usize),
    Shrinking,
    Last,
    Ended(Result<Vec<i32>, GroupError>),
}

struct Rank {
    group: Group,
    context: u64,
    /// Ranks of the group that the communicator has.
    members: Vec<usize>,
    mode: Mode,
    waits: BTreeMap<OpId, Option<usize>>,
    failed: bool,
}

struct World {
    seed: u64,
    chance: Chance,
    now: Duration,
    ranks: Vec<Rank>,
    wires: BTreeMap<(usize, usize), VecDeque<Bytes>>,
    dead: BTreeSet<usize>,
    /// Who is to hear of whose death, after all that it sent.
    news: BTreeSet<(usize, usize)>,
}

fn own(call: usize, member: usize) -> Vec<i32> {
    (0..ELEMENTS).map(|n| (n * 7 + call * 100 + member * 1000) as i32).collect()
}

fn total(call: usize, members: &[usize]) -> Vec<i32> {
    let place = |n: usize| members.iter().map(|&member| own(call, member)[n]).sum();
    (0..ELEMENTS).map(place).collect()
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed);
        let size = chance.number(2..=6) as usize;
        let config = Config {
            segment_bytes: 48,
            window_bytes: 96,
            ahead_bytes_max: 400,
            eager_bytes: 64,
            timeout: None,
            ..Config::default()
        };
        let rank = |rank| Rank {
            group: Group::new(rank, size, config.clone()),
            context: WORLD,
            members: (0..size).collect(),
            mode: Mode::Calling(0),
            waits: BTreeMap::new(),
            failed: false,
        };
        let ranks = (0..size).map(rank).collect();
        let (wires, dead, news) = Default::default();
        World { seed, chance, now: Duration::ZERO, ranks, wires, dead, news }
    }

    fn kill(&mut self, victim: usize) {
        self.dead.insert(victim);
        for to in (0..self.ranks.len()).filter(|to| !self.dead.contains(to)) {
            // What it sent last may be lost with it.
            let wire = self.wires.entry((victim, to)).or_default();
            let kept = self.chance.number(0..=wire.len() as u64) as usize;
            wire.truncate(kept);
            self.news.insert((victim, to));
        }
    }

    /// One thing that can happen, by chance. False if nothing can.
    fn step(&mut self) -> bool {
        let wire = |(&(from, to), frames): (&(usize, usize), &VecDeque<Bytes>)| {
            (!frames.is_empty() && !self.dead.contains(&to)).then_some((from, to))
        };
        let wires: Vec<(usize, usize)> = self.wires.iter().filter_map(wire).collect();
        let news: Vec<(usize, usize)> = self
            .news
            .iter()
            .copied()
            .filter(|pair| self.wires.get(pair).is_none_or(VecDeque::is_empty))
            .filter(|(_, to)| !self.dead.contains(to))
            .collect();
        let callers: Vec<usize> = (0..self.ranks.len())
            .filter(|rank| !self.dead.contains(rank) && self.can_call(*rank))
            .collect();
        let choices = wires.len() + news.len() + callers.len();
        if choices == 0 {
            return false;
        }
        let choice = self.chance.index(choices);
        let rank = if let Some(&(from, to)) = wires.get(choice) {
            let frame = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front);
            self.ranks[to].group.handle_frame(self.now, from, frame.expect("a frame"));
            to
        } else if let Some(&(victim, to)) = news.get(choice - wires.len()) {
            self.news.remove(&(victim, to));
            self.ranks[to].group.handle_lost(self.now, victim, "killed".to_owned());
            to
        } else {
            let caller = callers[choice - wires.len() - news.len()];
            self.call(caller);
            caller
        };
        self.collect(rank);
        true
    }

    fn can_call(&self, rank: usize) -> bool {
        let state = &self.ranks[rank];
        match state.mode {
            Mode::Calling(begun) if begun < CALLS && !state.failed => state.waits.len() < 3,
            Mode::Calling(_) => state.waits.is_empty(),
            Mode::Last => state.waits.is_empty(),
            Mode::Shrinking | Mode::Ended(_) => false,
        }
    }

    fn call(&mut self, rank: usize) {
        let now = self.now;
        let state = &mut self.ranks[rank];
        match state.mode {
            Mode::Calling(call) if call < CALLS && !state.failed => {
                state.mode = Mode::Calling(call + 1);
                let id = start(state, rank, now, call);
                state.waits.insert(id, Some(call));
            }
            Mode::Calling(_) => {
                state.mode = Mode::Shrinking;
                let id = state.group.shrink(now, state.context, None);
                state.waits.insert(id, None);
            }
            Mode::Last => {
                let id = start(state, rank, now, 1);
                state.waits.insert(id, Some(1));
            }
            Mode::Shrinking | Mode::Ended(_) => unreachable!("it cannot call"),
        }
    }

    fn collect(&mut self, rank: usize) {
        let seed = self.seed;
        while let Some(output) = self.ranks[rank].group.poll_output() {
            let state = &mut self.ranks[rank];
            match output {
                Output::Send { to, frame } => {
                    let bytes = [&frame.head[..], &frame.body].concat();
                    self.wires.entry((rank, to)).or_default().push_back(bytes.into());
                }
                Output::Fold(_) => unreachable!("no call has a function"),
                Output::Abandon { peer } => {
                    self.wires.remove(&(peer, rank));
                }
                Output::Finished { id, result } => {
                    let call = state.waits.remove(&id).expect("a call that was made");
                    match (call, result) {
                        (Some(call), Ok(Outcome::Answer(answer))) => {
                            let any = answer.output.into_any();
                            let found = *any.downcast::<Vec<i32>>().expect("its array");
                            check(state, rank, call, &found, seed);
                            if matches!(state.mode, Mode::Last) {
                                state.mode = Mode::Ended(Ok(found));
                            }
                        }
                        (None, Ok(Outcome::Made(Some(Made { context, members })))) => {
                            state.context = context;
                            let of = |member: usize| state.members[member];
                            state.members = members.into_iter().map(of).collect();
                            state.failed = false;
                            state.mode = Mode::Last;
                        }
                        (Some(_), Err(error)) => {
                            assert!(
                                matches!(error, GroupError::PeerLost { .. }),
                                "{seed}: {error}"
                            );
                            state.failed = true;
                            if matches!(state.mode, Mode::Last) {
                                state.mode = Mode::Calling(CALLS);
                            }
                        }
                        (None, Err(error)) => state.mode = Mode::Ended(Err(error)),
                        _ => panic!("seed {seed}: a result of another kind"),
                    }
                    if matches!(state.mode, Mode::Ended(_)) {
                        state.group.leave();
                    }
                }
            }
        }
    }

    fn run(mut self) {
        let seed = self.seed;
        let kills = self.chance.number(0..=2).min(self.ranks.len() as u64 - 1);
        let mut kills: Vec<u64> = (0..kills).map(|_| self.chance.number(0..=900)).collect();
        kills.sort_unstable();
        let mut steps = 0_u64;
        loop {
            if kills.first().is_some_and(|at| *at <= steps) {
                kills.remove(0);
                let victim = self.chance.index(self.ranks.len());
                if !self.dead.contains(&victim)
                    && !matches!(self.ranks[victim].mode, Mode::Ended(_))
                {
                    self.kill(victim);
                }
            }
            steps += 1;
            assert!(steps < 200_000, "seed {seed}: no end");
            if self.step() {
                continue;
            }
            let living = |rank: &usize| !self.dead.contains(rank);
            let ended = |rank: usize| matches!(self.ranks[rank].mode, Mode::Ended(_));
            if (0..self.ranks.len()).filter(living).all(ended) {
                break;
            }
            // Only time can help: what a rank does after long silence.
            let times = (0..self.ranks.len()).filter(living);
            let next = times.filter_map(|rank| self.ranks[rank].group.poll_timeout()).min();
            let stuck = || -> Vec<String> {
                let show = |rank: &Rank| format!("{:?} waits for {:?}", rank.mode, rank.waits);
                self.ranks.iter().map(show).collect()
            };
            let next = next.unwrap_or_else(|| panic!("seed {seed} hangs: {:#?}", stuck()));
            self.now = next.max(self.now);
            for rank in 0..self.ranks.len() {
                if !self.dead.contains(&rank) {
                    self.ranks[rank].group.handle_timeout(self.now);
                    self.collect(rank);
                }
            }
        }
        let mut agreed = BTreeSet::new();
        for (rank, state) in self.ranks.iter().enumerate() {
            match &state.mode {
                Mode::Ended(Ok(_)) => {
                    agreed.insert(state.members.clone());
                }
                Mode::Ended(Err(error)) => {
                    let minority = matches!(error, GroupError::Minority { .. });
                    assert!(minority && !self.dead.is_empty(), "seed {seed}: {rank}: {error}");
                }
                _ => assert!(self.dead.contains(&rank), "seed {seed}: {rank} has not ended"),
            }
        }
        if self.dead.is_empty() {
            assert_eq!(agreed.len(), 1, "seed {seed}: {agreed:?}");
        }
    }
}

/// Begins one of the calls: which one depends on its number.
fn start(state: &mut Rank, rank: usize, now: Duration, call: usize) -> OpId {
    let (kind, algorithm) = match call % 6 {
        0 => (Kind::AllReduce, Some(Algorithm::Direct)),
        1 => (Kind::AllReduce, Some(Algorithm::Flat)),
        2 => (Kind::AllReduce, Some(Algorithm::Tree { fan: 2 })),
        3 => (Kind::Scan, Some(Algorithm::Direct)),
        4 => (Kind::Broadcast, Some(Algorithm::Direct)),
        _ => (Kind::Broadcast, Some(Algorithm::Tree { fan: 2 })),
    };
    let call = Call {
        kind,
        purpose: Purpose::Plain,
        root: call % state.members.len(),
        dtype: DType::I32,
        counts: Counts::Whole(ELEMENTS as u64),
        fold: if kind.folds() { Fold::By(Operator::Sum) } else { Fold::None },
        commutative: false,
        algorithm,
        array: Box::new(own(call, rank)),
        timeout: None,
    };
    let call = if kind == Kind::Broadcast { call } else { Call { root: 0, ..call } };
    state.group.start(now, state.context, call)
}

fn check(state: &Rank, rank: usize, call: usize, found: &[i32], seed: u64) {
    let members = &state.members;
    let here = members.iter().position(|&member| member == rank).expect("it is one of them");
    let expected = match call % 6 {
        0..=2 => total(call, members),
        3 => total(call, &members[..=here]),
        _ => own(call, members[call % members.len()]),
    };
    assert_eq!(found, expected, "seed {seed}: call {call} at {rank}");
}

#[test]
fn every_call_ends_whatever_comes_when_and_whoever_dies() {
    for seed in 0..3000 {
        World::new(seed).run();
    }
}
