//! A device's own clock.

use wgpu::{BufferUsages, MapMode};

use super::device::Device;
use super::staging::InFlight;
use crate::backend::BackendError;

/// Bytes of two timestamps.
const BYTES: u64 = 16;

/// Measures passes, one at a time.
#[derive(Debug)]
pub(super) struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: wgpu::Buffer,
    seconds_per_tick: f64,
}

impl Clock {
    /// The clock of a device, if it has one.
    pub fn new(device: &Device) -> Option<Clock> {
        if !device.inner.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        Some(Clock {
            queries: device.inner.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: device.buffer(
                "timestamps",
                BYTES,
                BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
            ),
            readback: device.buffer(
                "timestamps",
                BYTES,
                BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            ),
            seconds_per_tick: f64::from(device.queue.get_timestamp_period()) * 1e-9,
        })
    }

    /// What a pass has to write.
    pub fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Makes what the pass wrote readable.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readback, 0, BYTES);
    }

    /// Waits for the submission of a pass, and gives its seconds.
    pub fn seconds(
        &self,
        device: &Device,
        submission: wgpu::SubmissionIndex,
    ) -> Result<f64, BackendError> {
        InFlight::start(submission, self.readback.slice(..), MapMode::Read).finish(device)?;
        let ticks: Vec<u64> = {
            let view = self.readback.get_mapped_range(..).map_err(|error| device.error(error))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        self.readback.unmap();
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * self.seconds_per_tick)
    }
}
