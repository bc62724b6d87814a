//! The slow definition of every reduction: lift each element, merge.
//!
//! Backends are tested against it and adapters are examined with it at start.

use crate::dtype::{ByteOrder, Layout};
use crate::op::{Op, Spec};
use crate::partial::Partial;
use crate::reduction::sum::Sum;

/// Reduces `bytes`, a run of whole elements, one element at a time.
///
/// # Panics
/// If `bytes` ends inside an element.
pub fn reduce(spec: Spec, byte_order: ByteOrder, bytes: &[u8]) -> Partial {
    let size = spec.dtype.size_bytes();
    assert_eq!(bytes.len() % size, 0, "bytes end inside an element");
    let layout = Layout { dtype: spec.dtype, byte_order };
    match spec.op {
        Op::Sum => {
            let mut total = Sum::identity(spec.dtype);
            for element in bytes.chunks_exact(size) {
                total
                    .merge(&Sum::lift(spec.dtype, element_bits(layout, element)))
                    .expect("one dtype, and fewer elements than bytes in memory");
            }
            Partial::from(total)
        }
    }
}

/// The bits of one element, widened to 64 with zeros.
fn element_bits(layout: Layout, element: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    if layout.byte_order == ByteOrder::Big {
        bytes[..element.len()].reverse();
    }
    u64::from_le_bytes(bytes)
}
