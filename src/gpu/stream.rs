//! The ring of buffers between the host and a device.
//!
//! Two slots take turns. Each has a staging buffer, which the host writes, and
//! what it is copied to on the device. A slot is sent with one submission:
//! copy, then one dispatch per window. Right after it the staging buffer is
//! mapped again, so that it is ready for the host as soon as the device is done
//! with it, while the other slot is being filled or summed.
//!
//! A staging buffer starts with the parameters of the tile's windows, so that
//! parameters need no writes of their own.

use std::sync::mpsc;

use wgpu::{BufferUsages, MapMode, SubmissionIndex, WriteOnly};

use super::device::Device;
use super::kernel::{Kernel, Params};
use super::pipeline::{DATA_BINDING, PARAMS_BINDING, PARTIALS_BINDING, Pipelines};
use super::plan::{ALIGNMENT_BYTES, Load, Plan, SLOTS, Window};
use crate::backend::BackendError;

/// Tiles on their way to a device, and the partials that gather there.
#[derive(Debug)]
pub(super) struct Stream {
    plan: Plan,
    slots: [Slot; SLOTS as usize],
    /// The slot that the next tile goes to.
    turn: usize,
    /// One partial per workgroup, added to by every dispatch.
    partials: wgpu::Buffer,
    readback: wgpu::Buffer,
    load: Load,
}

#[derive(Debug)]
struct Slot {
    staging: wgpu::Buffer,
    params: wgpu::Buffer,
    tile: wgpu::Buffer,
    /// One for each window of a whole tile.
    bind_groups: Vec<wgpu::BindGroup>,
    /// Present while the device may still read the staging buffer.
    in_flight: Option<InFlight>,
}

/// A submission, and a buffer that is mapped once it is done.
#[derive(Debug)]
struct InFlight {
    submission: SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl InFlight {
    fn start(
        submission: SubmissionIndex,
        buffer: wgpu::BufferSlice<'_>,
        mode: MapMode,
    ) -> InFlight {
        let (sender, mapped) = mpsc::channel();
        buffer.map_async(mode, move |result| {
            // The receiver is gone only if nobody waits for the buffer any more.
            let _ = sender.send(result);
        });
        InFlight { submission, mapped }
    }

    fn finish(self, device: &Device) -> Result<(), BackendError> {
        device.wait(self.submission)?;
        match self.mapped.try_recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(device.error(error)),
            Err(_) => Err(device.error("a buffer was not mapped after its work was done")),
        }
    }
}

impl Stream {
    pub fn new(device: &Device, plan: Plan, pipelines: &Pipelines) -> Result<Stream, BackendError> {
        let buffer = |label, size, usage, mapped_at_creation| {
            device.inner.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation,
            })
        };
        let partials = buffer(
            "partials",
            plan.partials_bytes,
            BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            false,
        );
        let readback = buffer(
            "readback",
            plan.partials_bytes,
            BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            false,
        );
        let slots = std::array::from_fn(|_| {
            let staging = buffer(
                "staging",
                plan.params_bytes() + plan.tile_bytes,
                BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC,
                true,
            );
            let params = buffer(
                "params",
                plan.params_bytes(),
                BufferUsages::UNIFORM | BufferUsages::COPY_DST,
                false,
            );
            let tile = buffer(
                "tile",
                plan.tile_bytes,
                BufferUsages::STORAGE | BufferUsages::COPY_DST,
                false,
            );
            let bind = |(window, params_at)| {
                bind_group(device, pipelines, &tile, window, &partials, &params, params_at)
            };
            let params_offsets = (0..).step_by(ALIGNMENT_BYTES as usize);
            let bind_groups = plan.windows().zip(params_offsets).map(bind).collect();
            Slot { staging, params, tile, bind_groups, in_flight: None }
        });
        device.check()?;
        Ok(Stream { plan, slots, turn: 0, partials, readback, load: Load::default() })
    }

    /// Sends one tile of at most [`Plan::tile_bytes`] bytes, which `fill`
    /// writes. Waits only if both slots are still in flight.
    ///
    /// Returns `false`, and sends nothing, if a partial could overflow: the
    /// caller then reads them first.
    pub fn send(
        &mut self,
        device: &Device,
        pipeline: &wgpu::ComputePipeline,
        kernel: &Kernel,
        bytes: usize,
        fill: impl FnOnce(WriteOnly<'_, [u8]>),
    ) -> Result<bool, BackendError> {
        debug_assert!(bytes as u64 <= self.plan.tile_bytes, "the tile is larger than its slot");
        let windows: Vec<Window> = self.plan.windows_of(bytes as u64).collect();
        let dispatches: Vec<Params> =
            windows.iter().map(|window| self.plan.dispatch(kernel, *window)).collect();
        let after = dispatches.iter().try_fold(self.load, |load, dispatch| load.after(*dispatch));
        let Some(load) = after else {
            return Ok(false);
        };

        let params_bytes = self.plan.params_bytes();
        // Copies are made in whole words; the last may end in an older tile.
        let copied = (bytes as u64).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let slot = &mut self.slots[self.turn];
        if let Some(in_flight) = slot.in_flight.take() {
            in_flight.finish(device)?;
        }
        {
            let range = ..params_bytes + copied;
            let mut view =
                slot.staging.get_mapped_range_mut(range).map_err(|error| device.error(error))?;
            for (index, params) in dispatches.iter().enumerate() {
                let start = index * ALIGNMENT_BYTES as usize;
                view.slice(start..start + size_of::<Params>())
                    .copy_from_slice(bytemuck::bytes_of(params));
            }
            let start = params_bytes as usize;
            fill(view.slice(start..start + bytes));
        }
        slot.staging.unmap();

        let mut encoder = device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&slot.staging, 0, &slot.params, 0, params_bytes);
        encoder.copy_buffer_to_buffer(&slot.staging, params_bytes, &slot.tile, 0, copied);
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(pipeline);
            for (bind_group, dispatch) in slot.bind_groups.iter().zip(&dispatches) {
                pass.set_bind_group(0, bind_group, &[]);
                pass.dispatch_workgroups(dispatch.workgroups, 1, 1);
            }
        }
        let submission = device.queue.submit([encoder.finish()]);
        device.check()?;
        slot.in_flight = Some(InFlight::start(submission, slot.staging.slice(..), MapMode::Write));
        self.load = load;
        self.turn = (self.turn + 1) % self.slots.len();
        Ok(true)
    }

    /// Waits for all tiles, passes the words of their partials to `read`, and
    /// clears them.
    pub fn read<T>(
        &mut self,
        device: &Device,
        kernel: &Kernel,
        read: impl FnOnce(&[u32], Load) -> T,
    ) -> Result<T, BackendError> {
        let load = std::mem::take(&mut self.load);
        let bytes = u64::from(load.partials) * u64::from(kernel.partial_bytes());
        if bytes == 0 {
            return Ok(read(&[], load));
        }
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.partials, 0, &self.readback, 0, bytes);
        encoder.clear_buffer(&self.partials, 0, Some(bytes));
        let submission = device.queue.submit([encoder.finish()]);
        device.check()?;
        InFlight::start(submission, self.readback.slice(..bytes), MapMode::Read).finish(device)?;
        let result = {
            let view =
                self.readback.get_mapped_range(..bytes).map_err(|error| device.error(error))?;
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(&view);
            read(&words, load)
        };
        self.readback.unmap();
        Ok(result)
    }

    /// Waits until the device has done everything sent.
    pub fn settle(&mut self, device: &Device) -> Result<(), BackendError> {
        let in_flight = self.slots.iter_mut().filter_map(|slot| slot.in_flight.take());
        for in_flight in in_flight {
            in_flight.finish(device)?;
        }
        Ok(())
    }
}

fn bind_group(
    device: &Device,
    pipelines: &Pipelines,
    tile: &wgpu::Buffer,
    window: Window,
    partials: &wgpu::Buffer,
    params: &wgpu::Buffer,
    params_at: u64,
) -> wgpu::BindGroup {
    let part = |buffer, offset, bytes| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset,
            size: std::num::NonZeroU64::new(bytes),
        })
    };
    device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("window"),
        layout: pipelines.bindings(),
        entries: &[
            wgpu::BindGroupEntry {
                binding: DATA_BINDING,
                resource: part(tile, window.offset, window.bytes),
            },
            wgpu::BindGroupEntry {
                binding: PARTIALS_BINDING,
                resource: partials.as_entire_binding(),
            },
            wgpu::BindGroupEntry {
                binding: PARAMS_BINDING,
                resource: part(params, params_at, size_of::<Params>() as u64),
            },
        ],
    })
}
