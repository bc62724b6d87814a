//! Times at which tasks are woken.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use quinn::AsyncTimer;

use super::clock::Clock;

/// All that wait for a time.
#[derive(Debug)]
pub(super) struct Timers {
    state: Mutex<State>,
    clock: Arc<Clock>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Timers {
    pub(super) fn new(clock: Arc<Clock>) -> Timers {
        Timers { state: Mutex::default(), clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
///
/// Its time moves with every packet, mostly further away. So it stays where it waits as
/// long as that is no later than its time, and waits again when it was woken too early.
#[derive(Debug)]
pub(super) struct Timer {
    timers: Arc<Timers>,
    at: Instant,
    id: u64,
    /// When it is woken, and who.
    waits: Option<(Instant, Waker)>,
}

impl Timer {
    pub(super) fn new(timers: Arc<Timers>, at: Instant) -> Timer {
        let mut state = timers.state();
        state.next_id += 1;
        let id = state.next_id;
        drop(state);
        Timer { timers, at, id, waits: None }
    }

    fn forget(&mut self) {
        if let Some((at, _)) = self.waits.take() {
            self.timers.state().waiting.remove(&(at, self.id));
        }
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.timers.clock.now();
        if self.at <= now {
            self.forget();
            return Poll::Ready(());
        }
        let (at, waker) = (self.at, cx.waker());
        let waits = self.waits.as_ref();
        // One whose time to be woken has passed may not be among them any more.
        if waits.is_some_and(|(old, who)| now < *old && *old <= at && who.will_wake(waker)) {
            return Poll::Pending;
        }
        self.forget();
        self.timers.state().waiting.insert((at, self.id), waker.clone());
        self.waits = Some((at, waker.clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.forget();
    }
}
