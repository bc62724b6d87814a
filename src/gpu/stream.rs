//! The ring of tiles between the host and a device.
//!
//! Two slots take turns. Each has a staging buffer, which the host writes, and
//! what it is copied to on the device. A slot is sent with one submission: copy,
//! then the dispatches over its windows. So the copy of one overlaps with the
//! kernels of the other.

use wgpu::{BufferUsages, WriteOnly};

use super::device::Device;
use super::dispatch::Dispatch;
use super::gather::{Bound, Gather, Groups};
use super::pipeline::{Pipelines, Program};
use super::plan::{Load, Plan, SLOTS};
use super::staging::{Staging, copied_bytes};
use crate::backend::BackendError;

/// Tiles on their way to a device, and the partials that gather there.
#[derive(Debug)]
pub(super) struct Stream {
    plan: Plan,
    staging: Staging,
    slots: [Slot; SLOTS as usize],
    gather: Gather,
}

/// What a staging buffer is copied to.
#[derive(Debug)]
struct Slot {
    params: wgpu::Buffer,
    tile: wgpu::Buffer,
    /// The bindings of the windows of a whole tile.
    groups: Groups,
}

impl Stream {
    pub fn new(device: &Device, plan: Plan) -> Result<Stream, BackendError> {
        let slots = std::array::from_fn(|_| Slot {
            params: device.buffer(
                "params",
                plan.params_bytes(),
                BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            ),
            tile: device.buffer(
                "tile",
                plan.tile_bytes,
                BufferUsages::STORAGE | BufferUsages::COPY_DST,
            ),
            groups: Vec::new(),
        });
        let staging = Staging::new(device, plan.tile_bytes);
        let gather = Gather::new(device, &plan);
        device.check()?;
        Ok(Stream { plan, staging, slots, gather })
    }

    /// Binds the kernels of another spec. All partials have been read before.
    pub fn bind(
        &mut self,
        device: &Device,
        pipelines: &Pipelines,
        program: Program,
    ) -> Result<Bound, BackendError> {
        let bound = self.gather.bind(device, &self.plan, program);
        for slot in &mut self.slots {
            let buffers = [&slot.tile, &slot.params];
            let windows = self.plan.windows();
            slot.groups = self.gather.groups(device, pipelines, &bound, windows, buffers);
        }
        device.check()?;
        Ok(bound)
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
        let Some(loads) = self.gather.after(bound, dispatches) else { return Ok(false) };
        let slot = &self.slots[self.staging.turn()];
        let staged = self.staging.fill(device, bytes, fill)?;
        let mut encoder = device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(staged, 0, &slot.tile, 0, copied_bytes(bytes));
        let target = (&slot.groups, &slot.params);
        let submission =
            self.gather.submit(device, bound, target, (dispatches, loads), encoder, None)?;
        self.staging.sent(submission);
        Ok(true)
    }

    /// Dispatches over the tile that was sent last. As [`Stream::send`].
    pub fn again(
        &mut self,
        device: &Device,
        bound: &Bound,
        dispatches: &[Dispatch],
    ) -> Result<bool, BackendError> {
        let Some(loads) = self.gather.after(bound, dispatches) else { return Ok(false) };
        let last = (self.staging.turn() + self.slots.len() - 1) % self.slots.len();
        let slot = &self.slots[last];
        let encoder = device.inner.create_command_encoder(&Default::default());
        let target = (&slot.groups, &slot.params);
        self.gather.submit(device, bound, target, (dispatches, loads), encoder, None)?;
        Ok(true)
    }

    /// As [`Gather::read`].
    pub fn read(
        &mut self,
        device: &Device,
        bound: &Bound,
        read: impl FnMut(usize, &[u32], Load) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        self.gather.read(device, bound, read)
    }

    /// Waits until the device has done everything sent.
    pub fn settle(&mut self, device: &Device) -> Result<(), BackendError> {
        self.staging.settle(device)
    }
}
