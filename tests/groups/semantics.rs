//! What every call gives, by every schedule, at sizes from one rank on.

use std::sync::Arc;

use adsum::collective::Algorithm;
use adsum::communicator::{Combine, Communicator, GroupError, Operator};
use adsum::{DType, Op, Value};
use half::{bf16, f16};

use crate::chance::Chance;
use crate::every;
use crate::limits::{LENGTHS_BYTES, small};
use crate::model::{self, bits32, bits64};
use crate::oracle;
use crate::threads::{group, group_with, tiny};

const SIZES: [usize; 6] = [1, 2, 3, 4, 7, 16];

const ALGORITHMS: [Option<Algorithm>; 4] =
    [None, Some(Algorithm::Flat), Some(Algorithm::Tree { fan: 3 }), Some(Algorithm::Direct)];

/// The array of a rank: values of unlike exponents, so that naive sums differ.
fn floats(rank: usize, count: usize) -> Vec<f64> {
    let mut chance = Chance::new(rank as u64 * 7919 + count as u64);
    (0..count)
        .map(|_| {
            let power = chance.number(0..=60) as i32 - 30;
            let value = (chance.word() >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
            value * 2f64.powi(power)
        })
        .collect()
}

fn narrow(rank: usize, count: usize) -> Vec<f32> {
    floats(rank, count).iter().map(|&x| x as f32).collect()
}

fn with(comm: &Communicator, algorithm: Option<Algorithm>) -> Communicator {
    match algorithm {
        Some(algorithm) => comm.by(algorithm),
        None => comm.within(std::time::Duration::from_secs(60)),
    }
}

#[test]
fn float_sums_are_exact_at_every_rank_by_every_schedule() {
    for size in SIZES {
        for count in [0, 1, 5, 100] {
            let all: Vec<Vec<f32>> = (0..size).map(|rank| narrow(rank, count)).collect();
            let wide: Vec<Vec<f64>> = (0..size).map(|rank| floats(rank, count)).collect();
            // Of the first ranks, one more each time.
            let sums: Vec<_> = (1..=size).map(|end| model::sums_f32(&all[..end])).collect();
            let doubles: Vec<_> = (1..=size).map(|end| model::sums_f64(&wide[..end])).collect();
            let means = model::means_f64(&wide);
            let model = Arc::new((all, wide, sums, doubles, means));
            for config in [tiny(), Default::default()] {
                let model = Arc::clone(&model);
                group_with(size, &config, move |comm| float_sums(&comm, &model));
            }
        }
    }
}

#[test]
fn every_call_of_every_type_gives_what_the_oracle_says() {
    for size in [1, 2, 3, 4, 5, 7] {
        let ended = group_with(size, &small(), |comm| every::every(&comm, &LENGTHS_BYTES));
        assert_eq!(ended, vec![Ok(()); size]);
    }
}

type Floats = (Vec<Vec<f32>>, Vec<Vec<f64>>, Vec<Vec<u32>>, Vec<Vec<u64>>, Vec<u64>);

fn float_sums(comm: &Communicator, (all, wide, sums, doubles, means): &Floats) {
    let (rank, size) = (comm.rank(), comm.size());
    let (root, last) = (size / 2, size - 1);
    for algorithm in [None, Some(Algorithm::Flat), Some(Algorithm::Direct)] {
        let comm = with(comm, algorithm);
        let sum = comm.all_reduce(&all[rank], Operator::Sum).unwrap();
        assert_eq!(bits32(&sum), sums[last], "{size} {algorithm:?}");
        let sum = comm.reduce(&wide[rank], Operator::Sum, root).unwrap();
        assert_eq!(sum.map(|sum| bits64(&sum)), (rank == root).then(|| doubles[last].clone()));
        let sum = comm.scan(&wide[rank], Operator::Sum).unwrap();
        assert_eq!(bits64(&sum), doubles[rank]);
        let sum = comm.exscan(&all[rank], Operator::Sum).unwrap();
        assert_eq!(sum.map(|sum| bits32(&sum)), (rank > 0).then(|| sums[rank - 1].clone()));
        let mean = comm.all_reduce(&wide[rank], Operator::Mean).unwrap();
        assert_eq!(bits64(&mean), *means);
    }
    let mut place = all[rank].clone();
    comm.all_reduce_in_place(&mut place, Operator::Sum).unwrap();
    assert_eq!(bits32(&place), sums[last]);
}

#[test]
fn integers_and_functions_fold_in_rank_order() {
    for size in SIZES {
        group_with(size, &tiny(), move |comm| {
            let rank = comm.rank();
            let of = |rank: usize| -> Vec<i64> {
                let mut chance = Chance::new(rank as u64);
                (0..77).map(|_| chance.word() as i64).collect()
            };
            let all: Vec<Vec<i64>> = (0..size).map(of).collect();
            for operator in model::OPERATORS {
                let expected = model::integers(operator, &all);
                for algorithm in ALGORITHMS {
                    let comm = with(&comm, algorithm);
                    assert_eq!(comm.all_reduce(&all[rank], operator), Ok(expected.clone()));
                    let root = size - 1;
                    let reduced = comm.reduce(&all[rank], operator, root).unwrap();
                    assert_eq!(reduced, (rank == root).then(|| expected.clone()));
                }
                let scanned = comm.scan(&all[rank], operator);
                assert_eq!(scanned, Ok(model::integers(operator, &all[..=rank])));
            }
            // Not commutative, and not associative either: only one order is right.
            let step = |a: i64, b: i64| a.wrapping_mul(31).wrapping_add(b);
            let expected: Vec<i64> = (0..77)
                .map(|place| all.iter().map(|one| one[place]).reduce(step).unwrap())
                .collect();
            for algorithm in [None, Some(Algorithm::Flat), Some(Algorithm::Direct)] {
                let comm = with(&comm, algorithm);
                let folded = comm.all_reduce(&all[rank], Combine::own(false, step));
                assert_eq!(folded, Ok(expected.clone()));
            }
            let refused = comm
                .by(Algorithm::Tree { fan: 2 })
                .all_reduce(&all[rank], Combine::own(false, step));
            assert!(matches!(refused, Err(GroupError::Algorithm { groups: true, .. })));
            let counts: Vec<usize> = (0..size).map(|of| of * 77 / size).collect();
            let mut counts: Vec<usize> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            counts.push(77 - counts.iter().sum::<usize>());
            let start: usize = counts[..rank].iter().sum();
            let block = comm.reduce_scatter(&all[rank], &counts, Operator::Sum).unwrap();
            let sums = model::integers(Operator::Sum, &all);
            assert_eq!(block, sums[start..start + counts[rank]]);
            let even = vec![all[rank][0]; 2 * size];
            let block = comm.reduce_scatter_block(&even, Operator::Max).unwrap();
            assert_eq!(block, vec![all.iter().map(|one| one[0]).max().unwrap(); 2]);
        });
    }
}

#[test]
fn blocks_of_all_lengths_go_where_they_belong() {
    for size in SIZES {
        group_with(size, &tiny(), move |comm| {
            let (rank, root) = (comm.rank(), size / 3);
            let own = |rank: usize, to: usize| -> Vec<u16> {
                (0..(rank * 37 + to * 11) % 150).map(|n| (n * 31 + rank * 7 + to) as u16).collect()
            };
            let all: Vec<Vec<u16>> = (0..size).map(|rank| own(rank, 0)).collect();
            assert_eq!(comm.all_gather_v(&all[rank]), Ok(all.clone()));
            let gathered = comm.gather_v(&all[rank], root).unwrap();
            assert_eq!(gathered, (rank == root).then(|| all.clone()));
            let mine: Vec<Vec<u16>> = (0..size).map(|to| own(rank, to)).collect();
            let theirs: Vec<Vec<u16>> = (0..size).map(|from| own(from, rank)).collect();
            assert_eq!(comm.all_to_all_v(&mine), Ok(theirs));
            let parts: Vec<Vec<u16>> = (0..size).map(|to| own(root, to)).collect();
            let given = if rank == root { &parts[..] } else { &[] };
            assert_eq!(comm.scatter_v(given, root), Ok(parts[rank].clone()));
            let equal = |rank: usize| vec![rank as u32; 40];
            let everything: Vec<u32> = (0..size).flat_map(equal).collect();
            assert_eq!(comm.all_gather(&equal(rank)), Ok(everything.clone()));
            let gathered = comm.gather(&equal(rank), root).unwrap();
            assert_eq!(gathered, (rank == root).then(|| everything.clone()));
            let given = if rank == root { &everything[..] } else { &[] };
            assert_eq!(comm.scatter(given, root), Ok(equal(rank)));
            let mut turned: Vec<u32> =
                (0..size).flat_map(|to| vec![(rank * size + to) as u32; 3]).collect();
            comm.all_to_all_in_place(&mut turned).unwrap();
            let expected: Vec<u32> =
                (0..size).flat_map(|from| vec![(from * size + rank) as u32; 3]).collect();
            assert_eq!(turned, expected);
            for algorithm in ALGORITHMS {
                let mut data = if rank == root { everything.clone() } else { vec![0; 40 * size] };
                with(&comm, algorithm).broadcast_in_place(&mut data, root).unwrap();
                assert_eq!(data, everything);
                with(&comm, algorithm).barrier().unwrap();
            }
            comm.by(Algorithm::Dissemination).barrier().unwrap();
        });
    }
}

#[test]
fn every_type_is_taken() {
    macro_rules! check {
        ($comm:ident, $($type:ty, $sum:expr),*) => {$(
            let one: $type = $sum(1_u8);
            let sum = $comm.all_reduce(&[one, one], Operator::Sum).unwrap();
            assert_eq!(sum, vec![$sum(3_u8); 2], stringify!($type));
            let largest = $comm.all_reduce(&[$sum($comm.rank() as u8)], Operator::Max).unwrap();
            assert_eq!(largest, vec![$sum(2_u8)]);
        )*};
    }
    group(3, |comm| {
        check!(
            comm,
            i8,
            |x: u8| x as i8,
            i16,
            i16::from,
            i32,
            i32::from,
            i64,
            i64::from,
            u8,
            u8::from,
            u16,
            u16::from,
            u32,
            u32::from,
            u64,
            u64::from,
            f32,
            f32::from,
            f64,
            f64::from,
            f16,
            f16::from,
            bf16,
            bf16::from
        );
        let two = comm.rank() == 2;
        assert_eq!(comm.all_reduce(&[two, !two], Operator::LogicalAnd), Ok(vec![false, false]));
        assert_eq!(comm.all_reduce(&[two, !two], Operator::LogicalXor), Ok(vec![true, false]));
        let refused = comm.all_reduce(&[two], Operator::Sum);
        let expected = GroupError::Operator { operator: Operator::Sum, dtype: DType::Bool };
        assert_eq!(refused, Err(expected));
        let pairs = [(comm.rank() as f32 % 2.0, 10 - comm.rank() as u64)];
        let least = comm.all_reduce_located(&pairs, Operator::MinLoc);
        assert_eq!(least, Ok(vec![(0.0, 8)]));
        let most = comm.reduce_located(&pairs, Operator::MaxLoc, 1).unwrap();
        assert_eq!(most, (comm.rank() == 1).then(|| vec![(1.0, 9)]));
        let mut local = [1.5_f32, -0.0];
        comm.reduce_local(&mut local, &[2.0, -0.0], Operator::Sum).unwrap();
        assert_eq!(bits32(&local), bits32(&[3.5, 0.0]));
    });
}

#[test]
fn exact_totals_do_not_depend_on_the_number_of_ranks() {
    let data: Vec<f32> = (0..17).flat_map(|rank| narrow(rank, 61)).collect();
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let (sum, mean) = (oracle::sum_bits_f32(&bytes), oracle::sum(DType::F32, &bytes));
    let mean = mean.quotient(data.len() as u64, DType::F32) as u32;
    let least = (0..data.len()).min_by(|&a, &b| data[a].total_cmp(&data[b])).unwrap();
    let mut products = Vec::new();
    for size in [1, 2, 5, 16] {
        let data = data.clone();
        let cut = move |rank: usize| {
            // Unlike shares, some of them empty.
            let at = |n: usize| data.len() * n * n / (size * size);
            data[at(rank)..at(rank + 1)].to_vec()
        };
        products.extend(group(size, move |comm| {
            let mine = cut(comm.rank());
            let of = |op| comm.all_reduce_exact(&mine, op).unwrap().value;
            assert_eq!(of(Op::Sum), Value::of(DType::F32, sum.into()));
            assert_eq!(of(Op::Mean), Value::of(DType::F32, mean.into()));
            assert_eq!(of(Op::ArgMin), Value::int64(least as i64));
            let at_root = comm.reduce_exact(&mine, Op::Sum, size - 1).unwrap();
            let here = comm.rank() == size - 1;
            assert_eq!(at_root.map(|f| f.value), here.then(|| Value::of(DType::F32, sum.into())));
            of(Op::Prod)
        }));
    }
    assert!(products.iter().all(|product| *product == products[0]), "{products:?}");
}

#[test]
fn messages_come_in_order_and_by_tag() {
    group_with(4, &tiny(), |comm| {
        let (rank, size) = (comm.rank(), comm.size());
        let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
        // Longer than what is sent unasked, and all at once in a circle.
        let data: Vec<u64> = (0..500).map(|n| n * 10 + rank as u64).collect();
        let got = comm.send_receive(&data, next, last, 3).unwrap();
        assert!(got.iter().all(|n| n % 10 == last as u64) && got.len() == 500);
        for number in 0..50_u32 {
            comm.send(&[number], next, number % 2).unwrap();
        }
        for tag in [1, 0] {
            for number in (0..50).filter(|number| number % 2 == tag) {
                let received = comm.receive::<u32>(Some(last), Some(tag)).unwrap();
                assert_eq!(received.data, [number]);
            }
        }
        comm.send(&[1.5_f32], rank, 9).unwrap();
        assert_eq!(comm.receive::<f32>(None, Some(9)).unwrap().from, rank);
        comm.send(&[1_u8], next, 7).unwrap();
        let wrong = comm.receive::<f32>(Some(last), Some(7));
        assert!(matches!(wrong, Err(GroupError::Message { .. })), "{wrong:?}");
        comm.barrier().unwrap();
    });
}

#[test]
fn communicators_of_parts_are_apart() {
    group(7, |comm| {
        let color = (comm.rank() % 3 != 2).then_some(comm.rank() as u32 % 3);
        let part = comm.split(color, -(comm.rank() as i64)).unwrap();
        assert_eq!(part.is_some(), color.is_some());
        let copy = comm.dup().unwrap();
        if let Some(part) = &part {
            let ranks = part.all_gather(&[comm.rank() as u8]).unwrap();
            let expected: &[u8] = if color == Some(0) { &[6, 3, 0] } else { &[4, 1] };
            assert_eq!(ranks, expected);
            assert_eq!(ranks[part.rank()], comm.rank() as u8);
            let nested = part.dup().unwrap();
            assert_eq!(nested.all_reduce(&[1_i32], Operator::Sum), Ok(vec![part.size() as i32]));
        }
        // Begun in one order, waited for in another, on two communicators.
        let first = comm.all_reduce_async(&[1_i32], Operator::Sum);
        let second = copy.all_reduce_async(&[2_i32], Operator::Sum);
        let third = comm.all_reduce_async(&[3_i32], Operator::Sum);
        assert_eq!(third.wait(), Ok(vec![21]));
        assert_eq!(second.wait(), Ok(vec![14]));
        assert_eq!(first.wait(), Ok(vec![7]));
    });
}

#[test]
fn sixty_four_ranks_sum_the_same_bits() {
    let sums = group(64, |comm| {
        let mine = narrow(comm.rank(), 300);
        bits32(&comm.all_reduce(&mine, Operator::Sum).unwrap())
    });
    let all: Vec<Vec<f32>> = (0..64).map(|rank| narrow(rank, 300)).collect();
    let expected = model::sums_f32(&all);
    assert!(sums.iter().all(|sum| *sum == expected));
}

#[test]
fn what_was_measured_is_the_same_at_all_ranks() {
    let tunings = group(3, |comm| {
        let half = comm.split(Some(u32::from(comm.rank() > 0)), 0).unwrap().unwrap();
        half.calibrate().unwrap();
        let tuning = comm.calibrate().unwrap();
        for count in [1, 1000, 100_000] {
            let sum = comm.all_reduce(&vec![1_i32; count], Operator::Sum);
            assert_eq!(sum, Ok(vec![3; count]));
        }
        tuning
    });
    assert!(tunings.iter().all(|tuning| *tuning == tunings[0]));
}

#[test]
fn one_rank_needs_nobody() {
    let comm = Communicator::solo();
    assert_eq!(comm.all_reduce(&[2.5_f64], Operator::Sum), Ok(vec![2.5]));
    assert_eq!(comm.exscan(&[2.5_f64], Operator::Sum), Ok(None));
    assert_eq!(comm.all_gather_v(&[1_u8]), Ok(vec![vec![1]]));
    assert_eq!(comm.all_to_all(&[1_u8]), Ok(vec![1]));
    assert_eq!(comm.scatter(&[4_u8, 5], 0), Ok(vec![4, 5]));
    comm.barrier().unwrap();
    assert_eq!(comm.dup().unwrap().size(), 1);
    let wrong = comm.broadcast(&[1_u8], 1);
    assert_eq!(wrong, Err(GroupError::Rank { rank: 1, size: 1 }));
}

#[test]
fn requests_are_futures() {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    group(3, |comm| {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = pin!(async {
            let sum = comm.all_reduce_async(&[1_u8], Operator::Sum).await?;
            comm.all_gather_async(&sum).await
        });
        let all = loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(all) => break all,
                Poll::Pending => std::thread::park(),
            }
        };
        assert_eq!(all, Ok(vec![3; 3]));
        let mut request = comm.barrier_async();
        while !request.test() {
            std::thread::yield_now();
        }
        request.wait().unwrap();
    });
}
