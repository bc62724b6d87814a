//! What a receiver holds of small messages, which their sender counts.

use std::collections::VecDeque;
use std::time::Duration;

use adsum::DType;
use adsum::group::{Config, Group, GroupError, OpId, Outcome, Output, WORLD, Wanted};
use bytes::Bytes;

use crate::chance::Chance;

const AHEAD_BYTES_MAX: u64 = 1024;
/// A small message: two segments.
const SMALL: usize = 100;

/// Two machines, and the frames from the first to the second that are held back.
struct Pair {
    now: Duration,
    groups: [Group; 2],
    wire: VecDeque<Bytes>,
    ended: [Vec<Result<usize, GroupError>>; 2],
    /// The receives of the second that have ended, in this order.
    received: Vec<OpId>,
}

impl Pair {
    fn new() -> Pair {
        let config = Config {
            segment_bytes: 64,
            eager_bytes: 128,
            ahead_bytes_max: AHEAD_BYTES_MAX,
            timeout: None,
            ..Config::default()
        };
        let groups = [0, 1].map(|rank| Group::new(rank, 2, config.clone()));
        let (wire, ended, received) = (VecDeque::new(), Default::default(), Vec::new());
        Pair { now: Duration::ZERO, groups, wire, ended, received }
    }

    /// Takes what the machines say; what the second says reaches the first at once.
    fn settle(&mut self) {
        for rank in [1, 0] {
            while let Some(output) = self.groups[rank].poll_output() {
                match output {
                    Output::Send { frame, .. } => {
                        let bytes: Bytes = [&frame.head[..], &frame.body[..]].concat().into();
                        match rank {
                            0 => self.wire.push_back(bytes),
                            _ => self.groups[0].handle_frame(self.now, 1, bytes),
                        }
                    }
                    Output::Finished { result, id } => {
                        let length = |outcome| match outcome {
                            Outcome::Message(message) => message.length_bytes as usize,
                            _ => panic!("another end"),
                        };
                        if rank == 1 {
                            self.received.push(id);
                        }
                        self.ended[rank].push(result.map(length));
                    }
                    _ => panic!("another output"),
                }
            }
        }
    }

    fn send(&mut self, bytes: usize, tag: u32) {
        let data = Bytes::from(vec![7; bytes]);
        self.groups[0].send(self.now, WORLD, 1, tag, DType::U8, data, false, None);
        self.settle();
    }

    fn receive(&mut self, tag: u32, timeout: Option<Duration>) {
        self.groups[1].receive(self.now, WORLD, Some(0), Some(tag), Wanted::Bytes, timeout);
        self.settle();
    }

    /// So many frames arrive.
    fn arrive(&mut self, frames: usize) {
        for _ in 0..frames {
            let frame = self.wire.pop_front().expect("a frame on its way");
            self.groups[1].handle_frame(self.now, 0, frame);
            self.settle();
        }
    }

    fn all_arrive(&mut self) {
        while !self.wire.is_empty() {
            self.arrive(1);
        }
    }

    /// How many small messages the sender sends that nobody has asked for.
    fn sends_ahead(&mut self) -> usize {
        self.ended[0].clear();
        (0..50).for_each(|_| self.send(SMALL, 0));
        self.ended[0].len()
    }
}

const FITS: usize = AHEAD_BYTES_MAX as usize / SMALL;

#[test]
fn no_more_is_sent_ahead_than_the_limit() {
    assert_eq!(Pair::new().sends_ahead(), FITS);
}

#[test]
fn a_long_message_that_a_late_receive_had_begun_to_take_counts_for_nothing() {
    let mut pair = Pair::new();
    assert_eq!(pair.sends_ahead(), FITS);
    for _ in 0..10 {
        pair.send(500, 1);
        pair.all_arrive();
        pair.receive(1, Some(Duration::from_secs(1)));
        pair.now += Duration::from_secs(2);
        let now = pair.now;
        pair.groups[1].handle_timeout(now);
        pair.settle();
        assert!(matches!(pair.ended[1].pop(), Some(Err(GroupError::Timeout { .. }))));
        pair.all_arrive();
        pair.receive(1, None);
        assert_eq!(pair.ended[1].pop(), Some(Ok(500)));
    }
    assert_eq!(pair.sends_ahead(), 0);
}

#[test]
fn small_messages_that_are_taken_while_they_come_count_as_taken() {
    let mut pair = Pair::new();
    // Three are told of at once, being a fourth of the limit.
    for _ in 0..21 {
        pair.send(SMALL, 0);
        pair.arrive(1);
        pair.receive(0, None);
        pair.all_arrive();
        assert_eq!(pair.ended[1].pop(), Some(Ok(SMALL)));
    }
    assert_eq!(pair.sends_ahead(), FITS);
}

/// A long message and then a small one of its tag are sent, and the first of two that wait for
/// such one gives up when it has begun to take the long one.
fn give_up(second: Wanted) -> (Pair, OpId) {
    let mut pair = Pair::new();
    pair.send(500, 1);
    pair.send(50, 1);
    pair.receive(1, Some(Duration::from_secs(1)));
    let second = pair.groups[1].receive(pair.now, WORLD, Some(0), Some(1), second, None);
    pair.arrive(2);
    pair.now += Duration::from_secs(2);
    let now = pair.now;
    pair.groups[1].handle_timeout(now);
    pair.settle();
    assert!(matches!(pair.ended[1].remove(0), Err(GroupError::Timeout { .. })));
    pair.received.remove(0);
    (pair, second)
}

#[test]
fn what_a_receive_that_gave_up_had_begun_to_take_goes_to_who_waits() {
    let (mut pair, _) = give_up(Wanted::Bytes);
    pair.arrive(1);
    assert_eq!(pair.ended[1], [], "the small one came later");
    pair.all_arrive();
    assert_eq!(pair.ended[1], [Ok(500)]);
    let (pair, look) = give_up(Wanted::Look);
    assert_eq!((pair.received, &pair.ended[1][..]), (vec![look], &[Ok(500)][..]));
}

/// A receive, or a look, as it should behave.
struct Asked {
    id: OpId,
    tag: Option<u32>,
    looks: bool,
    given: Option<usize>,
}

/// Gives messages of these tags, in the order of their arrival, to who asks in the order of
/// asking; what was given is the number of a message.
fn match_up(asked: &mut [Asked], arrived: &[u32], taken: &mut Vec<usize>) {
    for one in asked.iter_mut().filter(|one| one.given.is_none()) {
        let fits = |number: &usize| one.tag.is_none_or(|tag| tag == arrived[*number]);
        let free = (0..arrived.len()).filter(|number| !taken.contains(number)).find(fits);
        one.given = free;
        taken.extend(free.filter(|_| !one.looks));
    }
}

#[test]
fn messages_go_to_receives_in_the_order_of_both() {
    for seed in 0..500 {
        let (mut chance, mut pair) = (Chance::new(seed), Pair::new());
        let (mut asked, mut taken) = (Vec::new(), Vec::new());
        // The tags of what was sent, of which some have not arrived. Lengths tell messages apart.
        let (mut sent, mut arrived) = (Vec::new(), 0);
        let length = |number: usize| 10 * (number + 1);
        for _ in 0..40 {
            match chance.index(5) {
                0 | 1 => {
                    let tag = chance.index(3) as u32;
                    pair.send(length(sent.len()), tag);
                    sent.push(tag);
                }
                2 => {
                    pair.all_arrive();
                    // One at a time, as they do.
                    while arrived < sent.len() {
                        arrived += 1;
                        match_up(&mut asked, &sent[..arrived], &mut taken);
                    }
                }
                kind => {
                    let tag = Some(chance.index(3) as u32).filter(|_| chance.index(3) > 0);
                    let looks = kind == 4;
                    let wanted = if looks { Wanted::Look } else { Wanted::Bytes };
                    let group = &mut pair.groups[1];
                    let id = group.receive(pair.now, WORLD, Some(0), tag, wanted, None);
                    asked.push(Asked { id, tag, looks, given: None });
                    match_up(&mut asked, &sent[..arrived], &mut taken);
                    pair.settle();
                }
            }
        }
        pair.all_arrive();
        while arrived < sent.len() {
            arrived += 1;
            match_up(&mut asked, &sent[..arrived], &mut taken);
        }
        let ended: Vec<_> = pair.received.iter().zip(&pair.ended[1]).collect();
        for one in &asked {
            let found = ended.iter().find(|(id, _)| **id == one.id).map(|(_, result)| *result);
            assert_eq!(found, one.given.map(|number| Ok(length(number))).as_ref(), "seed {seed}");
        }
    }
}
