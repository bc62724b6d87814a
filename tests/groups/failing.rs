//! Ranks that differ, die, pause, panic, leave, or take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adsum::collective::Algorithm;
use adsum::communicator::{Combine, Communicator, Config, GroupError, Operator};
use adsum::op::Op;

use crate::faults::{self, Fault};
use crate::single::{CALLS, NEED_NOT_ALL, call};
use crate::threads::{each, group, group_with, tiny};

/// Before each frame that one of so many ranks sends in a call, until it sends no more:
/// `strikes` has it fail there, and says whether it did. Gives how often.
fn in_every_phase(size: usize, strikes: impl Fn(usize, usize, usize) -> bool) -> usize {
    let each = |(number, victim)| (0..).take_while(|&after| strikes(number, victim, after)).count();
    (0..CALLS).flat_map(|number| (0..size).map(move |victim| (number, victim))).map(each).sum()
}

#[test]
fn a_death_in_any_phase_of_any_call_ends_it_and_the_living_go_on() {
    let size = 4;
    let deaths = in_every_phase(size, |number, victim, after| {
        let (ranks, struck) = faults::group(size, &tiny(), victim, Fault::Kill(after));
        let what = format!("call {number}, kill {victim} after {after}");
        let ended = each(ranks, move |comm| {
            let first = call(number, &comm);
            // A barrier makes sure that a death is met by all.
            let then = comm.barrier();
            if comm.rank() == victim {
                return None;
            }
            if let Err(error) = &first {
                assert!(matches!(error, GroupError::PeerLost { .. }), "{what}: {error}");
                assert!(matches!(then, Err(GroupError::PeerLost { .. })), "{what}: {then:?}");
            }
            let rest = comm.within(Duration::from_secs(20)).shrink();
            let rest = rest.unwrap_or_else(|error| panic!("{what}: {error}"));
            let sum = rest.all_reduce(&[1_u32], Operator::Sum).expect("the living go on");
            assert_eq!(sum, [rest.size() as u32], "{what}");
            Some(rest.size())
        });
        let sizes: Vec<usize> = ended.into_iter().flatten().collect();
        assert_eq!(sizes, vec![size - 1; size - 1], "call {number}, kill {victim} after {after}");
        struck.load(Ordering::SeqCst)
    });
    assert!(deaths > CALLS * size * 5, "only {deaths} deaths");
}

#[test]
fn a_pause_in_any_phase_changes_nothing() {
    let size = 3;
    let pauses = in_every_phase(size, |number, victim, after| {
        let fault = Fault::Pause(after, Duration::from_millis(5));
        let (ranks, struck) = faults::group(size, &tiny(), victim, fault);
        for ended in each(ranks, move |comm| call(number, &comm)) {
            assert_eq!(ended, Ok(()), "call {number}, pause of {victim} after {after}");
        }
        struck.load(Ordering::SeqCst)
    });
    assert!(pauses > CALLS * size * 3, "only {pauses} pauses");
}

#[test]
fn a_panic_of_a_rank_ends_the_calls_that_need_it() {
    for number in 0..CALLS {
        let needs_all = !NEED_NOT_ALL.contains(&number);
        let ended = group(3, move |comm| {
            if comm.rank() == 2 {
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                    let _own = comm;
                    panic!("on purpose");
                }));
                assert!(panicked.is_err());
                return None;
            }
            Some(call(number, &comm).and_then(|()| comm.barrier()))
        });
        for ended in ended.into_iter().flatten() {
            let lost = matches!(ended, Err(GroupError::PeerLost { rank: 2, .. }));
            assert!(lost || (!needs_all && ended.is_err()), "call {number}: {ended:?}");
        }
    }
}

#[test]
fn a_panic_of_a_users_function_fails_the_call_at_all_ranks() {
    for algorithm in [Algorithm::Flat, Algorithm::Direct, Algorithm::Tree { fan: 2 }] {
        let ended = group_with(4, &tiny(), move |comm| {
            let own = Combine::own(true, |a: i32, b: i32| {
                assert!(b != 77, "seventy-seven");
                a + b
            });
            let mut data = vec![1; 200];
            data[170] = if comm.rank() == 3 { 77 } else { 1 };
            comm.by(algorithm).all_reduce(&data, own)
        });
        for ended in ended {
            let Err(GroupError::Panicked { message, .. }) = ended else {
                panic!("{algorithm:?}: {ended:?}")
            };
            assert!(message.contains("seventy-seven"));
        }
    }
}

/// Each rank makes one of two calls; all get an error that names both.
fn differ(
    names: [&'static str; 2],
    calls: impl Fn(&Communicator, bool) -> Result<(), GroupError> + Send + Sync + Clone + 'static,
) {
    let config = Config { probe_after: Duration::from_millis(20), ..Config::default() };
    let ended = group_with(3, &config, move |comm| {
        let first = calls(&comm, comm.rank() == 1);
        // Who has nothing to wait for learns of it in the next call.
        let second = comm.barrier();
        first.and(second)
    });
    for (rank, ended) in ended.into_iter().enumerate() {
        let error = ended.expect_err("ranks that differ");
        assert!(matches!(error, GroupError::Mismatch { .. }), "rank {rank}: {error}");
        let text = error.to_string();
        assert!(text.contains("rank 1 called"), "{text}");
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn calls_that_differ_are_an_error_at_all_ranks() {
    let unit = |result: Result<Vec<i32>, GroupError>| result.map(|_| ());
    differ(["sum of", "max of"], move |comm, other| {
        let operator = if other { Operator::Max } else { Operator::Sum };
        unit(comm.all_reduce(&[1], operator))
    });
    differ(["10 int32", "11 int32"], move |comm, other| {
        unit(comm.all_reduce(&vec![1; if other { 11 } else { 10 }], Operator::Sum))
    });
    differ(["float32", "int32"], move |comm, other| match other {
        true => comm.all_reduce(&[1_f32], Operator::Sum).map(|_| ()),
        false => unit(comm.all_reduce(&[1], Operator::Sum)),
    });
    differ(["root 0", "root 1"], move |comm, other| {
        comm.reduce(&[1], Operator::Sum, other.into()).map(|_| ())
    });
    differ(["broadcast(", "barrier("], move |comm, other| match other {
        true => comm.barrier(),
        false => unit(comm.broadcast(&[1], 0)),
    });
    differ(["gather(", "scatter("], move |comm, other| match other {
        true => unit(comm.scatter_v(&[], 0)),
        false => comm.gather_v(&[1], 0).map(|_| ()),
    });
    differ(["flat", "direct"], move |comm, other| {
        let algorithm = if other { Algorithm::Direct } else { Algorithm::Flat };
        unit(comm.by(algorithm).all_reduce(&[1, 2, 3], Operator::Sum))
    });
    differ(["in blocks", "reduce_scatter"], move |comm, other| {
        let counts: [usize; 3] = if other { [2, 1, 0] } else { [1, 1, 1] };
        unit(comm.reduce_scatter(&[1, 2, 3], &counts, Operator::Sum))
    });
    differ(["dup(", "split("], move |comm, other| match other {
        true => comm.dup().map(drop),
        false => comm.split(Some(0), 0).map(drop),
    });
    differ(["calibrate(", "barrier("], move |comm, other| match other {
        true => comm.calibrate().map(drop),
        false => comm.barrier(),
    });
}

/// Of many of these the states are the same, and what is made of them is not.
#[test]
fn exact_numbers_that_differ_are_an_error_at_all_ranks() {
    let ops = Op::ALL.into_iter().filter(|op| {
        let comm = Communicator::solo();
        comm.all_reduce_exact(&[1_f32], *op).is_ok()
    });
    let ops: Vec<Op> = ops.collect();
    assert!(ops.len() > 10, "{ops:?}");
    for (place, &one) in ops.iter().enumerate() {
        for &other in &ops[..place] {
            let ended = group(2, move |comm| {
                let op = if comm.rank() == 0 { one } else { other };
                comm.all_reduce_exact(&[1_f32, 2.0], op).map(drop)
            });
            let is_told =
                |ended: &Result<(), GroupError>| matches!(ended, Err(GroupError::Mismatch { .. }));
            assert!(ended.iter().all(is_told), "{one}, {other}: {ended:?}");
        }
    }
    differ(
        ["all_reduce_exact(sum of float32", "all_reduce_exact(mean of float32"],
        |comm, other| {
            comm.all_reduce_exact(&[1_f32], if other { Op::Mean } else { Op::Sum }).map(drop)
        },
    );
    differ(["reduce_exact(min of int8", "reduce_exact(min of uint8"], |comm, other| match other {
        true => comm.reduce_exact(&[1_u8], Op::Min, 0).map(drop),
        false => comm.reduce_exact(&[1_i8], Op::Min, 0).map(drop),
    });
}

#[test]
fn times_and_counts_beyond_all_bounds_are_taken_for_what_they_are() {
    group(2, |comm| {
        let comm = comm.within(Duration::MAX);
        assert_eq!(comm.all_reduce(&[1_i32], Operator::Sum), Ok(vec![2]));
        comm.send(&[1_u8], 1 - comm.rank(), 0).unwrap();
        assert_eq!(comm.receive::<u8>(None, None).unwrap().data, [1]);
        for counts in [[usize::MAX, 3], [usize::MAX, usize::MAX], [1 << 62, 1 << 62]] {
            let refused = comm.reduce_scatter(&[1_f32, 2.0], &counts, Operator::Sum);
            assert!(matches!(refused, Err(GroupError::Length { got: 2, .. })), "{refused:?}");
        }
        comm.barrier().unwrap();
        comm.shrink().unwrap();
    });
    let largest = Config {
        segment_bytes: usize::MAX,
        window_bytes: u64::MAX,
        ahead_bytes_max: u64::MAX,
        eager_bytes: u64::MAX,
        probe_after: Duration::MAX,
        timeout: Some(Duration::MAX),
        ..Config::default()
    };
    let smallest = Config {
        segment_bytes: 0,
        window_bytes: 0,
        ahead_bytes_max: 0,
        eager_bytes: 0,
        ..Config::default()
    };
    for config in [largest, smallest] {
        group_with(3, &config, |comm| {
            assert_eq!(comm.all_reduce(&[1_i32; 1000], Operator::Sum), Ok(vec![3; 1000]));
            let next = (comm.rank() + 1) % 3;
            let came = comm.send_receive(&[7_u16; 1000], next, (comm.rank() + 2) % 3, 5);
            assert_eq!(came, Ok(vec![7; 1000]));
        });
    }
    // Half of what there is no room for is not waited for.
    let one = Config { calls_max: 1, ..Config::default() };
    group_with(2, &one, |comm| {
        let refused = comm.send_receive(&[1_u8], 1 - comm.rank(), 1 - comm.rank(), 0);
        assert!(matches!(refused, Err(GroupError::Busy { .. })), "{refused:?}");
        comm.barrier().unwrap();
    });
}

#[test]
fn a_call_that_takes_too_long_names_whom_it_waited_for() {
    let ended = group(3, |comm| match comm.rank() {
        2 => {
            // It comes when the others have given up.
            let told = comm.receive::<u8>(Some(0), None);
            assert!(matches!(told, Err(GroupError::Timeout { .. })), "{told:?}");
            Err(told.expect_err("an error"))
        }
        _ => comm.within(Duration::from_millis(100)).all_reduce(&[1_u8], Operator::Sum).map(|_| ()),
    });
    for ended in ended {
        let Err(GroupError::Timeout { waiting_for, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(waiting_for, [2]);
    }
}

#[test]
fn a_receive_that_takes_too_long_breaks_nothing() {
    group(2, |comm| {
        if comm.rank() == 0 {
            let late = comm.within(Duration::from_millis(30)).receive::<u8>(Some(1), Some(4));
            assert!(matches!(late, Err(GroupError::Timeout { .. })), "{late:?}");
        }
        comm.barrier().unwrap();
    });
}

#[test]
fn who_stops_waiting_gives_the_communicator_back() {
    group(3, |comm| {
        let copy = comm.dup().unwrap();
        if comm.rank() == 1 {
            let asked = Arc::new(AtomicBool::new(false));
            // The second time, so that it waits on after the first.
            let stop = move || asked.swap(true, Ordering::Relaxed);
            // In the caller's memory, which must come back first.
            let mut array = [1_u8; 1000];
            let ended = copy.until(stop).all_reduce_in_place(&mut array, Operator::Sum);
            assert_eq!(ended, Err(GroupError::Closed));
            comm.barrier().unwrap();
        } else {
            comm.barrier().unwrap();
            // It may have given what this call needs of it, but not for the next.
            let _ = copy.all_reduce(&[1_u8; 1000], Operator::Sum);
            let missed = copy.barrier();
            assert!(matches!(missed, Err(GroupError::PeerLost { rank: 1, .. })), "{missed:?}");
        }
    });
}

#[test]
fn who_leaves_after_its_last_call_is_not_missed() {
    for _ in 0..20 {
        let ended = group(4, |comm| {
            let data = comm.broadcast(&[7_u8; 1000], 0)?;
            // Rank 0 may be gone before the others have begun.
            if comm.rank() == 0 {
                return Ok(data.len());
            }
            std::thread::sleep(Duration::from_millis(2));
            let rest = comm.split(Some(1), 0);
            assert!(matches!(rest, Err(GroupError::PeerLost { rank: 0, .. })));
            Ok(data.len())
        });
        assert_eq!(ended, vec![Ok::<usize, GroupError>(1000); 4]);
    }
}

#[test]
fn who_left_is_not_waited_for_with_more_than_a_window_for_it() {
    let data = vec![1; 1000];
    for algorithm in [Algorithm::Flat, Algorithm::Direct, Algorithm::Tree { fan: 2 }] {
        let data = data.clone();
        let ended = group_with(4, &tiny(), move |comm| {
            // It takes the first segments, and gives none.
            if comm.rank() == 1 {
                return None;
            }
            let comm = comm.within(Duration::from_secs(60)).by(algorithm);
            let sent = comm.reduce(&data, Operator::Sum, 1).map(|_| ());
            Some(sent.and_then(|()| comm.barrier()))
        });
        for ended in ended.into_iter().flatten() {
            let lost = matches!(ended, Err(GroupError::PeerLost { rank: 1, .. }));
            assert!(lost, "{algorithm:?}: {ended:?}");
        }
    }
}

#[test]
fn who_gives_a_communicator_back_is_missed_by_the_first_call_that_needs_it() {
    group(3, |comm| {
        let copy = comm.dup().unwrap();
        copy.barrier().unwrap();
        if comm.rank() == 1 {
            copy.send(&[5_u8], 0, 0).unwrap();
            drop(copy);
        } else {
            // What was sent before still comes, as long as no call has failed.
            if comm.rank() == 0 {
                assert_eq!(copy.receive::<u8>(Some(1), None).unwrap().data, [5]);
                comm.send(&[0_u8], 2, 0).unwrap();
            } else {
                comm.receive::<u8>(Some(0), None).unwrap();
            }
            let missed = copy.barrier();
            assert!(matches!(missed, Err(GroupError::PeerLost { rank: 1, .. })), "{missed:?}");
        }
        comm.barrier().unwrap();
    });
}

#[test]
fn who_comes_late_to_a_call_that_others_gave_up_is_told_why() {
    let ended = group(4, |comm| {
        let comm = comm.within(Duration::from_secs(60));
        // Root 0 leaves; 2 and 3 end the first call, miss it in the second, and go on.
        match comm.rank() {
            0 => return None,
            // It comes when they are waiting for it alone.
            1 => std::thread::sleep(Duration::from_millis(50)),
            _ => {}
        }
        let first = comm.gather(&[1_u8], 0).map(|_| ());
        let then = comm.barrier();
        let rest = comm.shrink().expect("three of four");
        assert_eq!(rest.all_reduce(&[1_u8], Operator::Sum), Ok(vec![3]));
        Some((first, then))
    });
    for (first, then) in ended.into_iter().flatten() {
        for ended in [first.and(then.clone()), then] {
            let lost = matches!(ended, Err(GroupError::PeerLost { rank: 0, .. }));
            assert!(lost, "{ended:?}");
        }
    }
}

#[test]
fn half_of_the_ranks_go_on_only_with_rank_zero() {
    for leaving in [0, 1] {
        let ended = group(2, move |comm| {
            if comm.rank() == leaving {
                return None;
            }
            Some(comm.shrink().map(|rest| rest.size()))
        });
        match ended.into_iter().flatten().next().expect("one rank") {
            Ok(size) => assert_eq!((size, leaving), (1, 1)),
            Err(error) => {
                assert_eq!((error, leaving), (GroupError::Minority { live: 1, size: 2 }, 0));
            }
        }
    }
}
