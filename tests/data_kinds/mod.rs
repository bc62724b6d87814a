//! Data that is hard to sum, by name, the same for every seed on every machine.

#![allow(dead_code, reason = "each test file uses its part of the helpers")]

use std::f64::consts::TAU;

use adsum::DType;
use half::{bf16, f16};

mod integers;
mod monoids;

pub use integers::integer_kinds;
#[allow(unused_imports, reason = "each test file uses its part of the helpers")]
pub use monoids::all_monoids;

/// One kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In [0, 1).
    Uniform,
    /// Standard normal.
    Normal,
    /// Log-normal with random signs: many binades, dense in the middle.
    LogNormal,
    /// Random bits of finite numbers: every binade alike.
    Wild,
    /// A quarter of each 4096 elements at one exponent, the rest `up` binades
    /// above or below it, all significands full: the edges of a window that is
    /// anchored at the first quarter.
    Step { up: i32, negative: bool },
    /// As `Step` two up, with alternating signs.
    Alternating,
    /// A quarter at one exponent, the rest at the lower edge of its window.
    LowEdge,
    /// Half zeros, half normal.
    Sparse,
    /// Subnormal numbers of both signs.
    Subnormal,
    /// Random bits and their negatives, shuffled: the sum is tiny or zero.
    Cancel,
    /// The largest numbers, three quarters positive: overflows when rounded.
    Max,
    /// A sum halfway between two floats, and a smallest subnormal that decides.
    Ties,
    /// Zeros of both signs.
    NegativeZero,
    /// Normal, with one infinity.
    Infinity,
    /// Normal, with infinities of both signs.
    Infinities,
    /// Normal, with one signalling NaN.
    Nan,
    /// NaN and infinities among numbers within a few binades of the largest: a
    /// window that reached past the largest would sum them as numbers.
    SpecialNearMax,
    /// One number that no window holds, everywhere but in the sample.
    EqualOutside,
    /// Few different numbers, with both zeros, both infinities, the largest and
    /// smallest: extremes that many elements share.
    Few,
    /// A few numbers between NaN of all signs and payloads.
    MostlyNan,
    /// Nothing but NaN.
    AllNan,
    /// Products around one, full significands: their product stays in range.
    NearOne,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 27] = [
        Kind::Uniform,
        Kind::Normal,
        Kind::LogNormal,
        Kind::Wild,
        Kind::Step { up: 2, negative: false },
        Kind::Step { up: 2, negative: true },
        Kind::Step { up: 3, negative: false },
        Kind::Step { up: 3, negative: true },
        Kind::Step { up: 40, negative: false },
        Kind::Step { up: -40, negative: true },
        Kind::Alternating,
        Kind::LowEdge,
        Kind::Sparse,
        Kind::Subnormal,
        Kind::Cancel,
        Kind::Max,
        Kind::Ties,
        Kind::NegativeZero,
        Kind::Infinity,
        Kind::Infinities,
        Kind::Nan,
        Kind::SpecialNearMax,
        Kind::EqualOutside,
        Kind::Few,
        Kind::MostlyNan,
        Kind::AllNan,
        Kind::NearOne,
    ];
}

/// Every kind of binary32 data, `elements` of each.
pub fn f32_kinds(elements: usize, seed: u64) -> impl Iterator<Item = (Kind, Vec<f32>)> {
    Kind::ALL.into_iter().map(move |kind| (kind, floats(kind, elements, seed)))
}

/// Every kind of binary64 data, `elements` of each.
pub fn f64_kinds(elements: usize, seed: u64) -> impl Iterator<Item = (Kind, Vec<f64>)> {
    Kind::ALL.into_iter().map(move |kind| (kind, floats(kind, elements, seed)))
}

/// Data of any type as little-endian bytes, by the names of its kinds.
pub fn all_kinds(
    dtype: DType,
    elements: usize,
    seed: u64,
) -> Box<dyn Iterator<Item = (String, Vec<u8>)>> {
    match dtype {
        DType::F16 => Box::new(float_kinds::<f16>(elements, seed)),
        DType::BF16 => Box::new(float_kinds::<bf16>(elements, seed)),
        DType::F32 => Box::new(float_kinds::<f32>(elements, seed)),
        DType::F64 => Box::new(float_kinds::<f64>(elements, seed)),
        _ => Box::new(integer_kinds(dtype, elements, seed)),
    }
}

/// Data of one kind as little-endian bytes.
pub fn bytes_of<F: Float>(values: &[F]) -> Vec<u8> {
    let size = (F::SIGN.ilog2() as usize + 1) / 8;
    values.iter().flat_map(|value| value.bits().to_le_bytes().into_iter().take(size)).collect()
}

fn float_kinds<F: Float>(elements: usize, seed: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    Kind::ALL
        .into_iter()
        .map(move |kind| (format!("{kind:?}"), bytes_of(&floats::<F>(kind, elements, seed))))
}

/// A float type, by its bits.
pub trait Float: Copy {
    const FRACTION_BITS: u32;
    /// The exponent field of NaN and infinities.
    const EXPONENT_SPECIAL: u64;
    const SIGN: u64 = (Self::EXPONENT_SPECIAL + 1) << Self::FRACTION_BITS;
    const FRACTION: u64 = (1 << Self::FRACTION_BITS) - 1;

    fn of(value: f64) -> Self;
    fn of_bits(bits: u64) -> Self;
    fn bits(self) -> u64;

    fn build(negative: bool, exponent: u64, fraction: u64) -> Self {
        let sign = if negative { Self::SIGN } else { 0 };
        Self::of_bits(sign | exponent << Self::FRACTION_BITS | fraction)
    }
}

impl Float for f32 {
    const FRACTION_BITS: u32 = 23;
    const EXPONENT_SPECIAL: u64 = 255;
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn of_bits(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Float for f64 {
    const FRACTION_BITS: u32 = 52;
    const EXPONENT_SPECIAL: u64 = 2047;
    fn of(value: f64) -> f64 {
        value
    }
    fn of_bits(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl Float for f16 {
    const FRACTION_BITS: u32 = 10;
    const EXPONENT_SPECIAL: u64 = 31;
    fn of(value: f64) -> f16 {
        f16::from_f64(value)
    }
    fn of_bits(bits: u64) -> f16 {
        f16::from_bits(bits as u16)
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Float for bf16 {
    const FRACTION_BITS: u32 = 7;
    const EXPONENT_SPECIAL: u64 = 255;
    fn of(value: f64) -> bf16 {
        bf16::from_f64(value)
    }
    fn of_bits(bits: u64) -> bf16 {
        bf16::from_bits(bits as u16)
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

/// `elements` numbers of one kind.
pub fn floats<F: Float>(kind: Kind, elements: usize, seed: u64) -> Vec<F> {
    let mut random = Random(seed);
    let n = elements;
    let some = |value: &mut dyn FnMut(usize) -> F| (0..n).map(value).collect::<Vec<F>>();
    let special = F::EXPONENT_SPECIAL;
    let infinity = |negative| F::build(negative, special, 0);
    let at = |place: usize, value: F, mut values: Vec<F>| {
        if let Some(slot) = values.get_mut(place) {
            *slot = value;
        }
        values
    };
    // The exponent of the sample in the kinds that go to a window's edges.
    let anchor = 100.min(special / 2);
    let step = |i: usize, up: i32| match i % 4096 {
        ..1024 => anchor,
        _ => anchor.saturating_add_signed(up.into()).min(special - 1),
    };
    match kind {
        Kind::Uniform => some(&mut |_| F::of(random.uniform())),
        Kind::Normal => some(&mut |_| F::of(random.normal())),
        Kind::LogNormal => {
            let sigma = match special {
                31 => 2.0,
                255 => 8.0,
                _ => 16.0,
            };
            some(&mut |_| F::of(random.sign() * (sigma * random.normal()).exp()))
        }
        Kind::Wild => some(&mut |_| random.finite()),
        Kind::Step { up, negative } => some(&mut |i| F::build(negative, step(i, up), F::FRACTION)),
        Kind::Alternating => some(&mut |i| F::build(i % 2 == 1, step(i, 2), F::FRACTION)),
        Kind::LowEdge => some(&mut |i| F::build(false, step(i, -20 - (i % 4) as i32), F::FRACTION)),
        Kind::Sparse => some(&mut |_| {
            F::of(if random.next().is_multiple_of(2) { 0.0 } else { random.normal() })
        }),
        Kind::Subnormal => some(&mut |_| {
            let bits = random.next();
            F::build(bits >> 63 != 0, 0, bits & F::FRACTION)
        }),
        Kind::Cancel => {
            let half: Vec<F> = (0..n / 2).map(|_| random.finite()).collect();
            let negated = half.iter().map(|x| F::of_bits(x.bits() ^ F::SIGN));
            let mut values: Vec<F> = half.iter().copied().chain(negated).collect();
            values.resize(n, F::of(1e-30));
            for i in (1..n).rev() {
                values.swap(i, random.below(i + 1));
            }
            values
        }
        Kind::Max => {
            some(&mut |_| F::build(random.next().is_multiple_of(4), special - 1, F::FRACTION))
        }
        Kind::Ties => {
            // 2^p + 1 lies halfway between two floats of p + 1 bits.
            let halfway = F::of((1u64 << (F::FRACTION_BITS + 1)) as f64);
            let zeros = vec![F::of(0.0); n];
            let last = n.saturating_sub(1);
            at(last, F::of_bits(1), at(1, F::of(1.0), at(0, halfway, zeros)))
        }
        Kind::NegativeZero => some(&mut |i| F::build(i % 2 == 0, 0, 0)),
        Kind::Infinity => at(n / 3, infinity(false), some(&mut |_| F::of(random.normal()))),
        Kind::Infinities => {
            let values = some(&mut |_| F::of(random.normal()));
            at(n / 2 + 1, infinity(true), at(n / 3, infinity(false), values))
        }
        Kind::Nan => {
            let signalling = F::build(true, special, 1);
            at(n / 3, signalling, some(&mut |_| F::of(random.normal())))
        }
        Kind::SpecialNearMax => some(&mut |i| {
            let bits = random.next();
            let negative = bits >> 63 != 0;
            match i % 17 {
                5 => infinity(negative),
                11 => F::build(negative, special, 1 + bits % F::FRACTION),
                _ => F::build(negative, special - 1 - bits % 4, bits & F::FRACTION),
            }
        }),
        Kind::EqualOutside => some(&mut |i| F::build(false, step(i, -60), F::FRACTION)),
        Kind::Few => some(&mut |_| {
            let negative = random.below(2) == 1;
            match random.below(6) {
                0 => infinity(negative),
                1 => F::build(negative, special - 1, F::FRACTION),
                2 => F::build(negative, 0, 1),
                3 => F::build(negative, special / 2, 0),
                _ => F::build(negative, 0, 0),
            }
        }),
        Kind::MostlyNan => some(&mut |i| match i % 1000 {
            777 => random.finite(),
            _ => random.nan(),
        }),
        Kind::AllNan => some(&mut |_| random.nan()),
        Kind::NearOne => some(&mut |_| {
            let bits = random.next();
            F::build(bits >> 63 != 0, special / 2 - (bits >> 62) % 2, bits & F::FRACTION)
        }),
    }
}

/// Splitmix64 (Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn sign(&mut self) -> f64 {
        if self.next().is_multiple_of(2) { 1.0 } else { -1.0 }
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()
    }

    fn nan<F: Float>(&mut self) -> F {
        let bits = self.next();
        F::build(bits >> 63 != 0, F::EXPONENT_SPECIAL, 1 + bits % F::FRACTION)
    }

    /// Random bits, with one bit of the exponent cleared where they would be
    /// NaN or infinite.
    fn finite<F: Float>(&mut self) -> F {
        let bits = self.next();
        let exponent = (bits >> 52) % (F::EXPONENT_SPECIAL + 1);
        let exponent = if exponent == F::EXPONENT_SPECIAL { exponent / 2 } else { exponent };
        F::build(bits >> 63 != 0, exponent, bits & F::FRACTION)
    }
}
