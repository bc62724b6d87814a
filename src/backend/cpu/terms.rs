//! Exact sums of floats and of their magnitudes.
//!
//! Most data lies within some binades, and its sums are exact in float64, in one
//! or a few running sums of each lane of a vector. What does not fit goes into
//! exponent bins, or into digits where there are too few elements for bins to be
//! worth their emptying.

use super::attempts::Attempts;
use super::bins_narrow::BinsNarrow;
use super::bins_wide::{self, BinsWide};
use super::direct;
use super::few::{ELEMENTS_MAX, Few};
use super::levels::{Levels, Terms};
use super::line::{COLUMNS, Line, add_scaled, count, count_elements, sum_of};
use super::simd::Vectors;
use super::stretch::Stretch;
use super::widen::Widen;
use crate::backend::reference::element_bits;
use crate::dtype::{DType, Layout};
use crate::op::Term;
use crate::partial::Partial;
use crate::reduction::State;
use crate::reduction::float::{BINARY64, FloatFormat};
use crate::reduction::sum::{Counts, Sum, unit_exponent};

/// From so many elements on, running sums in float64 are worth their gathering.
const DIRECT_MIN: usize = 8;
/// So many elements are few.
const FEW: usize = 64;
/// From so many elements on, narrow bins are worth their emptying, unless they hold some
/// already.
const NARROW_MIN: usize = 512;
/// From so many elements on, wide bins are.
const WIDE_MIN: usize = 8192;

const _: () = assert!(NARROW_MIN <= ELEMENTS_MAX && WIDE_MIN <= ELEMENTS_MAX);
const _: () = assert!(FEW <= Levels::<2, 4>::BLOCK_ELEMENTS);
const _: () = assert!(Levels::<2, COLUMNS>::BLOCK_ELEMENTS <= bins_wide::BLOCK_ELEMENTS);

/// All bits of an element that its term has: a magnitude has no sign.
fn mask(term: Term, format: FloatFormat) -> u64 {
    let all = format.sign_bit() | (format.sign_bit() - 1);
    if term == Term::Magnitude { all & !format.sign_bit() } else { all }
}

/// Adds the only element of a stretch, as columns of few rows have.
fn add_one(stretch: &Stretch<'_>, sum: &mut Sum) {
    sum.add(element_bits(Layout::little(stretch.dtype), stretch.bytes), 0);
}

/// Sums of elements or magnitudes of up to 32 bits.
pub struct Narrow<F: Widen, const FRACTION_BITS: u32, const BINS: usize> {
    vectors: Option<Vectors>,
    direct: Attempts,
    bins: BinsNarrow<F::Word, FRACTION_BITS, BINS>,
    few: Few,
    term: Term,
    unit: u32,
}

impl<F: Widen, const FRACTION_BITS: u32, const BINS: usize> Narrow<F, FRACTION_BITS, BINS> {
    pub fn new(term: Term, dtype: DType) -> Self {
        Narrow {
            vectors: Vectors::for_floats(),
            direct: Attempts::default(),
            bins: BinsNarrow::new(term == Term::Magnitude),
            few: Few::new(),
            term,
            unit: (F::FORMAT.exponent_min - unit_exponent(dtype, term)) as u32,
        }
    }
}

impl<F: Widen, const FRACTION_BITS: u32, const BINS: usize> Narrow<F, FRACTION_BITS, BINS> {
    #[inline(never)]
    fn add_blocks(&mut self, bytes: &[u8], sum: &mut Sum) {
        let size = size_of::<F::Word>();
        let is_few = bytes.len() / size < NARROW_MIN;
        for block in bytes.chunks(direct::BLOCK_ELEMENTS * size) {
            let total = self.vectors.and_then(|vectors| {
                let magnitudes = self.term == Term::Magnitude;
                self.direct.make(|| direct::total::<F>(vectors, block, magnitudes))
            });
            match total {
                Some((units, exponent)) => add_scaled(sum, units, exponent),
                None if is_few && self.bins.is_empty() => self.add_few(block, sum),
                None => self.bins.add(block, self.unit, sum),
            }
        }
    }

    #[inline(never)]
    fn add_few(&mut self, bytes: &[u8], sum: &mut Sum) {
        self.few.add::<F::Word>(F::FORMAT, bytes, mask(self.term, F::FORMAT), sum);
    }
}

impl<F: Widen, const FRACTION_BITS: u32, const BINS: usize> Line
    for Narrow<F, FRACTION_BITS, BINS>
{
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        if stretch.elements() == 1 {
            return add_one(stretch, sum);
        }
        count_elements(stretch, sum);
        match stretch.elements() < DIRECT_MIN {
            true => self.add_few(stretch.bytes, sum),
            false => self.add_blocks(stretch.bytes, sum),
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(self.unit, sum_of(state));
        }
    }
}

/// Sums of float64 or its magnitudes.
pub struct Wide {
    levels: Option<Levels<2, COLUMNS>>,
    /// Of few elements: their gathering counts more than their adding.
    levels_of_few: Option<Levels<2, 4>>,
    attempts: Attempts,
    bins: BinsWide,
    few: Few,
    values: Values,
}

/// Elements without the bits that the mask lacks.
#[derive(Clone, Copy)]
struct Values {
    mask: u64,
}

impl Terms for Values {
    type Word = u64;
    const ERRORS: bool = false;

    #[inline(always)]
    fn term(self, a: u64, _: u64) -> (f64, f64) {
        (f64::from_bits(a & self.mask), 0.0)
    }
}

impl Wide {
    pub fn new(term: Term) -> Wide {
        Wide {
            levels: Vectors::for_floats().map(Levels::new),
            levels_of_few: Vectors::for_floats().map(Levels::new),
            attempts: Attempts::default(),
            bins: BinsWide::new(term == Term::Magnitude),
            few: Few::new(),
            values: Values { mask: mask(term, BINARY64) },
        }
    }
}

impl Wide {
    #[inline(never)]
    fn add_blocks(&mut self, bytes: &[u8], sum: &mut Sum) {
        let elements = bytes.len() / 8;
        for block in bytes.chunks(8 * Levels::<2, COLUMNS>::BLOCK_ELEMENTS) {
            let values = self.values;
            let total = match (&mut self.levels, &mut self.levels_of_few) {
                (_, Some(levels)) if elements <= FEW => {
                    self.attempts.make(|| levels.total(block, block, values))
                }
                (Some(levels), _) => self.attempts.make(|| levels.total(block, block, values)),
                _ => None,
            };
            match total {
                Some(total) => {
                    total
                        .into_iter()
                        .for_each(|(units, exponent)| add_scaled(sum, units, exponent));
                }
                None if elements < WIDE_MIN && self.bins.is_empty() => self.add_few(block, sum),
                None => self.bins.add(block, sum),
            }
        }
    }

    #[inline(never)]
    fn add_few(&mut self, bytes: &[u8], sum: &mut Sum) {
        self.few.add::<u64>(BINARY64, bytes, self.values.mask, sum);
    }
}

impl Line for Wide {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        if stretch.elements() == 1 {
            return add_one(stretch, sum);
        }
        count_elements(stretch, sum);
        match stretch.elements() < DIRECT_MIN {
            true => self.add_few(stretch.bytes, sum),
            false => self.add_blocks(stretch.bytes, sum),
        }
    }

    fn add_columns(
        &mut self,
        rows: &[u8],
        row_bytes: usize,
        first_byte: usize,
        partial: &mut Partial,
        output: usize,
    ) -> bool {
        let (values, Some(levels)) = (self.values, &mut self.levels) else { return false };
        let attempt = || levels.columns(rows, row_bytes, first_byte, values);
        let Some(totals) = self.attempts.make(attempt) else { return false };
        let elements = (rows.len() / row_bytes) as u64;
        for (column, total) in totals.into_iter().enumerate() {
            let sum = sum_of(&mut partial.states_mut(output + column)[0]);
            count(sum, Counts { elements, ..Counts::default() });
            total.into_iter().for_each(|(units, exponent)| add_scaled(sum, units, exponent));
        }
        true
    }

    fn takes_columns(&self) -> bool {
        self.levels.is_some()
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(sum_of(state));
        }
    }
}
