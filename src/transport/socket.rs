//! The UDP socket under an endpoint, and its buffers.

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A bound socket, and what the operating system did not grant.
pub(crate) struct Bound {
    pub socket: UdpSocket,
    pub warnings: Vec<BufferClamped>,
}

/// Binds `addr` with send and receive buffers of `buffer_bytes` each, or as
/// much as the operating system grants.
///
/// A burst of a megabyte overflows the usual 208 KiB, and each overflow costs
/// a retransmission timeout: measured 50 times slower.
pub(crate) fn bind(addr: SocketAddr, buffer_bytes: usize) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // Some systems cannot; then IPv4 peers cannot be reached, which dialling them will tell.
        let _refused = socket.set_only_v6(false);
    }
    // Before it is bound, so that nothing is missed.
    let warnings = resize(SockRef::from(&socket), buffer_bytes)?;
    socket.bind(&addr.into())?;
    Ok(Bound { socket: socket.into(), warnings })
}

/// Gives a socket buffers of `buffer_bytes` each, or as much as the operating system
/// grants; what it did not grant.
pub(crate) fn resize(socket: SockRef<'_>, buffer_bytes: usize) -> io::Result<Vec<BufferClamped>> {
    let mut warnings = Vec::new();
    for buffer in [Buffer::Receive, Buffer::Send] {
        // A refusal (as macOS gives) leaves the default; what counts is what
        // is read back.
        let _refused = buffer.set(&socket, buffer_bytes);
        let got = buffer.granted(&socket)?;
        if got < buffer_bytes {
            warnings.push(BufferClamped { buffer, expected_bytes: buffer_bytes, got_bytes: got });
        }
    }
    Ok(warnings)
}

/// Whether a socket on `addr` gets buffers of `buffer_bytes` each, without keeping
/// one; empty if it does.
///
/// # Errors
/// There is no such address here, or it is taken.
pub fn probe(addr: SocketAddr, buffer_bytes: usize) -> io::Result<Vec<BufferClamped>> {
    bind(addr, buffer_bytes).map(|bound| bound.warnings)
}

/// One of the two buffers of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// What arrived and was not read yet.
    Receive,
    /// What was written and not sent yet.
    Send,
}

impl Buffer {
    fn set(self, socket: &Socket, bytes: usize) -> io::Result<()> {
        match self {
            Buffer::Receive => socket.set_recv_buffer_size(bytes),
            Buffer::Send => socket.set_send_buffer_size(bytes),
        }
    }

    fn granted(self, socket: &Socket) -> io::Result<usize> {
        let bytes = match self {
            Buffer::Receive => socket.recv_buffer_size()?,
            Buffer::Send => socket.send_buffer_size()?,
        };
        // Linux doubles the size that was set, for its own bookkeeping.
        Ok(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
    }

    fn sysctl(self) -> &'static str {
        match (self, cfg!(target_os = "linux")) {
            (Buffer::Receive, true) => "net.core.rmem_max",
            (Buffer::Send, true) => "net.core.wmem_max",
            (_, false) => "kern.ipc.maxsockbuf",
        }
    }
}

/// A buffer that the operating system made smaller than asked. The endpoint
/// works, but bursts may stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferClamped {
    /// Which buffer.
    pub buffer: Buffer,
    /// Bytes asked for.
    pub expected_bytes: usize,
    /// Bytes granted.
    pub got_bytes: usize,
}

impl fmt::Display for BufferClamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BufferClamped { buffer, expected_bytes, got_bytes } = *self;
        let name = match buffer {
            Buffer::Receive => "receive",
            Buffer::Send => "send",
        };
        write!(
            f,
            "the system limits the network {name} buffer to {} KiB where {} KiB were asked for, so large results may stall",
            got_bytes >> 10,
            expected_bytes >> 10,
        )?;
        if cfg!(unix) {
            write!(f, "; raise it with 'sysctl -w {}={expected_bytes}'", buffer.sysctl())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_buffer_that_is_granted_gives_no_warning() {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), 16 << 10).expect("loopback binds");
        assert_eq!(bound.warnings, []);
    }

    #[test]
    fn a_clamped_buffer_is_named_with_both_sizes() {
        let wanted = 1 << 30;
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), wanted).expect("loopback binds");
        for warning in bound.warnings {
            assert!(warning.got_bytes < wanted);
            let text = warning.to_string();
            assert!(text.contains("1048576 KiB"), "{text}");
            assert!(text.contains(&format!("{} KiB", warning.got_bytes >> 10)), "{text}");
        }
    }
}
