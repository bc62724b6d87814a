//! Which of a machine's processors take part in a reduction.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::backend::DeviceInfo;
#[cfg(feature = "gpu")]
use crate::backend::DeviceKind;
#[cfg(feature = "gpu")]
use crate::gpu::{self, Adapter};

/// Input of fewer bytes is not worth the start of a GPU, unless one is named.
///
/// Starting an adapter takes 20 to 200 ms, in which two cores reduce this much.
pub const AUTO_GPU_BYTES_MIN: u64 = 8 << 30;

/// One `--device`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// The CPU, and every hardware GPU where the input is worth its start.
    Auto,
    /// The CPU.
    Cpu,
    /// Every hardware GPU, or the software adapter where there is none.
    Gpu,
    /// A device by its id (`gpu:0`) or a part of its name.
    Named(String),
}

impl FromStr for DeviceChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<DeviceChoice, Infallible> {
        Ok(match text {
            "auto" => DeviceChoice::Auto,
            "cpu" => DeviceChoice::Cpu,
            "gpu" => DeviceChoice::Gpu,
            name => DeviceChoice::Named(name.to_owned()),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceChoice::Auto => "auto",
            DeviceChoice::Cpu => "cpu",
            DeviceChoice::Gpu => "gpu",
            DeviceChoice::Named(name) => name,
        })
    }
}

/// The devices that were chosen.
#[derive(Default)]
pub struct Selection {
    /// Whether the CPU's threads take part.
    pub cpu: bool,
    /// The adapters that take part.
    #[cfg(feature = "gpu")]
    pub adapters: Vec<Adapter>,
    /// What the user should know about the choice.
    pub warnings: Vec<String>,
}

impl Selection {
    /// Number of adapters that take part.
    pub fn adapter_count(&self) -> usize {
        #[cfg(feature = "gpu")]
        return self.adapters.len();
        #[cfg(not(feature = "gpu"))]
        0
    }
}

/// Why a choice of devices cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// `--device gpu` on a machine without any adapter.
    #[error(
        "no GPU found for '--device gpu'; install a driver (on Debian 'mesa-vulkan-drivers libvulkan1' has a software one), or use '--device cpu'"
    )]
    NoGpu,
    /// A name that no device has.
    #[error("no device matches '--device {wanted}'; this machine has {}", list(available))]
    Unknown {
        /// The name as it was given.
        wanted: String,
        /// The devices of this machine.
        available: Vec<DeviceInfo>,
    },
    /// A name that several devices have.
    #[error("'--device {wanted}' matches {}; name one of them by its id", list(matches))]
    Ambiguous {
        /// The name as it was given.
        wanted: String,
        /// The devices it matches.
        matches: Vec<DeviceInfo>,
    },
}

fn list(devices: &[DeviceInfo]) -> String {
    let names: Vec<String> =
        devices.iter().map(|device| format!("{} ({})", device.id, device.name)).collect();
    names.join(", ")
}

/// Picks the devices for an input of `input_bytes`, or of unknown size, which
/// is a pipe: too slow for a GPU to pay.
///
/// Without a choice it is [`DeviceChoice::Auto`]. Adapters are looked for only
/// where one may be used, because that takes time.
///
/// # Errors
/// A device that this machine does not have, or a name that fits several.
pub fn select(
    choices: &[DeviceChoice],
    input_bytes: Option<u64>,
) -> Result<Selection, DeviceError> {
    let choices = if choices.is_empty() { &[DeviceChoice::Auto] } else { choices };
    let mut selection = Selection::default();
    let worth_a_gpu = input_bytes.is_some_and(|bytes| bytes >= AUTO_GPU_BYTES_MIN);
    let mut machine = Machine::default();
    for choice in choices {
        match choice {
            DeviceChoice::Auto => {
                selection.cpu = true;
                if worth_a_gpu {
                    machine.add_hardware(&mut selection);
                }
            }
            DeviceChoice::Cpu => selection.cpu = true,
            DeviceChoice::Gpu => machine.add_any_gpu(&mut selection)?,
            DeviceChoice::Named(name) => machine.add_named(name, &mut selection)?,
        }
    }
    Ok(selection)
}

/// The adapters of this machine, listed when they are first asked for.
#[derive(Default)]
struct Machine {
    #[cfg(feature = "gpu")]
    adapters: Option<Vec<Adapter>>,
}

#[cfg(feature = "gpu")]
impl Machine {
    fn adapters(&mut self) -> &[Adapter] {
        self.adapters.get_or_insert_with(gpu::adapters)
    }

    fn add_hardware(&mut self, selection: &mut Selection) {
        for adapter in self.adapters().iter().filter(|adapter| is_hardware(adapter)) {
            selection.add(adapter);
        }
    }

    fn add_any_gpu(&mut self, selection: &mut Selection) -> Result<(), DeviceError> {
        let before = selection.adapters.len();
        self.add_hardware(selection);
        if selection.adapters.len() > before {
            return Ok(());
        }
        let software = self.adapters().first().ok_or(DeviceError::NoGpu)?;
        if is_hardware(software) {
            return Ok(());
        }
        selection.warnings.push(format!(
            "no hardware GPU found: using the software adapter {} ({}), which is slower than the CPU",
            software.info().id,
            software.info().name
        ));
        selection.add(software);
        Ok(())
    }

    fn add_named(&mut self, wanted: &str, selection: &mut Selection) -> Result<(), DeviceError> {
        let adapters = self.adapters();
        if let Some(adapter) = adapters.iter().find(|adapter| adapter.info().id == wanted) {
            selection.add(adapter);
            return Ok(());
        }
        let folded = wanted.to_lowercase();
        let fits = |adapter: &&Adapter| {
            !folded.is_empty() && adapter.info().name.to_lowercase().contains(&folded)
        };
        let matches: Vec<&Adapter> = adapters.iter().filter(fits).collect();
        let infos = |adapters: &[&Adapter]| -> Vec<DeviceInfo> {
            adapters.iter().map(|adapter| adapter.info().clone()).collect()
        };
        match &matches[..] {
            [adapter] => {
                selection.add(adapter);
                Ok(())
            }
            [] => {
                let mut available = vec![crate::backend::cpu::device_info()];
                available.extend(adapters.iter().map(|adapter| adapter.info().clone()));
                Err(DeviceError::Unknown { wanted: wanted.to_owned(), available })
            }
            several => {
                Err(DeviceError::Ambiguous { wanted: wanted.to_owned(), matches: infos(several) })
            }
        }
    }
}

#[cfg(feature = "gpu")]
impl Selection {
    /// Adds an adapter once, however often it was named.
    fn add(&mut self, adapter: &Adapter) {
        if self.adapters.iter().all(|known| known.info().id != adapter.info().id) {
            self.adapters.push(adapter.clone());
        }
    }
}

#[cfg(feature = "gpu")]
fn is_hardware(adapter: &Adapter) -> bool {
    adapter.info().kind != DeviceKind::Software
}

#[cfg(not(feature = "gpu"))]
impl Machine {
    fn add_hardware(&mut self, _selection: &mut Selection) {}

    fn add_any_gpu(&mut self, _selection: &mut Selection) -> Result<(), DeviceError> {
        Err(DeviceError::NoGpu)
    }

    fn add_named(&mut self, wanted: &str, _selection: &mut Selection) -> Result<(), DeviceError> {
        let available = vec![crate::backend::cpu::device_info()];
        Err(DeviceError::Unknown { wanted: wanted.to_owned(), available })
    }
}
