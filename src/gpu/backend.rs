//! One adapter as a [`Backend`].

use std::time::Duration;

use wgpu::WriteOnly;

use super::device::{Adapter, Device};
use super::kernel::{Block, Kernel};
use super::partials;
use super::pipeline::Pipelines;
use super::plan::{Bounds, Plan};
use super::stream::Stream;
use crate::backend::{Backend, BackendError, DeviceInfo, Run, Takes};
use crate::dtype::{ByteOrder, Layout};
use crate::op::{Spec, Term};
use crate::partial::Partial;
use crate::reduction::State;
use crate::reduction::sum::Sum;

/// How an adapter is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bytes that the backend would like in one `add`: the size of its
    /// staging buffers, if memory allows.
    pub tile_bytes: usize,
    /// Bound of all its buffers together, on the host and on the device.
    pub memory_bytes: usize,
    /// Lowers the part of a tile that one dispatch sums below what the adapter
    /// allows. Rounded down to a multiple of 256, never below it.
    pub window_bytes_max: Option<u64>,
    /// The most workgroups of one dispatch.
    pub workgroups_max: u32,
    /// The longest wait for the device before it counts as failed.
    pub timeout: Duration,
    /// The size of a workgroup's block.
    #[doc(hidden)]
    pub block: Block,
    /// For tests: destroys the device just before the tile of this number,
    /// counted from 1, is sent, so that the loss takes the path of a real one.
    #[doc(hidden)]
    pub destroy_at_tile: Option<u64>,
}

impl Default for Options {
    /// Tiles of 16 MiB, which hide the cost of a submission, and so 64 MiB of
    /// buffers and the partials beside them; half a minute is longer than any
    /// living device needs for two tiles.
    fn default() -> Options {
        Options {
            tile_bytes: 16 << 20,
            memory_bytes: 72 << 20,
            window_bytes_max: None,
            workgroups_max: super::plan::WORKGROUPS_MAX,
            timeout: Duration::from_secs(30),
            block: Block::LARGE,
            destroy_at_tile: None,
        }
    }
}

/// A graphics adapter that sums.
#[derive(Debug)]
pub struct GpuBackend {
    info: DeviceInfo,
    plan: Plan,
    tiles: u64,
    destroy_at_tile: Option<u64>,
    /// What was added since the last flush.
    pending: Option<Pending>,
    /// Absent once the device has failed.
    open: Option<Open>,
}

/// What dies with the device.
#[derive(Debug)]
struct Open {
    device: Device,
    pipelines: Pipelines,
    stream: Stream,
}

#[derive(Debug)]
struct Pending {
    spec: Spec,
    /// Elements in the device's partials.
    elements: u64,
    /// What had to be read from them before the flush.
    sum: Sum,
}

impl GpuBackend {
    /// Opens the adapter and takes all the memory it will need.
    ///
    /// # Errors
    /// The adapter cannot be opened, is below what WebGPU promises, or may not
    /// have the memory it needs.
    pub fn open(adapter: &Adapter, options: &Options) -> Result<GpuBackend, BackendError> {
        let info = adapter.info().clone();
        let limits = adapter.limits();
        let refuse = |message: String| BackendError { device: info.id.clone(), message };
        if limits.workgroup_threads_max < 256 || limits.workgroup_bytes_max < 16 << 10 {
            return Err(refuse("its workgroups are smaller than WebGPU's defaults".into()));
        }
        let binding = limits.binding_bytes_max;
        let partial_bytes =
            super::DTYPES.map(|dtype| Kernel::sum(dtype, options.block).partial_bytes());
        let plan = Plan::new(Bounds {
            tile_bytes: options.tile_bytes as u64,
            memory_bytes: options.memory_bytes as u64,
            buffer_bytes_max: limits.buffer_bytes_max,
            binding_bytes_max: options.window_bytes_max.map_or(binding, |max| max.min(binding)),
            workgroups_max: options.workgroups_max.min(limits.workgroups_max),
            partial_bytes: partial_bytes.into_iter().max().map_or(0, u64::from),
        })
        .map_err(|error| refuse(error.to_string()))?;
        let device = Device::open(adapter, options.timeout)?;
        let pipelines = Pipelines::new(&device, options.block);
        let stream = Stream::new(&device, plan, &pipelines)?;
        Ok(GpuBackend {
            info,
            plan,
            tiles: 0,
            destroy_at_tile: options.destroy_at_tile,
            pending: None,
            open: Some(Open { device, pipelines, stream }),
        })
    }

    /// All memory of its buffers, on the host and on the device together.
    pub fn memory_bytes(&self) -> usize {
        self.plan.memory_bytes() as usize
    }

    /// Does something with the open device. After an error it is open no more.
    fn with_open<T>(
        &mut self,
        spec: &Spec,
        act: impl FnOnce(&mut Open, &mut Pending) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let Some(open) = &mut self.open else {
            let message = "it failed before and must not be used again".to_owned();
            return Err(BackendError { device: self.info.id.clone(), message });
        };
        let pending = self.pending.get_or_insert_with(|| Pending {
            spec: spec.clone(),
            elements: 0,
            sum: Sum::identity(spec.dtype, Term::Value),
        });
        assert_eq!(&pending.spec, spec, "all runs between two flushes have one spec");
        let result = act(open, pending);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Leaves a failed device behind. Dropping its queue would wait, without
    /// limit, for it to be idle, which a hung device never is.
    fn abandon(&mut self) {
        std::mem::forget(self.open.take());
    }
}

impl Drop for GpuBackend {
    fn drop(&mut self) {
        if let Some(open) = &mut self.open
            && open.stream.settle(&open.device).is_err()
        {
            self.abandon();
        }
    }
}

impl Backend for GpuBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn tile_bytes(&self) -> usize {
        self.plan.tile_bytes as usize
    }

    fn takes(&self) -> Takes {
        super::takes
    }

    fn add(&mut self, spec: &Spec, _outputs: usize, run: &Run<'_>) -> Result<(), BackendError> {
        let Run { layout, bytes, .. } = *run;
        assert_eq!(spec.dtype, layout.dtype, "a run has the spec's element type");
        let size = layout.dtype.size_bytes();
        assert_eq!(bytes.len() % size, 0, "bytes end inside an element");
        for tile in bytes.chunks(self.tile_bytes()) {
            self.tiles += 1;
            let destroy = self.destroy_at_tile == Some(self.tiles);
            self.with_open(spec, |open, pending| open.send(pending, layout, tile, destroy))?;
        }
        Ok(())
    }

    fn flush(&mut self, spec: &Spec, _outputs: usize) -> Result<Partial, BackendError> {
        self.with_open(spec, |open, pending| open.read(pending))?;
        let pending = self.pending.take().expect("kept until here");
        Ok(Partial::from_states(spec, vec![State::Sum(pending.sum)]))
    }
}

impl Open {
    fn send(
        &mut self,
        pending: &mut Pending,
        layout: Layout,
        tile: &[u8],
        destroy: bool,
    ) -> Result<(), BackendError> {
        if destroy {
            self.device.inner.destroy();
        }
        let kernel = self.pipelines.kernel(layout.dtype);
        loop {
            let pipeline = self.pipelines.get(&self.device, layout.dtype)?;
            let fill = |staging: WriteOnly<'_, [u8]>| write_little_endian(layout, tile, staging);
            if self.stream.send(&self.device, pipeline, &kernel, tile.len(), fill)? {
                pending.elements += (tile.len() / layout.dtype.size_bytes()) as u64;
                return Ok(());
            }
            self.read(pending)?;
        }
    }

    /// Moves the device's partials into the pending sum.
    fn read(&mut self, pending: &mut Pending) -> Result<(), BackendError> {
        let kernel = self.pipelines.kernel(pending.spec.dtype);
        let elements = std::mem::take(&mut pending.elements);
        let sum = self
            .stream
            .read(&self.device, &kernel, |words, load| {
                partials::fold(&kernel, words, load, elements)
            })?
            .map_err(|error| self.device.error(error))?;
        pending.sum.merge(&sum).map_err(|error| self.device.error(error))
    }
}

/// Copies elements into staging memory with their least significant byte
/// first, as the shaders read words.
fn write_little_endian(layout: Layout, bytes: &[u8], mut staging: WriteOnly<'_, [u8]>) {
    let size = layout.dtype.size_bytes();
    if size == 1 || layout.byte_order == ByteOrder::Little {
        staging.copy_from_slice(bytes);
        return;
    }
    // Mapped memory may be slow to write in small pieces.
    let mut swapped = [0; 4096];
    let mut start = 0;
    for chunk in bytes.chunks(swapped.len()) {
        let swapped = &mut swapped[..chunk.len()];
        swapped.copy_from_slice(chunk);
        for element in swapped.chunks_exact_mut(size) {
            element.reverse();
        }
        staging.slice(start..start + chunk.len()).copy_from_slice(swapped);
        start += chunk.len();
    }
}
