//! A cluster as this machine sees it, and as its nodes see each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::args::Endpoint;
use super::super::exit::Blame;
use super::{Check, late, within};
use crate::catalogue::Holder;
use crate::client::{Client, ClientError};
use crate::placement::NodeId;
use crate::transport::{LinkError, Secret};
use crate::wire::{MemberInfo, NodeStatus, Question, Reply};

/// How long a node may take to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most addresses that are tried at the same time.
const AT_ONCE: usize = 32;

/// What is tried where nobody answers.
const UNREACHED: &str =
    "see that 'adsum node' runs there, and that its UDP port is open in every firewall between";

/// What is tried where others meet a node and this machine does not.
const BEHIND: &str = "other nodes are connected with it, so open its UDP port for this machine too; behind NAT, forward the port and say '--advertise ADDR' with the outer address there";

/// The node that answers at an address.
#[derive(Clone, Debug)]
struct Met {
    id: NodeId,
    round_trip: Duration,
    /// Whom it knows, itself first.
    members: Vec<MemberInfo>,
    /// Nodes that it misses.
    gone: Vec<(NodeId, Holder)>,
    /// Whom it is connected with.
    connected: Vec<NodeId>,
}

/// What is wrong with an address.
#[derive(Clone, Debug)]
struct Unmet {
    value: String,
    fix: String,
    blame: Blame,
}

type Tried = BTreeMap<SocketAddr, Result<Met, Unmet>>;

pub fn checks(via: &[Endpoint], secret: &Secret) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut named = Vec::new();
    for endpoint in via {
        match resolve(endpoint) {
            Ok(addrs) => named.push((endpoint, addrs)),
            Err(check) => checks.push(check),
        }
    }
    let mut tried = Tried::new();
    try_all(named.iter().flat_map(|(_, addrs)| addrs.iter().copied()), secret, &mut tried);
    checks.extend(named.iter().map(|(endpoint, addrs)| entry(endpoint, addrs, &tried)));
    // Who was named first is at home.
    let mut given = named.iter().flat_map(|(_, addrs)| addrs);
    let Some(first) = given.find_map(|addr| tried.get(addr)?.as_ref().ok()).cloned() else {
        return checks;
    };
    let mut members = first.members.clone();
    checks.extend(apart(&first, &tried));
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let addrs = members.iter().flat_map(|member| member.addrs.iter().copied());
    try_all(addrs, secret, &mut tried);
    checks.extend(members.iter().map(|member| reached(member, &tried)));
    checks.extend(first.gone.iter().map(gone));
    checks.extend(pairs(&members, &tried));
    checks
}

/// The addresses of a name.
fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Check> {
    let what = format!("name {endpoint}");
    let fix = "say an address instead, or teach this machine the name, as in /etc/hosts";
    let asked = endpoint.clone();
    match within(move || asked.addrs()) {
        Some(Ok(addrs)) => Ok(addrs),
        Some(Err(error)) => Err(Check::failure(what, error, fix, Blame::Cluster)),
        None => Err(Check::failure(what, late(), fix, Blame::Cluster)),
    }
}

/// Tries the addresses that were not tried yet, several at the same time.
fn try_all(addrs: impl Iterator<Item = SocketAddr>, secret: &Secret, tried: &mut Tried) {
    let new: BTreeSet<SocketAddr> = addrs.filter(|addr| !tried.contains_key(addr)).collect();
    let new: Vec<SocketAddr> = new.into_iter().collect();
    for some in new.chunks(AT_ONCE) {
        let threads: Vec<_> = some
            .iter()
            .map(|&addr| {
                let secret = secret.clone();
                (addr, std::thread::spawn(move || meet_in_time(addr, secret)))
            })
            .collect();
        for (addr, thread) in threads {
            let unmet = || Unmet {
                value: "it could not be tried".to_owned(),
                fix: "report this".to_owned(),
                blame: Blame::Internal,
            };
            tried.insert(addr, thread.join().unwrap_or_else(|_| Err(unmet())));
        }
    }
}

fn meet_in_time(addr: SocketAddr, secret: Secret) -> Result<Met, Unmet> {
    let unmet = |value: String, fix: &str, blame| Unmet { value, fix: fix.to_owned(), blame };
    let Some(met) = within(move || meet(addr, &secret)) else {
        return Err(unmet(late(), UNREACHED, Blame::Cluster));
    };
    met.map_err(|error| {
        let blame = match &error {
            ClientError::Unreachable { is_identity: true, .. } => Blame::Identity,
            _ => Blame::Cluster,
        };
        match error {
            ClientError::Unreachable { errors, .. } => match errors.last() {
                None | Some(LinkError::NoAnswer { .. }) => {
                    unmet(format!("no answer within {} s", PATIENCE.as_secs()), UNREACHED, blame)
                }
                Some(error) => {
                    let (value, fix) = super::told(&error.to_string());
                    unmet(value, &fix, blame)
                }
            },
            other => {
                let (value, fix) = super::told(&other.to_string());
                unmet(value, &fix, blame)
            }
        }
    })
}

fn meet(addr: SocketAddr, secret: &Secret) -> Result<Met, ClientError> {
    let client = Client::connect_within(&[addr], secret, PATIENCE)?;
    let start = Instant::now();
    let members = client.members()?;
    let round_trip = start.elapsed();
    let status = match client.ask(&Question::Status)? {
        Reply::Status(status) => *status,
        other => return Err(client.wrong(&other)),
    };
    let NodeStatus { connected, gone, .. } = status;
    Ok(Met { id: client.peer(), round_trip, members, connected, gone })
}

/// What comes of a host that was given.
fn entry(endpoint: &Endpoint, addrs: &[SocketAddr], tried: &Tried) -> Check {
    let what = format!("via {endpoint}");
    let found = addrs.iter().filter_map(|addr| Some((addr, tried.get(addr)?.as_ref().ok()?)));
    if let Some((addr, met)) = found.min_by_key(|(_, met)| met.round_trip) {
        let name = met.members.first().map_or("", |member| member.name.as_str());
        let time = milliseconds(met.round_trip);
        return Check::ok(what, format!("node {name} at {addr}, round trip {time}"));
    }
    let unmet: Vec<(&SocketAddr, &Unmet)> =
        addrs.iter().filter_map(|addr| Some((addr, tried.get(addr)?.as_ref().err()?))).collect();
    let value: Vec<String> =
        unmet.iter().map(|(addr, unmet)| format!("{addr}: {}", unmet.value)).collect();
    // Who answered knows more than who did not.
    let worst = unmet.iter().find(|(_, unmet)| unmet.blame == Blame::Identity).or(unmet.first());
    match worst {
        Some((_, unmet)) => Check::failure(what, value.join("; "), &unmet.fix, unmet.blame),
        None => Check::failure(what, "no address", UNREACHED, Blame::Cluster),
    }
}

/// Nodes with the same secret that have not joined.
fn apart(first: &Met, tried: &Tried) -> Vec<Check> {
    let known: BTreeSet<NodeId> = first.members.iter().map(|member| member.id).collect();
    let mut seen = known.clone();
    let home = first.members.first();
    let join = home.and_then(|home| home.addrs.first()).map(ToString::to_string);
    let name = home.map_or("", |home| home.name.as_str());
    let met = tried.values().filter_map(|found| found.as_ref().ok());
    met.filter(|met| seen.insert(met.id))
        .map(|met| {
            let other = met.members.first().map_or("", |member| member.name.as_str());
            let value = format!("is in another cluster than {name}, with the same token");
            let fix = format!("start it with '--join {}'", join.as_deref().unwrap_or("HOST"));
            Check::failure(format!("node {other}"), value, fix, Blame::Cluster)
        })
        .collect()
}

/// A node that was there.
fn gone((_, holder): &(NodeId, Holder)) -> Check {
    let fix = "start it, or open its UDP port; if it is gone for good, 'adsum rm' what only it had";
    let value = format!("is no member now, and was at {}", holder.addr);
    Check::warning(format!("node {}", holder.name), value, fix)
}

/// Which of its addresses a member answers at from here.
fn reached(member: &MemberInfo, tried: &Tried) -> Check {
    let what = format!("node {}", member.name);
    let mut good: Vec<(SocketAddr, Duration)> = Vec::new();
    let mut bad: Vec<String> = Vec::new();
    let mut identity = false;
    for addr in &member.addrs {
        match tried.get(addr) {
            Some(Ok(met)) if met.id == member.id => good.push((*addr, met.round_trip)),
            Some(Ok(_)) => bad.push(format!("{addr} (another node answers)")),
            Some(Err(unmet)) => {
                identity |= unmet.blame == Blame::Identity;
                bad.push(format!("{addr} ({})", unmet.value));
            }
            None => {}
        }
    }
    let times = |good: &[(SocketAddr, Duration)]| {
        let times = good.iter().map(|(addr, time)| format!("{addr} in {}", milliseconds(*time)));
        times.collect::<Vec<_>>().join(", ")
    };
    let elsewhere = tried.iter().find_map(|(addr, found)| {
        let met = found.as_ref().ok()?;
        (met.id == member.id).then_some((*addr, met.round_trip))
    });
    match (good.is_empty(), bad.is_empty(), elsewhere) {
        (false, true, _) => Check::ok(what, format!("answers at {}", times(&good))),
        (false, false, _) => Check::warning(
            what,
            format!("answers at {}, not at {}", times(&good), bad.join(", ")),
            "where other machines do not reach these either, say '--advertise' with the good ones there",
        ),
        (true, _, Some(elsewhere)) => Check::warning(
            what,
            format!(
                "answers at {}, which it does not advertise; not at {}",
                times(&[elsewhere]),
                bad.join(", ")
            ),
            format!("say '--advertise {}' there", elsewhere.0),
        ),
        (true, _, None) => {
            let blame = if identity { Blame::Identity } else { Blame::Cluster };
            let met = tried.values().filter_map(|found| found.as_ref().ok());
            let is_met = met.flat_map(|met| &met.connected).any(|&id| id == member.id);
            let fix = if is_met { BEHIND } else { UNREACHED };
            Check::failure(what, format!("does not answer at {}", bad.join(", ")), fix, blame)
        }
    }
}

/// Every pair of members that is not connected, as far as one of them tells.
fn pairs(members: &[MemberInfo], tried: &Tried) -> Vec<Check> {
    let met = tried.values().filter_map(|found| found.as_ref().ok());
    let views: BTreeMap<NodeId, &[NodeId]> =
        met.map(|met| (met.id, met.connected.as_slice())).collect();
    let (mut known, mut connected) = (0, 0);
    let mut checks = Vec::new();
    for (index, one) in members.iter().enumerate() {
        for other in &members[index + 1..] {
            let of_one = views.get(&one.id).map(|view| view.contains(&other.id));
            let of_other = views.get(&other.id).map(|view| view.contains(&one.id));
            if of_one.is_none() && of_other.is_none() {
                continue;
            }
            known += 1;
            if of_one == Some(true) || of_other == Some(true) {
                connected += 1;
                continue;
            }
            let addr = other.addrs.first().map(ToString::to_string).unwrap_or_default();
            checks.push(Check::failure(
                format!("{} and {}", one.name, other.name),
                "not connected",
                format!(
                    "run 'adsum doctor --via {addr}' on {}, and open the UDP ports of both to each other",
                    one.name
                ),
                Blame::Cluster,
            ));
        }
    }
    if known > 0 {
        let value = format!("{connected} of {known} pairs of nodes");
        let all = Check::ok("connected", value.clone());
        let fix = "see above";
        checks.push(match connected == known {
            true => all,
            false => Check::warning("connected", value, fix),
        });
    }
    checks
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8) -> MemberInfo {
        MemberInfo {
            id: NodeId([number; 16]),
            name: format!("n{number}"),
            addrs: vec![([127, 0, 0, number], 9).into()],
            workers: 1,
        }
    }

    fn met(number: u8, connected: &[u8]) -> (SocketAddr, Result<Met, Unmet>) {
        let connected = connected.iter().map(|&number| NodeId([number; 16])).collect();
        let id = NodeId([number; 16]);
        let members = vec![member(number)];
        let met = Met {
            id,
            round_trip: Duration::from_micros(310),
            members,
            connected,
            gone: Vec::new(),
        };
        (member(number).addrs[0], Ok(met))
    }

    #[test]
    fn pairs_that_are_not_connected_are_named() {
        let members: Vec<MemberInfo> = (1..=3).map(member).collect();
        let all: Tried = [met(1, &[2, 3]), met(2, &[1, 3]), met(3, &[1, 2])].into();
        let checks = pairs(&members, &all);
        assert_eq!(checks.len(), 1);
        assert_eq!((checks[0].word(), checks[0].value.as_str()), ("ok", "3 of 3 pairs of nodes"));

        let split: Tried = [met(1, &[3]), met(2, &[3]), met(3, &[1, 2])].into();
        let checks = pairs(&members, &split);
        assert_eq!((checks[0].word(), checks[0].what.as_str()), ("failure", "n1 and n2"));
        assert!(checks[0].fix.contains("--via 127.0.0.2:9' on n1"), "{}", checks[0].fix);
        assert_eq!(checks[1].value, "2 of 3 pairs of nodes");
    }

    #[test]
    fn an_address_where_another_node_answers_is_not_the_members() {
        let one = member(1);
        assert_eq!(reached(&one, &[met(1, &[])].into()).word(), "ok");
        let (_, other) = met(2, &[]);
        let wrong: Tried = [(one.addrs[0], other.clone())].into();
        let check = reached(&one, &wrong);
        assert_eq!((check.word(), check.fix.as_str()), ("failure", UNREACHED));
        let met_by_others: Tried = [met(2, &[1])].into();
        assert_eq!(reached(&one, &met_by_others).fix, BEHIND);
        assert!(check.value.contains("another node answers"), "{}", check.value);
        // It was reached where it does not say that it is.
        let (_, own) = met(1, &[]);
        let nat: Tried = [(one.addrs[0], other), (([192, 0, 2, 1], 9).into(), own)].into();
        let check = reached(&one, &nat);
        assert_eq!(check.word(), "warning");
        assert!(check.fix.contains("--advertise 192.0.2.1:9"), "{}", check.fix);
    }
}
