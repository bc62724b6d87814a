//! An array of more than 2^31 elements, and what is in it.

/// Elements of one byte. Neither an i32 nor, times two, a u32 holds it.
pub const MANY: usize = (1 << 31) + 3;

/// Places at which 32 bits would go wrong, and what is there.
pub const MARKS: [(usize, u8); 5] =
    [(0, 1), ((1 << 31) - 1, 2), (1 << 31, 3), ((1 << 31) + 1, 4), (MANY - 1, 5)];
