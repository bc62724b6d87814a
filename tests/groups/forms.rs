//! The forms of a call, in place and as a future, give what the call gives.

use std::time::Duration;

use adsum::communicator::{Combine, Communicator, GroupError, Operator};

use crate::faults::{self, Fault};
use crate::threads::{each, group, group_with, tiny};

/// What a rank gives for another one.
fn block(rank: usize, to: usize, length: usize) -> Vec<i32> {
    (0..length).map(|n| (rank * 10_000 + to * 100 + n) as i32).collect()
}

/// Of each rank its block for this one, one after the other.
fn column(size: usize, to: usize, length: usize) -> Vec<i32> {
    (0..size).flat_map(|rank| block(rank, to, length)).collect()
}

#[test]
fn blocks_in_place_lie_where_mpi_has_them() {
    for (size, length) in [(1, 3), (2, 0), (3, 5), (5, 40)] {
        group_with(size, &tiny(), move |comm| {
            let (rank, root) = (comm.rank(), size / 2);
            let own = rank * length..(rank + 1) * length;
            let with_own = || {
                let mut array = vec![-1; size * length];
                array[own.clone()].copy_from_slice(&block(rank, 0, length));
                array
            };
            let mut array = with_own();
            comm.all_gather_in_place(&mut array).unwrap();
            assert_eq!(array, column(size, 0, length));

            let mut array = if rank == root { with_own() } else { block(rank, 0, length) };
            comm.gather_in_place(&mut array, root).unwrap();
            let kept = || block(rank, 0, length);
            assert_eq!(array, if rank == root { column(size, 0, length) } else { kept() });

            let whole: Vec<i32> = (0..size).flat_map(|to| block(root, to, length)).collect();
            let mut array = if rank == root { whole.clone() } else { vec![-1; length] };
            comm.scatter_in_place(&mut array, root).unwrap();
            assert_eq!(array, if rank == root { whole } else { block(root, rank, length) });

            let mut array: Vec<i32> = (0..size).flat_map(|to| block(rank, to, length)).collect();
            comm.all_to_all_in_place(&mut array).unwrap();
            assert_eq!(array, column(size, rank, length));
        });
    }
}

#[test]
fn lists_in_place_have_the_arrays_of_all_ranks() {
    for size in [1, 2, 5] {
        group_with(size, &tiny(), move |comm| {
            let (rank, root) = (comm.rank(), size - 1);
            let length = |from: usize, to: usize| (from * 7 + to * 3) % 30;
            let of = |from: usize, to: usize| block(from, to, length(from, to));
            let all: Vec<Vec<i32>> = (0..size).map(|from| of(from, 0)).collect();
            let with_own = || {
                let mut list = vec![vec![-1; 4]; size];
                list[rank] = of(rank, 0);
                list
            };
            let mut list = with_own();
            comm.all_gather_v_in_place(&mut list).unwrap();
            assert_eq!(list, all);

            let mut list = if rank == root { with_own() } else { vec![of(rank, 0)] };
            comm.gather_v_in_place(&mut list, root).unwrap();
            assert_eq!(list, if rank == root { all } else { vec![of(rank, 0)] });

            let rows: Vec<Vec<i32>> = (0..size).map(|to| of(root, to)).collect();
            let mut list = if rank == root { rows.clone() } else { vec![Vec::new()] };
            comm.scatter_v_in_place(&mut list, root).unwrap();
            assert_eq!(list, if rank == root { rows } else { vec![of(root, rank)] });

            let mut list: Vec<Vec<i32>> = (0..size).map(|to| of(rank, to)).collect();
            comm.all_to_all_v_in_place(&mut list).unwrap();
            assert_eq!(list, (0..size).map(|from| of(from, rank)).collect::<Vec<_>>());
        });
    }
}

#[test]
fn folds_in_place_leave_what_is_not_the_result() {
    group_with(3, &tiny(), |comm| {
        let (rank, size) = (comm.rank() as i64, comm.size() as i64);
        let own = |rank: i64| -> Vec<i64> { (0..60).map(|n| n + 1000 * rank).collect() };
        let folded = |ranks: i64| -> Vec<i64> {
            (0..60).map(|n| n * ranks + 1000 * ranks * (ranks - 1) / 2).collect()
        };
        let mut array = own(rank);
        comm.reduce_in_place(&mut array, Operator::Sum, 1).unwrap();
        assert_eq!(array, if rank == 1 { folded(size) } else { own(rank) });
        let mut array = own(rank);
        comm.scan_in_place(&mut array, Operator::Sum).unwrap();
        assert_eq!(array, folded(rank + 1));
        let mut array = own(rank);
        comm.exscan_in_place(&mut array, Operator::Sum).unwrap();
        assert_eq!(array, if rank == 0 { own(0) } else { folded(rank) });
        let mut array = own(rank);
        comm.broadcast_in_place(&mut array, 2).unwrap();
        assert_eq!(array, own(2));
        let mut array = own(rank);
        comm.all_reduce_in_place(&mut array, Combine::own(true, |a, b| a + b)).unwrap();
        assert_eq!(array, folded(size));

        let (counts, start) = ([10, 30, 20], [0, 10, 40]);
        let mut array = own(rank);
        comm.reduce_scatter_in_place(&mut array, &counts, Operator::Sum).unwrap();
        let (at, count) = (start[rank as usize], counts[rank as usize]);
        assert_eq!(array[..count], folded(size)[at..at + count]);
        assert_eq!(array[count..], own(rank)[count..]);
        let mut array = own(rank);
        comm.reduce_scatter_block_in_place(&mut array, Operator::Sum).unwrap();
        assert_eq!(array[..20], folded(size)[20 * rank as usize..][..20]);
        assert_eq!(array[20..], own(rank)[20..]);

        let mut pairs = [(10 - rank, rank as u64), (rank % 2, 7 - rank as u64)];
        comm.all_reduce_located_in_place(&mut pairs, Operator::MinLoc).unwrap();
        assert_eq!(pairs, [(8, 2), (0, 5)]);
        let mut pairs = [(rank % 2, 7 - rank as u64)];
        comm.reduce_located_in_place(&mut pairs, Operator::MaxLoc, 0).unwrap();
        assert_eq!(pairs[0], if rank == 0 { (1, 6) } else { (rank % 2, 7 - rank as u64) });
    });
}

#[test]
fn arrays_of_wrong_lengths_are_refused_and_stay_as_they_are() {
    group(2, |comm| {
        let mut odd = [1_u8, 2, 3];
        let refused = comm.all_gather_in_place(&mut odd);
        assert!(matches!(refused, Err(GroupError::Length { expected: 4, got: 3, .. })));
        let mut three = vec![vec![1_u8]; 3];
        let refused = comm.all_gather_v_in_place(&mut three);
        assert!(matches!(refused, Err(GroupError::Length { expected: 2, got: 3, .. })));
        let refused = comm.all_to_all_v_in_place(&mut three);
        assert!(matches!(refused, Err(GroupError::Length { expected: 2, got: 3, .. })));
        // What came is of another length than there is room for; the call is over.
        let mut array = vec![comm.rank() as u8; if comm.rank() == 0 { 4 } else { 3 }];
        let scattered = comm.scatter_in_place(&mut array, 0);
        assert_eq!(scattered.is_ok(), comm.rank() == 0, "{scattered:?}");
        assert!(array.iter().all(|&x| x == comm.rank() as u8));
        comm.barrier().unwrap();
    });
}

#[test]
fn communicators_come_as_futures_in_any_order() {
    group(4, |comm| {
        let rank = comm.rank();
        let half = comm.split_async((rank != 3).then_some(rank as u32 % 2), 0);
        let copy = comm.dup_async();
        let sum = comm.all_reduce_async(&[1_i32], Operator::Sum);
        // The later ones first.
        let copy = copy.wait().unwrap();
        assert_eq!(copy.all_gather(&[rank as u8]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(sum.wait(), Ok(vec![4]));
        let half = half.wait().unwrap();
        let expected: [&[u8]; 4] = [&[0, 2], &[1], &[0, 2], &[]];
        match half {
            Some(half) => {
                assert_eq!(half.all_gather(&[rank as u8]), Ok(expected[rank].to_vec()));
            }
            None => assert_eq!(rank, 3),
        }
    });
}

#[test]
fn a_communicator_that_nobody_takes_is_given_back() {
    group(3, |comm| {
        let request = comm.dup_async();
        if comm.rank() == 2 {
            drop(request);
        } else {
            // Not waited for until its deadline.
            let copy = request.wait().unwrap();
            let missed = copy.within(Duration::from_secs(60)).barrier();
            assert!(matches!(missed, Err(GroupError::PeerLost { rank: 2, .. })), "{missed:?}");
        }
        comm.barrier().unwrap();
    });
}

#[test]
fn messages_go_both_ways_as_futures() {
    group_with(3, &tiny(), |comm| {
        let (rank, size) = (comm.rank(), comm.size());
        let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
        // Much and little, all under way at once in a circle.
        let requests: Vec<_> = (0..20_u32)
            .map(|tag| {
                let data = vec![rank as u64 + u64::from(tag); 20 * tag as usize];
                comm.send_receive_async(&data, next, last, tag)
            })
            .collect();
        for (tag, mut request) in (0..20_u64).zip(requests) {
            while !request.test() {
                std::thread::yield_now();
            }
            assert_eq!(request.wait(), Ok(vec![last as u64 + tag; 20 * tag as usize]));
        }
        let nobody = comm.send_receive_async(&[1_u8], 7, last, 99);
        assert_eq!(nobody.wait(), Err(GroupError::Rank { rank: 7, size: 3 }));
    });
}

#[test]
fn who_shrinks_may_wait_later() {
    let (ranks, _) = faults::group(3, &tiny(), 1, Fault::Kill(0));
    each(ranks, |comm: Communicator| {
        let lost = comm.barrier();
        if comm.rank() == 1 {
            return;
        }
        assert!(matches!(lost, Err(GroupError::PeerLost { rank: 1, .. })), "{lost:?}");
        let request = comm.shrink_async();
        let rest = request.wait().unwrap();
        assert_eq!(rest.all_gather(&[comm.rank() as u8]), Ok(vec![0, 2]));
    });
}
