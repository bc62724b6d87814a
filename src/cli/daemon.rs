//! `adsum node`: a node of a cluster, until it is told to end.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::args::{DaemonArgs, Endpoint, MEMORY_BYTES};
use super::exit::{self, Blame, Failure};
use super::report::{SCHEMA, decimal_bytes};
use super::{addresses, log, node, secret};
use crate::catalogue::Unusable;
use crate::driver::Completions;
use crate::engine;
use crate::executor::Settings;
use crate::inventory::{self, Inventory};
use crate::membership;
use crate::node::{Membership, Node, NodeConfig};
use crate::store::Store;
use crate::transport::{self, DEFAULT_PORT, LinkError};
use crate::wire::ADDRS_MAX;

mod links;
mod named;
mod names;
mod remembered;
mod storing;

use links::{End, observer};
use named::Named;
use remembered::Remembered;
use storing::storing;

/// How often the data directory is looked through.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Changes of the files that come within this time are told together.
const TELL_INTERVAL: Duration = Duration::from_millis(300);

/// How long a node that leaves goes on with what is under way.
const FINISH: Duration = Duration::from_secs(5);

/// How often it looks whether it is to end sooner.
const FINISH_POLL: Duration = Duration::from_millis(20);

/// How long a node that leaves waits until its word is on its way.
const FAREWELL: Duration = Duration::from_millis(200);

/// Is a node until Ctrl-C or SIGTERM.
pub fn run(args: &DaemonArgs) -> Result<(), Failure> {
    log::start(args.verbose, args.log_format);
    let secret = secret::read(args.token.as_deref())?;
    let data = args.data.clone().ok_or_else(|| {
        let message = "which files? say '--data DIR', or 'data' in the section [node] of config.toml, see 'adsum config --path'";
        Failure::new(Blame::Usage, message)
    })?;
    let state = args.state.clone().unwrap_or_else(|| data.join(".adsum"));
    let (joined, nameless) = join_addrs(args);
    let (ends, end) = channel();
    end_on_signal(ends.clone())?;

    let (changed, changes) = sync_channel(1);
    let options = inventory::Options {
        data: data.clone(),
        state: state.clone(),
        interval: LOOK_INTERVAL,
        hash: true,
    };
    let inventory = Inventory::start(options, move || {
        // If one change is not told yet, this will be told with it.
        let _told_soon = changed.try_send(());
    })?;
    let inventory = Arc::new(inventory);
    let remembered = Remembered::start(&state)?;

    let bind = args.bind.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into());
    let config = NodeConfig {
        id: remembered::node_id(&state)?,
        name: name(args),
        secret,
        transport: transport::Config::lan(bind),
        engine: engine::Config::default(),
    };
    let membership = Membership {
        addrs: advertised(args, bind)?,
        seeds: seeds(&joined, &nameless),
        config: membership::Config::default(),
        memory: remembered.memory.clone(),
        remember: remembered.keep(),
        store: storing(Store::open(Arc::clone(&inventory)))?,
    };
    let settings = settings(args)?;
    let equip = |completions: Completions| {
        let resolve = Arc::new(Named(Arc::clone(&inventory)));
        let warn = |text: &str| tracing::warn!("{text}");
        node::processors(&settings, Some(resolve), completions, warn).map_err(Failure::from)
    };
    let name = config.name.clone();
    let node =
        Arc::new(Node::start_member(config, membership, equip, observer(joined.clone(), ends))?);
    node.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    joined.iter().for_each(|&addr| node.dial(addr));
    if !nameless.is_empty() {
        names::look_up(Arc::downgrade(&node), nameless)?;
    }

    let (stop, stopped) = channel();
    let teller = {
        let (node, inventory) = (Arc::clone(&node), Arc::clone(&inventory));
        std::thread::Builder::new()
            .name("adsum-teller".to_owned())
            .spawn(move || tell_changes(&node, &inventory, &changes, &stopped))
            .map_err(|error| Failure::new(Blame::Internal, error))?
    };
    announce(args, &node, &name, &inventory)?;
    // The node holds a sender as long as it lives.
    let why = end.recv().unwrap_or(End::Signal);
    if let End::Signal = why {
        finish(&node, &end);
    }
    tracing::info!("leaving the cluster");
    node.leave();
    let (_never, wait) = channel::<()>();
    let _late = wait.recv_timeout(FAREWELL);
    drop(stop);
    let _panicked = teller.join();
    match why {
        End::Signal => Ok(()),
        End::Refused { addr, error } => {
            let blame = match error {
                LinkError::Identity => Blame::Identity,
                _ => Blame::Cluster,
            };
            Err(Failure::new(blame, format!("cannot join the cluster at {addr}: {error}")))
        }
    }
}

/// Lets what is under way end, unless that takes too long or another signal comes.
fn finish(node: &Node, end: &Receiver<End>) {
    tracing::info!("no more is taken on; what is under way is finished");
    let give_up = Instant::now() + FINISH;
    let done = node.retire();
    loop {
        match done.recv_timeout(FINISH_POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let is_late = Instant::now() >= give_up;
        if is_late || matches!(end.try_recv(), Ok(End::Signal)) {
            tracing::warn!("others have to take over what is under way");
            return;
        }
    }
}

/// Tells the cluster what this node offers, now and whenever that changes.
fn tell_changes(node: &Node, inventory: &Inventory, changes: &Receiver<()>, stop: &Receiver<()>) {
    loop {
        let snapshot = inventory.snapshot();
        let unusable = |problem: &inventory::Problem| Unusable {
            name: problem.name.clone(),
            reason: problem.message.clone(),
        };
        let problems = snapshot.problems.iter().map(unusable).collect();
        node.set_held(snapshot.held(), problems);
        loop {
            match stop.recv_timeout(TELL_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if changes.try_recv().is_ok() {
                break;
            }
        }
    }
}

/// Ends the node at the first signal, without finishing what is under way at the second,
/// and the process at the third.
fn end_on_signal(ends: Sender<End>) -> Result<(), Failure> {
    let mut asked = 0;
    crate::os::on_end(move || {
        asked += 1;
        if asked > 2 {
            std::process::exit(i32::from(Blame::Interrupted as u8));
        }
        // The receiver goes only when the process does.
        let _ending = ends.send(End::Signal);
    })
    .map_err(|error| Failure::new(Blame::Internal, format!("cannot catch signals: {error}")))
}

fn settings(args: &DaemonArgs) -> Result<Settings, Failure> {
    let threads = match args.threads {
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism().map(usize::from).map_err(|error| {
            let message = format!("the number of cores is unknown ({error}); say '--threads'");
            Failure::new(Blame::Internal, message)
        })?,
    };
    Ok(Settings {
        devices: args.device.clone(),
        threads,
        memory_bytes: args.memory.unwrap_or(MEMORY_BYTES),
        tile_bytes: None,
        map_files: false,
        // A node does not know yet what it will be asked for.
        input_bytes: Some(u64::MAX),
        remember_bytes: args.remember,
    })
}

fn name(args: &DaemonArgs) -> String {
    let host = || gethostname::gethostname().to_string_lossy().into_owned();
    args.name.clone().unwrap_or_else(host)
}

/// Where others are that are to be joined, and the names that stand for no address now: a
/// machine that is off may have none.
fn join_addrs(args: &DaemonArgs) -> (Vec<SocketAddr>, Vec<Endpoint>) {
    let (mut addrs, mut nameless) = (Vec::new(), Vec::new());
    for endpoint in &args.join {
        match endpoint.addrs() {
            Ok(found) => addrs.extend(found),
            Err(error) => {
                tracing::warn!("--join: {error}; it is looked up on and on");
                nameless.push(endpoint.clone());
            }
        }
    }
    (addrs, nameless)
}

/// All of them as people read them.
fn seeds(joined: &[SocketAddr], nameless: &[Endpoint]) -> Vec<String> {
    let addrs = joined.iter().map(ToString::to_string);
    addrs.chain(nameless.iter().map(ToString::to_string)).collect()
}

/// Where others reach this node.
fn advertised(args: &DaemonArgs, bind: SocketAddr) -> Result<Vec<SocketAddr>, Failure> {
    if args.advertise.len() > ADDRS_MAX {
        let message =
            format!("{} addresses to advertise, the most is {ADDRS_MAX}", args.advertise.len());
        return Err(Failure::new(Blame::Usage, message));
    }
    // Port zero is that of the socket.
    if !args.advertise.is_empty() {
        return Ok(args.advertise.clone());
    }
    if !bind.ip().is_unspecified() {
        return Ok(vec![bind]);
    }
    let own = addresses::own(bind).map_err(|error| {
        let message =
            format!("the addresses of this machine are unknown: {error}; say '--advertise'");
        Failure::new(Blame::Internal, message)
    })?;
    let addrs = addresses::advertised(&own, bind);
    if own.iter().all(|own| own.left_out.is_some()) {
        let loopback = addresses::loopback(bind);
        tracing::warn!("this machine has no address but {loopback}, so only nodes on it can join");
    }
    Ok(addrs)
}

/// Says that the node is ready, and how another joins.
fn announce(
    args: &DaemonArgs,
    node: &Node,
    name: &str,
    inventory: &Inventory,
) -> Result<(), Failure> {
    let snapshot = inventory.snapshot();
    let held = snapshot.held();
    let bytes: u64 = held.iter().map(|held| held.array.bytes().unwrap_or(0)).sum();
    let addrs = node.advertised();
    let at: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    if args.json {
        let object = json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "node": node.id().to_string(),
            "name": name,
            "listen": node.addr().to_string(),
            "addrs": at,
            "files": held.len(),
            "bytes": bytes,
        });
        return exit::answer(&object.to_string());
    }
    let host = addrs.first().map(|addr| match addr.port() {
        DEFAULT_PORT => addr.ip().to_string(),
        _ => addr.to_string(),
    });
    let host = host.unwrap_or_default();
    let token = args.token.as_deref().map(|path| format!(" --token {}", quoted(path)));
    let token = token.unwrap_or_default();
    exit::answer(&format!(
        "node {name} ({id}) on {at}, {files} files, {bytes}\n\
         to add a machine:  adsum node{token} --data DIR --join {host}\n\
         to ask:            adsum sum{token} '**' --via {host}",
        id = node.id(),
        at = at.join(" "),
        files = held.len(),
        bytes = decimal_bytes(bytes),
    ))
}

/// A path as a shell takes it.
fn quoted(path: &std::path::Path) -> String {
    let text = PathBuf::from(path).to_string_lossy().into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
