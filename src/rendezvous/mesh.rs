//! The connections of a rank with all others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{Connection, Endpoint, Runtime, SendStream, WriteError};
use tokio::sync::{Notify, mpsc};

use crate::communicator::{Frame, Link, Receiver};
use crate::rendezvous::frames::Frames;
use crate::rendezvous::reactor::Reactor;
use crate::rendezvous::{Config, LARGE_BYTES, Member, meet};
use crate::transport::{CloseCode, LinkError};
use crate::wire::{FRAME_BYTES_MAX, frame};

/// How long a link that is closed goes on so that its peers get what was sent.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// The connections of a rank with all others of its group.
///
/// All of them run on one thread, which calls the [`Receiver`] directly: a frame
/// passes one thread between the wire and the group. Sending queues, wakes that
/// thread, and returns. A caller who waits can lend its own thread by
/// [`Link::drive`], and then a frame passes none.
///
/// Dropping it closes it.
pub struct Mesh {
    rank: u32,
    size: u32,
    /// By rank; none for this one itself.
    peers: Vec<Option<Arc<Peer>>>,
    shared: Arc<Shared>,
    /// What runs the network; nothing for a group of one.
    reactor: Option<Reactor>,
    /// What ends the network when it is closed; until then.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the mesh and its tasks share.
#[derive(Default)]
struct Shared {
    receiver: OnceLock<Arc<dyn Receiver>>,
    started: Notify,
    /// Bytes of frames that were queued and are not written.
    unwritten_bytes: AtomicUsize,
    /// The receiver is called no more.
    is_closed: AtomicBool,
    closing: Notify,
}

impl Shared {
    fn is_more(&self) -> bool {
        self.unwritten_bytes.load(Ordering::SeqCst) > 0
    }

    fn count_out(&self, bytes: usize) {
        self.unwritten_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// Another rank, as the mesh sees it.
struct Peer {
    queue: Mutex<Queue>,
    /// Something is in the queue.
    ready: Arc<Notify>,
    connection: Connection,
    is_abandoned: AtomicBool,
}

/// What waits to be written to a peer.
#[derive(Default)]
struct Queue {
    frames: Vec<Frame>,
    /// Nothing comes after these.
    is_ended: bool,
    /// The peer is lost, and nothing is taken any more.
    is_lost: bool,
}

impl Peer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that holds the lock can panic half way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose ends know each other.
pub(super) struct Joined {
    pub rank: u32,
    pub connection: Connection,
    pub send: SendStream,
    pub frames: Frames,
}

impl Mesh {
    /// That of a group of one.
    pub(super) fn alone() -> Mesh {
        Mesh {
            rank: 0,
            size: 1,
            peers: vec![None],
            shared: Arc::default(),
            reactor: None,
            thread: Mutex::default(),
        }
    }

    pub(super) fn with_thread(self, thread: JoinHandle<()>) -> Mesh {
        *self.thread() = Some(thread);
        self
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        // It is set whole or not at all.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer(&self, rank: usize) -> Option<&Arc<Peer>> {
        self.peers.get(rank)?.as_ref()
    }
}

impl Link for Mesh {
    fn rank(&self) -> usize {
        self.rank as usize
    }

    fn size(&self) -> usize {
        self.size as usize
    }

    fn start(&self, receiver: Arc<dyn Receiver>) {
        // The first stays.
        let _again = self.shared.receiver.set(receiver);
        self.shared.started.notify_waiters();
    }

    /// # Panics
    /// If the frame is empty or longer than
    /// [`FRAME_BYTES_MAX`]: no group makes such one.
    fn send(&self, to: usize, frame: Frame) {
        assert!((1..=FRAME_BYTES_MAX).contains(&frame.len()), "a frame of {} bytes", frame.len());
        let Some(peer) = self.peer(to) else { return };
        let mut queue = peer.queue();
        if queue.is_lost {
            return;
        }
        self.shared.unwritten_bytes.fetch_add(frame.len(), Ordering::SeqCst);
        queue.frames.push(frame);
        let is_first = queue.frames.len() == 1;
        drop(queue);
        // Otherwise its task knows already.
        if is_first {
            peer.ready.notify_one();
        }
    }

    fn drive(&self, is_done: &mut dyn FnMut() -> bool, limit: Duration) -> Option<bool> {
        let is_more = || self.shared.is_more();
        self.reactor.as_ref()?.lend(is_done, limit, is_more)
    }

    fn push(&self) {
        // Much would take the caller long, and would come where nobody reads yet.
        let bytes = self.shared.unwritten_bytes.load(Ordering::SeqCst);
        if let Some(reactor) = self.reactor.as_ref().filter(|_| (1..LARGE_BYTES).contains(&bytes)) {
            reactor.push(|| self.shared.is_more());
        }
    }

    fn rouse(&self) {
        if let Some(reactor) = &self.reactor {
            reactor.rouse();
        }
    }

    fn attend(&self) {
        if let Some(reactor) = &self.reactor {
            reactor.attend();
        }
    }

    fn abandon(&self, peer: usize) {
        if let Some(peer) = self.peer(peer) {
            peer.is_abandoned.store(true, Ordering::SeqCst);
            peer.connection.close(CloseCode::Disconnected.into(), &[]);
        }
    }

    fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        if let Some(reactor) = &self.reactor {
            reactor.hurry();
        }
        for peer in self.peers.iter().flatten() {
            peer.queue().is_ended = true;
            peer.ready.notify_one();
        }
        self.shared.closing.notify_one();
        let thread = self.thread().take();
        // The receiver itself may close the link; then the network goes on when it
        // returns, and must not be waited for.
        let is_inside = self.reactor.as_ref().is_some_and(Reactor::is_inside);
        let is_own = |it: &JoinHandle<()>| it.thread().id() == std::thread::current().id();
        if let Some(thread) = thread.filter(|it| !is_inside && !is_own(it)) {
            // A panic there was reported when it happened.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mesh(rank {} of {})", self.rank, self.size)
    }
}

/// What is left to do for a mesh besides its frames.
pub(super) struct Rest {
    shared: Arc<Shared>,
    /// Ends when all is written, or lost.
    written: mpsc::Receiver<()>,
}

/// Makes the mesh of these connections, on the reactor that they belong to.
pub(super) fn start(member: &Member, reactor: Reactor, joined: Vec<Joined>) -> (Mesh, Rest) {
    let shared = Arc::<Shared>::default();
    let (writing, written) = mpsc::channel(1);
    let mut peers: Vec<Option<Arc<Peer>>> = vec![None; member.size as usize];
    for Joined { rank, connection, send, frames } in joined {
        let peer = Arc::new(Peer {
            queue: Mutex::default(),
            ready: Arc::default(),
            connection,
            is_abandoned: AtomicBool::new(false),
        });
        peers[rank as usize] = Some(Arc::clone(&peer));
        let reader = read(rank as usize, frames, Arc::clone(&peer), Arc::clone(&shared));
        let (writer, writing) = (write(send, peer, Arc::clone(&shared)), writing.clone());
        reactor.spawn(Box::pin(reader));
        reactor.spawn(Box::pin(async move {
            writer.await;
            drop(writing);
        }));
    }
    let (rank, size, reactor) = (member.rank, member.size, Some(reactor));
    let mesh =
        Mesh { rank, size, peers, shared: Arc::clone(&shared), reactor, thread: Mutex::default() };
    (mesh, Rest { shared, written })
}

impl Rest {
    /// Runs until the mesh is closed, and until what was sent has arrived, or
    /// does not.
    pub(super) async fn run(mut self, endpoint: Endpoint, config: &Config) {
        tokio::select! {
            () = self.shared.closing.notified() => {}
            () = meet::turn_away_all(&endpoint, config) => {}
        }
        let _in_time = tokio::time::timeout(CLOSE_MAX, self.written.recv()).await;
        meet::part(&endpoint).await;
    }
}

async fn read(rank: usize, mut frames: Frames, peer: Arc<Peer>, shared: Arc<Shared>) {
    let receiver = loop {
        let started = shared.started.notified();
        match shared.receiver.get() {
            Some(receiver) => break receiver,
            None => started.await,
        }
    };
    let reason = loop {
        let frame = match frames.next(FRAME_BYTES_MAX).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break LinkError::Left,
            Err(error) => break error,
        };
        if shared.is_closed.load(Ordering::SeqCst) || peer.is_abandoned.load(Ordering::SeqCst) {
            return;
        }
        receiver.frame(rank, frame);
    };
    if let LinkError::Misbehaved(_) = reason {
        peer.connection.close(reason.close_code().into(), &[]);
    }
    if !shared.is_closed.load(Ordering::SeqCst) && !peer.is_abandoned.load(Ordering::SeqCst) {
        receiver.lost(rank, reason.to_string());
    }
}

/// Writes frames until the end, and waits until the peer has them.
async fn write(mut send: SendStream, peer: Arc<Peer>, shared: Arc<Shared>) {
    loop {
        let ready = peer.ready.notified();
        let (frames, is_ended) = {
            let mut queue = peer.queue();
            (std::mem::take(&mut queue.frames), queue.is_ended)
        };
        if frames.is_empty() {
            if is_ended {
                break;
            }
            ready.await;
            continue;
        }
        let bytes = bytes_of(&frames);
        let written = write_frames(&mut send, frames).await;
        shared.count_out(bytes);
        // An error is the end of the connection, which the reader tells.
        if written.is_err() {
            let mut queue = peer.queue();
            queue.is_lost = true;
            shared.count_out(bytes_of(&std::mem::take(&mut queue.frames)));
            return;
        }
    }
    if send.finish().is_ok() {
        let _lost = send.stopped().await;
    }
}

fn bytes_of(frames: &[Frame]) -> usize {
    frames.iter().map(Frame::len).sum()
}

/// Writes frames: small ones together, each large one for itself.
async fn write_frames(send: &mut SendStream, frames: Vec<Frame>) -> Result<(), WriteError> {
    let mut chunks = Vec::new();
    for frame in frames {
        let is_large = frame.len() >= LARGE_BYTES;
        if is_large && !chunks.is_empty() {
            send_chunks(send, &mut chunks).await?;
        }
        push_chunks(frame, &mut chunks);
        if is_large {
            send_chunks(send, &mut chunks).await?;
        }
    }
    send.write_all_chunks(&mut chunks).await
}

/// Writes chunks, and lets them leave before anything else is written, so that what
/// comes next begins a packet.
async fn send_chunks(send: &mut SendStream, chunks: &mut Vec<Bytes>) -> Result<(), WriteError> {
    send.write_all_chunks(chunks).await?;
    chunks.clear();
    tokio::task::yield_now().await;
    Ok(())
}

/// The frame's length and head, which are short and so become one, and its body
/// as it is.
fn push_chunks(frame: Frame, chunks: &mut Vec<Bytes>) {
    let Frame { head, body } = frame;
    let mut start = BytesMut::with_capacity(frame::HEADER_BYTES + head.len());
    start.put_slice(&frame::header(head.len() + body.len()));
    start.put_slice(&head);
    chunks.push(start.freeze());
    if !body.is_empty() {
        chunks.push(body);
    }
}
