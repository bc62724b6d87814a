//! Messages from one rank to one other.
//!
//! They share the fate of their communicator: an error after which it is of no more use
//! ([`GroupError::breaks`]) ends those under way, too, and what has not been received is
//! lost. Messages in a [`Communicator::dup`] have their own fate.

use super::element::{Element, from_bytes, to_bytes};
use super::{Communicator, GroupError, Request};
use crate::group::Outcome;

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

impl Communicator {
    /// Sends an array to one rank. It may return before it is received there: at once
    /// for little data, for much when the receiver takes it.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn send<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Result<(), GroupError> {
        self.send_async(data, to, tag).wait()
    }

    /// Begins [`Communicator::send`].
    pub fn send_async<T: Element>(&self, data: &[T], to: usize, tag: u32) -> Request<()> {
        let (bytes, context, timeout) = (to_bytes(data).into(), self.kept.context, self.timeout);
        let slot = self.kept.shared.call(self.watch(), |group, now| {
            group.send(now, context, to, tag, T::DTYPE, bytes, timeout)
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
        self.receive_async(from, tag).wait()
    }

    /// Begins [`Communicator::receive`].
    pub fn receive_async<T: Element>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Request<Received<T>> {
        self.receiving(from, tag, |received| received)
    }

    fn receiving<T: Element, R>(
        &self,
        from: Option<usize>,
        tag: Option<u32>,
        then: impl FnOnce(Received<T>) -> R + Send + 'static,
    ) -> Request<R> {
        let (context, timeout) = (self.kept.context, self.timeout);
        let slot = self.kept.shared.call(self.watch(), |group, now| {
            group.receive(now, context, from, tag, T::DTYPE, timeout)
        });
        let convert = |outcome| match outcome {
            Outcome::Message(message) => {
                let data = from_bytes(&message.bytes);
                Ok(then(Received { from: message.from, tag: message.tag, data }))
            }
            Outcome::Answer(_) | Outcome::Made(_) => unreachable!("a message was wanted"),
        };
        Request::new(slot, Box::new(convert))
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
        self.send_receive_async(data, to, from, tag).wait()
    }

    /// Begins [`Communicator::send_receive`].
    pub fn send_receive_async<T: Element>(
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
        self.send_async(data, to, tag).before(receive)
    }
}
