//! The word to stop.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Said once, and heard at once by who waits.
#[derive(Debug, Default)]
pub struct Stop {
    said: Mutex<bool>,
    heard: Condvar,
}

impl Stop {
    pub fn say(&self) {
        *self.lock() = true;
        self.heard.notify_all();
    }

    pub fn is_said(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is said, or the time has passed.
    pub fn wait(&self, time: Duration) {
        // Why it woke up does not matter: the caller asks again.
        let _ = self.heard.wait_timeout_while(self.lock(), time, |said| !*said);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
