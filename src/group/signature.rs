//! What a rank called: equal at all ranks, or the call fails at all of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::collective::{Algorithm, Kind};
use crate::dtype::DType;
use crate::fold::Operator;
use crate::op::Op;

/// What is done with contributions, as far as all ranks must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Folding {
    /// They are not folded.
    None,
    /// By one of the operators.
    By(Operator),
    /// By a function of the user's.
    Own {
        /// Whether it may be folded in groups.
        commutative: bool,
    },
}

/// What a call is made for, where its kind does not say it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// What its kind says.
    #[default]
    Plain,
    /// A split into one: another communicator of the same ranks.
    Dup,
    /// A barrier that is measured.
    Calibrate,
    /// A partial of elements of this type.
    Partial(DType),
    /// One number of elements of this type.
    Number(Op, DType),
}

/// What a rank called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The call.
    pub kind: Kind,
    /// What for.
    pub purpose: Purpose,
    /// Its schedule.
    pub algorithm: Algorithm,
    /// What is done with contributions.
    pub folding: Folding,
    /// The type of the elements.
    pub dtype: DType,
    /// The rank that has or gets all.
    pub root: u32,
    /// Elements, all blocks together; 0 where ranks may differ.
    pub count: u64,
    /// What tells lists of counts apart.
    pub counts: u32,
    /// Bytes of a segment.
    pub segment: u32,
}

impl Signature {
    /// A sum over a list of counts that two different lists hardly share.
    pub fn of_counts(counts: &[u64]) -> u32 {
        Signature::of_bytes(
            &counts.iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<_>>(),
        )
    }

    /// A sum over bytes that different ones hardly share.
    pub fn of_bytes(bytes: &[u8]) -> u32 {
        let [a, b, c, d, ..] = *blake3::hash(bytes).as_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signature { kind, purpose, algorithm, folding, dtype, root, count, counts, segment } =
            self;
        match (purpose, kind) {
            (Purpose::Dup, _) => write!(f, "dup(")?,
            (Purpose::Calibrate, _) => write!(f, "calibrate(")?,
            (Purpose::Number(op, of), Kind::Merge) => write!(f, "reduce_exact({op} of {of}, ")?,
            (Purpose::Number(op, of), _) => write!(f, "all_reduce_exact({op} of {of}, ")?,
            (Purpose::Partial(of), _) => write!(f, "{}({of}, ", kind.name())?,
            (Purpose::Plain, _) => write!(f, "{}(", kind.name())?,
        }
        match folding {
            _ if kind.merges() => write!(f, "states of reduction {counts:08x} in up to ")?,
            Folding::None => {}
            Folding::By(operator) => write!(f, "{operator} of ")?,
            Folding::Own { commutative: true } => write!(f, "a commutative function of ")?,
            Folding::Own { commutative: false } => write!(f, "a function of ")?,
        }
        write!(f, "{count} {dtype}")?;
        if *counts != 0 && !kind.merges() {
            write!(f, " in blocks {counts:08x}")?;
        }
        write!(f, ", root {root}, {}", algorithm.name())?;
        if let Algorithm::Tree { fan } = algorithm {
            write!(f, " of {fan}")?;
        }
        write!(f, ", segments of {segment} bytes)")
    }
}
