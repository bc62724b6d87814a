//! The monoids: states that merge in any order and finish once.
//!
//! Every reduction is a state with four functions, named the same in Rust and
//! in the shaders: `identity`, `lift`, `merge`, `finish`. No state holds a
//! rounded number; rounding happens in `finish` alone.

pub mod limbs;
pub mod round;
pub mod sum;
