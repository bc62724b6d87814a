//! Exact sums of floats and of their magnitudes, in exponent bins, or without
//! where there are too few elements for bins to be worth their emptying.

use super::bins_narrow::BinsNarrow;
use super::bins_wide::{BLOCK_ELEMENTS, BinsWide};
use super::few::{ELEMENTS_MAX, Few};
use super::line::{Line, count_elements, sum_of};
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::State;
use crate::reduction::float::{BFLOAT16, BINARY16, BINARY32, BINARY64, FloatFormat};
use crate::reduction::sum::unit_exponent;

/// From so many elements on, narrow bins are worth their emptying.
const NARROW_MIN: usize = 512;
/// From so many elements on, wide bins are.
const WIDE_MIN: usize = 8192;

const _: () = assert!(NARROW_MIN <= ELEMENTS_MAX && WIDE_MIN <= ELEMENTS_MAX);

/// All bits of an element that its term has: a magnitude has no sign.
fn mask(term: Term, format: FloatFormat) -> u64 {
    let all = format.sign_bit() | (format.sign_bit() - 1);
    if term == Term::Magnitude { all & !format.sign_bit() } else { all }
}

/// Sums of elements or magnitudes of up to 32 bits.
pub struct Narrow<W, const FRACTION_BITS: u32, const BINS: usize> {
    bins: BinsNarrow<W, FRACTION_BITS, BINS>,
    few: Few,
    mask: u64,
    unit: u32,
}

impl<W: Word, const FRACTION_BITS: u32, const BINS: usize> Narrow<W, FRACTION_BITS, BINS> {
    /// The format is known by its fraction.
    const FORMAT: FloatFormat = match FRACTION_BITS {
        7 => BFLOAT16,
        10 => BINARY16,
        _ => BINARY32,
    };

    pub fn new(term: Term, dtype: DType) -> Self {
        let unit = (Self::FORMAT.exponent_min - unit_exponent(dtype, term)) as u32;
        let bins = BinsNarrow::new(term == Term::Magnitude);
        Narrow { bins, few: Few::new(), mask: mask(term, Self::FORMAT), unit }
    }
}

impl<W: Word + Send, const FRACTION_BITS: u32, const BINS: usize> Line
    for Narrow<W, FRACTION_BITS, BINS>
{
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        count_elements(stretch, sum);
        if stretch.elements() < NARROW_MIN {
            self.few.add::<W>(Self::FORMAT, stretch.bytes, self.mask, sum);
        } else {
            self.bins.add(stretch.bytes, self.unit, sum);
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
    bins: BinsWide,
    few: Few,
    mask: u64,
}

impl Wide {
    pub fn new(term: Term) -> Wide {
        let bins = BinsWide::new(term == Term::Magnitude);
        Wide { bins, few: Few::new(), mask: mask(term, BINARY64) }
    }
}

impl Line for Wide {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let sum = sum_of(state);
        count_elements(stretch, sum);
        if stretch.elements() < WIDE_MIN {
            return self.few.add::<u64>(BINARY64, stretch.bytes, self.mask, sum);
        }
        for block in stretch.bytes.chunks(8 * BLOCK_ELEMENTS) {
            let (quads, rest) = u64::quads(block);
            self.bins.add(block.len() / 8, quads, rest, sum);
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(sum_of(state));
        }
    }
}
