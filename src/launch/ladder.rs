//! The launchers, one after the other.

use crate::launch::slurm;
use crate::launch::{
    Environment, Given, LaunchError, Launcher, Local, Place, RANKS_MAX, SecretSource, variable,
};

/// The variables in which a launcher says all that it knows of a place.
struct Names {
    launcher: Launcher,
    rank: &'static str,
    size: &'static str,
    /// Pairs of local rank and local size, of which the first that is set holds.
    local: &'static [(&'static str, &'static str)],
}

const OPEN_MPI: Names = Names {
    launcher: Launcher::OpenMpi,
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
    local: &[("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")],
};

const PMI: Names = Names {
    launcher: Launcher::Pmi,
    rank: "PMI_RANK",
    size: "PMI_SIZE",
    local: &[("MPI_LOCALRANKID", "MPI_LOCALNRANKS"), ("PMI_LOCAL_RANK", "PMI_LOCAL_SIZE")],
};

const TORCHRUN: Names = Names {
    launcher: Launcher::Torchrun,
    rank: "RANK",
    size: "WORLD_SIZE",
    local: &[("LOCAL_RANK", "LOCAL_WORLD_SIZE")],
};

const ADSUM: Names = Names {
    launcher: Launcher::Adsum,
    rank: variable::RANK,
    size: variable::SIZE,
    local: &[(variable::LOCAL_RANK, variable::LOCAL_SIZE)],
};

const PMIX_RANK: &str = "PMIX_RANK";
const KUBERNETES_RANK: &str = "JOB_COMPLETION_INDEX";

/// The place of this process, by the first launcher that says anything.
pub(super) fn place(
    given: &Given,
    environment: &Environment,
) -> Result<(Place, Launcher), LaunchError> {
    if let Some(place) = by_arguments(given)? {
        return Ok((place, Launcher::Given));
    }
    // A size alone completes a launcher that says only the rank.
    let rank_alone = [PMIX_RANK, KUBERNETES_RANK].map(|name| environment.text(name).is_some());
    let is_size_alone = environment.text(variable::RANK).is_none() && rank_alone.contains(&true);
    let mut found = if is_size_alone { None } else { by_names(&ADSUM, environment)? };
    for names in [&OPEN_MPI, &PMI, &TORCHRUN] {
        if found.is_none() {
            found = by_names(names, environment)?;
        }
    }
    if found.is_none() {
        found = slurm::place(environment)?.map(|place| (place, Launcher::Slurm));
    }
    for (launcher, rank, advice) in [
        (
            Launcher::Pmix,
            PMIX_RANK,
            "PMIx says the rank alone, so set ADSUM_SIZE to the number of ranks",
        ),
        (
            Launcher::Kubernetes,
            KUBERNETES_RANK,
            "set ADSUM_SIZE to the job's 'completions', which must equal its 'parallelism'",
        ),
    ] {
        if found.is_none() {
            found = by_rank(rank, advice, environment)?.map(|place| (place, launcher));
        }
    }
    let (place, launcher) = found.ok_or(LaunchError::NoLauncher {
        hint: if slurm::is_allocation(environment) {
            "; this is a Slurm job but no step of it, so put 'srun' before the program"
        } else {
            ""
        },
    })?;
    match environment.number(variable::SIZE)? {
        Some(size) if size != place.size => Err(LaunchError::Contradiction {
            first: variable::SIZE,
            first_value: size,
            second: size_variable(launcher),
            second_value: place.size,
            advice: "unset the one that is not meant, or set ADSUM_RANK as well",
        }),
        _ => Ok((place, launcher)),
    }
}

fn by_arguments(given: &Given) -> Result<Option<Place>, LaunchError> {
    let advice = "give both or neither";
    match (given.rank, given.size) {
        (None, None) => Ok(None),
        (Some(rank), Some(size)) => checked(("the rank", rank), ("the size", size), None).map(Some),
        (Some(value), None) => {
            Err(LaunchError::HalfSet { set: "the rank", value, missing: "the size", advice })
        }
        (None, Some(value)) => {
            Err(LaunchError::HalfSet { set: "the size", value, missing: "the rank", advice })
        }
    }
}

fn by_names(
    names: &Names,
    environment: &Environment,
) -> Result<Option<(Place, Launcher)>, LaunchError> {
    let &Names { launcher, rank, size, local } = names;
    let advice = "set both, or neither where another launcher is meant";
    let place = match (environment.number(rank)?, environment.number(size)?) {
        (None, None) => return Ok(None),
        (Some(value), None) => {
            return Err(LaunchError::HalfSet { set: rank, value, missing: size, advice });
        }
        (None, Some(value)) => {
            return Err(LaunchError::HalfSet { set: size, value, missing: rank, advice });
        }
        (Some(rank_value), Some(size_value)) => {
            let local = first_local(local, environment)?;
            checked((rank, rank_value), (size, size_value), local)?
        }
    };
    Ok(Some((place, launcher)))
}

fn by_rank(
    name: &'static str,
    advice: &'static str,
    environment: &Environment,
) -> Result<Option<Place>, LaunchError> {
    let Some(rank) = environment.number(name)? else { return Ok(None) };
    let missing = variable::SIZE;
    let size = environment.number(missing)?.ok_or(LaunchError::HalfSet {
        set: name,
        value: rank,
        missing,
        advice,
    })?;
    checked((name, rank), (missing, size), None).map(Some)
}

/// A value and the variable that it comes from.
pub(super) type Named = (&'static str, u32);

fn first_local(
    pairs: &[(&'static str, &'static str)],
    environment: &Environment,
) -> Result<Option<(Named, Option<Named>)>, LaunchError> {
    for &(rank_name, size_name) in pairs {
        if let Some(rank) = environment.number(rank_name)? {
            let size = environment.number(size_name)?.map(|size| (size_name, size));
            return Ok(Some(((rank_name, rank), size)));
        }
    }
    Ok(None)
}

/// A place that makes sense.
pub(super) fn checked(
    rank: Named,
    size: Named,
    local: Option<(Named, Option<Named>)>,
) -> Result<Place, LaunchError> {
    let inside = |rank: Named, size: Named| match rank.1 < size.1 {
        true => Ok(()),
        false => Err(LaunchError::RankOutside {
            rank_variable: rank.0,
            rank: rank.1,
            size_variable: size.0,
            size: size.1,
        }),
    };
    inside(rank, size)?;
    if size.1 > RANKS_MAX {
        return Err(LaunchError::TooMany { variable: size.0, size: size.1 });
    }
    if let Some((local_rank, local_size)) = local {
        inside(local_rank, local_size.unwrap_or(size))?;
        if let Some(local_size) = local_size
            && local_size.1 > size.1
        {
            return Err(LaunchError::Contradiction {
                first: local_size.0,
                first_value: local_size.1,
                second: size.0,
                second_value: size.1,
                advice: "a machine has no more ranks than there are",
            });
        }
    }
    let local = local.map(|(rank, size)| Local { rank: rank.1, size: size.map(|size| size.1) });
    Ok(Place { rank: rank.1, size: size.1, local })
}

fn size_variable(launcher: Launcher) -> &'static str {
    match launcher {
        Launcher::Given => "the size",
        Launcher::Adsum | Launcher::Pmix | Launcher::Kubernetes => variable::SIZE,
        Launcher::OpenMpi => OPEN_MPI.size,
        Launcher::Pmi => PMI.size,
        Launcher::Torchrun => TORCHRUN.size,
        Launcher::Slurm => slurm::SIZE,
    }
}

/// What the launcher calls the job, if any of them has a name for it.
pub(super) fn job(environment: &Environment) -> Result<String, LaunchError> {
    if let Some(step) = slurm::step(environment)? {
        return Ok(step);
    }
    // Open MPI from 5 on, and every other launcher with PMIx.
    if let Some(name) = environment.text("PMIX_NAMESPACE") {
        return Ok(format!("pmix {name}"));
    }
    if let Some(id) = environment.text("TORCHELASTIC_RUN_ID") {
        // The id is 'none' unless somebody chose one; the port tells runs on
        // one machine apart.
        let port = environment.text("MASTER_PORT").unwrap_or("");
        return Ok(format!("torchrun {id} {port}"));
    }
    Ok(String::new())
}

/// Where the secret comes from.
pub(super) fn secret(
    given: &Given,
    environment: &Environment,
    place: Place,
) -> Result<Option<SecretSource>, LaunchError> {
    if let Some(path) = &given.token_file {
        return Ok(Some(SecretSource::File(path.clone())));
    }
    let instead = "ADSUM_TOKEN_FILE says where the token is";
    if let Some(fd) = open_file(variable::TOKEN_FD, instead, environment)? {
        return Ok(Some(SecretSource::Pipe(fd)));
    }
    match environment.text(variable::TOKEN_FILE) {
        Some(path) => Ok(Some(SecretSource::File(path.into()))),
        None if place.size == 1 => Ok(None),
        None => Err(LaunchError::NoSecret { size: place.size }),
    }
}

/// The socket on which rank 0 is to listen, where `ADSUM_ROOT` says where rank 0 is.
pub(super) fn listener(
    given: &Given,
    environment: &Environment,
    place: Place,
) -> Result<Option<i32>, LaunchError> {
    let is_told = given.root.is_none() && environment.text(variable::ROOT).is_some();
    match place.rank == 0 && is_told {
        true => open_file(variable::ROOT_FD, "rank 0 needs none", environment),
        false => Ok(None),
    }
}

/// The number of an open file that this process was started with.
fn open_file(
    variable: &'static str,
    instead: &'static str,
    environment: &Environment,
) -> Result<Option<i32>, LaunchError> {
    let Some(value) = environment.text(variable) else { return Ok(None) };
    // The first three are standard input, output and error.
    match value.parse().ok().filter(|&fd: &i32| fd > 2) {
        Some(fd) => Ok(Some(fd)),
        None => Err(LaunchError::OpenFile { variable, value: value.to_owned(), instead }),
    }
}
