//! Exact sums of floats: the terms that go into exponent bins, and the way of
//! stretches that are too short for those to be worth their emptying.

use super::bins_narrow::BinsNarrow;
use super::bins_wide::{BLOCK_ELEMENTS, BinsWide};
use super::line::{Line, count, sum_of};
use super::stretch::Stretch;
use super::window::Window;
use super::word::Word;
use crate::dtype::DType;
use crate::op::Term;
use crate::reduction::State;
use crate::reduction::float::{BFLOAT16, BINARY16, BINARY32, BINARY64, Float, FloatFormat};
use crate::reduction::sum::{Counts, unit_exponent};

/// From so many elements on, narrow bins are worth their emptying.
const NARROW_MIN: usize = 512;
/// From so many elements on, wide bins are.
const WIDE_MIN: usize = 4096;

/// The format of a float type.
fn format_of(dtype: DType) -> FloatFormat {
    FloatFormat::of(dtype).expect("floats alone have exponents")
}

fn count_elements(stretch: &Stretch<'_>, state: &mut State) {
    let counts = Counts { elements: stretch.elements() as u64, ..Counts::default() };
    count(sum_of(state), counts);
}

/// All bits of an element that its term has: a magnitude has no sign.
fn mask(term: Term, format: FloatFormat) -> u64 {
    let all = format.sign_bit() | (format.sign_bit() - 1);
    if term == Term::Magnitude { all & !format.sign_bit() } else { all }
}

/// Adds few elements, or magnitudes, without bins.
fn add_few(stretch: &Stretch<'_>, mask: u64, state: &mut State) {
    let (format, sum) = (format_of(stretch.dtype), sum_of(state));
    let unit = (format.exponent_min - unit_exponent(stretch.dtype, Term::Value)) as u32;
    let mut special = Counts::default();
    let mut window = Window::new();
    for element in stretch.each() {
        match format.decode(element.bits & mask) {
            Float::Finite { negative, significand, shift } => {
                window.add(negative, significand, shift + unit, sum);
            }
            Float::Nan => special.nan += 1,
            Float::Infinite { negative: false } => special.positive_infinity += 1,
            Float::Infinite { negative: true } => special.negative_infinity += 1,
        }
    }
    window.spill(sum);
    count(sum, special);
}

/// Sums of elements or magnitudes of up to 32 bits.
pub struct Narrow<W, const FRACTION_BITS: u32, const BINS: usize> {
    bins: BinsNarrow<W, FRACTION_BITS, BINS>,
    mask: u64,
    unit: u32,
}

impl<W: Word, const FRACTION_BITS: u32, const BINS: usize> Narrow<W, FRACTION_BITS, BINS> {
    pub fn new(bins: BinsNarrow<W, FRACTION_BITS, BINS>, term: Term, dtype: DType) -> Self {
        let format = format_of(dtype);
        let unit = (format.exponent_min - unit_exponent(dtype, term)) as u32;
        Narrow { bins, mask: mask(term, format), unit }
    }
}

impl<W: Word + Send, const FRACTION_BITS: u32, const BINS: usize> Line
    for Narrow<W, FRACTION_BITS, BINS>
{
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        count_elements(stretch, state);
        if stretch.elements() < NARROW_MIN {
            add_few(stretch, self.mask, state);
        } else {
            let mask = W::from(self.mask).expect("a mask of the element's bits");
            self.bins.add(stretch.bytes, mask, self.unit, sum_of(state));
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
    mask: u64,
}

impl Wide {
    pub fn new(bins: BinsWide, term: Term) -> Wide {
        Wide { bins, mask: mask(term, BINARY64) }
    }
}

impl Line for Wide {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        count_elements(stretch, state);
        if stretch.elements() < WIDE_MIN {
            return add_few(stretch, self.mask, state);
        }
        let mask = self.mask;
        for block in stretch.bytes.chunks(8 * BLOCK_ELEMENTS) {
            let (quads, rest) = u64::quads(block);
            let quads = quads.map(|quad| quad.map(|bits| bits & mask));
            let rest = rest.map(|bits| bits & mask);
            self.bins.add(block.len() / 8, quads, rest, 0, sum_of(state));
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(0, sum_of(state));
        }
    }
}

/// Sums of squares or products of floats of up to 32 bits: products of two
/// significands of 24 bits, which float64 holds exactly, with exponents far
/// within its range.
pub struct Squares {
    bins: BinsWide,
    products: Vec<u64>,
    term: Term,
    unit: i32,
}

impl Squares {
    pub fn new(bins: BinsWide, term: Term, dtype: DType) -> Squares {
        let unit = BINARY64.exponent_min - unit_exponent(dtype, term);
        Squares { bins, products: vec![0; BLOCK_ELEMENTS], term, unit }
    }

    #[inline(always)]
    fn add_all<W: Word>(
        &mut self,
        bytes: &[u8],
        second: &[u8],
        widen: impl Fn(W) -> f64,
        state: &mut State,
    ) {
        let block = BLOCK_ELEMENTS * size_of::<W>();
        for (block, second) in bytes.chunks(block).zip(second.chunks(block)) {
            let pairs = W::all(block).zip(W::all(second));
            let products = &mut self.products[..block.len() / size_of::<W>()];
            for (product, (a, b)) in products.iter_mut().zip(pairs) {
                *product = (widen(a) * widen(b)).to_bits();
            }
            let (quads, rest) = products.as_chunks::<4>();
            let (quads, rest) = (quads.iter().copied(), rest.iter().copied());
            self.bins.add(products.len(), quads, rest, self.unit, sum_of(state));
        }
    }

    /// Adds few terms without bins.
    fn add_few(&self, stretch: &Stretch<'_>, state: &mut State) {
        let format = format_of(stretch.dtype);
        let unit = 2 * (format.exponent_min - unit_exponent(stretch.dtype, Term::Value)) as u32;
        let mut window = Window::new();
        let mut finite = 0;
        for element in stretch.each() {
            let second = if self.term == Term::Product { element.second } else { element.bits };
            match (format.decode(element.bits), format.decode(second)) {
                (
                    Float::Finite { negative: a_negative, significand: a, shift: a_shift },
                    Float::Finite { negative: b_negative, significand: b, shift: b_shift },
                ) => {
                    finite += 1;
                    let negative = a_negative != b_negative;
                    window.add(negative, a * b, a_shift + b_shift + unit, sum_of(state));
                }
                _ => state.add(element),
            }
        }
        let sum = sum_of(state);
        window.spill(sum);
        count(sum, Counts { elements: finite, ..Counts::default() });
    }
}

impl Line for Squares {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        if stretch.elements() < WIDE_MIN {
            return self.add_few(stretch, state);
        }
        count_elements(stretch, state);
        let (bytes, dtype) = (stretch.bytes, stretch.dtype);
        let second = if self.term == Term::Product { stretch.second() } else { bytes };
        match dtype {
            DType::F16 => self.add_all(bytes, second, f16_to_f64, state),
            DType::BF16 => self.add_all(bytes, second, bf16_to_f64, state),
            _ => self.add_all(bytes, second, f32_to_f64, state),
        }
    }

    fn settle(&mut self, state: &mut State) {
        if !self.bins.is_empty() {
            self.bins.spill(self.unit, sum_of(state));
        }
    }
}

/// A float16 as float64, exactly; NaN stays NaN.
#[inline(always)]
pub fn f16_to_f64(bits: u16) -> f64 {
    // The exponent is too small by the difference of the two biases, which one
    // multiplication by a power of two makes good, of subnormals too. The
    // largest exponent is that of NaN and infinities here and there.
    const REBIAS: f64 = f64::from_bits((1023 + 1023 - 15) << 52);
    let magnitude = u64::from(bits & 0x7fff) << 42;
    let special =
        if magnitude >= u64::from(BINARY16.infinity as u16) << 42 { BINARY64.infinity } else { 0 };
    let scaled = (f64::from_bits(magnitude) * REBIAS).to_bits();
    f64::from_bits(scaled | special | u64::from(bits & 0x8000) << 48)
}

/// A bfloat16 as float64, exactly; NaN stays NaN.
#[inline(always)]
pub fn bf16_to_f64(bits: u16) -> f64 {
    f32_to_f64(u32::from(bits) << 16)
}

/// A float32 as float64, exactly; NaN stays NaN.
#[inline(always)]
pub fn f32_to_f64(bits: u32) -> f64 {
    f32::from_bits(bits).into()
}

const _: () = assert!(2 * BFLOAT16.precision < BINARY64.precision);
const _: () = assert!(2 * BINARY32.precision < BINARY64.precision);
