//! Questions that take several rounds over the data, because what to count in
//! one round depends on what the round before has found.
//!
//! A [histogram](edges) without a range first asks for the extremes, a
//! [quantile] narrows down the keys among which its elements lie. All
//! of it is exact: every comparison of an element with an edge is one of order
//! keys, and a quantile is rounded once.

pub mod edges;
mod linspace;
mod mix;
pub mod quantile;
mod rank;

pub use rank::{Method, UnknownMethod};
