//! Functions of the user's: while one runs, all else goes on, and its panic is told.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adsum::collective::Algorithm;
use adsum::communicator::{Combine, GroupError, Operator};

use crate::threads::{group, group_with, tiny};

#[test]
fn while_a_function_runs_all_else_goes_on() {
    group(3, |comm| {
        let (copy, rank) = (comm.dup().unwrap(), comm.rank());
        // At every rank it runs until the end of the rest was seen.
        let (open, closed) = channel::<()>();
        let closed = Mutex::new(closed);
        let held = Combine::own(true, move |a: i32, b: i32| {
            let _ = closed.lock().unwrap().recv();
            a + b
        });
        let folded = comm.by(Algorithm::Flat).all_reduce_async(&[rank as i32 + 1], held);
        // Other calls, of this communicator and another, with functions and without.
        let plus = || Combine::own(true, |a: i32, b: i32| a + b);
        assert_eq!(copy.all_reduce(&[1], plus()), Ok(vec![3]));
        assert_eq!(comm.all_gather(&[rank as u8]), Ok(vec![0, 1, 2]));
        let (next, last) = ((rank + 1) % 3, (rank + 2) % 3);
        assert_eq!(comm.send_receive(&[rank as u8], next, last, 0), Ok(vec![last as u8]));
        assert_eq!(copy.split(Some(0), 0).unwrap().unwrap().size(), 3);
        drop(open);
        assert_eq!(folded.wait(), Ok(vec![6]));
    });
}

#[test]
fn a_function_that_does_not_end_is_a_timeout_at_all_ranks() {
    let ended = group(3, |comm| {
        let copy = comm.dup().unwrap();
        let (open, closed) = channel::<()>();
        let closed = Mutex::new(closed);
        let rank = comm.rank();
        let held = Combine::own(true, move |a: i32, b: i32| {
            if rank == 1 {
                let _ = closed.lock().unwrap().recv();
            }
            a + b
        });
        let began = Instant::now();
        // Rank 1 owns the second third, and rank 0 and rank 2 wait for it.
        let short = comm.by(Algorithm::Direct).within(Duration::from_secs(1));
        let ended = short.all_reduce(&[1, 2, 3], held);
        assert!(began.elapsed() < Duration::from_secs(30));
        // The function still runs, and other communicators are of use.
        let sum = copy.all_reduce(&[1], Combine::own(true, |a: i32, b: i32| a + b));
        assert_eq!(sum, Ok(vec![3]));
        let after = comm.shrink().unwrap();
        assert_eq!(after.all_reduce(&[1], Operator::Sum), Ok(vec![3]));
        drop(open);
        ended
    });
    for ended in ended {
        let Err(GroupError::Timeout { waiting_for, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!(waiting_for, [1]);
    }
}

#[test]
fn a_panic_poisons_nothing() {
    group_with(4, &tiny(), |comm| {
        let copy = comm.dup().unwrap();
        let bad = Combine::own(false, |_: i32, _: i32| -> i32 { panic!("on purpose") });
        let failed = comm.scan(&[1; 100], bad);
        assert!(matches!(failed, Err(GroupError::Panicked { .. })) || comm.rank() == 0);
        assert!(comm.barrier().is_err());
        // The thread of the functions is there as before, here and in the next one.
        for part in [&copy, &comm.shrink().unwrap()] {
            for _ in 0..3 {
                let sum = part.scan(&[1; 100], Combine::own(false, |a: i32, b: i32| a + b));
                assert_eq!(sum, Ok(vec![comm.rank() as i32 + 1; 100]));
            }
        }
    });
}

/// Owns a communicator and gives it back when the function does.
#[test]
fn a_function_may_own_a_communicator() {
    group(3, |comm| {
        let copy = comm.dup().unwrap();
        let rank = comm.rank();
        let counting = Combine::own(true, move |a: i32, b: i32| {
            assert_eq!((copy.rank(), copy.size()), (rank, 3));
            a + b
        });
        assert_eq!(comm.all_reduce(&[1; 10], counting), Ok(vec![3; 10]));
        comm.barrier().unwrap();
    });
}

#[test]
fn a_function_is_applied_in_rank_order_and_once_for_each_prefix() {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let ended = group(5, move |comm| {
        let counted = Arc::clone(&counted);
        let step = move |a: i64, b: i64| {
            *counted.lock().unwrap() += 1;
            a * 10 + b
        };
        let own = [comm.rank() as i64 + 1; 5];
        comm.by(Algorithm::Direct).scan(&own, Combine::own(false, step)).unwrap()
    });
    for (rank, prefix) in [1, 12, 123, 1234, 12345].into_iter().enumerate() {
        assert_eq!(ended[rank], [prefix; 5]);
    }
    // Each of five owners makes four new prefixes of its element.
    assert_eq!(*calls.lock().unwrap(), 20);
}
