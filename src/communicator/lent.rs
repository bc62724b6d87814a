//! The memory of a caller who waits, for others to work on.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes of somebody who waits until this is dropped.
#[derive(Debug)]
pub struct Lent {
    start: *mut u8,
    length: usize,
    returned: Arc<Returned>,
}

#[derive(Debug, Default)]
struct Returned {
    is_back: Mutex<bool>,
    changed: Condvar,
}

impl Returned {
    fn wait(&self) {
        let mut is_back = self.is_back.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_back {
            is_back = self.changed.wait(is_back).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

// SAFETY: it is the only way to bytes that anybody may read and write, as `lend` keeps
// everybody else from them while it lives.
unsafe impl Send for Lent {}

/// Lends bytes to `work`, and does not come back before they are given back, on whatever
/// thread that is; also when `work` panics.
pub fn lend<T>(bytes: &mut [u8], work: impl FnOnce(Lent) -> T) -> T {
    /// Waits when it is dropped, however that comes.
    struct Waits(Arc<Returned>);

    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.wait();
        }
    }

    let waits = Waits(Arc::default());
    let returned = Arc::clone(&waits.0);
    work(Lent { start: bytes.as_mut_ptr(), length: bytes.len(), returned })
}

impl Lent {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `lend` made it of a slice that is borrowed until this is dropped.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; and this is the only one of its kind.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.returned.is_back.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.returned.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_lent_comes_back_before_the_lender_goes_on() {
        let mut bytes = vec![1; 1000];
        let worker = lend(&mut bytes, |mut lent| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                assert_eq!(lent.bytes(), [1; 1000]);
                lent.bytes_mut().fill(2);
            })
        });
        assert_eq!(bytes, [2; 1000]);
        worker.join().unwrap();
    }

    #[test]
    fn also_when_the_lender_panics() {
        let mut bytes = vec![1; 1000];
        let panics = || {
            lend(&mut bytes, |mut lent| {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(20));
                    lent.bytes_mut().fill(2);
                });
                panic!("the lender's own");
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(bytes, [2; 1000]);
    }
}
