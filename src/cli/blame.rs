//! Whose fault each error of the library is.

use std::time::Duration;

use super::exit::{Blame, Failure};
#[cfg(feature = "net")]
use crate::driver::RequestError;
use crate::engine::JobError;
use crate::executor::ExecutorError;
use crate::finish::FinishError;
#[cfg(feature = "net")]
use crate::inventory::InventoryError;
use crate::local::LocalError;
use crate::manifest::ManifestError;
#[cfg(feature = "net")]
use crate::node::cluster::ClusterError;
use crate::rounds::edges::EdgesError;
use crate::rounds::quantile::QuantileError;
use crate::shard::{ShardError, ShardErrorKind};
use crate::sink::SinkError;
use crate::source::SourceError;
#[cfg(feature = "net")]
use crate::transport::{LinkError, TransportError};

/// The failure of a job that had what was left of the deadline: it names the
/// whole of it, as the user gave it.
pub fn job_failure(error: JobError, deadline: Option<Duration>) -> Failure {
    match (error, deadline) {
        (JobError::Deadline { unfinished, .. }, Some(limit)) => {
            Failure::from(JobError::Deadline { limit, unfinished })
        }
        (error, _) => Failure::from(error),
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Failure {
        let blame = if error.is_usage() { Blame::Usage } else { Blame::Input };
        Failure::new(blame, error)
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Failure {
        let blame = if error.is_usage() { Blame::Usage } else { Blame::Internal };
        Failure::new(blame, error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Failure {
        Failure::new(Blame::Input, error)
    }
}

impl From<QuantileError> for Failure {
    fn from(error: QuantileError) -> Failure {
        let blame = match error {
            QuantileError::Empty { .. } => Blame::Input,
            _ => Blame::Usage,
        };
        Failure::new(blame, error)
    }
}

impl From<EdgesError> for Failure {
    fn from(error: EdgesError) -> Failure {
        let blame = match error {
            EdgesError::DataNotFinite { .. } | EdgesError::Spacing { .. } => Blame::Input,
            _ => Blame::Usage,
        };
        Failure::new(blame, error)
    }
}

impl From<FinishError> for Failure {
    fn from(error: FinishError) -> Failure {
        Failure::new(Blame::Input, error)
    }
}

impl From<ExecutorError> for Failure {
    fn from(error: ExecutorError) -> Failure {
        let blame = match &error {
            ExecutorError::Device(_) | ExecutorError::NoneWorks { .. } => Blame::Device,
            ExecutorError::Memory(_) => Blame::Usage,
            ExecutorError::Threads(_) => Blame::Internal,
        };
        Failure::new(blame, error)
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Failure {
        match error {
            LocalError::Job(error) => Failure::from(error),
            LocalError::Stream(error) => Failure::from(error),
            LocalError::Shard(error) => Failure::new(blame_of_shard(&error), error),
            LocalError::StreamDeadline { .. } => Failure::new(Blame::Deadline, error),
            LocalError::Submit(_) => Failure::new(Blame::Usage, error),
            LocalError::Stopped => Failure::new(Blame::Interrupted, error),
            LocalError::Internal(_) => Failure::new(Blame::Internal, error),
        }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Failure {
        let blame = match &error {
            JobError::Incomplete { .. } => Blame::Incomplete,
            JobError::Deadline { .. } => Blame::Deadline,
            JobError::Shard { error, .. } => blame_of_shard(error),
            JobError::Cancelled => Blame::Interrupted,
        };
        Failure::new(blame, error)
    }
}

fn blame_of_shard(error: &ShardError) -> Blame {
    match error.kind {
        ShardErrorKind::Unreadable | ShardErrorKind::Changed => Blame::Input,
        ShardErrorKind::NoBackend => Blame::Device,
        ShardErrorKind::Internal => Blame::Internal,
    }
}

#[cfg(feature = "net")]
impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Failure {
        let blame = match &error {
            ClusterError::Connect { error: LinkError::Identity, .. } => Blame::Identity,
            ClusterError::Connect { .. }
            | ClusterError::Start { .. }
            | ClusterError::Timeout { .. } => Blame::Cluster,
            ClusterError::Program(_)
            | ClusterError::Spawn { .. }
            | ClusterError::Transport(_)
            | ClusterError::Secret(_) => Blame::Internal,
        };
        Failure::new(blame, error)
    }
}

#[cfg(feature = "net")]
impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Failure {
        Failure::new(Blame::Input, error)
    }
}

#[cfg(feature = "net")]
impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Failure {
        let blame = match &error {
            TransportError::Bind { source, .. }
                if source.kind() == std::io::ErrorKind::AddrNotAvailable =>
            {
                Blame::Usage
            }
            _ => Blame::Internal,
        };
        Failure::new(blame, error)
    }
}

#[cfg(feature = "net")]
impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Failure {
        match error {
            RequestError::Submit(_) => Failure::new(Blame::Usage, error),
            RequestError::Job(error) => Failure::from(error),
            RequestError::Stopped => Failure::new(Blame::Internal, error),
        }
    }
}
