//! The CPU backend: one worker per thread, portable to every processor.
//!
//! Floats go to exponent bins (`bins_f32`, `bins_f64`), which cost the same
//! whatever the data; integers to wide counters. Both leave what they gathered
//! in a [`Sum`] when they spill. A faster path for one processor family stands
//! beside the bins as a file of its own and falls back on them.

use super::{Backend, BackendError, DeviceInfo, DeviceKind};
use crate::dtype::{ByteOrder, DType, Layout};
use crate::op::{Op, Spec};
use crate::partial::Partial;
use crate::reduction::sum::{Counts, Sum};

mod bins_f32;
mod bins_f64;
mod integers;
mod prefetch;

use bins_f32::BinsF32;
use bins_f64::BinsF64;

/// Bytes a thread takes at a time: far more than a visit to the tile queue
/// costs, little enough that all threads end together.
pub const TILE_BYTES: usize = 1 << 20;

/// One CPU thread's worth of reducing.
pub struct CpuBackend {
    info: DeviceInfo,
    tile_bytes: usize,
    state: Option<Gathered>,
}

/// What a thread has added since its last flush.
struct Gathered {
    sum: Sum,
    bins: Bins,
}

enum Bins {
    F32(BinsF32),
    F64(BinsF64),
    None,
}

impl CpuBackend {
    /// A worker that takes tiles of `tile_bytes`; [`TILE_BYTES`] suits.
    pub fn new(tile_bytes: usize) -> CpuBackend {
        CpuBackend { info: device_info(), tile_bytes, state: None }
    }
}

/// The processor as reports name it. All of its threads are one device.
pub fn device_info() -> DeviceInfo {
    DeviceInfo {
        id: "cpu".to_owned(),
        name: format!("{} cores", std::env::consts::ARCH),
        kind: DeviceKind::Cpu,
        backend: "cpu".to_owned(),
        driver: String::new(),
    }
}

impl Backend for CpuBackend {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn tile_bytes(&self) -> usize {
        self.tile_bytes
    }

    fn add(&mut self, spec: Spec, layout: Layout, bytes: &[u8]) -> Result<(), BackendError> {
        debug_assert_eq!(spec.dtype, layout.dtype, "the spec is of another dtype than the data");
        match spec.op {
            Op::Sum => self.gathered(spec.dtype).add(layout.byte_order, bytes),
        }
        Ok(())
    }

    fn flush(&mut self, spec: Spec) -> Result<Partial, BackendError> {
        match spec.op {
            Op::Sum => Ok(Partial::from(self.gathered(spec.dtype).take())),
        }
    }
}

impl CpuBackend {
    /// What was gathered of this type. Another type's bins are empty by now:
    /// all runs between two flushes have one spec.
    fn gathered(&mut self, dtype: DType) -> &mut Gathered {
        let kept = self.state.take().filter(|gathered| gathered.sum.dtype() == dtype);
        self.state.insert(kept.unwrap_or_else(|| Gathered::new(dtype)))
    }
}

impl Gathered {
    fn new(dtype: DType) -> Gathered {
        let bins = match dtype {
            DType::F32 => Bins::F32(BinsF32::new()),
            DType::F64 => Bins::F64(BinsF64::new()),
            DType::Bool
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => Bins::None,
        };
        Gathered { sum: Sum::identity(dtype), bins }
    }

    fn add(&mut self, byte_order: ByteOrder, bytes: &[u8]) {
        let elements = (bytes.len() / self.sum.dtype().size_bytes()) as u64;
        match &mut self.bins {
            Bins::F32(bins) => bins.add(byte_order, bytes, &mut self.sum),
            Bins::F64(bins) => bins.add(byte_order, bytes, &mut self.sum),
            Bins::None => {
                let total = integers::sum(self.sum.dtype(), byte_order, bytes);
                self.sum.add_units(total, 0);
            }
        }
        count(&mut self.sum, Counts { elements, ..Counts::default() });
    }

    fn take(&mut self) -> Sum {
        match &mut self.bins {
            Bins::F32(bins) => bins.spill(&mut self.sum),
            Bins::F64(bins) => bins.spill(&mut self.sum),
            Bins::None => {}
        }
        let empty = Sum::identity(self.sum.dtype());
        std::mem::replace(&mut self.sum, empty)
    }
}

/// Adds to the counts of a sum over data that this process has read.
fn count(sum: &mut Sum, counts: Counts) {
    sum.add_counts(counts).expect("no process reads 2^64 elements");
}

#[cfg(test)]
mod tests;
