//! What is dispatched over a piece.

use std::ops::Range;

use super::gather::Bound;
use super::kernel::{Kernel, Params};
use super::numbering::{Numbering, words};
use super::piece::Piece;
use super::plan::{Plan, Window};
use crate::backend::Place;

/// One dispatch: which kernel over which window of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispatch {
    pub kernel: usize,
    pub window: usize,
    pub params: Params,
}

impl Dispatch {
    /// Every kernel over every window of a piece with one output.
    pub fn of_line(plan: &Plan, bound: &Bound, piece: &Piece<'_>) -> Vec<Dispatch> {
        let bytes = piece.run_bytes() as u64;
        // Two runs lie in one window.
        let windows = match piece.is_paired() {
            true => vec![Window { offset: 0, bytes }],
            false => plan.windows_of(bytes).collect(),
        };
        let size = bytes / piece.elements();
        let workgroups = plan.workgroups.min(bound.regions.slots);
        let of_window = |(number, window): (usize, Window)| {
            let place = piece.place.after(window.offset / size, window.bytes / size);
            Dispatch::of_window(
                bound,
                workgroups,
                number,
                window.bytes,
                piece.second_vector(),
                &place,
            )
        };
        windows.into_iter().enumerate().flat_map(of_window).collect()
    }

    /// Every kernel over a window of `bytes` bytes that is a line of its own, with
    /// its second run from this vector on.
    pub fn of_window(
        bound: &Bound,
        workgroups: u32,
        window: usize,
        bytes: u64,
        second: u32,
        place: &Place<'_>,
    ) -> Vec<Dispatch> {
        let elements = place.reduced as u32;
        let of_kernel = |(kernel, shape): (usize, &Kernel)| {
            let blocks = elements.div_ceil(shape.block_elements());
            let params = Params {
                bytes: bytes as u32,
                blocks,
                workgroups: blocks.min(workgroups),
                along_axis: 0,
                outputs: 1,
                first_output: 0,
                reduced: elements,
                inner: 1,
                second,
                bins: shape.bins(),
                ..numbered(place)
            };
            Dispatch { kernel, window, params }
        };
        bound.program.kernels.iter().enumerate().map(of_kernel).collect()
    }

    /// Every kernel over some of the outputs of a piece.
    pub fn along_axis(
        plan: &Plan,
        bound: &Bound,
        piece: &Piece<'_>,
        outputs: Range<u32>,
    ) -> Vec<Dispatch> {
        let Place { reduced, inner, .. } = piece.place;
        let count = outputs.end - outputs.start;
        let of_kernel = |(kernel, shape): (usize, &Kernel)| {
            let params = Params {
                bytes: piece.run_bytes() as u32,
                blocks: (reduced as u32).div_ceil(shape.block_elements()),
                workgroups: count.min(plan.workgroups),
                along_axis: 1,
                outputs: count,
                first_output: outputs.start,
                reduced: reduced as u32,
                inner: inner as u32,
                second: piece.second_vector(),
                bins: shape.bins(),
                ..numbered(&piece.place)
            };
            Dispatch { kernel, window: 0, params }
        };
        bound.program.kernels.iter().enumerate().map(of_kernel).collect()
    }
}

/// Parameters that say how the elements of a place are numbered.
fn numbered(place: &Place<'_>) -> Params {
    let Numbering { first, stride, axes, axis } = Numbering::of(place);
    Params { first_index: words(first), stride: words(stride), axes, axis, ..Params::default() }
}
