//! What a message costs the node that takes it in: small results from several
//! peers, over QUIC on loopback.
//!
//! `cargo bench --bench messages`. The senders have one core, the receiver
//! another; the figure is the greater of what either needs, with an answer for so
//! many messages at once. It is what `examples/scale` assumes, and what decides
//! how many nodes one can collect from.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::BTreeMap;
use std::time::Instant;

use adsum::manifest::JobId;
use adsum::placement::NodeId;
use adsum::transport::{Config, Event, Secret, Transport};
use adsum::wire::{EntryResult, Hello, Message, PROTOCOL_VERSION, Usage};
use adsum::{DType, Partial, Spec};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;

const PEERS: u8 = 8;
/// Messages that a peer sends before it waits for an answer, and all that it sends.
const SIZES: [(u32, u32); 3] = [(1, 5_000), (16, 20_000), (400, 40_000)];
const REPEATS: usize = 5;

fn main() {
    println!("| peers | messages at once | us per message, median of {REPEATS} |");
    println!("|---:|---:|---:|");
    for (burst, messages) in SIZES {
        let one = |_| microseconds_per_message(burst, messages);
        let mut costs: Vec<f64> = (0..REPEATS).map(one).collect();
        costs.sort_by(f64::total_cmp);
        println!("| {PEERS} | {burst} | {:.1} |", costs[REPEATS / 2]);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn start(byte: u8) -> (Transport, Receiver<Event>) {
    let hello = Hello {
        version: PROTOCOL_VERSION,
        node: NodeId([byte; 16]),
        name: format!("node-{byte}"),
        devices: Vec::new(),
        workers: 1,
        addrs: Vec::new(),
    };
    let secret = Secret::from_bytes([1; 32]);
    Transport::start(Config::loopback(), &secret, hello).expect("loopback binds")
}

fn result() -> Message {
    let usage = vec![Usage { device: 0, tiles: 64, bytes: 64 << 20, busy_ns: 30_000_000 }];
    let partial = Partial::identity(&Spec::sum(DType::F32), 1);
    let results = vec![EntryResult { position: 1000, partial, usage }];
    Message::Results { job: JobId([7; 32]), results, want: 16 }
}

fn microseconds_per_message(burst: u32, messages: u32) -> f64 {
    let here = runtime();
    let (transport, mut events) = here.block_on(async { start(0) });
    let addr = transport.local_addr();
    let senders = std::thread::spawn(move || {
        runtime().block_on(async {
            let mut peers: Vec<(Transport, Receiver<Event>)> = (1..=PEERS).map(start).collect();
            for (transport, events) in &mut peers {
                transport.dial(addr);
                while !matches!(events.recv().await, Some(Event::Connected { .. })) {}
            }
            let message = result();
            for _ in 0..messages / burst {
                for (transport, _) in &peers {
                    (0..burst).for_each(|_| transport.send(NodeId([0; 16]), &message));
                }
                // The receiver answers each burst, so that queues stay short.
                for (_, events) in &mut peers {
                    while !matches!(events.recv().await, Some(Event::Message { .. })) {}
                }
            }
        });
    });
    let total = u32::from(PEERS) * messages;
    let elapsed = here.block_on(async {
        let mut begin = None;
        let mut taken = 0;
        let mut taken_from = BTreeMap::new();
        while taken < total {
            let event = events.recv().await.expect("the transport runs");
            if let Event::Message { from, .. } = event {
                begin.get_or_insert_with(Instant::now);
                taken += 1;
                let of_peer: &mut u32 = taken_from.entry(from).or_default();
                *of_peer += 1;
                if of_peer.is_multiple_of(burst) {
                    transport.send(from, &Message::Cancel { job: JobId([7; 32]) });
                }
            }
        }
        begin.expect("messages came").elapsed()
    });
    drop(transport);
    here.shutdown_background();
    drop(senders);
    elapsed.as_secs_f64() * 1e6 / f64::from(total)
}
