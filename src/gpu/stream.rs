//! The ring of buffers between the host and a device.
//!
//! Two slots take turns. Each has a staging buffer, which the host writes, and
//! what it is copied to on the device. A slot is sent with one submission:
//! copy, then the dispatches over its windows. Right after it the staging
//! buffer is mapped again, so that it is ready for the host as soon as the
//! device is done with it, while the other slot is being filled or reduced.

use std::sync::mpsc;

use wgpu::{BufferUsages, MapMode, SubmissionIndex, WriteOnly};

use super::device::Device;
use super::dispatch::Dispatch;
use super::kernel::Params;
use super::pipeline::{
    BOUNDARIES_BINDING, DATA_BINDING, PARAMS_BINDING, PARTIALS_BINDING, Pipelines, Program,
};
use super::plan::{
    ALIGNMENT_BYTES, BOUNDARIES_BYTES, Load, Plan, Region, Regions, SLOTS, WINDOW_PARAMS_BYTES,
    Window,
};
use crate::backend::BackendError;

/// Tiles on their way to a device, and the partials that gather there.
#[derive(Debug)]
pub(super) struct Stream {
    plan: Plan,
    slots: [Slot; SLOTS as usize],
    /// The slot that the next tile goes to.
    turn: usize,
    /// The partials of all kernels, added to by every dispatch.
    partials: wgpu::Buffer,
    readback: wgpu::Buffer,
    boundaries: wgpu::Buffer,
    /// What the partials of each kernel of the spec hold.
    loads: Vec<Load>,
}

#[derive(Debug)]
struct Slot {
    staging: wgpu::Buffer,
    params: wgpu::Buffer,
    tile: wgpu::Buffer,
    /// Present while the device may still read the staging buffer.
    in_flight: Option<InFlight>,
}

/// The kernels of a spec, bound to the buffers of a stream.
#[derive(Debug)]
pub(super) struct Bound {
    pub program: Program,
    pub regions: Regions,
    /// Of each slot, for each window of a whole tile, for each kernel.
    bind_groups: [Vec<Vec<wgpu::BindGroup>>; SLOTS as usize],
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
    pub fn new(device: &Device, plan: Plan) -> Result<Stream, BackendError> {
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
        let boundaries = buffer(
            "boundaries",
            BOUNDARIES_BYTES,
            BufferUsages::STORAGE | BufferUsages::COPY_DST,
            false,
        );
        let slots = std::array::from_fn(|_| Slot {
            staging: buffer(
                "staging",
                plan.tile_bytes,
                BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC,
                true,
            ),
            params: buffer(
                "params",
                plan.params_bytes(),
                BufferUsages::UNIFORM | BufferUsages::COPY_DST,
                false,
            ),
            tile: buffer(
                "tile",
                plan.tile_bytes,
                BufferUsages::STORAGE | BufferUsages::COPY_DST,
                false,
            ),
            in_flight: None,
        });
        device.check()?;
        Ok(Stream { plan, slots, turn: 0, partials, readback, boundaries, loads: Vec::new() })
    }

    /// Binds the kernels of another spec. All partials have been read before.
    pub fn bind(
        &mut self,
        device: &Device,
        pipelines: &Pipelines,
        program: Program,
    ) -> Result<Bound, BackendError> {
        debug_assert!(self.loads.iter().all(|load| load.partials == 0), "unread partials");
        if !program.boundaries.is_empty() {
            let boundaries = bytemuck::cast_slice(&program.boundaries);
            device.queue.write_buffer(&self.boundaries, 0, boundaries);
        }
        let regions = self.plan.regions(&program.kernels);
        let bind_groups = std::array::from_fn(|slot| {
            let of_window = |(number, window)| {
                let of_kernel = |(kernel, region)| {
                    let params_at = params_offset(number, kernel);
                    self.bind_group(device, pipelines, &self.slots[slot], window, region, params_at)
                };
                regions.regions.iter().copied().enumerate().map(of_kernel).collect()
            };
            self.plan.windows().enumerate().map(of_window).collect()
        });
        device.check()?;
        self.loads = vec![Load::default(); program.kernels.len()];
        Ok(Bound { program, regions, bind_groups })
    }

    fn bind_group(
        &self,
        device: &Device,
        pipelines: &Pipelines,
        slot: &Slot,
        window: Window,
        region: Region,
        params_at: u64,
    ) -> wgpu::BindGroup {
        let entry = |binding, buffer, offset, bytes| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(bytes),
            }),
        };
        device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("window"),
            layout: pipelines.bindings(),
            entries: &[
                entry(DATA_BINDING, &slot.tile, window.offset, window.bytes),
                entry(PARTIALS_BINDING, &self.partials, region.offset, region.bytes),
                entry(PARAMS_BINDING, &slot.params, params_at, size_of::<Params>() as u64),
                entry(BOUNDARIES_BINDING, &self.boundaries, 0, BOUNDARIES_BYTES),
            ],
        })
    }

    /// Sends one tile of at most [`Plan::tile_bytes`] bytes, which `fill`
    /// writes, and dispatches over its windows. Waits only if both slots are
    /// still in flight.
    ///
    /// Returns `false`, and sends nothing, if a partial could overflow: the
    /// caller then reads them first.
    pub fn send(
        &mut self,
        device: &Device,
        bound: &Bound,
        dispatches: &[Dispatch],
        bytes: usize,
        fill: impl FnOnce(WriteOnly<'_, [u8]>),
    ) -> Result<bool, BackendError> {
        debug_assert!(bytes as u64 <= self.plan.tile_bytes, "the tile is larger than its slot");
        let Some(loads) = self.loads_after(bound, dispatches) else { return Ok(false) };
        // Copies are made in whole words; the last may end in an older tile.
        let copied = (bytes as u64).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let turn = self.turn;
        let slot = &mut self.slots[turn];
        if let Some(in_flight) = slot.in_flight.take() {
            in_flight.finish(device)?;
        }
        {
            let mut view =
                slot.staging.get_mapped_range_mut(..copied).map_err(|error| device.error(error))?;
            fill(view.slice(..bytes));
        }
        slot.staging.unmap();

        let mut encoder = device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&slot.staging, 0, &slot.tile, 0, copied);
        let submission = self.submit(device, bound, turn, dispatches, encoder)?;
        let slot = &mut self.slots[turn];
        slot.in_flight = Some(InFlight::start(submission, slot.staging.slice(..), MapMode::Write));
        self.loads = loads;
        self.turn = (turn + 1) % self.slots.len();
        Ok(true)
    }

    /// Dispatches over the tile that was sent last. As [`Stream::send`].
    pub fn again(
        &mut self,
        device: &Device,
        bound: &Bound,
        dispatches: &[Dispatch],
    ) -> Result<bool, BackendError> {
        let Some(loads) = self.loads_after(bound, dispatches) else { return Ok(false) };
        let last = (self.turn + self.slots.len() - 1) % self.slots.len();
        let encoder = device.inner.create_command_encoder(&Default::default());
        self.submit(device, bound, last, dispatches, encoder)?;
        self.loads = loads;
        Ok(true)
    }

    fn loads_after(&self, bound: &Bound, dispatches: &[Dispatch]) -> Option<Vec<Load>> {
        let mut loads = self.loads.clone();
        for Dispatch { kernel, params, .. } in dispatches {
            loads[*kernel] = loads[*kernel].after(&bound.program.kernels[*kernel], params)?;
        }
        Some(loads)
    }

    fn submit(
        &self,
        device: &Device,
        bound: &Bound,
        slot: usize,
        dispatches: &[Dispatch],
        mut encoder: wgpu::CommandEncoder,
    ) -> Result<SubmissionIndex, BackendError> {
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for Dispatch { kernel, window, params } in dispatches {
                let at = params_offset(*window, *kernel);
                let params_buffer = &self.slots[slot].params;
                device.queue.write_buffer(params_buffer, at, bytemuck::bytes_of(params));
                pass.set_pipeline(&bound.program.pipelines[*kernel]);
                pass.set_bind_group(0, &bound.bind_groups[slot][*window][*kernel], &[]);
                pass.dispatch_workgroups(params.workgroups, 1, 1);
            }
        }
        let submission = device.queue.submit([encoder.finish()]);
        device.check()?;
        Ok(submission)
    }

    /// Waits for all tiles, passes the words of each kernel's partials to
    /// `read`, and clears them.
    pub fn read(
        &mut self,
        device: &Device,
        bound: &Bound,
        mut read: impl FnMut(usize, &[u32], Load) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let loads = self.loads.clone();
        self.loads.fill(Load::default());
        let kernels = bound.program.kernels.iter().zip(&loads);
        let bytes: Vec<u64> = kernels
            .map(|(kernel, load)| u64::from(load.partials) * u64::from(kernel.partial_bytes()))
            .collect();
        let total: u64 = bytes.iter().sum();
        if total == 0 {
            return (0..).zip(loads).try_for_each(|(kernel, load)| read(kernel, &[], load));
        }
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        let mut start = 0;
        for (region, &bytes) in bound.regions.regions.iter().zip(&bytes) {
            let Region { offset, .. } = *region;
            encoder.copy_buffer_to_buffer(&self.partials, offset, &self.readback, start, bytes);
            encoder.clear_buffer(&self.partials, offset, Some(bytes));
            start += bytes;
        }
        let submission = device.queue.submit([encoder.finish()]);
        device.check()?;
        InFlight::start(submission, self.readback.slice(..total), MapMode::Read).finish(device)?;
        let words: Vec<u32> = {
            let view =
                self.readback.get_mapped_range(..total).map_err(|error| device.error(error))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        self.readback.unmap();
        let mut rest = &words[..];
        for (kernel, (load, bytes)) in loads.into_iter().zip(bytes).enumerate() {
            let (words, others) = rest.split_at(bytes as usize / 4);
            read(kernel, words, load)?;
            rest = others;
        }
        Ok(())
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

/// Where the parameters of a kernel's dispatch over a window lie.
fn params_offset(window: usize, kernel: usize) -> u64 {
    window as u64 * WINDOW_PARAMS_BYTES + kernel as u64 * ALIGNMENT_BYTES
}
