//! Folding arrays element by element: the contributions of several ranks to one.
//!
//! Pure. Arrays are little-endian bytes of any alignment. All contributions are
//! there when a segment is folded, in rank order, so a sum of floats is the exact
//! sum, rounded once, and what rounds or is a user's own has one order.
//!
//! | operation | elements | rule |
//! |---|---|---|
//! | sum | numbers | integers modulo 2^width, as MPI; floats exact, rounded once |
//! | mean | floats | the exact sum divided, rounded once |
//! | prod | numbers | integers modulo 2^width; floats by a perfect tree over ranks, as [`Tree`](crate::reduction::tree::Tree) |
//! | min, max | all | NaN wins; -0 < +0 |
//! | minloc, maxloc | all, each with an index | NaN wins; of equal ones the lowest index |
//! | land, lor, lxor | all | 1 or 0; NaN is true, -0 false |
//! | band, bor, bxor | integers, bool | bitwise |
//!
//! NaN comes out as the quiet NaN without sign or payload, and an exact zero sum
//! as +0, also of a single contribution.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;
use crate::reduction::extremum::End;

mod elements;
mod located;
mod pair;
mod product;
mod sum;

/// How contributions become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Operator {
    /// The sum.
    Sum = 0,
    /// The product.
    Prod = 1,
    /// The smallest.
    Min = 2,
    /// The largest.
    Max = 3,
    /// The smallest and the lowest index that it comes with.
    MinLoc = 4,
    /// The largest and the lowest index that it comes with.
    MaxLoc = 5,
    /// Whether all are true.
    LogicalAnd = 6,
    /// Whether any is true.
    LogicalOr = 7,
    /// Whether an odd number is true.
    LogicalXor = 8,
    /// Bitwise and.
    BitAnd = 9,
    /// Bitwise or.
    BitOr = 10,
    /// Bitwise exclusive or.
    BitXor = 11,
    /// The sum divided by the number of contributions.
    Mean = 12,
}

impl Operator {
    /// Every operator, in the order of their codes.
    pub const ALL: [Operator; 13] = [
        Operator::Sum,
        Operator::Prod,
        Operator::Min,
        Operator::Max,
        Operator::MinLoc,
        Operator::MaxLoc,
        Operator::LogicalAnd,
        Operator::LogicalOr,
        Operator::LogicalXor,
        Operator::BitAnd,
        Operator::BitOr,
        Operator::BitXor,
        Operator::Mean,
    ];

    /// MPI's name of it in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Sum => "sum",
            Operator::Prod => "prod",
            Operator::Min => "min",
            Operator::Max => "max",
            Operator::MinLoc => "minloc",
            Operator::MaxLoc => "maxloc",
            Operator::LogicalAnd => "land",
            Operator::LogicalOr => "lor",
            Operator::LogicalXor => "lxor",
            Operator::BitAnd => "band",
            Operator::BitOr => "bor",
            Operator::BitXor => "bxor",
            Operator::Mean => "mean",
        }
    }

    /// Whether an index stands beside each element.
    pub fn is_located(self) -> bool {
        matches!(self, Operator::MinLoc | Operator::MaxLoc)
    }

    /// Whether it takes elements of this type.
    pub fn takes(self, dtype: DType) -> bool {
        match self {
            Operator::Sum | Operator::Prod => dtype != DType::Bool,
            Operator::Mean => dtype.is_float(),
            Operator::BitAnd | Operator::BitOr | Operator::BitXor => !dtype.is_float(),
            Operator::Min | Operator::Max | Operator::MinLoc | Operator::MaxLoc => true,
            Operator::LogicalAnd | Operator::LogicalOr | Operator::LogicalXor => true,
        }
    }

    /// Whether contributions may be folded in groups of neighbours whose results
    /// are folded again: whether it is associative in its own type.
    pub fn folds_in_groups(self, dtype: DType) -> bool {
        match self {
            Operator::Sum | Operator::Prod => !dtype.is_float(),
            Operator::Mean => false,
            // A group's truth is the same as its members', its parity too.
            _ => true,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown operator '{name}'; use sum, prod, min, max, minloc, maxloc, land, lor, lxor, band, bor, bxor or mean"
)]
pub struct UnknownOperator {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for Operator {
    type Err = UnknownOperator;

    fn from_str(name: &str) -> Result<Operator, UnknownOperator> {
        let known = Operator::ALL.into_iter().find(|operator| operator.name() == name);
        known.ok_or_else(|| UnknownOperator { name: name.to_owned() })
    }
}

/// Bytes of one element of an array: the index of a located one stands after it.
pub fn element_bytes(dtype: DType, located: bool) -> usize {
    dtype.size_bytes() + if located { 8 } else { 0 }
}

/// Folds contributions, given in rank order, into `out`.
///
/// # Panics
/// If there is none, they are not all as long as `out`, or the operator does not
/// take the type.
pub fn fold(operator: Operator, dtype: DType, contributions: &[&[u8]], out: &mut [u8]) {
    assert!(!contributions.is_empty(), "a fold of nothing");
    assert!(contributions.iter().all(|one| one.len() == out.len()), "contributions as long");
    assert!(operator.takes(dtype), "{operator} of {dtype}");
    match operator {
        Operator::Sum if dtype.is_float() => sum::exact(dtype, contributions, out, false),
        Operator::Mean => sum::exact(dtype, contributions, out, true),
        Operator::Prod if dtype.is_float() => product::tree(dtype, contributions, out),
        Operator::MinLoc => located::extremes(dtype, End::Min, contributions, out),
        Operator::MaxLoc => located::extremes(dtype, End::Max, contributions, out),
        _ => elements::in_pairs(operator, dtype, contributions, out),
    }
}
