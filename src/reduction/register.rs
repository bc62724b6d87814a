//! A wide signed integer that takes only the room that its value needs.
//!
//! Sums of floats are up to 67 limbs wide, but those of alike elements use two
//! or three of them: those below are zero and those above repeat the sign. A
//! register keeps the ones between, and grows when it must.
//!
//! ```text
//!   limb   0   1   2   3   4   5   6   7   8
//!          0   0   0  [x   y   z]  s   s   s       s repeats the sign of z
//!                      first
//! ```
//!
//! Between two additions the topmost kept limb may repeat the sign, too, so a
//! register has no one form; what is compared and encoded is the shortest.

use std::ops::Range;

use smallvec::SmallVec;

use super::limbs;

/// Limbs that a register has without memory of its own.
const INLINE: usize = 4;

/// A signed integer of a bounded number of limbs.
#[derive(Clone, Debug)]
pub struct Register {
    /// Position of the lowest kept limb.
    first: u32,
    limbs: SmallVec<[u64; INLINE]>,
}

impl Register {
    /// Zero.
    pub fn zero() -> Register {
        Register { first: 0, limbs: SmallVec::new() }
    }

    /// The number with these limbs, the last of which has the sign.
    pub fn new(limbs: &[u64]) -> Register {
        let (first, limbs) = shortest(limbs);
        Register { first: first as u32, limbs: SmallVec::from_slice(limbs) }
    }

    /// Adds `value * 2^shift`. The sum fits into `width` limbs.
    pub fn add_shifted(&mut self, value: i128, shift: u32, width: usize) {
        let first = (shift / 64) as usize;
        // Three limbs hold a shifted i128 with its sign.
        self.cover(first..first + 3, width);
        let below = 64 * self.first;
        limbs::add_shifted(&mut self.limbs, value, shift - below);
    }

    /// Adds another register. The sum fits into `width` limbs.
    pub fn add(&mut self, other: &Register, width: usize) {
        self.combine(other, width, limbs::add);
    }

    /// Subtracts another register. The difference fits into `width` limbs.
    pub fn subtract(&mut self, other: &Register, width: usize) {
        self.combine(other, width, limbs::subtract);
    }

    fn combine(&mut self, other: &Register, width: usize, f: fn(&mut [u64], &[u64])) {
        if other.limbs.is_empty() {
            return;
        }
        let range = other.first as usize..other.first as usize + other.limbs.len();
        self.cover(range.clone(), width);
        let start = range.start - self.first as usize;
        let sign = other.sign();
        let addends = other.limbs.iter().copied().chain(std::iter::repeat(sign));
        let length = self.limbs.len() - start;
        let addends: SmallVec<[u64; 2 * INLINE]> = addends.take(length).collect();
        f(&mut self.limbs[start..], &addends);
    }

    /// Makes room for the limbs of a number that is to be added, and for one
    /// more, so that the sum does not lose its sign. At the register's full
    /// width there is no more, and none is needed.
    fn cover(&mut self, range: Range<usize>, width: usize) {
        if self.limbs.is_empty() {
            self.first = range.start as u32;
        }
        let first = self.first as usize;
        if range.start < first {
            self.limbs.insert_many(0, std::iter::repeat_n(0, first - range.start));
            self.first = range.start as u32;
        }
        let first = self.first as usize;
        // A topmost limb that repeats the sign is room already.
        let used = first + self.limbs.len() - usize::from(self.has_room());
        let end = (used.max(range.end) + 1).min(width.max(first + self.limbs.len()));
        let sign = self.sign();
        if end > first + self.limbs.len() {
            self.limbs.resize(end - first, sign);
        }
    }

    fn has_room(&self) -> bool {
        match self.limbs[..] {
            [.., below, top] => top == repeat_of(below),
            _ => false,
        }
    }

    /// The limb that repeats the sign.
    fn sign(&self) -> u64 {
        self.limbs.last().map_or(0, |&top| repeat_of(top))
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.sign() != 0
    }

    /// The limbs that are left without zeros below and repeated signs above,
    /// and the position of the first; none for zero.
    pub fn shortest(&self) -> (usize, &[u64]) {
        let (low, limbs) = shortest(&self.limbs);
        if limbs.is_empty() { (0, limbs) } else { (self.first as usize + low, limbs) }
    }

    /// All `width` limbs, lowest first.
    pub fn all(&self, width: usize) -> Vec<u64> {
        let first = (self.first as usize).min(width);
        let mut all = vec![0; first];
        all.extend(self.limbs.iter().copied().take(width - first));
        all.resize(width, self.sign());
        all
    }
}

/// The limb that repeats the sign of the one below it.
fn repeat_of(limb: u64) -> u64 {
    (limb as i64 >> 63) as u64
}

/// The limbs that are left without zeros below and repeated signs above, and
/// how many were below.
fn shortest(limbs: &[u64]) -> (usize, &[u64]) {
    let Some(low) = limbs.iter().position(|&limb| limb != 0) else {
        return (0, &[]);
    };
    let mut high = limbs.len();
    while high > low + 1 && limbs[high - 1] == repeat_of(limbs[high - 2]) {
        high -= 1;
    }
    (low, &limbs[low..high])
}

impl PartialEq for Register {
    fn eq(&self, other: &Register) -> bool {
        self.shortest() == other.shortest()
    }
}

impl Eq for Register {}

impl std::hash::Hash for Register {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.shortest().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 12;

    fn to_big(register: &Register) -> BigInt {
        let bytes: Vec<u8> =
            register.all(WIDTH).iter().flat_map(|limb| limb.to_le_bytes()).collect();
        BigInt::from_signed_bytes_le(&bytes)
    }

    fn terms() -> impl Strategy<Value = Vec<(i128, u32)>> {
        let value = prop_oneof![any::<i128>(), (-3..4_i128), Just(i128::MIN), Just(i128::MAX)];
        prop::collection::vec((value, 0..500_u32), 0..12)
    }

    fn of(terms: &[(i128, u32)]) -> (Register, BigInt) {
        let mut register = Register::zero();
        let mut exact = BigInt::ZERO;
        for &(value, shift) in terms {
            register.add_shifted(value, shift, WIDTH);
            exact += BigInt::from(value) << shift;
        }
        (register, exact)
    }

    proptest! {
        #[test]
        fn additions_are_those_of_big_integers(a in terms(), b in terms()) {
            let ((mut x, exact_x), (y, exact_y)) = (of(&a), of(&b));
            prop_assert_eq!(to_big(&x), exact_x.clone());
            prop_assert_eq!(x.is_negative(), exact_x < BigInt::ZERO);
            x.add(&y, WIDTH);
            prop_assert_eq!(to_big(&x), &exact_x + &exact_y);
            x.subtract(&y, WIDTH);
            prop_assert_eq!(to_big(&x), exact_x);
            prop_assert_eq!(&x, &of(&a).0);
        }

        #[test]
        fn equal_numbers_are_equal_whatever_their_room(mut a in terms(), turn in 0..12_usize) {
            let straight = of(&a).0;
            let turn = turn.min(a.len());
            a.rotate_left(turn);
            let turned = of(&a).0;
            prop_assert_eq!(&straight, &turned);
            prop_assert_eq!(&Register::new(&straight.all(WIDTH)), &straight);
        }
    }

    #[test]
    fn the_full_width_is_used_to_its_last_bit() {
        let mut register = Register::zero();
        for _ in 0..2 {
            register.add_shifted(1, 64 * WIDTH as u32 - 2, WIDTH);
        }
        assert_eq!(register.all(WIDTH)[WIDTH - 1], 1 << 63);
        register.add_shifted(-1, 0, WIDTH);
        assert_eq!(register.all(WIDTH)[WIDTH - 1], u64::MAX >> 1);
    }
}
