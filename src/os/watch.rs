//! A sleep that ends when a socket can be read, or somebody wakes it.

use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use polling::{Event, Events, Poller};

/// What one thread at a time sleeps on.
#[derive(Debug)]
pub struct Watch {
    poller: Poller,
    socket: OnceLock<Arc<UdpSocket>>,
}

/// What can be done with the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// It can be read.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
}

impl Watch {
    /// One without a socket.
    ///
    /// # Errors
    /// The system has no more of them.
    pub fn new() -> io::Result<Watch> {
        Ok(Watch { poller: Poller::new()?, socket: OnceLock::new() })
    }

    /// Sleeps for this socket from now on.
    ///
    /// # Errors
    /// There is one already, or the system refuses.
    pub fn set(&self, socket: Arc<UdpSocket>) -> io::Result<()> {
        if self.socket.set(socket).is_err() {
            return Err(io::Error::other("there is a socket already"));
        }
        let socket = self.socket.get().expect("it was set");
        // SAFETY: the socket is kept as long as the poller, and is taken out of it before
        // either is dropped.
        unsafe { self.poller.add(&**socket, Event::none(0)) }
    }

    /// Sleeps until the socket can be read, or also written, or [`Watch::wake`], or for
    /// `limit`.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, also_writable: bool, limit: Option<Duration>) -> io::Result<Ready> {
        if let Some(socket) = self.socket.get() {
            self.poller.modify(&**socket, Event::new(0, true, also_writable))?;
        }
        let mut events = Events::new();
        self.poller.wait(&mut events, limit)?;
        let mut ready = Ready::default();
        for event in events.iter() {
            ready.readable |= event.readable;
            ready.writable |= event.writable;
        }
        Ok(ready)
    }

    /// Ends the sleep under way, or else the next one.
    pub fn wake(&self) {
        // It fails only if the system does; then the sleep ends by its limit.
        let _failed = self.poller.notify();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.get() {
            // Nobody asks it any more.
            let _unknown = self.poller.delete(&**socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_by_a_packet_a_wake_or_its_limit() {
        let watch = Watch::new().unwrap();
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        watch.set(Arc::clone(&socket)).unwrap();
        assert!(watch.set(Arc::clone(&socket)).is_err());
        let short = Some(Duration::from_millis(5));
        assert_eq!(watch.wait(false, short).unwrap(), Ready::default());
        watch.wake();
        assert_eq!(watch.wait(false, None).unwrap(), Ready::default());
        let addr = socket.local_addr().unwrap();
        socket.send_to(b"word", addr).unwrap();
        let readable = Ready { readable: true, writable: false };
        // As long as nobody reads.
        assert_eq!(watch.wait(false, None).unwrap(), readable);
        assert_eq!(watch.wait(false, None).unwrap(), readable);
        socket.recv(&mut [0; 8]).unwrap();
        assert_eq!(watch.wait(false, short).unwrap(), Ready::default());
        assert!(watch.wait(true, None).unwrap().writable);
    }
}
