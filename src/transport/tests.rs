//! Peers that do not keep to the protocol. What well-behaved nodes see is
//! tested from outside, in `tests/transport.rs`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::sync::mpsc::Receiver;

use super::tls::{ALPN, SERVER_NAME, Tls};
use super::*;
use crate::manifest::JobId;
use crate::wire::{self, PROTOCOL_VERSION, WireError, frame};

/// Long enough for a machine under load; a test that waits this long failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn secret() -> Secret {
    Secret::from_bytes([1; 32])
}

fn hello(byte: u8) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        node: NodeId([byte; 16]),
        name: format!("node-{byte}"),
        devices: Vec::new(),
        workers: 1,
        addrs: Vec::new(),
    }
}

fn listen(config: Config) -> (Transport, Receiver<Event>) {
    Transport::start(config, &secret(), hello(1)).expect("loopback binds")
}

async fn next(events: &mut Receiver<Event>) -> Event {
    tokio::time::timeout(PATIENCE, events.recv())
        .await
        .expect("an event in time")
        .expect("the transport runs")
}

async fn turned_away(events: &mut Receiver<Event>) -> LinkError {
    match next(events).await {
        Event::TurnedAway { error, .. } => error,
        other => panic!("{other:?} instead of a peer turned away"),
    }
}

/// A peer that has the secret and does what the test tells it.
struct RawPeer {
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl RawPeer {
    async fn connect(to: &Transport) -> RawPeer {
        let tls = Tls::new(&secret(), tls::ALPN).expect("certificates can be made");
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback binds");
        let config = ClientConfig::new(tls.client);
        let connecting = endpoint.connect_with(config, to.local_addr(), SERVER_NAME);
        let connection = connecting.expect("a valid address").await.expect("the same secret");
        let (send, recv) = connection.open_bi().await.expect("one stream is allowed");
        RawPeer { _endpoint: endpoint, connection, send, recv }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("the connection is open");
    }

    async fn say(&mut self, message: &Message) {
        let bytes = wire::encode(message);
        self.write(&frame::header(bytes.len())).await;
        self.write(&bytes).await;
    }

    /// Says hello, and waits for the welcome.
    async fn introduce(&mut self, events: &mut Receiver<Event>) {
        self.say(&Message::Hello(hello(2))).await;
        assert!(matches!(next(events).await, Event::Connected { .. }));
        let mut header = [0; frame::HEADER_BYTES];
        self.recv.read_exact(&mut header).await.expect("a welcome");
        let mut bytes = vec![0; frame::parse_header(header).expect("a valid length")];
        self.recv.read_exact(&mut bytes).await.expect("a welcome");
        assert_eq!(wire::decode(&bytes), Ok(Message::Welcome(hello(1))));
    }

    /// The code that the other end closes the connection with.
    async fn closed(&self) -> Option<VarInt> {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed());
        match closed.await.expect("the connection closes in time") {
            ConnectionError::ApplicationClosed(close) => Some(close.error_code),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_frame_longer_than_any_message_ends_the_link() {
    let (transport, mut events) = listen(Config::loopback());
    let mut peer = RawPeer::connect(&transport).await;
    peer.introduce(&mut events).await;
    peer.write(&(FRAME_BYTES_MAX as u32 + 1).to_le_bytes()).await;
    let Event::Lost { reason, .. } = next(&mut events).await else { panic!("not lost") };
    let length = WireError::FrameLength { max: FRAME_BYTES_MAX, got: FRAME_BYTES_MAX + 1 };
    assert_eq!(reason, LinkError::Misbehaved(length));
    assert_eq!(peer.closed().await, Some(CloseCode::Misbehaved.into()));
}

#[tokio::test]
async fn a_stranger_cannot_send_a_long_frame() {
    let (transport, mut events) = listen(Config::loopback());
    let mut peer = RawPeer::connect(&transport).await;
    peer.write(&frame::header(FRAME_BYTES_MAX)).await;
    let error = turned_away(&mut events).await;
    assert!(matches!(error, LinkError::Misbehaved(WireError::FrameLength { .. })), "{error}");
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_link() {
    let (transport, mut events) = listen(Config::loopback());
    let mut peer = RawPeer::connect(&transport).await;
    peer.introduce(&mut events).await;
    peer.write(&frame::header(3)).await;
    peer.write(&[0xff; 3]).await;
    let Event::Lost { reason, .. } = next(&mut events).await else { panic!("not lost") };
    assert!(matches!(reason, LinkError::Misbehaved(_)), "{reason}");
}

#[tokio::test]
async fn a_peer_must_say_hello_first_and_once() {
    let (transport, mut events) = listen(Config::loopback());
    let mut peer = RawPeer::connect(&transport).await;
    peer.say(&Message::Cancel { job: JobId([0; 32]) }).await;
    assert!(matches!(turned_away(&mut events).await, LinkError::OutOfTurn { .. }));

    let mut peer = RawPeer::connect(&transport).await;
    peer.introduce(&mut events).await;
    peer.say(&Message::Hello(hello(3))).await;
    let Event::Lost { reason, .. } = next(&mut events).await else { panic!("not lost") };
    assert!(matches!(reason, LinkError::OutOfTurn { .. }), "{reason}");
}

#[tokio::test]
async fn a_peer_that_never_says_hello_is_turned_away_in_time() {
    let config = Config { handshake_timeout: Duration::from_millis(200), ..Config::loopback() };
    let (transport, mut events) = listen(config.clone());
    let peer = RawPeer::connect(&transport).await;
    let error = LinkError::NoAnswer { after: config.handshake_timeout };
    assert_eq!(turned_away(&mut events).await, error);
    peer.closed().await;
}

#[tokio::test]
async fn a_second_stream_is_not_allowed() {
    let (transport, mut events) = listen(Config::loopback());
    let mut peer = RawPeer::connect(&transport).await;
    peer.introduce(&mut events).await;
    let short = Duration::from_millis(100);
    assert!(tokio::time::timeout(short, peer.connection.open_bi()).await.is_err());
    assert!(tokio::time::timeout(short, peer.connection.open_uni()).await.is_err());
}

#[tokio::test]
async fn datagrams_that_are_no_quic_are_told_of_and_change_nothing() {
    let (transport, mut events) = listen(Config::loopback());
    let stranger = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback binds");
    for _ in 0..1000 {
        stranger.send_to(&[0x3f; 100], transport.local_addr()).expect("loopback takes it");
    }
    assert_eq!(turned_away(&mut events).await, LinkError::Foreign);
    let mut peer = RawPeer::connect(&transport).await;
    peer.introduce(&mut events).await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_no_peer() {
    let (transport, mut events) = listen(Config::loopback());
    let error = connect_as(&transport, anonymous_client(ALPN)).await;
    assert!(error.contains("crypto(74)"), "not certificate_required: {error}");
    assert_eq!(turned_away(&mut events).await, LinkError::Identity);
}

#[tokio::test]
async fn a_client_of_another_protocol_is_no_peer() {
    let (transport, mut events) = listen(Config::loopback());
    connect_as(&transport, anonymous_client(b"h3")).await;
    assert_eq!(turned_away(&mut events).await, LinkError::Foreign);
}

/// The error with which the connection of such a client ends. Its own half of
/// the handshake may well succeed before that.
async fn connect_as(to: &Transport, client: rustls::ClientConfig) -> String {
    let client = QuicClientConfig::try_from(client).expect("TLS 1.3 ciphers");
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback binds");
    let config = ClientConfig::new(Arc::new(client));
    let connecting = endpoint.connect_with(config, to.local_addr(), SERVER_NAME);
    match connecting.expect("a valid address").await {
        Err(error) => error.to_string(),
        Ok(connection) => {
            let closed = tokio::time::timeout(PATIENCE, connection.closed());
            format!("{:?}", closed.await.expect("the connection closes in time"))
        }
    }
}

fn anonymous_client(alpn: &[u8]) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// Believes every server, as a client that does not know the secret must.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
