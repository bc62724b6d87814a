//! Messages from one rank to one other, matched by sender and tag.
//!
//! A message of up to [`Config::eager_bytes`](super::Config) is sent at once and kept
//! by the receiver until it is asked for; of a longer one only so much, and the rest when
//! it is received there. Of two messages that fit, the one that was sent first is
//! received first. A send that lasts until the message is received begins with none of
//! its bytes, and ends when they are asked for; that comes for an empty one, too.

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
    /// Its elements, little endian; none where it was only looked at.
    pub bytes: Vec<u8>,
    /// The bytes of all its elements.
    pub length_bytes: u64,
}

struct Sending {
    id: OpId,
    tag: u32,
    dtype: DType,
    bytes: Bytes,
    sent: usize,
    limit: usize,
    /// Whether it lasts until a receive takes it, and none does yet.
    until_received: bool,
    /// Whether it is one of the small ones that the receiver has ahead.
    is_ahead: bool,
    deadline: Option<(Now, Now)>,
}

struct Incoming {
    message: Message,
    number: u64,
    until_received: bool,
    is_ahead: bool,
    receive: Option<OpId>,
}

impl Incoming {
    fn is_whole(&self) -> bool {
        self.message.bytes.len() as u64 == self.message.length_bytes
    }

    /// Whether nobody takes it yet, and it is one of these.
    fn is_free_for(&self, from: Option<usize>, tag: Option<u32>) -> bool {
        self.receive.is_none()
            && from.is_none_or(|from| from == self.message.from)
            && tag.is_none_or(|tag| tag == self.message.tag)
    }
}

/// What a receive wants of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its elements, which must be of this type.
    Elements(DType),
    /// Its elements, whatever they are.
    Bytes,
    /// To know of it. It stays for others to receive.
    Look,
}

/// A receive that waits.
pub(super) struct Receive {
    pub id: OpId,
    pub from: Option<usize>,
    pub tag: Option<u32>,
    pub wanted: Wanted,
    pub deadline: Option<(Now, Now)>,
    /// It has begun to take a message.
    pub has_begun: bool,
}

impl Receive {
    /// Whether it waits for a message, this is one of those, and it is free.
    fn takes(&self, message: &Incoming) -> bool {
        !self.has_begun && message.is_free_for(self.from, self.tag)
    }
}

/// The messages of one communicator on one rank.
pub(super) struct Points {
    /// How many messages were sent to each rank.
    numbers: Vec<u64>,
    /// How many messages of each rank have begun to come.
    begun: Vec<u64>,
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
            begun: vec![0; size],
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
        until_received: bool,
        deadline: Option<(Now, Now)>,
        port: &mut Port<'_>,
    ) {
        let number = self.numbers[to];
        self.numbers[to] += 1;
        self.note(deadline);
        if to == port.rank {
            let (length_bytes, sent) = (bytes.len() as u64, bytes.len());
            let message = Message { from: to, tag, dtype, bytes: bytes.to_vec(), length_bytes };
            let (limit, is_ahead) = (sent, false);
            let sending =
                Sending { id, tag, dtype, bytes, sent, limit, until_received, is_ahead, deadline };
            self.sending.insert((to, number), sending);
            self.flush(to, number, false, port);
            let receive = None;
            self.incoming.push_back(Incoming {
                message,
                number,
                until_received,
                is_ahead,
                receive,
            });
            self.begun[to] += 1;
            return self.offer(self.incoming.len() - 1, port);
        }
        let room = port.config.ahead_bytes_max.saturating_sub(self.ahead[to]);
        let eager_bytes = if until_received { 0 } else { port.config.eager_bytes };
        let limit = bytes.len().min(eager_bytes as usize).min(room as usize);
        let is_ahead = limit == bytes.len();
        if is_ahead {
            self.ahead[to] += limit as u64;
        }
        let sent = 0;
        let sending =
            Sending { id, tag, dtype, bytes, sent, limit, until_received, is_ahead, deadline };
        self.sending.insert((to, number), sending);
        self.flush(to, number, true, port);
    }

    pub fn receive(&mut self, receive: Receive, port: &mut Port<'_>) {
        self.note(receive.deadline);
        let at = self.incoming.iter().position(|one| receive.takes(one));
        self.receives.push_back(receive);
        if let Some(at) = at {
            self.give(self.receives.len() - 1, at, port);
        }
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
        let PointSegment { number, tag, dtype, offset, total, until_received, is_ahead, .. } =
            segment;
        let is_known = |one: &Incoming| one.message.from == from && one.number == number;
        // Messages of one rank begin in the order of their numbers.
        let known = match number < self.begun[from] {
            true => self.incoming.iter().position(is_known),
            false => None,
        };
        let at = known.unwrap_or(self.incoming.len());
        match known {
            Some(at) => {
                let message = &mut self.incoming[at].message;
                if offset != message.bytes.len() as u64
                    || total != message.length_bytes
                    || offset + body.len() as u64 > total
                {
                    return false;
                }
                message.bytes.extend_from_slice(body);
            }
            None if number == self.begun[from] && offset == 0 && body.len() as u64 <= total => {
                self.begun[from] += 1;
                let bytes = body.to_vec();
                let message = Message { from, tag, dtype, bytes, length_bytes: total };
                let receive = None;
                let incoming = Incoming { message, number, until_received, is_ahead, receive };
                self.incoming.push_back(incoming);
            }
            None => return false,
        }
        self.offer(at, port);
        true
    }

    /// A receive takes a message, all of which may be sent.
    pub fn credit(&mut self, from: usize, number: u64, port: &mut Port<'_>) {
        if let Some(sending) = self.sending.get_mut(&(from, number)) {
            sending.until_received = false;
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
            .filter(|one| one.message.from == rank && !one.is_whole())
            .filter_map(|one| one.receive)
            .collect();
        self.incoming.retain(|one| one.message.from != rank || one.is_whole());
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
    pub fn expire(&mut self, now: Now, port: &mut Port<'_>) -> Option<GroupError> {
        let rank = port.rank;
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
        let mut freed = Vec::new();
        self.receives.retain(|receive| {
            let Some((_, after)) = late(receive.deadline) else { return true };
            // From anybody is from each of the others.
            let others = || (0..self.ahead.len()).filter(|&other| other != rank);
            let from = receive.from.map_or_else(|| others().collect(), |from| vec![from]);
            let from = from.into_iter().map(|from| from as u32).collect();
            let call = match receive.wanted {
                Wanted::Elements(dtype) => format!("receive of {dtype}"),
                Wanted::Bytes => "receive of any type".to_owned(),
                Wanted::Look => "probe".to_owned(),
            };
            self.finished.push((receive.id, Err(timeout(call, after, from))));
            for one in self.incoming.iter_mut().filter(|one| one.receive == Some(receive.id)) {
                one.receive = None;
                freed.push((one.message.from, one.number));
            }
            false
        });
        // What they had begun to take goes to who waits now.
        for (from, number) in freed {
            let is_it = |one: &Incoming| one.message.from == from && one.number == number;
            if let Some(at) = self.incoming.iter().position(is_it) {
                self.offer(at, port);
            }
        }
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
        let message = Message { from: to, tag, dtype, bytes: Vec::new(), length_bytes: 0 };
        self.finished.push((id, Ok(message)));
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
                until_received: sending.until_received,
                is_ahead: sending.is_ahead,
            };
            port.send(to, &Head::Point(segment), sending.bytes.slice(sending.sent..end));
            sending.sent = end;
        }
        if sending.sent == sending.bytes.len() && !sending.until_received {
            let (id, tag, dtype) = (sending.id, sending.tag, sending.dtype);
            self.sending.remove(&(to, number));
            self.done_sending(id, to, tag, dtype);
        }
    }

    /// Ends a receive that no message came for. Whether it did.
    pub fn cancel(&mut self, id: OpId) -> bool {
        let found = self.receives.iter().position(|one| one.id == id && !one.has_begun);
        if let Some(position) = found {
            self.receives.remove(position);
            self.finished.push((id, Err(GroupError::Cancelled)));
        }
        found.is_some()
    }

    /// What is known of the first message that a receive would be given.
    pub fn look(&self, from: Option<usize>, tag: Option<u32>) -> Option<Message> {
        let at = self.incoming.iter().position(|one| one.is_free_for(from, tag))?;
        Some(self.known(at))
    }

    fn known(&self, at: usize) -> Message {
        let Message { from, tag, dtype, length_bytes, .. } = self.incoming[at].message;
        Message { from, tag, dtype, bytes: Vec::new(), length_bytes }
    }

    /// Gives a message to the receive that has begun to take it; one that is free to all that
    /// look for it, and to the first other one that it fits.
    fn offer(&mut self, at: usize, port: &mut Port<'_>) {
        if let Some(id) = self.incoming[at].receive {
            let position = self.receives.iter().position(|receive| receive.id == id);
            return position.map_or((), |position| self.give(position, at, port));
        }
        let mut position = 0;
        while position < self.receives.len() {
            let receive = &self.receives[position];
            let (takes, looks) =
                (receive.takes(&self.incoming[at]), receive.wanted == Wanted::Look);
            match (takes, looks) {
                (false, _) => position += 1,
                // That ends it, and another is in its place.
                (true, true) => self.give(position, at, port),
                (true, false) => return self.give(position, at, port),
            }
        }
    }

    /// Gives a message that fits to a receive, as far as it has come.
    fn give(&mut self, position: usize, at: usize, port: &mut Port<'_>) {
        let Receive { id, wanted, .. } = self.receives[position];
        if wanted == Wanted::Look {
            self.receives.remove(position);
            self.finished.push((id, Ok(self.known(at))));
            return;
        }
        self.receives[position].has_begun = true;
        let one = &mut self.incoming[at];
        let (from, number, is_whole) = (one.message.from, one.number, one.is_whole());
        let begins = one.receive.replace(id).is_none();
        let waits = one.until_received;
        if begins && waits && from == port.rank {
            self.credit(from, number, port);
        } else if begins && (waits || !is_whole) {
            let context = port.context;
            port.send(from, &Head::PointCredit { context, number }, Bytes::new());
        }
        if !is_whole {
            return;
        }
        let Incoming { message, is_ahead, .. } = self.incoming.remove(at).expect("its position");
        self.receives.remove(position);
        if is_ahead {
            self.count_taken(from, message.length_bytes, port);
        }
        let result = match wanted {
            Wanted::Elements(dtype) if dtype != message.dtype => Err(GroupError::Message {
                from: from as u32,
                sent: format!("{} bytes of {}", message.length_bytes, message.dtype),
                wanted: dtype.to_string(),
            }),
            _ => Ok(message),
        };
        self.finished.push((id, result));
    }

    fn count_taken(&mut self, from: usize, bytes: u64, port: &mut Port<'_>) {
        self.taken[from] += bytes;
        if self.taken[from] >= port.config.ahead_bytes_max / 4 {
            let (context, bytes) = (port.context, std::mem::take(&mut self.taken[from]));
            port.send(from, &Head::PointTaken { context, bytes }, Bytes::new());
        }
    }
}
