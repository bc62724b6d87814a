//! What is reduced: operations, the states they are made of, and the one table
//! of which operation supports which element types.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;

mod table;

pub use table::{Types, support_table};

/// A reduction as a user asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    /// The exact sum, rounded once.
    Sum,
    /// The sum divided by the number of elements, rounded once.
    Mean,
    /// The variance, rounded once.
    Var,
    /// The standard deviation, rounded once.
    Std,
    /// The smallest element.
    Min,
    /// The largest element.
    Max,
    /// The index of the first smallest element.
    ArgMin,
    /// The index of the first largest element.
    ArgMax,
    /// The smallest and the largest element.
    MinMax,
    /// The product.
    Prod,
    /// The number of elements.
    Count,
    /// The number of elements that are not zero.
    CountNonzero,
    /// Whether any element is not zero.
    Any,
    /// Whether no element is zero.
    All,
    /// The sum of magnitudes.
    L1,
    /// The square root of the sum of squares.
    L2,
    /// The largest magnitude.
    LInf,
    /// The sum of squares.
    SumSq,
    /// The sum of the products of two data sets.
    Dot,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Numbers of elements between edges.
    Histogram,
    /// Values below which given shares of the elements lie.
    Quantile,
    /// The quantile at one half.
    Median,
    /// Several of these at once.
    Stats,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 26] = [
        Op::Sum,
        Op::Mean,
        Op::Var,
        Op::Std,
        Op::Min,
        Op::Max,
        Op::ArgMin,
        Op::ArgMax,
        Op::MinMax,
        Op::Prod,
        Op::Count,
        Op::CountNonzero,
        Op::Any,
        Op::All,
        Op::L1,
        Op::L2,
        Op::LInf,
        Op::SumSq,
        Op::Dot,
        Op::And,
        Op::Or,
        Op::Xor,
        Op::Histogram,
        Op::Quantile,
        Op::Median,
        Op::Stats,
    ];
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no operation of adsum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation '{name}'")]
pub struct UnknownOp {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for Op {
    type Err = UnknownOp;

    fn from_str(name: &str) -> Result<Op, UnknownOp> {
        let known = Op::ALL.into_iter().find(|op| op.name() == name);
        known.ok_or_else(|| UnknownOp { name: name.to_owned() })
    }
}

/// What an exact sum adds up for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Term {
    /// The element.
    Value,
    /// Its magnitude.
    Magnitude,
    /// Its square.
    Square,
    /// Its product with the element at the same place of a second data set.
    Product,
}

/// The most bins of one [`Monoid::Bins`].
pub const BINS_MAX: usize = 1 << 16;

/// Intervals of [order keys](crate::reduction::key) in which elements are
/// counted.
///
/// Bin `i` holds the keys from `lower[i]` up to, but not including,
/// `lower[i + 1]`; the last one the keys from its lower bound to `last`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bins {
    /// The smallest key of each bin: never falling, 1 to [`BINS_MAX`] of them.
    pub lower: Arc<[u64]>,
    /// The largest key of the last bin.
    pub last: u64,
}

impl Bins {
    /// Whether there is an acceptable number of bins, in order.
    pub fn is_valid(&self) -> bool {
        (1..=BINS_MAX).contains(&self.lower.len()) && self.lower.is_sorted()
    }

    /// The bin of a key: `Err(false)` below all of them, `Err(true)` above.
    pub fn bin_of(&self, key: u64) -> Result<usize, bool> {
        match self.lower.partition_point(|&bound| bound <= key) {
            0 => Err(false),
            above if above == self.lower.len() && key > self.last => Err(true),
            above => Ok(above - 1),
        }
    }
}

/// A kind of state that merges in any order. Operations are made of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Monoid {
    /// An exact sum with the counts of special elements.
    Sum(Term),
    /// The smallest and the largest element, with the place of each if `indexed`.
    Extremum {
        /// Whether places are kept.
        indexed: bool,
    },
    /// Numbers of elements, of NaN, and of elements that are not zero.
    Tally,
    /// The product of integers modulo 2^64, and whether it is more.
    Product,
    /// The product of floats, by a perfect binary tree over their places.
    Tree,
    /// Bitwise and, or, exclusive or.
    Bits,
    /// Numbers of elements in intervals.
    Bins(Bins),
    /// All elements in order, at most so many.
    Multiset {
        /// The most elements, 1 to [`MULTISET_MAX`].
        elements_max: u32,
    },
}

impl Monoid {
    /// Whether an element's place changes its state.
    pub fn is_indexed(&self) -> bool {
        match self {
            Monoid::Extremum { indexed } => *indexed,
            Monoid::Tree => true,
            Monoid::Sum(_) | Monoid::Tally | Monoid::Product | Monoid::Bits => false,
            Monoid::Bins(_) | Monoid::Multiset { .. } => false,
        }
    }

    /// Whether it takes elements of this type.
    pub fn takes(&self, dtype: DType) -> bool {
        match self {
            Monoid::Sum(_) | Monoid::Extremum { .. } | Monoid::Tally => true,
            Monoid::Tree => dtype.is_float(),
            Monoid::Product | Monoid::Bits => !dtype.is_float(),
            Monoid::Bins(bins) => bins.is_valid(),
            Monoid::Multiset { elements_max } => (1..=MULTISET_MAX).contains(elements_max),
        }
    }
}

/// The most elements of one [`Monoid::Multiset`].
pub const MULTISET_MAX: u32 = 1 << 16;

/// The most states of one spec.
pub const MONOIDS_MAX: usize = 4;

/// The most that are read from outside: enough to say what is wrong with a spec
/// of too many, and no more.
const MONOIDS_READ_MAX: usize = 16;

/// All that a node must know to make partials: the element type and the
/// states. What is made of the states in the end (a mean, a norm, an output
/// type) is for the asker alone, so different questions can share partials.
///
/// Equal specs over equal elements have equal partials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// The type of the elements.
    pub dtype: DType,
    /// The states, 1 to [`MONOIDS_MAX`].
    #[serde(deserialize_with = "crate::bounded::list::<_, _, MONOIDS_READ_MAX>")]
    pub monoids: Vec<Monoid>,
}

impl Spec {
    /// One state over elements of `dtype`.
    pub fn of(dtype: DType, monoid: Monoid) -> Spec {
        Spec { dtype, monoids: vec![monoid] }
    }

    /// The exact sum of elements of `dtype`.
    pub fn sum(dtype: DType) -> Spec {
        Spec::of(dtype, Monoid::Sum(Term::Value))
    }

    /// Whether the spec, which may come from a peer, can be carried out.
    pub fn is_valid(&self) -> bool {
        (1..=MONOIDS_MAX).contains(&self.monoids.len())
            && self.monoids.iter().all(|monoid| monoid.takes(self.dtype))
    }

    /// Whether it reduces two data sets, element by element.
    pub fn is_paired(&self) -> bool {
        self.monoids.contains(&Monoid::Sum(Term::Product))
    }

    /// Whether an element's place changes a state.
    pub fn is_indexed(&self) -> bool {
        self.monoids.iter().any(Monoid::is_indexed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_operation() {
        for op in Op::ALL {
            assert_eq!(op.name().parse(), Ok(op));
        }
        assert!("summ".parse::<Op>().is_err());
    }

    #[test]
    fn every_operation_is_made_of_states_that_take_its_types() {
        for op in Op::ALL {
            for dtype in DType::ALL.into_iter().filter(|&dtype| op.takes(dtype)) {
                let monoids = op.monoids(dtype);
                let spec = Spec { dtype, monoids };
                assert!(spec.monoids.is_empty() || spec.is_valid(), "{op} {dtype}");
            }
        }
    }

    #[test]
    fn a_key_has_one_bin() {
        let bins = Bins { lower: [10, 20, 20, 30].into(), last: 35 };
        assert!(bins.is_valid());
        let expected = [(9, Err(false)), (10, Ok(0)), (19, Ok(0)), (20, Ok(2)), (30, Ok(3))];
        for (key, bin) in expected {
            assert_eq!(bins.bin_of(key), bin, "{key}");
        }
        assert_eq!((bins.bin_of(35), bins.bin_of(36)), (Ok(3), Err(true)));
        let one = Bins { lower: [u64::MAX].into(), last: u64::MAX };
        assert_eq!(one.bin_of(u64::MAX), Ok(0));
        assert!(!Bins { lower: [2, 1].into(), last: 3 }.is_valid());
        assert!(!Bins { lower: [].into(), last: 3 }.is_valid());
    }
}
