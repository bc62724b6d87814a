//! From the words that a device gives back to a sum.

use super::kernel::{DIGIT_BITS, Kernel};
use super::plan::Load;
use crate::op::Term;
use crate::reduction::InvalidState;
use crate::reduction::sum::{Counts, Sum};

/// Why words from a device are no sum. A device is not trusted more than a
/// peer: what it says must be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPartials {
    /// Some dispatch did not run, or ran twice.
    #[error("it summed {got} blocks where {expected} were sent")]
    Blocks {
        /// Blocks dispatched.
        expected: u64,
        /// Blocks that the partials count.
        got: u64,
    },
    /// The elements sent cannot have this sum.
    #[error("its answer is impossible: {0}")]
    Sum(#[from] InvalidState),
}

/// Adds up the partials of all workgroups, the sum of `elements` elements.
///
/// # Errors
/// The words cannot be the sum of what was dispatched.
pub fn fold(
    kernel: &Kernel,
    words: &[u32],
    load: Load,
    elements: u64,
) -> Result<Sum, InvalidPartials> {
    let digits = kernel.digits();
    let mut columns = vec![0i64; digits];
    let mut special = [0u64; 3];
    let mut blocks = 0;
    for partial in words.chunks_exact(kernel.partial_bytes() as usize / 4) {
        let (low, rest) = partial.split_at(digits);
        let (high, counts) = rest.split_at(digits);
        for (column, (low, high)) in columns.iter_mut().zip(low.iter().zip(high)) {
            *column += i64::from(*low) + (i64::from(*high as i32) << 16);
        }
        for (total, count) in special.iter_mut().zip(counts) {
            *total += u64::from(*count);
        }
        blocks += u64::from(counts[3]);
    }
    if blocks != load.blocks {
        return Err(InvalidPartials::Blocks { expected: load.blocks, got: blocks });
    }
    let mut sum = Sum::identity(kernel.dtype(), Term::Value);
    for (digit, column) in (0..).zip(columns) {
        sum.add_units(i128::from(column), DIGIT_BITS * digit);
    }
    let [nan, positive_infinity, negative_infinity] = special;
    let counts = Counts { elements, nan, positive_infinity, negative_infinity };
    Ok(Sum::from_parts(kernel.dtype(), Term::Value, counts, &sum.limbs())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::gpu::kernel::Block;

    /// Two partials of one block each, holding 5 - 2^16 and 2 * 2^8.
    fn words(kernel: &Kernel) -> Vec<u32> {
        let (digits, words) = (kernel.digits(), kernel.partial_bytes() as usize / 4);
        let mut all = vec![0; 2 * words];
        all[0] = 5;
        all[digits] = u32::MAX;
        all[words + 1] = 2;
        all[words - 1] = 1;
        all[2 * words - 1] = 1;
        all
    }

    #[test]
    fn digits_add_up_with_their_signs() {
        let kernel = Kernel::sum(DType::I32, Block::LARGE);
        let load = Load { blocks: 2, blocks_per_partial: 1, partials: 2 };
        let mut expected = Sum::identity(DType::I32, Term::Value);
        expected.add_units(5 - 65536 + 512, 0);
        expected.add_counts(Counts { elements: 9, ..Counts::default() }).expect("few");
        assert_eq!(fold(&kernel, &words(&kernel), load, 9), Ok(expected));
    }

    #[test]
    fn a_missing_dispatch_and_an_impossible_sum_are_refused() {
        let kernel = Kernel::sum(DType::I8, Block::LARGE);
        let load = Load { blocks: 3, blocks_per_partial: 2, partials: 2 };
        let missing = fold(&kernel, &words(&kernel), load, 9);
        assert_eq!(missing, Err(InvalidPartials::Blocks { expected: 3, got: 2 }));
        let load = Load { blocks: 2, ..load };
        let impossible = fold(&kernel, &words(&kernel), load, 9);
        assert!(matches!(impossible, Err(InvalidPartials::Sum(_))), "{impossible:?}");
    }
}
