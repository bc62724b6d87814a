//! What a receiver holds of small messages, which their sender counts.

use std::collections::VecDeque;
use std::time::Duration;

use adsum::DType;
use adsum::group::{Config, Group, GroupError, Outcome, Output, WORLD, Wanted};
use bytes::Bytes;

const AHEAD_BYTES_MAX: u64 = 1024;
/// A small message: two segments.
const SMALL: usize = 100;

/// Two machines, and the frames from the first to the second that are held back.
struct Pair {
    now: Duration,
    groups: [Group; 2],
    wire: VecDeque<Bytes>,
    ended: [Vec<Result<usize, GroupError>>; 2],
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
        Pair { now: Duration::ZERO, groups, wire: VecDeque::new(), ended: Default::default() }
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
                    Output::Finished { result, .. } => {
                        let length = |outcome| match outcome {
                            Outcome::Message(message) => message.bytes.len(),
                            _ => panic!("another end"),
                        };
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
