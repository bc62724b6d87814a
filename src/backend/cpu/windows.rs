//! Sums of float32 of any exponents, in the registers of AVX-512.
//!
//! Exponent bins take an addition in the cache for each element, and processors store one
//! number a cycle. Their vectors have nothing to do meanwhile, so they take every other
//! line of the cache: eight windows of 32 exponents hold all that there are, each as two
//! words in each of 16 lanes.
//!
//! ```text
//!      significand with its sign, shifted by exponent mod 32
//!      55                28 27                 0
//!     +--------------------+--------------------+
//!     |        high        |        low         |     [window of 8][lane of 16]
//!     +--------------------+--------------------+
//!       signed, in 32 bits    unsigned, in 32 bits
//! ```
//!
//! Exponents count from that which only subnormals have, in halves of the least of them.
//! The window of an element is chosen by masks: its words are added to those lanes of a
//! window's words that have an element of it. The first window has no mask and gets all
//! elements, from which those of the others are taken when the windows are emptied.
//!
//! Bounds: both words have four bits to spare, so they are emptied into 64 bits after
//! 16 additions. Sums of `high` lie in [-2^31, 2^31), as 2^31 more than they are.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_epi64, _mm512_and_si512, _mm512_andnot_si512,
    _mm512_cmpeq_epi32_mask, _mm512_cmpge_epu32_mask, _mm512_mask_add_epi32, _mm512_mask_or_epi32,
    _mm512_mask_sub_epi32, _mm512_max_epu32, _mm512_movepi32_mask, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_sllv_epi32,
    _mm512_srav_epi32, _mm512_srli_epi32, _mm512_srli_epi64, _mm512_test_epi32_mask,
};

use super::prefetch;
use super::simd::has_avx512;
use crate::reduction::float::BINARY32;
use crate::reduction::sum::Sum;

const WINDOWS: usize = 8;
const LANES: usize = 16;
/// Bits of the lower word.
const LOW_BITS: u32 = 28;
/// Vectors that are added before the windows are emptied.
const ROUNDS: usize = 1 << (u32::BITS - LOW_BITS);
/// A vector, and as many elements that go elsewhere.
const ROUND_BYTES: usize = 2 * LANES * size_of::<f32>();
/// What is added at once.
const GROUP_BYTES: usize = ROUNDS * ROUND_BYTES;
/// Quads in the vectors of a group, and as many that go elsewhere.
const QUADS: usize = ROUNDS * LANES / 4;

const FRACTION_BITS: u32 = BINARY32.precision - 1;

// A significand with its sign and the largest shift fill both words.
const _: () = assert!(BINARY32.precision + 31 == 2 * LOW_BITS - 1);

/// Low and high words of all windows, each summed over groups by eight lanes.
type Totals = [[[u64; 8]; 2]; WINDOWS];

/// What was added since the windows were emptied last.
pub struct Windows {
    totals: Box<Totals>,
    groups: u64,
    /// Whether the elements count as their magnitudes.
    magnitudes: bool,
}

impl Windows {
    /// None where the processor lacks the instructions.
    pub fn new(magnitudes: bool) -> Option<Windows> {
        has_avx512().then(|| Windows { totals: Box::default(), groups: 0, magnitudes })
    }

    /// Adds about half of the elements and gives the others to `others`, by four: all
    /// elements of groups with a NaN or infinity among them. Returns how often it did, and
    /// the bytes after the last group, of which it has done nothing.
    #[inline(always)]
    pub fn add<'a>(&mut self, bytes: &'a [u8], others: impl FnMut([u32; 4])) -> (usize, &'a [u8]) {
        let (groups, rest) = bytes.as_chunks();
        let totals = &mut self.totals;
        let added = match self.magnitudes {
            // SAFETY: there are `Windows` only where `new` has found AVX-512.
            false => unsafe { add::<false>(totals, groups, others) },
            // SAFETY: as above.
            true => unsafe { add::<true>(totals, groups, others) },
        };
        self.groups += added as u64;
        (QUADS * (2 * groups.len() - added), rest)
    }

    /// Empties them into `sum`, whose unit lies `unit` below the least subnormal.
    pub fn spill(&mut self, unit: u32, sum: &mut Sum) {
        // Sixteen lanes of each group began with 2^31.
        let begun = i128::from(self.groups) << (31 + LANES.ilog2());
        let words = |lanes: [u64; 8]| lanes.into_iter().map(i128::from).sum::<i128>();
        let mut values =
            self.totals.map(|[low, high]| words(low) + ((words(high) - begun) << LOW_BITS));
        values[0] -= values[1..].iter().sum::<i128>();
        // A significand that is not shifted counts halves of the least subnormal: only those
        // of subnormals are not, and these are even.
        sum.add_units(values[0] >> 1, unit);
        for (window, &value) in values.iter().enumerate().skip(1) {
            sum.add_units(value, unit + 32 * window as u32 - 1);
        }
        *self.totals = Totals::default();
        self.groups = 0;
    }
}

/// Adds groups and says how many had nothing but finite elements in their vectors.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
fn add<const MAGNITUDES: bool>(
    totals: &mut Totals,
    groups: &[[u8; GROUP_BYTES]],
    mut others: impl FnMut([u32; 4]),
) -> usize {
    let all = |bits: u32| _mm512_set1_epi32(bits.cast_signed());
    let tops: [__m512i; WINDOWS] = std::array::from_fn(|window| all((window as u32) << 28));
    let mut added = 0;
    for group in groups {
        let mut low = [_mm512_setzero_si512(); WINDOWS];
        let mut high = [all(1 << 31); WINDOWS];
        let mut most = _mm512_setzero_si512();
        for round in group.as_chunks::<ROUND_BYTES>().0 {
            let [vector, scalars] = round.as_chunks().0 else { unreachable!("two lines") };
            prefetch::scattered(round);
            let x: __m512i = bytemuck::cast(*vector);
            // Without its sign. A subnormal is that many halves of the least one.
            let twice = _mm512_add_epi32(x, x);
            most = _mm512_max_epu32(most, twice);
            let exponent = _mm512_srli_epi32::<{ FRACTION_BITS + 1 }>(twice);
            let normal = _mm512_test_epi32_mask(exponent, exponent);
            let fraction = _mm512_and_si512(x, all((1 << FRACTION_BITS) - 1));
            let mut significand =
                _mm512_mask_or_epi32(twice, normal, fraction, all(1 << FRACTION_BITS));
            if !MAGNITUDES {
                let (negative, zero) = (_mm512_movepi32_mask(x), _mm512_setzero_si512());
                significand = _mm512_mask_sub_epi32(significand, negative, zero, significand);
            }
            let shift = _mm512_and_si512(exponent, all(31));
            let lower = _mm512_sllv_epi32(significand, shift);
            let lower = _mm512_and_si512(lower, all((1 << LOW_BITS) - 1));
            // Down by LOW_BITS less `shift`, which may be below zero.
            let higher = _mm512_slli_epi32::<{ 31 - LOW_BITS }>(significand);
            let higher = _mm512_srav_epi32(higher, _mm512_andnot_si512(exponent, all(31)));
            let top = _mm512_and_si512(x, all(0x7000_0000));
            low[0] = _mm512_add_epi32(low[0], lower);
            high[0] = _mm512_add_epi32(high[0], higher);
            for window in 1..WINDOWS {
                let within = _mm512_cmpeq_epi32_mask(top, tops[window]);
                low[window] = _mm512_mask_add_epi32(low[window], within, low[window], lower);
                high[window] = _mm512_mask_add_epi32(high[window], within, high[window], higher);
            }
            quads(scalars).for_each(&mut others);
        }
        let special = (BINARY32.infinity << 1) as u32;
        if _mm512_cmpge_epu32_mask(most, all(special)) != 0 {
            for round in group.as_chunks::<ROUND_BYTES>().0 {
                let [vector, _] = round.as_chunks().0 else { unreachable!("two lines") };
                quads(vector).for_each(&mut others);
            }
            continue;
        }
        added += 1;
        for ((low, high), totals) in low.into_iter().zip(high).zip(&mut *totals) {
            for (words, total) in [low, high].into_iter().zip(totals) {
                let even = _mm512_and_si512(words, _mm512_set1_epi64(u32::MAX.into()));
                let odd = _mm512_srli_epi64::<32>(words);
                let sum = _mm512_add_epi64(bytemuck::cast(*total), _mm512_add_epi64(even, odd));
                *total = bytemuck::cast(sum);
            }
        }
    }
    added
}

/// The words of a line of the cache.
#[inline(always)]
fn quads(line: &[u8; ROUND_BYTES / 2]) -> impl Iterator<Item = [u32; 4]> {
    let quads: [[u32; 4]; LANES / 4] = bytemuck::cast(*line);
    quads.into_iter()
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;
    use crate::dtype::DType;
    use crate::op::Term;

    const GROUP: usize = GROUP_BYTES / 4;

    /// The sum of elements in least subnormals, by integers.
    fn exact(elements: &[u32], magnitudes: bool) -> BigInt {
        elements.iter().fold(BigInt::ZERO, |sum, bits| {
            let (exponent, fraction) = (bits >> 23 & 255, bits & 0x7f_ffff);
            let significand = if exponent == 0 { fraction } else { fraction | 0x80_0000 };
            let magnitude = BigInt::from(significand) << (exponent.max(1) - 1);
            if bits >> 31 == 1 && !magnitudes { sum - magnitude } else { sum + magnitude }
        })
    }

    /// Checks the sum of finite elements that the windows took: of all but the others.
    fn check(elements: &[u32]) {
        let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        for magnitudes in [false, true] {
            let Some(mut windows) = Windows::new(magnitudes) else { return };
            let term = if magnitudes { Term::Magnitude } else { Term::Value };
            let mut sum = Sum::identity(DType::F32, term);
            let mut others = Vec::new();
            // Again and again, with and without emptying them in between.
            for again in [false, true, false] {
                let before = others.len();
                let (quads, rest) = windows.add(&bytes, |quad| others.extend(quad));
                assert_eq!(others.len() - before, 4 * quads);
                others.extend(rest.as_chunks().0.iter().map(|&x| u32::from_le_bytes(x)));
                if again {
                    windows.spill(0, &mut sum);
                }
            }
            windows.spill(0, &mut sum);
            let mut expected = Sum::identity(DType::F32, term);
            let all = exact(elements, magnitudes) * 3;
            let within: BigInt = all - exact(&others, magnitudes);
            for (limb, digit) in within.magnitude().iter_u32_digits().enumerate() {
                let digit = i128::from(digit);
                let signed = if within < BigInt::ZERO { -digit } else { digit };
                expected.add_units(signed, 32 * limb as u32);
            }
            assert_eq!(sum, expected);
            let taken = elements.len() / GROUP * GROUP / 2;
            assert_eq!(others.len(), 3 * (elements.len() - taken));
        }
    }

    #[test]
    fn words_do_not_overflow() {
        // Of both signs: all bits, and those at the edges of windows.
        for exponent in [0, 1, 27, 28, 31, 32, 127, 223, 224, 253, 254] {
            for fraction in [0, 1, 0x40_0000, 0x7f_ffff] {
                for sign in [0, 1 << 31] {
                    check(&[sign | exponent << 23 | fraction; 3 * GROUP + 5]);
                }
            }
        }
    }

    #[test]
    fn a_special_value_sends_its_group_elsewhere() {
        for special in [0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0xffff_ffff] {
            for place in 0..2 * LANES {
                let mut elements = vec![0x3f80_0001_u32; 2 * GROUP];
                elements[GROUP + 3 * 2 * LANES + place] = special;
                let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
                let Some(mut windows) = Windows::new(false) else { return };
                let (mut others, mut found) = (0, 0);
                windows.add(&bytes, |quad| {
                    others += quad.len();
                    found += quad.iter().filter(|&&x| x == special).count();
                });
                assert_eq!(found, 1);
                let is_in_vector = place < LANES;
                assert_eq!(others, if is_in_vector { GROUP / 2 + GROUP } else { GROUP });
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_exact(
            low in 0..255_u32, spread in 1..256_u32, seed in any::<u64>(), elements in 0..5 * GROUP,
        ) {
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 32) as u32
            };
            let element = |_| {
                let exponent = (low + random() % spread).min(254);
                random() & 0x807f_ffff | exponent << 23
            };
            let data: Vec<u32> = (0..elements).map(element).collect();
            check(&data);
        }
    }
}
