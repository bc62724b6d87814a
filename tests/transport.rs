//! Nodes over the real network stack, on loopback.
//!
//! No fixed ports, and no sleep decides an outcome: tests wait for events, for
//! as long as a machine under load may need.

#![cfg(feature = "net")]

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adsum::dtype::DType;
use adsum::manifest::{JobId, Manifest, imaginary_file};
use adsum::op::Spec;
use adsum::placement::NodeId;
use adsum::transport::{CloseCode, Config, Event, LinkError, Secret, Transport};
use adsum::wire::{Hello, Message, PROTOCOL_VERSION};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;

/// Long enough for a machine under load; a test that waits this long failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    transport: Transport,
    events: Receiver<Event>,
    hello: Hello,
}

impl Node {
    fn start(byte: u8) -> Node {
        Node::with(byte, Config::loopback(), [1; 32], PROTOCOL_VERSION)
    }

    fn with(byte: u8, config: Config, secret: [u8; 32], version: u32) -> Node {
        let hello = Hello {
            version,
            node: NodeId([byte; 16]),
            name: format!("node-{byte}"),
            devices: Vec::new(),
            workers: u32::from(byte),
            addrs: Vec::new(),
        };
        let secret = Secret::from_bytes(secret);
        let (transport, events) =
            Transport::start(config, &secret, hello.clone()).expect("loopback binds");
        Node { transport, events, hello }
    }

    fn addr(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    fn id(&self) -> NodeId {
        self.hello.node
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("the transport runs")
    }

    /// The next event, which must be that `peer` is connected.
    async fn connected(&mut self, peer: &Node) {
        match self.next().await {
            Event::Connected { peer: got, .. } => assert_eq!(got, peer.hello),
            other => panic!("{other:?} instead of a connection with {}", peer.hello.name),
        }
    }

    async fn lost(&mut self, peer: NodeId) -> LinkError {
        match self.next().await {
            Event::Lost { peer: got, reason, .. } if got == peer => reason,
            other => panic!("{other:?} instead of the loss of {peer}"),
        }
    }

    async fn dial_failed(&mut self) -> LinkError {
        match self.next().await {
            Event::DialFailed { error, .. } => error,
            other => panic!("{other:?} instead of a failure"),
        }
    }

    async fn turned_away(&mut self) -> LinkError {
        match self.next().await {
            Event::TurnedAway { error, .. } => error,
            other => panic!("{other:?} instead of a peer turned away"),
        }
    }

    async fn message(&mut self) -> Message {
        match self.next().await {
            Event::Message { message, .. } => message,
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// Connects two nodes, the first of which dials.
async fn connect(one: &mut Node, other: &mut Node) {
    one.transport.dial(other.addr());
    one.connected(other).await;
    other.connected(one).await;
}

fn cancel(number: u64) -> Message {
    let mut job = [0; 32];
    job[..8].copy_from_slice(&number.to_le_bytes());
    Message::Cancel { job: JobId(job) }
}

/// An offer of `files` files, whose frame has about 100 bytes for each.
fn offer(files: usize) -> Message {
    let spec = Spec::sum(DType::U8);
    let file = |n: usize| imaginary_file(&format!("{n:080}"), DType::U8, 1);
    let manifest = Manifest::new((0..files).map(file).collect()).expect("valid files");
    Message::Offer { job: manifest.job_id(&spec), spec, manifest: Arc::new(manifest) }
}

/// A path between two nodes that can be cut without a word, as a cable can.
struct Relay {
    addr: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Relay {
    async fn start(target: SocketAddr) -> Relay {
        let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback binds");
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback binds");
        let addr = outside.local_addr().expect("it is bound");
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        tokio::spawn(async move {
            let mut client = None;
            let (mut forth, mut back) = (vec![0; 65536], vec![0; 65536]);
            loop {
                // What cannot be forwarded is lost, as on any network.
                let _sent = tokio::select! {
                    Ok((bytes, from)) = outside.recv_from(&mut forth) => {
                        client = Some(from);
                        if is_cut.load(Ordering::Relaxed) { continue; }
                        inside.send_to(&forth[..bytes], target).await
                    }
                    Ok((bytes, _)) = inside.recv_from(&mut back) => {
                        let (Some(client), false) = (client, is_cut.load(Ordering::Relaxed)) else { continue };
                        outside.send_to(&back[..bytes], client).await
                    }
                };
            }
        });
        Relay { addr, cut }
    }
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
}

#[tokio::test]
async fn a_wrong_secret_is_an_identity_error_at_both_ends() {
    let mut one = Node::start(1);
    let mut other = Node::with(2, Config::loopback(), [2; 32], PROTOCOL_VERSION);
    one.transport.dial(other.addr());
    assert_eq!(one.dial_failed().await, LinkError::Identity);
    assert_eq!(other.turned_away().await, LinkError::Identity);
    assert!(LinkError::Identity.to_string().contains("token"));
}

#[tokio::test]
async fn different_versions_name_both_at_both_ends() {
    let mut one = Node::with(1, Config::loopback(), [1; 32], 7);
    let mut other = Node::start(2);
    one.transport.dial(other.addr());
    let ours = PROTOCOL_VERSION;
    assert_eq!(other.turned_away().await, LinkError::Version { ours, theirs: 7 });
    assert_eq!(one.dial_failed().await, LinkError::Version { ours: 7, theirs: ours });
}

#[tokio::test]
async fn a_newer_listener_is_named_by_an_older_dialler() {
    let mut one = Node::start(1);
    let mut other = Node::with(2, Config::loopback(), [1; 32], 8);
    one.transport.dial(other.addr());
    let error = one.dial_failed().await;
    assert_eq!(error, LinkError::Version { ours: PROTOCOL_VERSION, theirs: 8 });
    let ours = format!("speaks {PROTOCOL_VERSION}");
    assert!(error.to_string().contains("version 8") && error.to_string().contains(&ours));
    // It had welcomed the dialler before that one could see its version.
    assert!(matches!(other.next().await, Event::Connected { .. }));
    let reason = other.lost(one.id()).await;
    assert!(matches!(reason, LinkError::Version { .. }), "{reason}");
}

#[tokio::test]
async fn a_node_does_not_connect_with_itself() {
    let mut node = Node::start(1);
    node.transport.dial(node.addr());
    let (mut failed, mut turned_away) = (None, None);
    while failed.is_none() || turned_away.is_none() {
        match node.next().await {
            Event::DialFailed { error, .. } => failed = Some(error),
            Event::TurnedAway { error, .. } => turned_away = Some(error),
            other => panic!("{other:?} from a node alone"),
        }
    }
    assert_eq!(failed, Some(LinkError::SelfConnection));
    assert_eq!(turned_away, Some(LinkError::SelfConnection));
}

#[tokio::test]
async fn a_second_node_of_the_same_name_is_refused_and_the_first_stays() {
    let (mut hub, mut first, mut second) = (Node::start(1), Node::start(2), Node::start(2));
    connect(&mut first, &mut hub).await;
    second.transport.dial(hub.addr());
    let refused = LinkError::ClosedByPeer { code: CloseCode::Duplicate };
    assert_eq!(second.dial_failed().await, refused);
    assert_eq!(hub.turned_away().await, LinkError::Duplicate { node: second.id() });
    first.transport.send(hub.id(), &cancel(5));
    assert_eq!(hub.message().await, cancel(5));
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_in_time() {
    let config = Config { idle_timeout: Duration::from_millis(300), ..Config::loopback() };
    let mut node = Node::with(1, config, [1; 32], PROTOCOL_VERSION);
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback binds");
    node.transport.dial(deaf.local_addr().expect("it is bound"));
    let error = node.dial_failed().await;
    assert!(matches!(error, LinkError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn datagrams_of_noise_are_told_of_and_change_nothing() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    let noise = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback binds");
    for length in 0..1200 {
        // A linear congruence is noise enough, and the same in every run.
        let byte = |n: usize| (n.wrapping_mul(1_103_515_245).wrapping_add(length) >> 5) as u8;
        let datagram: Vec<u8> = (0..length).map(byte).collect();
        noise.send_to(&datagram, other.addr()).await.expect("loopback takes it");
    }
    noise.send_to(b"GET / HTTP/1.1\r\n\r\n", other.addr()).await.expect("loopback takes it");
    one.transport.dial(other.addr());
    one.connected(&other).await;
    let from = noise.local_addr().expect("it is bound");
    let mut told = 0;
    loop {
        match other.next().await {
            Event::TurnedAway { addr, error } => {
                assert_eq!((addr, error), (from, LinkError::Foreign));
                told += 1;
            }
            Event::Connected { peer, .. } => {
                assert_eq!(peer, one.hello);
                break;
            }
            other => panic!("{other:?} instead of a connection"),
        }
    }
    // Of a second's noise once.
    assert!((1..100).contains(&told), "told {told} times");
}

#[tokio::test]
async fn messages_of_every_size_arrive_whole_and_in_order() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
    let messages: Vec<Message> =
        [1, 10, 15, 200, 700, 10_000].map(offer).into_iter().chain([cancel(1)]).collect();
    for message in &messages {
        one.transport.send(other.id(), message);
    }
    for message in &messages {
        assert!(other.message().await == *message, "a message changed on its way");
    }
}

#[tokio::test]
async fn the_largest_message_arrives_while_the_link_stays_alive() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
    // The paths fill a frame to within one path of its limit.
    let path = |n: usize| format!("{n:0>4000}");
    let files = (adsum::wire::FRAME_BYTES_MAX - 200) / 4040;
    let spec = Spec::sum(DType::U8);
    let files = (0..files).map(|n| imaginary_file(&path(n), DType::U8, 1)).collect();
    let manifest = Arc::new(Manifest::new(files).expect("valid files"));
    let largest = Message::Offer { job: manifest.job_id(&spec), spec, manifest };
    one.transport.send(other.id(), &largest);
    one.transport.send(other.id(), &cancel(1));
    assert!(other.message().await == largest, "the message changed on its way");
    assert_eq!(other.message().await, cancel(1));
}

#[tokio::test]
async fn many_messages_cross_in_both_directions() {
    const MESSAGES: u64 = 20_000;
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
    for number in 0..MESSAGES {
        one.transport.send(other.id(), &cancel(number));
        other.transport.send(one.id(), &cancel(MESSAGES + number));
    }
    for number in 0..MESSAGES {
        assert_eq!(other.message().await, cancel(number));
        assert_eq!(one.message().await, cancel(MESSAGES + number));
    }
}

#[tokio::test]
async fn a_queue_that_is_full_ends_the_link_and_nothing_else() {
    let config = Config { queue_messages_max: 10, ..Config::loopback() };
    let mut one = Node::with(1, config, [1; 32], PROTOCOL_VERSION);
    let (mut other, mut third) = (Node::start(2), Node::start(3));
    connect(&mut one, &mut other).await;
    connect(&mut one, &mut third).await;
    // The network thread empties the queue, so it fills only by chance, until
    // the reader's window and channel are full: then for certain.
    let flood = offer(2000);
    let reason = loop {
        one.transport.send(other.id(), &flood);
        if let Ok(event) = one.events.try_recv() {
            break event;
        }
    };
    let Event::Lost { peer, reason, .. } = reason else { panic!("{reason:?}") };
    assert_eq!(peer, other.id());
    assert!(matches!(reason, LinkError::QueueFull { messages_max: 10, .. }), "{reason}");
    // The word about it may be lost in the flood; that the link is gone is not.
    let seen = loop {
        match other.next().await {
            Event::Message { .. } => {}
            Event::Lost { reason, .. } => break reason,
            unexpected => panic!("{unexpected:?}"),
        }
    };
    let told = LinkError::ClosedByPeer { code: CloseCode::QueueFull };
    assert!(seen == told || seen == LinkError::Reset, "{seen}");
    third.transport.send(one.id(), &cancel(3));
    assert_eq!(one.message().await, cancel(3));
}

#[tokio::test]
async fn a_peer_that_shuts_down_says_so() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
    let id = other.id();
    drop(other);
    assert_eq!(one.lost(id).await, LinkError::Left);
}

#[tokio::test]
async fn a_peer_that_is_disconnected_can_come_back() {
    let (mut one, mut other) = (Node::start(1), Node::start(2));
    connect(&mut one, &mut other).await;
    let why = "its process ended".to_owned();
    one.transport.disconnect(other.id(), why.clone());
    assert_eq!(one.lost(other.id()).await, LinkError::Disconnected { why });
    let reason = LinkError::ClosedByPeer { code: CloseCode::Disconnected };
    assert_eq!(other.lost(one.id()).await, reason);
    connect(&mut one, &mut other).await;
}

#[tokio::test]
async fn a_dead_path_is_noticed_about_when_it_should() {
    let config = Config::lan((Ipv4Addr::LOCALHOST, 0).into());
    let mut one = Node::with(1, config.clone(), [1; 32], PROTOCOL_VERSION);
    let mut other = Node::with(2, config.clone(), [1; 32], PROTOCOL_VERSION);
    let relay = Relay::start(other.addr()).await;
    one.transport.dial(relay.addr);
    one.connected(&other).await;
    other.connected(&one).await;
    // Idle for longer than the timeout, and still alive.
    tokio::time::sleep(2 * config.idle_timeout).await;
    relay.cut.store(true, Ordering::Relaxed);
    let cut = Instant::now();
    let silent = LinkError::Silent { after: config.idle_timeout };
    assert_eq!(one.lost(other.id()).await, silent);
    assert_eq!(other.lost(one.id()).await, silent);
    let noticed = cut.elapsed();
    assert!(noticed < 5 * config.idle_timeout, "noticed after {noticed:?}");
}

#[tokio::test]
async fn many_nodes_dial_one_at_the_same_time() {
    let mut hub = Node::start(1);
    let mut nodes: Vec<Node> = (2..18).map(Node::start).collect();
    for node in &nodes {
        node.transport.dial(hub.addr());
    }
    let mut seen = HashSet::new();
    for _ in &nodes {
        match hub.next().await {
            Event::Connected { peer, .. } => assert!(seen.insert(peer.node)),
            other => panic!("{other:?} instead of a connection"),
        }
    }
    for node in &mut nodes {
        node.connected(&hub).await;
    }
}

/// Both dial at once, many times over, since each time another end may win.
/// In the end each has one link, the same one, and it works both ways.
#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_link() {
    for _ in 0..20 {
        let (mut one, mut other) = (Node::start(1), Node::start(2));
        one.transport.dial(other.addr());
        other.transport.dial(one.addr());
        // Whatever was replaced or refused on the way, a message that is sent
        // again and again comes through in the end.
        for (from, to) in [(0, 1), (1, 0)] {
            let nodes = [&mut one, &mut other];
            let ids = [NodeId([1; 16]), NodeId([2; 16])];
            loop {
                nodes[from].transport.send(ids[to], &cancel(from as u64));
                let event =
                    tokio::time::timeout(Duration::from_millis(20), nodes[to].events.recv());
                if let Ok(Some(Event::Message { from: sender, message })) = event.await {
                    assert_eq!((sender, message), (ids[from], cancel(from as u64)));
                    break;
                }
            }
        }
    }
}

/// A peer that is not on this machine has to prove its address first, by
/// QUIC's Retry. The machine's own address on its network stands in for one.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn peers_of_other_machines_prove_their_address() {
    // Connecting a UDP socket sends nothing; it asks for a route.
    let route = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(("192.0.2.1", 9))?;
        socket.local_addr()
    });
    let Ok(addr) = route else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let start = |byte| {
        let config = Config::lan((addr.ip(), 0).into());
        Node::with(byte, config, [1; 32], PROTOCOL_VERSION)
    };
    let (mut one, mut other) = (start(1), start(2));
    connect(&mut one, &mut other).await;
    one.transport.send(other.id(), &cancel(1));
    assert_eq!(other.message().await, cancel(1));
}

#[test]
fn the_secret_is_in_no_text() {
    let secret = Secret::from_bytes([0xc5; 32]);
    let token = secret.to_token().to_string();
    let (transport, _events) = Transport::start(Config::loopback(), &secret, Node::start(1).hello)
        .expect("loopback binds");
    let texts = [
        format!("{secret:?}"),
        format!("{:?}", Config::loopback()),
        format!("{:?}", transport.warnings()),
        format!("{:?}", LinkError::Identity),
        Secret::from_token(&token[1..]).expect_err("a digit is missing").to_string(),
    ];
    for text in texts {
        assert!(!text.contains("c5c5") && !text.contains("197"), "{text}");
    }
}

/// What closes a connection counts as data to quinn as long as data waits, so with a
/// full window it was never sent, and the peer noticed the silence only.
#[tokio::test]
async fn a_peer_that_leaves_under_full_flow_is_heard() {
    for round in 0..8 {
        let mut receiver = Node::start(1);
        let mut sender = Node::start(2);
        connect(&mut sender, &mut receiver).await;
        let (id, message) = (sender.id(), offer(10_000));
        for _ in 0..24 {
            sender.transport.send(receiver.id(), &message);
        }
        for _ in 0..2 {
            assert_eq!(receiver.message().await, message);
        }
        let begun = Instant::now();
        if round % 2 == 0 {
            drop(sender);
        } else {
            sender.transport.disconnect(receiver.id(), "enough".to_owned());
        }
        let reason = loop {
            match receiver.next().await {
                Event::Message { .. } => {}
                Event::Lost { peer, reason, .. } if peer == id => break reason,
                other => panic!("{other:?} instead of the loss"),
            }
        };
        let code = CloseCode::Disconnected;
        let disconnected = LinkError::ClosedByPeer { code };
        let expected = if round % 2 == 0 { LinkError::Left } else { disconnected };
        // The last word is one packet. Where it is lost, and the endpoint lives on, that
        // answers the next packet with a reset.
        let is_heard = reason == expected || (round % 2 == 1 && reason == LinkError::Reset);
        assert!(is_heard, "round {round}, after {:?}: {reason}", begun.elapsed());
    }
}
