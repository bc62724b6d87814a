//! Data sets in buffers on the device, and their reduction window by window.

use std::time::Instant;

use wgpu::BufferUsages;

use super::{DataId, Times};
use crate::backend::{BackendError, Place};
use crate::dtype::{DType, Layout};
use crate::gpu::device::Device;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::gather::{Bound, Gather, Groups};
use crate::gpu::kernel::VECTOR_BYTES;
use crate::gpu::partials::{self, Evidence};
use crate::gpu::piece::{elements_per_dispatch, write_little_endian};
use crate::gpu::pipeline::Pipelines;
use crate::gpu::plan::{ALIGNMENT_BYTES, Plan, WINDOW_PARAMS_BYTES, Window};
use crate::gpu::staging::{Staging, copied_bytes};
use crate::gpu::timing::Clock;
use crate::op::Spec;
use crate::partial::Partial;

/// What dies with the device.
#[derive(Debug)]
pub struct Open {
    pub device: Device,
    pub pipelines: Pipelines,
    pub staging: Staging,
    pub gather: Gather,
    pub clock: Option<Clock>,
    /// The reduction that was asked for last.
    pub bound: Option<Reduction>,
}

/// A data set.
#[derive(Debug)]
pub struct Set {
    pub id: DataId,
    pub dtype: DType,
    pub elements: u64,
    pub is_paired: bool,
    pub bytes: u64,
    pub chunks: Vec<Chunk>,
}

/// A buffer with a run of elements, and those of the second data set behind it.
#[derive(Debug)]
pub struct Chunk {
    buffer: wgpu::Buffer,
    elements: u64,
    first: u64,
    /// Where the second run starts, in bytes.
    second: Option<u64>,
}

/// A spec over a data set, ready to be dispatched.
#[derive(Debug)]
pub struct Reduction {
    spec: Spec,
    pub data: DataId,
    bound: Bound,
    params: wgpu::Buffer,
    /// For each chunk its bindings and what is dispatched at once.
    chunks: Vec<(Groups, Vec<Vec<Dispatch>>)>,
}

impl Open {
    /// Sends a chunk, tile by tile.
    pub fn send(
        &mut self,
        (layout, bytes): (Layout, &[u8]),
        second: Option<(Layout, &[u8])>,
        first: u64,
        tile: usize,
    ) -> Result<Chunk, BackendError> {
        let start = (bytes.len() as u64).next_multiple_of(ALIGNMENT_BYTES);
        let runs = if second.is_some() { 2 } else { 1 };
        let buffer = self.device.buffer(
            "resident",
            runs * start,
            BufferUsages::STORAGE | BufferUsages::COPY_DST,
        );
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

    /// Reduces a data set to one output.
    pub fn reduce(
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
        for (groups, batches) in chunks.iter() {
            for dispatches in batches {
                let loads = match gather.after(bound, dispatches) {
                    Some(loads) => loads,
                    None => {
                        read(device, gather, bound, &mut partial, std::mem::take(&mut pending))?;
                        let loads = gather.after(bound, dispatches);
                        loads.ok_or_else(|| device.error("a window has too many blocks"))?
                    }
                };
                pending += u64::from(dispatches[0].params.reduced);
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
        let params = self.device.buffer(
            "params",
            most_windows.unwrap_or(0).max(1) as u64 * WINDOW_PARAMS_BYTES,
            BufferUsages::UNIFORM | BufferUsages::COPY_DST,
        );
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
