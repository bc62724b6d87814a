//! A socket that this process was started with, as `adsum run` gives one to rank 0.

use std::net::UdpSocket;

/// Takes over the UDP socket of this port that is open under the number `fd`, and keeps
/// it from this process's own children. `None` where something else is open there, or
/// nothing: whoever started this process has closed it, or it was taken before.
#[cfg(unix)]
pub fn take_udp(fd: i32, port: u16) -> Option<UdpSocket> {
    use std::collections::BTreeSet;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::sync::{Mutex, PoisonError};

    // What has been taken is not there again, even if another socket of this process gets the
    // same number and port.
    static TAKEN: Mutex<BTreeSet<(i32, u16)>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&(fd, port)) {
        return None;
    }
    // The first three are standard input, output and error.
    // SAFETY: it takes any number, and fails where nothing is open.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return None;
    }
    // SAFETY: the call has just made it, so nothing else owns it.
    let socket = socket2::Socket::from(unsafe { OwnedFd::from_raw_fd(copy) });
    let is_udp = socket.r#type().ok() == Some(socket2::Type::DGRAM);
    let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket());
    if !is_udp || addr.map(|addr| addr.port()) != Some(port) {
        return None;
    }
    taken.insert((fd, port));
    // SAFETY: the first socket of this port and number can only be the inherited one: the port
    // was taken before this process began. It was opened for this one use, so nothing else
    // here owns it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Some(socket.into())
}

/// As above. Windows hands nothing down under a number, and has no `adsum run`.
#[cfg(not(unix))]
pub fn take_udp(_: i32, _: u16) -> Option<UdpSocket> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn a_socket_is_taken_once_and_nothing_else_is() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback binds");
        let addr = socket.local_addr().expect("it is bound");
        let fd = socket.into_raw_fd();
        assert!(take_udp(fd, addr.port() ^ 1).is_none(), "another port");
        let taken = take_udp(fd, addr.port()).expect("it is there");
        assert_eq!(taken.local_addr().expect("it is bound"), addr);
        // It is held still, and free when it is dropped.
        assert!(UdpSocket::bind(addr).is_err());
        assert!(take_udp(fd, addr.port()).is_none(), "a second time");
        drop(taken);
        assert!(UdpSocket::bind(addr).is_ok());
        assert!(take_udp(-1, addr.port()).is_none());
        assert!(take_udp(i32::MAX, addr.port()).is_none());
    }
}
