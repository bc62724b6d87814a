//! Calls of all kinds in random order, on communicators that overlap.

use adsum::Op;
use adsum::communicator::{Communicator, GroupError, Operator, Request};

use crate::chance::Chance;
use crate::model::{self, bits64};

/// Requests that are under way at once, at most.
const PENDING_MAX: usize = 8;

/// The array of a rank of the whole group in one call.
fn data(rank: usize, call: u64, count: usize) -> Vec<i64> {
    let mut chance = Chance::new(call * 1000 + rank as u64);
    (0..count).map(|_| chance.word() as i64).collect()
}

/// The same as floats of unlike exponents.
fn floats(words: &[i64]) -> Vec<f64> {
    words.iter().map(|&word| (word >> 11) as f64 * 2f64.powi((word & 63) as i32 - 80)).collect()
}

/// A call that is under way, with what it must give.
type Pending = (Request<Vec<i64>>, Vec<i64>, u64);

/// One call among many: where, of what, and what all its ranks give.
struct Turn<'a> {
    comm: &'a Communicator,
    call: u64,
    operator: Operator,
    root: usize,
    all: Vec<Vec<i64>>,
}

impl Turn<'_> {
    fn mine(&self) -> &[i64] {
        &self.all[self.comm.rank()]
    }

    fn folded(&self, ranks: usize) -> Vec<i64> {
        model::integers(self.operator, &self.all[..ranks])
    }

    fn at_root<T>(&self, value: impl FnOnce() -> T) -> Option<T> {
        (self.comm.rank() == self.root).then(value)
    }

    /// Begins a call of this kind.
    fn begin(&self, kind: usize) -> Pending {
        let (comm, mine, root) = (self.comm, self.mine(), self.root);
        let (rank, size) = (comm.rank(), comm.size());
        let (request, right) = match kind {
            0 => (comm.all_reduce_async(mine, self.operator), self.folded(size)),
            1 => (comm.scan_async(mine, self.operator), self.folded(rank + 1)),
            2 => (comm.broadcast_async(mine, root), self.all[root].clone()),
            3 => (comm.all_gather_async(mine), self.all.concat()),
            4 => {
                let given = if rank == root { self.all.clone() } else { Vec::new() };
                (comm.scatter_v_async(&given, root), mine.to_vec())
            }
            _ => {
                // Blocks of unlike lengths, some of them empty.
                let at = |rank: usize| mine.len() * rank * rank / (size * size);
                let counts: Vec<usize> = (0..size).map(|rank| at(rank + 1) - at(rank)).collect();
                let right = self.folded(size)[at(rank)..at(rank + 1)].to_vec();
                (comm.reduce_scatter_async(mine, &counts, self.operator), right)
            }
        };
        (request, right, self.call)
    }

    /// Makes a call of this kind, and waits for it.
    fn make(&self, kind: usize) -> Result<(), GroupError> {
        let (comm, call, root) = (self.comm, self.call, self.root);
        let (rank, size) = (comm.rank(), comm.size());
        let mine = self.mine().to_vec();
        match kind {
            6 => {
                let reduced = comm.reduce(&mine, self.operator, root)?;
                assert_eq!(reduced, self.at_root(|| self.folded(size)), "call {call}");
            }
            7 => {
                let exchanged = comm.all_to_all_v(&vec![mine; size])?;
                assert_eq!(exchanged, self.all, "call {call}");
            }
            8 => {
                let (to, from) = ((rank + 1) % size, (rank + size - 1) % size);
                let got = comm.send_receive(&mine, to, from, call as u32)?;
                assert_eq!(got, self.all[from], "call {call}");
            }
            9 => {
                let before = comm.exscan(&mine, self.operator)?;
                assert_eq!(before, (rank > 0).then(|| self.folded(rank)), "call {call}");
            }
            10 => {
                let gathered = comm.gather_v(&mine[..mine.len() / (rank + 1)], root)?;
                let cut = |(rank, one): (usize, &Vec<i64>)| one[..one.len() / (rank + 1)].to_vec();
                let right = || self.all.iter().enumerate().map(cut).collect();
                assert_eq!(gathered, self.at_root(right), "call {call}");
            }
            11 => {
                let few: Vec<Vec<f64>> =
                    self.all.iter().map(|one| floats(&one[..one.len().min(40)])).collect();
                let sum = comm.all_reduce(&few[rank], Operator::Sum)?;
                assert_eq!(bits64(&sum), model::sums_f64(&few), "call {call}");
            }
            12 => {
                let mut place = mine;
                comm.all_reduce_in_place(&mut place, self.operator)?;
                assert_eq!(place, self.folded(size), "call {call}");
            }
            13 => {
                // One that lives for two calls, of every other rank.
                let part = comm.split(Some(rank as u32 % 2), -(rank as i64))?.expect("a color");
                let theirs = part.all_gather(&[rank as u64])?;
                let right: Vec<u64> = (0..size as u64).rev().collect();
                let right: Vec<u64> =
                    right.into_iter().filter(|other| other % 2 == rank as u64 % 2).collect();
                assert_eq!(theirs, right, "call {call}");
            }
            14 => {
                let shares: Vec<u32> = mine.iter().map(|&word| word as u32).collect();
                let total = comm.all_reduce_exact(&shares, Op::Sum)?.value;
                let all = self.all.iter().flatten();
                let right: u64 = all.map(|&word| u64::from(word as u32)).sum();
                assert_eq!(total, adsum::Value::of(adsum::DType::U64, right), "call {call}");
            }
            _ => comm.barrier()?,
        }
        Ok(())
    }
}

/// So many calls as one rank of a group; the seed decides all of them. What is wrong is
/// found by assertions that name the call.
pub fn run(comm: &Communicator, seed: u64, calls: u64) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let world: Vec<usize> = (0..size).collect();
    let half = comm.split(Some(rank as u32 / 2), 0)?.expect("a color");
    let odd = comm.split(Some(rank as u32 % 2), -(rank as i64))?.expect("a color");
    let copy = comm.dup()?;
    let halves = world.iter().copied().filter(|other| other / 2 == rank / 2).collect();
    let odds = world.iter().rev().copied().filter(|other| other % 2 == rank % 2).collect();
    let groups: [(&Communicator, Vec<usize>); 4] =
        [(comm, world.clone()), (&half, halves), (&odd, odds), (&copy, world)];
    // The same at all ranks: which call comes next, on which communicator.
    let mut chance = Chance::new(seed);
    // This rank's own: when it waits.
    let mut own = Chance::new(seed * 31 + rank as u64);
    let mut pending: Vec<Pending> = Vec::new();
    let settle = |(request, right, call): Pending| -> Result<(), GroupError> {
        assert_eq!(request.wait()?, right, "call {call}");
        Ok(())
    };
    for call in 0..calls {
        let (part, ranks) = &groups[chance.index(groups.len())];
        let count = if chance.index(10) == 0 { 3000 } else { chance.index(40) };
        let root = chance.index(840) % part.size();
        let operator = model::OPERATORS[chance.index(7)];
        let kind = chance.index(16);
        let all = ranks.iter().map(|&rank| data(rank, call, count)).collect();
        let turn = Turn { comm: part, call, operator, root, all };
        match kind {
            0..=5 => pending.push(turn.begin(kind)),
            _ => turn.make(kind)?,
        }
        while pending.len() > PENDING_MAX || (!pending.is_empty() && own.index(10) < 3) {
            settle(pending.swap_remove(own.index(pending.len())))?;
        }
    }
    pending.into_iter().try_for_each(settle)?;
    comm.barrier()?;
    assert_eq!(comm.all_reduce(&[1], Operator::Sum)?, [size as i32]);
    Ok(())
}
