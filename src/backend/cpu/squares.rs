//! Exact sums of squares and products of floats of up to 32 bits.
//!
//! Two significands of at most 24 bits have a product of at most 48, and its
//! exponent lies far within the range of float64, so float64 multiplies them
//! exactly. The products go into its bins, and from there into a sum whose unit
//! is that of the products: they are multiples of it.

use super::bins_wide::{BLOCK_ELEMENTS, BinsWide};
use super::few::{ELEMENTS_MAX, Few};
use super::line::{Line, count_elements, sum_of};
use super::stretch::Stretch;
use super::widen::{bf16_to_f64, f16_to_f64, f32_to_f64};
use super::word::Word;
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::State;
use crate::reduction::float::{BFLOAT16, BINARY16, BINARY32, BINARY64};
use crate::reduction::sum::{Sum, unit_exponent};

/// From so many elements on, bins are worth their emptying.
const BINS_MIN: usize = 1 << 13;

const _: () = assert!(2 * BINARY32.precision <= BINARY64.precision);
const _: () = assert!(2 * BINARY32.exponent_min > BINARY64.exponent_min);
const _: () = assert!(BINS_MIN <= ELEMENTS_MAX);

/// Bins, and products on their way to them.
pub struct Squares {
    term: Term,
    bins: BinsWide,
    products: Vec<u64>,
    few: Few,
}

impl Squares {
    pub fn new(term: Term, dtype: DType) -> Squares {
        let above = unit_exponent(dtype, term) - BINARY64.exponent_min;
        let bins = BinsWide::with_unit_above(above as u32);
        Squares { term, bins, products: vec![0; BLOCK_ELEMENTS], few: Few::new() }
    }

    #[inline(always)]
    fn add_all<W: Word>(
        &mut self,
        bytes: &[u8],
        second: &[u8],
        widen: impl Fn(W) -> f64,
        sum: &mut Sum,
    ) {
        let block = BLOCK_ELEMENTS * size_of::<W>();
        for (block, second) in bytes.chunks(block).zip(second.chunks(block)) {
            let products = &mut self.products[..block.len() / size_of::<W>()];
            let factors = products.iter_mut().zip(W::all(block).map(&widen));
            if self.term == Term::Product {
                let others = W::all(second).map(&widen);
                factors.zip(others).for_each(|((to, a), b)| *to = (a * b).to_bits());
            } else {
                factors.for_each(|(to, a)| *to = (a * a).to_bits());
            }
            let (quads, rest) = products.as_chunks::<4>();
            let (quads, rest) = (quads.iter().copied(), rest.iter().copied());
            self.bins.add(products.len(), quads, rest, sum);
        }
    }
}

impl Line for Squares {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        count_elements(stretch, sum);
        let (bytes, second) = stretch.factors(self.term);
        let is_few = stretch.elements() < BINS_MIN;
        match stretch.dtype {
            DType::F16 if is_few => self.few.add_products::<u16>(BINARY16, bytes, second, sum),
            DType::F16 => self.add_all(bytes, second, f16_to_f64, sum),
            DType::BF16 if is_few => self.few.add_products::<u16>(BFLOAT16, bytes, second, sum),
            DType::BF16 => self.add_all(bytes, second, bf16_to_f64, sum),
            _ if is_few => self.few.add_products::<u32>(BINARY32, bytes, second, sum),
            _ => self.add_all(bytes, second, f32_to_f64, sum),
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(sum_of(state));
        }
    }
}
