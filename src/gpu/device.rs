//! Adapters, and devices opened on them.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wgpu::{DeviceType, PollType, SubmissionIndex};

use crate::backend::{BackendError, DeviceInfo, DeviceKind};

/// A graphics adapter of this machine that can compute.
#[derive(Clone, Debug)]
pub struct Adapter {
    inner: wgpu::Adapter,
    info: DeviceInfo,
}

/// What an adapter can take, as far as plans depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterLimits {
    /// The largest buffer, in bytes.
    pub buffer_bytes_max: u64,
    /// The largest part of a buffer that a shader can see, in bytes.
    pub binding_bytes_max: u64,
    /// Memory shared by the threads of a workgroup, in bytes.
    pub workgroup_bytes_max: u32,
    /// Threads of a workgroup.
    pub workgroup_threads_max: u32,
    /// Workgroups of a dispatch.
    pub workgroups_max: u32,
}

/// All adapters, hardware before software, numbered in that order; the order
/// is the drivers' and stable while they and the devices stay the same.
///
/// A device that several interfaces offer is listed once. Asking takes some
/// tens of milliseconds.
pub fn adapters() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // No validation layers, and none of the checks that lower limits.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let mut found = Vec::new();
    for backend in [wgpu::Backends::VULKAN, wgpu::Backends::METAL, wgpu::Backends::DX12] {
        let same = |a: &wgpu::AdapterInfo, b: &wgpu::AdapterInfo| {
            (a.vendor, a.device) == (b.vendor, b.device)
        };
        let before = found.len();
        for adapter in pollster::block_on(instance.enumerate_adapters(backend)) {
            let info = adapter.get_info();
            let computes = adapter
                .get_downlevel_capabilities()
                .flags
                .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
            let listed = found[..before].iter().any(|(_, other)| same(&info, other));
            if computes && !listed {
                found.push((adapter, info));
            }
        }
    }
    found.sort_by_key(|(_, info)| info.device_type == DeviceType::Cpu);
    let numbered = found.into_iter().enumerate();
    numbered.map(|(number, (inner, info))| Adapter::new(number, inner, &info)).collect()
}

impl Adapter {
    fn new(number: usize, inner: wgpu::Adapter, info: &wgpu::AdapterInfo) -> Adapter {
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu,
            DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
            DeviceType::VirtualGpu => DeviceKind::VirtualGpu,
            DeviceType::Cpu => DeviceKind::Software,
            DeviceType::Other => DeviceKind::Other,
        };
        let info = DeviceInfo {
            id: format!("gpu:{number}"),
            name: info.name.clone(),
            kind,
            backend: info.backend.to_str().to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        };
        Adapter { inner, info }
    }

    /// The adapter as reports name it.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// What the adapter can take.
    pub fn limits(&self) -> AdapterLimits {
        let limits = self.inner.limits();
        AdapterLimits {
            buffer_bytes_max: limits.max_buffer_size,
            binding_bytes_max: limits.max_storage_buffer_binding_size,
            workgroup_bytes_max: limits.max_compute_workgroup_storage_size,
            workgroup_threads_max: limits.max_compute_invocations_per_workgroup,
            workgroups_max: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// Text that differs between any two adapters or drivers that could
    /// compute differently.
    pub(super) fn identity(&self) -> String {
        let raw = self.inner.get_info();
        let DeviceInfo { id: _, name, kind, backend, driver } = &self.info;
        let mut text = String::new();
        for part in [name, &kind.to_string(), backend, driver] {
            // The length keeps two neighbours from trading characters.
            write!(text, "{}:{part};", part.len()).expect("a string takes all text");
        }
        write!(text, "{:x}:{:x}", raw.vendor, raw.device).expect("a string takes all text");
        text
    }
}

/// An open device, its queue, and what became of it.
#[derive(Debug)]
pub(super) struct Device {
    pub inner: wgpu::Device,
    pub queue: wgpu::Queue,
    id: String,
    timeout: Duration,
    /// The first thing that went wrong. Drivers report losses and errors by
    /// callback, and most calls to a lost device quietly do nothing.
    failure: Arc<OnceLock<String>>,
}

/// The error of whatever is used after its device has failed.
pub(super) fn failed_before(info: &DeviceInfo) -> BackendError {
    let message = "it failed before and must not be used again".to_owned();
    BackendError { device: info.id.clone(), message }
}

impl Device {
    /// Opens the adapter with all that it can take. Nothing waits longer than
    /// `timeout` for the device.
    pub fn open(adapter: &Adapter, timeout: Duration) -> Result<Device, BackendError> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("adsum"),
            // Where there is a clock, it tells how long kernels take.
            required_features: adapter.inner.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits: adapter.inner.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let id = adapter.info.id.clone();
        let (inner, queue) = pollster::block_on(adapter.inner.request_device(&descriptor))
            .map_err(|error| BackendError { device: id.clone(), message: error.to_string() })?;
        let failure = Arc::new(OnceLock::new());
        let lost = Arc::clone(&failure);
        inner.set_device_lost_callback(move |reason, message| {
            // Only the first failure is kept; later ones follow from it.
            let _ = lost.set(format!("device lost ({reason:?}): {message}"));
        });
        let refused = Arc::clone(&failure);
        inner.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = refused.set(error.to_string());
        }));
        Ok(Device { inner, queue, id, timeout, failure })
    }

    /// A buffer of so many bytes, not mapped.
    pub fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.inner.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// An error of this device.
    pub fn error(&self, message: impl fmt::Display) -> BackendError {
        BackendError { device: self.id.clone(), message: message.to_string() }
    }

    /// Says whether all is well so far. Called after every call whose failure
    /// wgpu reports by callback.
    pub fn check(&self) -> Result<(), BackendError> {
        self.failure.get().map_or(Ok(()), |message| Err(self.error(message)))
    }

    /// Waits until the device has done this submission and its callbacks have
    /// run.
    pub fn wait(&self, submission: SubmissionIndex) -> Result<(), BackendError> {
        let poll =
            PollType::Wait { submission_index: Some(submission), timeout: Some(self.timeout) };
        // A device that is lost while wgpu waits for it makes `poll` panic. The
        // panic comes from this call alone, after the loss was recorded, and
        // the device is not used again, so nothing half-done is seen.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.poll(poll)));
        // A poll may also succeed on a lost device: the callback decides.
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => {
                Err(self.error(format!("no answer within {} s", self.timeout.as_secs_f32())))
            }
            Ok(Err(wgpu::PollError::WrongSubmissionIndex(..))) => {
                Err(self.error("device lost: it refused the work that was waited for"))
            }
            Err(_) => Err(self.error("device lost while waiting for it")),
        }
    }
}
