//! The processors of a node as its driver sees them; and `adsum node --supervised`,
//! a node that `adsum sum --nodes` started.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::exit::{self, Blame, Failure};
use crate::compute::Notice;
use crate::driver::{self, Completions};
use crate::engine::Computed;
use crate::executor::{Executor, ExecutorError, Settings};
use crate::manifest::{JobId, Manifest};
use crate::node::Equipment;
use crate::node::supervised::{self, Assignment, SupervisedError};
use crate::op::Spec;
use crate::source::Resolve;

/// What the asking process tells each of its nodes.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeSettings {
    /// What the node works with.
    pub executor: Settings,
    /// Whether it keeps its warnings to itself.
    pub quiet: bool,
}

/// The arguments that start a node.
pub const ARGUMENTS: [&str; 2] = ["node", "--supervised"];

/// Is a node until the asking process ends.
pub fn run() -> Result<(), Failure> {
    match supervised::run(equip) {
        Ok(never) => match never {},
        // The parent was told and tells the user.
        Err(SupervisedError::Equipment { .. } | SupervisedError::Transport(_)) => {
            std::process::exit(i32::from(Blame::Internal as u8))
        }
        Err(error) => Err(Failure::new(Blame::Internal, error)),
    }
}

fn equip(
    assignment: &Assignment,
    completions: Completions,
) -> Result<Equipment<Processors>, String> {
    let settings: NodeSettings = postcard::from_bytes(&assignment.settings)
        .map_err(|error| format!("the settings of the node cannot be read: {error}"))?;
    let warn = {
        let (name, quiet) = (assignment.name.clone(), settings.quiet);
        move |text: &str| {
            if !quiet {
                exit::say(&format!("adsum: warning: {name}: {text}"));
            }
        }
    };
    processors(&settings.executor, None, completions, warn).map_err(|error| error.to_string())
}

/// Starts the processors of a node, over files that `resolve` finds if there is one.
/// `warn` is told what a person should know.
pub fn processors(
    settings: &Settings,
    resolve: Option<Arc<dyn Resolve>>,
    completions: Completions,
    warn: impl Fn(&str) + Clone + Send + Sync + 'static,
) -> Result<Equipment<Processors>, ExecutorError> {
    let told = warn.clone();
    let executor = Executor::start_over(settings, resolve, move |notice| match notice {
        Notice::Completed(completion) => {
            let usage = completion.usage;
            let computed = completion.outcome.map(|partial| Computed { partial, usage });
            completions.report(completion.key.job, completion.key.position, computed);
        }
        Notice::DeviceDropped(text) => told(&text),
    })?;
    executor.warnings().iter().for_each(|warning| warn(warning));
    let (workers, devices) = (executor.workers(), executor.devices().to_vec());
    Ok(Equipment { executor: Processors(executor), workers, devices })
}

/// The executor as a driver sees it.
pub struct Processors(Executor);

impl driver::Executor for Processors {
    fn start(&mut self, job: JobId, spec: Spec, manifest: &Arc<Manifest>, position: u32) {
        self.0.reduce(job, spec, manifest, position);
    }

    fn abandon(&mut self, job: JobId) {
        self.0.abandon(job);
    }
}
