//! Data that stays on an adapter: sent once, reduced as often as one likes.
//!
//! A [`Resident`] holds data sets up to a budget of bytes. When there is no room
//! for another, those that were used least recently go; who asks for one of them
//! again is told so, and sends it again. Reductions of resident data run at the
//! bandwidth of the adapter's own memory, those of other data at that of the bus.

use std::time::Instant;

use wgpu::BufferUsages;

use super::backend::{GpuBackend, Options};
use super::cache::Cache;
use super::device::{Adapter, Device};
use super::dispatch::Dispatch;
use super::gather::{Bound, Gather, Groups};
use super::kernel::VECTOR_BYTES;
use super::partials::{self, Evidence};
use super::piece::{elements_per_dispatch, write_little_endian};
use super::pipeline::Pipelines;
use super::plan::{ALIGNMENT_BYTES, Bounds, Plan, WINDOW_PARAMS_BYTES, Window};
use super::self_test::Examination;
use super::staging::{Staging, copied_bytes};
use super::timing::Clock;
use crate::backend::{BackendError, DeviceInfo, Place};
use crate::dtype::{DType, Layout};
use crate::op::Spec;
use crate::partial::Partial;
use crate::site::Site;

/// A data set that was sent. It is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataId(u64);

/// What cannot be done with resident data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResidentError {
    /// The device failed; all data is lost, and the whole must not be used again.
    #[error(transparent)]
    Device(#[from] BackendError),
    /// The data went to make room, or was removed.
    #[error("the data is not on the device any more; send it again, or allow more memory")]
    Gone,
    /// More data than there may ever be.
    #[error("{bytes} bytes do not fit into the {budget} bytes that the device may hold")]
    TooLarge {
        /// Bytes of the data.
        bytes: u64,
        /// Bytes of all data.
        budget: u64,
    },
    /// There is no kernel for the reduction, or it is of another type.
    #[error("no kernel reduces {data} data by {spec:?}; reduce it on the CPU")]
    NoKernel {
        /// Type of the data.
        data: DType,
        /// The reduction.
        spec: Spec,
    },
}

/// Where the time of a reduction went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Seconds of the kernels by the device's clock, if it has one.
    pub kernel_s: Option<f64>,
    /// Seconds from the last kernel sent to the states, as the host sees them,
    /// what is left of the kernels included if there is no clock.
    pub readback_s: f64,
}

/// Data sets on one adapter, and its kernels.
#[derive(Debug)]
pub struct Resident {
    adapter: Adapter,
    options: Options,
    plan: Plan,
    budget: u64,
    /// The least recently used first.
    sets: Vec<Set>,
    next: u64,
    examination: Examination,
    /// Absent once the device has failed.
    open: Option<Open>,
}

/// What dies with the device.
#[derive(Debug)]
struct Open {
    device: Device,
    pipelines: Pipelines,
    staging: Staging,
    gather: Gather,
    clock: Option<Clock>,
    /// The reduction that was asked for last.
    bound: Option<Reduction>,
}

#[derive(Debug)]
struct Set {
    id: DataId,
    dtype: DType,
    elements: u64,
    is_paired: bool,
    bytes: u64,
    chunks: Vec<Chunk>,
}

/// A buffer with a run of elements, and those of the second data set behind it.
#[derive(Debug)]
struct Chunk {
    buffer: wgpu::Buffer,
    elements: u64,
    first: u64,
    /// Where the second run starts, in bytes.
    second: Option<u64>,
}

/// A spec over a data set, ready to be dispatched.
#[derive(Debug)]
struct Reduction {
    spec: Spec,
    data: DataId,
    bound: Bound,
    params: wgpu::Buffer,
    /// For each chunk its bindings and what is dispatched at once.
    chunks: Vec<(Groups, Vec<Vec<Dispatch>>)>,
}

impl Resident {
    /// Opens an adapter for data of at most `budget` bytes. Of the options, the
    /// memory is that of what is not data.
    ///
    /// # Errors
    /// As [`GpuBackend::open`].
    pub fn open(
        adapter: &Adapter,
        options: &Options,
        cache: &Cache,
        budget: u64,
    ) -> Result<Resident, BackendError> {
        let limits = adapter.limits();
        let bounds = Bounds {
            tile_bytes: options.tile_bytes as u64,
            memory_bytes: options.memory_bytes as u64,
            buffer_bytes_max: limits.buffer_bytes_max,
            binding_bytes_max: options
                .window_bytes_max
                .map_or(limits.binding_bytes_max, |max| max.min(limits.binding_bytes_max)),
            workgroups_max: options.workgroups_max.min(limits.workgroups_max),
        };
        let plan = Plan::new(bounds).map_err(|error| BackendError {
            device: adapter.info().id.clone(),
            message: error.to_string(),
        })?;
        let device = Device::open(adapter, options.timeout)?;
        let open = Open {
            pipelines: Pipelines::new(&device, options.block),
            staging: Staging::new(&device, plan.tile_bytes),
            gather: Gather::new(&device, &plan),
            clock: Clock::new(&device),
            bound: None,
            device,
        };
        open.device.check()?;
        Ok(Resident {
            adapter: adapter.clone(),
            options: options.clone(),
            plan,
            budget,
            sets: Vec::new(),
            next: 0,
            examination: Examination::new(adapter, cache),
            open: Some(open),
        })
    }

    /// The device as reports name it.
    pub fn info(&self) -> &DeviceInfo {
        self.adapter.info()
    }

    /// Bytes of all data sets.
    pub fn bytes(&self) -> u64 {
        self.sets.iter().map(|set| set.bytes).sum()
    }

    /// Whether a data set is still there.
    pub fn holds(&self, data: DataId) -> bool {
        self.sets.iter().any(|set| set.id == data)
    }

    /// Removes a data set; one that is gone is no error.
    pub fn remove(&mut self, data: DataId) {
        self.sets.retain(|set| set.id != data);
        self.unbind(data);
    }

    fn unbind(&mut self, data: DataId) {
        if let Some(open) = &mut self.open
            && open.bound.as_ref().is_some_and(|bound| bound.data == data)
        {
            open.bound = None;
        }
    }

    /// Sends a data set, with a second one beside it for products. Makes room by
    /// removing those that were used least recently.
    ///
    /// # Errors
    /// [`ResidentError::TooLarge`], or the device failed.
    ///
    /// # Panics
    /// If the bytes end inside an element, or the second data set is of another
    /// type or length.
    pub fn insert(
        &mut self,
        (layout, bytes): (Layout, &[u8]),
        second: Option<(Layout, &[u8])>,
    ) -> Result<DataId, ResidentError> {
        let size = layout.dtype.size_bytes();
        assert_eq!(bytes.len() % size, 0, "bytes end inside an element");
        let same = |(other, data): &(Layout, &[u8])| {
            (other.dtype, data.len()) == (layout.dtype, bytes.len())
        };
        assert!(second.as_ref().is_none_or(same), "the second data set is as the first");
        let runs = if second.is_some() { 2 } else { 1 };
        let total = runs * (bytes.len() as u64 + ALIGNMENT_BYTES);
        if total > self.budget {
            return Err(ResidentError::TooLarge { bytes: total, budget: self.budget });
        }
        while self.bytes() + total > self.budget {
            let oldest = self.sets[0].id;
            self.remove(oldest);
        }
        let chunk_bytes = self.plan.window_bytes / runs;
        let chunk_bytes = (chunk_bytes - chunk_bytes % ALIGNMENT_BYTES).max(ALIGNMENT_BYTES);
        let chunk_bytes = chunk_bytes as usize;
        let tile = self.plan.tile_bytes as usize;
        let chunks = self.with_open(|open| {
            let mut chunks = Vec::new();
            for start in (0..bytes.len()).step_by(chunk_bytes) {
                let part = start..bytes.len().min(start + chunk_bytes);
                let second = second.map(|(layout, bytes)| (layout, &bytes[part.clone()]));
                let first = (start / size) as u64;
                chunks.push(open.send((layout, &bytes[part]), second, first, tile)?);
            }
            open.staging.settle(&open.device)?;
            Ok(chunks)
        })?;
        let id = DataId(self.next);
        self.next += 1;
        let elements = (bytes.len() / size) as u64;
        let is_paired = second.is_some();
        let dtype = layout.dtype;
        self.sets.push(Set { id, dtype, elements, is_paired, bytes: total, chunks });
        Ok(id)
    }

    /// Reduces a data set to one output.
    ///
    /// # Errors
    /// It is gone, there is no kernel for it, or the device failed.
    pub fn reduce(&mut self, spec: &Spec, data: DataId) -> Result<(Partial, Times), ResidentError> {
        let index = self.sets.iter().position(|set| set.id == data).ok_or(ResidentError::Gone)?;
        // The most recently used is last.
        let set = self.sets.remove(index);
        self.sets.push(set);
        let set = &self.sets[self.sets.len() - 1];
        let fits = spec.dtype == set.dtype
            && (!spec.is_paired() || set.is_paired)
            && has_kernels(spec, set.elements);
        if !fits {
            return Err(ResidentError::NoKernel { data: set.dtype, spec: spec.clone() });
        }
        self.examine(spec)?;
        let Resident { sets, open, plan, .. } = self;
        let set = &sets[sets.len() - 1];
        let result = match open {
            Some(open) => open.reduce(plan, spec, set),
            None => return Err(failed_before(self.adapter.info()).into()),
        };
        if result.is_err() {
            self.abandon();
        }
        Ok(result?)
    }

    /// Examines the kernels of a spec that have not been, on a device of its own.
    fn examine(&mut self, spec: &Spec) -> Result<(), BackendError> {
        let block = self.options.block;
        if self.examination.passed(spec, block) {
            return Ok(());
        }
        let mut backend = GpuBackend::open(&self.adapter, &self.options)?;
        self.examination.examine(&mut backend, spec, block)
    }

    fn with_open<T>(
        &mut self,
        act: impl FnOnce(&mut Open) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let Some(open) = &mut self.open else { return Err(failed_before(self.adapter.info())) };
        let result = act(open);
        if result.is_err() {
            self.abandon();
        }
        result
    }

    /// Leaves a failed device and all that is on it behind: dropping them would
    /// wait, without limit, for a device that may hang.
    fn abandon(&mut self) {
        std::mem::forget(self.open.take());
        std::mem::forget(std::mem::take(&mut self.sets));
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let settled = self.with_open(|open| open.staging.settle(&open.device));
        // A device that failed was left behind.
        drop(settled);
    }
}

fn failed_before(info: &DeviceInfo) -> BackendError {
    let message = "it failed before and must not be used again".to_owned();
    BackendError { device: info.id.clone(), message }
}

fn has_kernels(spec: &Spec, elements: u64) -> bool {
    let sorts =
        spec.monoids.iter().any(|monoid| matches!(monoid, crate::op::Monoid::Multiset { .. }));
    !sorts && super::takes(spec, &Site::line(elements, 0))
}

impl Open {
    /// Sends a chunk, tile by tile.
    fn send(
        &mut self,
        (layout, bytes): (Layout, &[u8]),
        second: Option<(Layout, &[u8])>,
        first: u64,
        tile: usize,
    ) -> Result<Chunk, BackendError> {
        let start = (bytes.len() as u64).next_multiple_of(ALIGNMENT_BYTES);
        let runs = if second.is_some() { 2 } else { 1 };
        let buffer = self.device.inner.create_buffer(&wgpu::BufferDescriptor {
            label: Some("resident"),
            size: runs * start,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.device.check()?;
        let parts =
            [Some((layout, bytes, 0)), second.map(|(layout, bytes)| (layout, bytes, start))];
        for (layout, bytes, start) in parts.into_iter().flatten() {
            for (number, part) in bytes.chunks(tile).enumerate() {
                let staged = self.staging.fill(&self.device, part.len(), |view| {
                    write_little_endian(layout, part, view);
                })?;
                let mut encoder = self.device.inner.create_command_encoder(&Default::default());
                let at = start + (number * tile) as u64;
                encoder.copy_buffer_to_buffer(staged, 0, &buffer, at, copied_bytes(part.len()));
                let submission = self.device.queue.submit([encoder.finish()]);
                self.device.check()?;
                self.staging.sent(submission);
            }
        }
        let elements = (bytes.len() / layout.dtype.size_bytes()) as u64;
        Ok(Chunk { buffer, elements, first, second: second.map(|_| start) })
    }

    fn reduce(
        &mut self,
        plan: &Plan,
        spec: &Spec,
        set: &Set,
    ) -> Result<(Partial, Times), BackendError> {
        let is_bound = |bound: &Reduction| (&bound.spec, bound.data) == (spec, set.id);
        if !self.bound.as_ref().is_some_and(is_bound) {
            self.bound = Some(self.bind(plan, spec, set)?);
        }
        let Open { device, gather, clock, bound, .. } = self;
        let Some(Reduction { bound, params, chunks, .. }) = bound else {
            unreachable!("bound above")
        };
        let mut partial = Partial::identity(spec, 1);
        let (mut pending, mut kernel_s) = (0, clock.as_ref().map(|_| 0.0));
        for ((groups, batches), chunk) in chunks.iter().zip(&set.chunks) {
            for (dispatches, elements) in batches.iter().zip(batch_elements(batches, chunk)) {
                let loads = match gather.after(bound, dispatches) {
                    Some(loads) => loads,
                    None => {
                        read(device, gather, bound, &mut partial, std::mem::take(&mut pending))?;
                        let loads = gather.after(bound, dispatches);
                        loads.ok_or_else(|| device.error("a window has too many blocks"))?
                    }
                };
                pending += elements;
                let encoder = device.inner.create_command_encoder(&Default::default());
                let target = (groups, &*params);
                let work = (&dispatches[..], loads);
                let submission =
                    gather.submit(device, bound, target, work, encoder, clock.as_ref())?;
                if let (Some(clock), Some(seconds)) = (&clock, &mut kernel_s) {
                    *seconds += clock.seconds(device, submission)?;
                }
            }
        }
        let start = Instant::now();
        read(device, gather, bound, &mut partial, pending)?;
        let readback_s = start.elapsed().as_secs_f64();
        Ok((partial, Times { kernel_s, readback_s }))
    }

    /// Binds a spec to the chunks of a data set, in windows that one dispatch may
    /// reduce.
    fn bind(&mut self, plan: &Plan, spec: &Spec, set: &Set) -> Result<Reduction, BackendError> {
        let program = self.pipelines.program(&self.device, spec)?;
        let bound = self.gather.bind(&self.device, plan, program);
        let size = set.dtype.size_bytes() as u64;
        let workgroups = plan.workgroups.min(bound.regions.slots);
        let most = elements_per_dispatch(&bound, workgroups).saturating_mul(size);
        let window = (most - most % ALIGNMENT_BYTES).clamp(ALIGNMENT_BYTES, plan.window_bytes);
        let windows_of = |chunk: &Chunk| {
            let bytes = chunk.elements * size;
            let second = chunk.second.filter(|_| spec.is_paired());
            (0..bytes).step_by(window as usize).map(move |offset| {
                let run = window.min(bytes - offset);
                // Both runs are seen through one binding.
                let end = second.map_or(offset + run, |second| second + offset + run);
                let seen = (end - offset).next_multiple_of(ALIGNMENT_BYTES);
                let vector = second.map_or(0, |second| second / u64::from(VECTOR_BYTES));
                (Window { offset, bytes: seen }, run, vector as u32)
            })
        };
        let most_windows = set.chunks.iter().map(|chunk| windows_of(chunk).count()).max();
        let params = self.device.inner.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: most_windows.unwrap_or(0).max(1) as u64 * WINDOW_PARAMS_BYTES,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let chunks = set.chunks.iter().map(|chunk| {
            let windows = windows_of(chunk).map(|(window, ..)| window);
            let buffers = [&chunk.buffer, &params];
            let groups =
                self.gather.groups(&self.device, &self.pipelines, &bound, windows, buffers);
            let batches = windows_of(chunk).enumerate().map(|(number, (window, run, vector))| {
                let first = chunk.first + window.offset / size;
                let place = Place::line((run / size) as usize, first);
                Dispatch::of_window(&bound, workgroups, number, run, vector, &place)
            });
            (groups, batches.collect())
        });
        let chunks = chunks.collect();
        self.device.check()?;
        Ok(Reduction { spec: spec.clone(), data: set.id, bound, params, chunks })
    }
}

/// Elements of each batch of a chunk.
fn batch_elements<'a>(
    batches: &'a [Vec<Dispatch>],
    chunk: &'a Chunk,
) -> impl Iterator<Item = u64> + 'a {
    let of_batch = |batch: &Vec<Dispatch>| batch.first().map_or(0, |one| one.params.reduced.into());
    batches.iter().map(of_batch).inspect(|elements| debug_assert!(*elements <= chunk.elements))
}

/// Moves what the device holds into the states.
fn read(
    device: &Device,
    gather: &mut Gather,
    bound: &Bound,
    partial: &mut Partial,
    elements: u64,
) -> Result<(), BackendError> {
    gather.read(device, bound, |number, words, load| {
        let sent = Evidence { blocks: load.blocks, elements };
        let monoid = &partial.spec().monoids[number];
        let state = partials::state(monoid, &bound.program.kernels[number], words, sent)
            .map_err(|error| device.error(error))?;
        partial.states_mut(0)[number].merge(&state).map_err(|error| device.error(error))
    })
}
