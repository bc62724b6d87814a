//! Schedules carried out on free objects: every element is the list of the
//! contributions that were folded into it, and folding refuses to count one twice.
//! No schedule can be right by accident of its numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use adsum::collective::{
    Algorithm, Call, Cost, Extent, Kind, Make, Part, Plan, Room, Tuning, choose, plan,
};

/// What was folded, in order: rank and place in its array.
type Folded = Vec<(usize, u64)>;

fn fold(all: impl IntoIterator<Item = Vec<Folded>>) -> Vec<Folded> {
    let mut all = all.into_iter();
    let mut folded = all.next().unwrap_or_default();
    for other in all {
        assert_eq!(folded.len(), other.len(), "ranges of one length");
        for (a, b) in folded.iter_mut().zip(other) {
            a.extend(b);
            let distinct: BTreeSet<_> = a.iter().collect();
            assert_eq!(distinct.len(), a.len(), "a contribution counts twice: {a:?}");
        }
    }
    folded
}

/// Merging keeps all that there is, each once.
fn merge(all: Vec<Vec<Folded>>) -> Vec<Folded> {
    let mut merged = all.concat();
    merged.sort();
    let distinct: BTreeSet<_> = merged.iter().collect();
    assert_eq!(distinct.len(), merged.len(), "a contribution counts twice: {merged:?}");
    merged
}

struct Message {
    from: usize,
    to: usize,
    part: u32,
    down: bool,
    round: u64,
    range: Vec<Folded>,
}

/// One rank carrying out its plan.
struct Rank {
    plan: Plan,
    input: Vec<Folded>,
    output: Vec<Option<Vec<(usize, u64)>>>,
    blocks: BTreeMap<usize, Vec<Folded>>,
    came: Vec<BTreeMap<usize, (u64, Vec<Folded>)>>,
    done: Vec<Option<u64>>,
    begun: Vec<bool>,
}

struct Run {
    ranks: Vec<Rank>,
    messages: VecDeque<Message>,
    count: u64,
    rounds: u64,
    sent: Vec<u64>,
}

fn run(plans: Vec<Plan>, inputs: Vec<u64>) -> Run {
    let ranks: Vec<Rank> = plans
        .into_iter()
        .zip(inputs)
        .enumerate()
        .map(|(rank, (plan, input))| {
            let input: Vec<Folded> = (0..input).map(|place| vec![(rank, place)]).collect();
            let parts = plan.parts.len();
            let output = vec![None; plan.output as usize];
            let (came, done) = (vec![BTreeMap::new(); parts], vec![None; parts]);
            let begun = vec![false; parts];
            Rank { plan, input, output, blocks: BTreeMap::new(), came, done, begun }
        })
        .collect();
    let sent = vec![0; ranks.len()];
    let mut run = Run { ranks, messages: VecDeque::new(), count: 0, rounds: 0, sent };
    for rank in 0..run.ranks.len() {
        for (range, room) in run.ranks[rank].plan.local.clone() {
            let bytes = run.ranks[rank].input[range.start as usize..range.end as usize].to_vec();
            run.put(rank, &room, bytes);
        }
        for index in 0..run.ranks[rank].plan.parts.len() {
            if run.ranks[rank].plan.parts[index].after.is_none() {
                run.begin(rank, index, 0);
            }
        }
    }
    while let Some(message) = run.messages.pop_front() {
        run.deliver(message);
    }
    for (rank, state) in run.ranks.iter().enumerate() {
        assert!(state.done.iter().all(Option::is_some), "rank {rank} waits: {:?}", state.plan);
    }
    run
}

impl Run {
    fn part(&self, rank: usize, index: usize) -> Part {
        self.ranks[rank].plan.parts[index].clone()
    }

    fn own(&self, rank: usize, part: &Part) -> Vec<Folded> {
        self.ranks[rank].input[part.input.start as usize..part.input.end as usize].to_vec()
    }

    fn put(&mut self, rank: usize, room: &Room, range: Vec<Folded>) {
        match room {
            Room::At(places) => {
                assert_eq!(places.end - places.start, range.len() as u64, "room and result");
                for (place, folded) in places.clone().zip(range) {
                    let slot = &mut self.ranks[rank].output[place as usize];
                    assert!(slot.is_none(), "a place is written twice");
                    *slot = Some(folded);
                }
            }
            Room::Open(number) => {
                let before = self.ranks[rank].blocks.insert(*number, range);
                assert!(before.is_none(), "a block comes twice");
            }
        }
    }

    fn send(
        &mut self,
        from: usize,
        to: usize,
        part: u32,
        down: bool,
        round: u64,
        range: Vec<Folded>,
    ) {
        assert_ne!(from, to, "nobody sends to itself");
        self.count += 1;
        self.rounds = self.rounds.max(round + 1);
        self.sent[from] += range.len() as u64;
        self.messages.push_back(Message { from, to, part, down, round: round + 1, range });
    }

    fn begin(&mut self, rank: usize, index: usize, round: u64) {
        self.ranks[rank].begun[index] = true;
        let part = self.part(rank, index);
        match (&part.up, &part.down) {
            (Some(_), _) => self.try_fold(rank, index, round),
            (None, Some(down)) if down.from.is_none() => {
                for &to in &down.to {
                    self.send(rank, to, part.id, true, round, self.own(rank, &part));
                }
                self.finish(rank, index, round);
            }
            _ => {
                let arrived = self.ranks[rank].came[index].values().next().map(|(at, _)| *at);
                if let Some(at) = arrived {
                    self.finish(rank, index, at.max(round));
                }
            }
        }
    }

    fn try_fold(&mut self, rank: usize, index: usize, round: u64) {
        let part = self.part(rank, index);
        let up = part.up.clone().expect("a fold");
        let came = &self.ranks[rank].came[index];
        if !self.ranks[rank].begun[index] || came.len() < up.children.len() {
            return;
        }
        let round = came.values().map(|(round, _)| *round).fold(round, u64::max);
        let mut all: Vec<Vec<Folded>> =
            up.children.iter().map(|child| came[child].1.clone()).collect();
        if let Some(at) = up.own {
            all.insert(at, self.own(rank, &part));
        }
        if let Some(parent) = up.parent {
            let made = if up.make == Make::Merge { merge(all) } else { fold(all) };
            self.send(rank, parent, part.id, false, round, made);
            if part.down.is_none() {
                self.finish(rank, index, round);
            }
            return;
        }
        let of = |to: usize| match up.make {
            Make::Fold => fold(all.clone()),
            Make::Merge => merge(all.clone()),
            Make::Prefixes { exclusive } => {
                fold(all[..if exclusive { to } else { to + 1 }].to_vec())
            }
        };
        if let Some(room) = &part.room {
            self.put(rank, room, of(rank));
        }
        for &to in part.down.iter().flat_map(|down| &down.to) {
            self.send(rank, to, part.id, true, round, of(to));
        }
        self.finish(rank, index, round);
    }

    fn deliver(&mut self, message: Message) {
        let Message { from, to, part, down, round, range } = message;
        let found = self.ranks[to].plan.parts.iter().position(|one| one.id == part);
        let index = found.unwrap_or_else(|| panic!("rank {to} has no part {part}"));
        let mine = self.part(to, index);
        if down {
            let way = mine.down.clone().expect("a way down");
            assert_eq!(way.from, Some(from), "whom a result comes from");
            if let Some(room) = &mine.room {
                self.put(to, room, range.clone());
            }
            for next in way.to {
                self.send(to, next, part, true, round, range.clone());
            }
            if self.ranks[to].begun[index] {
                self.finish(to, index, round);
            } else {
                self.ranks[to].came[index].insert(from, (round, range));
            }
        } else {
            let up = mine.up.expect("a way up");
            assert!(up.children.contains(&from), "{from} is no child of {to}");
            let before = self.ranks[to].came[index].insert(from, (round, range));
            assert!(before.is_none(), "a contribution comes twice");
            self.try_fold(to, index, round);
        }
    }

    fn finish(&mut self, rank: usize, index: usize, round: u64) {
        assert!(self.ranks[rank].done[index].replace(round).is_none(), "a part ends twice");
        for other in 0..self.ranks[rank].plan.parts.len() {
            if self.ranks[rank].plan.parts[other].after == Some(index) {
                self.begin(rank, other, round);
            }
        }
    }
}

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Flat,
    Algorithm::Tree { fan: 2 },
    Algorithm::Tree { fan: 3 },
    Algorithm::Tree { fan: 8 },
    Algorithm::Direct,
    Algorithm::Dissemination,
];

fn sizes() -> impl Iterator<Item = usize> {
    1..=64
}

fn whole(kind: Kind, algorithm: Algorithm, size: usize, root: usize, count: u64) -> Run {
    let plan_of =
        |rank| plan(&Call { kind, rank, size, root, extent: Extent::Whole(count) }, algorithm);
    run((0..size).map(plan_of).collect(), vec![count; size])
}

/// All ranks in order, for one place.
fn all(ranks: impl Iterator<Item = usize>, place: u64) -> Option<Folded> {
    Some(ranks.map(|rank| (rank, place)).collect())
}

fn check_cost(run: &Run, kind: Kind, algorithm: Algorithm, size: usize, bytes: u64) {
    let cost = Cost::of(kind, algorithm, size, bytes);
    let most = run.sent.iter().copied().max().unwrap_or(0);
    let what = format!("{kind:?} by {algorithm:?} of {size}");
    assert!(run.rounds <= cost.rounds, "{what}: {} rounds, {cost:?}", run.rounds);
    assert!(run.count <= cost.messages, "{what}: {} messages, {cost:?}", run.count);
    assert!(most <= cost.bytes_sent, "{what}: {most} bytes, {cost:?}");
    // Formulas that promise too little would pass for ever. Two ranks spare a round or two.
    if bytes >= 64 * size as u64 && size > 2 {
        assert!(run.count * 2 > cost.messages, "{what}: {} messages, {cost:?}", run.count);
        // Of a tree it is that of the fullest one of its depth.
        let exact = !matches!(algorithm, Algorithm::Tree { .. });
        assert!(run.rounds * 2 >= cost.rounds, "{what}: {} rounds, {cost:?}", run.rounds);
        assert!(!exact || run.rounds == cost.rounds, "{what}: {} rounds, {cost:?}", run.rounds);
    }
}

#[test]
fn reductions_count_every_rank_once_and_in_order() {
    for (size, algorithm) in sizes().flat_map(|size| ALGORITHMS.map(|one| (size, one))) {
        let count = if size <= 12 { 64 * size as u64 } else { size as u64 / 2 + 1 };
        if algorithm.serves(Kind::AllReduce) {
            let done = whole(Kind::AllReduce, algorithm, size, 0, count);
            for rank in &done.ranks {
                let expected: Vec<_> = (0..count).map(|place| all(0..size, place)).collect();
                assert_eq!(rank.output, expected, "{algorithm:?} of {size}");
            }
            check_cost(&done, Kind::AllReduce, algorithm, size, count);
        }
        for root in [0, size / 2, size - 1] {
            if algorithm.serves(Kind::Reduce) {
                let done = whole(Kind::Reduce, algorithm, size, root, count);
                let first = if algorithm.folds_in_groups() { root } else { 0 };
                let order = || (0..size).map(|rank| (rank + first) % size);
                let expected: Vec<_> = (0..count).map(|place| all(order(), place)).collect();
                assert_eq!(done.ranks[root].output, expected, "{algorithm:?} of {size}");
                check_cost(&done, Kind::Reduce, algorithm, size, count);
            }
            if algorithm.serves(Kind::Broadcast) {
                let done = whole(Kind::Broadcast, algorithm, size, root, count);
                let expected: Vec<_> = (0..count).map(|place| all(root..root + 1, place)).collect();
                for (rank, state) in done.ranks.iter().enumerate().filter(|(rank, _)| *rank != root)
                {
                    assert_eq!(state.output, expected, "{algorithm:?} of {size} at {rank}");
                }
                check_cost(&done, Kind::Broadcast, algorithm, size, count);
            }
        }
    }
}

#[test]
fn scans_fold_what_comes_before() {
    for (size, algorithm) in sizes().flat_map(|size| ALGORITHMS.map(|one| (size, one))) {
        // The lists of a scan grow with the square of the ranks.
        let count = if size <= 8 { 64 * size as u64 } else { 3 };
        for (kind, own) in [(Kind::Scan, 1), (Kind::Exscan, 0)] {
            if !algorithm.serves(kind) {
                continue;
            }
            let done = whole(kind, algorithm, size, 0, count);
            for (rank, state) in done.ranks.iter().enumerate() {
                let expected: Vec<_> = match rank + own {
                    0 => Vec::new(),
                    end => (0..count).map(|place| all(0..end, place)).collect(),
                };
                assert_eq!(state.output, expected, "{kind:?} {algorithm:?} of {size} at {rank}");
            }
            check_cost(&done, kind, algorithm, size, count);
        }
    }
}

#[test]
fn nobody_leaves_a_barrier_before_all_have_come() {
    for (size, algorithm) in sizes().flat_map(|size| ALGORITHMS.map(|one| (size, one))) {
        if !algorithm.serves(Kind::Barrier) {
            continue;
        }
        let plans: Vec<Plan> = (0..size)
            .map(|rank| {
                let extent = Extent::Whole(0);
                plan(&Call { kind: Kind::Barrier, rank, size, root: 0, extent }, algorithm)
            })
            .collect();
        check_cost(&run(plans.clone(), vec![0; size]), Kind::Barrier, algorithm, size, 0);
        if size > 24 {
            continue;
        }
        // Knowledge of who has come spreads with messages; at the end it is of all.
        let known = spread(&plans);
        for (rank, known) in known.iter().enumerate() {
            assert_eq!(known.len(), size, "{algorithm:?} of {size}: rank {rank} knows {known:?}");
        }
    }
}

/// Whom each rank knows to have come, when it knows least: every message carries what
/// its sender must know to send it.
fn spread(plans: &[Plan]) -> Vec<BTreeSet<usize>> {
    // Of each rank and part what is known when it is done, to a fixed point.
    let size = plans.len();
    let mut known: BTreeMap<(usize, u32), BTreeSet<usize>> = BTreeMap::new();
    for _ in 0..2 * size + 2 {
        let before = known.clone();
        for (rank, plan) in plans.iter().enumerate() {
            for part in &plan.parts {
                let mut here = BTreeSet::from([rank]);
                if let Some(after) = part.after {
                    here.extend(before.get(&(rank, plan.parts[after].id)).into_iter().flatten());
                }
                let up = part.up.iter().flat_map(|up| up.children.iter().copied());
                let from = part.down.iter().filter_map(|down| down.from);
                for other in up.chain(from) {
                    here.extend(before.get(&(other, part.id)).into_iter().flatten());
                }
                // On the way up a child does not know of its parent's result yet.
                let here = match (&part.up, &part.down) {
                    (Some(up), Some(down)) if up.parent.is_some() && down.from.is_some() => {
                        let mut ups = BTreeSet::from([rank]);
                        ups.extend(subtree(plans, rank, part.id));
                        let owner_knows: BTreeSet<usize> =
                            subtree(plans, owner(plans, rank, part.id), part.id);
                        ups.extend(owner_knows);
                        ups
                    }
                    _ => here,
                };
                known.insert((rank, part.id), here);
            }
        }
    }
    (0..size)
        .map(|rank| {
            let parts = plans[rank].parts.iter();
            let sets = parts.filter_map(|part| known.get(&(rank, part.id)));
            sets.flatten().copied().chain([rank]).collect()
        })
        .collect()
}

fn part_of(plans: &[Plan], rank: usize, id: u32) -> &Part {
    plans[rank].parts.iter().find(|part| part.id == id).expect("the part")
}

fn subtree(plans: &[Plan], rank: usize, id: u32) -> BTreeSet<usize> {
    let up = part_of(plans, rank, id).up.as_ref().expect("a way up");
    let below = up.children.iter().flat_map(|&child| subtree(plans, child, id));
    below.chain([rank]).collect()
}

fn owner(plans: &[Plan], rank: usize, id: u32) -> usize {
    match part_of(plans, rank, id).up.as_ref().and_then(|up| up.parent) {
        Some(parent) => owner(plans, parent, id),
        None => rank,
    }
}

#[test]
fn blocks_go_where_they_belong() {
    for size in sizes() {
        let counts: Vec<u64> = (0..size as u64).map(|rank| rank % 4).collect();
        let all: u64 = counts.iter().sum();
        let start = |of: usize| counts[..of].iter().sum::<u64>();
        let piece = |rank: usize, from: u64, length: u64| -> Vec<Folded> {
            (from..from + length).map(|place| vec![(rank, place)]).collect()
        };
        let sent_by = |rank: usize| {
            let mut sent = vec![0; size];
            sent[rank] = counts[rank];
            sent
        };
        let plans = |kind, root, extent: &dyn Fn(usize) -> (bool, Vec<u64>)| -> Vec<Plan> {
            let plan_of = |rank| {
                let (known, counts) = extent(rank);
                let extent = if known { Extent::Blocks(&counts) } else { Extent::Sent(&counts) };
                plan(&Call { kind, rank, size, root, extent }, Algorithm::Flat)
            };
            (0..size).map(plan_of).collect()
        };
        let everything: Vec<Option<Folded>> =
            (0..size).flat_map(|rank| piece(rank, 0, counts[rank])).map(Some).collect();
        let gathered: BTreeMap<usize, Vec<Folded>> =
            (0..size).map(|rank| (rank, piece(rank, 0, counts[rank]))).collect();

        let done = run(plans(Kind::AllGather, 0, &|_| (true, counts.clone())), counts.clone());
        assert!(done.ranks.iter().all(|rank| rank.output == everything));
        let done = run(plans(Kind::AllGather, 0, &|rank| (false, sent_by(rank))), counts.clone());
        assert!(done.ranks.iter().all(|rank| rank.blocks == gathered));

        let root = size / 2;
        let done = run(plans(Kind::Gather, root, &|_| (true, counts.clone())), counts.clone());
        assert_eq!(done.ranks[root].output, everything);
        let done = run(plans(Kind::Gather, root, &|rank| (false, sent_by(rank))), counts.clone());
        assert_eq!(done.ranks[root].blocks, gathered);
        check_cost(&done, Kind::Gather, Algorithm::Flat, size, 3);

        let at_root = |rank| if rank == root { all } else { 0 };
        let inputs: Vec<u64> = (0..size).map(at_root).collect();
        let sent = |rank| (false, if rank == root { counts.clone() } else { vec![0; size] });
        let done = run(plans(Kind::Scatter, root, &sent), inputs);
        for (rank, state) in done.ranks.iter().enumerate() {
            let block = piece(root, start(rank), counts[rank]);
            assert_eq!(state.blocks, BTreeMap::from([(0, block)]));
        }

        let equal = vec![2; size];
        let done =
            run(plans(Kind::AllToAll, 0, &|_| (true, equal.clone())), vec![2 * size as u64; size]);
        for (rank, state) in done.ranks.iter().enumerate() {
            let expected: Vec<Option<Folded>> =
                (0..size).flat_map(|from| piece(from, 2 * rank as u64, 2)).map(Some).collect();
            assert_eq!(state.output, expected);
        }
        check_cost(&done, Kind::AllToAll, Algorithm::Flat, size, 2 * size as u64);

        let done = run(plans(Kind::AllToAll, 0, &|_| (false, counts.clone())), vec![all; size]);
        for (rank, state) in done.ranks.iter().enumerate() {
            let block = |from| (from, piece(from, start(rank), counts[rank]));
            assert_eq!(state.blocks, (0..size).map(block).collect());
        }

        let done = run(plans(Kind::ReduceScatter, 0, &|_| (true, counts.clone())), vec![all; size]);
        for (rank, state) in done.ranks.iter().enumerate() {
            let expected: Vec<Option<Folded>> = (start(rank)..start(rank) + counts[rank])
                .map(|place| Some((0..size).map(|other| (other, place)).collect()))
                .collect();
            assert_eq!(state.output, expected);
        }
        check_cost(&done, Kind::ReduceScatter, Algorithm::Flat, size, all);
    }
}

#[test]
fn merges_have_all_that_any_rank_has_once() {
    for (size, algorithm) in sizes().flat_map(|size| ALGORITHMS.map(|one| (size, one))) {
        let own = |rank: usize| (rank as u64 * 5 + 2) % 7;
        let expected: Vec<Folded> = (0..size)
            .flat_map(|rank| (0..own(rank)).map(move |place| vec![(rank, place)]))
            .collect();
        for (kind, root) in [
            (Kind::AllMerge, 0),
            (Kind::Merge, 0),
            (Kind::Merge, size / 2),
            (Kind::Merge, size - 1),
        ] {
            if !algorithm.serves(kind) {
                continue;
            }
            let plan_of = |rank| {
                let sent = [own(rank)];
                plan(&Call { kind, rank, size, root, extent: Extent::Sent(&sent) }, algorithm)
            };
            let done = run((0..size).map(plan_of).collect(), (0..size).map(own).collect());
            for (rank, state) in done.ranks.iter().enumerate() {
                let here = kind == Kind::AllMerge || rank == root;
                let found = state.blocks.get(&0);
                assert_eq!(found, here.then_some(&expected), "{kind:?} {algorithm:?} of {size}");
            }
            // No message is longer than all there is.
            let cost = Cost::of(kind, algorithm, size, expected.len() as u64);
            assert!(done.count <= cost.messages && done.rounds <= cost.rounds, "{cost:?}");
            let most = done.sent.iter().copied().max().unwrap_or(0);
            assert!(most <= cost.bytes_sent, "{kind:?} {algorithm:?} of {size}: {most} {cost:?}");
        }
    }
}

#[test]
fn a_choice_serves_its_call_and_groups_only_what_may_be() {
    for size in 1..=200 {
        for kind in Kind::ALL {
            for bytes in [0, 4, 4096, 1 << 16, 1 << 20, 1 << 30] {
                let tunings = [
                    Tuning::default(),
                    Tuning::measured(std::time::Duration::from_micros(30), 1e9),
                    Tuning::measured(std::time::Duration::from_millis(20), 1e8),
                ];
                for tuning in tunings {
                    for in_groups in [false, true] {
                        let chosen = choose(kind, size, bytes, in_groups, &tuning);
                        assert!(chosen.serves(kind), "{kind:?}: {chosen:?}");
                        let moves = kind == Kind::Broadcast || kind.merges();
                        assert!(in_groups || moves || !chosen.folds_in_groups(), "{chosen:?}");
                    }
                }
            }
        }
    }
}
