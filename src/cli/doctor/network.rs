//! The network of this machine: buffers, port, addresses, packets.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::super::addresses::{self, Own};
use super::super::config::Loaded;
use super::super::exit::Blame;
use super::{Check, within};
use crate::client::{Client, ClientError};
use crate::transport::{self, DEFAULT_PORT, LinkError, Secret, socket};

/// QUIC sends no smaller packets than 1200 bytes, to which headers come; IPv6 promises
/// as much.
const MTU_MIN: u32 = 1280;

/// How long whoever has the port may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn checks(loaded: &Loaded, secret: Option<&Secret>) -> Vec<Check> {
    let bind = loaded.config.node.bind;
    let bind = bind.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into());
    let mut checks = vec![buffers()];
    let own = match within(move || addresses::own(bind)) {
        Some(Ok(own)) => own,
        Some(Err(error)) => {
            let fix = "say '--advertise ADDR' where a node starts";
            checks.push(Check::failure("addresses", error, fix, Blame::Cluster));
            Vec::new()
        }
        None => Vec::new(),
    };
    checks.push(port(bind, &own, secret));
    checks.extend(advertised(loaded, bind, &own));
    checks.extend(packets(&own));
    checks
}

/// What the system gives of the buffers that a node asks for.
fn buffers() -> Check {
    let what = "UDP buffers";
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let wanted = transport::Config::lan(any).socket_buffer_bytes;
    match socket::probe(any, wanted) {
        Ok(clamped) if clamped.is_empty() => {
            Check::ok(what, format!("{} KiB each, as asked for", wanted >> 10))
        }
        Ok(clamped) => {
            let told = clamped.iter().map(|clamped| super::told(&clamped.to_string()));
            let (values, fixes): (Vec<String>, Vec<String>) = told.unzip();
            Check::warning(what, values.join("; "), fixes.join("; "))
        }
        Err(error) => {
            let fix = "see that this process may use the network";
            Check::failure(what, error, fix, Blame::Cluster)
        }
    }
}

/// Whether a node can listen, or who listens there.
fn port(bind: SocketAddr, own: &[Own], secret: Option<&Secret>) -> Check {
    let what = format!("UDP port {}", bind.port());
    let another = "choose another with '--bind', and say it where others join and ask";
    match socket::probe(bind, 64 << 10) {
        Ok(_) => Check::ok(what, "free"),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let mut addrs = vec![bind];
            if bind.ip().is_unspecified() {
                addrs = vec![(addresses::loopback(bind), bind.port()).into()];
                let ips = own.iter().map(|own| own.ip).filter(|ip| ip.is_ipv4() == bind.is_ipv4());
                addrs.extend(ips.map(|ip| SocketAddr::new(ip, bind.port())));
            }
            let is_known = secret.is_some();
            // A node answers one with another secret too, though not much.
            let secret = secret.cloned().or_else(|| Secret::generate().ok());
            let found = secret.and_then(|secret| within(move || listener(&addrs, &secret)));
            match (found, is_known) {
                (Some(Listener::Node(name)), _) => Check::ok(what, format!("taken by node {name}")),
                (Some(Listener::Stranger), false) => Check::ok(what, "taken by a node"),
                (Some(Listener::Stranger), true) => Check::warning(
                    what,
                    "taken by a node with another token",
                    format!("say its token with '--token FILE'; for a node beside it {another}"),
                ),
                (Some(Listener::OtherVersion(error)), _) => {
                    let (value, fix) = super::told(&error);
                    Check::warning(what, format!("taken by a node: {value}"), fix)
                }
                (Some(Listener::Nobody) | None, _) => Check::failure(
                    what,
                    "taken by another program, or by a node that does not answer",
                    format!(
                        "end it (find it with 'ss -ulpn sport = :{}'), or {another}",
                        bind.port()
                    ),
                    Blame::Internal,
                ),
            }
        }
        Err(error) => {
            let value = format!("cannot listen on {bind}: {error}");
            Check::failure(what, value, another, Blame::Internal)
        }
    }
}

/// Who listens on an address.
enum Listener {
    Node(String),
    /// A node of another cluster.
    Stranger,
    OtherVersion(String),
    Nobody,
}

fn listener(addrs: &[SocketAddr], secret: &Secret) -> Listener {
    let asked = Client::connect_within(addrs, secret, PATIENCE);
    match asked.and_then(|client| client.members()) {
        Ok(members) => {
            Listener::Node(members.first().map_or_else(String::new, |member| member.name.clone()))
        }
        Err(ClientError::Unreachable { is_identity: true, .. }) => Listener::Stranger,
        Err(ClientError::Unreachable { errors, .. }) => errors
            .iter()
            .find(|error| matches!(error, LinkError::Version { .. }))
            .map_or(Listener::Nobody, |error| Listener::OtherVersion(error.to_string())),
        Err(_) => Listener::Nobody,
    }
}

/// Every address, whether others are told of it, and why not.
fn advertised(loaded: &Loaded, bind: SocketAddr, own: &[Own]) -> Vec<Check> {
    let said = &loaded.config.node.advertise;
    if !said.is_empty() {
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        let value = format!("{}, as the configuration says", said.join(" "));
        return vec![Check::ok("advertised", value)];
    }
    let only = !bind.ip().is_unspecified();
    let line = |own: &Own| {
        let what = format!("address {}", own.interface);
        let addr = SocketAddr::new(own.ip, bind.port());
        Check::ok(
            what,
            match own.left_out {
                _ if only && own.ip == bind.ip() => format!("{addr} advertised"),
                _ if only => format!("{} left out: nodes listen on {bind} alone", own.ip),
                None => format!("{addr} advertised"),
                Some(why) => format!("{} left out: {why}", own.ip),
            },
        )
    };
    let mut checks: Vec<Check> = own.iter().map(line).collect();
    if !only && own.iter().all(|own| own.left_out.is_some()) {
        let value = "none but loopback, so only nodes on this machine can join";
        let fix = "see that an interface is up, or say '--advertise ADDR' where a node starts";
        checks.push(Check::warning("addresses", value, fix));
    }
    checks
}

/// The largest packets of the interfaces that count, where the system tells.
fn packets(own: &[Own]) -> Vec<Check> {
    let good = own.iter().filter(|own| own.left_out.is_none());
    // Linux gives further addresses of an interface names as eth0:1.
    let names = good.map(|own| own.interface.split(':').next().unwrap_or(&own.interface));
    let names: BTreeSet<&str> = names.collect();
    let mtu = |name: &str| -> Option<u32> {
        let path = format!("/sys/class/net/{name}/mtu");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let check = |name: &str| {
        let mtu = mtu(name)?;
        let (what, value) = (format!("MTU {name}"), format!("{mtu} bytes"));
        Some(match mtu < MTU_MIN {
            false => Check::ok(what, value),
            true => {
                let value = format!("{value}, nodes need {MTU_MIN}");
                let fix = format!("raise it with 'ip link set dev {name} mtu 1500'");
                Check::failure(what, value, fix, Blame::Cluster)
            }
        })
    };
    names.into_iter().filter_map(check).collect()
}
