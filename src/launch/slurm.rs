//! What Slurm says inside a step.
//!
//! A batch script and an allocation have `SLURM_PROCID=0` and `SLURM_NTASKS`
//! too, although they are one process that stands for no task; only a step has
//! an id of its own.

use crate::launch::ladder::checked;
use crate::launch::{Environment, LaunchError, Place, expand};

/// How many tasks a step has.
pub(super) const SIZE: &str = "SLURM_STEP_NUM_TASKS";

const RANK: &str = "SLURM_PROCID";
/// How many tasks the allocation has; of old versions, and of a step that was
/// not asked for fewer.
const ALLOCATION_SIZE: &str = "SLURM_NTASKS";
const STEP: &str = "SLURM_STEP_ID";
const LOCAL_RANK: &str = "SLURM_LOCALID";
const TASKS_PER_NODE: &str = "SLURM_STEP_TASKS_PER_NODE";
const NODE: &str = "SLURM_NODEID";
const NODES: &str = "SLURM_STEP_NODELIST";
const JOB: &str = "SLURM_JOB_ID";

/// Ids from here on stand for what is no step of tasks: the batch script, the
/// shell of an allocation, processes adopted from outside.
const SPECIAL_STEPS: u32 = 0xffff_fff0;

/// Whether this is a Slurm job, in a step of it or not.
pub(super) fn is_allocation(environment: &Environment) -> bool {
    environment.text(JOB).is_some()
}

/// The step's name, in a step.
pub(super) fn step(environment: &Environment) -> Result<Option<String>, LaunchError> {
    let step = environment.number(STEP)?.filter(|&id| id < SPECIAL_STEPS);
    let job = environment.text(JOB).unwrap_or("");
    Ok(step.map(|step| format!("slurm {job}.{step}")))
}

/// The place of this task, in a step.
pub(super) fn place(environment: &Environment) -> Result<Option<Place>, LaunchError> {
    if step(environment)?.is_none() {
        return Ok(None);
    }
    let of_step = environment.number(SIZE)?.map(|size| (SIZE, size));
    let size = match of_step {
        Some(size) => Some(size),
        None => environment.number(ALLOCATION_SIZE)?.map(|size| (ALLOCATION_SIZE, size)),
    };
    let advice = "a step of Slurm has both; set ADSUM_RANK and ADSUM_SIZE otherwise";
    match (environment.number(RANK)?, size) {
        (Some(rank), Some(size)) => {
            let local = match environment.number(LOCAL_RANK)? {
                Some(rank) => Some(((LOCAL_RANK, rank), local_size(environment)?)),
                None => None,
            };
            checked((RANK, rank), size, local).map(Some)
        }
        (Some(value), None) => {
            Err(LaunchError::HalfSet { set: RANK, value, missing: SIZE, advice })
        }
        (None, Some((set, value))) => {
            Err(LaunchError::HalfSet { set, value, missing: RANK, advice })
        }
        (None, None) => Ok(None),
    }
}

/// The first host of the step, where Slurm puts rank 0.
pub(super) fn first_host(environment: &Environment) -> Result<Option<String>, LaunchError> {
    if step(environment)?.is_none() {
        return Ok(None);
    }
    let Some(value) = environment.text(NODES) else { return Ok(None) };
    let hosts = expand(value).map_err(|source| LaunchError::Hosts {
        variable: NODES,
        value: value.to_owned(),
        source,
    })?;
    Ok(hosts.into_iter().next())
}

/// How many tasks this node has, by a list as `2(x3),1`: three nodes of two
/// tasks, then one of one.
fn local_size(environment: &Environment) -> Result<Option<(&'static str, u32)>, LaunchError> {
    let (Some(value), Some(node)) = (environment.text(TASKS_PER_NODE), environment.number(NODE)?)
    else {
        return Ok(None);
    };
    let malformed = || LaunchError::Tasks { variable: TASKS_PER_NODE, value: value.to_owned() };
    let mut nodes = 0_u32;
    for part in value.split(',') {
        let (tasks, count) = match part.split_once("(x") {
            None => (part, "1"),
            Some((tasks, count)) => (tasks, count.strip_suffix(')').ok_or_else(malformed)?),
        };
        let tasks = tasks.parse().map_err(|_| malformed())?;
        let count: u32 = count.parse().map_err(|_| malformed())?;
        nodes = nodes.saturating_add(count);
        if node < nodes {
            return Ok(Some((TASKS_PER_NODE, tasks)));
        }
    }
    Err(malformed())
}
