//! The UDP socket of an endpoint, read and written without asking first.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::clock::Clock;
use crate::rendezvous::LARGE_BYTES;

/// A socket, and who waits for it.
#[derive(Debug)]
pub(super) struct Socket {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    segments_max: usize,
    /// The last send found no room, and the kernel has not said since that there is some.
    is_full: AtomicBool,
    /// The last read brought much, which is taken in before the next one.
    has_given: AtomicBool,
    clock: Arc<Clock>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

impl Socket {
    pub(super) fn new(
        socket: UdpSocket,
        segments_max: usize,
        clock: Arc<Clock>,
    ) -> io::Result<Socket> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        let segments_max = segments_max.min(state.max_gso_segments());
        let socket = Arc::new(socket);
        let [is_full, has_given] = [const { AtomicBool::new(false) }; 2];
        let waiting = Mutex::default();
        Ok(Socket { socket, state, segments_max, is_full, has_given, clock, waiting })
    }

    pub(super) fn shared(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.socket)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds the lock can panic half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_writers(&self) -> bool {
        !self.waiting().writers.is_empty()
    }

    /// Has the reader try again; not if somebody waits to write, who can only be
    /// woken by the kernel.
    pub(super) fn wake_reader(&self) -> bool {
        let mut waiting = self.waiting();
        let reader = if waiting.writers.is_empty() { waiting.reader.take() } else { None };
        drop(waiting);
        reader.map(Waker::wake).is_some()
    }

    /// Wakes who waits for what the kernel says is there.
    pub(super) fn wake(&self, is_readable: bool, is_writable: bool) {
        let mut waiting = self.waiting();
        let reader = if is_readable { waiting.reader.take() } else { None };
        let writers = if is_writable { std::mem::take(&mut waiting.writers) } else { Vec::new() };
        if is_writable {
            self.is_full.store(false, Ordering::SeqCst);
        }
        drop(waiting);
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writer(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send((&*self.socket).into(), transmit);
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.is_full.store(true, Ordering::SeqCst);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // What came is decrypted and folded first, while it is in the cache; what comes next
        // then gets the memory that it leaves.
        if self.has_given.swap(false, Ordering::SeqCst) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            // One datagram, or a train of them.
            let read = self.state.recv((&*self.socket).into(), &mut bufs[..1], &mut meta[..1]);
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting().reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.clock.tick();
                    let is_large = read.is_ok() && meta[0].len >= LARGE_BYTES;
                    self.has_given.store(is_large, Ordering::SeqCst);
                    return Poll::Ready(read);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.segments_max
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Somebody who sends. quinn asks it before every packet, so it answers from what the last
/// one met with; the kernel is asked only where that found the socket full.
#[derive(Debug)]
struct Writer(Arc<Socket>);

impl UdpPoller for Writer {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.0.is_full.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        let mut waiting = self.0.waiting();
        // Nor has the kernel said meanwhile that there is room.
        if !self.0.is_full.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        waiting.writers.push(cx.waker().clone());
        Poll::Pending
    }
}
