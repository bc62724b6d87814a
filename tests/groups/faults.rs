//! A link that dies or pauses after so many frames.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use adsum::communicator::{Communicator, Config, Frame, Link, MemoryLink, Receiver};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything after so many frames is lost, and the others notice.
    Kill(usize),
    /// After so many frames nothing goes out for a while.
    Pause(usize, Duration),
}

#[derive(Default)]
struct State {
    sent: usize,
    dead: bool,
    held: Option<VecDeque<(usize, Frame)>>,
    receiver: Option<Arc<dyn Receiver>>,
}

pub struct FaultyLink {
    inner: Arc<MemoryLink>,
    fault: Fault,
    state: Arc<Mutex<State>>,
    struck: Arc<AtomicBool>,
}

impl FaultyLink {
    pub fn new(inner: MemoryLink, fault: Fault) -> FaultyLink {
        let (state, struck) = Default::default();
        FaultyLink { inner: Arc::new(inner), fault, state, struck }
    }

    fn die(&self, state: &mut State) {
        state.dead = true;
        self.inner.close();
        let (receiver, rank, size) = (state.receiver.clone(), self.rank(), self.size());
        thread::spawn(move || {
            for peer in (0..size).filter(|&peer| peer != rank) {
                receiver.as_ref().expect("it was started").lost(peer, "its own end".to_owned());
            }
        });
    }

    fn pause(&self, state: &mut State, time: Duration) {
        state.held = Some(VecDeque::new());
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        thread::spawn(move || {
            thread::sleep(time);
            let mut state = state.lock().unwrap();
            for (to, frame) in state.held.take().into_iter().flatten() {
                inner.send(to, frame);
            }
        });
    }
}

impl Link for FaultyLink {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        self.state.lock().unwrap().receiver = Some(Arc::clone(&receiver));
        self.inner.start(receiver);
    }

    fn send(&self, to: usize, frame: Frame) {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return;
        }
        match self.fault {
            Fault::Kill(after) if state.sent == after => {
                self.struck.store(true, Ordering::SeqCst);
                return self.die(&mut state);
            }
            Fault::Pause(after, time) if state.sent == after => {
                self.struck.store(true, Ordering::SeqCst);
                self.pause(&mut state, time);
            }
            _ => {}
        }
        state.sent += 1;
        match &mut state.held {
            Some(held) => held.push_back((to, frame)),
            None => self.inner.send(to, frame),
        }
    }

    fn abandon(&self, peer: usize) {
        self.inner.abandon(peer);
    }

    fn close(&self) {
        let held = {
            let mut state = self.state.lock().unwrap();
            state.held.take()
        };
        for (to, frame) in held.into_iter().flatten() {
            self.inner.send(to, frame);
        }
        self.inner.close();
    }
}

/// A group of which one rank has a fault, and whether that has struck.
pub fn group(
    size: usize,
    config: &Config,
    victim: usize,
    fault: Fault,
) -> (Vec<Communicator>, Arc<AtomicBool>) {
    let mut struck = Arc::default();
    let connect = |link: MemoryLink| {
        let is_victim = link.rank() == victim;
        let link = FaultyLink::new(link, if is_victim { fault } else { Fault::None });
        if is_victim {
            struck = Arc::clone(&link.struck);
        }
        Communicator::connect(Arc::new(link), config.clone())
    };
    let ranks = MemoryLink::group(size).into_iter().map(connect).collect();
    (ranks, struck)
}
