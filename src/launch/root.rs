//! Where rank 0 listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::launch::{Environment, Given, LaunchError, Launcher, Place, slurm, variable};

/// The first UDP port of groups that were not told one.
pub const PORT_FIRST: u16 = 7400;

/// How many ports such groups use. A job that has a name takes the port that
/// follows from it, so that two jobs on one machine seldom meet; one without
/// takes the first.
pub const PORTS: u16 = 100;

/// Rank 0's address. A name is looked up where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// A name or an IP address.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

impl Root {
    /// Reads `HOST`, `HOST:PORT`, `::1` or `[::1]:PORT`; what is wrong with it
    /// otherwise. Without a port it has `port`.
    pub fn parse(text: &str, port: u16) -> Result<Root, &'static str> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return match addr.port() {
                0 => Err("the port is 0"),
                port => Ok(Root { host: addr.ip().to_string(), port }),
            };
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if bare.parse::<IpAddr>().is_ok() {
            return Ok(Root { host: bare.to_owned(), port });
        }
        let (host, port) = match text.split_once(':') {
            None => (text, port),
            Some((host, port)) => match port.parse() {
                Ok(port) if port != 0 => (host, port),
                _ => return Err("the port is no number from 1 to 65535"),
            },
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match !host.is_empty() && host.chars().all(is_name) {
            true => Ok(Root { host: host.to_owned(), port }),
            false => Err("the host is no name"),
        }
    }

    /// Where rank 0 listens on its machine, where its name means `found`. A name is never
    /// bound: what it means there may be another machine's, or nobody's but that one's.
    pub fn bind_addr(&self, found: &[SocketAddr]) -> SocketAddr {
        let ip = match self.is_loopback() {
            true => found.first().map_or(Ipv4Addr::LOCALHOST.into(), SocketAddr::ip),
            false => wildcard(found),
        };
        SocketAddr::new(ip, self.port)
    }

    /// Whether it can be reached from its own machine alone.
    pub fn is_loopback(&self) -> bool {
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// All addresses of a machine, of the families that these are of.
pub(crate) fn wildcard(addrs: &[SocketAddr]) -> IpAddr {
    match addrs.iter().any(SocketAddr::is_ipv6) {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The first that is there of: what was given, `ADSUM_ROOT`, `MASTER_ADDR`,
/// the first host of a Slurm step, and loopback where all ranks are local.
pub(super) fn find(
    given: &Given,
    environment: &Environment,
    place: Place,
    launcher: Launcher,
    job: &str,
) -> Result<Root, LaunchError> {
    let port = port(job);
    let parse = |source_name, value: &str| {
        Root::parse(value, port).map_err(|what| LaunchError::Root {
            source_name,
            value: value.to_owned(),
            what,
        })
    };
    if let Some(root) = &given.root {
        return parse("the address of rank 0", root);
    }
    if let Some(root) = environment.text(variable::ROOT) {
        return parse(variable::ROOT, root);
    }
    // Its port is another protocol's, and taken.
    if let Some(host) = environment.text("MASTER_ADDR") {
        return parse("MASTER_ADDR", host);
    }
    if let Some(host) = slurm::first_host(environment)? {
        return Ok(Root { host, port });
    }
    match place.is_all_local() {
        true => Ok(Root { host: "127.0.0.1".to_owned(), port }),
        false => Err(LaunchError::NoRoot { launcher }),
    }
}

/// The port of a job with this name.
fn port(job: &str) -> u16 {
    if job.is_empty() {
        return PORT_FIRST;
    }
    let hash = blake3::derive_key("adsum 2026 port of a group", job.as_bytes());
    PORT_FIRST + u16::from_le_bytes([hash[0], hash[1]]) % PORTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_of_ipv6_asks_for_both_families() {
        let v4 = addr("10.0.0.1:1");
        assert_eq!(wildcard(&[v4]), IpAddr::from([0; 4]));
        assert_eq!(wildcard(&[v4, addr("[2001:db8::1]:1")]), IpAddr::from([0; 16]));
        assert_eq!(wildcard(&[]), IpAddr::from([0; 4]));
    }

    #[test]
    fn loopback_is_bound_alone_and_names_are_not() {
        let root = |host: &str| Root { host: host.to_owned(), port: 9 };
        for (host, found, bound) in [
            ("127.0.0.1", "127.0.0.1:9", "127.0.0.1:9"),
            ("::1", "[::1]:9", "[::1]:9"),
            ("lab1", "127.0.1.1:9", "0.0.0.0:9"),
            ("lab1", "[2001:db8::1]:9", "[::]:9"),
        ] {
            assert_eq!(root(host).bind_addr(&[addr(found)]), addr(bound), "{host}");
        }
        assert_eq!(root("nowhere").bind_addr(&[]), addr("0.0.0.0:9"));
    }
}
