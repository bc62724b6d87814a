//! A request under way, as whoever asked holds it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, WeakUnboundedSender};

use crate::driver::Command;
use crate::engine::{JobError, Outcome, RequestId, SubmitError};

/// How often a waiting ticket looks whether it has been cancelled. A person who
/// presses Ctrl-C does not notice it.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries in the total.
    pub entries_done: usize,
    /// Entries of the job.
    pub entries: usize,
    /// Bytes of elements in the total.
    pub bytes_done: u64,
    /// Bytes of elements of the job.
    pub bytes: u64,
}

/// Why a request gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It was taken and failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The node stopped before it was done.
    #[error("this node stopped before the request was done")]
    Stopped,
}

/// A request that a node has taken. Dropping it gives the request up.
#[derive(Debug)]
pub struct Ticket {
    id: RequestId,
    slot: Arc<Slot>,
    /// Weak, since the driver stops when its node lets go of the strong end.
    commands: WeakUnboundedSender<Command>,
    /// Whether the result has been taken.
    done: bool,
}

/// The driver's end of a ticket.
#[derive(Debug)]
pub(crate) struct TicketSender {
    slot: Arc<Slot>,
}

/// The latest news. What nobody has read yet is overwritten, so an asker may
/// be as slow as it likes.
#[derive(Debug, Default)]
struct Slot {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct News {
    progress: Option<Progress>,
    result: Option<Result<Outcome, RequestError>>,
    /// Nothing comes after this.
    over: bool,
}

/// Both ends of a ticket for the driver behind `commands`.
pub(crate) fn ticket(id: RequestId, commands: &UnboundedSender<Command>) -> (TicketSender, Ticket) {
    let slot = Arc::new(Slot::default());
    (
        TicketSender { slot: Arc::clone(&slot) },
        Ticket { id, slot, commands: commands.downgrade(), done: false },
    )
}

impl Ticket {
    /// The request's name.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Waits for the result, and tells `on_progress` of each change that it
    /// sees. Once `cancelled` is true, gives the request up.
    ///
    /// # Errors
    /// As [`RequestError`]; [`JobError::Cancelled`] if it was given up.
    pub fn wait(
        mut self,
        mut on_progress: impl FnMut(Progress),
        cancelled: &AtomicBool,
    ) -> Result<Outcome, RequestError> {
        let slot = Arc::clone(&self.slot);
        let mut news = slot.lock();
        loop {
            if let Some(progress) = news.progress.take() {
                drop(news);
                on_progress(progress);
                news = slot.lock();
            } else if news.over {
                self.done = true;
                return news.result.take().unwrap_or(Err(RequestError::Stopped));
            } else if cancelled.load(Ordering::Relaxed) {
                return Err(JobError::Cancelled.into());
            } else {
                let waited = slot.changed.wait_timeout(news, CANCEL_POLL);
                news = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.done
            && let Some(commands) = self.commands.upgrade()
        {
            // A driver that is gone has given up already.
            let _gone = commands.send(Command::Cancel(self.id));
        }
    }
}

impl TicketSender {
    /// Passes on how far the request is.
    pub(super) fn progress(&self, progress: Progress) {
        self.slot.lock().progress = Some(progress);
        self.slot.changed.notify_all();
    }

    /// Passes on the end of the request.
    pub(super) fn finish(self, result: Result<Outcome, RequestError>) {
        self.slot.lock().result = Some(result);
    }
}

impl Drop for TicketSender {
    /// After this, and so also when the driver is gone, nobody waits.
    fn drop(&mut self) {
        self.slot.lock().over = true;
        self.slot.changed.notify_all();
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, News> {
        // Nothing that holds the lock can panic half way through a change.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
