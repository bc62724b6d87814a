//! `config.toml`: what is not said on the command line nor in the environment.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::args::{BenchCommand, Command, DaemonArgs, RunArgs, ViaArgs};
use super::exit::{Blame, Failure};
use crate::os;

mod file;
mod settings;
mod show;

pub use file::Config;
pub use settings::{Settings, Source};
pub use show::run;
#[cfg(feature = "net")]
pub use show::size;

/// The variable that names another file.
const VARIABLE: &str = "ADSUM_CONFIG";

/// The most bytes of the file: much more than anybody writes by hand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file, and what stands in it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Where the file is or would be; `None` where the user has no home.
    pub path: Option<PathBuf>,
    /// Whether it is there.
    pub found: bool,
    /// What it says, or nothing.
    pub config: Config,
}

/// The directory of adsum in the user's configuration.
pub fn directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let configuration = if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")))
    };
    configuration.map(|directory| directory.join("adsum"))
}

/// Where the file is looked for.
pub fn path() -> Option<PathBuf> {
    given().or_else(|| directory().map(|directory| directory.join("config.toml")))
}

fn given() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Reads the file. That there is none is no error, unless one was named.
pub fn load() -> Result<Loaded, Failure> {
    let Some(path) = path() else {
        return Ok(Loaded::default());
    };
    match read(&path)? {
        None if given().is_some() => Err(usage(format!(
            "there is no configuration file '{}', which {VARIABLE} names; make one, or unset {VARIABLE}",
            path.display()
        ))),
        None => Ok(Loaded { path: Some(path), ..Loaded::default() }),
        Some(text) => {
            let config = Config::parse(&text, &path).map_err(usage)?;
            Ok(Loaded { path: Some(path), found: true, config })
        }
    }
}

/// The text of the file, or `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        let advice = "correct it, or name another by ADSUM_CONFIG";
        usage(format!("the configuration file '{name}' cannot be read: {error}; {advice}"))
    };
    let file = match os::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // The home of another user, as programs that change users have it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && is_hidden(path) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(usage(format!(
            "the configuration file '{name}' has more than {FILE_BYTES_MAX} bytes, so it is none; name another by ADSUM_CONFIG"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        usage(format!("in '{name}', line {line}: not UTF-8; save the file as UTF-8"))
    })?;
    Ok(Some(text))
}

/// Whether this user cannot even tell if there is such a file.
fn is_hidden(path: &Path) -> bool {
    path.metadata().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Completes a command line with what the file says, where the command uses it.
pub fn apply(command: &mut Command) -> Result<(), Failure> {
    match command {
        // These must work whatever stands in the file, and look into it themselves.
        Command::Config(_) | Command::Doctor(_) => Ok(()),
        Command::Node(args) if !args.supervised => {
            load()?.config.complete_node(args);
            Ok(())
        }
        Command::Bench { what: BenchCommand::Cpu(args) } => {
            args.threads = args.threads.or(load()?.config.threads);
            Ok(())
        }
        Command::Bench { what: BenchCommand::Files(args) } => {
            args.threads = args.threads.or(load()?.config.threads);
            Ok(())
        }
        other => {
            if other.via_mut().is_none() {
                return Ok(());
            }
            let config = load()?.config;
            if let Some(run) = other.run_mut() {
                config.complete_run(run);
            }
            other.via_mut().map_or(Ok(()), |via| config.complete_via(via))
        }
    }
}

impl Config {
    fn complete_run(&self, run: &mut RunArgs) {
        run.threads = run.threads.or(self.threads);
        run.memory = run.memory.or(self.memory);
        if run.device.is_empty() {
            run.device.clone_from(&self.device);
        }
    }

    fn complete_node(&self, args: &mut DaemonArgs) {
        let node = &self.node;
        args.threads = args.threads.or(self.threads);
        args.memory = args.memory.or(self.memory);
        args.bind = args.bind.or(node.bind);
        for (given, ours) in [
            (&mut args.token, &node.token),
            (&mut args.data, &node.data),
            (&mut args.state, &node.state),
        ] {
            *given = given.take().or_else(|| ours.clone());
        }
        args.name = args.name.take().or_else(|| node.name.clone());
        if args.device.is_empty() {
            args.device.clone_from(&self.device);
        }
        if args.advertise.is_empty() {
            args.advertise.clone_from(&node.advertise);
        }
        if args.join.is_empty() {
            args.join.clone_from(&node.join);
        }
    }

    /// Puts the nodes of clusters in the place of their names.
    pub fn complete_via(&self, via: &mut ViaArgs) -> Result<(), Failure> {
        let mut token: Option<(&str, &Path)> = None;
        for endpoint in std::mem::take(&mut via.via) {
            let named = endpoint.bare().and_then(|name| self.cluster.get_key_value(name));
            let Some((name, profile)) = named else {
                via.via.push(endpoint);
                continue;
            };
            via.via.extend(profile.nodes.iter().cloned());
            match (token, &profile.token) {
                (Some((other, first)), Some(second)) if first != second && via.token.is_none() => {
                    return Err(usage(format!(
                        "the clusters '{other}' and '{name}' of config.toml have different tokens, '{}' and '{}'; name one of them, or say '--token FILE'",
                        first.display(),
                        second.display()
                    )));
                }
                (None, Some(own)) => token = Some((name, own)),
                _ => {}
            }
        }
        if via.token.is_none() {
            via.token = token.map(|(_, path)| path.to_owned());
        }
        Ok(())
    }
}

fn usage(message: String) -> Failure {
    Failure::new(Blame::Usage, message)
}

#[cfg(test)]
mod tests;
