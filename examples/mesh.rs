//! What a mesh between ranks costs, beside plain TCP in the same run.
//!
//! ```sh
//! adsum run -n 2 -- target/release/examples/mesh
//! ```
//!
//! Rank 0 measures with rank 1: the round trip of 8 bytes, and the rate of 64 MiB
//! in frames of 1 MiB, over the group's link and over TCP without encryption.
//! Ratios are what lasts; both sides of each come from the same minute.

#![expect(clippy::print_stdout, reason = "what was measured, for people")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Inbox, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adsum::communicator::{Frame, Link, Receiver};
use adsum::launch::{Given, Launch};
use adsum::rendezvous::{Config, Mesh, environment, meet};
use bytes::Bytes;

const ROUND_TRIPS: usize = 20_000;
const FRAME_BYTES: usize = 1 << 20;
const FRAMES: usize = 64;
const REPEATS: usize = 5;

type Failure = Box<dyn std::error::Error>;

/// Hands frames over to the thread that measures.
struct Ear(Mutex<Sender<Bytes>>);

impl Receiver for Ear {
    fn frame(&self, _from: usize, bytes: Bytes) {
        // Nobody listens any more at the end.
        let _unheard = self.0.lock().map(|ear| ear.send(bytes));
    }

    fn lost(&self, _peer: usize, _reason: String) {}
}

/// One way to carry frames between the two ranks.
trait Way {
    fn send(&mut self, bytes: &Bytes) -> Result<(), Failure>;
    /// Returns the length of what came.
    fn receive(&mut self, expected: usize) -> Result<usize, Failure>;
}

struct ByMesh<'a> {
    mesh: &'a Mesh,
    inbox: Inbox<Bytes>,
    /// Whether this thread drives the network while it waits.
    lends: bool,
}

impl Way for ByMesh<'_> {
    fn send(&mut self, bytes: &Bytes) -> Result<(), Failure> {
        let frame = Frame { head: Bytes::new(), body: bytes.clone() };
        self.mesh.send(1 - self.mesh.rank(), frame);
        Ok(())
    }

    fn receive(&mut self, _expected: usize) -> Result<usize, Failure> {
        let limit = Duration::from_secs(30);
        if self.lends {
            let mut came = None;
            let inbox = &self.inbox;
            let mut is_done = || {
                came = came.take().or_else(|| inbox.try_recv().ok());
                came.is_some()
            };
            self.mesh.drive(&mut is_done, limit);
            return came.map(|bytes| bytes.len()).ok_or("nothing came".into());
        }
        Ok(self.inbox.recv_timeout(limit)?.len())
    }
}

struct ByTcp {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Way for ByTcp {
    fn send(&mut self, bytes: &Bytes) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes)?)
    }

    fn receive(&mut self, expected: usize) -> Result<usize, Failure> {
        self.stream.read_exact(&mut self.buffer[..expected])?;
        Ok(expected)
    }
}

fn main() -> Result<(), Failure> {
    let launch = Launch::resolve(&Given::default(), &environment())?;
    if launch.place.size() != 2 || !launch.place.is_all_local() {
        return Err("this measures two ranks of one machine: adsum run -n 2 -- mesh".into());
    }
    let mesh = meet(&launch, &Config::default())?;
    let (sender, inbox) = mpsc::channel();
    mesh.start(Arc::new(Ear(Mutex::new(sender))));
    let mut by_mesh = ByMesh { mesh: &mesh, inbox, lends: false };
    let mut by_tcp = tcp(&mut by_mesh)?;
    let is_first = mesh.rank() == 0;
    let waits = (round_trip(&mut by_mesh, is_first)?, rate(&mut by_mesh, is_first)?);
    by_mesh.lends = true;
    let lends = (round_trip(&mut by_mesh, is_first)?, rate(&mut by_mesh, is_first)?);
    let tcp = (round_trip(&mut by_tcp, is_first)?, rate(&mut by_tcp, is_first)?);
    if is_first {
        println!("TCP: 8 bytes there and back {:.1} us, 64 MiB {:.2} GB/s", tcp.0, tcp.1);
        for (what, (round_trip_us, rate)) in [("woken", waits), ("driving", lends)] {
            println!(
                "mesh, {what}: {round_trip_us:.1} us, {:.2} times TCP; {rate:.2} GB/s, {:.2} times TCP's time",
                round_trip_us / tcp.0,
                tcp.1 / rate,
            );
        }
    }
    Ok(())
}

/// A TCP connection between the two, whose port the mesh carries.
fn tcp(mesh: &mut ByMesh<'_>) -> Result<ByTcp, Failure> {
    let stream = if mesh.mesh.rank() == 0 {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        mesh.send(&Bytes::copy_from_slice(&port.to_le_bytes()))?;
        listener.accept()?.0
    } else {
        let port = mesh.inbox.recv_timeout(Duration::from_secs(30))?;
        let port = u16::from_le_bytes(port[..].try_into()?);
        TcpStream::connect(("127.0.0.1", port))?
    };
    stream.set_nodelay(true)?;
    Ok(ByTcp { stream, buffer: vec![0; FRAME_BYTES] })
}

/// The shortest mean of some round trips of 8 bytes, in microseconds.
fn round_trip(way: &mut dyn Way, is_first: bool) -> Result<f64, Failure> {
    let word = Bytes::from_static(b"12345678");
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..ROUND_TRIPS / REPEATS {
            if is_first {
                way.send(&word)?;
            }
            if way.receive(word.len())? != word.len() {
                return Err("a word came short".into());
            }
            if !is_first {
                way.send(&word)?;
            }
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / (ROUND_TRIPS / REPEATS) as f64);
    }
    Ok(best)
}

/// The highest rate of 64 MiB from rank 0 to rank 1, with a word back at the end,
/// in GB/s.
fn rate(way: &mut dyn Way, is_first: bool) -> Result<f64, Failure> {
    let word = Bytes::from_static(b"12345678");
    let frame = Bytes::from(vec![7; FRAME_BYTES]);
    let mut best: f64 = 0.0;
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..FRAMES {
            if is_first {
                way.send(&frame)?;
            } else if way.receive(FRAME_BYTES)? != FRAME_BYTES {
                return Err("a frame came short".into());
            }
        }
        if is_first {
            way.receive(word.len())?;
        } else {
            way.send(&word)?;
        }
        best = best.max((FRAMES * FRAME_BYTES) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    Ok(best)
}
