//! Data that stays on an adapter: sent once, reduced as often as one likes.
//!
//! A [`Resident`] holds data sets up to a budget of bytes. When there is no room
//! for another, those that were used least recently go; who asks for one of them
//! again is told so, and sends it again. Reductions of resident data run at the
//! bandwidth of the adapter's own memory, those of other data at that of the bus.

use super::backend::{GpuBackend, Options};
use super::cache::Cache;
use super::device::{Adapter, Device, failed_before};
use super::gather::Gather;
use super::pipeline::Pipelines;
use super::plan::{ALIGNMENT_BYTES, Plan};
use super::self_test::Examination;
use super::staging::Staging;
use super::timing::Clock;
use crate::backend::{BackendError, DeviceInfo};
use crate::dtype::{DType, Layout};
use crate::op::Spec;
use crate::partial::Partial;
use crate::site::Site;

mod chunks;

use chunks::{Open, Set};

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
        let plan = options.plan(adapter)?;
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

fn has_kernels(spec: &Spec, elements: u64) -> bool {
    !spec.monoids.is_empty()
        && !super::is_sorted(spec)
        && super::takes(spec, &Site::line(elements, 0))
}
