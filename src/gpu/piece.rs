//! Runs cut into what is sent to the device at once.

use wgpu::WriteOnly;

use super::gather::Bound;
use super::kernel::{Kernel, VECTOR_BYTES};
use super::numbering::Numbering;
use super::plan::Plan;
use crate::backend::Run;
use crate::dtype::{ByteOrder, Layout};
use crate::site::{Place, Site};

/// Part of a run that fits a tile, a block again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    layout: Layout,
    bytes: &'a [u8],
    second: Option<(Layout, &'a [u8])>,
    /// Where its elements belong.
    pub place: Place<'a>,
}

/// The most elements of one piece: what a tile holds, or one window if the
/// piece has two runs or many outputs; no more blocks than half of what any
/// partial holds, since the windows of a tile end in parts of blocks; and no
/// more of them than the workgroups of a line, or the one of an output, may
/// reduce in one dispatch.
pub(super) fn elements_max(plan: &Plan, bound: &Bound, run: &Run<'_>, line: bool) -> u64 {
    let window = plan.tile_bytes.min(plan.window_bytes);
    let bytes = match (run.second.is_some(), line) {
        (true, _) => window / 2,
        (false, true) => plan.tile_bytes,
        (false, false) => window,
    };
    let workgroups = if line { plan.workgroups.min(bound.regions.slots) } else { 1 };
    let in_dispatch = elements_per_dispatch(bound, workgroups);
    (bytes / run.layout.dtype.size_bytes() as u64).min(in_dispatch)
}

/// The most elements of one output that so many workgroups may reduce in one
/// dispatch.
pub(super) fn elements_per_dispatch(bound: &Bound, workgroups: u32) -> u64 {
    let of_kernel = |kernel: &Kernel| {
        let in_dispatch = u64::from(kernel.blocks_per_dispatch()) * u64::from(workgroups);
        let blocks = u64::from(kernel.blocks_max() / 2).min(in_dispatch);
        blocks * u64::from(kernel.block_elements())
    };
    bound.program.kernels.iter().map(of_kernel).min().unwrap_or(u64::MAX)
}

impl<'a> Piece<'a> {
    /// The pieces of a run, each of at most so many elements.
    pub fn all_of(run: &Run<'a>, elements_max: u64) -> impl Iterator<Item = Piece<'a>> {
        let Run { layout, bytes, second, place } = *run;
        let size = layout.dtype.size_bytes();
        let site = Site::of_run(&place);
        let elements = (bytes.len() / size) as u64;
        let mut start = 0;
        std::iter::from_fn(move || {
            if start == elements {
                return None;
            }
            let order = place.order.after(start);
            let most = elements_max.min(Numbering::room(order));
            let run = start..start + site.block_at(start..elements, most);
            let Place { outer, reduced, inner, first_output, first_index, .. } =
                site.place(run.clone());
            let part = run.start as usize * size..run.end as usize * size;
            start = run.end;
            Some(Piece {
                layout,
                bytes: &bytes[part.clone()],
                second: second.map(|(layout, bytes)| (layout, &bytes[part])),
                place: Place {
                    outer,
                    reduced,
                    inner,
                    first_output: place.first_output + first_output,
                    first_index,
                    order,
                },
            })
        })
    }

    /// Bytes of one of its runs.
    pub fn run_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has a second run.
    pub fn is_paired(&self) -> bool {
        self.second.is_some()
    }

    /// Elements of one of its runs.
    pub fn elements(&self) -> u64 {
        (self.bytes.len() / self.layout.dtype.size_bytes()) as u64
    }

    /// The vector of a tile that the second run starts with.
    pub fn second_vector(&self) -> u32 {
        self.bytes.len().div_ceil(VECTOR_BYTES as usize) as u32
    }

    /// Bytes of a tile that it takes.
    pub fn tile_bytes(&self) -> usize {
        match self.second {
            Some((_, second)) => {
                self.second_vector() as usize * VECTOR_BYTES as usize + second.len()
            }
            None => self.bytes.len(),
        }
    }

    /// Writes it to the start of a tile.
    pub fn write(&self, mut tile: WriteOnly<'_, [u8]>) {
        write_little_endian(self.layout, self.bytes, tile.slice(..self.bytes.len()));
        if let Some((layout, bytes)) = self.second {
            let start = self.second_vector() as usize * VECTOR_BYTES as usize;
            write_little_endian(layout, bytes, tile.slice(start..start + bytes.len()));
        }
    }
}

/// Copies elements into staging memory with their least significant byte
/// first, as the shaders read words.
pub(super) fn write_little_endian(layout: Layout, bytes: &[u8], mut staging: WriteOnly<'_, [u8]>) {
    let size = layout.dtype.size_bytes();
    if size == 1 || layout.byte_order == ByteOrder::Little {
        staging.copy_from_slice(bytes);
        return;
    }
    // Mapped memory may be slow to write in small pieces.
    let mut swapped = [0; 4096];
    let mut start = 0;
    for chunk in bytes.chunks(swapped.len()) {
        let swapped = &mut swapped[..chunk.len()];
        swapped.copy_from_slice(chunk);
        for element in swapped.chunks_exact_mut(size) {
            element.reverse();
        }
        staging.slice(start..start + chunk.len()).copy_from_slice(swapped);
        start += chunk.len();
    }
}
