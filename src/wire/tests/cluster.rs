//! What members of a cluster and their askers say.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::catalogue::{
    Array, Catalogue, Conflict, Copies, Expansion, Found, Held, Holder, Listed, Memory, Missing,
    Returned, State, Unmet,
};
use crate::dtype::{Layout, MemoryOrder};
use crate::manifest::{Digest, FileIdentity};

fn held(name: String, elements: u64, digest: Option<u8>) -> Held {
    Held {
        name,
        array: Array {
            layout: Layout { dtype: DType::F64, byte_order: ByteOrder::Little },
            memory_order: MemoryOrder::C,
            shape: vec![elements],
        },
        digest: digest.map(|byte| Digest([byte; 32])),
        identity: FileIdentity {
            device: elements,
            inode: u64::MAX,
            size_bytes: elements * 8,
            modified_ns: -1,
            changed_ns: i128::MAX,
        },
    }
}

/// The memory of a node that offers these.
fn memory(files: Vec<Held>) -> Memory {
    let mut catalogue = Catalogue::new(NodeId([1; 16]));
    let holder = Holder { name: "salt".into(), addr: "192.0.2.7:7386".into() };
    catalogue.set_held(NodeId([1; 16]), holder, files).expect("valid files");
    catalogue.memory()
}

fn any_held() -> impl Strategy<Value = Vec<Held>> {
    let file = (0_u64..1 << 40, prop::option::of(any::<u8>()));
    prop::collection::btree_map("[a-zé]{1,9}(/[a-z]{1,9}){0,2}", file, 0..4).prop_map(|files| {
        files.into_iter().map(|(name, (elements, digest))| held(name, elements, digest)).collect()
    })
}

fn any_node() -> impl Strategy<Value = NodeId> {
    any::<[u8; 16]>().prop_map(NodeId)
}

fn any_addr() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u16; 8]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn any_member() -> impl Strategy<Value = MemberInfo> {
    (any_node(), ".{0,9}", prop::collection::vec(any_addr(), 0..3))
        .prop_map(|(id, name, addrs)| MemberInfo { id, name, addrs, workers: 3 })
}

fn any_question() -> impl Strategy<Value = Question> {
    let deadline = prop::option::of((any::<u64>(), 0..1_000_000_000_u32));
    let deadline = deadline.prop_map(|time| time.map(|(s, ns)| Duration::new(s, ns)));
    prop_oneof![
        Just(Question::Members),
        prop::collection::vec(".{0,9}", 0..4)
            .prop_map(|patterns| Question::Expand { patterns, each_node: false }),
        Just(Question::List),
        Just(Question::Status),
        ".{0,9}".prop_map(|name| Question::Remove { name }),
        (any_offer(), deadline).prop_map(|(offer, deadline)| {
            let Message::Offer { spec, manifest, .. } = offer else { unreachable!("an offer") };
            let (files, cut) = (manifest.files().to_vec(), manifest.cut_by().clone());
            Question::Submit { spec, files, cut, deadline }
        }),
        "[0-9a-f]{0,9}".prop_map(|job| Question::Cancel { job }),
    ]
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let job = || any::<[u8; 32]>().prop_map(JobId);
    let texts = || prop::collection::vec(".{0,9}", 0..3);
    let nodes = || prop::collection::vec(any_node(), 0..3);
    let holder = || Holder { name: "a".into(), addr: "a:1".into() };
    let status = (any_member(), texts(), nodes(), job(), any::<[u64; 8]>()).prop_map(
        move |(node, texts, connected, job, n)| NodeStatus {
            node,
            devices: vec![device("A GPU")],
            workers: n[0] as u32,
            files: n[1],
            bytes: n[2],
            usage: vec![Usage { device: 1, tiles: 2, bytes: n[3], busy_ns: n[4] }],
            replicas: vec![n[5], n[6]],
            unhashed: n[3],
            problems: texts.clone(),
            gone: connected.iter().map(|&id| (id, holder())).collect(),
            connected,
            jobs: vec![JobStatus {
                job,
                entries_done: n[4],
                entries: n[5],
                bytes_done: n[6],
                bytes: n[7],
                askers: texts,
            }],
        },
    );
    let finished = (any_partial(), any_member(), any_usage(), texts(), any::<[u64; 3]>()).prop_map(
        |(total, member, usage, warnings, n)| Finished {
            total: total.to_bytes(),
            entries: n[0],
            nodes: vec![Contribution {
                id: member.id,
                name: member.name,
                addr: member.addrs.first().copied(),
                entries: n[1],
                lost: n[1] % 2 == 0,
                devices: vec![device("A GPU")],
                workers: 1,
                usage: vec![usage],
            }],
            recalled: 0,
            recomputed: n[2],
            warnings,
        },
    );
    prop_oneof![
        prop::collection::vec(any_member(), 0..3).prop_map(Reply::Members),
        any_expansion().prop_map(Reply::Expanded),
        any_listed().prop_map(Reply::Listed),
        status.prop_map(|status| Reply::Status(Box::new(status))),
        prop::collection::vec(any::<[u8; 32]>().prop_map(Digest), 0..3).prop_map(Reply::Removed),
        (any::<u64>(), any::<u64>())
            .prop_map(|(entries_done, bytes_done)| Reply::Progress { entries_done, bytes_done }),
        finished.prop_map(|finished| Reply::Finished(Box::new(finished))),
        prop::collection::vec(job(), 0..3).prop_map(Reply::Cancelled),
        ".{0,40}".prop_map(|message| {
            Reply::Refused(Trouble::new(TroubleKind::Shard(ShardErrorKind::Changed), message))
        }),
    ]
}

fn copies(file: &Held) -> Copies {
    let holder = Holder { name: "salt".into(), addr: String::new() };
    Copies {
        digest: file.digest,
        array: file.array.clone(),
        live: [(NodeId([2; 16]), holder.clone())].into(),
        last: [(NodeId([3; 16]), holder)].into(),
        removed: true,
    }
}

fn any_expansion() -> impl Strategy<Value = Expansion> {
    any_held().prop_map(|files| {
        let found = |file: &Held| Found {
            file: imaginary_file(&file.name, DType::U8, file.array.shape[0]),
            holders: BTreeSet::from([NodeId([4; 16])]),
        };
        let (live, name) = (copies(&held("x".into(), 1, None)).live, String::from("a/b"));
        let returned =
            Returned { name: name.clone(), digest: Digest([5; 32]), holders: live.clone() };
        let conflict =
            Conflict { name: name.clone(), contents: files.iter().map(copies).collect() };
        Expansion {
            files: files.iter().map(found).collect(),
            missing: vec![Missing {
                name,
                last: live.clone(),
                hashing: live,
                unusable: vec!["broken".into()],
            }],
            unmet: Some(Unmet { node: "n".into(), seeds: vec!["a:1".into()], remembers: false }),
            conflicts: vec![conflict],
            removed: vec![returned],
            unusable: Vec::new(),
            warnings: vec!["look".into()],
        }
    })
}

fn any_listed() -> impl Strategy<Value = Vec<Listed>> {
    any_held().prop_map(|files| {
        let listed = |file: &Held| Listed {
            name: file.name.clone(),
            state: State::Conflict,
            contents: vec![copies(file)],
        };
        files.iter().map(listed).collect()
    })
}

pub(super) fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..99).prop_map(Message::Gossip),
        (any::<bool>(), any::<bool>(), any_held()).prop_map(|(first, last, files)| Message::Held {
            first,
            last,
            files
        }),
        any_held().prop_map(|files| Message::Known(memory(files))),
        (any::<u64>(), any_question())
            .prop_map(|(ask, question)| Message::Ask { ask, question: Box::new(question) }),
        (any::<u64>(), any_reply())
            .prop_map(|(ask, reply)| Message::Reply { ask, reply: Box::new(reply) }),
        any::<u64>().prop_map(|ask| Message::Withdraw { ask }),
    ]
}

proptest! {
    #[test]
    fn what_is_said_to_fit_fits(files in any_held(), question in any_question(), reply in any_reply()) {
        let bytes: usize = files.iter().map(Held::encoded_bytes_max).sum();
        let message = Message::Held { first: true, last: true, files: files.clone() };
        prop_assert!(encode(&message).len() <= bytes + 16);
        let most = (question.message_bytes(), reply.message_bytes());
        let ask = encode(&Message::Ask { ask: u64::MAX, question: Box::new(question) }).len();
        prop_assert!(ask <= most.0 && most.0 < ask + 16);
        let reply = encode(&Message::Reply { ask: u64::MAX, reply: Box::new(reply) }).len();
        prop_assert!(reply <= most.1 && most.1 < reply + 16);
        // A part of a memory is over its limit only with a single name.
        for bytes_max in [0, 100, 400, 10_000] {
            let all = memory(files.clone());
            let mut whole = Memory::default();
            let mut count = 0;
            for part in all.clone().parts(2, bytes_max) {
                let got = encode(&Message::Known(part.clone())).len();
                prop_assert!(part.len() == 1 || (part.len() <= 2 && got <= bytes_max + 16));
                count += part.len();
                whole = joined(&whole, &part);
            }
            prop_assert_eq!((count, whole), (all.len(), all));
        }
    }
}

fn joined(a: &Memory, b: &Memory) -> Memory {
    let mut catalogue = Catalogue::new(NodeId([9; 16]));
    catalogue.merge(a).expect("valid");
    catalogue.merge(b).expect("valid");
    catalogue.memory()
}

/// The bytes of a value that begins a message after its tag, with a list of no
/// items at the end that claims to have `count`.
fn claimed(message: &Message, count: u64) -> Vec<u8> {
    let mut bytes = encode(message);
    assert_eq!(bytes.pop(), Some(0), "the length of an empty list");
    bytes.extend(postcard::to_stdvec(&count).expect("to memory"));
    bytes
}

#[test]
fn lists_of_members_are_read_up_to_their_limits() {
    assert_returns(Message::Gossip(vec![7; GOSSIP_BYTES_MAX]));
    let files = |count: usize| (0..count).map(|n| held(n.to_string(), 1, Some(1))).collect();
    assert_returns(Message::Held { first: true, last: false, files: files(HELD_MAX) });
    assert_returns(Message::Known(memory(files(HELD_MAX))));
    let addrs: Vec<SocketAddr> = vec![([192, 0, 2, 7], 7386).into(); ADDRS_MAX];
    assert_returns(Message::Hello(Hello { addrs, ..hello(0) }));
    let patterns = vec![String::new(); PATTERNS_MAX];
    assert_returns(Message::Ask {
        ask: 1,
        question: Box::new(Question::Expand { patterns, each_node: false }),
    });
}

#[test]
fn longer_lists_of_members_are_refused_before_they_are_read() {
    let limit = |what, max: usize| Err(WireError::Limit { what, max, got: max as u64 + 1 });
    let gossip = claimed(&Message::Gossip(Vec::new()), GOSSIP_BYTES_MAX as u64 + 1);
    assert_eq!(decode(&gossip), limit("packet", GOSSIP_BYTES_MAX));
    let list = Message::Held { first: true, last: true, files: Vec::new() };
    assert_eq!(decode(&claimed(&list, HELD_MAX as u64 + 1)), limit("files", HELD_MAX));
    let known = Message::Known(Memory::default());
    assert_eq!(decode(&claimed(&known, HELD_MAX as u64 + 1)), limit("names", HELD_MAX));
    let greeting = Message::Hello(Hello { addrs: Vec::new(), ..hello(0) });
    assert_eq!(decode(&claimed(&greeting, ADDRS_MAX as u64 + 1)), limit("addresses", ADDRS_MAX));
}

/// More items than there may be take no memory, though all their bytes are there.
#[test]
fn lists_of_questions_and_answers_end_at_their_limits() {
    let ask = |question| Message::Ask { ask: 1, question: Box::new(question) };
    let patterns = claimed(&ask(Question::Expand { patterns: Vec::new(), each_node: false }), 0);
    let long = |empty: &Message, count: usize, item: usize| {
        let mut bytes = claimed(empty, count as u64);
        bytes.extend(vec![0; count * item]);
        decode(&bytes)
    };
    assert_eq!(
        decode(&patterns),
        Ok(ask(Question::Expand { patterns: Vec::new(), each_node: false }))
    );
    let expand = ask(Question::Expand { patterns: Vec::new(), each_node: false });
    // A pattern of no letters is one byte.
    assert!(long(&expand, FILES_MAX, 1).is_ok());
    assert!(long(&expand, FILES_MAX + 1, 1).is_err());
    let listed = Message::Reply { ask: 1, reply: Box::new(Reply::Listed(Vec::new())) };
    assert!(long(&listed, NAMES_MAX, 3).is_ok());
    assert!(long(&listed, NAMES_MAX + 1, 3).is_err());
    let finished = Finished {
        total: Vec::new(),
        entries: 0,
        nodes: Vec::new(),
        recalled: 0,
        recomputed: 0,
        warnings: Vec::new(),
    };
    let finished = Message::Reply { ask: 1, reply: Box::new(Reply::Finished(Box::new(finished))) };
    assert!(long(&finished, LINES_MAX, 1).is_ok());
    assert!(long(&finished, LINES_MAX + 1, 1).is_err());
    let expanded =
        Message::Reply { ask: 1, reply: Box::new(Reply::Expanded(Expansion::default())) };
    assert!(long(&expanded, crate::catalogue::NAMES_MAX + 1, 1).is_err());
}

#[test]
fn a_spec_of_many_states_is_not_read() {
    let line = imaginary_file("a", DType::U8, 1);
    let spec = |monoids| Spec { dtype: DType::U8, monoids };
    let few = decode(&offer_bytes(&spec(vec![Monoid::Tally; 16]), std::slice::from_ref(&line)));
    assert!(matches!(few, Err(WireError::Spec { .. })));
    let many = decode(&offer_bytes(&spec(vec![Monoid::Tally; 1 << 20]), &[line]));
    assert!(matches!(many, Err(WireError::Malformed { what: "spec", .. })));
}

#[test]
#[should_panic(expected = "a list of 65537 items, the most is 65536")]
fn a_node_makes_no_longer_list_of_files() {
    let files = vec![held("a".into(), 1, None); HELD_MAX + 1];
    encode(&Message::Held { first: true, last: true, files });
}

#[test]
fn more_addresses_than_a_node_has_are_left_out() {
    let addrs = |count| vec![([192, 0, 2, 7], 7386).into(); count];
    let told = decode(&encode(&Message::Hello(Hello { addrs: addrs(ADDRS_MAX + 1), ..hello(0) })));
    assert_eq!(told, Ok(Message::Hello(Hello { addrs: addrs(ADDRS_MAX), ..hello(0) })));
}

/// So many that the bytes of its partial are more than 64 bits count.
#[test]
fn an_entry_of_very_many_outputs_does_not_suit() {
    let file = File { shape: vec![1, 1 << 62], ..imaginary_file("a", DType::U8, 1 << 62) };
    let cut =
        Cut::Axis { entry_bytes: u64::MAX, axis: 0, outputs: 0..u64::MAX, outputs_max: 1 << 62 };
    let offer = decode(&offer_cut(&Spec::sum(DType::U8), &[file], &cut));
    assert!(matches!(offer, Err(WireError::Spec { .. })), "{offer:?}");
}
