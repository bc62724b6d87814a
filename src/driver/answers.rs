//! Questions to peers, as whoever asked holds them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::placement::NodeId;
use crate::wire::Reply;

/// Both ends of what answers a question.
pub(crate) fn answers() -> (AnswerSender, Answers) {
    let (sender, receiver) = channel();
    let wanted = Arc::new(AtomicBool::new(true));
    (AnswerSender { sender, wanted: Arc::clone(&wanted) }, Answers { receiver, wanted })
}

/// The answers to a question, in order. Dropping it withdraws the question.
#[derive(Debug)]
pub struct Answers {
    receiver: Receiver<Reply>,
    wanted: Arc<AtomicBool>,
}

/// Why an answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The peer was lost, or was never connected.
    #[error("the node was lost before it answered")]
    Lost,
    /// It took too long.
    #[error("the node did not answer in time")]
    Late,
}

impl Answers {
    /// Waits for the next answer, until `deadline` if there is one.
    ///
    /// # Errors
    /// It did not come.
    pub fn next(&self, deadline: Option<Instant>) -> Result<Reply, Unanswered> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        self.receiver.recv_timeout(left.unwrap_or(Duration::MAX)).map_err(|error| match error {
            RecvTimeoutError::Timeout => Unanswered::Late,
            RecvTimeoutError::Disconnected => Unanswered::Lost,
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

/// The driver's end of [`Answers`].
#[derive(Debug)]
pub(crate) struct AnswerSender {
    sender: Sender<Reply>,
    wanted: Arc<AtomicBool>,
}

/// The questions that wait for answers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    next: u64,
    waiting: BTreeMap<(NodeId, u64), AnswerSender>,
}

impl Asked {
    /// Takes a question in, and says its number.
    pub(super) fn add(&mut self, to: NodeId, answers: AnswerSender) -> u64 {
        let ask = self.next;
        self.next += 1;
        self.waiting.insert((to, ask), answers);
        ask
    }

    /// An answer came. One that nobody waits for does nothing.
    pub(super) fn reply(&mut self, from: NodeId, ask: u64, reply: Reply) {
        let is_last = !matches!(reply, Reply::Progress { .. });
        if let Some(answers) = self.waiting.get(&(from, ask)) {
            // Nobody listens any more if the question is about to be withdrawn.
            let _unheard = answers.sender.send(reply);
        }
        if is_last {
            self.waiting.remove(&(from, ask));
        }
    }

    /// A peer is gone: whoever waits for it is told by the end of the channel.
    pub(super) fn lost(&mut self, peer: NodeId) {
        self.waiting.retain(|(to, _), _| *to != peer);
    }

    /// Forgets the questions that nobody wants answered any more.
    pub(super) fn withdraw_dropped(&mut self, mut withdraw: impl FnMut(NodeId, u64)) {
        self.waiting.retain(|&(to, ask), answers| {
            let wanted = answers.wanted.load(Ordering::Relaxed);
            if !wanted {
                withdraw(to, ask);
            }
            wanted
        });
    }
}
