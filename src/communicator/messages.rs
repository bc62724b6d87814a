//! Messages from one rank to one other.
//!
//! They share the fate of their communicator: an error after which it is of no more use
//! ([`GroupError::breaks`]) ends those under way, too, and what has not been received is
//! lost. Messages in a [`Communicator::dup`] have their own fate.

use std::sync::Arc;

use super::element::{Element, from_bytes, to_bytes};
use super::shared::Slot;
use super::{Communicator, GroupError, Request};
use crate::dtype::DType;
use crate::group::{Group, Message, Outcome, Wanted};

/// A message that was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<T> {
    /// The rank that sent it.
    pub from: usize,
    /// Its tag.
    pub tag: u32,
    /// Its elements.
    pub data: Vec<T>,
}

/// The bytes of a message, and what is known of it.
fn opened(mut message: Message) -> Raw {
    let bytes = std::mem::take(&mut message.bytes);
    (message.into(), bytes)
}

impl<R> Request<R> {
    fn of_message(slot: Arc<Slot>, then: impl FnOnce(Message) -> R + Send + 'static) -> Request<R> {
        let convert = |outcome| match outcome {
            Outcome::Message(message) => Ok(then(message)),
            Outcome::Answer(_) | Outcome::Made(_) => unreachable!("a message was wanted"),
        };
        Request::new(slot, Box::new(convert))
    }
}

/// What is known of a message before it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The rank that sent it.
    pub from: usize,
    /// Its tag.
    pub tag: u32,
    /// The type of its elements.
    pub dtype: DType,
    /// The bytes of all of them.
    pub length_bytes: u64,
}

/// What is known of a message, and the little-endian bytes of its elements.
pub type Raw = (Envelope, Vec<u8>);

impl From<Message> for Envelope {
    fn from(Message { from, tag, dtype, length_bytes, .. }: Message) -> Envelope {
        Envelope { from, tag, dtype, length_bytes }
    }
}

impl Communicator {
    /// Sends an array to one rank. It may return before it is received there: at once
    /// for little data, for much when the receiver takes it.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn send<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Result<(), GroupError> {
        self.sending(data, to, tag, false).wait()
    }

    /// Begins [`Communicator::send`].
    pub fn send_async<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Request<()> {
        self.sending(data, to, tag, false).under_way()
    }

    /// Sends an array to one rank, and returns when a receive there has begun to take it.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn deliver<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Result<(), GroupError> {
        self.sending(data, to, tag, true).wait()
    }

    /// Begins [`Communicator::deliver`].
    pub fn deliver_async<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Request<()> {
        self.sending(data, to, tag, true).under_way()
    }

    fn sending<T: Element>(
        &self,
        data: &[T],
        to: usize,
        tag: u32,
        until_received: bool,
    ) -> Request<()> {
        let (bytes, context, timeout) = (to_bytes(data).into(), self.kept.context, self.timeout);
        let slot = self.kept.shared.call(self.watch(), |group, now| {
            group.send(now, context, to, tag, T::DTYPE, bytes, until_received, timeout)
        });
        Request::new(slot, Box::new(|_| Ok(())))
    }

    /// Receives the first message that fits: from a rank, or any; of a tag, or any.
    ///
    /// # Errors
    /// As [`GroupError`] tells; [`GroupError::Message`] for one of other elements, which
    /// is taken.
    pub fn receive<T: Element>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Result<Received<T>, GroupError> {
        self.receiving(from, tag, |received| received).wait()
    }

    /// Begins [`Communicator::receive`].
    pub fn receive_async<T: Element>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Request<Received<T>> {
        self.receiving(from, tag, |received| received).under_way()
    }

    fn receiving<T: Element, R>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
        then: impl FnOnce(Received<T>) -> R + Send + 'static,
    ) -> Request<R> {
        self.message(from, tag, Wanted::Elements(T::DTYPE), |message| {
            let data = from_bytes(&message.bytes);
            then(Received { from: message.from, tag: message.tag, data })
        })
    }

    fn message<R>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
        wanted: Wanted,
        then: impl FnOnce(Message) -> R + Send + 'static,
    ) -> Request<R> {
        let (context, timeout) = (self.kept.context, self.timeout);
        let slot = self.kept.shared.call(self.watch(), |group, now| {
            group.receive(now, context, from, tag, wanted, timeout)
        });
        Request::of_message(slot, then)
    }

    /// Waits for a message that fits, and leaves it where it is: the next receive of such
    /// a message is given this one.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn probe(&self, from: Option<usize>, tag: Option<u32>) -> Result<Envelope, GroupError> {
        self.message(from, tag, Wanted::Look, Envelope::from).wait()
    }

    /// Begins [`Communicator::probe`].
    pub fn probe_async(&self, from: Option<usize>, tag: Option<u32>) -> Request<Envelope> {
        self.message(from, tag, Wanted::Look, Envelope::from).under_way()
    }

    /// The message that [`Communicator::probe`] would tell of, if it is there.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn probe_now(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Result<Option<Envelope>, GroupError> {
        let look = |group: &mut Group, _| group.look(self.kept.context, from, tag);
        Ok(self.kept.shared.tell(look)?.map(Envelope::from))
    }

    /// Receives the first message that fits, whatever its elements are: their bytes, little
    /// endian, and their type.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn receive_any(&self, from: Option<usize>, tag: Option<u32>) -> Result<Raw, GroupError> {
        self.message(from, tag, Wanted::Bytes, opened).wait()
    }

    /// Begins [`Communicator::receive_any`].
    pub fn receive_any_async(&self, from: Option<usize>, tag: Option<u32>) -> Request<Raw> {
        self.message(from, tag, Wanted::Bytes, opened).under_way()
    }

    /// Begins [`Communicator::receive_any`] of a message that is there; None if none is. Of
    /// several threads that ask one is given it.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn receive_any_now(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Result<Option<Request<Raw>>, GroupError> {
        let (context, timeout) = (self.kept.context, self.timeout);
        let slot = self.kept.shared.call_if(self.watch(), |group, now| {
            let is_there = group.look(context, from, tag)?.is_some();
            Ok(is_there.then(|| group.receive(now, context, from, tag, Wanted::Bytes, timeout)))
        })?;
        Ok(slot.map(|slot| Request::of_message(slot, opened).under_way()))
    }

    /// Sends to one rank and receives from another at the same time.
    ///
    /// # Errors
    /// As those of [`Communicator::send`] and [`Communicator::receive`].
    pub fn send_receive<T: Element>(
        &self,
        data: &[T],
        to: usize,
        from: usize,
        tag: u32,
    ) -> Result<Vec<T>, GroupError> {
        self.exchanging(data, to, from, tag).wait()
    }

    /// Begins [`Communicator::send_receive`].
    pub fn send_receive_async<T: Element>(
        &self,
        data: &[T],
        to: usize,
        from: usize,
        tag: u32,
    ) -> Request<Vec<T>> {
        self.exchanging(data, to, from, tag).under_way()
    }

    fn exchanging<T: Element>(
        &self,
        data: &[T],
        to: usize,
        from: usize,
        tag: u32,
    ) -> Request<Vec<T>> {
        // Half of it would be under way when the other half is refused.
        if let Some(rank) = [to, from].into_iter().find(|&rank| rank >= self.size()) {
            return Request::failed(GroupError::Rank { rank, size: self.size() });
        }
        let receive = self.receiving(Some(from), Some(tag), |received| received.data);
        self.sending(data, to, tag, false).before(receive)
    }
}
