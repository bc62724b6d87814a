//! One of every call, small enough to be made hundreds of times, with its right answer.

use adsum::collective::Algorithm;
use adsum::communicator::{Combine, Communicator, GroupError, Operator};
use adsum::{DType, Op, Value};

/// How many there are.
pub const CALLS: usize = 34;

/// Calls that move nothing from the last rank to some others: those end well without it.
#[allow(dead_code, reason = "only the failing threads look at it")]
pub const NEED_NOT_ALL: [usize; 19] =
    [0, 7, 8, 9, 10, 11, 12, 15, 16, 19, 21, 22, 24, 25, 26, 27, 28, 30, 31];

/// Elements of an array: several segments and more than a window where those are small.
const COUNT: i32 = 100;

const TREE: Algorithm = Algorithm::Tree { fan: 2 };

fn array(rank: usize) -> Vec<i32> {
    (0..COUNT).map(|n| n + rank as i32).collect()
}

/// The sum of the arrays of the first ranks.
fn total(ranks: usize) -> Vec<i32> {
    let before = (ranks * ranks.saturating_sub(1) / 2) as i32;
    (0..COUNT).map(|n| n * ranks as i32 + before).collect()
}

/// Makes the call of this number, by this rank of a communicator of any size.
pub fn call(number: usize, comm: &Communicator) -> Result<(), GroupError> {
    match number {
        0..=3 | 23..=28 | 30 | 32 | 33 => folded(number, comm),
        4..=8 | 16..=20 => divided(number, comm),
        _ => other(number, comm),
    }
}

/// Calls that fold into one or all ranks.
fn folded(number: usize, comm: &Communicator) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let (data, root) = (array(rank), 1 % size);
    let at_root = |result: Option<Vec<i32>>| {
        assert_eq!(result, (rank == root).then(|| total(size)));
    };
    match number {
        0 => at_root(comm.reduce(&data, Operator::Sum, root)?),
        1 => assert_eq!(comm.all_reduce(&data, Operator::Sum)?, total(size)),
        2 => {
            let direct = comm.by(Algorithm::Direct);
            assert_eq!(direct.all_reduce(&data, Operator::Sum)?, total(size));
        }
        3 => assert_eq!(comm.by(TREE).all_reduce(&data, Operator::Sum)?, total(size)),
        23 => {
            let sum = comm.all_reduce_exact(&data, Op::Sum)?.value;
            let right = total(size).iter().map(|&x| i64::from(x)).sum();
            assert_eq!(sum, Value::int64(right));
        }
        24 => {
            let least = comm.reduce_exact(&data, Op::Min, root)?;
            let right = (rank == root).then(|| Value::of(DType::I32, 0));
            assert_eq!(least.map(|found| found.value), right);
        }
        // In two steps, the second in a communicator of its own.
        32 => {
            let most = comm.by(TREE).all_reduce_exact(&data, Op::ArgMax)?.value;
            assert_eq!(most, Value::int64(i64::from(COUNT) * size as i64 - 1));
        }
        33 => {
            let plus = Combine::own(true, |a: i32, b: i32| a + b);
            assert_eq!(comm.by(TREE).all_reduce(&data, plus)?, total(size));
        }
        25 => at_root(comm.by(Algorithm::Direct).reduce(&data, Operator::Sum, root)?),
        26 => at_root(comm.by(TREE).reduce(&data, Operator::Sum, root)?),
        27 | 28 => {
            let pairs: Vec<(i32, u64)> = data.iter().map(|&x| (x, 9 - rank as u64)).collect();
            let least: Vec<(i32, u64)> = (0..COUNT).map(|n| (n, 9)).collect();
            if number == 27 {
                let found = comm.reduce_located(&pairs, Operator::MinLoc, root)?;
                assert_eq!(found, (rank == root).then_some(least));
            } else {
                let found = comm.by(TREE).reduce_located(&pairs, Operator::MinLoc, root)?;
                assert_eq!(found, (rank == root).then_some(least));
            }
        }
        _ => {
            // Not associative, so only one order is right.
            let step = |a: i32, b: i32| a.wrapping_mul(31).wrapping_add(b);
            let mut data = data;
            comm.reduce_in_place(&mut data, Combine::own(false, step), root)?;
            let fold = |n| (0..size).map(|rank| n + rank as i32).reduce(step).expect("a rank");
            match rank == root {
                true => assert_eq!(data, (0..COUNT).map(fold).collect::<Vec<i32>>()),
                false => assert_eq!(data, array(rank)),
            }
        }
    }
    Ok(())
}

/// Calls that give each rank its own block, or gather the blocks of all.
fn divided(number: usize, comm: &Communicator) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let data = array(rank);
    let concatenated = || (0..size).flat_map(array).collect::<Vec<i32>>();
    match number {
        4 => {
            let block = comm.reduce_scatter_block(&data[..5 * size], Operator::Sum)?;
            assert_eq!(block, total(size)[5 * rank..5 * (rank + 1)]);
        }
        5 => {
            let all = comm.all_gather_v(&data[..rank + 30])?;
            let right: Vec<Vec<i32>> =
                (0..size).map(|from| array(from)[..from + 30].to_vec()).collect();
            assert_eq!(all, right);
        }
        6 => {
            let blocks: Vec<Vec<i32>> =
                (0..size).map(|to| data[..COUNT as usize - to].to_vec()).collect();
            let right: Vec<Vec<i32>> =
                (0..size).map(|from| array(from)[..COUNT as usize - rank].to_vec()).collect();
            assert_eq!(comm.all_to_all_v(&blocks)?, right);
        }
        7 => assert_eq!(comm.gather(&data, 0)?, (rank == 0).then(concatenated)),
        8 => {
            let given = if rank == 0 { (0..size).map(array).collect() } else { Vec::new() };
            assert_eq!(comm.scatter_v(&given, 0)?, data);
        }
        16 => {
            let given = if rank == 0 { concatenated() } else { Vec::new() };
            assert_eq!(comm.scatter(&given, 0)?, data);
        }
        17 => assert_eq!(comm.all_gather(&data)?, concatenated()),
        18 => {
            let mut blocks: Vec<i32> = (0..size).flat_map(|to| vec![data[to]; 20]).collect();
            comm.all_to_all_in_place(&mut blocks)?;
            let right: Vec<i32> = (0..size).flat_map(|from| vec![array(from)[rank]; 20]).collect();
            assert_eq!(blocks, right);
        }
        19 => {
            let all = comm.gather_v(&data[..rank + 40], 0)?;
            let right = || (0..size).map(|from| array(from)[..from + 40].to_vec()).collect();
            assert_eq!(all, (rank == 0).then(right));
        }
        _ => {
            // The first rank gets nothing, the last one what is left.
            let mut counts = vec![7; size];
            counts[0] = 0;
            counts[size - 1] = COUNT as usize - 7 * size.saturating_sub(2);
            let first: usize = counts[..rank].iter().sum();
            let block = comm.reduce_scatter(&data, &counts, Operator::Sum)?;
            assert_eq!(block, total(size)[first..first + counts[rank]]);
        }
    }
    Ok(())
}

/// Broadcasts, prefixes, barriers, divisions and messages.
fn other(number: usize, comm: &Communicator) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let data = array(rank);
    let direct = comm.by(Algorithm::Direct);
    match number {
        9 => assert_eq!(comm.broadcast(&data, 0)?, array(0)),
        10 => assert_eq!(comm.by(TREE).broadcast(&data, 0)?, array(0)),
        31 => assert_eq!(direct.broadcast(&data, 0)?, array(0)),
        11 => assert_eq!(comm.scan(&data, Operator::Sum)?, total(rank + 1)),
        21 => assert_eq!(direct.scan(&data, Operator::Sum)?, total(rank + 1)),
        12 => {
            let before = direct.exscan(&data, Operator::Sum)?;
            assert_eq!(before, (rank > 0).then(|| total(rank)));
        }
        22 => {
            let before = comm.exscan(&data, Operator::Sum)?;
            assert_eq!(before, (rank > 0).then(|| total(rank)));
        }
        13 => comm.by(Algorithm::Dissemination).barrier()?,
        29 => comm.by(Algorithm::Flat).barrier()?,
        14 => drop(comm.dup()?),
        _ => {
            let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
            assert_eq!(comm.send_receive(&data, next, last, 0)?, array(last));
        }
    }
    Ok(())
}
