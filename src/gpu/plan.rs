//! Sizes, without a GPU: how much memory a stream takes, how a tile is cut
//! into windows, and how many workgroups sum a window.

use super::kernel::{Kernel, Params};
use crate::op::{BINS_MAX, MONOIDS_MAX};

/// Offsets of windows, and of their parameters, are multiples of this: the
/// strictest alignment that WebGPU lets an adapter ask for.
pub const ALIGNMENT_BYTES: u64 = 256;

/// The most bytes of one window. Larger ones index past 31 bits on some
/// drivers, and shaders count bytes in 32.
pub const WINDOW_BYTES_MAX: u64 = 1 << 30;

/// Two tiles are in flight: one is filled while the other is summed. Each has
/// a staging buffer and a device buffer.
pub const SLOTS: u64 = 2;

/// The most workgroups of one dispatch. Blocks beyond them are taken in turns.
pub const WORKGROUPS_MAX: u32 = 4096;

/// Bytes for partials where memory is plenty: 256 workgroups of any spec, and
/// thousands of most.
pub const PARTIALS_BYTES_MAX: u64 = 2 << 20;

/// Bytes for partials where it is scarce: one of each state, and the most bins.
pub const PARTIALS_BYTES_MIN: u64 = 4 * BINS_MAX as u64 + MONOIDS_MAX as u64 * (8 << 10);

/// Bytes for the boundaries of the most bins.
pub const BOUNDARIES_BYTES: u64 = 8 * (BINS_MAX as u64 + 1);

/// Bytes of the parameters of a window, one alignment for each kernel.
pub const WINDOW_PARAMS_BYTES: u64 = MONOIDS_MAX as u64 * ALIGNMENT_BYTES;

/// What bounds a plan: the adapter's limits and the caller's wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The bytes that a caller would like to add at once.
    pub tile_bytes: u64,
    /// All memory that may be taken, on the host and the device together.
    pub memory_bytes: u64,
    /// The largest buffer.
    pub buffer_bytes_max: u64,
    /// The largest part of a buffer that a shader can see.
    pub binding_bytes_max: u64,
    /// The most workgroups of one dispatch.
    pub workgroups_max: u32,
}

/// The sizes of a stream's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes that one slot holds, a multiple of [`ALIGNMENT_BYTES`].
    pub tile_bytes: u64,
    /// Bytes that one dispatch sums, a multiple of [`ALIGNMENT_BYTES`].
    pub window_bytes: u64,
    /// The most workgroups of one dispatch.
    pub workgroups: u32,
    /// Bytes of the partials of all kernels of a spec.
    pub partials_bytes: u64,
}

/// A plan that the memory has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got} bytes of memory are too few for its buffers, which need at least {needed}")]
pub struct TooLittleMemory {
    /// Bytes of the smallest plan.
    pub needed: u64,
    /// Bytes allowed.
    pub got: u64,
}

impl Plan {
    /// The largest plan within the bounds.
    ///
    /// # Errors
    /// Even the smallest tile needs more memory than there may be.
    pub fn new(bounds: Bounds) -> Result<Plan, TooLittleMemory> {
        let workgroups = bounds.workgroups_max.clamp(1, WORKGROUPS_MAX);
        // A sixteenth of the memory, where it is not plenty.
        let partials_bytes =
            align_down(bounds.memory_bytes / 16).clamp(PARTIALS_BYTES_MIN, PARTIALS_BYTES_MAX);
        let binding = bounds.binding_bytes_max.min(WINDOW_BYTES_MAX);
        let window_bytes = align_down(binding).max(ALIGNMENT_BYTES);
        let plan = |tile_bytes| Plan { tile_bytes, window_bytes, workgroups, partials_bytes };

        let needed = plan(ALIGNMENT_BYTES).memory_bytes();
        let got = bounds.memory_bytes;
        let room = got.checked_sub(needed).ok_or(TooLittleMemory { needed, got })?;
        // A tile's memory is its bytes, twice in each slot, and the parameters
        // of its windows; the first window is in `needed`.
        let windows_per_tile = (room / (2 * SLOTS)) / window_bytes + 1;
        let params_bytes = windows_per_tile * WINDOW_PARAMS_BYTES;
        let tile_room = (room / SLOTS).saturating_sub(params_bytes) / 2;
        let tile = bounds.tile_bytes.min(tile_room + ALIGNMENT_BYTES).min(bounds.buffer_bytes_max);
        Ok(plan(align_down(tile).max(ALIGNMENT_BYTES)))
    }

    /// The windows of a whole tile.
    pub fn windows(&self) -> impl Iterator<Item = Window> + use<> {
        self.windows_of(self.tile_bytes)
    }

    /// The windows of the first `bytes` of a tile.
    pub fn windows_of(&self, bytes: u64) -> impl Iterator<Item = Window> + use<> {
        let window_bytes = self.window_bytes;
        (0..bytes.div_ceil(window_bytes)).map(move |index| {
            let offset = index * window_bytes;
            Window { offset, bytes: window_bytes.min(bytes - offset) }
        })
    }

    /// Bytes of the parameters of a tile's windows.
    pub fn params_bytes(&self) -> u64 {
        self.tile_bytes.div_ceil(self.window_bytes) * WINDOW_PARAMS_BYTES
    }

    /// All bytes of the buffers: for each slot a staging buffer, what it is
    /// copied to and the parameters; then the partials, the buffer they are
    /// read through, and the boundaries of bins.
    pub fn memory_bytes(&self) -> u64 {
        SLOTS * (self.params_bytes() + 2 * self.tile_bytes)
            + 2 * self.partials_bytes
            + BOUNDARIES_BYTES
    }

    /// Where the partials of a spec's kernels lie.
    pub fn regions(&self, kernels: &[Kernel]) -> Regions {
        let bytes = |kernel: &Kernel| u64::from(kernel.partial_bytes());
        let all_bytes = |shared| -> u64 {
            kernels.iter().filter(|kernel| kernel.is_shared() == shared).map(bytes).sum()
        };
        let alignments = kernels.len() as u64 * ALIGNMENT_BYTES;
        let room = self.partials_bytes - alignments - all_bytes(true);
        let slots = room.checked_div(all_bytes(false)).unwrap_or(u64::from(self.workgroups));
        let mut end = 0;
        let regions = kernels.iter().map(|kernel| {
            let partials = if kernel.is_shared() { 1 } else { slots };
            let region = Region { offset: end, bytes: partials * bytes(kernel) };
            end = (region.offset + region.bytes).next_multiple_of(ALIGNMENT_BYTES);
            region
        });
        Regions { regions: regions.collect(), slots: slots as u32 }
    }
}

/// Where the partials of each kernel of a spec lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    /// One for each kernel.
    pub regions: Vec<Region>,
    /// Partials that each holds, but for those that workgroups share.
    pub slots: u32,
}

/// Part of the buffer of partials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it starts, a multiple of [`ALIGNMENT_BYTES`].
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// Part of a tile that one dispatch sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it starts in the tile, a multiple of [`ALIGNMENT_BYTES`].
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What the partials hold since the host last read and cleared them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Blocks in all partials together.
    pub blocks: u64,
    /// The most blocks that any one partial may hold.
    pub blocks_per_partial: u32,
    /// Partials that are not empty, counted from the first.
    pub partials: u32,
}

impl Load {
    /// The load of a kernel's partials after one more dispatch, or `None` if
    /// one could then overflow and the host must read them first.
    pub fn after(self, kernel: &Kernel, dispatch: &Params) -> Option<Load> {
        let Params { blocks, workgroups, outputs, along_axis, .. } = *dispatch;
        let (share, partials) = match (kernel.is_shared(), along_axis != 0) {
            (true, _) => (blocks, 1),
            (false, true) => (blocks, outputs),
            (false, false) => (blocks.div_ceil(workgroups), workgroups),
        };
        let load = Load {
            blocks: self.blocks + u64::from(blocks) * u64::from(outputs),
            blocks_per_partial: self.blocks_per_partial.checked_add(share)?,
            partials: self.partials.max(partials),
        };
        (load.blocks_per_partial <= kernel.blocks_max()).then_some(load)
    }
}

fn align_down(bytes: u64) -> u64 {
    bytes / ALIGNMENT_BYTES * ALIGNMENT_BYTES
}

#[cfg(test)]
mod tests;
