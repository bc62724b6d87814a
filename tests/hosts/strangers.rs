//! Packets from nowhere, and callers that do not hear the answer.

use std::env;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::cluster::{Cluster, Shape, bits};
use crate::lan::{Place, addr};
use crate::numbers::Op;
use crate::process::{Process, handles, resident_bytes};

/// Names the node that the flood is for.
const TARGET: &str = "ADSUM_FLOOD";

/// Memory that nodes of `--memory 64MiB` have at most, flooded or not.
const RESIDENT_MAX: u64 = 192 << 20;

#[test]
fn a_flood_of_nonsense_changes_nothing() {
    // From the fourth host comes the nonsense.
    let Some(mut cluster) = Cluster::new(Shape { hosts: 4, copies: 2, files: 72 }) else { return };
    (0..4).for_each(|host| cluster.launch(host));
    cluster.settle();
    let before: Vec<_> = (0..2).map(|host| cluster.nodes[host].running().id()).collect();
    let before: Vec<_> =
        before.iter().map(|&id| (id, resident_bytes(id), handles(id).len())).collect();
    let program = env::current_exe().unwrap();
    let mut flood = cluster.lan.command(Place::Host(3), program.to_str().unwrap());
    flood.args(["--exact", "strangers::flood", "--ignored", "--nocapture"]);
    flood.env(TARGET, format!("{}:7386", addr(0)));
    let mut flood = Process::start_piped(&mut flood);
    // Handshakes that never come to an end: the answers do not arrive.
    cluster.kill(3);
    cluster.lan.set_mute(0, 3, true);
    let deaf = |_| {
        let mut asker = cluster.asker_at(Place::Host(3), &cluster.token(), &["status"], &[0]);
        Process::start_piped(&mut asker)
    };
    let mut deaf: Vec<Process> = (0..12).map(deaf).collect();
    for op in [Op::Columns, Op::Sum] {
        // It asks the node that is flooded.
        let (run, took) = cluster.begin(op, 0).end(Duration::from_secs(40));
        assert_eq!(bits(&run), cluster.right(op), "{run:?}");
        println!("{op:?} under a flood: {took:?}");
    }
    assert!(!flood.has_ended());
    for (id, resident, open) in before {
        let (resident_now, open_now) = (resident_bytes(id), handles(id).len());
        println!("memory {resident} then {resident_now}, handles {open} then {open_now}");
        assert!(resident_now < RESIDENT_MAX, "{resident_now} bytes, before {resident}");
        assert!(open_now < open + 16, "{open_now} handles, before {open}");
    }
    // Who runs the node learns of it.
    let log = cluster.nodes[0].log();
    assert!(log.contains("speaks another protocol than adsum"), "{log}");
    assert!(log.len() < 64 << 10, "{} bytes of log", log.len());
    // None of them has come in.
    for asker in &mut deaf {
        assert!(!asker.has_ended() || asker.wait(Duration::ZERO).code() == Some(10));
    }
}

/// Not a test: what the flood is when this program runs once more.
#[test]
#[ignore = "sends nonsense until it is killed, where told"]
fn flood() {
    let Ok(target) = env::var(TARGET) else { return };
    let target: SocketAddr = target.parse().unwrap();
    let sockets: Vec<UdpSocket> = (0..16).map(|_| UdpSocket::bind("0.0.0.0:0").unwrap()).collect();
    let mut chance = Chance(3);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        for _ in 0..40 {
            let socket = &sockets[chance.below(sockets.len())];
            let packet = nonsense(&mut chance);
            // The node's buffers are full, or it is not there yet.
            let _ = socket.send_to(&packet, target);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Random bytes; of each four, one that begins as a first packet of QUIC does, one
/// as a later one, one that asks for another version.
fn nonsense(chance: &mut Chance) -> Vec<u8> {
    let kind = chance.below(4);
    let length = if kind == 0 { chance.below(1400) + 1 } else { 1200 };
    let mut packet: Vec<u8> = (0..length).map(|_| chance.bits() as u8).collect();
    let begin = |packet: &mut Vec<u8>, bytes: &[u8]| packet[..bytes.len()].copy_from_slice(bytes);
    match kind {
        // Initial, version 1, two connection ids of 8 bytes, no token, 1173 bytes.
        1 => {
            begin(&mut packet, &[0xc3, 0, 0, 0, 1, 8]);
            packet[14] = 8;
            packet[23..26].copy_from_slice(&[0, 0x44, 0x95]);
        }
        2 => begin(&mut packet, &[0x43]),
        3 => begin(&mut packet, &[0xc3, 0x0a, 0x1a, 0x2a, 0x3a, 8]),
        _ => {}
    }
    packet
}
