//! The slow definition of every reduction: lift each element, merge.
//!
//! Backends are tested against it and adapters are examined with it at start.

use super::{Place, Run};
use crate::dtype::{ByteOrder, Layout};
use crate::op::Spec;
use crate::partial::Partial;
use crate::reduction::Element;

/// Reduces one run to a partial of `outputs` outputs, one element at a time.
///
/// # Panics
/// If the bytes are not the elements that the place says.
pub fn reduce(spec: &Spec, outputs: usize, run: &Run<'_>) -> Partial {
    let size = spec.dtype.size_bytes();
    let Place { outer, reduced, inner, first_output, .. } = run.place;
    assert_eq!(run.bytes.len(), outer * reduced * inner * size, "the run's bytes and place");
    let mut partial = Partial::identity(spec, outputs);
    let mut elements = (0..).zip(run.bytes.chunks_exact(size));
    let mut element = |k: usize| {
        let (number, bytes) = elements.next().expect("as many as the place says");
        let second = run.second.map_or(0, |(layout, bytes)| {
            element_bits(layout, &bytes[number * size..(number + 1) * size])
        });
        let index = run.place.index(k as u64);
        Element { bits: element_bits(run.layout, bytes), second, index }
    };
    for o in 0..outer {
        for k in 0..reduced {
            for i in 0..inner {
                let element = element(k);
                let states = partial.states_mut(first_output + o * inner + i);
                states.iter_mut().for_each(|state| state.add(element));
            }
        }
    }
    partial
}

/// Reduces `bytes`, little-endian elements of one data set, to one output.
///
/// # Panics
/// If `bytes` ends inside an element.
pub fn reduce_line(spec: &Spec, byte_order: ByteOrder, bytes: &[u8]) -> Partial {
    let layout = Layout { dtype: spec.dtype, byte_order };
    let elements = bytes.len() / spec.dtype.size_bytes();
    let place = Place::line(elements, 0);
    reduce(spec, 1, &Run { layout, bytes, second: None, place })
}

/// The bits of one element, widened to 64 with zeros.
pub fn element_bits(layout: Layout, element: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    if layout.byte_order == ByteOrder::Big {
        bytes[..element.len()].reverse();
    }
    u64::from_le_bytes(bytes)
}
