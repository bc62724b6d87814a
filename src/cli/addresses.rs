//! The addresses of this machine, and at which of them others reach a node.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::wire::ADDRS_MAX;

/// Names of interfaces that lead to containers and virtual machines of this machine
/// alone.
const BRIDGES: [&str; 7] = ["docker", "br-", "veth", "cni", "flannel", "virbr", "podman"];

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its interface.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
    /// Why others are not told of it, where they are not.
    pub left_out: Option<LeftOut>,
}

/// Why an address is not advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Of this machine alone.
    Loopback,
    /// Of one link, and ambiguous without its name.
    LinkLocal,
    /// Of containers and virtual machines of this machine.
    Bridge,
    /// The node listens on IPv4 alone.
    OnlyIpv4,
    /// There are better ones enough.
    TooMany,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::Loopback => f.write_str("loopback"),
            LeftOut::LinkLocal => f.write_str("link-local"),
            LeftOut::Bridge => f.write_str("bridge of containers or virtual machines"),
            LeftOut::OnlyIpv4 => f.write_str("nodes listen on IPv4 unless '--bind [::]' is said"),
            LeftOut::TooMany => write!(f, "more than {ADDRS_MAX} addresses"),
        }
    }
}

/// The addresses of this machine, those that a node on `bind` advertises first, IPv4
/// before IPv6.
///
/// # Errors
/// The system does not tell.
pub fn own(bind: SocketAddr) -> std::io::Result<Vec<Own>> {
    let found = if_addrs::get_if_addrs()?;
    Ok(judge(found.into_iter().map(|found| (found.ip(), found.name)), bind))
}

fn judge(found: impl Iterator<Item = (IpAddr, String)>, bind: SocketAddr) -> Vec<Own> {
    let mut all: Vec<Own> = found
        .map(|(ip, interface)| {
            let left_out = if ip.is_loopback() {
                Some(LeftOut::Loopback)
            } else if is_link_local(ip) {
                Some(LeftOut::LinkLocal)
            } else if BRIDGES.iter().any(|bridge| interface.starts_with(bridge)) {
                Some(LeftOut::Bridge)
            } else if ip.is_ipv6() && bind.is_ipv4() {
                Some(LeftOut::OnlyIpv4)
            } else {
                None
            };
            Own { interface, ip, left_out }
        })
        .collect();
    all.sort_by_key(|own| (own.left_out.is_some(), !own.ip.is_ipv4()));
    let good = all.iter_mut().filter(|own| own.left_out.is_none());
    good.skip(ADDRS_MAX).for_each(|own| own.left_out = Some(LeftOut::TooMany));
    all
}

/// Where others reach a node that listens on all addresses, by those of this machine:
/// loopback where there is nothing better.
pub fn advertised(own: &[Own], bind: SocketAddr) -> Vec<SocketAddr> {
    let good = own.iter().filter(|own| own.left_out.is_none());
    let mut addrs: Vec<SocketAddr> = good.map(|own| SocketAddr::new(own.ip, bind.port())).collect();
    if addrs.is_empty() {
        addrs.push(SocketAddr::new(loopback(bind), bind.port()));
    }
    addrs
}

/// This machine as itself sees it.
pub fn loopback(bind: SocketAddr) -> IpAddr {
    match bind {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addrs: &[(&str, &str)], bind: &str) -> Vec<Own> {
        let addrs =
            addrs.iter().map(|(ip, name)| (ip.parse().expect("an address"), (*name).to_owned()));
        judge(addrs, bind.parse().expect("an address"))
    }

    #[test]
    fn what_others_cannot_reach_is_left_out_with_its_reason() {
        let addrs = [
            ("127.0.0.1", "lo"),
            ("2001:db8::7", "eth0"),
            ("fe80::1", "eth0"),
            ("172.17.0.1", "docker0"),
            ("10.0.0.7", "eth0"),
            ("169.254.3.3", "eth1"),
        ];
        let reasons = |bind| -> Vec<(String, Option<LeftOut>)> {
            found(&addrs, bind).into_iter().map(|own| (own.ip.to_string(), own.left_out)).collect()
        };
        let rest = |ip: &str, why| (ip.to_owned(), Some(why));
        assert_eq!(
            reasons("0.0.0.0:1"),
            [
                ("10.0.0.7".to_owned(), None),
                rest("127.0.0.1", LeftOut::Loopback),
                rest("172.17.0.1", LeftOut::Bridge),
                rest("169.254.3.3", LeftOut::LinkLocal),
                rest("2001:db8::7", LeftOut::OnlyIpv4),
                rest("fe80::1", LeftOut::LinkLocal),
            ]
        );
        let bind = "[::]:1".parse().expect("an address");
        let both = advertised(&found(&addrs, "[::]:1"), bind);
        let both: Vec<String> = both.iter().map(ToString::to_string).collect();
        assert_eq!(both, ["10.0.0.7:1", "[2001:db8::7]:1"]);
    }

    #[test]
    fn without_a_network_there_is_loopback_and_of_many_the_first() {
        let bind = "0.0.0.0:5".parse().expect("an address");
        let alone = found(&[("127.0.0.1", "lo")], "0.0.0.0:5");
        assert_eq!(advertised(&alone, bind), ["127.0.0.1:5".parse().expect("an address")]);
        let many: Vec<String> = (0..ADDRS_MAX + 2).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|ip| (ip.as_str(), "eth0")).collect();
        let many = found(&many, "0.0.0.0:5");
        assert_eq!(advertised(&many, bind).len(), ADDRS_MAX);
        assert_eq!(many[ADDRS_MAX].left_out, Some(LeftOut::TooMany));
    }
}
