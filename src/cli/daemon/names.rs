//! Hosts that are to be joined and whose names stand for no address yet.

use std::sync::Weak;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::cli::args::Endpoint;
use crate::cli::exit::{Blame, Failure};
use crate::node::Node;

/// How often they are looked up.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks the names up again and again, as long as the node is there, and dials what they
/// stand for. A thread of its own, since that may take long.
pub fn look_up(node: Weak<Node>, mut names: Vec<Endpoint>) -> Result<(), Failure> {
    let work = move || {
        let (_never, wait) = channel::<()>();
        while !names.is_empty() && node.strong_count() > 0 {
            let _late = wait.recv_timeout(INTERVAL);
            names.retain(|name| {
                let Ok(addrs) = name.addrs() else { return true };
                if let Some(node) = node.upgrade() {
                    tracing::info!("'{name}' has an address now");
                    addrs.into_iter().for_each(|addr| node.dial(addr));
                }
                false
            });
        }
    };
    let thread = std::thread::Builder::new().name("adsum-names".to_owned()).spawn(work);
    thread.map(drop).map_err(|error| Failure::new(Blame::Internal, error))
}
