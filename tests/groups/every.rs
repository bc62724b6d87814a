//! Every call, of every type, with every operator and many lengths, against what the
//! oracle makes of the arrays of all ranks.

use std::time::Duration;

use adsum::collective::Algorithm;
use adsum::communicator::{Combine, Communicator, GroupError, Operator};
use adsum::{Op, Value};
use half::{bf16, f16};

use crate::bits::{self, Bits};
use crate::oracle::{self, Data};

/// Elements after which an array begins anew: the oracle takes its time.
const PERIOD: usize = 61;

/// Longer than any call takes; `within` it a communicator has no schedule of its own.
const LIMIT: Duration = Duration::from_secs(300);

/// Schedules that any operator takes.
const SCHEDULES: [Option<Algorithm>; 3] = [None, Some(Algorithm::Flat), Some(Algorithm::Direct)];

const TREES: [Algorithm; 2] = [Algorithm::Tree { fan: 2 }, Algorithm::Tree { fan: 3 }];

/// Operations that end in one number, of which the oracle knows the bits.
const EXACT: [Op; 6] = [Op::Sum, Op::Mean, Op::SumSq, Op::L1, Op::L2, Op::LInf];

/// The arrays of all ranks, as bits.
struct Arrays {
    all: Vec<Vec<u64>>,
    rank: usize,
}

impl Arrays {
    fn new<T: Bits>(comm: &Communicator, seed: u64) -> Arrays {
        let seed = |rank: usize| seed << 32 | (T::DTYPE as u64) << 16 | rank as u64;
        let all = (0..comm.size()).map(|rank| bits::by_chance(T::DTYPE, PERIOD, seed(rank)));
        Arrays { all: all.collect(), rank: comm.rank() }
    }

    /// Elements `from..from + count` of the array of a rank.
    fn of<T: Bits>(&self, rank: usize, from: usize, count: usize) -> Vec<T> {
        let elements = self.all[rank].iter().cycle().skip(from % PERIOD).take(count);
        elements.map(|&bits| T::of_bits(bits)).collect()
    }

    fn own<T: Bits>(&self, count: usize) -> Vec<T> {
        self.of(self.rank, 0, count)
    }

    /// The folds of the arrays of the first ranks.
    fn folded<T: Bits>(&self, operator: Operator, ranks: usize) -> Folded {
        let column =
            |place: usize| -> Vec<u64> { self.all[..ranks].iter().map(|one| one[place]).collect() };
        Folded((0..PERIOD).map(|place| bits::fold(operator, T::DTYPE, &column(place))).collect())
    }
}

/// One period of a result.
struct Folded(Vec<u64>);

impl Folded {
    /// Whether an array is this from element `from` on.
    #[track_caller]
    fn check<T: Bits>(&self, found: &[T], from: usize, count: usize, what: &str) {
        assert_eq!(found.len(), count, "{what} of {}", T::DTYPE);
        let right = self.0.iter().cycle().skip(from % PERIOD);
        for (place, (found, right)) in found.iter().zip(right).enumerate() {
            let found = found.bits();
            assert_eq!(found, *right, "{what} of {}: {found:#x} at {place}", T::DTYPE);
        }
    }
}

#[track_caller]
fn same<T: Bits>(found: &[T], right: &[T], what: &str) {
    let bits = |array: &[T]| array.iter().map(|element| element.bits()).collect::<Vec<u64>>();
    assert!(bits(found) == bits(right), "{what} of {} {}", right.len(), T::DTYPE);
}

/// Makes every call with arrays of every type and of these lengths in bytes.
pub fn every(comm: &Communicator, lengths_bytes: &[usize]) -> Result<(), GroupError> {
    macro_rules! each {
        ($($element:ty),*) => {$( typed::<$element>(comm, lengths_bytes)?; )*};
    }
    each!(bool, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64);
    functions(comm)?;
    parts(comm)
}

/// The same with one type.
pub fn typed<T: Bits>(comm: &Communicator, lengths_bytes: &[usize]) -> Result<(), GroupError> {
    let arrays = Arrays::new::<T>(comm, 1);
    for (number, bytes) in lengths_bytes.iter().enumerate() {
        // One element is what one byte stands for.
        let count = bytes.div_ceil(size_of::<T::Stored>());
        moves::<T>(comm, &arrays, count)?;
        messages::<T>(comm, &arrays, count)?;
        for operator in Operator::ALL.into_iter().filter(|operator| operator.takes(T::DTYPE)) {
            match operator.is_located() {
                true => located::<T>(comm, operator, count)?,
                false => folds::<T>(comm, &arrays, operator, count, number)?,
            }
        }
        exact::<T>(comm, &arrays, count.min(PERIOD))?;
    }
    Ok(())
}

/// Makes every call that takes any length, with one operator, by one schedule each.
pub fn one<T: Bits>(
    comm: &Communicator,
    operator: Operator,
    bytes: usize,
) -> Result<(), GroupError> {
    let (arrays, count) = (Arrays::new::<T>(comm, 3), bytes / size_of::<T::Stored>());
    moves::<T>(comm, &arrays, count)?;
    messages::<T>(comm, &arrays, count)?;
    folds::<T>(comm, &arrays, operator, count, 0)
}

/// Every call that folds, by one schedule after the other.
fn folds<T: Bits>(
    comm: &Communicator,
    arrays: &Arrays,
    operator: Operator,
    count: usize,
    number: usize,
) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let (root, data) = ((number + operator as usize) % size, arrays.own::<T>(count));
    let all = arrays.folded::<T>(operator, size);
    let mut schedules = SCHEDULES.to_vec();
    if operator.folds_in_groups(T::DTYPE) {
        schedules.extend(TREES.map(Some));
    }
    let by = |turn: usize| match schedules[(turn + number + operator as usize) % schedules.len()] {
        Some(algorithm) => comm.by(algorithm),
        None => comm.within(LIMIT),
    };
    let name = |call: &str| format!("{call} with {operator}");
    all.check(&by(0).all_reduce(&data, operator)?, 0, count, &name("all_reduce"));
    let mut place = data.clone();
    by(1).all_reduce_in_place(&mut place, operator)?;
    all.check(&place, 0, count, &name("all_reduce_in_place"));
    let reduced = by(2).reduce(&data, operator, root)?;
    assert_eq!(reduced.is_some(), rank == root, "{}", name("reduce"));
    reduced.iter().for_each(|found| all.check(found, 0, count, &name("reduce")));
    let mut place = data.clone();
    by(3).reduce_in_place(&mut place, operator, root)?;
    match rank == root {
        true => all.check(&place, 0, count, &name("reduce_in_place")),
        false => same(&place, &data, "reduce_in_place elsewhere"),
    }
    let upto = arrays.folded::<T>(operator, rank + 1);
    upto.check(&comm.scan(&data, operator)?, 0, count, &name("scan"));
    let direct = comm.by(Algorithm::Direct);
    let mut place = data.clone();
    direct.scan_in_place(&mut place, operator)?;
    upto.check(&place, 0, count, &name("scan_in_place"));
    let before = (rank > 0).then(|| arrays.folded::<T>(operator, rank));
    let found = direct.exscan(&data, operator)?;
    let mut place = data.clone();
    comm.exscan_in_place(&mut place, operator)?;
    match (before, found) {
        (Some(before), Some(found)) => {
            before.check(&found, 0, count, &name("exscan"));
            before.check(&place, 0, count, &name("exscan_in_place"));
        }
        (None, None) => same(&place, &data, "exscan_in_place at rank 0"),
        (_, found) => panic!("{}: {found:?}", name("exscan"), found = found.is_some()),
    }
    // Blocks of equal lengths, then of unlike ones, the first of which is empty.
    let whole = arrays.own::<T>(count * size);
    let block = comm.reduce_scatter_block(&whole, operator)?;
    all.check(&block, rank * count, count, &name("reduce_scatter_block"));
    let at = |rank: usize| count * rank * rank.saturating_sub(1) / (size * size);
    let mut counts: Vec<usize> = (0..size).map(|rank| at(rank + 1) - at(rank)).collect();
    counts[size - 1] += count - at(size);
    let block = comm.reduce_scatter(&data, &counts, operator)?;
    all.check(&block, at(rank), counts[rank], &name("reduce_scatter"));
    Ok(())
}

/// Every call that only moves elements.
fn moves<T: Bits>(comm: &Communicator, arrays: &Arrays, count: usize) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let (root, data) = (count % size, arrays.own::<T>(count));
    let all: Vec<Vec<T>> = (0..size).map(|rank| arrays.of(rank, 0, count)).collect();
    let row = all.concat();
    same(&comm.all_gather(&data)?, &row, "all_gather");
    let gathered = comm.gather(&data, root)?;
    assert_eq!(gathered.is_some(), rank == root, "gather");
    gathered.iter().for_each(|found| same(found, &row, "gather"));
    same(&comm.scatter(if rank == root { &row } else { &[] }, root)?, &data, "scatter");
    for algorithm in SCHEDULES.into_iter().chain(TREES.map(Some)) {
        let by = algorithm.map_or(comm.within(LIMIT), |algorithm| comm.by(algorithm));
        same(&by.broadcast(&data, root)?, &all[root], "broadcast");
        let mut place = data.clone();
        by.broadcast_in_place(&mut place, root)?;
        same(&place, &all[root], "broadcast_in_place");
        by.barrier()?;
    }
    comm.by(Algorithm::Dissemination).barrier()?;
    // What one rank has for another begins at a place that both know.
    let block = |from: usize, to: usize, count| arrays.of::<T>(from, 7 * from + to, count);
    let sent: Vec<Vec<T>> = (0..size).map(|to| block(rank, to, count)).collect();
    let came: Vec<Vec<T>> = (0..size).map(|from| block(from, rank, count)).collect();
    same(&comm.all_to_all(&sent.concat())?, &came.concat(), "all_to_all");
    let mut place = sent.concat();
    comm.all_to_all_in_place(&mut place)?;
    same(&place, &came.concat(), "all_to_all_in_place");
    // Of unlike lengths, some of them zero.
    let length = |from: usize, to: usize| count * ((from + 2 * to) % 3) / 2;
    let part = |from: usize, to: usize| block(from, to, length(from, to));
    let sent: Vec<Vec<T>> = (0..size).map(|to| part(rank, to)).collect();
    let came: Vec<Vec<T>> = (0..size).map(|from| part(from, rank)).collect();
    let lists = |found: &[Vec<T>], right: &[Vec<T>], what| {
        assert_eq!(found.len(), right.len(), "{what}");
        found.iter().zip(right).for_each(|(found, right)| same(found, right, what));
    };
    lists(&comm.all_to_all_v(&sent)?, &came, "all_to_all_v");
    let firsts: Vec<Vec<T>> = (0..size).map(|from| part(from, 0)).collect();
    lists(&comm.all_gather_v(&firsts[rank])?, &firsts, "all_gather_v");
    let gathered = comm.gather_v(&firsts[rank], root)?;
    assert_eq!(gathered.is_some(), rank == root, "gather_v");
    gathered.iter().for_each(|found| lists(found, &firsts, "gather_v"));
    let given: Vec<Vec<T>> = match rank == root {
        true => (0..size).map(|to| part(root, to)).collect(),
        false => Vec::new(),
    };
    same(&comm.scatter_v(&given, root)?, &part(root, rank), "scatter_v");
    Ok(())
}

/// Messages in a circle and to oneself, received in another order than they were sent in.
fn messages<T: Bits>(comm: &Communicator, arrays: &Arrays, count: usize) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
    let (data, theirs) = (arrays.own::<T>(count), arrays.of::<T>(last, 0, count));
    same(&comm.send_receive(&data, next, last, 5)?, &theirs, "send_receive");
    let delivered = comm.deliver_async(&data, next, 4);
    let told = comm.probe(Some(last), Some(4))?;
    let length_bytes = size_of_val(theirs.as_slice()) as u64;
    assert_eq!((told.from, told.tag, told.length_bytes), (last, 4, length_bytes), "probe");
    same(&comm.receive::<T>(None, Some(4))?.data, &theirs, "deliver");
    delivered.wait()?;
    let sends = [1, 2, 1].map(|tag| comm.send_async(&data[..count / tag as usize], next, tag));
    for (tag, from) in [(Some(2), None), (None, Some(last)), (Some(1), Some(last))] {
        let received = comm.receive::<T>(from, tag)?;
        assert_eq!(received.from, last, "receive");
        let right = &theirs[..count / received.tag as usize];
        same(&received.data, right, "receive");
        assert_eq!(received.tag, tag.unwrap_or(1), "receive");
    }
    sends.into_iter().try_for_each(|send| send.wait())
}

/// The extremes with their indices.
fn located<T: Bits>(
    comm: &Communicator,
    operator: Operator,
    count: usize,
) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    // Few values, so that many are equal, and indices in no order.
    let pair = |rank: usize, place: usize| {
        let place = place % PERIOD;
        let values = bits::by_chance(T::DTYPE, 5, 99);
        (values[(rank * 3 + place) % 5], ((rank * 5 + place) % 11) as u64)
    };
    let data: Vec<(T, u64)> = (0..count)
        .map(|place| pair(rank, place))
        .map(|(bits, index)| (T::of_bits(bits), index))
        .collect();
    let right: Vec<(u64, u64)> = (0..count.min(PERIOD))
        .map(|place| {
            let column: Vec<(u64, u64)> = (0..size).map(|rank| pair(rank, place)).collect();
            bits::located(operator, T::DTYPE, &column)
        })
        .collect();
    let check = |found: &[(T, u64)]| {
        assert_eq!(found.len(), count);
        for (found, right) in found.iter().zip(right.iter().cycle()) {
            assert_eq!((found.0.bits(), found.1), *right, "{operator} of {}", T::DTYPE);
        }
    };
    check(&comm.all_reduce_located(&data, operator)?);
    check(&comm.by(TREES[0]).all_reduce_located(&data, operator)?);
    let root = count % size;
    let reduced = comm.by(Algorithm::Direct).reduce_located(&data, operator, root)?;
    assert_eq!(reduced.is_some(), rank == root, "reduce_located");
    reduced.iter().for_each(|found| check(found));
    Ok(())
}

/// Totals over unlike shares of one array.
fn exact<T: Bits>(comm: &Communicator, arrays: &Arrays, count: usize) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let share = |rank: usize| arrays.of::<T>(rank, 0, count * rank / size);
    let row = (0..size).flat_map(share);
    let bytes: Vec<u8> = row
        .flat_map(|element| element.bits().to_le_bytes()[..size_of::<T::Stored>()].to_vec())
        .collect();
    for op in EXACT.into_iter().filter(|op| op.takes(T::DTYPE)) {
        let output = op.natural_output(T::DTYPE);
        let data = Data::new(T::DTYPE, &bytes);
        let right = Value::of(output, oracle::result(op, &data, false, 0, output));
        let mine = share(rank);
        // An integer total may have more bits than its type.
        let wrapped = |value: Value| value.wrapped(output);
        let total = comm.all_reduce_exact(&mine, op)?.value;
        assert_eq!(wrapped(total), right, "{op} of all {}", T::DTYPE);
        let root = count % size;
        let reduced = comm.reduce_exact(&mine, op, root)?.map(|found| wrapped(found.value));
        assert_eq!(reduced, (rank == root).then_some(right), "{op} of {}", T::DTYPE);
    }
    Ok(())
}

/// Functions of the caller's own.
fn functions(comm: &Communicator) -> Result<(), GroupError> {
    let (rank, size) = (comm.rank(), comm.size());
    let arrays = Arrays::new::<i64>(comm, 2);
    let (data, all) = (arrays.own::<i64>(PERIOD), 0..size);
    // Neither associative nor commutative: only one order is right.
    let step = |a: i64, b: i64| a.wrapping_mul(31).wrapping_add(b);
    let fold = |ranks: usize| -> Vec<i64> {
        let all: Vec<Vec<i64>> = all.clone().map(|rank| arrays.of(rank, 0, PERIOD)).collect();
        let place = |place: usize| all[..ranks].iter().map(|one| one[place]).reduce(step);
        (0..PERIOD).map(|at| place(at).expect("a rank")).collect()
    };
    for algorithm in [Algorithm::Flat, Algorithm::Direct] {
        let by = comm.by(algorithm);
        same(&by.all_reduce(&data, Combine::own(false, step))?, &fold(size), "a function");
        same(&by.scan(&data, Combine::own(false, step))?, &fold(rank + 1), "a function");
    }
    let largest = Combine::own(true, |a: i64, b: i64| a.max(b));
    let found = comm.by(TREES[0]).all_reduce(&data, largest)?;
    arrays.folded::<i64>(Operator::Max, size).check(&found, 0, PERIOD, "a function");
    Ok(())
}

/// Communicators out of this one, of which each has the calls of another type.
fn parts(comm: &Communicator) -> Result<(), GroupError> {
    let rank = comm.rank();
    let color = (rank % 3 != 2).then_some(rank as u32 % 3);
    let part = comm.split(color, -(rank as i64))?;
    assert_eq!(part.is_some(), color.is_some());
    let copy = comm.dup()?;
    if let Some(part) = part {
        let ranks = part.all_gather(&[rank as u64])?;
        let right: Vec<u64> =
            (0..comm.size() as u64).rev().filter(|one| one % 3 == rank as u64 % 3).collect();
        assert_eq!(ranks, right);
        assert_eq!(ranks[part.rank()], rank as u64);
        typed::<f32>(&part, &[0, 500])?;
        typed::<u16>(&part.dup()?, &[0, 500])?;
    }
    typed::<i32>(&copy, &[0, 500])
}
