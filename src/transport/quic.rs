//! The QUIC endpoint of a node.
//!
//! The settings are measured ones; the reasons stand beside them. All of it
//! runs on one thread with a runtime of its own, away from the reduction and
//! from the driver.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{
    AckFrequencyConfig, Endpoint, EndpointConfig, IdleTimeout, Incoming, MtuDiscoveryConfig,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use socket2::SockRef;
use tokio::sync::{Semaphore, mpsc};

use crate::placement::NodeId;
use crate::transport::foreign::Watching;
use crate::transport::link::Node;
use crate::transport::parting::PartingConfig;
use crate::transport::peers::Peers;
use crate::transport::socket::{self, BufferClamped};
use crate::transport::tls::{ALPN, SERVER_NAME, Tls};
use crate::transport::token::Secret;
use crate::transport::{CloseCode, Config, Event, LinkError, TransportError};
use crate::wire::{self, Hello, Message};

/// A local network's round trip is far below quinn's guess of 333 ms. With
/// this, dialling before the listener is up costs 0.4 s instead of 1.
const INITIAL_RTT: Duration = Duration::from_millis(20);

/// The most bytes to one peer that were sent and not acknowledged.
const SEND_WINDOW_BYTES: u64 = 64 << 20;

/// How long a transport that is dropped goes on so that its peers hear of it.
/// The word leaves at once; who misses it will notice the silence.
pub(crate) const FAREWELL: Duration = Duration::from_millis(5);

/// The connections of one node.
///
/// Dropping it closes all of them; the peers hear that this node left.
pub struct Transport {
    hello: Hello,
    addr: SocketAddr,
    warnings: Vec<BufferClamped>,
    peers: Arc<Peers>,
    /// Addresses to dial. `None` only while it is being dropped.
    dials: Option<mpsc::UnboundedSender<SocketAddr>>,
    thread: Option<JoinHandle<()>>,
}

impl Transport {
    /// Listens as the node that `hello` describes, in the cluster of `secret`.
    ///
    /// Events come over a channel of [`Config::events_max`]; while it is full,
    /// peers wait.
    ///
    /// # Errors
    /// The address is taken or not of this machine, or the system has no room
    /// for another thread.
    pub fn start(
        config: Config,
        secret: &Secret,
        hello: Hello,
    ) -> Result<(Transport, mpsc::Receiver<Event>), TransportError> {
        let addr = config.bind;
        let bind = |source| TransportError::Bind { addr, source };
        let tls = Tls::new(secret, ALPN)?;
        let bound = socket::bind(config.bind, config.socket_buffer_bytes).map_err(bind)?;
        let addr = bound.socket.local_addr().map_err(bind)?;
        let mut hello = hello;
        for own in &mut hello.addrs {
            if own.port() == 0 {
                own.set_port(addr.port());
            }
        }
        let peers = Arc::new(Peers::new(hello.node, config.peers_max));
        let (events, receiver) = mpsc::channel(config.events_max);
        let (dials, dial_receiver) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(TransportError::Thread)?;
        let node =
            Arc::new(Node { config, hello: hello.clone(), peers: Arc::clone(&peers), events });
        let endpoint = {
            let _context = runtime.enter();
            let runtime = Arc::new(TokioRuntime);
            let runtime = Arc::new(Watching { runtime, events: node.events.clone() });
            endpoint(&node.config, tls, bound.socket, runtime).map_err(bind)?
        };
        let thread = std::thread::Builder::new()
            .name("adsum-network".to_owned())
            .spawn(move || runtime.block_on(serve(endpoint, node, dial_receiver)))
            .map_err(TransportError::Thread)?;
        let transport = Transport {
            hello,
            addr,
            warnings: bound.warnings,
            peers,
            dials: Some(dials),
            thread: Some(thread),
        };
        Ok((transport, receiver))
    }

    /// What it says of itself: the addresses have the port that the system chose
    /// where they had none.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the operating system did not grant; for people to read.
    pub fn warnings(&self) -> &[BufferClamped] {
        &self.warnings
    }

    /// Connects to the node at `addr`. [`Event::Connected`] or
    /// [`Event::DialFailed`] tells what came of it.
    pub fn dial(&self, addr: SocketAddr) {
        if let Some(dials) = &self.dials {
            // The other end goes only with the network thread, which outlives
            // this.
            let _sent = dials.send(addr);
        }
    }

    /// Sends a message after those sent before. Never waits.
    ///
    /// A message to a node that is not connected is dropped: its
    /// [`Event::Lost`] was given or is on the way. One that does not fit into
    /// the peer's queue ends the connection.
    pub fn send(&self, to: NodeId, message: &Message) {
        if let Some(link) = self.peers.link(to)
            && let Err(full) = link.outbox.push(wire::encode(message))
        {
            link.end(full);
        }
    }

    /// Ends the connection with a peer, if there is one. [`Event::Lost`] gives
    /// `why` as its reason.
    pub fn disconnect(&self, peer: NodeId, why: String) {
        if let Some(link) = self.peers.link(peer) {
            link.end(LinkError::Disconnected { why });
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.dials = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _panicked = thread.join();
        }
    }
}

/// The endpoint on this socket.
pub(crate) fn endpoint(
    config: &Config,
    tls: Tls,
    socket: UdpSocket,
    runtime: Arc<dyn quinn::Runtime>,
) -> std::io::Result<Endpoint> {
    let window = receive_window(config, SockRef::from(&socket).recv_buffer_size()?);
    let transport = Arc::new(transport_config(config, window));

    let mut server = ServerConfig::with_crypto(tls.server);
    server.transport_config(Arc::clone(&transport));
    server.migration(false);
    server.max_incoming(config.handshakes_max);
    // Before a handshake there is nothing to buffer but the handshake.
    server.incoming_buffer_size(64 << 10);
    server.incoming_buffer_size_total(16 << 20);

    let mut client = quinn::ClientConfig::new(tls.client);
    client.transport_config(transport);

    // Without this on both ends, discovery stops at 1472.
    let mut endpoint_config = EndpointConfig::default();
    endpoint_config
        // So that what is not QUIC is known as such.
        .grease_quic_bit(false)
        .max_udp_payload_size(config.payload_bytes_max)
        .expect("the size is between 1200 and 65527");

    let mut endpoint = Endpoint::new(endpoint_config, Some(server), socket, runtime)?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

/// What one peer may have on its way, where the socket's buffer takes so many bytes.
fn receive_window(config: &Config, buffer_bytes: usize) -> u32 {
    if config.local_peers == 0 {
        return config.receive_window_bytes;
    }
    // An eighth is for the kernel's own, and for what is no data. With fewer than two
    // packets one end would always wait for the other.
    let share = buffer_bytes / 8 * 7 / config.local_peers;
    let least = 2 * u32::from(config.payload_bytes_max);
    u32::try_from(share).unwrap_or(u32::MAX).min(config.receive_window_bytes).max(least)
}

fn transport_config(config: &Config, receive_window: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(config.payload_bytes_max);
    let mut cubic = CubicConfig::default();
    cubic.initial_window(config.initial_window_bytes);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(receive_window))
        .receive_window(VarInt::from_u32(receive_window.saturating_mul(2)))
        .send_window(SEND_WINDOW_BYTES)
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(Some(mtu))
        // 2.7 times the throughput.
        .enable_segmentation_offload(true)
        // quinn's BBR is 27 times slower at 1 MiB and loses packets by itself.
        .congestion_controller_factory(Arc::new(PartingConfig(Arc::new(cubic))))
        .keep_alive_interval(Some(config.keep_alive))
        .max_idle_timeout(Some(
            IdleTimeout::try_from(config.idle_timeout).unwrap_or_else(|_| VarInt::MAX.into()),
        ));
    if let Some(packets) = config.unacknowledged_max {
        let mut frequency = AckFrequencyConfig::default();
        frequency.ack_eliciting_threshold(VarInt::from_u32(packets));
        transport.ack_frequency_config(Some(frequency));
    }
    transport
}

/// Accepts and dials until the transport is dropped.
async fn serve(
    endpoint: Endpoint,
    node: Arc<Node>,
    mut dials: mpsc::UnboundedReceiver<SocketAddr>,
) {
    let accepting = Arc::new(Semaphore::new(node.config.handshakes_max));
    let dialling = Arc::new(Semaphore::new(node.config.handshakes_max));
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => answer(incoming, &node, &accepting),
                None => break,
            },
            addr = dials.recv() => match addr {
                Some(addr) => {
                    tokio::spawn(dial(endpoint.clone(), addr, Arc::clone(&node), Arc::clone(&dialling)));
                }
                None => break,
            },
        }
    }
    node.peers.close_all(CloseCode::Shutdown.into());
    // Those that are not known yet.
    endpoint.close(CloseCode::Shutdown.into(), &[]);
    let _unheard = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
}

/// Takes on an incoming connection, or not.
fn answer(incoming: Incoming, node: &Arc<Node>, accepting: &Arc<Semaphore>) {
    let Some(incoming) = validated(incoming) else { return };
    let Ok(permit) = Arc::clone(accepting).try_acquire_owned() else {
        incoming.refuse();
        return;
    };
    let addr = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return turn_away(node, addr, unfinished(error, node)),
    };
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let handshake = async {
            let connection = connecting.await.map_err(|e| unfinished(e, &node))?;
            let greeted = node.welcome(&connection).await;
            greeted.inspect_err(|error| node.refuse(&connection, error))
        };
        let outcome = tokio::time::timeout(node.config.handshake_timeout, handshake).await;
        drop(permit);
        match outcome.unwrap_or_else(|_| Err(no_answer(&node))) {
            Ok(greeted) => node.carry(greeted).await,
            Err(error) => turn_away(&node, addr, error),
        }
    });
}

/// An incoming connection whose sender's address is its own.
///
/// A token round trip proves that, before this node spends work on it or sends
/// more than it got; whoever is asked for one comes again. On loopback nobody
/// can lie about it.
pub(crate) fn validated(incoming: Incoming) -> Option<Incoming> {
    let local = is_loopback(incoming.remote_address().ip());
    if local || incoming.remote_address_validated() {
        return Some(incoming);
    }
    // Fails only for an address that is validated.
    let _validated = incoming.retry();
    None
}

/// Tells the driver of a stranger, unless it is behind: strangers must not be
/// able to fill its channel.
fn turn_away(node: &Node, addr: SocketAddr, error: LinkError) {
    let _full = node.events.try_send(Event::TurnedAway { addr, error });
}

async fn dial(endpoint: Endpoint, addr: SocketAddr, node: Arc<Node>, dialling: Arc<Semaphore>) {
    let Ok(permit) = dialling.acquire_owned().await else { return };
    let handshake = async {
        let network =
            |error: quinn::ConnectError| LinkError::Network { message: error.to_string() };
        let connecting = endpoint.connect(addr, SERVER_NAME).map_err(network)?;
        let connection = connecting.await.map_err(|e| unfinished(e, &node))?;
        let greeted = node.greet(&connection).await;
        greeted.inspect_err(|error| node.refuse(&connection, error))
    };
    let outcome = tokio::time::timeout(node.config.handshake_timeout, handshake).await;
    drop(permit);
    match outcome.unwrap_or_else(|_| Err(no_answer(&node))) {
        Ok(greeted) => node.carry(greeted).await,
        Err(error) => {
            // Nobody listens when the transport is being dropped.
            let _unheard = node.events.send(Event::DialFailed { addr, error }).await;
        }
    }
}

fn no_answer(node: &Node) -> LinkError {
    LinkError::NoAnswer { after: node.config.handshake_timeout }
}

/// What it means that TLS did not come to its end.
fn unfinished(error: quinn::ConnectionError, node: &Node) -> LinkError {
    match LinkError::from_connection(error, node.terms()) {
        LinkError::Silent { after } => LinkError::NoAnswer { after },
        other => other,
    }
}

pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_windows_of_a_machine_s_peers_fit_into_the_socket_s_buffer() {
        let lan = Config::group((Ipv4Addr::LOCALHOST, 0).into());
        assert_eq!(receive_window(&lan, 1), lan.receive_window_bytes);
        for peers in 1..64 {
            let config = lan.clone().on_one_machine(peers);
            let least = 2 * usize::from(config.payload_bytes_max);
            for buffer_bytes in [0, 425_984, 8 << 20, usize::MAX] {
                let window = receive_window(&config, buffer_bytes) as usize;
                assert!(window <= config.receive_window_bytes as usize);
                assert!(window == least || window > least && window * peers < buffer_bytes);
            }
        }
        // What Linux grants where nobody has changed it.
        assert_eq!(receive_window(&lan.on_one_machine(1), 425_984), 372_736);
    }
}
