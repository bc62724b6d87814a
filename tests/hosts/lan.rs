//! Hosts with addresses of their own, on one machine: network namespaces, each with
//! a cable to a bridge in a namespace of its own, which is also where askers sit.

use std::env;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Networks of this process so far: their names must differ.
static MADE: AtomicU32 = AtomicU32::new(0);

/// One network at a time: the tests measure times, and the machine may be small.
static TURN: Mutex<()> = Mutex::new(());

/// Whose side of the network something is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The namespace of the bridge.
    Hub,
    /// A host, counted from zero.
    Host(usize),
}

/// A network, until it is dropped.
pub struct Lan {
    prefix: String,
    hosts: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Lan {
    /// A network of so many hosts. `None` where that cannot be made, which is told,
    /// and is an error where it must not be.
    pub fn new(hosts: usize) -> Option<Lan> {
        // A test that failed while it had its turn has failed alone.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let lan = Lan { prefix: format!("adsum-{}-{number}", process::id()), hosts, _turn: turn };
        if let Err(problem) = try_ip(&["netns", "add", &lan.name(Place::Hub)]) {
            let needed = env::var_os("CI").is_some() || env::var_os("ADSUM_NEED_HOSTS").is_some();
            assert!(!needed, "network namespaces cannot be made, and are needed: {problem}");
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("a test");
            let line = format!("\nSKIPPED {test}: network namespaces cannot be made: {problem}\n");
            // Not by `eprintln`, which tests that pass keep to themselves.
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        }
        lan.lay();
        Some(lan)
    }

    fn lay(&self) {
        let hub = self.name(Place::Hub);
        for bridge in ["br0", "br1"] {
            ip(&["-n", &hub, "link", "add", bridge, "type", "bridge"]);
            ip(&["-n", &hub, "link", "set", bridge, "up"]);
        }
        ip(&["-n", &hub, "link", "set", "lo", "up"]);
        ip(&["-n", &hub, "addr", "add", "10.77.0.254/24", "dev", "br0"]);
        for host in 0..self.hosts {
            let name = self.name(Place::Host(host));
            let port = port(host);
            ip(&["netns", "add", &name]);
            ip(&[
                "-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
                &name,
            ]);
            ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "link", "set", "eth0", "up"]);
            let addr = format!("{}/24", addr(host));
            ip(&["-n", &name, "addr", "add", &addr, "dev", "eth0"]);
        }
    }

    /// What runs `program` at this place, as the very process that is started.
    pub fn command(&self, place: Place, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), program]);
        command
    }

    /// Pulls the cable of a host, or plugs it in again.
    pub fn set_link(&self, host: usize, up: bool) {
        let state = if up { "up" } else { "down" };
        ip(&["-n", &self.name(Place::Host(host)), "link", "set", "eth0", state]);
    }

    /// What `from` sends to `to` is lost, or is not any more.
    pub fn set_mute(&self, from: usize, to: usize, mute: bool) {
        let action = if mute { "add" } else { "del" };
        let name = self.name(Place::Host(from));
        ip(&["-n", &name, "route", action, "blackhole", &addr(to).to_string()]);
    }

    /// Puts these hosts on a network of their own. The others stay with the hub.
    pub fn part(&self, hosts: &[usize]) {
        for host in 0..self.hosts {
            let bridge = if hosts.contains(&host) { "br1" } else { "br0" };
            ip(&["-n", &self.name(Place::Hub), "link", "set", &port(host), "master", bridge]);
        }
    }

    /// What the names of its namespaces begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn name(&self, place: Place) -> String {
        match place {
            Place::Hub => format!("{}.hub", self.prefix),
            Place::Host(host) => format!("{}.{host}", self.prefix),
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(Place::Host);
        for place in hosts.chain([Place::Hub]) {
            // What was not made cannot be removed.
            let _ = try_ip(&["netns", "delete", &self.name(place)]);
        }
    }
}

/// The address of a host.
pub fn addr(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host as u8 + 1)
}

fn port(host: usize) -> String {
    format!("port{host}")
}

/// The namespaces of a network that are there.
pub fn left_over(prefix: &str) -> Vec<String> {
    let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().filter(|line| line.starts_with(&format!("{prefix}."))).map(str::to_owned).collect()
}

fn ip(arguments: &[&str]) {
    try_ip(arguments).unwrap();
}

fn try_ip(arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            Err(format!("ip {}: {}", arguments.join(" "), told.trim()))
        }
    }
}
