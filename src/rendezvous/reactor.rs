//! Runs the tasks of one endpoint: on a thread of its own, or on the thread of a
//! caller who waits anyway.
//!
//! ```text
//!   wake --> queue --> [ a task ] --> reads, folds, writes, and wakes others
//!                                        |
//!     nothing in the queue:  look at the socket again for a moment (a caller)
//!                            sleep until the socket, a timer or a wake
//! ```
//!
//! A caller who only waits for a frame would be woken by the network's thread,
//! which the kernel woke before: two threads to start for one frame, where the
//! kernel takes longer to start a thread than to carry a packet. So a caller who
//! waits runs the network itself ([`Turns`]), and before it sleeps it looks at the
//! socket for a moment: the answer of a peer that is in the same call comes within
//! microseconds. When that takes long, or ranks share processors, it lets others run
//! between two looks.
//!
//! This is a [`Runtime`] of quinn. A general one
//! asks the kernel what is ready before each read, and has a clock that ticks in
//! milliseconds, which at the rates of a local network is what everything waits for.

use std::collections::HashMap;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};

use crate::buffers;

mod clock;
mod queue;
mod socket;
mod timers;
mod turns;

use clock::Clock;
use queue::{Queue, Task};
use socket::Socket;
use timers::{Timer, Timers};
use turns::Turns;

/// How long a caller looks at the socket before it sleeps: what a round trip takes
/// on a local network, and several times what it takes to wake a thread.
const LOOK: Duration = Duration::from_micros(250);

/// How long it looks as if it had its processor alone. A peer that has not answered by
/// then may wait for this very processor.
const ALONE: Duration = Duration::from_micros(20);

/// Longer than anything lasts.
const LONGEST: Duration = Duration::from_secs(1 << 32);

/// How often a caller who leaves lets tasks run that wake each other, so that what
/// it queued is written, and then sent: a large frame takes two of these.
const FLUSH_MAX: usize = 64;

/// Tasks, timers and the socket of one endpoint, and whose turn it is to run them.
#[derive(Clone, Debug)]
pub(super) struct Reactor(Arc<Core>);

struct Core {
    queue: Arc<Queue>,
    clock: Arc<Clock>,
    timers: Arc<Timers>,
    socket: OnceLock<Arc<Socket>>,
    /// All that are not over, so that they can be dropped.
    tasks: Mutex<HashMap<u64, Arc<Task>>>,
    next_task: AtomicU64,
    turns: Turns,
    config: Config,
}

/// What depends on where the ranks are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    /// Packets that the kernel may be given at once.
    pub segments_max: usize,
    /// Whether more ranks than processors are on this machine, so that who looks
    /// must let others run.
    pub is_crowded: bool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reactor")
    }
}

impl Reactor {
    pub(super) fn new(config: Config) -> io::Result<Reactor> {
        buffers::keep_freed();
        let clock = Arc::new(Clock::new());
        Ok(Reactor(Arc::new(Core {
            queue: Arc::new(Queue::new()?),
            timers: Arc::new(Timers::new(Arc::clone(&clock))),
            clock,
            socket: OnceLock::new(),
            tasks: Mutex::default(),
            next_task: AtomicU64::new(0),
            turns: Turns::default(),
            config,
        })))
    }

    /// Runs the tasks on this thread whenever no caller does, until
    /// [`Reactor::stop`]; then drops them.
    pub(super) fn run(&self) {
        let core = &self.0;
        while core.turns.enter_between() {
            core.drive(&mut || core.turns.is_wanted(), None, false);
            core.leave(false);
        }
        let tasks = std::mem::take(&mut *core.tasks());
        tasks.values().for_each(|task| task.cancel());
        while core.queue.pop().is_some() {}
    }

    /// Ends [`Reactor::run`].
    pub(super) fn stop(&self) {
        self.0.turns.stop();
        self.0.queue.rouse();
    }

    /// Has callers ask whether they are done; if none is in, the tasks' own thread runs them.
    pub(super) fn rouse(&self) {
        self.0.queue.rouse();
        self.0.turns.tell_waiting();
        self.attend();
    }

    /// Has the tasks run on their own thread at once, if no caller is in.
    pub(super) fn attend(&self) {
        self.0.turns.attend();
    }

    /// Has the tasks run on their own thread at once when no caller is in, from now
    /// on.
    pub(super) fn hurry(&self) {
        self.0.turns.hurry();
    }

    /// Runs the tasks on the caller's thread until `is_done`, or for `limit`. Says
    /// whether it is done; or nothing, if the thread runs them already, so that
    /// this is called from inside one. `is_more` says whether something is still to
    /// be done when it leaves.
    pub(super) fn lend(
        &self,
        is_done: &mut dyn FnMut() -> bool,
        limit: Duration,
        is_more: impl Fn() -> bool,
    ) -> Option<bool> {
        let core = &self.0;
        let now = Instant::now();
        // A limit beyond the end of time is none.
        let until = now.checked_add(limit).unwrap_or(now + LONGEST);
        match core.turns.enter(is_done, until, || core.queue.rouse())? {
            turns::Entered::Done(is_done) => return Some(is_done),
            turns::Entered::In => {}
        }
        let is_done = core.drive(is_done, Some(until), true);
        core.flush();
        core.leave(is_more());
        Some(is_done)
    }

    /// Runs what was queued on the caller's thread, if nobody is in who does so anyway.
    /// `is_more` says whether the thread is to go on at once.
    pub(super) fn push(&self, is_more: impl Fn() -> bool) {
        let core = &self.0;
        if core.turns.try_enter() {
            core.clock.tick();
            core.flush();
            core.clock.release();
            core.turns.leave_again(is_more());
        }
    }

    /// Whether the calling thread is one that runs the tasks, in one of them.
    pub(super) fn is_inside(&self) -> bool {
        self.0.turns.is_inside()
    }
}

impl Core {
    fn tasks(&self) -> MutexGuard<'_, HashMap<u64, Arc<Task>>> {
        // Nothing that holds the lock can panic half way through a change.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs tasks until it is done, or until then.
    fn drive(
        &self,
        is_done: &mut dyn FnMut() -> bool,
        until: Option<Instant>,
        looks: bool,
    ) -> bool {
        let mut idle: Option<Instant> = None;
        loop {
            if is_done() {
                return true;
            }
            let now = self.clock.tick();
            if until.is_some_and(|until| until <= now) {
                return false;
            }
            let fired = self.timers.fire(now);
            let ran = self.run_ready();
            self.turns.tell_waiting();
            let looked = usize::from(idle.is_some());
            if fired || ran > looked {
                idle = None;
                continue;
            }
            let since = *idle.get_or_insert(now);
            if looks && now - since < LOOK && self.look() {
                match self.config.is_crowded || now - since > ALONE {
                    true => thread::yield_now(),
                    false => std::hint::spin_loop(),
                }
            } else {
                self.sleep(is_done, until);
                idle = None;
            }
        }
    }

    /// Runs what wakes each other, so that what was queued leaves.
    fn flush(&self) {
        for _ in 0..FLUSH_MAX {
            if self.run_ready() == 0 {
                break;
            }
        }
    }

    /// Makes room for who runs them next.
    fn leave(&self, is_more: bool) {
        self.clock.release();
        self.turns.leave(is_more);
    }

    /// Lets the endpoint read again, if that is all that it waits for.
    fn look(&self) -> bool {
        self.socket.get().is_some_and(|socket| socket.wake_reader())
    }

    /// Runs what was in the queue, and says how many tasks that were.
    fn run_ready(&self) -> usize {
        let count = self.queue.len();
        for task in (0..count).map_while(|_| self.queue.pop()) {
            if task.run() {
                self.tasks().remove(&task.id);
            }
        }
        count
    }

    /// Sleeps until the socket, a timer, a wake, or then; not if it is done.
    fn sleep(&self, is_done: &mut dyn FnMut() -> bool, until: Option<Instant>) {
        let next = self.timers.next().into_iter().chain(until).min();
        let socket = self.socket.get();
        let has_writers = socket.is_some_and(|socket| socket.has_writers());
        // An error of the system's makes this a loop, not a wrong answer.
        self.clock.release();
        let ready = self.queue.wait(has_writers, next, is_done).unwrap_or_default();
        if let Some(socket) = socket {
            socket.wake(ready.readable, ready.writable);
        }
    }
}

impl Runtime for Reactor {
    fn now(&self) -> Instant {
        self.0.clock.now()
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer::new(Arc::clone(&self.0.timers), at))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let core = &self.0;
        let id = core.next_task.fetch_add(1, Ordering::Relaxed);
        let task = Arc::new(Task::new(id, Arc::clone(&core.queue), future));
        core.tasks().insert(id, Arc::clone(&task));
        task.wake_now();
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket =
            Arc::new(Socket::new(socket, self.0.config.segments_max, Arc::clone(&self.0.clock))?);
        self.0.queue.watch(socket.shared())?;
        if self.0.socket.set(Arc::clone(&socket)).is_err() {
            return Err(io::Error::other("an endpoint has one socket"));
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn callers_ask_again_when_they_are_roused() {
        let reactor = Reactor::new(Config { segments_max: 1, is_crowded: false }).unwrap();
        // One sleeps, with nothing that wakes it, and two wait until it leaves.
        let (asked, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let call = || {
            let start = Instant::now();
            let mut is_done = || {
                asked.fetch_add(1, Ordering::SeqCst);
                done.load(Ordering::SeqCst)
            };
            let ended = reactor.lend(&mut is_done, 2 * PATIENCE, || false);
            assert_eq!(ended, Some(true));
            assert!(start.elapsed() < PATIENCE);
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(call);
            }
            // Who is in asks twice before it sleeps; the others ask when they are told to.
            while asked.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            thread::sleep(100 * LOOK);
            done.store(true, Ordering::SeqCst);
            reactor.rouse();
        });
    }

    #[test]
    fn what_is_pushed_runs_at_once_unless_somebody_runs_it_anyway() {
        // Its own thread does not run.
        let reactor = Reactor::new(Config { segments_max: 1, is_crowded: false }).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let spawn = || {
            let ran = Arc::clone(&ran);
            reactor.spawn(Box::pin(async move {
                ran.fetch_add(1, Ordering::SeqCst);
            }));
        };
        spawn();
        reactor.push(|| false);
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        // From inside, what is pushed is left to who is in.
        let mut is_pushed = false;
        let mut is_done = || {
            if !std::mem::replace(&mut is_pushed, true) {
                spawn();
                reactor.push(|| false);
                assert_eq!(ran.load(Ordering::SeqCst), 1);
            }
            ran.load(Ordering::SeqCst) == 2
        };
        assert_eq!(reactor.lend(&mut is_done, PATIENCE, || false), Some(true));
    }
}
