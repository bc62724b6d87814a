//! Who runs the tasks: their own thread, or a caller who waits anyway.
//!
//! The thread keeps out of the way for a moment after a caller was in, as the next
//! call is mostly not far. When none comes it takes over, so that keep-alives,
//! acknowledgements and frames go on while the program computes. Exactly one is in at
//! a time; callers that come meanwhile wait until they are done, or it leaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long the thread keeps out after a caller was in. Short beside every time of a
/// connection, and long beside a round trip.
const PAUSE: Duration = Duration::from_millis(1);

/// How often the thread looks whether a caller that is in has left. To be told each time
/// would cost every call a system call.
const LOOK: Duration = Duration::from_millis(5);

/// Whose turn it is.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    /// For callers: who was in has left, or has news.
    free: Condvar,
    /// For the thread.
    idle: Condvar,
    /// Callers that wait; a copy of what is in the state.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    inside: Option<ThreadId>,
    is_own_thread: bool,
    waiting: usize,
    /// When the last caller left, if the next is waited for.
    left: Option<Instant>,
    is_hurried: bool,
    is_stopped: bool,
}

/// How a caller's wait to get in ended.
pub(super) enum Entered {
    /// It is in, and must leave.
    In,
    /// It is not, and need not be: it is done, or its time is over.
    Done(bool),
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, state: &mut State, waiting: usize) {
        state.waiting = waiting;
        self.waiting.store(waiting, Ordering::SeqCst);
    }

    /// Lets a caller in; nothing for the thread that is in. `rouse` ends the sleep of
    /// who is in.
    pub(super) fn enter(
        &self,
        is_done: &mut dyn FnMut() -> bool,
        until: Instant,
        rouse: impl Fn(),
    ) -> Option<Entered> {
        let me = thread::current().id();
        let mut state = self.state();
        if state.inside == Some(me) {
            return None;
        }
        if state.inside.is_some() {
            let waiting = state.waiting + 1;
            self.count(&mut state, waiting);
            let mut ended = None;
            while state.inside.is_some() && ended.is_none() {
                if state.is_own_thread {
                    rouse();
                }
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.free.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                let is_done = is_done();
                ended = (is_done || until <= Instant::now()).then_some(is_done);
            }
            let waiting = state.waiting - 1;
            self.count(&mut state, waiting);
            if let Some(is_done) = ended {
                // It may have been told in place of another.
                self.free.notify_one();
                return Some(Entered::Done(is_done));
            }
        }
        state.inside = Some(me);
        Some(Entered::In)
    }

    /// Lets a caller in if nobody is, and nobody waits to be.
    pub(super) fn try_enter(&self) -> bool {
        let mut state = self.state();
        let is_free = state.inside.is_none() && state.waiting == 0;
        if is_free {
            state.inside = Some(thread::current().id());
        }
        is_free
    }

    /// Lets the thread in, when no caller was for a moment; says no when it is to
    /// end.
    pub(super) fn enter_between(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.is_stopped {
                return false;
            }
            let is_quiet = state.left.is_none_or(|left| left.elapsed() >= PAUSE);
            let is_free = state.inside.is_none() && state.waiting == 0;
            if is_free && (is_quiet || state.is_hurried) {
                break;
            }
            let pause = if state.inside.is_some() { LOOK } else { PAUSE };
            let waited = self.idle.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inside = Some(thread::current().id());
        state.is_own_thread = true;
        true
    }

    /// Who is in leaves; `is_more` says whether the thread is to go on at once.
    pub(super) fn leave(&self, is_more: bool) {
        let mut state = self.state();
        let was_caller = !std::mem::replace(&mut state.is_own_thread, false);
        state.left = was_caller.then(Instant::now);
        self.make_room(state, is_more);
    }

    /// A caller who did not wait for anything leaves: the thread is due when it was before.
    pub(super) fn leave_again(&self, is_more: bool) {
        self.make_room(self.state(), is_more);
    }

    fn make_room(&self, mut state: MutexGuard<'_, State>, is_more: bool) {
        state.inside = None;
        if is_more {
            state.left = None;
        }
        if state.waiting > 0 {
            self.free.notify_one();
        } else if is_more || state.is_hurried {
            self.idle.notify_one();
        }
    }

    /// Whether the thread that is in must make room.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0 || self.state().is_stopped
    }

    /// Has callers that wait look whether they are done.
    pub(super) fn tell_waiting(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // Between their look and their wait they hold the lock.
            drop(self.state());
            self.free.notify_all();
        }
    }

    /// Lets the thread in at once, if nobody is.
    pub(super) fn attend(&self) {
        let mut state = self.state();
        if state.inside.is_none() {
            state.left = None;
            self.idle.notify_one();
        }
    }

    /// Whether the calling thread is in.
    pub(super) fn is_inside(&self) -> bool {
        self.state().inside == Some(thread::current().id())
    }

    /// Lets the thread in at once from now on.
    pub(super) fn hurry(&self) {
        self.state().is_hurried = true;
        self.idle.notify_one();
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.state().is_stopped = true;
        self.idle.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_sends_does_not_keep_the_thread_out() {
        let turns = Turns::default();
        let entered = turns.enter(&mut || false, Instant::now(), || ());
        assert!(matches!(entered, Some(Entered::In)));
        assert!(!turns.try_enter(), "one at a time");
        turns.leave(false);
        let left = turns.state().left;
        assert!(left.is_some());
        for (is_more, due) in [(false, left), (true, None)] {
            assert!(turns.try_enter());
            turns.leave_again(is_more);
            assert_eq!(turns.state().left, due);
        }
    }
}
