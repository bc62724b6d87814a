//! Times at which tasks are woken.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use quinn::AsyncTimer;

/// All that wait for a time.
#[derive(Debug, Default)]
pub(super) struct Timers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Timers {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next time at which somebody is to be woken.
    pub(super) fn next(&self) -> Option<Instant> {
        self.state().waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes whose time has come, and says whether there was one.
    pub(super) fn fire(&self, now: Instant) -> bool {
        let mut fired = Vec::new();
        let mut state = self.state();
        while let Some(first) = state.waiting.first_entry().filter(|first| first.key().0 <= now) {
            fired.push(first.remove());
        }
        drop(state);
        let any = !fired.is_empty();
        fired.into_iter().for_each(Waker::wake);
        any
    }
}

/// One time that one task waits for.
#[derive(Debug)]
pub(super) struct Timer {
    timers: Arc<Timers>,
    at: Instant,
    id: u64,
    /// Under which it waits.
    waits: Option<Instant>,
}

impl Timer {
    pub(super) fn new(timers: Arc<Timers>, at: Instant) -> Timer {
        let mut state = timers.state();
        state.next_id += 1;
        let id = state.next_id;
        drop(state);
        Timer { timers, at, id, waits: None }
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (at, id) = (self.at, self.id);
        let is_over = at <= Instant::now();
        let mut state = self.timers.state();
        if let Some(old) = self.waits.filter(|&old| is_over || old != at) {
            state.waiting.remove(&(old, id));
        }
        if !is_over {
            state.waiting.insert((at, id), cx.waker().clone());
        }
        drop(state);
        self.waits = (!is_over).then_some(at);
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(at) = self.waits {
            self.timers.state().waiting.remove(&(at, self.id));
        }
    }
}
