//! Tasks that are ready, and the sleep until there are some.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::os::watch::{Ready, Watch};

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is ready to run, and what wakes who waits for it.
pub(super) struct Queue {
    ready: Mutex<VecDeque<Arc<Task>>>,
    watch: Watch,
    is_asleep: AtomicBool,
}

impl Queue {
    pub(super) fn new() -> io::Result<Queue> {
        let (ready, is_asleep) = (Mutex::default(), AtomicBool::new(false));
        Ok(Queue { ready, watch: Watch::new()?, is_asleep })
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Arc<Task>>> {
        // Nothing that holds the lock can panic half way through a change.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: Arc<Task>) {
        self.ready().push_back(task);
        self.rouse();
    }

    /// How many are ready.
    pub(super) fn len(&self) -> usize {
        self.ready().len()
    }

    /// Takes the first that is ready.
    pub(super) fn pop(&self) -> Option<Arc<Task>> {
        self.ready().pop_front()
    }

    /// Ends the sleep of who sleeps.
    pub(super) fn rouse(&self) {
        // Mostly nobody does, and looking takes less than changing.
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            self.watch.wake();
        }
    }

    /// Sleeps for this socket, too, from now on.
    pub(super) fn watch(&self, socket: Arc<UdpSocket>) -> io::Result<()> {
        self.watch.set(socket)
    }

    /// Sleeps until the socket can be read, or also written, a wake, or then; not if it
    /// is done.
    pub(super) fn wait(
        &self,
        also_writable: bool,
        until: Option<Instant>,
        is_done: &mut dyn FnMut() -> bool,
    ) -> io::Result<Ready> {
        self.is_asleep.store(true, Ordering::SeqCst);
        // What was pushed, or done, before that did not see it.
        let ready = match self.ready().is_empty() && !is_done() {
            true => {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                self.watch.wait(also_writable, left)
            }
            false => Ok(Ready::default()),
        };
        self.is_asleep.store(false, Ordering::SeqCst);
        ready
    }
}

/// A future that is run whenever it was woken.
pub(super) struct Task {
    pub(super) id: u64,
    queue: Arc<Queue>,
    is_queued: AtomicBool,
    /// None when it is over.
    body: Mutex<Option<Body>>,
}

impl Task {
    pub(super) fn new(id: u64, queue: Arc<Queue>, body: Body) -> Task {
        Task { id, queue, is_queued: AtomicBool::new(false), body: Mutex::new(Some(body)) }
    }

    /// Runs it until it waits, and says whether it is over.
    pub(super) fn run(self: &Arc<Task>) -> bool {
        self.is_queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(self));
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = body.as_mut() else { return true };
        let mut context = Context::from_waker(&waker);
        // A panic was reported when it happened; it ends its task and no other.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        let is_over = !matches!(polled, Ok(Poll::Pending));
        if is_over {
            *body = None;
        }
        is_over
    }

    pub(super) fn wake_now(self: &Arc<Task>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.queue.push(Arc::clone(self));
        }
    }

    /// Drops what it is.
    pub(super) fn cancel(&self) {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(body);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_now();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_now();
    }
}
