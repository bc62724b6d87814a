//! The data of self-tests.

use crate::dtype::DType;

/// One kind of data: its name, and the bits of the element at an index.
pub struct Case {
    pub name: &'static str,
    element: Element,
}

impl Case {
    /// So many elements as little-endian bytes, the same on every machine.
    pub fn bytes(&self, dtype: DType, elements: usize) -> Vec<u8> {
        let mut random = Random(0);
        let bits = (0..elements).map(|index| (self.element)(&mut random, index));
        bits.flat_map(|bits| bits.to_le_bytes().into_iter().take(dtype.size_bytes())).collect()
    }
}

type Element = Box<dyn Fn(&mut Random, usize) -> u64>;

fn case(name: &'static str, element: impl Fn(&mut Random, usize) -> u64 + 'static) -> Case {
    Case { name, element: Box::new(element) }
}

/// Data that is hard to reduce.
pub fn cases(dtype: DType) -> Vec<Case> {
    match dtype {
        DType::F16 => float_cases(Format { exponent_bits: 5, fraction_bits: 10 }),
        DType::BF16 => float_cases(Format { exponent_bits: 8, fraction_bits: 7 }),
        DType::F32 => float_cases(Format { exponent_bits: 8, fraction_bits: 23 }),
        DType::F64 => float_cases(Format { exponent_bits: 11, fraction_bits: 52 }),
        _ => {
            // Of signed types the least, then the most; of unsigned ones the
            // most, then half of it.
            let least = 1u64 << (8 * dtype.size_bytes() - 1);
            vec![
                case("extreme", move |_, index| if index % 3 == 0 { least } else { least - 1 }),
                case("largest", |_, index| if index % 5 == 0 { 0 } else { u64::MAX }),
                case("random", |random, _| random.next()),
                case("few different", move |random, _| random.next() % 3),
                // All but a few of them one, so that a product stays small.
                case("unit", move |random, index| match (random.next() % 4, index % 1500) {
                    (_, 700) => 3,
                    (0, _) if dtype.is_signed() => u64::MAX,
                    _ => 1,
                }),
            ]
        }
    }
}

/// A binary floating-point format, by the widths of its fields.
#[derive(Clone, Copy)]
struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Format {
    /// The exponent field of NaN and infinities.
    fn special(self) -> u64 {
        (1 << self.exponent_bits) - 1
    }

    fn fraction_max(self) -> u64 {
        (1 << self.fraction_bits) - 1
    }

    /// A number with this exponent field, and its sign and fraction from
    /// `bits`.
    fn build(self, bits: u64, exponent: u64) -> u64 {
        let sign = bits >> 63;
        let fraction = bits & self.fraction_max();
        let exponent = exponent.min(self.special());
        (sign << self.exponent_bits | exponent) << self.fraction_bits | fraction
    }
}

/// The first case leaves NaN and infinities in the buffers for the others.
fn float_cases(format: Format) -> Vec<Case> {
    let special = format.special();
    // The exponent of the elements that a kernel samples to place its window.
    let sampled = special / 2;
    let full = format.fraction_max();
    vec![
        case("NaN, infinite and near-largest", move |random, index| {
            let bits = random.next();
            match index % 19 {
                6 => format.build(bits, special),
                9 => format.build(bits & !full | 1, special),
                13 => format.build(bits & !full, special),
                _ => format.build(bits, special - 1 - bits % 4),
            }
        }),
        case("subnormal and zero", move |random, index| {
            let bits = random.next();
            match index % 7 {
                0 => format.build(bits & !full, 0),
                1 => format.build(bits & !full | 1, 0),
                _ => format.build(bits, bits % 3 / 2),
            }
        }),
        case("window-edge", move |random, index| {
            let beyond = (sampled + 8).saturating_sub(index as u64 % 36);
            let exponent = if index < 1024 { sampled } else { beyond };
            format.build(random.next() & (1 << 63) | full, exponent)
        }),
        case("full-window", move |_, index| {
            format.build(full, if index < 1024 { sampled } else { sampled + 2 })
        }),
        case("wild and cancelling", move |_, index| {
            // Each number and its negative are neighbours but for every ninth.
            let mut random = Random(index as u64 / 2);
            let sign = if index % 2 == 1 && index % 9 != 0 { 1 << 63 } else { 0 };
            let bits = random.next();
            format.build(bits ^ sign, random.next() % special)
        }),
        case("any", |random, _| random.next()),
        case("few different", move |random, _| {
            let bits = random.next();
            format.build(bits & !full, [0, sampled, sampled, sampled + 1][(bits % 4) as usize])
        }),
        case("narrow", move |random, _| {
            let bits = random.next();
            format.build(bits, sampled - (bits >> 58) % 8)
        }),
    ]
}

/// Splitmix64 (Steele, Lea, Flood, 2014): the same data on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
