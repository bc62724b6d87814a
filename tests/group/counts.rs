//! Counts above 2^31: a real array of so many elements through two machines, and the
//! schedules at counts that no memory holds.

use std::collections::VecDeque;
use std::time::Duration;

use adsum::DType;
use adsum::collective::{self, Algorithm, Extent, Kind, Part, Room};
use adsum::group::{Answer, Call, Config, Counts, Fold, Group, Outcome, Output, Purpose, WORLD};
use bytes::Bytes;

use crate::marks::{MANY, MARKS};

fn take_all(group: &mut Group, wire: &mut VecDeque<Bytes>, answer: &mut Option<Answer>) {
    while let Some(output) = group.poll_output() {
        match output {
            Output::Send { frame, .. } => {
                wire.push_back([&frame.head[..], &frame.body[..]].concat().into());
            }
            Output::Finished { result: Ok(Outcome::Answer(one)), .. } => *answer = Some(one),
            _ => panic!("another end"),
        }
    }
}

#[test]
fn a_broadcast_of_more_than_two_to_the_31_elements_comes_whole() {
    // What is not written takes no memory, so this is one array of 2 GiB, at the receiver.
    let mut data = vec![0_u8; MANY];
    MARKS.iter().for_each(|&(at, mark)| data[at] = mark);
    let mut groups = [0, 1].map(|rank| Group::new(rank, 2, Config::default()));
    let mut wires = [VecDeque::new(), VecDeque::new()];
    let mut answers = [None, None];
    let arrays = [data, vec![0_u8; MANY]];
    for (rank, array) in arrays.into_iter().enumerate() {
        let call = Call {
            kind: Kind::Broadcast,
            purpose: Purpose::Plain,
            root: 0,
            dtype: DType::U8,
            counts: Counts::Whole(MANY as u64),
            fold: Fold::None,
            commutative: false,
            algorithm: Some(Algorithm::Flat),
            array: Box::new(array),
            timeout: None,
        };
        groups[rank].start(Duration::ZERO, WORLD, call);
        take_all(&mut groups[rank], &mut wires[rank], &mut answers[rank]);
    }
    let mut waiting_max = 0;
    while let Some(from) = (0..2).find(|&from| !wires[from].is_empty()) {
        waiting_max = waiting_max.max(wires[0].iter().map(Bytes::len).sum());
        let frame = wires[from].pop_front().expect("it is not empty");
        let to = 1 - from;
        groups[to].handle_frame(Duration::ZERO, from, frame);
        take_all(&mut groups[to], &mut wires[to], &mut answers[to]);
    }
    assert!(waiting_max < 8 << 20, "{waiting_max} bytes were under way");
    for answer in answers {
        let bytes = answer.expect("an end").output.into_any().downcast::<Vec<u8>>().expect("its");
        assert_eq!(bytes.len(), MANY);
        MARKS.iter().for_each(|&(at, mark)| assert_eq!(bytes[at], mark, "at {at}"));
        let others = [1, (1 << 31) - 2, (1 << 31) - 4096, 12345];
        others.iter().for_each(|&at| assert_eq!(bytes[at], 0, "at {at}"));
    }
}

/// The lengths of ranges that must lie in a row from zero on.
fn covered(mut ranges: Vec<std::ops::Range<u64>>) -> u64 {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut end = 0;
    for range in ranges {
        assert_eq!(range.start, end, "a gap, or twice the same");
        end = range.end;
    }
    end
}

#[test]
fn schedules_hold_for_counts_of_any_size() {
    for count in [(1 << 31) - 1, 1 << 31, (1 << 31) + 5, (1 << 32) + 7, (1 << 40) + 1, 1 << 60] {
        for size in [2, 3, 7, 64] {
            for kind in [Kind::Reduce, Kind::AllReduce, Kind::Broadcast, Kind::Scan, Kind::Exscan] {
                for algorithm in [Algorithm::Flat, Algorithm::Tree { fan: 4 }, Algorithm::Direct] {
                    if algorithm.serves(kind) {
                        whole(kind, algorithm, size, count);
                    }
                }
            }
            blocks(size, count);
        }
    }
}

fn whole(kind: Kind, algorithm: Algorithm, size: usize, count: u64) {
    for rank in 0..size {
        let extent = Extent::Whole(count);
        let call = collective::Call { kind, rank, size, root: 0, extent };
        let plan = collective::plan(&call, algorithm);
        let written = plan.parts.iter().filter_map(|part| match &part.room {
            Some(Room::At(range)) => Some(range.clone()),
            _ => None,
        });
        let local = plan.local.iter().filter_map(|(_, room)| match room {
            Room::At(range) => Some(range.clone()),
            Room::Open(_) => None,
        });
        let all = covered(written.chain(local).collect());
        let here = match kind {
            Kind::Reduce => rank == 0,
            Kind::Broadcast => rank != 0,
            Kind::Exscan => rank > 0,
            _ => true,
        };
        assert_eq!(all, if here { count } else { 0 }, "{kind:?} {algorithm:?} {rank} of {size}");
        let inside = |part: &Part| part.input.end <= count;
        assert!(plan.parts.iter().all(inside));
    }
}

/// Blocks of which each has so many elements.
fn blocks(size: usize, count: u64) {
    let block = count / size as u64 / 2 + 1;
    let counts = vec![block; size];
    for kind in [Kind::AllGather, Kind::AllToAll, Kind::Gather, Kind::ReduceScatter] {
        for rank in 0..size {
            let extent = Extent::Blocks(&counts);
            let call = collective::Call { kind, rank, size, root: 0, extent };
            let plan = collective::plan(&call, Algorithm::Flat);
            let rooms = plan.parts.iter().filter_map(|part| part.room.clone());
            let rooms = rooms.chain(plan.local.iter().map(|(_, room)| room.clone()));
            let ranges = rooms.map(|room| match room {
                Room::At(range) => range,
                Room::Open(_) => panic!("all lengths are known"),
            });
            let expected = match kind {
                Kind::ReduceScatter => block,
                Kind::Gather if rank > 0 => 0,
                _ => block * size as u64,
            };
            assert_eq!(covered(ranges.collect()), expected, "{kind:?} {rank} of {size}");
            assert_eq!(plan.output, expected);
        }
    }
}
