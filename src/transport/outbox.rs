//! What waits to be sent to one peer: bounded, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::transport::{Config, LinkError};

/// The most messages that one write takes from the queue.
const BATCH_MESSAGES_MAX: usize = 256;

/// Both ends of a peer's outgoing queue.
pub(super) fn outbox(config: &Config) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    let outbox = Outbox {
        sender,
        waiting: Arc::clone(&waiting),
        messages_max: config.queue_messages_max,
        bytes_max: config.queue_bytes_max,
    };
    (outbox, Outgoing { receiver, waiting })
}

/// What is in the queue, counted until the network has taken it.
#[derive(Debug, Default)]
struct Waiting {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// The end that the driver puts messages into.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    messages_max: usize,
    bytes_max: usize,
}

impl Outbox {
    /// Appends an encoded message. On a link that has ended it goes nowhere.
    ///
    /// # Errors
    /// [`LinkError::QueueFull`]: the message is dropped, and as messages may
    /// not be missing from the middle, the link must end.
    pub(super) fn push(&self, message: Vec<u8>) -> Result<(), LinkError> {
        // Counts may be a little behind the other end; a bound needs no more.
        let messages = self.waiting.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.waiting.bytes.fetch_add(message.len(), Ordering::Relaxed) + message.len();
        if messages > self.messages_max || bytes > self.bytes_max {
            return Err(LinkError::QueueFull {
                messages,
                bytes,
                messages_max: self.messages_max,
                bytes_max: self.bytes_max,
            });
        }
        // Fails only when the link's task has ended, which its owner is told.
        let _gone = self.sender.send(message);
        Ok(())
    }
}

/// The end that the network takes messages from.
pub(super) struct Outgoing {
    receiver: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<Waiting>,
}

impl Outgoing {
    /// Waits for messages and moves what is there into `batch`. Returns false
    /// when there can be no more.
    pub(super) async fn take(&mut self, batch: &mut Vec<Vec<u8>>) -> bool {
        self.receiver.recv_many(batch, BATCH_MESSAGES_MAX).await > 0
    }

    /// Says that a batch of so many messages and bytes has been sent.
    pub(super) fn sent(&self, messages: usize, bytes: usize) {
        self.waiting.messages.fetch_sub(messages, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(messages: usize, bytes: usize) -> (Outbox, Outgoing) {
        let mut config = Config::loopback();
        config.queue_messages_max = messages;
        config.queue_bytes_max = bytes;
        outbox(&config)
    }

    #[test]
    fn messages_are_bounded() {
        let (outbox, _outgoing) = small(2, 100);
        assert_eq!(outbox.push(vec![0; 1]), Ok(()));
        assert_eq!(outbox.push(vec![0; 1]), Ok(()));
        let full = LinkError::QueueFull { messages: 3, bytes: 3, messages_max: 2, bytes_max: 100 };
        assert_eq!(outbox.push(vec![0; 1]), Err(full));
    }

    #[test]
    fn bytes_are_bounded() {
        let (outbox, _outgoing) = small(100, 10);
        assert_eq!(outbox.push(vec![0; 10]), Ok(()));
        let full =
            LinkError::QueueFull { messages: 2, bytes: 11, messages_max: 100, bytes_max: 10 };
        assert_eq!(outbox.push(vec![0; 1]), Err(full));
    }

    #[tokio::test]
    async fn what_is_sent_makes_room() {
        let (outbox, mut outgoing) = small(1, 10);
        for _ in 0..5 {
            assert_eq!(outbox.push(vec![7; 10]), Ok(()));
            let mut batch = Vec::new();
            assert!(outgoing.take(&mut batch).await);
            assert_eq!(batch, [vec![7; 10]]);
            outgoing.sent(1, 10);
        }
        drop(outbox);
        assert!(!outgoing.take(&mut Vec::new()).await);
    }
}
