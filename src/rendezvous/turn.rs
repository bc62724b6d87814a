//! Who runs the network: the mesh's own thread, or a caller who waits anyway.
//!
//! A caller who only waits for a frame would be woken by the network's thread,
//! which the kernel woke before: two threads to start for one frame, where the
//! kernel takes longer to start a thread than to carry a packet. So a caller who
//! waits drives the network itself, and the mesh's thread keeps out of the way
//! for a moment after that, as the next call is mostly not far. When none comes
//! it takes over, so that keep-alives, acknowledgements and frames go on while
//! the program computes.
//!
//! Exactly one of them is inside at a time, which tokio sees to: a thread that
//! blocks on the runtime while another drives it is woken by that one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

/// How long the mesh's thread keeps out after a caller was in. Short beside every
/// time of a connection, and long beside a round trip.
const PAUSE: Duration = Duration::from_millis(1);

/// The runtime of a mesh, and whose turn it is.
pub(super) struct Turns {
    runtime: Runtime,
    state: Mutex<State>,
    changed: Condvar,
    /// A caller wants in.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// Callers that are in, or want to be.
    callers: Vec<ThreadId>,
    /// When the last one left, if the next is waited for.
    left: Option<Instant>,
    is_thread_in: bool,
    is_closed: bool,
    /// Tasks that have something to do and are not told yet.
    untold: Vec<Arc<Notify>>,
}

impl Turns {
    pub(super) fn new(runtime: Runtime) -> Turns {
        Turns { runtime, state: Mutex::default(), changed: Condvar::new(), wanted: Notify::new() }
    }

    /// Where its tasks are spawned.
    pub(super) fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Runs `future` on the mesh's thread, with pauses.
    pub(super) fn run(&self, future: impl Future<Output = ()>) {
        let mut future = std::pin::pin!(future);
        loop {
            self.enter();
            let is_over = self.runtime.block_on(async {
                self.tell();
                tokio::select! {
                    () = &mut future => true,
                    () = self.wanted.notified() => false,
                }
            });
            self.state().is_thread_in = false;
            if is_over {
                return;
            }
        }
    }

    /// Runs `future` on the caller's thread; `None` if that is inside of a runtime,
    /// this one or another. It returns its result, and whether more is to be done.
    pub(super) fn lend<T>(&self, future: impl Future<Output = (T, bool)>) -> Option<T> {
        if Handle::try_current().is_ok() {
            return None;
        }
        {
            let mut state = self.state();
            state.callers.push(thread::current().id());
            if state.is_thread_in {
                self.wanted.notify_one();
            }
        }
        let (result, is_more) = self.runtime.block_on(async {
            self.tell();
            future.await
        });
        let mut state = self.state();
        let own = thread::current().id();
        state.callers.retain(|&caller| caller != own);
        state.left = (!is_more).then(Instant::now);
        if is_more {
            self.changed.notify_one();
        }
        Some(result)
    }

    /// Whether the calling thread is one that drives the network, in a call of the
    /// receiver.
    pub(super) fn is_inside(&self) -> bool {
        self.state().callers.contains(&thread::current().id())
    }

    /// Tells a task that it has something to do; later, if nobody is in, since to
    /// wake a runtime that nobody drives is a system call for nothing.
    pub(super) fn announce(&self, task: &Arc<Notify>) {
        let mut state = self.state();
        if state.is_thread_in || !state.callers.is_empty() || state.is_closed {
            drop(state);
            task.notify_one();
        } else {
            state.untold.push(Arc::clone(task));
        }
    }

    /// Tells the tasks that were announced while nobody was in.
    fn tell(&self) {
        let untold = std::mem::take(&mut self.state().untold);
        untold.iter().for_each(|task| task.notify_one());
    }

    /// Lets the mesh's thread in at once, and for good.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    fn enter(&self) {
        let mut state = self.state();
        while !state.is_closed {
            let since = state.left.map(|left| left.elapsed());
            if state.callers.is_empty() && since.is_none_or(|since| since >= PAUSE) {
                break;
            }
            let wait = self.changed.wait_timeout(state, PAUSE);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_thread_in = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
