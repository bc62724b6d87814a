//! How elements are numbered, in the form that `shared/place.wgsl` reads.

use super::kernel::AXES_MAX;
use crate::site::{Order, Place};

/// The places of a run's elements along the reduced axis.
///
/// Arrays in Fortran order lie with their first axis fastest. The place of an
/// element is a sum over its digits along the first few axes, and one over the
/// next axis, in which a run stays: [`Numbering::room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// The place of the element whose digits are all zero.
    pub first: u64,
    /// How far apart neighbours along the axis after the last are.
    pub stride: u64,
    /// How many axes there are.
    pub axes: u32,
    /// Length, digit of the run's first element, and stride as low and high
    /// words.
    pub axis: [[u32; 4]; AXES_MAX],
}

impl Numbering {
    /// The numbering of the elements of a place.
    pub fn of(place: &Place<'_>) -> Numbering {
        let mut axis = [[0; 4]; AXES_MAX];
        let Order::Fortran { shape, start, offset } = place.order else {
            return Numbering { first: place.first_index, stride: 1, axes: 0, axis };
        };
        let lengths = long(shape);
        let Split { axes, period, .. } = Split::of(shape);
        let mut stride: u64 = shape.iter().product();
        let mut position = start;
        for (length, axis) in lengths.clone().zip(&mut axis[..axes]) {
            stride /= length;
            let [low, high] = words(stride);
            *axis = [length as u32, (position % length) as u32, low, high];
            position /= length;
        }
        // A scalar has no axis left.
        stride /= lengths.clone().nth(axes).unwrap_or(1);
        let order = Order::Fortran { shape, start: start / period * period, offset };
        let first = Place { order, ..*place }.index(0);
        Numbering { first, stride, axes: axes as u32, axis }
    }

    /// The most elements of a run in this order that have one numbering.
    pub fn room(order: Order<'_>) -> u64 {
        match order {
            Order::Linear => u64::MAX,
            Order::Fortran { shape, start, .. } => {
                let turn = Split::of(shape).turn;
                turn - start % turn
            }
        }
    }
}

/// The axes that matter.
fn long(shape: &[u64]) -> impl Iterator<Item = u64> + Clone + '_ {
    shape.iter().copied().filter(|&length| length > 1)
}

/// An array's first axes, which have digits, and the one after them.
struct Split {
    axes: usize,
    /// Elements until the digits come again.
    period: u64,
    /// Elements until the axis after them is at its end.
    turn: u64,
}

impl Split {
    /// As many axes as there is room for, and as leave their digits and those
    /// of elements between them below 2^31; but not the last, which needs none.
    fn of(shape: &[u64]) -> Split {
        let mut split = Split { axes: 0, period: 1, turn: u64::MAX };
        let mut lengths = long(shape);
        let Some(mut next) = lengths.next() else { return split };
        for after in lengths {
            let period = split.period * next;
            if split.axes == AXES_MAX || period >= 1 << 31 {
                break;
            }
            split = Split { axes: split.axes + 1, period, ..split };
            next = after;
        }
        Split { turn: split.period * next, ..split }
    }
}

/// A number as low and high words.
pub(super) fn words(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shader computes.
    fn place(numbering: &Numbering, number: u64) -> u64 {
        let (mut index, mut rest, mut carry) = (numbering.first, number, 0);
        for [length, digit, low, high] in &numbering.axis[..numbering.axes as usize] {
            let length = u64::from(*length);
            let sum = rest % length + u64::from(*digit) + carry;
            assert!(sum < 1 << 32);
            carry = u64::from(sum >= length);
            index += (sum - carry * length) * (u64::from(*low) | u64::from(*high) << 32);
            rest /= length;
        }
        index + (rest + carry) * numbering.stride
    }

    fn at(shape: &[u64], start: u64) -> Place<'_> {
        Place { order: Order::Fortran { shape, start, offset: 1000 }, ..Place::line(0, 0) }
    }

    /// The index in C order, by counting digits.
    fn expected(shape: &[u64], mut position: u64) -> u64 {
        let digits = shape.iter().map(|length| {
            let digit = position % length;
            position /= length;
            digit
        });
        shape.iter().zip(digits).fold(0, |index, (length, digit)| index * length + digit) + 1000
    }

    #[test]
    fn every_element_of_a_run_has_its_place() {
        let binary = [2; 15];
        let shapes: [&[u64]; 8] =
            [&[], &[1, 1], &[5], &[1, 6, 1], &[3, 4], &[4, 1, 3, 2], &[7, 2, 5], &binary];
        for shape in shapes {
            let all: u64 = shape.iter().product();
            let mut start = 0;
            while start < all {
                let run = Numbering::room(at(shape, start).order).min(all - start).min(5);
                for skip in 0..run {
                    let numbering = Numbering::of(&at(shape, start + skip));
                    for number in 0..run - skip {
                        let position = start + skip + number;
                        assert_eq!(place(&numbering, number), expected(shape, position));
                    }
                }
                start += run.div_ceil(2);
            }
        }
    }

    #[test]
    fn axes_too_long_for_a_word_and_too_many_end_a_run() {
        let long = [1 << 33, 3, 2];
        let start = (1 << 33) - 2;
        assert_eq!(Numbering::room(at(&long, start).order), 2);
        let numbering = Numbering::of(&at(&long, start + 1));
        assert_eq!((numbering.axes, numbering.stride), (0, 6));
        assert_eq!(place(&numbering, 0), expected(&long, start + 1));

        let fits = [(1 << 31) - 1, 3, 2];
        let numbering = Numbering::of(&at(&fits, (1 << 31) - 3));
        assert_eq!(numbering.axes, 1);
        for number in [0, 1, 2, 3, 1 << 30] {
            assert_eq!(place(&numbering, number), expected(&fits, (1 << 31) - 3 + number));
        }

        let binary = [2; AXES_MAX + 3];
        let turn = 1 << (AXES_MAX + 1);
        assert_eq!(Numbering::room(at(&binary, 3).order), turn - 3);
        assert_eq!(Numbering::of(&at(&binary, 3)).axes as usize, AXES_MAX);
    }
}
