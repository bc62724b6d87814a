//! A call that was begun and has not been waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::shared::Slot;
use crate::group::{GroupError, Outcome};

type Convert<T> = Box<dyn FnOnce(Outcome) -> Result<T, GroupError> + Send>;

/// The end of a call, to be waited for with [`Request::wait`] or `.await`.
///
/// The call goes on whether or not anybody waits: it was begun when the request was
/// made, and dropping the request drops only its result.
#[must_use = "the result of the call, and whether it has one, is here"]
pub struct Request<T> {
    state: State<T>,
}

enum State<T> {
    Running(Arc<Slot>, Convert<T>),
    /// Two calls, of which the second has the result.
    Both(Box<(Request<()>, Request<T>)>),
    Ended(Result<T, GroupError>),
    Taken,
}

impl<T> Unpin for Request<T> {}

impl<T> Request<T> {
    pub(super) fn new(slot: Arc<Slot>, convert: Convert<T>) -> Request<T> {
        Request { state: State::Running(slot, convert) }
    }

    /// For a call that nobody waits for yet: what it sends leaves now.
    pub(super) fn under_way(self) -> Request<T> {
        self.push();
        self
    }

    fn push(&self) {
        match &self.state {
            State::Running(slot, _) => slot.push(),
            // They have one link.
            State::Both(both) => both.0.push(),
            State::Ended(_) | State::Taken => {}
        }
    }

    pub(super) fn failed(error: GroupError) -> Request<T> {
        Request { state: State::Ended(Err(error)) }
    }

    /// Waits for the end of the call.
    ///
    /// # Errors
    /// As the call's own.
    ///
    /// # Panics
    /// After a poll of it as a future gave its result.
    pub fn wait(self) -> Result<T, GroupError> {
        match self.state {
            State::Running(slot, convert) => slot.wait().and_then(convert),
            State::Both(both) => {
                let (mut first, second) = *both;
                first.cancel_if_failed(&second);
                let result = second.wait();
                match first.error() {
                    Some(error) => Err(error),
                    None => {
                        let result = result?;
                        first.wait().map(|()| result)
                    }
                }
            }
            State::Ended(result) => result,
            State::Taken => panic!("the result of a request was taken before"),
        }
    }

    /// Whether the call has ended, so that [`Request::wait`] returns at once.
    pub fn test(&mut self) -> bool {
        self.has_ended(None)
    }

    /// Ends a receive that no message has come for with [`GroupError::Cancelled`], and says
    /// whether it did. All other calls go on: what was sent is on its way, and what all
    /// ranks call is theirs.
    pub fn cancel(&self) -> bool {
        match &self.state {
            State::Running(slot, _) => slot.cancel(),
            State::Both(_) | State::Ended(_) | State::Taken => false,
        }
    }

    /// Whether the call has ended; if not, `waker` is woken when that may have changed.
    pub fn has_ended(&mut self, waker: Option<&Waker>) -> bool {
        let result = match &mut self.state {
            State::Running(slot, _) => {
                let Some(result) = slot.poll(waker) else { return false };
                let State::Running(_, convert) = std::mem::replace(&mut self.state, State::Taken)
                else {
                    unreachable!("it was running")
                };
                result.and_then(convert)
            }
            State::Both(both) => {
                let (first, second) = &mut **both;
                first.cancel_if_failed(second);
                // Both are asked, so that either wakes.
                let ended = [first.has_ended(waker), second.has_ended(waker)];
                if ended != [true; 2] {
                    return false;
                }
                first.take().and(second.take())
            }
            State::Ended(_) | State::Taken => return true,
        };
        self.state = State::Ended(result);
        true
    }

    fn take(&mut self) -> Result<T, GroupError> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ended(result) => result,
            State::Running(..) | State::Both(_) | State::Taken => {
                panic!("the result of a request was taken before")
            }
        }
    }
}

impl Request<()> {
    /// Where this has failed, the other one is not waited for that comes with it.
    fn cancel_if_failed<T>(&mut self, other: &Request<T>) {
        let is_over = match &self.state {
            State::Running(slot, _) => slot.has_ended(),
            State::Both(_) | State::Ended(_) | State::Taken => true,
        };
        if is_over && self.test() && matches!(self.state, State::Ended(Err(_))) {
            other.cancel();
        }
    }

    /// The error of a call that is known to have ended with one.
    fn error(&self) -> Option<GroupError> {
        match &self.state {
            State::Ended(Err(error)) => Some(error.clone()),
            _ => None,
        }
    }

    /// The end of this call and another one, which has the result. Where both fail the
    /// error is this one's.
    pub(super) fn before<T>(self, other: Request<T>) -> Request<T> {
        Request { state: State::Both(Box::new((self, other))) }
    }
}

impl<T> Future for Request<T> {
    type Output = Result<T, GroupError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.has_ended(Some(cx.waker())) {
            true => Poll::Ready(self.take()),
            false => Poll::Pending,
        }
    }
}
