//! Messages from one rank to one other, matched by sender and tag.
//!
//! A message of up to [`Config::eager_bytes`](super::Config) is sent at once and kept
//! by the receiver until it is asked for; of a longer one only so much, and the rest when
//! it is received there. Of two messages that fit, the one that was sent first is
//! received first.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::context::Port;
use super::frame::{Head, PointSegment};
use super::{GroupError, Now, OpId};
use crate::dtype::DType;

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The rank that sent it.
    pub from: usize,
    /// Its tag.
    pub tag: u32,
    /// The type of its elements.
    pub dtype: DType,
    /// Its elements, little endian.
    pub bytes: Vec<u8>,
}

struct Sending {
    id: OpId,
    tag: u32,
    dtype: DType,
    bytes: Bytes,
    sent: usize,
    limit: usize,
    deadline: Option<(Now, Now)>,
}

struct Incoming {
    message: Message,
    number: u64,
    total: u64,
    receive: Option<OpId>,
}

/// A receive that waits.
pub(super) struct Receive {
    pub id: OpId,
    pub from: Option<usize>,
    pub tag: Option<u32>,
    pub dtype: DType,
    pub deadline: Option<(Now, Now)>,
}

/// The messages of one communicator on one rank.
pub(super) struct Points {
    numbers: Vec<u64>,
    sending: BTreeMap<(usize, u64), Sending>,
    /// In order of arrival.
    incoming: VecDeque<Incoming>,
    receives: VecDeque<Receive>,
    /// Bytes of small messages that each rank has not received yet.
    ahead: Vec<u64>,
    /// Bytes of small messages of each rank that it was not told are received.
    taken: Vec<u64>,
    /// No deadline is earlier.
    earliest: Option<Now>,
    pub finished: Vec<(OpId, Result<Message, GroupError>)>,
}

impl Points {
    pub fn new(size: usize) -> Points {
        Points {
            numbers: vec![0; size],
            sending: BTreeMap::new(),
            incoming: VecDeque::new(),
            receives: VecDeque::new(),
            ahead: vec![0; size],
            taken: vec![0; size],
            earliest: None,
            finished: Vec::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a message is, once")]
    pub fn send(
        &mut self,
        id: OpId,
        to: usize,
        tag: u32,
        dtype: DType,
        bytes: Bytes,
        deadline: Option<(Now, Now)>,
        port: &mut Port<'_>,
    ) {
        let number = self.numbers[to];
        self.numbers[to] += 1;
        if to == port.rank {
            let total = bytes.len() as u64;
            let message = Message { from: to, tag, dtype, bytes: bytes.to_vec() };
            self.done_sending(id, to, tag, dtype);
            self.incoming.push_back(Incoming { message, number, total, receive: None });
            return self.pair(port);
        }
        let room = port.config.ahead_bytes_max.saturating_sub(self.ahead[to]);
        let limit = bytes.len().min(port.config.eager_bytes as usize).min(room as usize);
        if limit == bytes.len() {
            self.ahead[to] += limit as u64;
        }
        self.note(deadline);
        let sending = Sending { id, tag, dtype, bytes, sent: 0, limit, deadline };
        self.sending.insert((to, number), sending);
        self.flush(to, number, true, port);
    }

    pub fn receive(&mut self, receive: Receive, port: &mut Port<'_>) {
        self.note(receive.deadline);
        self.receives.push_back(receive);
        self.pair(port);
    }

    fn note(&mut self, deadline: Option<(Now, Now)>) {
        let until = deadline.map(|(until, _)| until);
        self.earliest = self.earliest.into_iter().chain(until).min();
    }

    /// More of a message came. False if it is none that can come.
    pub fn handle(
        &mut self,
        from: usize,
        segment: PointSegment,
        body: &Bytes,
        port: &mut Port<'_>,
    ) -> bool {
        let PointSegment { number, tag, dtype, offset, total, .. } = segment;
        let known =
            self.incoming.iter_mut().find(|one| one.message.from == from && one.number == number);
        match known {
            Some(one) => {
                let message = &mut one.message;
                if offset != message.bytes.len() as u64
                    || total != one.total
                    || offset + body.len() as u64 > total
                {
                    return false;
                }
                message.bytes.extend_from_slice(body);
            }
            None if offset == 0 && body.len() as u64 <= total => {
                let message = Message { from, tag, dtype, bytes: body.to_vec() };
                self.incoming.push_back(Incoming { message, number, total, receive: None });
            }
            None => return false,
        }
        self.pair(port);
        true
    }

    /// All of a message may be sent.
    pub fn credit(&mut self, from: usize, number: u64, port: &mut Port<'_>) {
        if let Some(sending) = self.sending.get_mut(&(from, number)) {
            sending.limit = sending.bytes.len();
            self.flush(from, number, false, port);
        }
    }

    /// A rank has received small messages.
    pub fn taken(&mut self, from: usize, bytes: u64) {
        self.ahead[from] = self.ahead[from].saturating_sub(bytes);
    }

    /// Ends what can only end with a rank that is gone.
    pub fn lose(&mut self, rank: usize, error: &GroupError) {
        let lost = |from: Option<usize>| from == Some(rank);
        let matched: Vec<OpId> = self
            .incoming
            .iter()
            .filter(|one| one.message.from == rank && (one.message.bytes.len() as u64) < one.total)
            .filter_map(|one| one.receive)
            .collect();
        self.incoming
            .retain(|one| one.message.from != rank || one.message.bytes.len() as u64 == one.total);
        self.receives.retain(|receive| {
            if lost(receive.from) || matched.contains(&receive.id) {
                self.finished.push((receive.id, Err(error.clone())));
                return false;
            }
            true
        });
        self.sending.retain(|&(to, _), sending| {
            if to == rank {
                self.finished.push((sending.id, Err(error.clone())));
            }
            to != rank
        });
    }

    /// Ends everything.
    pub fn fail(&mut self, error: &GroupError) {
        let ids = self.sending.values().map(|sending| sending.id);
        let ids: Vec<OpId> = ids.chain(self.receives.iter().map(|receive| receive.id)).collect();
        self.finished.extend(ids.into_iter().map(|id| (id, Err(error.clone()))));
        self.sending.clear();
        self.receives.clear();
        self.incoming.clear();
    }

    /// Ends receives whose time is over; gives the sends whose time is over.
    pub fn expire(&mut self, now: Now, rank: usize) -> Option<GroupError> {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return None;
        }
        let late = |deadline: Option<(Now, Now)>| deadline.filter(|(until, _)| *until <= now);
        let timeout = |call: String, after: Now, waiting_for: Vec<u32>| GroupError::Timeout {
            rank: rank as u32,
            call,
            after,
            waiting_for,
        };
        self.receives.retain(|receive| {
            let Some((_, after)) = late(receive.deadline) else { return true };
            let from = receive.from.map(|from| from as u32).into_iter().collect();
            let call = format!("receive of {}", receive.dtype);
            self.finished.push((receive.id, Err(timeout(call, after, from))));
            // What it had begun to take goes to the next that asks.
            for one in &mut self.incoming {
                one.receive = one.receive.filter(|id| *id != receive.id);
            }
            false
        });
        let sends = self.sending.values().filter_map(|sending| sending.deadline);
        let receives = self.receives.iter().filter_map(|receive| receive.deadline);
        let untils = sends.chain(receives).map(|(until, _)| until);
        self.earliest = untils.filter(|until| *until > now).min();
        self.sending.iter().find_map(|((to, _), sending)| {
            let (_, after) = late(sending.deadline)?;
            let call = format!("send of {} bytes", sending.bytes.len());
            Some(timeout(call, after, vec![*to as u32]))
        })
    }

    /// When [`Points::expire`] may have something to do.
    pub fn next_timeout(&self) -> Option<Now> {
        self.earliest
    }

    /// Sends and receives that have not ended.
    pub fn under_way(&self) -> usize {
        self.sending.len() + self.receives.len()
    }

    fn done_sending(&mut self, id: OpId, to: usize, tag: u32, dtype: DType) {
        self.finished.push((id, Ok(Message { from: to, tag, dtype, bytes: Vec::new() })));
    }

    fn flush(&mut self, to: usize, number: u64, first: bool, port: &mut Port<'_>) {
        let Some(sending) = self.sending.get_mut(&(to, number)) else { return };
        let mut begins = first;
        while sending.sent < sending.limit || begins {
            begins = false;
            let end = sending.limit.min(sending.sent + port.config.segment_bytes);
            let segment = PointSegment {
                context: port.context,
                number,
                tag: sending.tag,
                dtype: sending.dtype,
                offset: sending.sent as u64,
                total: sending.bytes.len() as u64,
            };
            port.send(to, &Head::Point(segment), sending.bytes.slice(sending.sent..end));
            sending.sent = end;
        }
        if sending.sent == sending.bytes.len() {
            let (id, tag, dtype) = (sending.id, sending.tag, sending.dtype);
            self.sending.remove(&(to, number));
            self.done_sending(id, to, tag, dtype);
        }
    }

    /// Gives messages to the receives that they fit.
    fn pair(&mut self, port: &mut Port<'_>) {
        let mut position = 0;
        while position < self.receives.len() {
            let receive = &self.receives[position];
            let fits = |one: &Incoming| {
                one.receive == Some(receive.id)
                    || (one.receive.is_none()
                        && receive.from.is_none_or(|from| from == one.message.from)
                        && receive.tag.is_none_or(|tag| tag == one.message.tag))
            };
            let own = self.incoming.iter().position(|one| one.receive == Some(receive.id));
            let Some(at) = own.or_else(|| self.incoming.iter().position(fits)) else {
                position += 1;
                continue;
            };
            let one = &mut self.incoming[at];
            let (from, number) = (one.message.from, one.number);
            let complete = one.message.bytes.len() as u64 == one.total;
            if !complete {
                if one.receive.is_none() {
                    one.receive = Some(receive.id);
                    let context = port.context;
                    port.send(from, &Head::PointCredit { context, number }, Bytes::new());
                }
                position += 1;
                continue;
            }
            let Incoming { message, total, receive: begun, .. } =
                self.incoming.remove(at).expect("its position");
            let receive = self.receives.remove(position).expect("its position");
            if begun.is_none() && from != port.rank {
                self.count_taken(from, total, port);
            }
            let result = match message.dtype == receive.dtype {
                true => Ok(message),
                false => Err(GroupError::Message {
                    from: from as u32,
                    sent: format!("{} bytes of {}", total, message.dtype),
                    wanted: receive.dtype.to_string(),
                }),
            };
            self.finished.push((receive.id, result));
        }
    }

    fn count_taken(&mut self, from: usize, bytes: u64, port: &mut Port<'_>) {
        self.taken[from] += bytes;
        if self.taken[from] >= port.config.ahead_bytes_max / 4 {
            let (context, bytes) = (port.context, std::mem::take(&mut self.taken[from]));
            port.send(from, &Head::PointTaken { context, bytes }, Bytes::new());
        }
    }
}
