//! A thousand calls of all kinds in random order, on communicators that overlap.

use adsum::communicator::{Communicator, Config, Operator, Request};

use crate::chance::Chance;
use crate::model;
use crate::threads::{group_with, tiny};

const CALLS: u64 = 1000;

/// The array of a rank of the whole group in one call.
fn data(rank: usize, call: u64, count: usize) -> Vec<i64> {
    let mut chance = Chance::new(call * 1000 + rank as u64);
    (0..count).map(|_| chance.word() as i64).collect()
}

/// A call that is under way, with what it must give.
type Pending = (Request<Vec<i64>>, Vec<i64>, u64);

fn run(comm: &Communicator, seed: u64) {
    let world: Vec<usize> = (0..comm.size()).collect();
    let half = comm.split(Some(comm.rank() as u32 / 2), 0).unwrap().unwrap();
    let odd = comm.split(Some(comm.rank() as u32 % 2), -(comm.rank() as i64)).unwrap().unwrap();
    let copy = comm.dup().unwrap();
    let members = |part: &Communicator| -> Vec<usize> {
        part.all_gather(&[comm.rank() as u32]).unwrap().into_iter().map(|r| r as usize).collect()
    };
    let groups =
        [(comm, world.clone()), (&half, members(&half)), (&odd, members(&odd)), (&copy, world)];
    // The same at all ranks: which call comes next, on which communicator.
    let mut chance = Chance::new(seed);
    // This rank's own: when it waits.
    let mut own = Chance::new(seed * 31 + comm.rank() as u64);
    let mut pending: Vec<Pending> = Vec::new();
    for call in 0..CALLS {
        let (part, ranks) = &groups[chance.index(groups.len())];
        let count = if chance.index(10) == 0 { 3000 } else { chance.index(40) };
        let root = chance.index(8) % part.size();
        let operator = model::OPERATORS[chance.index(7)];
        let kind = chance.index(9);
        let all: Vec<Vec<i64>> = ranks.iter().map(|&rank| data(rank, call, count)).collect();
        let (rank, mine) = (part.rank(), all[part.rank()].clone());
        let folded = || model::integers(operator, &all);
        match kind {
            0 => pending.push((part.all_reduce_async(&mine, operator), folded(), call)),
            1 => {
                let expected = model::integers(operator, &all[..=rank]);
                pending.push((part.scan_async(&mine, operator), expected, call));
            }
            2 => pending.push((part.broadcast_async(&mine, root), all[root].clone(), call)),
            3 => pending.push((part.all_gather_async(&mine), all.concat(), call)),
            4 => {
                let given = if rank == root { all.clone() } else { Vec::new() };
                pending.push((part.scatter_v_async(&given, root), all[rank].clone(), call));
            }
            5 => {
                let reduced = part.reduce(&mine, operator, root).unwrap();
                assert_eq!(reduced, (rank == root).then(folded), "call {call}");
            }
            6 => {
                let exchanged = part.all_to_all_v(&vec![mine; part.size()]).unwrap();
                assert_eq!(exchanged, all, "call {call}");
            }
            7 => {
                let size = part.size();
                let (to, from) = ((rank + 1) % size, (rank + size - 1) % size);
                let got = part.send_receive(&mine, to, from, call as u32).unwrap();
                assert_eq!(got, all[from], "call {call}");
            }
            _ => part.barrier().unwrap(),
        }
        while pending.len() > 8 || (!pending.is_empty() && own.index(10) < 3) {
            let (request, expected, call) = pending.swap_remove(own.index(pending.len()));
            assert_eq!(request.wait(), Ok(expected), "call {call}");
        }
    }
    for (request, expected, call) in pending {
        assert_eq!(request.wait(), Ok(expected), "call {call}");
    }
    comm.barrier().unwrap();
    assert_eq!(comm.all_reduce(&[1], Operator::Sum), Ok(vec![comm.size() as i32]));
}

#[test]
fn a_thousand_calls_on_communicators_that_overlap() {
    for (size, seed) in [(4, 1), (7, 2), (2, 3)] {
        for config in [tiny(), Config::default()] {
            group_with(size, &config, move |comm| run(&comm, seed));
        }
    }
}
