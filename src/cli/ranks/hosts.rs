//! Which hosts there are, and which ranks go where.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use super::super::args::Placement;
use super::super::exit::{Blame, Failure};
use crate::launch::RANKS_MAX;

/// The most bytes of a file of hosts.
const HOSTFILE_BYTES_MAX: u64 = 1 << 20;

/// A host as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address, with the user's before an `@` if one was given.
    pub name: String,
    /// How many ranks it takes, where that was said.
    pub slots: Option<u32>,
}

impl Host {
    /// This machine, for as many ranks as there are.
    pub fn here() -> Host {
        Host { name: "localhost".to_owned(), slots: None }
    }

    /// The name without the user.
    pub fn address(&self) -> &str {
        self.name.rsplit_once('@').map_or(&self.name, |(_, host)| host)
    }

    /// Whether it is this machine by the name that means so everywhere.
    pub fn is_loopback(&self) -> bool {
        matches!(self.address(), "localhost" | "127.0.0.1" | "::1")
    }

    /// Whether it is this machine.
    pub fn is_here(&self, here: &Here) -> bool {
        let name = self.address();
        let is_own = |address| here.addresses.contains(&address);
        let is_name = !name.is_empty() && (name == here.name || name == here.short_name());
        self.is_loopback() || is_name || name.parse().is_ok_and(is_own)
    }
}

/// This machine, as others may call it.
#[derive(Clone, Debug)]
pub struct Here {
    name: String,
    addresses: Vec<IpAddr>,
}

impl Here {
    /// Asks the system.
    ///
    /// # Errors
    /// It does not tell.
    pub fn ask() -> io::Result<Here> {
        let addresses = if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect();
        Ok(Here { name: gethostname::gethostname().to_string_lossy().into_owned(), addresses })
    }

    /// The name without its domain.
    fn short_name(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }
}

/// The hosts of `--hosts`.
pub fn of_argument(hosts: &[String]) -> Result<Vec<Host>, Failure> {
    let parsed = hosts.iter().map(|text| {
        parse(text.trim()).map_err(|what| usage(format!("--hosts has '{text}': {what}")))
    });
    merge(parsed.collect::<Result<_, _>>()?)
}

/// The hosts of `--hostfile`.
pub fn of_file(path: &Path) -> Result<Vec<Host>, Failure> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        usage(format!(
            "--hostfile '{name}' cannot be read: {error}; one host a line, as 'a slots=2'"
        ))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(HOSTFILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > HOSTFILE_BYTES_MAX {
        return Err(usage(format!(
            "--hostfile '{name}' has more than {HOSTFILE_BYTES_MAX} bytes; is it the right file?"
        )));
    }
    let hosts = of_text(&text)
        .map_err(|(line, what)| usage(format!("--hostfile '{name}', line {line}: {what}")))?;
    match hosts.is_empty() {
        true => Err(usage(format!("--hostfile '{name}' has no host; one a line, as 'a slots=2'"))),
        false => merge(hosts),
    }
}

fn of_text(text: &str) -> Result<Vec<Host>, (usize, String)> {
    let mut hosts = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(first) = words.next() else { continue };
        let at = |what| (index + 1, what);
        let mut host = parse(first).map_err(at)?;
        for word in words {
            let slots = word.strip_prefix("slots=").ok_or_else(|| {
                at(format!("'{word}' is not understood; after the host only slots=N"))
            })?;
            if host.slots.is_some() {
                return Err(at(format!("the slots of '{}' are given twice", host.name)));
            }
            host.slots = Some(count(slots).map_err(at)?);
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// `HOST`, `HOST:SLOTS`, `[::1]` or `[::1]:SLOTS`.
fn parse(text: &str) -> Result<Host, String> {
    let (name, slots) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => {
            let slots = rest.strip_prefix(':');
            (name, Some(slots.ok_or_else(|| format!("'{rest}' stands after the bracket"))?))
        }
        // More than one colon is an IPv6 address.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(name, slots)| (name, Some(slots))),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:@%".contains(c);
    // What begins with a minus would be an option of ssh.
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_name) {
        return Err("that is no host; use HOST or HOST:SLOTS".to_owned());
    }
    Ok(Host { name: name.to_owned(), slots: slots.map(count).transpose()? })
}

fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=RANKS_MAX) => Ok(count),
        _ => Err(format!("'{text}' is no number of slots from 1 to {RANKS_MAX}")),
    }
}

/// A host that is given twice has the slots of both.
fn merge(hosts: Vec<Host>) -> Result<Vec<Host>, Failure> {
    let mut merged: Vec<Host> = Vec::new();
    for host in hosts {
        match merged.iter_mut().find(|known| known.name == host.name) {
            Some(known) => known.slots = Some(known.slots.unwrap_or(1) + host.slots.unwrap_or(1)),
            None => merged.push(host),
        }
    }
    Ok(merged)
}

/// The ranks of each host, some of which may have none. Without a number of ranks
/// each slot gets one; a host whose slots are not given counts as one.
///
/// Where no host has a number of slots, the ranks are shared out evenly.
pub fn place(
    hosts: &[Host],
    ranks: Option<u32>,
    placement: Placement,
) -> Result<Vec<Vec<u32>>, Failure> {
    let slots: u32 = hosts.iter().map(|host| host.slots.unwrap_or(1)).sum();
    let ranks = ranks.unwrap_or(slots);
    if ranks > RANKS_MAX {
        return Err(usage(format!(
            "the hosts have {slots} slots, and a group has at most {RANKS_MAX} ranks; give -n"
        )));
    }
    let is_counted = hosts.iter().any(|host| host.slots.is_some());
    if is_counted && ranks > slots {
        return Err(usage(format!(
            "-n is {ranks}, but the hosts have {slots} slots; give them more, as 'a:4' or 'a slots=4'"
        )));
    }
    let host_count = hosts.len() as u32;
    let room: Vec<u32> = hosts
        .iter()
        .zip(0..)
        .map(|(host, index)| match is_counted {
            true => host.slots.unwrap_or(1),
            false => ranks / host_count + u32::from(index < ranks % host_count),
        })
        .collect();
    let mut placed: Vec<Vec<u32>> = vec![Vec::new(); hosts.len()];
    let mut turn = 0;
    for rank in 0..ranks {
        // There is room somewhere: the slots are as many as the ranks or more.
        while placed[turn].len() as u32 >= room[turn] {
            turn = (turn + 1) % hosts.len();
        }
        placed[turn].push(rank);
        if placement == Placement::RoundRobin {
            turn = (turn + 1) % hosts.len();
        }
    }
    Ok(placed)
}

/// The variables of `--env`.
pub fn variables(given: &[String]) -> Result<HashMap<String, std::ffi::OsString>, Failure> {
    let variable = |text: &String| {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.into())),
            None => (text.as_str(), std::env::var_os(text)),
        };
        if name.is_empty() || name.contains('\0') {
            return Err(usage(format!("--env has '{text}'; use NAME or NAME=VALUE")));
        }
        let value: std::ffi::OsString = value.ok_or_else(|| {
            usage(format!("--env names '{name}', which is not set here; use {name}=VALUE"))
        })?;
        Ok((name.to_owned(), value))
    };
    given.iter().map(variable).collect()
}

fn usage(message: String) -> Failure {
    Failure::new(Blame::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, slots: Option<u32>) -> Host {
        Host { name: name.to_owned(), slots }
    }

    fn given(hosts: &[&str]) -> Result<Vec<Host>, String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        of_argument(&hosts).map_err(|failure| failure.message)
    }

    #[test]
    fn hosts_have_names_and_slots() {
        let hosts = given(&["a", "u@b.example:4", "10.0.0.7:2", "[::1]:3", "fe80::1%eth0", "a"]);
        let expected = [
            host("a", Some(2)),
            host("u@b.example", Some(4)),
            host("10.0.0.7", Some(2)),
            host("::1", Some(3)),
            host("fe80::1%eth0", None),
        ];
        assert_eq!(hosts.as_deref(), Ok(&expected[..]));
        for bad in ["", "-oProxyCommand=x", "a:0", "a:x", "a:1025", "[::1]x", "a b", "a;b"] {
            let error = given(&[bad]).expect_err(bad);
            assert!(error.contains("--hosts") && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn files_have_one_host_a_line() {
        let text = "# the lab\n\na slots=2  # fast\n  b\nc:3\n";
        let hosts = [host("a", Some(2)), host("b", None), host("c", Some(3))];
        assert_eq!(of_text(text).as_deref(), Ok(&hosts[..]));
        for (text, line, word) in [
            ("a\nb slot=2\n", 2, "slot=2"),
            ("a slots=0", 1, "'0'"),
            ("\n\na:2 slots=2", 3, "twice"),
            ("a slots=2 slots=2", 1, "twice"),
            ("a b", 1, "'b'"),
            ("-x", 1, "no host"),
        ] {
            let (got, what) = of_text(text).expect_err(text);
            assert!(got == line && what.contains(word), "{got}: {what}");
        }
    }

    #[test]
    fn ranks_go_to_hosts_in_blocks_or_in_turn() {
        let counted = [host("a", Some(2)), host("b", None), host("c", Some(3))];
        let even = [host("a", None), host("b", None)];
        let at = |hosts: &[Host], ranks, placement| {
            place(hosts, ranks, placement).map_err(|failure| failure.message)
        };
        let (block, turn) = (Placement::Block, Placement::RoundRobin);
        assert_eq!(at(&counted, None, block), Ok(vec![vec![0, 1], vec![2], vec![3, 4, 5]]));
        assert_eq!(at(&counted, None, turn), Ok(vec![vec![0, 3], vec![1], vec![2, 4, 5]]));
        assert_eq!(at(&counted, Some(3), block), Ok(vec![vec![0, 1], vec![2], vec![]]));
        assert_eq!(at(&counted, Some(3), turn), Ok(vec![vec![0], vec![1], vec![2]]));
        assert_eq!(at(&even, Some(5), block), Ok(vec![vec![0, 1, 2], vec![3, 4]]));
        assert_eq!(at(&even, Some(5), turn), Ok(vec![vec![0, 2, 4], vec![1, 3]]));
        assert_eq!(at(&even, Some(1), block), Ok(vec![vec![0], vec![]]));
        let error = at(&counted, Some(7), block).expect_err("too many");
        assert!(error.contains("-n is 7") && error.contains("6 slots"), "{error}");
    }

    #[test]
    fn this_machine_has_several_names() {
        let here = Here {
            name: "node7.lab".to_owned(),
            addresses: ["10.0.0.7", "fd00::7"].map(|ip| ip.parse().unwrap()).to_vec(),
        };
        for name in ["localhost", "127.0.0.1", "::1", "me@localhost", "node7", "node7.lab"] {
            assert!(host(name, None).is_here(&here), "{name}");
        }
        for name in ["10.0.0.7", "me@10.0.0.7", "fd00::7", "fd00:0::7"] {
            assert!(host(name, None).is_here(&here), "{name}");
        }
        for name in ["127.0.0.2", "10.0.0.8", "fd00::8", "node8", "node7.other", "node"] {
            assert!(!host(name, None).is_here(&here), "{name}");
        }
        let nameless = Here { name: String::new(), addresses: Vec::new() };
        assert!(!host("", None).is_here(&nameless));
    }
}
