//! Products of floats, which round: along a perfect tree over the ranks.

use crate::backend::reference::element_bits;
use crate::dtype::{DType, Layout};
use crate::reduction::tree::Tree;

/// Multiplies the contributions of each element.
pub fn tree(dtype: DType, contributions: &[&[u8]], out: &mut [u8]) {
    let (size, layout) = (dtype.size_bytes(), Layout::little(dtype));
    for (number, out) in out.chunks_exact_mut(size).enumerate() {
        let mut tree = Tree::identity(dtype);
        for (rank, contribution) in (0..).zip(contributions) {
            tree.add(element_bits(layout, &contribution[number * size..][..size]), rank);
        }
        out.copy_from_slice(&tree.finish(dtype).to_le_bytes());
    }
}
