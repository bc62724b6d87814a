//! What has threads in the process that made it.

/// Something with threads of its own. A process that was forked has none of its parent's
/// threads: there it is out of reach and never dropped, for that would wait for them, or
/// speak in the parent's name.
pub struct Threaded<T> {
    /// There until it is dropped.
    made: Option<T>,
    process: u32,
}

impl<T> Threaded<T> {
    /// What this process has made.
    pub fn new(made: T) -> Threaded<T> {
        Threaded { made: Some(made), process: std::process::id() }
    }

    /// It, in the process that made it.
    pub fn get(&self) -> Option<&T> {
        self.made.as_ref().filter(|_| self.process == std::process::id())
    }

    /// As [`Threaded::get`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.made.as_mut().filter(|_| self.process == std::process::id())
    }
}

impl<T> Drop for Threaded<T> {
    fn drop(&mut self) {
        if self.get().is_none() {
            std::mem::forget(self.made.take());
        }
    }
}
