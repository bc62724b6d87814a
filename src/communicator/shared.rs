//! One rank of a process: the machine behind its lock, its link, its clock, and who
//! waits for what.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::link::{Link, Receiver};
use super::worker::{Job, Worker};
use crate::group::{Config, Group, GroupError, Now, OpId, Outcome, Output, OwnFold, Work};

pub(super) type Ended = Result<Outcome, GroupError>;

/// How long a caller drives the link until it looks for what other threads than
/// the link's have done to its call: a deadline that has passed.
const DRIVE_MAX: Duration = Duration::from_millis(20);

/// The most bytes that are merged at once by who brings the last of them, which takes
/// microseconds; a thread of its own would take as long to wake up as a link's round trip.
const MERGED_AT_ONCE_MAX: usize = 16 << 10;

/// How often a watched call that is waited for asks whether to go on.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// Says whether to give up.
pub(super) type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// Gives a communicator back when it is told to.
pub(super) struct Watch {
    pub context: u64,
    pub stop: Stop,
}

/// Where the end of one call is put.
pub(super) struct Slot {
    shared: Weak<Shared>,
    link: Arc<dyn Link>,
    watch: Option<Watch>,
    state: Mutex<SlotState>,
    ended: Condvar,
}

#[derive(Default)]
struct SlotState {
    result: Option<Ended>,
    waker: Option<Waker>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, result: Ended) {
        let mut state = self.lock();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        self.ended.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the end, and meanwhile lends this thread to the link if it has a
    /// use for it. The end comes: every call has a deadline or a rank that dies.
    pub fn wait(&self) -> Ended {
        let mut is_ended = || self.has_ended();
        let mut asked = Instant::now();
        while self.link.drive(&mut is_ended, DRIVE_MAX) == Some(false) {
            if self.is_stopped(&mut asked) {
                return self.given_up();
            }
        }
        let mut state = self.lock();
        loop {
            match state.result.take() {
                Some(result) => return result,
                None if self.watch.is_some() => {
                    drop(self.ended.wait_timeout(state, ASKED_EVERY));
                    if self.is_stopped(&mut asked) {
                        return self.given_up();
                    }
                    state = self.lock();
                }
                None => {
                    state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Has what was queued leave, as nobody waits for the end yet.
    pub fn push(&self) {
        self.link.push();
    }

    /// Whether the end is there.
    pub fn has_ended(&self) -> bool {
        self.lock().result.is_some()
    }

    /// Whether somebody wants to wait no more, who is asked where that is due.
    fn is_stopped(&self, asked: &mut Instant) -> bool {
        let due = |_: &&Watch| asked.elapsed() >= ASKED_EVERY;
        let Some(watch) = self.watch.as_ref().filter(due) else { return false };
        *asked = Instant::now();
        (watch.stop)()
    }

    /// The end of a call whose communicator is given back now.
    fn given_up(&self) -> Ended {
        if let (Some(shared), Some(watch)) = (self.shared.upgrade(), &self.watch) {
            shared.close(watch.context);
        }
        // Part of a call may go on in a communicator of its own.
        self.lock().result.take().unwrap_or(Err(GroupError::Closed))
    }

    /// Ends the call if it is a receive that no message has come for. Whether it did.
    pub fn cancel(self: &Arc<Slot>) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.cancel(self))
    }

    /// The end, if it is there; else `waker` is woken when it is.
    pub fn poll(&self, waker: Option<&Waker>) -> Option<Ended> {
        let mut state = self.lock();
        let result = state.result.take();
        if result.is_none() {
            state.waker = waker.cloned();
            drop(state);
            self.link.attend();
        }
        result
    }
}

impl Drop for Slot {
    /// A communicator that nobody took is given back, so that others do not wait for it.
    fn drop(&mut self) {
        if let Some(Ok(Outcome::Made(Some(made)))) = self.lock().result.take()
            && let Some(shared) = self.shared.upgrade()
        {
            shared.close(made.context);
        }
    }
}

/// What becomes of the end of a call.
pub(super) enum Then {
    Put(Arc<Slot>),
    /// Something that takes its time, to be done by the communicator's worker.
    Go(u64, Box<dyn FnOnce(Ended) + Send>),
}

/// What makes one of contributions that the machine does not fold by itself.
#[derive(Clone)]
pub(super) enum Function {
    /// One of the user's.
    Own(OwnFold),
    /// The library's own.
    Merge(OwnFold),
}

/// A call under way.
pub(super) struct Called {
    pub then: Then,
    pub function: Option<Function>,
}

struct Inner {
    group: Group,
    calls: HashMap<OpId, Called>,
    /// By communicator.
    workers: HashMap<u64, Worker>,
    /// When the clock thread wakes.
    wakes: Option<Now>,
}

/// When the clock thread is to wake, and whether it is to end.
#[derive(Default)]
struct Alarm {
    at: Mutex<(Option<Now>, bool)>,
    changed: Condvar,
}

/// One rank of a process.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    own: Weak<Shared>,
    link: Arc<dyn Link>,
    epoch: Instant,
    alarm: Arc<Alarm>,
}

impl Shared {
    fn start(link: Arc<dyn Link>, config: Config) -> Arc<Shared> {
        let group = Group::new(link.rank(), link.size(), config);
        let (calls, workers) = (HashMap::new(), HashMap::new());
        let shared = Arc::new_cyclic(|own| Shared {
            inner: Mutex::new(Inner { group, calls, workers, wakes: None }),
            own: Weak::clone(own),
            link: Arc::clone(&link),
            epoch: Instant::now(),
            alarm: Arc::default(),
        });
        let (alarm, weak) = (Arc::clone(&shared.alarm), Arc::downgrade(&shared));
        let epoch = shared.epoch;
        thread::Builder::new()
            .name("adsum-group".to_owned())
            .spawn(move || alarm.run(epoch, &weak))
            .expect("the system has no thread left");
        link.start(Arc::new(Door(Arc::downgrade(&shared))));
        shared
    }

    /// Starts a call without a function; its end comes into the slot.
    pub fn call(
        &self,
        watch: Option<Watch>,
        start: impl FnOnce(&mut Group, Now) -> OpId,
    ) -> Arc<Slot> {
        let slot = self.slot(watch);
        let then = Then::Put(Arc::clone(&slot));
        self.begin(|group, now| (start(group, now), Called { then, function: None }));
        slot
    }

    /// [`Shared::call`], if there is something to start.
    pub fn call_if(
        &self,
        watch: Option<Watch>,
        start: impl FnOnce(&mut Group, Now) -> Result<Option<OpId>, GroupError>,
    ) -> Result<Option<Arc<Slot>>, GroupError> {
        let slot = self.slot(watch);
        let called = Called { then: Then::Put(Arc::clone(&slot)), function: None };
        self.with(|inner, now| {
            let begun = start(&mut inner.group, now)?;
            Ok(begun.map(|id| {
                inner.calls.insert(id, called);
                slot
            }))
        })
    }

    /// Ends a receive that no message has come for. Whether it did.
    fn cancel(&self, slot: &Arc<Slot>) -> bool {
        let is_of =
            |called: &Called| matches!(&called.then, Then::Put(to) if Arc::ptr_eq(to, slot));
        self.with(|inner, _| {
            let found = inner.calls.iter().find(|(_, called)| is_of(called));
            let id = found.map(|(id, _)| *id);
            id.is_some_and(|id| inner.group.cancel(id))
        })
    }

    /// A slot for the end of a call, which comes by the link or by a worker.
    pub fn slot(&self, watch: Option<Watch>) -> Arc<Slot> {
        let (shared, link) = (Weak::clone(&self.own), Arc::clone(&self.link));
        let (state, ended) = (Mutex::default(), Condvar::new());
        Arc::new(Slot { shared, link, watch, state, ended })
    }

    /// Starts a call.
    pub fn begin(&self, start: impl FnOnce(&mut Group, Now) -> (OpId, Called)) {
        self.with(|inner, now| {
            let (id, called) = start(&mut inner.group, now);
            inner.calls.insert(id, called);
        });
    }

    /// Gives a communicator back.
    pub fn close(&self, context: u64) {
        self.tell(|group, _| group.close(context));
        // After the ends of its calls, which may have been for its worker.
        self.with(|inner, _| inner.workers.remove(&context));
    }

    /// Itself, as threads have it that must not keep it.
    pub fn weak(&self) -> Weak<Shared> {
        Weak::clone(&self.own)
    }

    /// The time since this rank began.
    pub fn clock(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Does something with the machine.
    pub fn tell<T>(&self, f: impl FnOnce(&mut Group, Now) -> T) -> T {
        self.with(|inner, now| f(&mut inner.group, now))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner, Now) -> T) -> T {
        // A panic inside is a defect of ours; others are better told by errors.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.epoch.elapsed();
        let value = f(&mut inner, now);
        let mut ended = Vec::new();
        while let Some(output) = inner.group.poll_output() {
            match output {
                Output::Send { to, frame } => self.link.send(to, frame),
                Output::Abandon { peer } => self.link.abandon(peer),
                Output::Fold(work) => inner.fold(work, now, self),
                Output::Finished { id, result } => {
                    let Some(Called { then, function }) = inner.calls.remove(&id) else { continue };
                    match then {
                        Then::Put(slot) => ended.push((slot, result, function)),
                        Then::Go(context, go) => {
                            let go = Box::new(move || go(result));
                            inner.work(context, go, Arc::clone(&self.link));
                        }
                    }
                }
            }
        }
        let next = inner.group.poll_timeout();
        if next.is_some_and(|next| inner.wakes.is_none_or(|wakes| next < wakes)) {
            inner.wakes = next;
            self.alarm.set(next);
        }
        drop(inner);
        // What a function owns ends without the lock, too.
        ended.into_iter().for_each(|(slot, result, _function)| slot.put(result));
        value
    }

    fn ring(&self) {
        self.with(|inner, now| {
            inner.wakes = None;
            inner.group.handle_timeout(now);
        });
    }
}

impl Inner {
    /// Has a communicator's worker do something, and who drives the link then look at it.
    fn work(&mut self, context: u64, job: Job, link: Arc<dyn Link>) {
        let job = Box::new(move || {
            job();
            link.rouse();
        });
        self.workers.entry(context).or_insert_with(Worker::start).run(job);
    }

    /// Has the function of a call applied, and the machine told.
    fn fold(&mut self, work: Work, now: Now, shared: &Shared) {
        let function = self.calls.get(&work.id()).and_then(|called| called.function.clone());
        // The call may have ended in the same breath.
        let function = match function {
            None => return,
            Some(Function::Merge(merge)) if work.bytes() <= MERGED_AT_ONCE_MAX => {
                return self.group.handle_folded(now, work.run(&merge));
            }
            Some(Function::Own(function) | Function::Merge(function)) => function,
        };
        let (link, shared) = (Arc::clone(&shared.link), Weak::clone(&shared.own));
        let context = work.context();
        let fold = move || {
            let folded = work.run(&function);
            drop(function);
            if let Some(shared) = shared.upgrade() {
                shared.tell(|group, now| group.handle_folded(now, folded));
            }
        };
        self.work(context, Box::new(fold), link);
    }
}

/// A rank as its communicators have it. When the last of them is gone it leaves, on the
/// thread that let it go, which waits until the link is closed: the program may end then.
/// Threads of the link and of functions hold the rank for moments only, and never end it.
pub(super) struct Own(Arc<Shared>);

impl Own {
    /// Starts a rank over its link.
    pub fn start(link: Arc<dyn Link>, config: Config) -> Own {
        Own(Shared::start(link, config))
    }
}

impl std::ops::Deref for Own {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.tell(|group, _| group.leave());
        self.link.close();
        self.alarm.end();
    }
}

impl Alarm {
    fn lock(&self) -> MutexGuard<'_, (Option<Now>, bool)> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: Option<Now>) {
        self.lock().0 = at;
        self.changed.notify_one();
    }

    fn end(&self) {
        self.lock().1 = true;
        self.changed.notify_one();
    }

    fn run(&self, epoch: Instant, shared: &Weak<Shared>) {
        let mut state = self.lock();
        while !state.1 {
            let left = state.0.map(|at| at.saturating_sub(epoch.elapsed()));
            state = match left {
                Some(Duration::ZERO) => {
                    state.0 = None;
                    drop(state);
                    if let Some(shared) = shared.upgrade() {
                        shared.ring();
                    }
                    self.lock()
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// What a link delivers to. It does not keep the rank alive.
struct Door(Weak<Shared>);

impl Receiver for Door {
    fn frame(&self, from: usize, bytes: Bytes) {
        if let Some(shared) = self.0.upgrade() {
            shared.tell(|group, now| group.handle_frame(now, from, bytes));
        }
    }

    fn lost(&self, peer: usize, reason: String) {
        if let Some(shared) = self.0.upgrade() {
            shared.tell(|group, now| group.handle_lost(now, peer, reason));
        }
    }
}
