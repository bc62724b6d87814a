//! Few floats summed without bins: in 128 bits, as long as their exponents lie
//! within a window.
//!
//! Elements that lie near one another, as most data does, are added with one
//! shift; one outside of the window moves it.

use crate::reduction::sum::Sum;

/// Binades of the window. 64 bits of a significand, and so many above, leave
/// room for 2^31 of them.
const BINADES: u32 = 32;
/// How far the element that anchors a window lies above its lower end.
const ANCHOR: u32 = 20;

/// A part of a sum, in units of `2^base`.
pub struct Window {
    value: i128,
    base: u32,
    /// How many more elements fit.
    room: u32,
}

impl Window {
    /// Nothing, and no window.
    pub fn new() -> Window {
        Window { value: 0, base: 0, room: 0 }
    }

    /// Adds `significand * 2^shift` units, with what does not fit going to `sum`.
    #[inline(always)]
    pub fn add(&mut self, negative: bool, significand: u64, shift: u32, sum: &mut Sum) {
        if self.room == 0 || shift.wrapping_sub(self.base) >= BINADES {
            // Zeros belong to every window.
            if significand == 0 {
                return;
            }
            self.spill(sum);
            *self = Window { value: 0, base: shift.saturating_sub(ANCHOR), room: 1 << 30 };
        }
        let value = i128::from(significand) << (shift - self.base);
        self.value += if negative { -value } else { value };
        self.room -= 1;
    }

    /// Moves what was added to `sum`.
    pub fn spill(&mut self, sum: &mut Sum) {
        if self.value != 0 {
            sum.add_units(self.value, self.base);
        }
        self.room = 0;
        self.value = 0;
    }
}
