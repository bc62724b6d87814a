//! The word to stop, and the word that there is something to do.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Said once, and heard at once by who waits.
#[derive(Debug, Default)]
pub struct Stop {
    said: Mutex<Said>,
    heard: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    stop: bool,
    /// Whether who waits is to look what there is to do.
    wake: bool,
}

impl Stop {
    pub fn say(&self) {
        self.lock().stop = true;
        self.heard.notify_all();
    }

    pub fn is_said(&self) -> bool {
        self.lock().stop
    }

    /// Ends this wait, or the next one.
    pub fn wake(&self) {
        self.lock().wake = true;
        self.heard.notify_all();
    }

    /// Waits until one of both is said, or the time has passed.
    pub fn wait(&self, time: Duration) {
        let is_silent = |said: &mut Said| !said.stop && !said.wake;
        // Why it woke up does not matter: the caller asks again.
        let woken = self.heard.wait_timeout_while(self.lock(), time, is_silent);
        woken.unwrap_or_else(PoisonError::into_inner).0.wake = false;
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
