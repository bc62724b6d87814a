//! The smallest or largest, with the index that comes with it.

use crate::backend::reference::element_bits;
use crate::dtype::{DType, Layout};
use crate::reduction::extremum::{End, Extremum};

/// Folds elements that are each followed by an index of eight bytes. NaN wins, of
/// equal ones the lowest index.
pub fn extremes(dtype: DType, end: End, contributions: &[&[u8]], out: &mut [u8]) {
    let (size, layout) = (dtype.size_bytes(), Layout::little(dtype));
    for (number, out) in out.chunks_exact_mut(size + 8).enumerate() {
        let mut found = Extremum::identity(dtype, true);
        for contribution in contributions {
            let element = &contribution[number * (size + 8)..][..size + 8];
            let (value, index) = element.split_at(size);
            let index = u64::from_le_bytes(index.try_into().expect("eight bytes"));
            found.add(element_bits(layout, value), index);
        }
        let (bits, index) = found.finish(end).expect("there is a contribution");
        out[..size].copy_from_slice(&bits.to_le_bytes()[..size]);
        out[size..].copy_from_slice(&index.to_le_bytes());
    }
}
