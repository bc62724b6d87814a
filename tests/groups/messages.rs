//! Messages from one to one: sends that last until they are received, looks at what is
//! there, and receives that are cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adsum::DType;
use adsum::communicator::{Communicator, Config, Envelope, GroupError};

use crate::threads::{group, group_with, tiny};

/// Less and more than is sent unasked, and nothing, which has nothing to be asked for.
const LENGTHS: [usize; 3] = [0, 3, 500];

#[test]
fn a_delivery_ends_when_it_is_received_and_not_before() {
    for config in [tiny(), Config::default()] {
        let has_begun = Arc::new(AtomicBool::new(false));
        group_with(2, &config, move |comm| {
            for (tag, length) in (0..).zip(LENGTHS) {
                let data: Vec<u64> = (0..length as u64).collect();
                if comm.rank() == 0 {
                    let mut under_way = comm.deliver_async(&data, 1, tag);
                    // Rank 1 receives after this barrier alone.
                    comm.barrier().unwrap();
                    assert!(!under_way.test());
                    comm.barrier().unwrap();
                    let ended = under_way.wait();
                    assert_eq!((ended, has_begun.load(Ordering::SeqCst)), (Ok(()), true));
                    has_begun.store(false, Ordering::SeqCst);
                    comm.barrier().unwrap();
                } else {
                    comm.barrier().unwrap();
                    comm.barrier().unwrap();
                    has_begun.store(true, Ordering::SeqCst);
                    assert_eq!(comm.receive::<u64>(Some(0), Some(tag)).unwrap().data, data);
                    comm.barrier().unwrap();
                }
            }
        });
    }
}

#[test]
fn a_delivery_to_oneself_waits_for_oneself() {
    for comm in [Communicator::solo(), Communicator::local(3).pop().unwrap()] {
        let rank = comm.rank();
        for length in LENGTHS {
            let mut under_way = comm.deliver_async(&vec![7_u8; length], rank, 1);
            assert!(!under_way.test());
            assert_eq!(comm.probe(None, None).unwrap().length_bytes, length as u64);
            assert!(!under_way.test());
            assert_eq!(comm.receive::<u8>(None, None).unwrap().data, vec![7; length]);
            assert!(under_way.test());
        }
        let late = comm.within(Duration::from_millis(20)).deliver(&[1_u8], rank, 1);
        assert!(matches!(late, Err(GroupError::Timeout { .. })), "{late:?}");
    }
}

#[test]
fn a_delivery_to_a_rank_that_leaves_fails() {
    let ended = group(2, |comm| match comm.rank() {
        0 => comm.deliver::<u8>(&[], 1, 0),
        _ => comm.probe(Some(0), None).map(|_| ()),
    });
    assert!(matches!(ended[0], Err(GroupError::PeerLost { rank: 1, .. })), "{ended:?}");
    assert_eq!(ended[1], Ok(()));
}

#[test]
fn a_look_tells_what_the_next_receive_is_given() {
    group_with(3, &tiny(), |comm| {
        let (rank, size) = (comm.rank(), comm.size());
        let (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
        assert_eq!(comm.probe_now(None, None), Ok(None));
        comm.barrier().unwrap();
        // Longer than what is sent unasked, so that it is there in part when it is seen.
        let long = comm.send_async(&vec![rank as f32; 500], next, 5);
        comm.send(&[rank as i16], next, 6).unwrap();
        let of = |tag, dtype, length_bytes| Envelope { from: last, tag, dtype, length_bytes };
        assert_eq!(comm.probe(None, Some(6)), Ok(of(6, DType::I16, 2)));
        for _ in 0..2 {
            assert_eq!(comm.probe(Some(last), None), Ok(of(5, DType::F32, 2000)));
            assert_eq!(comm.probe_now(None, None), Ok(Some(of(5, DType::F32, 2000))));
        }
        assert_eq!(comm.probe_now(Some(rank), None), Ok(None));
        assert_eq!(comm.receive::<f32>(None, None).unwrap().data, vec![last as f32; 500]);
        let (envelope, bytes) = comm.receive_any(None, None).unwrap();
        assert_eq!((envelope, bytes), (of(6, DType::I16, 2), (last as i16).to_le_bytes().to_vec()));
        assert_eq!(long.wait(), Ok(()));
        assert_eq!(comm.probe_now(None, None), Ok(None));
        let none = comm.probe_now(Some(3), None);
        assert_eq!(none, Err(GroupError::Rank { rank: 3, size: 3 }));
        comm.barrier().unwrap();
    });
}

#[test]
fn a_look_at_a_message_that_does_not_come_ends_and_breaks_nothing() {
    group(2, |comm| {
        let late = comm.within(Duration::from_millis(30)).probe(None, Some(4));
        assert!(matches!(late, Err(GroupError::Timeout { .. })), "{late:?}");
        comm.barrier().unwrap();
    });
    let ended = group(2, |comm| (comm.rank() == 0).then(|| comm.probe(Some(1), None)));
    assert!(matches!(ended[0], Some(Err(GroupError::PeerLost { rank: 1, .. }))), "{ended:?}");
}

#[test]
fn what_is_there_is_taken_by_one_alone() {
    let comm = Communicator::solo();
    for number in 0..100_u32 {
        comm.send(&[number], 0, 0).unwrap();
    }
    let take = || {
        let next = || comm.receive_any_now(None, None).unwrap().map(|taken| taken.wait().unwrap());
        std::iter::from_fn(next).map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    let mut taken: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        all.map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..100).collect::<Vec<u32>>());
}

#[test]
fn a_receive_is_cancelled_as_long_as_no_message_has_come_for_it() {
    group(2, |comm| {
        let other = 1 - comm.rank();
        let cancelled = comm.receive_async::<u8>(Some(other), Some(1));
        assert!(cancelled.cancel() && !cancelled.cancel());
        assert_eq!(cancelled.wait(), Err(GroupError::Cancelled));
        // Before that none may come.
        comm.barrier().unwrap();
        // The message that it would have had is there for the next.
        comm.send(&[5_u8], other, 1).unwrap();
        let taken = comm.receive_async::<u8>(Some(other), Some(1));
        assert_eq!(taken.wait().unwrap().data, [5]);
        comm.barrier().unwrap();
    });
    let comm = Communicator::solo();
    comm.send(&[5_u8], 0, 1).unwrap();
    let ended = comm.receive_async::<u8>(None, None);
    assert!(!ended.cancel());
    assert_eq!(ended.wait().unwrap().data, [5]);
    let sent = comm.deliver_async(&[5_u8], 0, 1);
    let barrier = comm.barrier_async();
    assert!(!sent.cancel() && !barrier.cancel());
    comm.receive::<u8>(None, None).unwrap();
    assert_eq!((sent.wait(), barrier.wait()), (Ok(()), Ok(())));
}
