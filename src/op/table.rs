//! The one table of what is supported. README.md shows it, and a test compares.

use super::{Monoid, Op, Term};
use crate::dtype::DType;

/// A group of element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// Every type.
    All,
    /// Every type but bool.
    Numbers,
    /// Integers and bool.
    Integers,
    /// No type.
    None,
}

impl Types {
    /// Whether the type is one of the group.
    pub fn contains(self, dtype: DType) -> bool {
        match self {
            Types::All => true,
            Types::Numbers => dtype != DType::Bool,
            Types::Integers => !dtype.is_float(),
            Types::None => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Types::All => "all",
            Types::Numbers => "all but bool",
            Types::Integers => "integers, bool",
            Types::None => "-",
        }
    }
}

/// What one operation supports.
struct Row {
    name: &'static str,
    about: &'static str,
    /// Element types it takes.
    types: Types,
    /// Element types for which adapters have kernels.
    gpu: Types,
    /// Whether it takes `--axis`.
    axis: bool,
    result: Result,
}

/// The type that a result has by NumPy's rules.
#[derive(Clone, Copy)]
enum Result {
    /// That of the elements.
    Same,
    /// Integers widened to 64 bits, floats as they are.
    Widened,
    /// Integers become float64, floats as they are.
    Float,
    /// int64.
    Index,
    /// bool.
    Bool,
}

const fn row(
    name: &'static str,
    about: &'static str,
    types: Types,
    gpu: Types,
    axis: bool,
    result: Result,
) -> Row {
    Row { name, about, types, gpu, axis, result }
}

impl Op {
    const fn row(self) -> Row {
        use Types::{All, Integers, Numbers};
        match self {
            Op::Sum => row("sum", "exact sum", All, All, true, Result::Widened),
            Op::Mean => row("mean", "mean", All, All, true, Result::Float),
            Op::Var => row("var", "variance", All, All, true, Result::Float),
            Op::Std => row("std", "standard deviation", All, All, true, Result::Float),
            Op::Min => row("min", "smallest element", All, All, true, Result::Same),
            Op::Max => row("max", "largest element", All, All, true, Result::Same),
            Op::ArgMin => {
                row("argmin", "index of the first smallest", All, All, true, Result::Index)
            }
            Op::ArgMax => {
                row("argmax", "index of the first largest", All, All, true, Result::Index)
            }
            Op::MinMax => row("minmax", "smallest and largest", All, All, true, Result::Same),
            Op::Prod => row("prod", "product", All, Integers, true, Result::Widened),
            Op::Count => row("count", "number of elements", All, All, true, Result::Index),
            Op::CountNonzero => {
                row("count_nonzero", "number of nonzero elements", All, All, true, Result::Index)
            }
            Op::Any => row("any", "whether any is nonzero", All, All, true, Result::Bool),
            Op::All => row("all", "whether all are nonzero", All, All, true, Result::Bool),
            Op::L1 => row("l1", "sum of magnitudes", All, All, true, Result::Float),
            Op::L2 => row("l2", "root of the sum of squares", All, All, true, Result::Float),
            Op::LInf => row("linf", "largest magnitude", All, All, true, Result::Float),
            Op::SumSq => row("sumsq", "sum of squares", All, All, true, Result::Widened),
            Op::Dot => row("dot", "sum of products", Numbers, Numbers, false, Result::Widened),
            Op::And => row("and", "bitwise and", Integers, Integers, true, Result::Same),
            Op::Or => row("or", "bitwise or", Integers, Integers, true, Result::Same),
            Op::Xor => row("xor", "bitwise exclusive or", Integers, Integers, true, Result::Same),
            Op::Histogram => row("histogram", "counts in bins", All, All, false, Result::Index),
            Op::Quantile => row("quantile", "exact quantiles", All, All, true, Result::Float),
            Op::Median => row("median", "exact median", All, All, true, Result::Float),
            Op::Stats => row("stats", "summary table", All, All, false, Result::Float),
        }
    }

    /// The operation's name on the command line and in reports.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether it takes elements of this type.
    pub fn takes(self, dtype: DType) -> bool {
        self.row().types.contains(dtype)
    }

    /// Whether adapters have kernels for it.
    pub fn has_kernel(self, dtype: DType) -> bool {
        self.row().gpu.contains(dtype)
    }

    /// Whether it reduces along one axis.
    pub fn has_axis(self) -> bool {
        self.row().axis
    }

    /// The types it takes, in words.
    pub fn types_name(self) -> &'static str {
        self.row().types.name()
    }

    /// The type of a result when none is asked for: NumPy's rule.
    pub fn natural_output(self, dtype: DType) -> DType {
        match self.row().result {
            Result::Same => dtype,
            Result::Float if dtype.is_float() => dtype,
            Result::Float => DType::F64,
            Result::Widened if dtype.is_float() => dtype,
            Result::Widened if dtype.is_signed() || dtype == DType::Bool => DType::I64,
            Result::Widened => DType::U64,
            Result::Index => DType::I64,
            Result::Bool => DType::Bool,
        }
    }

    /// The states that the operation is made of over elements of `dtype`; none
    /// for operations of several rounds, whose states depend on the round.
    pub fn monoids(self, dtype: DType) -> Vec<Monoid> {
        let (value, square) = (Monoid::Sum(Term::Value), Monoid::Sum(Term::Square));
        let extremum = |indexed| vec![Monoid::Extremum { indexed }];
        match self {
            Op::Sum | Op::Mean => vec![value],
            Op::Var | Op::Std => vec![value, square],
            Op::Min | Op::Max | Op::MinMax | Op::LInf => extremum(false),
            Op::ArgMin | Op::ArgMax => extremum(true),
            Op::Prod if dtype.is_float() => vec![Monoid::Tree],
            Op::Prod => vec![Monoid::Product],
            Op::Count | Op::CountNonzero | Op::Any | Op::All => vec![Monoid::Tally],
            Op::L1 => vec![Monoid::Sum(Term::Magnitude)],
            Op::L2 | Op::SumSq => vec![square],
            Op::Dot => vec![Monoid::Sum(Term::Product)],
            Op::And | Op::Or | Op::Xor => vec![Monoid::Bits],
            Op::Stats => vec![value, square, Monoid::Extremum { indexed: false }],
            Op::Histogram | Op::Quantile | Op::Median => Vec::new(),
        }
    }
}

/// The table in Markdown, as README.md has it.
pub fn support_table() -> String {
    let mut table =
        String::from("| operation | what | types | on GPUs | `--axis` |\n|---|---|---|---|---|\n");
    for op in Op::ALL {
        let row = op.row();
        let axis = if row.axis { "yes" } else { "-" };
        let (types, gpu) = (row.types.name(), row.gpu.name());
        table += &format!("| `{}` | {} | {types} | {gpu} | {axis} |\n", row.name, row.about);
    }
    table
}
