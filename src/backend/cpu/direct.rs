//! Sums of floats of up to 32 bits in float64, where that rounds nothing.
//!
//! Float64 has 29 bits more than float32. As long as the exponents of a block
//! are not too far apart, sums of its elements have no more than 53 bits, so
//! they are exact. Whether they were is told afterwards, by the largest and the
//! smallest magnitude, which are found on the way by integers:
//!
//! ```text
//!      sums of ADDITIONS_MAX elements below 2^top          all multiples of 2^low
//!      |                                                                       |
//!      v                                                                       v
//!      +------------+----------------------------------------------------------+
//!      |  7 bits    |  top - low: exponents and fraction of the elements       |
//!      +------------+----------------------------------------------------------+
//!      <-------------------------- at most 51 bits --------------------------->
//! ```
//!
//! No operation rounds, and subnormals of float64, which float16 becomes where it is
//! [scaled](Widen::SCALE), are kept: without that no vectors are given to floats. So the
//! bits of a sum depend on nothing but the elements.
//!
//! Every float16 fits with every other, so of these only the largest is looked for.

use num_traits::{AsPrimitive as _, Bounded as _, WrappingAdd as _, Zero as _};

use super::prefetch;
use super::simd::{Loop, Vectors};
use super::widen::Widen;
use super::word::{Groups, Word};
use crate::reduction::float::FloatFormat;

/// Running sums: four of the widest vectors.
const LANES: usize = 32;
/// Running sums for few elements: their gathering counts more than their adding.
const LANES_OF_FEW: usize = 8;
/// So many elements are few.
const FEW: usize = 64;
/// Elements that are added to each of them.
const ADDITIONS_MAX: usize = 128;
/// The most elements of one block.
pub const BLOCK_ELEMENTS: usize = LANES * ADDITIONS_MAX;
/// Bits between the unit and the largest sum: one less than those of a float64
/// below 1.5 * 2^52, from which units are counted.
const BITS_MAX: i32 = 51;

/// A block of little-endian elements.
struct Block<'a, F: Widen, const LANES: usize> {
    bytes: &'a [u8],
    /// The bits that count: magnitudes have no sign.
    mask: F::Word,
}

/// What was found of a block.
struct Found<W, const LANES: usize> {
    /// Scaled as the format is.
    sums: [f64; LANES],
    /// The bits of the largest magnitude.
    most: W,
    /// Those of the smallest but zero, less one. The largest of all if it does not matter.
    least: W,
}

/// Whether all finite numbers of a format fit together.
const fn fits_always(format: FloatFormat) -> bool {
    let exponents = (format.infinity >> (format.precision - 1)) as i32;
    fits(exponents - 1, 1, format)
}

/// Whether sums of numbers with these exponents fit.
const fn fits(most: i32, least: i32, format: FloatFormat) -> bool {
    most - least + format.precision as i32 + ADDITIONS_MAX.ilog2() as i32 <= BITS_MAX
}

impl<F: Widen, const LANES: usize> Loop for Block<'_, F, LANES> {
    type Output = Found<F::Word, LANES>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let max = F::Word::max_value();
        let (mut sums, mut most, mut least) =
            ([0.0; LANES], [F::Word::zero(); LANES], [max; LANES]);
        for part in Groups::<F::Word, LANES>::of(self.bytes).parts() {
            for words in part {
                prefetch::streamed(words);
                for lane in 0..LANES {
                    let x = F::Word::of(words[lane]) & self.mask;
                    let magnitude = x & (max >> 1);
                    sums[lane] += F::to_scaled(x);
                    most[lane] = most[lane].max(magnitude);
                    if !const { fits_always(F::FORMAT) } {
                        least[lane] = least[lane].min(magnitude.wrapping_add(&max));
                    }
                }
            }
        }
        let most = most.into_iter().fold(F::Word::zero(), Ord::max);
        Found { sums, most, least: least.into_iter().fold(max, Ord::min) }
    }
}

/// The sum of a block of at most [`BLOCK_ELEMENTS`] elements or of their magnitudes: a number
/// of units, and the exponent of the unit. `None` if it may have been rounded, or if there is
/// a NaN or infinity.
pub fn total<F: Widen>(vectors: Vectors, bytes: &[u8], magnitudes: bool) -> Option<(i128, i32)> {
    match bytes.len() / size_of::<F::Word>() <= FEW {
        true => total_in::<F, LANES_OF_FEW>(vectors, bytes, magnitudes),
        false => total_in::<F, LANES>(vectors, bytes, magnitudes),
    }
}

fn total_in<F: Widen, const LANES: usize>(
    vectors: Vectors,
    bytes: &[u8],
    magnitudes: bool,
) -> Option<(i128, i32)> {
    debug_assert!(bytes.len() <= LANES * ADDITIONS_MAX * size_of::<F::Word>());
    let mask = F::Word::max_value() >> usize::from(magnitudes);
    let Found { sums, most, least } = vectors.run(Block::<F, LANES> { bytes, mask });
    let format = F::FORMAT;
    let [most, least]: [u64; 2] = [most.as_(), least.as_()];
    if most >= format.infinity {
        return None;
    }
    let exponent = |magnitude: u64| (magnitude >> (format.precision - 1)).max(1) as i32;
    let low = match fits_always(format) {
        true => 1,
        // All of them are zero.
        false if most == 0 => return Some((0, format.exponent_min)),
        false => exponent(least + 1),
    };
    if !fits(exponent(most), low, format) {
        return None;
    }
    // From there on, one unit is one in the last place.
    let unit = format.exponent_min + low - 1;
    let start = 1.5 * exp2(52 + unit);
    let units = |sum: f64| {
        let sum = sum * const { exp2(-F::SCALE) };
        (start + sum).to_bits().wrapping_sub(start.to_bits()) as i64
    };
    Some((sums.into_iter().map(units).sum::<i64>().into(), unit))
}

/// A power of two that float64 has as a normal number.
#[inline(always)]
pub const fn exp2(exponent: i32) -> f64 {
    assert!(-1022 <= exponent && exponent <= 1023);
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::super::widen::{BF16, F16, F32};
    use super::*;

    /// The exact sum in units of 2^-149, by integers.
    fn exact(elements: &[f32]) -> BigInt {
        elements.iter().fold(BigInt::ZERO, |sum, x| {
            let (exponent, fraction) = (x.to_bits() >> 23 & 255, x.to_bits() & 0x7f_ffff);
            let significand = if exponent == 0 { fraction } else { fraction | 0x80_0000 };
            let magnitude = BigInt::from(significand) << (exponent.max(1) - 1);
            if x.is_sign_negative() { sum - magnitude } else { sum + magnitude }
        })
    }

    /// Units of this exponent in those of 2^-149.
    fn in_least((units, exponent): (i128, i32)) -> BigInt {
        BigInt::from(units) << (exponent + 149)
    }

    fn total_of(elements: &[f32]) -> Option<BigInt> {
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        let found: Vec<Option<(i128, i32)>> = Vectors::all()
            .into_iter()
            .map(|vectors| total::<F32>(vectors, &bytes, false))
            .collect();
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0].map(in_least)
    }

    #[test]
    fn full_blocks_at_the_edge_of_what_fits_are_exact() {
        let largest = f32::from_bits(0x4000_0000 - 1); // Just below 2.
        for (low, fits) in [(20, true), (21, false)] {
            let least = f32::from_bits((127 - low) << 23 | 1);
            for sign in [1.0, -1.0] {
                let mut elements = vec![sign * largest; BLOCK_ELEMENTS];
                elements[777] = least;
                assert_eq!(total_of(&elements), fits.then(|| exact(&elements)));
            }
        }
    }

    #[test]
    fn zeros_fit_everywhere_and_special_values_nowhere() {
        assert_eq!(total_of(&[]), Some(BigInt::ZERO));
        assert_eq!(total_of(&[0.0, -0.0]), Some(BigInt::ZERO));
        let sparse = [f32::MAX, 0.0, -0.0, f32::MAX, -1e38];
        assert_eq!(total_of(&sparse), Some(exact(&sparse)));
        let subnormal = [f32::from_bits(1), -f32::from_bits(0x7f_ffff), f32::MIN_POSITIVE];
        assert_eq!(total_of(&subnormal), Some(exact(&subnormal)));
        for special in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(total_of(&[1.0, special]), None);
        }
    }

    #[test]
    fn every_float16_fits_with_every_other() {
        let finite = (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00);
        let all: Vec<u16> = finite.filter(|bits| bits & 0x8000 == 0 || bits % 3 == 0).collect();
        for block in all.chunks(BLOCK_ELEMENTS) {
            let with_extremes: Vec<u16> = [&block[..block.len() - 2], &[1, 0x7bff]].concat();
            let bytes: Vec<u8> = with_extremes.iter().flat_map(|x| x.to_le_bytes()).collect();
            let found = total::<F16>(Vectors::new(), &bytes, false).expect("it fits");
            let elements: Vec<f32> =
                with_extremes.iter().map(|&x| half::f16::from_bits(x).to_f32()).collect();
            assert_eq!(in_least(found), exact(&elements));
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_exact(
            top in 0..255_u32, spread in 0..26_u32, seed in any::<u64>(),
            elements in 1..BLOCK_ELEMENTS,
        ) {
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 32) as u32
            };
            let element = |_| {
                let exponent = top.saturating_sub(random() % (spread + 1));
                f32::from_bits(random() & 0x807f_ffff | exponent << 23)
            };
            let data: Vec<f32> = (0..elements).map(element).collect();
            let found = total_of(&data);
            prop_assert!(found.is_some() || spread > 20 || top == 255);
            if let Some(found) = found {
                prop_assert_eq!(found, exact(&data));
            }
            let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
            if let Some(found) = total::<F32>(Vectors::new(), &bytes, true) {
                let magnitudes: Vec<f32> = data.iter().map(|x| x.abs()).collect();
                prop_assert_eq!(in_least(found), exact(&magnitudes));
            }
            // The upper halves are numbers of another format.
            let halves: Vec<f32> =
                data.iter().map(|x| f32::from_bits(x.to_bits() & 0xffff_0000)).collect();
            let bytes: Vec<u8> = halves.iter().flat_map(|x| x.to_le_bytes()[2..].to_vec()).collect();
            if let Some(found) = total::<BF16>(Vectors::new(), &bytes, false) {
                prop_assert_eq!(in_least(found), exact(&halves));
            } else {
                prop_assert!(top == 255);
            }
        }
    }
}
