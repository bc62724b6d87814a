//! A link between threads of one process.
//!
//! Each rank has an inbox and a thread that delivers what is in it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use bytes::{Bytes, BytesMut};

use super::link::{Frame, Link, Receiver};

/// What is to be delivered.
enum Delivery {
    Frame(usize, Bytes),
    Lost(usize, String),
}

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    abandoned: BTreeSet<usize>,
    closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().expect("an inbox that nobody left in a panic")
    }

    fn put(&self, from: usize, delivery: Delivery) {
        let mut waiting = self.lock();
        if !waiting.closed && !waiting.abandoned.contains(&from) {
            waiting.deliveries.push_back(delivery);
            self.news.notify_one();
        }
    }

    /// Delivers until the inbox is closed.
    fn deliver(&self, receiver: &dyn Receiver) {
        let mut waiting = self.lock();
        while !waiting.closed {
            let Some(delivery) = waiting.deliveries.pop_front() else {
                waiting = self.news.wait(waiting).expect("an inbox that nobody left in a panic");
                continue;
            };
            drop(waiting);
            match delivery {
                Delivery::Frame(from, bytes) => receiver.frame(from, bytes),
                Delivery::Lost(peer, reason) => receiver.lost(peer, reason),
            }
            waiting = self.lock();
        }
    }
}

/// One end of a link between threads.
pub struct MemoryLink {
    rank: usize,
    inboxes: Arc<Vec<Inbox>>,
}

impl MemoryLink {
    /// The ends for all ranks of a group.
    pub fn group(size: usize) -> Vec<MemoryLink> {
        let inboxes: Arc<Vec<Inbox>> = Arc::new((0..size).map(|_| Inbox::default()).collect());
        (0..size).map(|rank| MemoryLink { rank, inboxes: Arc::clone(&inboxes) }).collect()
    }
}

impl Link for MemoryLink {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.inboxes.len()
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        // Alone there is nobody to hear from.
        if self.size() == 1 {
            return;
        }
        let (inboxes, rank) = (Arc::clone(&self.inboxes), self.rank);
        thread::Builder::new()
            .name(format!("adsum-rank-{rank}"))
            .spawn(move || inboxes[rank].deliver(&*receiver))
            .expect("the system has no thread left");
    }

    fn send(&self, to: usize, frame: Frame) {
        let bytes = match frame.body.is_empty() {
            true => frame.head,
            false => {
                let mut bytes = BytesMut::with_capacity(frame.len());
                bytes.extend_from_slice(&frame.head);
                bytes.extend_from_slice(&frame.body);
                bytes.freeze()
            }
        };
        self.inboxes[to].put(self.rank, Delivery::Frame(self.rank, bytes));
    }

    fn abandon(&self, peer: usize) {
        let mut waiting = self.inboxes[self.rank].lock();
        waiting.abandoned.insert(peer);
    }

    fn close(&self) {
        let own = &self.inboxes[self.rank];
        own.lock().closed = true;
        own.news.notify_one();
        for (_, inbox) in self.inboxes.iter().enumerate().filter(|(rank, _)| *rank != self.rank) {
            inbox.put(self.rank, Delivery::Lost(self.rank, "its link was closed".to_owned()));
        }
    }
}
