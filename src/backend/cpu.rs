//! The CPU backend: one worker per thread, portable to every processor.
//!
//! Long runs of elements of one output go through a [`Line`] for each state,
//! the fast way of that state: exponent bins for exact sums of floats, wide
//! counters for integers, and so on. A line leaves what it gathered in a state
//! when it is taken. Runs of many outputs with few elements each are added
//! element by element.

use super::{Backend, BackendError, DeviceInfo, DeviceKind, Place, Run};
use crate::dtype::Layout;
use crate::op::Spec;
use crate::partial::Partial;
use crate::reduction::{Element, State};

mod bins_f32;
mod bins_f64;
mod integers;
mod line;
mod prefetch;

use super::reference::element_bits;
use line::{Line, Stretch};

/// Bytes a thread takes at a time: far more than a visit to the tile queue
/// costs, little enough that all threads end together.
pub const TILE_BYTES: usize = 1 << 20;

/// From so many elements of one output on, a line is worth its emptying.
const LINE_ELEMENTS_MIN: usize = 4096;

/// One CPU thread's worth of reducing.
pub struct CpuBackend {
    info: DeviceInfo,
    tile_bytes: usize,
    held: Option<Held>,
}

/// What a thread has added since its last flush.
struct Held {
    partial: Partial,
    /// One for each state of the spec. Empty between two runs, unless there is
    /// but one output.
    lines: Vec<Line>,
}

impl CpuBackend {
    /// A worker that takes tiles of `tile_bytes`; [`TILE_BYTES`] suits.
    pub fn new(tile_bytes: usize) -> CpuBackend {
        CpuBackend { info: device_info(), tile_bytes, held: None }
    }

    fn held(&mut self, spec: &Spec, outputs: usize) -> &mut Held {
        // Lines are kept from one flush to the next: they take time to make.
        let fits = |held: &Held| held.partial.spec() == spec && held.partial.outputs() == outputs;
        let kept = self.held.take().filter(fits);
        self.held.insert(kept.unwrap_or_else(|| Held {
            partial: Partial::identity(spec, outputs),
            lines: spec.monoids.iter().map(|monoid| Line::new(monoid, spec.dtype)).collect(),
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
        let held = self.held(spec, outputs);
        if outputs == 1 {
            held.gather(&Stretch::of(run));
        } else if run.place.inner == 1 && run.place.reduced >= LINE_ELEMENTS_MIN {
            held.add_rows(run);
        } else {
            held.add_elements(run);
        }
        Ok(())
    }

    fn flush(&mut self, spec: &Spec, outputs: usize) -> Result<Partial, BackendError> {
        let held = self.held(spec, outputs);
        held.settle(0);
        let empty = Partial::identity(spec, outputs);
        Ok(std::mem::replace(&mut held.partial, empty))
    }
}

impl Held {
    /// Adds elements of one output to the lines.
    fn gather(&mut self, stretch: &Stretch<'_>) {
        self.lines.iter_mut().for_each(|line| line.add(stretch));
    }

    /// Moves what the lines hold into an output.
    fn settle(&mut self, output: usize) {
        for (state, line) in self.partial.states_mut(output).iter_mut().zip(&mut self.lines) {
            line.take_into(state);
        }
    }

    /// Adds rows of many elements, each of an output of its own.
    fn add_rows(&mut self, run: &Run<'_>) {
        let Place { outer, reduced, first_output, .. } = run.place;
        let whole = Stretch::of(run);
        for row in 0..outer {
            self.gather(&whole.part(row * reduced..(row + 1) * reduced, run.place.first_index));
            self.settle(first_output + row);
        }
    }

    /// Adds elements one by one.
    fn add_elements(&mut self, run: &Run<'_>) {
        let Place { outer, reduced, inner, first_output, .. } = run.place;
        let size = run.layout.dtype.size_bytes();
        let bits = |layout: Layout, bytes: &[u8], number: usize| {
            element_bits(layout, &bytes[number * size..(number + 1) * size])
        };
        let mut number = 0;
        for o in 0..outer {
            for k in 0..reduced {
                let index = run.place.index(k as u64);
                for i in 0..inner {
                    let second =
                        run.second.map_or(0, |(layout, bytes)| bits(layout, bytes, number));
                    let element =
                        Element { bits: bits(run.layout, run.bytes, number), second, index };
                    let states = self.partial.states_mut(first_output + o * inner + i);
                    states.iter_mut().for_each(|state: &mut State| state.add(element));
                    number += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
