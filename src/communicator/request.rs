//! A call that was begun and has not been waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
    Ended(Result<T, GroupError>),
    Taken,
}

impl<T> Unpin for Request<T> {}

impl<T> Request<T> {
    pub(super) fn new(slot: Arc<Slot>, convert: Convert<T>) -> Request<T> {
        Request { state: State::Running(slot, convert) }
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
            State::Ended(result) => result,
            State::Taken => panic!("the result of a request was taken before"),
        }
    }

    /// Whether the call has ended, so that [`Request::wait`] returns at once.
    pub fn test(&mut self) -> bool {
        let State::Running(slot, _) = &self.state else { return true };
        let Some(result) = slot.poll(None) else { return false };
        let State::Running(_, convert) = std::mem::replace(&mut self.state, State::Taken) else {
            unreachable!("it was running")
        };
        self.state = State::Ended(result.and_then(convert));
        true
    }
}

impl<T> Future for Request<T> {
    type Output = Result<T, GroupError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Running(slot, _) = &self.state {
            let Some(result) = slot.poll(Some(cx.waker())) else { return Poll::Pending };
            let State::Running(_, convert) = std::mem::replace(&mut self.state, State::Taken)
            else {
                unreachable!("it was running")
            };
            return Poll::Ready(result.and_then(convert));
        }
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Ended(result) => Poll::Ready(result),
            State::Running(..) | State::Taken => {
                panic!("the result of a request was taken before")
            }
        }
    }
}
