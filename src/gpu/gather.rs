//! The partials that gather on a device, and their way back to the host.

use wgpu::{BufferUsages, MapMode, SubmissionIndex};

use super::device::Device;
use super::dispatch::Dispatch;
use super::kernel::Params;
use super::pipeline::{
    BOUNDARIES_BINDING, DATA_BINDING, PARAMS_BINDING, PARTIALS_BINDING, Pipelines, Program,
};
use super::plan::{
    ALIGNMENT_BYTES, BOUNDARIES_BYTES, Load, Plan, Region, Regions, WINDOW_PARAMS_BYTES, Window,
};
use super::staging::InFlight;
use super::timing::Clock;
use crate::backend::BackendError;

/// The kernels of a spec, and where their partials lie.
#[derive(Debug)]
pub(super) struct Bound {
    pub program: Program,
    pub regions: Regions,
}

/// The bindings of each window, for each kernel.
pub(super) type Groups = Vec<Vec<wgpu::BindGroup>>;

/// The partials of all kernels, added to by every dispatch.
#[derive(Debug)]
pub(super) struct Gather {
    partials: wgpu::Buffer,
    readback: wgpu::Buffer,
    boundaries: wgpu::Buffer,
    /// What the partials of each kernel of the spec hold.
    loads: Vec<Load>,
}

impl Gather {
    pub fn new(device: &Device, plan: &Plan) -> Gather {
        let partials = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let readback = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let boundaries = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        Gather {
            partials: device.buffer("partials", plan.partials_bytes, partials),
            readback: device.buffer("readback", plan.partials_bytes, readback),
            boundaries: device.buffer("boundaries", BOUNDARIES_BYTES, boundaries),
            loads: Vec::new(),
        }
    }

    /// Makes room for the kernels of another spec. All partials have been read
    /// before.
    pub fn bind(&mut self, device: &Device, plan: &Plan, program: Program) -> Bound {
        debug_assert!(self.loads.iter().all(|load| load.partials == 0), "unread partials");
        if !program.boundaries.is_empty() {
            let boundaries = bytemuck::cast_slice(&program.boundaries);
            device.queue.write_buffer(&self.boundaries, 0, boundaries);
        }
        self.loads = vec![Load::default(); program.kernels.len()];
        Bound { regions: plan.regions(&program.kernels), program }
    }

    /// The bindings of the windows of a buffer, whose parameters lie in another.
    pub fn groups(
        &self,
        device: &Device,
        pipelines: &Pipelines,
        bound: &Bound,
        windows: impl Iterator<Item = Window>,
        [data, params]: [&wgpu::Buffer; 2],
    ) -> Groups {
        let entry = |binding, buffer, offset, bytes| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(bytes),
            }),
        };
        let group = |number, window: Window, kernel, region: &Region| {
            let params_at = params_offset(number, kernel);
            device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("window"),
                layout: pipelines.bindings(),
                entries: &[
                    entry(DATA_BINDING, data, window.offset, window.bytes),
                    entry(PARTIALS_BINDING, &self.partials, region.offset, region.bytes),
                    entry(PARAMS_BINDING, params, params_at, size_of::<Params>() as u64),
                    entry(BOUNDARIES_BINDING, &self.boundaries, 0, BOUNDARIES_BYTES),
                ],
            })
        };
        let regions = &bound.regions.regions;
        let of_window = |(number, window)| {
            let kernels = regions.iter().enumerate();
            kernels.map(|(kernel, region)| group(number, window, kernel, region)).collect()
        };
        windows.enumerate().map(of_window).collect()
    }

    /// What the partials hold after some dispatches, or `None` if one could
    /// overflow and the host must read them first.
    pub fn after(&self, bound: &Bound, dispatches: &[Dispatch]) -> Option<Vec<Load>> {
        let mut loads = self.loads.clone();
        for Dispatch { kernel, params, .. } in dispatches {
            loads[*kernel] = loads[*kernel].after(&bound.program.kernels[*kernel], params)?;
        }
        Some(loads)
    }

    /// Sends dispatches after what an encoder holds, and takes note of what the
    /// partials hold then.
    pub fn submit(
        &mut self,
        device: &Device,
        bound: &Bound,
        (groups, params_buffer): (&Groups, &wgpu::Buffer),
        (dispatches, loads): (&[Dispatch], Vec<Load>),
        mut encoder: wgpu::CommandEncoder,
        clock: Option<&Clock>,
    ) -> Result<SubmissionIndex, BackendError> {
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: clock.map(Clock::writes),
            });
            for Dispatch { kernel, window, params } in dispatches {
                let at = params_offset(*window, *kernel);
                device.queue.write_buffer(params_buffer, at, bytemuck::bytes_of(params));
                pass.set_pipeline(&bound.program.pipelines[*kernel]);
                pass.set_bind_group(0, &groups[*window][*kernel], &[]);
                pass.dispatch_workgroups(params.workgroups, 1, 1);
            }
        }
        if let Some(clock) = clock {
            clock.resolve(&mut encoder);
        }
        let submission = device.queue.submit([encoder.finish()]);
        device.check()?;
        self.loads = loads;
        Ok(submission)
    }

    /// Waits for all dispatches, passes the words of each kernel's partials to
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
}

/// Where the parameters of a kernel's dispatch over a window lie.
fn params_offset(window: usize, kernel: usize) -> u64 {
    window as u64 * WINDOW_PARAMS_BYTES + kernel as u64 * ALIGNMENT_BYTES
}
