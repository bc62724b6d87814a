use std::time::Duration;

use super::*;
use crate::catalogue::{Held, Memory, State};
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::manifest::FileIdentity;
use crate::membership;
use crate::wire::{Bytes, Hello, PROTOCOL_VERSION, Question};

const NOW: Duration = Duration::ZERO;

fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

fn hello(number: u8, is_member: bool) -> Hello {
    let addr = ([192, 0, 2, number], 7386).into();
    Hello {
        version: PROTOCOL_VERSION,
        node: node(number),
        name: format!("node {number}"),
        devices: Vec::new(),
        workers: 1,
        addrs: if is_member { vec![addr] } else { Vec::new() },
    }
}

fn array(bytes: u64) -> Array {
    Array {
        layout: Layout { dtype: DType::U8, byte_order: ByteOrder::NATIVE },
        memory_order: MemoryOrder::C,
        shape: vec![bytes],
    }
}

fn digest(number: u8) -> Digest {
    Digest([number; 32])
}

fn held(name: &str, bytes: u64, contents: u8) -> Held {
    let identity = FileIdentity {
        device: 1,
        inode: 1,
        size_bytes: bytes + 128,
        modified_ns: 0,
        changed_ns: 0,
    };
    let digest = Some(digest(contents));
    Held { name: name.to_owned(), array: array(bytes), digest, identity }
}

/// Node 1, which askers 2 .. are connected with.
struct World {
    service: Service,
    asks: u64,
    works: Vec<StoreWork>,
    replies: Vec<(NodeId, u64, Reply)>,
}

impl World {
    fn new(askers: u8) -> World {
        let config = membership::Config::default();
        let mut service = Service::new(hello(1, true), config, &Memory::default(), 7);
        for asker in 2..2 + askers {
            service.handle_connected(NOW, &hello(asker, false), ([192, 0, 2, asker], 9).into());
        }
        let mut world = World { service, asks: 0, works: Vec::new(), replies: Vec::new() };
        world.collect();
        world
    }

    fn collect(&mut self) {
        while let Some(output) = self.service.poll_output() {
            match output {
                Output::Store(work) => self.works.push(work),
                Output::Send { to, message: Message::Reply { ask, reply } } => {
                    self.replies.push((to, ask, *reply));
                }
                _ => {}
            }
        }
    }

    fn ask(&mut self, from: u8, question: Question) -> u64 {
        self.asks += 1;
        let message = Message::Ask { ask: self.asks, question: Box::new(question) };
        self.service.handle_message(NOW, node(from), message);
        self.collect();
        self.asks
    }

    /// The only answer since the last call, which is to this question.
    #[track_caller]
    fn reply(&mut self, ask: u64) -> Reply {
        let replies = std::mem::take(&mut self.replies);
        assert_eq!(replies.len(), 1, "{replies:?}");
        assert_eq!(replies[0].1, ask);
        replies[0].2.clone()
    }

    #[track_caller]
    fn refused(&mut self, ask: u64, kind: TroubleKind, words: &str) {
        let Reply::Refused(trouble) = self.reply(ask) else { panic!("it was not refused") };
        assert_eq!(trouble.kind, kind, "{trouble}");
        assert!(trouble.message.contains(words), "'{words}' is not in '{trouble}'");
    }

    fn works(&mut self) -> Vec<StoreWork> {
        std::mem::take(&mut self.works)
    }

    fn place(&mut self, from: u8, name: &str, bytes: u64) -> u64 {
        let (name, array, digest) = (name.to_owned(), array(bytes), digest(9));
        self.ask(from, Question::Place { name, array, digest })
    }

    fn piece(&mut self, from: u8, place: PlaceId, offset: u64, bytes: usize) -> u64 {
        let bytes = Bytes(vec![5; bytes]);
        self.ask(from, Question::Piece { place, offset, bytes })
    }

    fn stored(&mut self, place: PlaceId, result: Result<Stored, Trouble>) {
        self.service.handle_stored(place, result);
        self.collect();
    }

    /// A place that takes pieces.
    #[track_caller]
    fn open(&mut self, from: u8, name: &str, bytes: u64) -> PlaceId {
        let ask = self.place(from, name, bytes);
        let works = self.works();
        let [StoreWork::Begin { place, .. }] = works[..] else { panic!("{works:?}") };
        self.stored(place, Ok(Stored::Begun));
        assert_eq!(self.reply(ask), Reply::Placing(place));
        place
    }

    /// That the place is over, and that its file was dropped if `dropped`.
    #[track_caller]
    fn is_over(&mut self, from: u8, place: PlaceId, dropped: bool) {
        let expected = if dropped { vec![StoreWork::Drop { place }] } else { Vec::new() };
        assert_eq!(self.works(), expected);
        let ask = self.piece(from, place, 0, 1);
        self.refused(ask, TroubleKind::Question, "takes nothing from you");
        assert_eq!(self.works(), []);
    }
}

#[test]
fn a_file_that_comes_whole_is_placed() {
    let mut world = World::new(1);
    let place = world.open(2, "a/b.npy", 5);
    let first = world.piece(2, place, 0, 3);
    let second = world.piece(2, place, 3, 2);
    assert_eq!(world.works(), [3, 2].map(|n| StoreWork::Write { place, bytes: vec![5; n] }));
    assert!(world.replies.is_empty(), "nothing is written yet");
    world.stored(place, Ok(Stored::Written));
    assert_eq!(world.reply(first), Reply::Taken);
    let seal = world.ask(2, Question::Seal { place });
    assert_eq!(world.works(), [StoreWork::Seal { place }]);
    world.stored(place, Ok(Stored::Written));
    assert_eq!(world.reply(second), Reply::Taken);
    // Nothing comes after the seal.
    let late = world.piece(2, place, 5, 1);
    world.refused(late, TroubleKind::Question, "takes nothing");
    world.stored(place, Ok(Stored::Sealed));
    assert_eq!(world.reply(seal), Reply::Placed);
    world.is_over(2, place, false);
}

#[test]
fn an_array_without_elements_needs_no_pieces() {
    let mut world = World::new(1);
    let place = world.open(2, "a", 0);
    let seal = world.ask(2, Question::Seal { place });
    world.stored(place, Ok(Stored::Sealed));
    assert_eq!(world.reply(seal), Reply::Placed);
}

#[test]
fn what_is_there_is_not_sent() {
    let mut world = World::new(1);
    let ask = world.place(2, "a", 5);
    let works = world.works();
    let [StoreWork::Begin { place, .. }] = works[..] else { panic!("{works:?}") };
    // A number that was guessed is of no use before it is told.
    let guessed = world.piece(2, place, 0, 1);
    world.refused(guessed, TroubleKind::Question, "takes nothing");
    world.stored(place, Ok(Stored::There));
    assert_eq!(world.reply(ask), Reply::Placed);
    world.is_over(2, place, false);
}

#[test]
fn pieces_that_do_not_fit_end_the_place() {
    let max = PIECE_BYTES_MAX;
    let cases: [(u64, u64, usize, &str); 6] = [
        (5, 1, 2, "the next is byte 0"),
        (5, u64::MAX, 2, "the next is byte 0"),
        (5, 0, 6, "where 5 are left"),
        (5, 0, 0, "1 to 1048576"),
        (0, 0, 1, "where 0 are left"),
        (u64::MAX, 0, max + 1, "1 to 1048576"),
    ];
    for (bytes, offset, length, words) in cases {
        let mut world = World::new(1);
        let place = world.open(2, "a", bytes);
        let ask = world.piece(2, place, offset, length);
        world.refused(ask, TroubleKind::Question, words);
        world.is_over(2, place, true);
    }
    // One that comes twice comes out of turn, too.
    let mut world = World::new(1);
    let place = world.open(2, "a", 5);
    world.piece(2, place, 0, 2);
    world.stored(place, Ok(Stored::Written));
    world.works();
    world.replies.clear();
    let again = world.piece(2, place, 0, 2);
    world.refused(again, TroubleKind::Question, "the next is byte 2");
}

#[test]
fn a_file_is_not_sealed_before_it_is_whole() {
    let mut world = World::new(1);
    let place = world.open(2, "a", 5);
    let ask = world.ask(2, Question::Seal { place });
    world.refused(ask, TroubleKind::Question, "0 of its 5 bytes");
    world.is_over(2, place, true);
}

#[test]
fn a_place_is_for_who_opened_it() {
    let mut world = World::new(2);
    let place = world.open(2, "a", 5);
    let piece = world.piece(3, place, 0, 1);
    world.refused(piece, TroubleKind::Question, "takes nothing from you");
    let seal = world.ask(3, Question::Seal { place });
    world.refused(seal, TroubleKind::Question, "takes nothing from you");
    // The other goes, and the place stays.
    world.service.handle_lost(NOW, node(3));
    world.collect();
    assert_eq!(world.works(), []);
    world.piece(2, place, 0, 5);
    assert_eq!(world.works().len(), 1);
}

#[test]
fn names_and_arrays_that_are_none_are_refused() {
    let mut world = World::new(1);
    for name in ["", "/a", "../a", "a/../../b", "a//b", "a\0"] {
        let ask = world.place(2, name, 5);
        world.refused(ask, TroubleKind::Question, "cannot be a name");
    }
    let huge = Array { shape: vec![u64::MAX, 2], ..array(1) };
    let name = "a".to_owned();
    let ask = world.ask(2, Question::Place { name, array: huge, digest: digest(9) });
    world.refused(ask, TroubleKind::Question, "more than 2^64 - 1 bytes");
    assert_eq!(world.works(), []);
}

#[test]
fn places_are_bounded_for_each_peer_and_in_all() {
    let peers = (PLACES_MAX / PLACES_PER_PEER_MAX) as u8;
    let mut world = World::new(peers + 1);
    for peer in 2..2 + peers {
        for number in 0..PLACES_PER_PEER_MAX {
            world.open(peer, &format!("{peer}/{number}"), 5);
        }
        let ask = world.place(peer, "more", 5);
        world.refused(ask, TroubleKind::Busy, "8 of them by you");
    }
    let ask = world.place(2 + peers, "more", 5);
    world.refused(ask, TroubleKind::Busy, "64 files are being placed");
    world.service.handle_lost(NOW, node(2));
    world.collect();
    assert_eq!(world.works().len(), PLACES_PER_PEER_MAX, "all of its files are dropped");
    world.open(2 + peers, "more", 5);
}

#[test]
fn bytes_that_wait_are_bounded() {
    let mut world = World::new(1);
    let first = world.open(2, "a", u64::MAX);
    let second = world.open(2, "b", u64::MAX);
    let pieces = QUEUED_BYTES_PER_PEER_MAX / PIECE_BYTES_MAX;
    for piece in 0..pieces as u64 {
        world.piece(2, first, piece * PIECE_BYTES_MAX as u64, PIECE_BYTES_MAX);
    }
    assert!(world.replies.is_empty());
    let ask = world.piece(2, second, 0, 1);
    world.refused(ask, TroubleKind::Busy, "wait for answers");
    // What is written makes room.
    world.works();
    world.stored(first, Ok(Stored::Written));
    world.replies.clear();
    world.piece(2, first, (pieces * PIECE_BYTES_MAX) as u64, PIECE_BYTES_MAX);
    assert!(world.replies.is_empty());
    // Many small ones are bounded, too.
    let mut world = World::new(1);
    let place = world.open(2, "a", u64::MAX);
    for offset in 0..WAITING_MAX as u64 - 1 {
        world.piece(2, place, offset, 1);
    }
    world.piece(2, place, WAITING_MAX as u64 - 1, 1);
    assert!(world.replies.is_empty());
    world.piece(2, place, WAITING_MAX as u64, 1);
    // All that waited are told.
    assert_eq!(world.replies.len(), WAITING_MAX + 1);
}

#[test]
fn a_disk_that_fails_is_told_to_all_who_wait() {
    let mut world = World::new(1);
    let place = world.open(2, "a", 9);
    let asks = [0, 1, 2].map(|offset| world.piece(2, place, offset, 1));
    world.works();
    let trouble = Trouble::new(TroubleKind::Storage, "the disk is full");
    world.stored(place, Err(trouble.clone()));
    let mut replies = std::mem::take(&mut world.replies);
    replies.sort_by_key(|(_, ask, _)| *ask);
    assert_eq!(replies, asks.map(|ask| (node(2), ask, Reply::Refused(trouble.clone()))));
    world.is_over(2, place, false);
    // What is reported of it later does nothing.
    world.stored(place, Ok(Stored::Sealed));
    assert!(world.replies.is_empty());
}

#[test]
fn a_question_that_is_withdrawn_ends_its_place() {
    let mut world = World::new(2);
    let place = world.open(2, "a", 9);
    let ask = world.piece(2, place, 0, 1);
    world.works();
    world.service.handle_message(NOW, node(3), Message::Withdraw { ask });
    world.collect();
    assert_eq!(world.works(), [], "it is another's");
    world.service.handle_message(NOW, node(2), Message::Withdraw { ask });
    world.collect();
    world.replies.clear();
    world.is_over(2, place, true);
}

#[test]
fn a_name_never_stands_for_other_contents() {
    let mut world = World::new(1);
    world.service.set_held(vec![held("a", 5, 1)], Vec::new()).unwrap();
    let ask = world.place(2, "a", 5);
    world.refused(ask, TroubleKind::Question, "node 1 (192.0.2.1:7386)");
    assert_eq!(world.works(), []);
    // Those that come while a file is sent keep it from being sealed.
    let place = world.open(2, "b", 0);
    world.service.set_held(vec![held("b", 5, 1)], Vec::new()).unwrap();
    world.collect();
    let ask = world.ask(2, Question::Seal { place });
    world.refused(ask, TroubleKind::Question, "other contents");
    world.is_over(2, place, true);
}

#[test]
fn a_name_that_was_removed_counts_again() {
    let mut world = World::new(1);
    world.service.set_held(vec![held("a", 5, 9)], Vec::new()).unwrap();
    world.service.set_held(Vec::new(), Vec::new()).unwrap();
    world.ask(2, Question::Remove { name: "a".to_owned() });
    world.replies.clear();
    let names = |world: &mut World| -> Vec<State> {
        let ask = world.ask(2, Question::Names { names: vec!["a".to_owned()] });
        match world.reply(ask) {
            Reply::Listed(listed) => listed.into_iter().map(|listed| listed.state).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names(&mut world), [] as [State; 0]);
    // Other contents may have the name now.
    let other = Question::Place { name: "a".to_owned(), array: array(6), digest: digest(8) };
    world.ask(2, other);
    assert_eq!(world.works().len(), 1);
    let place = world.open(2, "a", 0);
    world.ask(2, Question::Seal { place });
    world.stored(place, Ok(Stored::Sealed));
    world.replies.clear();
    world.service.set_held(vec![held("a", 5, 9)], Vec::new()).unwrap();
    assert_eq!(names(&mut world), [State::Present]);
}

#[test]
fn a_node_that_does_not_know_its_cluster_takes_no_files() {
    let mut world = World::new(1);
    world.service.expect(&["192.0.2.7:9".to_owned()]);
    let ask = world.place(2, "a.npy", 5);
    world.refused(ask, TroubleKind::Incomplete, "has met no other node");
    assert_eq!(world.works(), []);
    let addr = ([192, 0, 2, 7], 9).into();
    world.service.handle_connected(NOW, &hello(7, true), addr);
    world.collect();
    world.replies.clear();
    world.open(2, "a.npy", 5);
}
