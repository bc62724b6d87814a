//! What holds without any flag, and where it comes from.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr as _;

use super::super::args::{MEMORY_BYTES, THREADS_MAX, parse_size};
use super::super::exit::{Blame, Failure};
use super::{Config, directory};
use crate::device::DeviceChoice;

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This variable.
    Environment(&'static str),
    /// `config.toml`.
    File,
    /// Nobody said anything.
    Default,
}

/// What holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub source: Source,
}

/// What all commands share.
#[derive(Clone, Debug)]
pub struct Settings {
    pub threads: Setting<u64>,
    pub memory: Setting<u64>,
    pub device: Setting<Vec<DeviceChoice>>,
    /// Where the secret is looked for; `None` where the user has no home.
    pub token: Setting<Option<PathBuf>>,
}

impl Settings {
    /// What the environment says, else the file, else what is built in.
    ///
    /// # Errors
    /// A variable makes no sense.
    pub fn new(config: &Config) -> Result<Settings, Failure> {
        let threads = |text: &str| match text.parse() {
            Ok(threads @ 1..=THREADS_MAX) => Ok(threads),
            _ => Err(format!("use 1 to {THREADS_MAX}")),
        };
        let devices =
            |text: &str| text.split(',').map(DeviceChoice::from_str).collect::<Result<Vec<_>, _>>();
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let device = Some(config.device.clone()).filter(|devices| !devices.is_empty());
        Ok(Settings {
            threads: setting("ADSUM_THREADS", threads, config.threads, cores)?,
            memory: setting("ADSUM_MEMORY", parse_size, config.memory, || MEMORY_BYTES)?,
            device: setting("ADSUM_DEVICE", devices, device, || vec![DeviceChoice::Auto])?,
            token: match std::env::var_os("ADSUM_TOKEN_FILE") {
                Some(path) => Setting {
                    value: Some(PathBuf::from(path)),
                    source: Source::Environment("ADSUM_TOKEN_FILE"),
                },
                None => Setting {
                    value: directory().map(|directory| directory.join("token")),
                    source: Source::Default,
                },
            },
        })
    }
}

fn setting<T, E: Display>(
    variable: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
    file: Option<T>,
    default: impl FnOnce() -> T,
) -> Result<Setting<T>, Failure> {
    if let Some(text) = std::env::var_os(variable) {
        let text = text.to_string_lossy();
        let value = parse(&text).map_err(|advice| {
            let message = format!("'{text}' makes no sense in the variable {variable}: {advice}");
            Failure::new(Blame::Usage, message)
        })?;
        return Ok(Setting { value, source: Source::Environment(variable) });
    }
    Ok(match file {
        Some(value) => Setting { value, source: Source::File },
        None => Setting { value: default(), source: Source::Default },
    })
}
