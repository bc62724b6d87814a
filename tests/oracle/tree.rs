//! The product of floats by a perfect binary tree over their places,
//! recursively and in integers.

use adsum::reduction::State;
use adsum::reduction::codec::Bytes;
use adsum::{DType, Monoid};

use super::Data;
use super::element::{Number, numbers};
use super::result::Real;

/// `significand * 2^(exponent - 52)`, the significand of 53 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    significand: u64,
    exponent: i64,
}

const ONE: Factor = Factor { significand: 1 << 52, exponent: 0 };
/// The level of the largest subtrees.
const LEVEL_MAX: u32 = 47;

impl Factor {
    fn of(number: Number) -> Factor {
        match number {
            Number::Finite { magnitude, exponent, .. } if magnitude > 0 => {
                let mut factor =
                    Factor { significand: magnitude as u64, exponent: i64::from(exponent) + 52 };
                while factor.significand < 1 << 52 {
                    factor.significand *= 2;
                    factor.exponent -= 1;
                }
                factor
            }
            _ => ONE,
        }
    }

    /// The product rounded to 53 bits, to nearest even.
    fn times(self, other: Factor) -> Factor {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let mut exponent = self.exponent + other.exponent;
        let dropped = if product >= 1 << 105 { 53 } else { 52 };
        exponent += dropped - 52;
        let (kept, rest) = (product >> dropped, product % (1 << dropped));
        let half = 1 << (dropped - 1);
        let up = rest > half || (rest == half && kept % 2 == 1);
        let mut significand = kept as u64 + u64::from(up);
        if significand == 1 << 53 {
            significand = 1 << 52;
            exponent += 1;
        }
        Factor { significand, exponent }
    }
}

/// The factors of a run of elements from the place `first` on.
struct Leaves {
    first: u64,
    factors: Vec<Factor>,
}

impl Leaves {
    /// The product of a complete subtree.
    fn product(&self, start: u64, level: u32) -> Factor {
        match level {
            0 => self.factors[(start - self.first) as usize],
            _ => {
                let half = 1 << (level - 1);
                let right = self.product(start + half, level - 1);
                self.product(start, level - 1).times(right)
            }
        }
    }

    /// The maximal complete subtrees within a node, from the left.
    fn cover(&self, start: u64, level: u32, found: &mut Vec<(u64, u32, Factor)>) {
        let (end, last) = (start + ((1 << level) - 1), self.first + self.factors.len() as u64);
        if self.factors.is_empty() || end < self.first || start >= last {
            return;
        }
        if level <= LEVEL_MAX && start >= self.first && end < last {
            found.push((start, level, self.product(start, level)));
        } else {
            self.cover(start, level - 1, found);
            self.cover(start + (1 << (level - 1)), level - 1, found);
        }
    }

    fn subtrees(&self) -> Vec<(u64, u32, Factor)> {
        let mut found = Vec::new();
        self.cover(0, 62, &mut found);
        found
    }
}

struct Facts {
    elements: u64,
    nan: u64,
    zeros: u64,
    infinities: u64,
    negative: bool,
    leaves: Leaves,
}

fn facts(data: &Data<'_>) -> Facts {
    let all: Vec<Number> = numbers(data.dtype, data.bytes).collect();
    let count = |fits: fn(&Number) -> bool| all.iter().filter(|number| fits(number)).count() as u64;
    let negatives = count(|number| {
        matches!(
            number,
            Number::Infinite { negative: true } | Number::Finite { negative: true, .. }
        )
    });
    Facts {
        elements: all.len() as u64,
        nan: count(|number| *number == Number::Nan),
        zeros: count(|number| matches!(number, Number::Finite { magnitude: 0, .. })),
        infinities: count(|number| matches!(number, Number::Infinite { .. })),
        negative: negatives % 2 == 1,
        leaves: Leaves {
            first: data.place(0),
            factors: all.iter().map(|&number| Factor::of(number)).collect(),
        },
    }
}

/// The state, which is read from the bytes that it must have.
pub fn tree(data: &Data<'_>) -> State {
    let facts = facts(data);
    let mut bytes = Vec::new();
    let subtrees = facts.leaves.subtrees();
    for count in [facts.elements, facts.nan, facts.zeros, facts.infinities] {
        put(&mut bytes, count);
    }
    bytes.push(facts.negative.into());
    put(&mut bytes, subtrees.len() as u64);
    for (start, level, Factor { significand, exponent }) in subtrees {
        put(&mut bytes, start);
        bytes.push(level as u8);
        // As a binary64 of [1, 2).
        let fraction = significand - (1 << 52);
        bytes.extend((1023 << 52 | fraction).to_le_bytes());
        bytes.extend(exponent.to_le_bytes());
    }
    let mut from = Bytes(&bytes);
    let state = State::decode(&Monoid::Tree, data.dtype, &mut from).expect("a tree");
    assert!(from.0.is_empty(), "nothing is left");
    state
}

/// Seven bits at a time, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        bytes.push((number % 128 + 128) as u8);
        number /= 128;
    }
    bytes.push(number as u8);
}

/// The product as bits of a float type: subtrees multiplied from the right,
/// then rounded.
pub fn product_bits(data: &Data<'_>, skip_nan: bool, output: DType) -> u64 {
    let Facts { nan, zeros, infinities, negative, leaves, .. } = facts(data);
    let special = |number| super::result::float_bits(number, output);
    if (nan > 0 && !skip_nan) || (zeros > 0 && infinities > 0) {
        return special(Number::Nan);
    }
    if infinities > 0 {
        return special(Number::Infinite { negative });
    }
    if zeros > 0 {
        return special(Number::Finite { negative, magnitude: 0, exponent: 0 });
    }
    let mut product = None;
    for (_, _, factor) in leaves.subtrees().into_iter().rev() {
        product = Some(product.map_or(factor, |right| factor.times(right)));
    }
    let Factor { significand, exponent } = product.unwrap_or(ONE);
    // Beyond these every float type has but zero and infinity.
    let exponent = exponent.clamp(-5000, 5000) as i32 - 52;
    Real::ratio(significand.into(), 1_u32.into(), exponent).bits(negative, output)
}
