//! From states to the number that was asked for: the last step of every
//! operation that gives one number per output.
//!
//! Meaning is NumPy's, except where the order of elements would decide it;
//! `docs/numerics.md` has the table.

use std::borrow::Cow;
use std::fmt;

use crate::dtype::DType;
use crate::op::{Op, Term};
use crate::reduction::State;
use crate::reduction::extremum::{End, Extremum};
use crate::reduction::float::{Float, FloatFormat};
use crate::reduction::moments::{self, Spread};
use crate::reduction::round;
use crate::reduction::sum::Sum;
use crate::reduction::tally::Tally;
use crate::value::Value;

/// What of a question is not in the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Take NaN for elements that are not there.
    pub skip_nan: bool,
    /// What is taken from the number of elements before a variance is divided
    /// by it.
    pub ddof: i64,
}

/// Why states have no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// An extreme of no elements.
    #[error("{op} of no elements does not exist; give it at least one element")]
    Empty {
        /// The operation.
        op: Op,
    },
    /// The place of an extreme where all elements are NaN and not wanted.
    #[error("{op} of NaN alone does not exist; leave '--skip-nan' out to get the first NaN")]
    AllNan {
        /// The operation.
        op: Op,
    },
}

/// An output type that a result does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op} of {input} has no {output} form; use {}", Choices(*op, *input))]
pub struct OutputError {
    /// The operation.
    pub op: Op,
    /// Type of the elements.
    pub input: DType,
    /// The type that was asked for.
    pub output: DType,
}

struct Choices(Op, DType);

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choices(op, input) = *self;
        let fitting = DType::ALL.into_iter().filter(|&output| has_output(op, input, output));
        for (index, dtype) in fitting.enumerate() {
            write!(f, "{}{dtype}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Something about a result that a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// It has no value because there are no elements.
    Empty,
    /// It has no value because all elements are NaN.
    AllNan,
    /// It has no value because there are no more elements than `ddof`.
    Freedom,
    /// It is an integer that 64 bits do not hold; all of it is there.
    Wide,
    /// It is an integer that 64 bits do not hold; its lowest 64 bits are there.
    Wrapped,
}

/// A result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The value.
    pub value: Value,
    /// What should be known about it.
    pub remark: Option<Remark>,
}

impl From<Value> for Finished {
    fn from(value: Value) -> Finished {
        Finished { value, remark: value.exceeds_64_bits().then_some(Remark::Wide) }
    }
}

/// The output type: the one asked for, or the natural one.
///
/// # Errors
/// A type that a result of these elements does not have.
pub fn output_dtype(op: Op, input: DType, asked: Option<DType>) -> Result<DType, OutputError> {
    let output = asked.unwrap_or(op.natural_output(input));
    match has_output(op, input, output) {
        true => Ok(output),
        false => Err(OutputError { op, input, output }),
    }
}

fn has_output(op: Op, input: DType, output: DType) -> bool {
    let rounded = match op {
        Op::Sum | Op::Mean | Op::Var | Op::Std | Op::L1 | Op::L2 | Op::LInf => true,
        Op::SumSq | Op::Dot | Op::Quantile | Op::Median | Op::Stats => true,
        Op::Prod => input.is_float(),
        Op::Min | Op::Max | Op::ArgMin | Op::ArgMax | Op::MinMax => false,
        Op::Count | Op::CountNonzero | Op::Any | Op::All => false,
        Op::And | Op::Or | Op::Xor | Op::Histogram => false,
    };
    output == op.natural_output(input) || (rounded && output.is_float())
}

/// The result of `op` for one output, of type `output`, which
/// [`output_dtype`] has allowed. Takes what it needs of the states, which may
/// be more than those of the operation.
///
/// # Errors
/// An extreme of nothing.
///
/// # Panics
/// If the states are not those of the operation, or it does not give one
/// number: [`Op::MinMax`], [`Op::Histogram`], quantiles and [`Op::Stats`] are
/// made of several.
pub fn finish(
    op: Op,
    states: &[State],
    options: Options,
    output: DType,
) -> Result<Finished, FinishError> {
    let skip = options.skip_nan;
    Ok(match op {
        Op::Sum => sum(states, Term::Value, skip).finish(output).into(),
        Op::L1 => sum(states, Term::Magnitude, skip).finish(output).into(),
        Op::SumSq => sum(states, Term::Square, skip).finish(output).into(),
        Op::Dot => sum(states, Term::Product, skip).finish(output).into(),
        Op::Mean => {
            let sum = sum(states, Term::Value, skip);
            let value = Value::of(output, moments::mean(&sum, format(output)));
            let empty = sum.counts().elements == 0;
            Finished { value, remark: empty.then(|| nothing_left(states)) }
        }
        Op::Var | Op::Std => spread(op, states, options, output),
        Op::L2 => {
            let squares = sum(states, Term::Square, skip);
            Value::of(output, moments::norm(&squares, format(output))).into()
        }
        Op::Min => return extreme(op, End::Min, &extremum(states), skip, output),
        Op::Max => return extreme(op, End::Max, &extremum(states), skip, output),
        Op::ArgMin => return place(op, End::Min, &extremum(states), skip),
        Op::ArgMax => return place(op, End::Max, &extremum(states), skip),
        Op::LInf => largest_magnitude(&extremum(states), skip, output).into(),
        Op::Prod => product(states, skip, output),
        Op::Count => Value::int64(tally(states, skip).finish().0 as i64).into(),
        Op::CountNonzero => Value::int64(tally(states, skip).finish().1 as i64).into(),
        Op::Any => Value::of(DType::Bool, (tally(states, skip).finish().1 > 0).into()).into(),
        Op::All => {
            let (elements, nonzero) = tally(states, skip).finish();
            Value::of(DType::Bool, (elements == nonzero).into()).into()
        }
        Op::And | Op::Or | Op::Xor => {
            let all = find(states, |state| match state {
                State::Bits(all) => Some(*all),
                _ => None,
            });
            let (and, or, xor) = all.finish();
            let bits = [(Op::And, and), (Op::Or, or), (Op::Xor, xor)];
            let (_, bits) = bits.into_iter().find(|(name, _)| *name == op).expect("one of three");
            Value::of(output, bits).into()
        }
        Op::MinMax | Op::Histogram | Op::Quantile | Op::Median | Op::Stats => {
            unreachable!("{op} gives several numbers")
        }
    })
}

/// NaN and infinities that an operation met: how many NaN, and how many
/// infinities of each sign where the states know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// NaN among the terms.
    pub nan: u64,
    /// Infinities of each sign, positive first, where they are counted.
    pub infinities: Option<(u64, u64)>,
    /// Whether any infinity was met.
    pub infinite: bool,
}

impl Special {
    /// What two outputs met together.
    pub fn and(self, other: Special) -> Special {
        let both = self.infinities.zip(other.infinities);
        Special {
            nan: self.nan + other.nan,
            infinities: both.map(|((a, b), (c, d))| (a + c, b + d)),
            infinite: self.infinite || other.infinite,
        }
    }
}

/// What is known of NaN and infinities from the states of one output.
pub fn special(states: &[State]) -> Special {
    let mut found = Special::default();
    for state in states {
        match state {
            State::Sum(sum) => {
                let counts = sum.counts();
                let infinities = (counts.positive_infinity, counts.negative_infinity);
                found.nan = found.nan.max(counts.nan);
                found.infinities = found.infinities.or(Some(infinities));
                found.infinite |= infinities != (0, 0);
            }
            State::Extremum(extremum) => {
                found.nan = found.nan.max(extremum.nan());
                let numbers = extremum.without_nan();
                let infinite = |end| {
                    numbers.finish(end).is_some_and(|(bits, _)| {
                        let format = FloatFormat::of(extremum.dtype());
                        format.is_some_and(|f| matches!(f.decode(bits), Float::Infinite { .. }))
                    })
                };
                found.infinite |= infinite(End::Min) || infinite(End::Max);
            }
            State::Tally(tally) => found.nan = found.nan.max(tally.nan()),
            State::Tree(tree) => {
                found.nan = found.nan.max(tree.nan());
                found.infinite |= tree.infinities() > 0;
            }
            State::Bins(bins) => found.nan = found.nan.max(bins.nan()),
            State::Multiset(set) => found.nan = found.nan.max(set.nan()),
            State::Product(_) | State::Bits(_) => {}
        }
    }
    found
}

fn format(output: DType) -> FloatFormat {
    FloatFormat::of(output).expect("the output type was checked: it is a float")
}

fn find<'a, T>(states: &'a [State], fitting: impl Fn(&'a State) -> Option<T>) -> T {
    states.iter().find_map(fitting).expect("the states are those of the operation")
}

fn sum(states: &[State], term: Term, skip_nan: bool) -> Cow<'_, Sum> {
    let found = find(states, |state| match state {
        State::Sum(sum) if sum.term() == term => Some(sum),
        _ => None,
    });
    match skip_nan && found.counts().nan > 0 {
        true => Cow::Owned(found.without_nan()),
        false => Cow::Borrowed(found),
    }
}

fn extremum(states: &[State]) -> Extremum {
    find(states, |state| match state {
        State::Extremum(extremum) => Some(*extremum),
        _ => None,
    })
}

fn tally(states: &[State], skip_nan: bool) -> Tally {
    let found = find(states, |state| match state {
        State::Tally(tally) => Some(*tally),
        _ => None,
    });
    if skip_nan { found.without_nan() } else { found }
}

/// Why no elements are left: there were none, or only NaN.
fn nothing_left(states: &[State]) -> Remark {
    let elements = states.first().map_or(0, State::elements);
    if elements == 0 { Remark::Empty } else { Remark::AllNan }
}

fn spread(op: Op, states: &[State], options: Options, output: DType) -> Finished {
    let total = sum(states, Term::Value, options.skip_nan);
    let squares = sum(states, Term::Square, options.skip_nan);
    let kind = if op == Op::Var { Spread::Variance } else { Spread::Deviation };
    let bits = moments::spread(kind, &total, &squares, options.ddof, format(output));
    let elements = total.counts().elements;
    let remark = if elements == 0 {
        Some(nothing_left(states))
    } else {
        let none_free = i128::from(elements) <= i128::from(options.ddof);
        none_free.then_some(Remark::Freedom)
    };
    Finished { value: Value::of(output, bits), remark }
}

fn extreme(
    op: Op,
    end: End,
    extremum: &Extremum,
    skip_nan: bool,
    output: DType,
) -> Result<Finished, FinishError> {
    let numbers = if skip_nan { extremum.without_nan() } else { *extremum };
    match numbers.finish(end) {
        Some((bits, _)) => Ok(Value::of(output, bits).into()),
        None if extremum.nan() > 0 => {
            let value = Value::of(output, format(output).quiet_nan());
            Ok(Finished { value, remark: Some(Remark::AllNan) })
        }
        None => Err(FinishError::Empty { op }),
    }
}

fn place(op: Op, end: End, extremum: &Extremum, skip_nan: bool) -> Result<Finished, FinishError> {
    let numbers = if skip_nan { extremum.without_nan() } else { *extremum };
    match numbers.finish(end) {
        Some((_, index)) => Ok(Value::int64(index as i64).into()),
        None if extremum.nan() > 0 => Err(FinishError::AllNan { op }),
        None => Err(FinishError::Empty { op }),
    }
}

/// The largest magnitude; zero of no elements, as of other norms.
fn largest_magnitude(extremum: &Extremum, skip_nan: bool, output: DType) -> Value {
    let format = format(output);
    let numbers = if skip_nan { extremum.without_nan() } else { *extremum };
    let magnitude = |end| {
        numbers.finish(end).map(|(bits, _)| {
            let dtype = extremum.dtype();
            match FloatFormat::of(dtype) {
                Some(from) => round::convert(bits & !from.sign_bit(), from, format),
                None => {
                    let value = Value::of(dtype, bits).as_i128().expect("an integer");
                    round::to_nearest_even(&[value.unsigned_abs() as u64], 0, format)
                }
            }
        })
    };
    // Of floats without a sign, the order of bits is that of values, NaN last.
    let largest = magnitude(End::Min).into_iter().chain(magnitude(End::Max)).max();
    Value::of(output, largest.unwrap_or(0))
}

fn product(states: &[State], skip_nan: bool, output: DType) -> Finished {
    find(states, |state| match state {
        State::Product(product) => {
            let remark = product.overflows().then_some(Remark::Wrapped);
            Some(Finished { value: product.finish(output), remark })
        }
        State::Tree(tree) if skip_nan => Some(tree.without_nan().finish(output).into()),
        State::Tree(tree) => Some(tree.finish(output).into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
