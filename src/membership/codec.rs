//! The bytes of a packet.
//!
//! ```text
//! packet   src: peer  incarnation: u16  dst: key  message [count: u16  update...]
//! update   peer  incarnation: u16  state: u8
//! peer     key  name: u8 length, bytes  addresses: u8 count, each a family, IP and port
//! key      node: 16 bytes  generation: u32
//! message  tag: u8, of probes a number: u8, of indirect ones a key before it
//! ```
//!
//! Numbers are big-endian. Only who sent a packet and whom it tells of are
//! described in full; whom it is for is a key, which leaves room for updates.
//! A name's length is one byte, so no name is too long. The scope of an IPv6
//! address means nothing on another host and does not travel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use bytes::{Buf, BufMut};
use foca::{Header, Message, State};

use super::peer::Peer;
use super::{ADDRS_MAX, Member, MembershipError, NAME_BYTES_MAX, PACKET_BYTES_MAX};
use crate::placement::NodeId;

/// Writes and reads what the protocol says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec;

impl foca::Codec<Peer> for Codec {
    type Error = MembershipError;

    fn encode_header(
        &mut self,
        header: &Header<Peer>,
        buffer: impl BufMut,
    ) -> Result<(), MembershipError> {
        let mut bytes = Vec::with_capacity(128);
        write_peer(&mut bytes, header.src.member());
        bytes.put_u16(header.src_incarnation);
        write_key(&mut bytes, &header.dst);
        write_message(&mut bytes, &header.message);
        put(&bytes, buffer)
    }

    fn decode_header(&mut self, buffer: impl Buf) -> Result<Header<Peer>, MembershipError> {
        take(buffer, read_header)
    }

    fn encode_member(
        &mut self,
        update: &foca::Member<Peer>,
        buffer: impl BufMut,
    ) -> Result<(), MembershipError> {
        let mut bytes = Vec::with_capacity(64);
        write_peer(&mut bytes, update.id().member());
        bytes.put_u16(update.incarnation());
        bytes.put_u8(match update.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put(&bytes, buffer)
    }

    fn decode_member(&mut self, buffer: impl Buf) -> Result<foca::Member<Peer>, MembershipError> {
        take(buffer, read_update)
    }
}

/// All of it or nothing.
fn put(bytes: &[u8], mut buffer: impl BufMut) -> Result<(), MembershipError> {
    if buffer.remaining_mut() < bytes.len() {
        return Err(MembershipError::PacketBytes { max: buffer.remaining_mut(), got: bytes.len() });
    }
    buffer.put_slice(bytes);
    Ok(())
}

/// Reads from the front of `buffer`, which the protocol keeps in one piece.
fn take<T>(
    mut buffer: impl Buf,
    read: impl FnOnce(&mut &[u8]) -> Result<T, MembershipError>,
) -> Result<T, MembershipError> {
    let mut rest = buffer.chunk();
    let before = rest.len();
    let value = read(&mut rest)?;
    let used = before - rest.len();
    buffer.advance(used);
    Ok(value)
}

/// A packet that was read through to its end.
pub(super) struct Packet<'a> {
    bytes: &'a [u8],
    pub(super) header: Header<Peer>,
    header_bytes: usize,
    /// Whom each update tells of, and where it lies.
    pub(super) updates: Vec<(NodeId, Range<usize>)>,
}

impl<'a> Packet<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Packet<'a>, MembershipError> {
        if bytes.len() > PACKET_BYTES_MAX {
            return Err(MembershipError::PacketBytes { max: PACKET_BYTES_MAX, got: bytes.len() });
        }
        let mut rest = bytes;
        let header = read_header(&mut rest)?;
        let header_bytes = bytes.len() - rest.len();
        let mut updates = Vec::new();
        if !rest.is_empty() {
            // An update takes bytes, so a count without them costs nothing.
            for _ in 0..u16::from_be_bytes(array(&mut rest, "number of updates")?) {
                let start = bytes.len() - rest.len();
                let node = read_update(&mut rest)?.id().node();
                updates.push((node, start..bytes.len() - rest.len()));
            }
        }
        match rest.len() {
            0 => Ok(Packet { bytes, header, header_bytes, updates }),
            bytes => Err(MembershipError::Trailing { bytes }),
        }
    }

    /// The packet with only the updates that `keep` says.
    pub(super) fn with_updates(&self, keep: impl Fn(NodeId) -> bool) -> Vec<u8> {
        let mut bytes = self.bytes[..self.header_bytes].to_vec();
        let kept = self.updates.iter().filter(|(node, _)| keep(*node));
        bytes.put_u16(kept.clone().count() as u16);
        kept.for_each(|(_, range)| bytes.put_slice(&self.bytes[range.clone()]));
        bytes
    }
}

fn write_key(bytes: &mut Vec<u8>, peer: &Peer) {
    bytes.put_slice(&peer.node().0);
    bytes.put_u32(peer.generation());
}

fn write_peer(bytes: &mut Vec<u8>, member: &Member) {
    debug_assert!(member.name.len() <= NAME_BYTES_MAX && member.addrs.len() <= ADDRS_MAX);
    bytes.put_slice(&member.node.0);
    bytes.put_u32(member.generation);
    bytes.put_u8(member.name.len() as u8);
    bytes.put_slice(member.name.as_bytes());
    bytes.put_u8(member.addrs.len() as u8);
    for addr in &member.addrs {
        match addr.ip() {
            IpAddr::V4(ip) => {
                bytes.put_u8(4);
                bytes.put_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                bytes.put_u8(6);
                bytes.put_slice(&ip.octets());
            }
        }
        bytes.put_u16(addr.port());
    }
}

fn write_message(bytes: &mut Vec<u8>, message: &Message<Peer>) {
    let (tag, peer, number) = match message {
        Message::Ping(number) => (0, None, Some(number)),
        Message::Ack(number) => (1, None, Some(number)),
        Message::PingReq { target, probe_number } => (2, Some(target), Some(probe_number)),
        Message::IndirectPing { origin, probe_number } => (3, Some(origin), Some(probe_number)),
        Message::IndirectAck { target, probe_number } => (4, Some(target), Some(probe_number)),
        Message::ForwardedAck { origin, probe_number } => (5, Some(origin), Some(probe_number)),
        Message::Announce => (6, None, None),
        Message::Feed => (7, None, None),
        Message::Gossip => (8, None, None),
        Message::TurnUndead => (9, None, None),
        // Never sent, as nothing is broadcast besides updates; nor read.
        Message::Broadcast => (10, None, None),
    };
    bytes.put_u8(tag);
    if let Some(peer) = peer {
        write_key(bytes, peer);
    }
    if let Some(&number) = number {
        bytes.put_u8(number);
    }
}

fn array<const N: usize>(rest: &mut &[u8], what: &'static str) -> Result<[u8; N], MembershipError> {
    let (&head, tail) = rest.split_first_chunk().ok_or(MembershipError::Malformed { what })?;
    *rest = tail;
    Ok(head)
}

fn byte(rest: &mut &[u8], what: &'static str) -> Result<u8, MembershipError> {
    array(rest, what).map(|[byte]| byte)
}

fn read_key(rest: &mut &[u8]) -> Result<(NodeId, u32), MembershipError> {
    let node = NodeId(array(rest, "node")?);
    Ok((node, u32::from_be_bytes(array(rest, "generation")?)))
}

fn read_peer(rest: &mut &[u8]) -> Result<Peer, MembershipError> {
    let (node, generation) = read_key(rest)?;
    let length = byte(rest, "length of a name")?;
    let (name, tail) =
        rest.split_at_checked(length.into()).ok_or(MembershipError::Malformed { what: "name" })?;
    *rest = tail;
    let name = std::str::from_utf8(name).map_err(|_| MembershipError::Text)?.to_owned();
    let count = byte(rest, "number of addresses")?;
    if usize::from(count) > ADDRS_MAX {
        return Err(MembershipError::Addresses { max: ADDRS_MAX, got: count.into() });
    }
    let addrs = (0..count).map(|_| read_addr(rest)).collect::<Result<_, _>>()?;
    Ok(Peer::new(Member { node, name, addrs, generation }))
}

fn read_addr(rest: &mut &[u8]) -> Result<SocketAddr, MembershipError> {
    let ip = match byte(rest, "address family")? {
        4 => IpAddr::V4(Ipv4Addr::from(array::<4>(rest, "address")?)),
        6 => IpAddr::V6(Ipv6Addr::from(array::<16>(rest, "address")?)),
        _ => return Err(MembershipError::Malformed { what: "address family" }),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes(array(rest, "port")?)))
}

fn read_incarnation(rest: &mut &[u8]) -> Result<u16, MembershipError> {
    array(rest, "incarnation").map(u16::from_be_bytes)
}

fn read_update(rest: &mut &[u8]) -> Result<foca::Member<Peer>, MembershipError> {
    let peer = read_peer(rest)?;
    let incarnation = read_incarnation(rest)?;
    let state = match byte(rest, "state")? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return Err(MembershipError::Malformed { what: "state" }),
    };
    Ok(foca::Member::new(peer, incarnation, state))
}

fn read_header(rest: &mut &[u8]) -> Result<Header<Peer>, MembershipError> {
    let src = read_peer(rest)?;
    let src_incarnation = read_incarnation(rest)?;
    let (node, generation) = read_key(rest)?;
    let message = read_message(rest)?;
    Ok(Header { src, src_incarnation, dst: Peer::key(node, generation), message })
}

fn read_message(rest: &mut &[u8]) -> Result<Message<Peer>, MembershipError> {
    let tag = byte(rest, "message")?;
    let peer = match tag {
        2..=5 => read_key(rest).map(|(node, generation)| Some(Peer::key(node, generation)))?,
        _ => None,
    };
    let probe_number = match tag {
        0..=5 => byte(rest, "number of a probe")?,
        _ => 0,
    };
    Ok(match (tag, peer) {
        (0, _) => Message::Ping(probe_number),
        (1, _) => Message::Ack(probe_number),
        (2, Some(target)) => Message::PingReq { target, probe_number },
        (3, Some(origin)) => Message::IndirectPing { origin, probe_number },
        (4, Some(target)) => Message::IndirectAck { target, probe_number },
        (5, Some(origin)) => Message::ForwardedAck { origin, probe_number },
        (6, _) => Message::Announce,
        (7, _) => Message::Feed,
        (8, _) => Message::Gossip,
        (9, _) => Message::TurnUndead,
        _ => return Err(MembershipError::Malformed { what: "message" }),
    })
}
