//! One connection, from its first byte to its last.
//!
//! ```text
//!   dialler                      acceptor
//!      | == TLS, both certificates == |
//!      | --------- Hello -----------> |  may refuse: version, name, itself, room
//!      | <-------- Welcome ---------- |  connected here from now on
//!      |  connected here from now on  |
//!      | <------- messages ---------> |
//! ```
//!
//! All of it goes over one bidirectional stream, opened by the dialler, as
//! frames of [`wire`]. A persistent stream is what QUIC is fastest at, and it
//! keeps the messages in order.

use std::sync::Arc;

use quinn::{Connection, SendStream};
use tokio::sync::{mpsc, watch};

use crate::transport::error::Terms;
use crate::transport::frames::FrameReader;
use crate::transport::outbox::{Outgoing, outbox};
use crate::transport::peers::{Link, Peers};
use crate::transport::{Config, Event, LinkError, parting};
use crate::wire::{self, FRAME_BYTES_MAX, Hello, MAGIC, Message, frame};

/// The most bytes of a hello or welcome: 64 devices of four texts of 4 KiB,
/// and the rest. A stranger's frame can be no longer.
const HANDSHAKE_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// Bytes of a handshake that no version changes: magic, kind, version.
const HANDSHAKE_PREFIX_BYTES: usize = MAGIC.len() + 1 + 4;

/// What all links of a node share.
pub(super) struct Node {
    pub config: Config,
    pub hello: Hello,
    pub peers: Arc<Peers>,
    pub events: mpsc::Sender<Event>,
}

impl Node {
    pub(super) fn terms(&self) -> Terms {
        Terms { silent: self.config.idle_timeout, version: self.hello.version }
    }

    /// Says hello on a connection that this node dialled.
    pub(super) async fn greet(&self, connection: &Connection) -> Result<Greeted, LinkError> {
        let (mut send, recv) = connection.open_bi().await.map_err(|e| self.lost(e))?;
        let mut frames = FrameReader::new(recv, self.terms());
        self.write(&mut send, vec![wire::encode(&Message::Hello(self.hello.clone()))]).await?;
        match wire::decode(frames.next(HANDSHAKE_BYTES_MAX).await?)? {
            Message::Welcome(peer) => self.admit(connection, peer, true, send, frames),
            _ => Err(LinkError::OutOfTurn { expected: "a welcome" }),
        }
    }

    /// Answers the hello on a connection that this node accepted.
    pub(super) async fn welcome(&self, connection: &Connection) -> Result<Greeted, LinkError> {
        let (send, recv) = connection.accept_bi().await.map_err(|e| self.lost(e))?;
        let mut frames = FrameReader::new(recv, self.terms());
        let peer = match wire::decode(frames.next(HANDSHAKE_BYTES_MAX).await?)? {
            Message::Hello(peer) => peer,
            _ => return Err(LinkError::OutOfTurn { expected: "a hello" }),
        };
        self.admit(connection, peer, false, send, frames)
    }

    /// Closes a connection that did not come to be. Where the versions differ,
    /// the peer is told ours.
    pub(super) fn refuse(&self, connection: &Connection, error: &LinkError) {
        let mut reason = Vec::new();
        if let LinkError::Version { .. } = error {
            reason = wire::encode(&Message::Welcome(self.hello.clone()));
            reason.truncate(HANDSHAKE_PREFIX_BYTES);
        }
        parting::close(connection, error.close_code().into(), &reason);
    }

    /// Carries messages until the link ends.
    pub(super) async fn carry(&self, greeted: Greeted) {
        let Greeted { link, peer, mut send, mut frames, mut outgoing, replaced, over } = greeted;
        let addr = link.connection.remote_address();
        if let Some(replaced) = replaced {
            replaced.end(LinkError::Superseded);
            // The driver hears of the old link's end before the new one's
            // beginning. The sender never sends; it goes.
            let _over = replaced.over.clone().changed().await;
        }
        let connected = Event::Connected { peer, addr, dialled: link.dialled };
        if self.events.send(connected).await.is_ok() {
            let met = tokio::select! {
                error = self.read(&link, &mut frames) => error,
                error = self.write_all(&mut send, &mut outgoing) => error,
            };
            let reason = link.verdict(met);
            self.refuse(&link.connection, &reason);
            self.peers.remove(&link);
            let lost = Event::Lost { peer: link.peer, addr, reason };
            // Nobody listens when the transport is being dropped.
            let _unheard = self.events.send(lost).await;
        } else {
            self.peers.remove(&link);
        }
        drop(over);
    }

    fn admit(
        &self,
        connection: &Connection,
        peer: Hello,
        dialled: bool,
        send: SendStream,
        frames: FrameReader,
    ) -> Result<Greeted, LinkError> {
        let (outbox, outgoing) = outbox(&self.config);
        if !dialled {
            // Before the link is known, so that nothing can stand before it.
            outbox.push(wire::encode(&Message::Welcome(self.hello.clone())))?;
        }
        let (over, is_over) = watch::channel(());
        let link = Arc::new(Link::new(peer.node, dialled, connection.clone(), outbox, is_over));
        let replaced = self.peers.admit(&link)?;
        Ok(Greeted { link, peer, send, frames, outgoing, replaced, over })
    }

    async fn read(&self, link: &Link, frames: &mut FrameReader) -> LinkError {
        loop {
            let message = match frames.next(FRAME_BYTES_MAX).await {
                Ok(bytes) => wire::decode(bytes),
                Err(error) => return error,
            };
            let message = match message {
                Ok(Message::Hello(_) | Message::Welcome(_)) => {
                    return LinkError::OutOfTurn { expected: "anything but a second handshake" };
                }
                Ok(message) => message,
                Err(error) => return error.into(),
            };
            // This waits while the driver is behind, and then so does the peer.
            if self.events.send(Event::Message { from: link.peer, message }).await.is_err() {
                return LinkError::Left;
            }
        }
    }

    async fn write_all(&self, send: &mut SendStream, outgoing: &mut Outgoing) -> LinkError {
        let mut batch = Vec::new();
        while outgoing.take(&mut batch).await {
            let (messages, bytes) = (batch.len(), batch.iter().map(Vec::len).sum());
            if let Err(error) = self.write(send, std::mem::take(&mut batch)).await {
                return error;
            }
            outgoing.sent(messages, bytes);
        }
        LinkError::Left
    }

    /// Writes each message as a frame.
    async fn write(&self, send: &mut SendStream, messages: Vec<Vec<u8>>) -> Result<(), LinkError> {
        let framed = |message: Vec<u8>| [frame::header(message.len()).to_vec(), message];
        let mut chunks: Vec<_> = messages.into_iter().flat_map(framed).map(Into::into).collect();
        send.write_all_chunks(&mut chunks)
            .await
            .map_err(|error| LinkError::from_write(error, self.terms()))
    }

    fn lost(&self, error: quinn::ConnectionError) -> LinkError {
        LinkError::from_connection(error, self.terms())
    }
}

/// A link whose ends have said who they are, and all that carries it.
pub(super) struct Greeted {
    link: Arc<Link>,
    peer: Hello,
    send: SendStream,
    frames: FrameReader,
    outgoing: Outgoing,
    /// The link to the same peer that this one takes the place of.
    replaced: Option<Arc<Link>>,
    /// Dropped when the driver knows of the link's end.
    over: watch::Sender<()>,
}
