//! The CPU backend: one worker per thread, portable to every processor.
//!
//! Each state has a `Line`, the fast way to add many elements of one output
//! to it: float64 vectors and exponent bins for exact sums of floats, wide counters
//! for integers, and so on. Lines take little-endian rows. Runs of one output are cut into
//! pieces that stay in the cache while all lines read them; rows of many
//! outputs are given to the lines one after the other, and columns are turned
//! into rows, some at a time.

use super::{Backend, BackendError, DeviceInfo, DeviceKind, Place, Run};
use crate::op::Spec;
use crate::partial::Partial;

mod attempts;
mod bins_narrow;
mod bins_wide;
mod counts;
mod direct;
mod extremes;
mod factors;
mod few;
mod finder;
mod integers;
mod intervals;
mod lanes;
mod leaves;
mod levels;
mod line;
mod pieces;
mod prefetch;
mod products;
pub(crate) mod simd;
mod squares;
mod stretch;
mod terms;
pub(crate) mod widen;
#[cfg(target_arch = "x86_64")]
mod windows;
pub(crate) mod word;

use line::{COLUMNS, Line, ROWS_MAX, line};
use pieces::pieces;
use stretch::{Scratch, Stretch};

/// Bytes a thread takes at a time: far more than a visit to the tile queue
/// costs, little enough that all threads end together.
pub const TILE_BYTES: usize = 1 << 20;

/// Bytes of columns that are turned into rows at once.
const COLUMNS_BYTES: usize = 1 << 16;

/// One CPU thread's worth of reducing.
pub struct CpuBackend {
    info: DeviceInfo,
    tile_bytes: usize,
    held: Option<Held>,
    /// Memory for elements in native order, of either data set, and for columns
    /// turned into rows.
    scratch: [Scratch; 4],
}

/// What a thread has added since its last flush.
struct Held {
    partial: Partial,
    /// One for each state of the spec. They keep nothing back between two runs,
    /// unless there is but one output.
    lines: Vec<Box<dyn Line>>,
}

impl CpuBackend {
    /// A worker that takes tiles of `tile_bytes`; [`TILE_BYTES`] suits.
    pub fn new(tile_bytes: usize) -> CpuBackend {
        CpuBackend { info: device_info(), tile_bytes, held: None, scratch: Default::default() }
    }

    fn held<'a>(kept: &'a mut Option<Held>, spec: &Spec, outputs: usize) -> &'a mut Held {
        // Lines are kept from one flush to the next: they take time to make.
        let fits = |held: &Held| held.partial.spec() == spec && held.partial.outputs() == outputs;
        let held = kept.take().filter(fits);
        kept.insert(held.unwrap_or_else(|| Held {
            partial: Partial::identity(spec, outputs),
            lines: spec.monoids.iter().map(|monoid| line(monoid, spec.dtype)).collect(),
        }))
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

    fn add(&mut self, spec: &Spec, outputs: usize, run: &Run<'_>) -> Result<(), BackendError> {
        debug_assert_eq!(
            spec.dtype, run.layout.dtype,
            "the spec is of another dtype than the data"
        );
        let held = CpuBackend::held(&mut self.held, spec, outputs);
        let Run { layout, bytes, second, place } = *run;
        let [first_order, second_order, columns, second_columns] = &mut self.scratch;
        let size = spec.dtype.size_bytes();
        if outputs == 1 {
            for piece in pieces(spec, bytes) {
                let start = (piece.start / size) as u64;
                let second = second
                    .map(|(layout, bytes)| second_order.little(layout, &bytes[piece.clone()]));
                let bytes = first_order.little(layout, &bytes[piece]);
                let dtype = spec.dtype;
                held.gather(0, &Stretch { dtype, bytes, second, place, start });
            }
            return Ok(());
        }
        let bytes = first_order.little(layout, bytes);
        let second = second.map(|(layout, bytes)| second_order.little(layout, bytes));
        let Place { outer, reduced, inner, .. } = place;
        if inner == 1 || reduced == 1 {
            held.add_rows(place.first_output, bytes, second, &place);
            return Ok(());
        }
        let slab = reduced * inner * size;
        if second.is_none() && held.takes_columns() {
            for (o, slab) in bytes.chunks_exact(slab).enumerate() {
                held.add_columns(place.first_output + o * inner, slab, &place, columns);
            }
            return Ok(());
        }
        let width = (COLUMNS_BYTES / (reduced * size)).clamp(1, inner);
        for o in 0..outer {
            let cut = o * slab..(o + 1) * slab;
            for first in (0..inner).step_by(width) {
                let range = first..inner.min(first + width);
                let rows = columns.columns(size, &bytes[cut.clone()], inner, range.clone());
                let second = second
                    .map(|second| second_columns.columns(size, &second[cut.clone()], inner, range));
                held.add_rows(place.first_output + o * inner + first, rows, second, &place);
            }
        }
        Ok(())
    }

    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError> {
        let held = CpuBackend::held(&mut self.held, spec, outputs);
        if outputs == 1 {
            held.settle(0);
        }
        let empty = Partial::identity(spec, outputs);
        Ok(std::mem::replace(&mut held.partial, empty))
    }
}

impl Held {
    /// Adds elements of one output.
    fn gather(&mut self, output: usize, stretch: &Stretch<'_>) {
        for (line, state) in self.lines.iter_mut().zip(self.partial.states_mut(output)) {
            line.add(stretch, state);
        }
    }

    /// Moves what the lines have kept back into an output.
    fn settle(&mut self, output: usize) {
        for (line, state) in self.lines.iter_mut().zip(self.partial.states_mut(output)) {
            line.settle(state);
        }
    }

    /// Whether there is one state that has a fast way for columns.
    fn takes_columns(&self) -> bool {
        matches!(&self.lines[..], [line] if line.takes_columns())
    }

    /// Adds little-endian columns, each of an output of its own: some at once as they lie
    /// where that works, else turned into rows.
    fn add_columns(&mut self, output: usize, slab: &[u8], place: &Place<'_>, turned: &mut Scratch) {
        let (size, inner) = (self.partial.spec().dtype.size_bytes(), place.inner);
        for rows in slab.chunks(ROWS_MAX * inner * size) {
            let place = Place { reduced: rows.len() / (inner * size), ..*place };
            for first in (0..inner).step_by(COLUMNS) {
                let Held { partial, lines } = self;
                let is_added = first + COLUMNS <= inner
                    && lines[0].add_columns(
                        rows,
                        inner * size,
                        first * size,
                        partial,
                        output + first,
                    );
                if !is_added {
                    let range = first..inner.min(first + COLUMNS);
                    let turned = turned.columns(size, rows, inner, range);
                    self.add_rows(output + first, turned, None, &place);
                }
            }
        }
    }

    /// Adds little-endian rows, each of an output of its own.
    fn add_rows(&mut self, output: usize, bytes: &[u8], second: Option<&[u8]>, place: &Place<'_>) {
        let dtype = self.partial.spec().dtype;
        let length = place.reduced * dtype.size_bytes();
        for (row, bytes) in bytes.chunks_exact(length).enumerate() {
            let second = second.map(|second| &second[row * length..(row + 1) * length]);
            self.gather(output + row, &Stretch { dtype, bytes, second, place: *place, start: 0 });
            self.settle(output + row);
        }
    }
}
