//! Where a run of one output is cut.
//!
//! ```text
//!   lines of the cache
//!   |       |       |       |       |       |       |       |
//!       +---+-------------------------------+-----------+
//!       | 1 |            64 KiB             | the rest  |     pieces
//!       +---+-------------------------------+-----------+
//! ```

use std::ops::Range;

use super::prefetch::LINE_BYTES;
use crate::op::{Monoid, Spec};

/// Bytes of one output that all lines read before the next: they stay in the
/// second cache.
const PIECE_BYTES: usize = 1 << 16;

/// Bytes for which pieces are put at lines of the cache. A line is as long as the widest
/// vectors, and those that do not lie in one are read from two, which costs some processors a
/// third of their rate.
const ALIGNED_MIN_BYTES: usize = 1 << 12;

/// The pieces of elements, in order.
pub fn pieces(spec: &Spec, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + use<> {
    let (first, end) = (first_piece(spec, bytes), bytes.len());
    let rest = (first..end).step_by(PIECE_BYTES);
    let rest = rest.map(move |start| start..end.min(start + PIECE_BYTES));
    (first > 0).then_some(0..first).into_iter().chain(rest)
}

/// Bytes before the first line of the cache that are a piece of their own: none if there
/// are few bytes, if no element begins at a line, or if blocks are where elements belong.
fn first_piece(spec: &Spec, bytes: &[u8]) -> usize {
    let before = bytes.as_ptr().align_offset(LINE_BYTES);
    let is_worth_it = bytes.len() >= ALIGNED_MIN_BYTES
        && before.is_multiple_of(spec.dtype.size_bytes())
        && !spec.monoids.contains(&Monoid::Tree);
    if is_worth_it { before } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::op::Term;

    #[test]
    fn pieces_are_all_bytes_in_order_and_begin_at_lines() {
        let bytes = vec![0; 3 * PIECE_BYTES];
        let line = bytes.as_ptr().align_offset(LINE_BYTES);
        for (dtype, monoid) in [
            (DType::F64, Monoid::Sum(Term::Value)),
            (DType::U8, Monoid::Tally),
            (DType::F32, Monoid::Tree),
        ] {
            let spec = Spec { dtype, monoids: vec![monoid.clone()] };
            let size = dtype.size_bytes();
            for start in line..=line + LINE_BYTES {
                for length in [0, size, 4096 - size, 4096, PIECE_BYTES + 8, 2 * PIECE_BYTES + 64] {
                    let bytes = &bytes[start..start + length];
                    let cuts: Vec<Range<usize>> = pieces(&spec, bytes).collect();
                    let mut end = 0;
                    for piece in &cuts {
                        assert_eq!(piece.start, end, "{dtype} {start} {length}");
                        assert!(piece.start.is_multiple_of(size) && !piece.is_empty());
                        assert!(piece.len() <= PIECE_BYTES);
                        end = piece.end;
                    }
                    assert_eq!(end, length);
                    let can = start.wrapping_sub(line).is_multiple_of(size);
                    let is_aligned = can && monoid != Monoid::Tree && length >= 4096;
                    let first = cuts.iter().find(|piece| piece.len() >= LINE_BYTES);
                    if let Some(first) = first.filter(|_| is_aligned) {
                        let address = bytes[first.clone()].as_ptr();
                        assert_eq!(address.align_offset(LINE_BYTES), 0, "{dtype} {start} {length}");
                    }
                    // Where blocks are is what elements belong to.
                    assert!(monoid != Monoid::Tree || first.is_none_or(|first| first.start == 0));
                }
            }
        }
    }
}
