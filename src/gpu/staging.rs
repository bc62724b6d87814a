//! Memory of the host on its way to a device.
//!
//! Two buffers take turns: one is filled while the device copies from the other.
//! Right after a copy is sent the buffer is mapped again, so that it is ready for
//! the host as soon as the device is done with it.

use std::sync::mpsc;

use wgpu::{BufferUsages, MapMode, SubmissionIndex, WriteOnly};

use super::device::Device;
use super::plan::SLOTS;
use crate::backend::BackendError;

/// A submission, and a buffer that is mapped once it is done.
#[derive(Debug)]
pub(super) struct InFlight {
    submission: SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl InFlight {
    /// Asks for a buffer to be mapped after a submission.
    pub fn start(
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

    /// Waits for both.
    pub fn finish(self, device: &Device) -> Result<(), BackendError> {
        device.wait(self.submission)?;
        // The wait ran the callback, unless the device failed.
        match self.mapped.try_recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(device.error(error)),
            Err(_) => Err(device.error("a buffer was not mapped after its submission")),
        }
    }
}

/// The buffers that take turns.
#[derive(Debug)]
pub(super) struct Staging {
    buffers: [wgpu::Buffer; SLOTS as usize],
    /// Present while the device may still read the buffer of this number.
    in_flight: [Option<InFlight>; SLOTS as usize],
    turn: usize,
}

impl Staging {
    /// Buffers of so many bytes each.
    pub fn new(device: &Device, bytes: u64) -> Staging {
        let buffers = std::array::from_fn(|_| {
            device.inner.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: bytes,
                usage: BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            })
        });
        Staging { buffers, in_flight: [const { None }; SLOTS as usize], turn: 0 }
    }

    /// The number of the buffer that is next.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// Lets `fill` write so many bytes into the next buffer, as soon as the
    /// device is done with it. Whoever copies from it says so with
    /// [`Staging::sent`].
    pub fn fill(
        &mut self,
        device: &Device,
        bytes: usize,
        fill: impl FnOnce(WriteOnly<'_, [u8]>),
    ) -> Result<&wgpu::Buffer, BackendError> {
        if let Some(in_flight) = self.in_flight[self.turn].take() {
            in_flight.finish(device)?;
        }
        let buffer = &self.buffers[self.turn];
        {
            let mut view = buffer
                .get_mapped_range_mut(..copied_bytes(bytes))
                .map_err(|error| device.error(error))?;
            fill(view.slice(..bytes));
        }
        buffer.unmap();
        Ok(buffer)
    }

    /// The submission that copies from the buffer that was filled last.
    pub fn sent(&mut self, submission: SubmissionIndex) {
        let buffer = self.buffers[self.turn].slice(..);
        self.in_flight[self.turn] = Some(InFlight::start(submission, buffer, MapMode::Write));
        self.turn = (self.turn + 1) % self.buffers.len();
    }

    /// Waits until the device has done everything sent.
    pub fn settle(&mut self, device: &Device) -> Result<(), BackendError> {
        let in_flight = self.in_flight.iter_mut().filter_map(Option::take);
        in_flight.into_iter().try_for_each(|in_flight| in_flight.finish(device))
    }
}

/// Copies are made in whole words; the last may end in older bytes.
pub(super) fn copied_bytes(bytes: usize) -> u64 {
    (bytes as u64).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT)
}
