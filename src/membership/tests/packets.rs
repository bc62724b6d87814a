//! What comes from outside: packets that are wrong, or say too much.

use bytes::BufMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What `from` sends to greet `to`, as the first packet of a conversation.
fn first_packet(from: usize, to: usize) -> Vec<u8> {
    let mut membership = Membership::new(member(from), Config::default(), 1);
    membership.handle_connected(ms(1), member(to));
    std::iter::from_fn(|| membership.poll_output())
        .find_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes),
            _ => None,
        })
        .expect("a greeting")
}

/// A packet of node 1 to node 0 with members numbered in 32 bits.
fn gossip(nodes: std::ops::Range<u32>, state: u8) -> Vec<u8> {
    let mut bytes = peer_bytes(id(1), b"one", &[]);
    bytes.put_u16(0);
    bytes.put_slice(&id(0).0);
    bytes.put_u32(0);
    bytes.put_u8(8);
    bytes.put_u16(nodes.len() as u16);
    for node in nodes {
        bytes.extend(peer_bytes(numbered(node), b"x", &[]));
        bytes.put_u16(0);
        bytes.put_u8(state);
    }
    bytes
}

fn numbered(number: u32) -> NodeId {
    let mut id = [0xee; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

fn peer_bytes(node: NodeId, name: &[u8], addrs: &[u8]) -> Vec<u8> {
    let mut bytes = node.0.to_vec();
    bytes.put_u32(0);
    bytes.put_u8(name.len() as u8);
    bytes.put_slice(name);
    bytes.put_u8(addrs.len() as u8);
    for family in addrs {
        bytes.put_u8(*family);
        bytes.put_slice(&[1; 4]);
        bytes.put_u16(1);
    }
    bytes
}

#[test]
fn more_members_than_the_limit_are_left_out() {
    let config = Config { members_max: 50, ..Config::default() };
    for state in 0..3 {
        let mut membership = Membership::new(member(0), config, 1);
        let over = Err(MembershipError::Members { max: 50 });
        membership.handle_message(ms(1), id(1), &gossip(0..30, state)).expect("room for all");
        assert_eq!(membership.handle_message(ms(2), id(1), &gossip(20..60, state)), over);
        assert_eq!(membership.known_count(), 50);
        // Known ones are still heard, new ones from outside are not.
        membership.handle_message(ms(3), id(1), &gossip(0..30, state)).expect("all are known");
        assert_eq!(membership.handle_message(ms(4), id(2), &first_packet(2, 0)), over);
        membership.handle_connected(ms(5), member(3));
        assert_eq!(membership.known_count(), 50);
        for number in 0..2000_u32 {
            let packet = gossip(number * 20..number * 20 + 20, state);
            let _ = membership.handle_message(ms(6 + u64::from(number)), id(1), &packet);
            while membership.poll_output().is_some() {}
            assert!(membership.known_count() <= 50);
            assert!(membership.effects.timers.len() <= 6 + 3 * 50);
            assert!(membership.protocol.updates_backlog() <= 51);
        }
        // What is down is forgotten, which makes room.
        membership.handle_timeout(DOWN_KEPT + ms(10_000));
        let now = DOWN_KEPT + ms(10_001);
        let result = membership.handle_message(now, id(1), &gossip(900..910, 0));
        assert_eq!(result.is_ok(), state == 2, "{result:?}");
    }
}

#[test]
fn lies_about_this_node_are_survived() {
    let mut membership = Membership::new(member(0), Config::default(), 1);
    let mut own = |state: u8, generation: u32, incarnation: u16, at: u64| {
        let mut bytes = gossip(0..0, 0);
        let count = bytes.len() - 2;
        bytes[count..].copy_from_slice(&1_u16.to_be_bytes());
        bytes.put_slice(&id(0).0);
        bytes.put_u32(generation);
        bytes.put_slice(&[0, 0]);
        bytes.put_u16(incarnation);
        bytes.put_u8(state);
        let now = membership.protocol.identity().generation();
        let dst = bytes.windows(16).position(|window| window == id(0).0).expect("its key") + 16;
        bytes[dst..dst + 4].copy_from_slice(&now.to_be_bytes());
        let _ = membership.handle_message(ms(at), id(1), &bytes);
        while let Some(output) = membership.poll_output() {
            match output {
                Output::Send { to, .. } => assert_ne!(to, id(0)),
                Output::Up(member) | Output::Down(member) => assert_ne!(member.node, id(0)),
            }
        }
        assert!(membership.effects.timers.len() <= 10);
        assert_eq!(membership.members().len(), 1);
    };
    let mut at = 1;
    for generation in [0, 1, 5, u32::MAX] {
        for incarnation in [0, 1, u16::MAX] {
            for state in 0..3 {
                own(state, generation, incarnation, at);
                at += 1;
            }
        }
    }
}

#[test]
fn broken_packets_are_errors() {
    let take = |bytes: &[u8], from| {
        let mut membership = Membership::new(member(0), Config::default(), 1);
        let result = membership.handle_message(ms(1), from, bytes);
        if result.is_err() {
            assert_eq!((membership.poll_output(), membership.known_count()), (None, 0));
        }
        result
    };
    let valid = gossip(0..20, 0);
    assert_eq!(take(&valid, id(1)), Ok(()));
    for end in 0..valid.len() {
        let result = take(&valid[..end], id(1));
        // A packet may end after its header.
        let header = end == 25 + 2 + 20 + 1;
        assert_eq!(result.is_ok(), header, "{end}: {result:?}");
    }
    let mut longer = valid.clone();
    longer.push(0);
    assert_eq!(take(&longer, id(1)), Err(MembershipError::Trailing { bytes: 1 }));
    let sender = MembershipError::Sender { from: id(2), got: id(1) };
    assert_eq!(take(&valid, id(2)), Err(sender));
    assert!(matches!(take(&first_packet(0, 1), id(0)), Err(MembershipError::Sender { .. })));
    let large = vec![0; PACKET_BYTES_MAX + 1];
    assert!(matches!(take(&large, id(1)), Err(MembershipError::PacketBytes { .. })));
    let addresses = peer_bytes(id(1), b"", &[4; 9]);
    let error = MembershipError::Addresses { max: ADDRS_MAX, got: 9 };
    assert_eq!(take(&addresses, id(1)), Err(error));
    let family = peer_bytes(id(1), b"", &[5]);
    assert!(matches!(take(&family, id(1)), Err(MembershipError::Malformed { .. })));
    assert_eq!(take(&peer_bytes(id(1), &[0xff], &[]), id(1)), Err(MembershipError::Text));
    // A name that says it is longer than the packet.
    let mut name = peer_bytes(id(1), b"", &[]);
    name[20] = 255;
    assert_eq!(take(&name, id(1)), Err(MembershipError::Malformed { what: "name" }));
    for (tag, what) in [(10, "message"), (255, "message")] {
        let mut unknown = valid.clone();
        unknown[25 + 2 + 20] = tag;
        assert_eq!(take(&unknown, id(1)), Err(MembershipError::Malformed { what }));
    }
    assert!(matches!(
        take(&gossip(0..1, 3), id(1)),
        Err(MembershipError::Malformed { what: "state" })
    ));
}

#[test]
fn names_and_addresses_are_clipped_to_what_travels() {
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
    let long = Member::new(id(1), "ä".repeat(200), vec![v6; 20]);
    assert_eq!((long.name.len(), long.addrs.len()), (254, ADDRS_MAX));
    let mut changed = long.clone();
    changed.name.push_str("more than fits");
    changed.addrs.push(v6);

    let mut sender = Membership::new(changed, Config::default(), 1);
    sender.handle_connected(ms(1), member(0));
    let mut receiver = Membership::new(member(0), Config::default(), 2);
    while let Some(output) = sender.poll_output() {
        if let Output::Send { bytes, .. } = output {
            receiver.handle_message(ms(2), id(1), &bytes).expect("a packet of a node");
        }
    }
    let heard = receiver.members();
    assert_eq!(heard[0].addrs, long.addrs);
    assert!(heard[0].name.starts_with(&long.name) && heard[0].name.len() <= NAME_BYTES_MAX);
}

#[test]
fn times_that_make_no_sense_are_mended() {
    for (period, timeout, suspect) in [(0, 0, 0), (100, 100, 0), (10, 5_000, 1), (1, 1, 1)] {
        let config = Config {
            probe_period: ms(period),
            probe_timeout: ms(timeout),
            suspect: ms(suspect),
            members_max: 0,
        };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        membership.handle_timeout(ms(60_000));
        assert_eq!(membership.members(), []);
        let config = Config { members_max: 1, ..config };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        assert_eq!(membership.members(), [member(1)]);
        for now in 2..2_000 {
            membership.handle_timeout(ms(now));
            assert!(membership.poll_timeout().is_none_or(|at| at > ms(now)));
        }
    }
}

/// Bytes that may get far: valid packets with some bytes changed, cut or added.
fn almost_valid() -> impl Strategy<Value = Vec<u8>> {
    let flips = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let base = (0..21_u32, 0..3_u8, 0..10_u8);
    (base, flips, any::<prop::sample::Index>(), vec(any::<u8>(), 0..4), any::<bool>()).prop_map(
        |((count, state, tag), flips, cut, tail, whole)| {
            let mut bytes = gossip(0..count, state);
            bytes[25 + 2 + 20] = tag;
            if (2..=5).contains(&tag) {
                bytes.splice(48..48, [7; 21]);
            } else if tag < 2 {
                bytes.insert(48, 7);
            }
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
                bytes.extend(tail);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_of_a_peer_do_harm(
        packets in vec(prop_oneof![almost_valid(), vec(any::<u8>(), 0..200)], 1..20),
    ) {
        let config = Config { members_max: 30, ..Config::default() };
        let mut membership = Membership::new(member(0), config, 1);
        membership.handle_connected(ms(1), member(1));
        let mut up = BTreeSet::new();
        for (step, bytes) in packets.iter().enumerate() {
            let now = ms(100 * step as u64 + 2);
            let _ = membership.handle_message(now, id(1), bytes);
            membership.handle_timeout(now);
            while let Some(output) = membership.poll_output() {
                match output {
                    Output::Send { to, bytes } => {
                        prop_assert_ne!(to, id(0));
                        prop_assert!(bytes.len() <= PACKET_BYTES_MAX);
                    }
                    Output::Up(member) => prop_assert!(up.insert(member.node)),
                    Output::Down(member) => prop_assert!(up.remove(&member.node)),
                }
            }
            prop_assert!(!up.contains(&id(0)));
            prop_assert!(membership.known_count() <= 31);
            prop_assert!(membership.effects.timers.len() <= 6 + 3 * 31);
        }
    }
}
