//! Exact sums of squares and products of floats of up to 32 bits.
//!
//! Two significands of at most 24 bits have a product of at most 48, and its
//! exponent lies far within the range of float64, so float64 multiplies them
//! exactly. The products are summed in levels; those of blocks for which that is
//! not exact go into bins, and from there into a sum whose unit is that of the
//! products: they are multiples of it.

use std::marker::PhantomData;

use super::attempts::Attempts;
use super::bins_wide::{BLOCK_ELEMENTS, BinsWide};
use super::few::{ELEMENTS_MAX, Few};
use super::levels::{Levels, Terms};
use super::line::{Line, add_scaled, count_elements, sum_of};
use super::simd::Vectors;
use super::stretch::Stretch;
use super::widen::Widen;
use super::word::Word;
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::State;
use crate::reduction::float::{BINARY32, BINARY64};
use crate::reduction::sum::{Sum, unit_exponent};

/// From so many elements on, levels are worth their gathering.
const LEVELS_MIN: usize = 32;
/// From so many elements on, bins are worth their emptying, unless they hold some already.
const BINS_MIN: usize = 1 << 13;

const _: () = assert!(2 * BINARY32.precision <= BINARY64.precision);
const _: () = assert!(2 * BINARY32.exponent_min > BINARY64.exponent_min);
const _: () = assert!(BINS_MIN <= ELEMENTS_MAX);
const _: () = assert!(ProductLevels::BLOCK_ELEMENTS <= BLOCK_ELEMENTS);

type ProductLevels = Levels<2, 8>;

/// Levels, bins, and products on their way to those.
pub struct Squares<F> {
    term: Term,
    levels: Option<ProductLevels>,
    attempts: Attempts,
    bins: BinsWide,
    products: Vec<u64>,
    few: Few,
    format: PhantomData<F>,
}

/// Products of elements.
#[derive(Clone, Copy)]
struct Exact<F>(PhantomData<F>);

impl<F: Widen> Terms for Exact<F> {
    type Word = F::Word;
    const ERRORS: bool = false;

    #[inline(always)]
    fn term(self, a: F::Word, b: F::Word) -> (f64, f64) {
        (f64::from(F::to_f32(a)) * f64::from(F::to_f32(b)), 0.0)
    }
}

impl<F: Widen> Squares<F> {
    pub fn new(term: Term, dtype: DType) -> Self {
        let above = unit_exponent(dtype, term) - BINARY64.exponent_min;
        Squares {
            term,
            levels: Vectors::for_floats().map(Levels::new),
            attempts: Attempts::default(),
            bins: BinsWide::with_unit_above(above as u32),
            products: vec![0; BLOCK_ELEMENTS],
            few: Few::new(),
            format: PhantomData,
        }
    }

    /// Adds a block of products through bins.
    #[inline(always)]
    fn add_to_bins(&mut self, bytes: &[u8], second: &[u8], sum: &mut Sum) {
        let products = &mut self.products[..bytes.len() / size_of::<F::Word>()];
        let factors = F::Word::all(bytes).zip(F::Word::all(second));
        for (to, (a, b)) in products.iter_mut().zip(factors) {
            let (product, _) = Exact::<F>(PhantomData).term(a, b);
            *to = product.to_bits().to_le();
        }
        self.bins.add(bytemuck::cast_slice(products), sum);
    }
}

impl<F: Widen> Line for Squares<F> {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        count_elements(stretch, sum);
        let (bytes, second) = stretch.factors(self.term);
        let elements = stretch.elements();
        let size = ProductLevels::BLOCK_ELEMENTS * size_of::<F::Word>();
        for (bytes, second) in bytes.chunks(size).zip(second.chunks(size)) {
            let levels = self.levels.as_mut().filter(|_| elements >= LEVELS_MIN);
            let total = levels.and_then(|levels| {
                self.attempts.make(|| levels.total(bytes, second, Exact::<F>(PhantomData)))
            });
            if let Some(total) = total {
                total.into_iter().for_each(|(units, exponent)| add_scaled(sum, units, exponent));
            } else if elements < BINS_MIN && self.bins.is_empty() {
                self.few.add_products::<F::Word>(F::FORMAT, bytes, second, sum);
            } else {
                self.add_to_bins(bytes, second, sum);
            }
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(sum_of(state));
        }
    }
}
