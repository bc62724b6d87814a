//! A link that strikes its own process when so many frames have come and gone.
//!
//! What other ranks can see of a rank is the frames that it has sent. So the fault is
//! placed between two of them: all before have left, all after are held back until the
//! process is gone, or, after a pause, until it goes on.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use adsum::communicator::{Frame, Link, Receiver};
use adsum::rendezvous::Mesh;

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is killed.
    Kill,
    /// It is stopped, for ever.
    Stop,
    /// It is stopped for so many milliseconds.
    Pause(u64),
    /// The thread that waits in a call panics.
    Panic,
}

#[derive(Default)]
struct State {
    /// Frames that were sent or came since the link was armed.
    steps: usize,
    /// The fault, and the step that it comes instead of.
    armed: Option<(Fault, usize)>,
    /// What is to be sent after the fault.
    held: Option<Vec<(usize, Frame)>>,
}

struct Inner {
    mesh: Mesh,
    state: Mutex<State>,
    /// Nothing is held back any more.
    released: Condvar,
    panics: AtomicBool,
}

/// The link of a rank to which a fault may happen.
#[derive(Clone)]
pub struct FaultyLink(Arc<Inner>);

impl FaultyLink {
    pub fn new(mesh: Mesh) -> FaultyLink {
        FaultyLink(Arc::new(Inner {
            mesh,
            state: Mutex::default(),
            released: Condvar::new(),
            panics: AtomicBool::new(false),
        }))
    }

    /// Begins to count.
    pub fn count(&self) {
        self.0.state.lock().unwrap().steps = 0;
    }

    /// Frames that were sent or came since then.
    pub fn steps(&self) -> usize {
        self.0.state.lock().unwrap().steps
    }

    /// Has the fault happen instead of this step from now on. One that is not over yet is
    /// waited for.
    pub fn arm(&self, fault: Fault, step: usize) {
        let state = self.0.state.lock().unwrap();
        let mut state = self.0.released.wait_while(state, |state| state.held.is_some()).unwrap();
        *state = State { armed: Some((fault, step)), ..State::default() };
    }

    /// Has the fault happen now, if it has not yet.
    ///
    /// # Panics
    /// For a fault that is a panic.
    pub fn strike(&self) {
        let mut state = self.0.state.lock().unwrap();
        if let Some((fault, _)) = state.armed.take() {
            self.begin(fault, &mut state);
        }
        drop(state);
        self.panic_if_due();
    }

    fn step(&self, state: &mut State) {
        if let Some((fault, at)) = state.armed
            && at == state.steps
        {
            state.armed = None;
            self.begin(fault, state);
        }
        state.steps += 1;
    }

    fn begin(&self, fault: Fault, state: &mut State) {
        // What was sent has a moment to leave.
        let script = match fault {
            Fault::Kill => "sleep 0.01; kill -KILL $0".to_owned(),
            // Again and again: `adsum run` lets ranks go on once, so that they can end, when it
            // hears that one has ended, which may be late.
            Fault::Stop => {
                "sleep 0.01; while kill -STOP $0 2>/dev/null; do sleep 0.1; done".to_owned()
            }
            Fault::Pause(millis) => {
                let seconds = Duration::from_millis(millis).as_secs_f64();
                format!("sleep 0.01; kill -STOP $0; sleep {seconds}; kill -CONT $0")
            }
            Fault::Panic => return self.0.panics.store(true, Ordering::SeqCst),
        };
        state.held = Some(Vec::new());
        let link = self.clone();
        thread::spawn(move || {
            let own = std::process::id().to_string();
            let done = Command::new("sh").args(["-c", &script, &own]).status().unwrap();
            assert!(done.success(), "a signal was not sent");
            let mut state = link.0.state.lock().unwrap();
            for (to, frame) in state.held.take().into_iter().flatten() {
                link.0.mesh.send(to, frame);
            }
            link.0.released.notify_all();
        });
    }

    fn panic_if_due(&self) {
        if self.0.panics.swap(false, Ordering::SeqCst) {
            panic!("a panic on purpose");
        }
    }
}

impl Link for FaultyLink {
    fn rank(&self) -> usize {
        self.0.mesh.rank()
    }

    fn size(&self) -> usize {
        self.0.mesh.size()
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        let link = self.clone();
        self.0.mesh.start(Arc::new(Counting { link, receiver }));
    }

    fn send(&self, to: usize, frame: Frame) {
        let mut state = self.0.state.lock().unwrap();
        self.step(&mut state);
        match &mut state.held {
            Some(held) => held.push((to, frame)),
            None => self.0.mesh.send(to, frame),
        }
    }

    fn drive(&self, is_done: &mut dyn FnMut() -> bool, limit: Duration) -> Option<bool> {
        let mut is_over = || self.0.panics.load(Ordering::SeqCst) || is_done();
        let result = self.0.mesh.drive(&mut is_over, limit);
        // Here the caller's thread waits in its call and holds no lock.
        self.panic_if_due();
        result
    }

    fn push(&self) {
        self.0.mesh.push();
    }

    fn rouse(&self) {
        self.0.mesh.rouse();
    }

    fn attend(&self) {
        self.0.mesh.attend();
    }

    fn abandon(&self, peer: usize) {
        self.0.mesh.abandon(peer);
    }

    fn close(&self) {
        let state = self.0.state.lock().unwrap();
        drop(self.0.released.wait_while(state, |state| state.held.is_some()).unwrap());
        self.0.mesh.close();
    }
}

/// Counts what comes.
struct Counting {
    link: FaultyLink,
    receiver: Arc<dyn Receiver>,
}

impl Receiver for Counting {
    fn frame(&self, from: usize, bytes: bytes::Bytes) {
        self.link.step(&mut self.link.0.state.lock().unwrap());
        self.receiver.frame(from, bytes);
    }

    fn lost(&self, peer: usize, reason: String) {
        self.receiver.lost(peer, reason);
    }
}
