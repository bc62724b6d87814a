//! Chance from a seed: the same on every machine and for every version of
//! every library.

use std::ops::RangeInclusive;

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.word() % (range.end() - range.start() + 1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.number(0..=length as u64 - 1) as usize
    }
}
