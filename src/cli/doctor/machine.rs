//! Processors, memory and disk.

use std::path::Path;

use super::super::config::{self, Loaded, Settings};
use super::super::devices;
use super::super::exit::Blame;
use super::super::report::decimal_bytes;
use super::{Check, late, within};
use crate::executor::{self, ExecutorError};
use crate::os;
use crate::sink::{NewFile, SinkError};

/// A data directory with less room is told of: results and copies do not fit for long.
const FREE_BYTES_MIN: u64 = 1 << 30;

pub fn checks(loaded: &Loaded, settings: &Settings) -> Vec<Check> {
    let mut checks = adapters();
    checks.push(chosen(settings));
    checks.extend(memory(settings.memory.value));
    if let Some(data) = &loaded.config.node.data {
        checks.push(disk(loaded, data));
    }
    checks
}

/// Each processor with its self-test.
fn adapters() -> Vec<Check> {
    let cpu = devices::cpu_row();
    let threads = cpu.limits.iter().find(|(name, _)| *name == "threads").map_or(1, |limit| limit.1);
    let mut checks = vec![Check::ok("device cpu", format!("{}, {threads} threads", cpu.info.name))];
    let what = "adapters";
    let fix = "reduce with '--device cpu', and see that the driver of the card works";
    let Some(adapters) = within(devices::adapters) else {
        checks.push(Check::failure(what, late(), fix, Blame::Device));
        return checks;
    };
    if adapters.is_empty() {
        checks.push(Check::ok(
            what,
            match cfg!(feature = "gpu") {
                true => "none, so the CPU reduces",
                false => "this adsum was built without the 'gpu' feature, so the CPU reduces",
            },
        ));
    }
    for (info, test) in adapters {
        let what = format!("device {}", info.id);
        checks.push(match within(test) {
            None => {
                let fix = "see 'adsum devices', which waits for it";
                Check::warning(what, format!("{}, self-test: {}", info.name, late()), fix)
            }
            Some(row) if row.usable => {
                Check::ok(what, format!("{}, self-test {}", info.name, row.self_test))
            }
            Some(row) => {
                let value = format!("{}, self-test: {}", info.name, row.self_test);
                Check::failure(what, value, fix, Blame::Device)
            }
        });
    }
    checks
}

/// Whether a node can start with what the environment and the file say.
fn chosen(settings: &Settings) -> Check {
    let what = "settings";
    let devices: Vec<String> = settings.device.value.iter().map(ToString::to_string).collect();
    let (threads, memory) = (settings.threads.value, settings.memory.value);
    let wanted = executor::Settings {
        devices: settings.device.value.clone(),
        threads: threads as usize,
        memory_bytes: memory,
        tile_bytes: None,
        map_files: false,
        input_bytes: Some(u64::MAX),
        remember_bytes: 0,
    };
    match within(move || executor::check(&wanted)) {
        Some(Ok(())) => Check::ok(
            what,
            format!(
                "device {}, threads {threads}, memory {}",
                devices.join(","),
                config::size(memory)
            ),
        ),
        Some(Err(error @ ExecutorError::Memory(_))) => Check::failed(what, error, Blame::Internal),
        Some(Err(error)) => Check::failed(what, error, Blame::Device),
        None => Check::failure(what, late(), "say '--device cpu'", Blame::Device),
    }
}

/// Whether a node finds the memory that it may take, where the system tells.
fn memory(wanted: u64) -> Option<Check> {
    let available = available_memory()?;
    let value = format!(
        "{} available, a node takes up to {}",
        decimal_bytes(available),
        config::size(wanted)
    );
    Some(match available < wanted {
        false => Check::ok("memory", value),
        true => Check::warning("memory", value, "say a smaller '--memory', or end other programs"),
    })
}

fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The data directory of the section `[node]`.
fn disk(loaded: &Loaded, data: &Path) -> Check {
    let what = "data directory";
    let name = data.display();
    let file = loaded.path.as_deref().unwrap_or(Path::new("")).display().to_string();
    let correct = format!("make it, or correct 'data' in the section [node] of {file}");
    let path = data.to_owned();
    let looked = within(move || {
        let metadata = std::fs::metadata(&path)?;
        std::fs::read_dir(&path)?;
        Ok::<_, std::io::Error>((metadata.is_dir(), os::free_bytes(&path)?, unwritable(&path)))
    });
    match looked {
        None => {
            let value = format!("{name}: {}", late());
            Check::failure(what, value, "see that its file system answers", Blame::Internal)
        }
        Some(Err(error)) => {
            Check::failure(what, format!("{name}: {error}"), correct, Blame::Internal)
        }
        Some(Ok((false, ..))) => {
            Check::failure(what, format!("{name} is no directory"), correct, Blame::Internal)
        }
        Some(Ok((true, _, Some(why)))) => {
            let fix = "mount it writable, or let the user that runs the node write there; until then 'adsum put' passes this node over, and it starts only with '--state DIR' elsewhere";
            Check::warning(what, format!("{name} cannot be written: {why}"), fix)
        }
        Some(Ok((true, None, None))) => Check::ok(what, name),
        Some(Ok((true, Some(free), None))) => {
            let value = format!("{name}, {} free", decimal_bytes(free));
            match free < FREE_BYTES_MIN {
                false => Check::ok(what, value),
                true => Check::warning(what, value, "make room there"),
            }
        }
    }
}

/// Why no file can be made in a directory. Permissions alone do not tell, so one is made,
/// hidden and empty, and taken away again.
fn unwritable(directory: &Path) -> Option<String> {
    match NewFile::create(&directory.join(".adsum-doctor"), true) {
        Ok(_removed) => None,
        Err(SinkError::Io { source, .. }) => Some(source.to_string()),
        Err(error) => Some(error.to_string()),
    }
}
