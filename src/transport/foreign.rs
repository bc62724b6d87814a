//! Datagrams that are no QUIC at all. An endpoint drops them without a word, and whoever
//! runs the node would never learn that somebody sends them.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use tokio::sync::mpsc;

use crate::transport::{Event, LinkError};

/// The bit that every packet has (RFC 9000, section 17), as long as the endpoints do not
/// agree to leave it out.
const FIXED_BIT: u8 = 0x40;

/// How often a foreign datagram is told of at most.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// A runtime whose sockets tell of foreign datagrams.
#[derive(Debug)]
pub(crate) struct Watching {
    pub runtime: Arc<dyn Runtime>,
    /// Who is told, if there is room.
    pub events: mpsc::Sender<Event>,
}

impl Runtime for Watching {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        self.runtime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.runtime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = self.runtime.wrap_udp_socket(socket)?;
        Ok(Arc::new(Watched { socket, events: self.events.clone(), told: Mutex::new(None) }))
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }
}

#[derive(Debug)]
struct Watched {
    socket: Arc<dyn AsyncUdpSocket>,
    events: mpsc::Sender<Event>,
    /// When it was told of one last.
    told: Mutex<Option<Instant>>,
}

impl Watched {
    fn look(&self, bytes: &[u8], meta: &RecvMeta) {
        let datagrams = bytes[..meta.len].chunks(meta.stride.max(1));
        if datagrams.into_iter().any(|datagram| datagram[0] & FIXED_BIT == 0) {
            self.tell(meta.addr);
        }
    }

    fn tell(&self, addr: SocketAddr) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.duration_since(told) >= TELL_INTERVAL) {
            *told = Some(now);
            // Where so much is told already, this is not missed.
            let _full = self.events.try_send(Event::TurnedAway { addr, error: LinkError::Foreign });
        }
    }
}

impl AsyncUdpSocket for Watched {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let read = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &read {
            bufs.iter().zip(&*meta).take(*count).for_each(|(bytes, meta)| self.look(bytes, meta));
        }
        read
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
