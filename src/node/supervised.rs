//! A node that another process started and that ends with it.

use std::convert::Infallible;
use std::io::{self, Read, Write};

use crate::driver::{Completions, Executor};
use crate::engine;
use crate::node::pipe::{Started, read_assignment};
use crate::node::{Equipment, Node, NodeConfig};
use crate::transport::{self, TransportError};

pub use crate::node::pipe::Assignment;

/// Why a supervised node did not start, or stopped. Its parent knows already,
/// unless it is gone; the process should end with a failure and without a word.
#[derive(Debug, thiserror::Error)]
pub enum SupervisedError {
    /// Nobody is there, or not the program that should be.
    #[error(
        "this command is for nodes that adsum itself starts, and no parent speaks on standard input: {0}"
    )]
    Parent(#[source] io::Error),
    /// The processors cannot be used as the settings say.
    #[error("{message}")]
    Equipment {
        /// What is wrong.
        message: String,
    },
    /// No network.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node stopped by itself, a defect that was reported when it happened.
    #[error("the node stopped")]
    Stopped,
}

/// Is a node of a [`LocalCluster`](crate::node::cluster::LocalCluster) until
/// the parent lets go of this process's standard input; then the process exits,
/// whatever it is doing. So it never outlives the parent, however that dies.
///
/// `equip` makes the processors that the assignment asks for, or says what is
/// wrong with them. Standard output belongs to the parent; warnings may go to
/// standard error, which is the parent's own.
///
/// # Errors
/// The node did not start, or stopped by a defect.
pub fn run<E: Executor>(
    equip: impl FnOnce(&Assignment, Completions) -> Result<Equipment<E>, String>,
) -> Result<Infallible, SupervisedError> {
    let (secret, assignment) =
        read_assignment(io::stdin().lock()).map_err(SupervisedError::Parent)?;
    exit_with_parent()?;
    let config = NodeConfig {
        id: assignment.id,
        name: assignment.name.clone(),
        secret,
        transport: transport::Config::loopback(),
        engine: engine::Config::default(),
    };
    let equip = |completions| {
        equip(&assignment, completions).map_err(|message| SupervisedError::Equipment { message })
    };
    let node = Node::start(config, equip, Box::new(|_| {})).inspect_err(|error| {
        // If nobody reads it, the parent is gone and so is this process soon.
        let _unread = report(&Started::Failed(error.to_string()));
    })?;
    report(&Started::Ready(node.addr())).map_err(SupervisedError::Parent)?;
    node.wait();
    Err(SupervisedError::Stopped)
}

fn report(started: &Started) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(started.to_line().as_bytes())?;
    stdout.flush()
}

/// Ends this process when its parent lets go of its standard input.
///
/// This has a thread of its own, since all others may be busy or stuck.
fn exit_with_parent() -> Result<(), TransportError> {
    let watch = || {
        let mut stdin = io::stdin().lock();
        let mut byte = [0];
        // The parent writes no more; an error is as good as the end.
        while stdin.read(&mut byte).is_ok_and(|bytes| bytes > 0) {}
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("adsum-parent".to_owned())
        .spawn(watch)
        .map(drop)
        .map_err(TransportError::Thread)
}
