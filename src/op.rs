//! What is reduced: operations, and which element types each supports.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dtype::DType;

/// A reduction.
///
/// The discriminant is the operation's code in canonical bytes; it never
/// changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Op {
    /// The exact sum, rounded once.
    Sum = 1,
}

impl Op {
    /// Every operation.
    pub const ALL: [Op; 1] = [Op::Sum];

    /// The code of this operation in canonical bytes.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The operation with this code, if there is one.
    pub fn from_code(code: u8) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.code() == code)
    }

    /// The operation's name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Op::Sum => "sum",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reduction in full: the operation, the element type, and options as
/// operations come to need them. Two equal specs over equal elements have
/// equal partials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// The operation.
    pub op: Op,
    /// The type of the elements.
    pub dtype: DType,
}

impl Spec {
    /// The exact sum of elements of `dtype`.
    pub fn sum(dtype: DType) -> Spec {
        Spec { op: Op::Sum, dtype }
    }

    /// The type a result has when none is asked for: NumPy's rule.
    ///
    /// Sums of signed integers and bool are `int64`, of unsigned integers
    /// `uint64`, of floats the float itself.
    pub fn natural_output(self) -> DType {
        match self.op {
            Op::Sum => match self.dtype {
                DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64 => DType::I64,
                DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
                DType::F32 => DType::F32,
                DType::F64 => DType::F64,
            },
        }
    }
}
