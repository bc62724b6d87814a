//! Reductions along an axis: one number per output, piece by piece.
//!
//! The outputs are cut into windows whose states fit into a part of the memory.
//! Each window is a job of its own; its numbers are finished and written before
//! the next begins, so a result of any size goes through.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::args::{AxisArgs, OutputArgs, RunArgs, SourceArgs};
use super::asker::Asker;
use super::exit::{Blame, Failure};
use super::input;
use super::quantile::search_for;
use super::reduce::{output_dtype, spec, strictly};
use super::remarks::Remarks;
use super::report::Report;
use super::shown::Shown;
use super::talk::Talk;
use crate::dtype::DType;
use crate::finish::{self, FinishError, Finished, Options, Remark, Special, special};
use crate::manifest::{Cut, ENTRY_BYTES, Manifest, OutputOrder, axis_outputs, element_count};
use crate::op::{MULTISET_MAX, Monoid, Op, Spec};
use crate::partial::Partial;
use crate::reduction::State;
use crate::reduction::multiset::Multiset;
use crate::rounds::Method;
use crate::rounds::quantile::{self, Quantiles, Search};
use crate::sink::NpySink;
use crate::value::Value;

/// The most outputs that are printed.
const PRINTED_MAX: u64 = 4096;

/// The most bytes of the states of one entry: what a worker's caches hold.
const ENTRY_STATE_BYTES_MAX: u64 = 1 << 20;

/// The most bytes of the states of one window.
const WINDOW_STATE_BYTES_MAX: u64 = 32 << 20;

/// A reduction along an axis, as it was asked for.
pub struct Along<'a> {
    pub op: Op,
    pub source: &'a SourceArgs,
    pub axis: &'a AxisArgs,
    pub run: &'a RunArgs,
    pub output: &'a OutputArgs,
    pub options: Options,
    /// The shares and the method of quantiles. Several numbers for each output
    /// make a first axis.
    pub quantiles: Option<(&'a [f64], Method)>,
}

impl Along<'_> {
    /// Reduces along an axis, and prints or writes the result.
    pub fn answer(&self, axis: i64) -> Result<(), Failure> {
        let op = self.op;
        if !op.has_axis() {
            return Err(Failure::new(
                Blame::Usage,
                format!("{op} does not reduce along an axis; leave '--axis' out"),
            ));
        }
        input::refuse_standard_input(self.source, "'--axis' reads an array in blocks")?;
        let start = Instant::now();
        let mut talk = Talk::new(self.output);
        let data = input::open(op, &self.source.files, self.source, self.run, &mut talk)?;
        let dtype = data.dtype();
        let axis = axis_of(&data, axis)?;
        let files = data.files().to_vec();
        let order = OutputOrder::new(&files, usize::from(axis))?;
        let outputs = axis_outputs(&files, usize::from(axis))?;
        let way = self.way(&data, axis)?;
        let output = self.output_dtype(dtype)?;
        let shape = self.shape(&order, axis);
        let mut target = Target::open(self.axis, output, &shape)?;

        let settings = input::settings(self.run, Some(data.bytes()))?;
        // Nobody knows how many rounds a search has.
        talk.start(matches!(way, Way::States(_)).then_some(data.bytes()));
        let mut asker =
            Asker::start(self.run, &settings, self.output.is_quiet(), start, &mut talk)?;
        let (window, outputs_max) = way.outputs_at_once(dtype, settings.memory_bytes);
        let mut met = None;
        let mut remarks = Remarks::default();
        let mut elements = 0;
        let mut first = 0;
        while first < outputs {
            let range = first..outputs.min(first + window);
            let cut =
                Cut::Axis { entry_bytes: ENTRY_BYTES, axis, outputs: range.clone(), outputs_max };
            let manifest = Arc::new(Manifest::cut(files.clone(), cut)?);
            let found = match &way {
                Way::States(spec) => {
                    let total = asker.reduce(&manifest, spec, &mut talk)?;
                    self.of_states(&total, output)?
                }
                Way::Search(search) => {
                    let search =
                        search_for(search.clone(), &mut asker, &manifest, self.output, &mut talk)?;
                    self.of_search(search)
                }
            };
            first = range.end;
            elements += found.elements;
            met = Some(met.map_or(found.special, |met: Special| met.and(found.special)));
            for (which, mut finished) in (0..).zip(found.numbers) {
                if self.axis.out.is_some() {
                    finished.iter_mut().for_each(|one| *one = wrapped(*one, output));
                }
                remarks.add(&finished);
                target.take(&order, range.clone(), which * outputs, &finished)?;
            }
        }
        remarks.tell(op, self.output, self.options, &mut talk)?;
        let shown = target.finish(op, output, &shape)?;
        let work = asker.work(&data);
        let special = met.unwrap_or_default();
        Report { op, dtype, elements, special, work, shown }.tell(self.output, talk)
    }

    fn way(&self, data: &Manifest, axis: u8) -> Result<Way, Failure> {
        let dtype = data.dtype();
        let Some(search) = self.search(dtype)? else {
            return Ok(Way::States(spec(self.op, dtype, self.output)));
        };
        let lengths = data.files().iter().map(|file| file.shape[usize::from(axis)]);
        let length: u64 = if axis == 0 { lengths.sum() } else { lengths.take(1).sum() };
        match u32::try_from(length.max(1)) {
            Ok(elements_max @ 1..=MULTISET_MAX) => {
                let spec = Spec::of(dtype, Monoid::Multiset { elements_max });
                Ok(Way::States(strictly(spec, self.output)))
            }
            _ => Ok(Way::Search(search)),
        }
    }

    /// The search for the quantiles of one output.
    fn search(&self, dtype: DType) -> Result<Option<Search>, Failure> {
        let Some((shares, method)) = self.quantiles else { return Ok(None) };
        let Options { skip_nan, .. } = self.options;
        Ok(Some(Search::new(dtype, shares, method, skip_nan, self.output.out_dtype)?))
    }

    /// The type of the numbers. Files keep NumPy's.
    fn output_dtype(&self, dtype: DType) -> Result<DType, Failure> {
        match (self.search(dtype)?, &self.axis.out, self.output.out_dtype) {
            (Some(search), _, _) => Ok(search.output()),
            (None, Some(_), None) => Ok(self.op.natural_output(dtype)),
            _ => output_dtype(self.op, dtype, self.output),
        }
    }

    /// The shape of the result.
    fn shape(&self, order: &OutputOrder, axis: u8) -> Vec<u64> {
        let mut shape = order.shape().to_vec();
        if self.axis.keepdims {
            shape.insert(usize::from(axis), 1);
        }
        let numbers = match self.quantiles {
            Some((shares, _)) => shares.len() as u64,
            None if self.op == Op::MinMax => 2,
            None => 1,
        };
        if numbers > 1 {
            shape.insert(0, numbers);
        }
        shape
    }

    fn of_states(&self, total: &Partial, output: DType) -> Result<Found, Failure> {
        let special = (0..total.outputs()).map(|index| special(total.states(index)));
        Ok(Found {
            elements: total.elements(),
            special: special.reduce(Special::and).unwrap_or_default(),
            numbers: self.finish(total, output)?,
        })
    }

    /// What was found for the only output.
    fn of_search(&self, (quantiles, special): (Quantiles, Special)) -> Found {
        let Quantiles { values, elements, nan } = quantiles;
        let remark = self.quantile_remark(elements, nan);
        let numbers = values.into_iter().map(|value| vec![Finished { value, remark }]).collect();
        Found { elements, special, numbers }
    }

    /// Rounds once: a list over the outputs for each number that an output has.
    fn finish(&self, total: &Partial, output: DType) -> Result<Vec<Vec<Finished>>, Failure> {
        let outputs = 0..total.outputs();
        let Some((shares, method)) = self.quantiles else {
            let ops = match self.op {
                Op::MinMax => vec![Op::Min, Op::Max],
                op => vec![op],
            };
            let of_op = |op: Op| -> Result<Vec<Finished>, FinishError> {
                let finish = |index| finish::finish(op, total.states(index), self.options, output);
                outputs.clone().map(finish).collect()
            };
            return Ok(ops.into_iter().map(of_op).collect::<Result<_, FinishError>>()?);
        };
        let of_share = |&share: &f64| {
            let quantile = |index| match total.states(index) {
                [State::Multiset(set), ..] => self.quantile(set, total, share, method, output),
                _ => unreachable!("the spec has one multiset"),
            };
            outputs.clone().map(quantile).collect::<Result<Vec<Finished>, Failure>>()
        };
        shares.iter().map(of_share).collect()
    }

    fn quantile(
        &self,
        set: &Multiset,
        total: &Partial,
        share: f64,
        method: Method,
        output: DType,
    ) -> Result<Finished, Failure> {
        let (dtype, skip) = (total.spec().dtype, self.options.skip_nan);
        let value = quantile::of_multiset(set, dtype, share, method, skip, output)?;
        Ok(Finished { value, remark: self.quantile_remark(set.elements(), set.nan()) })
    }

    fn quantile_remark(&self, elements: u64, nan: u64) -> Option<Remark> {
        match elements - nan {
            0 if elements == 0 => Some(Remark::Empty),
            0 if self.options.skip_nan => Some(Remark::AllNan),
            _ => None,
        }
    }
}

/// How the numbers of an output are found.
enum Way {
    /// From its states.
    States(Spec),
    /// Round by round, one output after the other: quantiles of more elements
    /// than are kept.
    Search(Search),
}

impl Way {
    /// The outputs of one window, and the most of one entry.
    fn outputs_at_once(&self, dtype: DType, memory_bytes: u64) -> (u64, u64) {
        let Way::States(spec) = self else { return (1, 1) };
        let state_bytes: u64 = spec.monoids.iter().map(|monoid| monoid.state_bytes(dtype)).sum();
        let window_bytes = (memory_bytes / 16).min(WINDOW_STATE_BYTES_MAX);
        ((window_bytes / state_bytes).max(1), (ENTRY_STATE_BYTES_MAX / state_bytes).max(1))
    }
}

/// What is known of the outputs of a window.
struct Found {
    elements: u64,
    special: Special,
    /// For each number that an output has, a list over the outputs.
    numbers: Vec<Vec<Finished>>,
}

/// The axis that is meant, counted from the first.
fn axis_of(data: &Manifest, axis: i64) -> Result<u8, Failure> {
    let file = &data.files()[0];
    let axes = file.shape.len() as i64;
    match if axis < 0 { axis + axes } else { axis } {
        // There are no more than 64.
        index if (0..axes).contains(&index) => Ok(index as u8),
        _ => Err(Failure::new(
            Blame::Usage,
            match axes {
                0 => format!(
                    "'--axis {axis}' does not exist: '{}' has no axes; leave it out",
                    file.name()
                ),
                _ => format!(
                    "'--axis {axis}' does not exist: '{}' has {axes} axes; use -{axes} to {}",
                    file.name(),
                    axes - 1
                ),
            },
        )),
    }
}

/// A number as a file of its type holds it.
fn wrapped(finished: Finished, output: DType) -> Finished {
    match finished.remark {
        Some(Remark::Wide) => {
            let value = finished.value.wrapped(output);
            Finished { value, remark: Some(Remark::Wrapped) }
        }
        _ => finished,
    }
}

/// Where the numbers go.
enum Target {
    File { sink: NpySink, path: String },
    Printed(Vec<Value>),
}

impl Target {
    /// What cannot be written is told before the work starts.
    fn open(args: &AxisArgs, output: DType, shape: &[u64]) -> Result<Target, Failure> {
        let Some(path) = &args.out else {
            let outputs = element_count(shape).unwrap_or(u64::MAX);
            if outputs > PRINTED_MAX {
                return Err(Failure::new(
                    Blame::Usage,
                    format!(
                        "the result has {outputs} elements, of which at most {PRINTED_MAX} are printed; write it into a file with '--out FILE.npy'"
                    ),
                ));
            }
            return Ok(Target::Printed(vec![Value::of(output, 0); outputs as usize]));
        };
        let sink = NpySink::create(path, output, shape, args.force)?;
        Ok(Target::File { sink, path: path.to_string_lossy().into_owned() })
    }

    /// Takes the numbers of some outputs, which begin at `offset` in the result.
    fn take(
        &mut self,
        order: &OutputOrder,
        outputs: Range<u64>,
        offset: u64,
        finished: &[Finished],
    ) -> Result<(), Failure> {
        match self {
            Target::Printed(values) => {
                for (output, one) in outputs.zip(finished) {
                    values[(offset + order.position(output)) as usize] = one.value;
                }
            }
            Target::File { sink, .. } if order.is_linear() => {
                let mut bytes = Vec::new();
                finished.iter().for_each(|one| bytes.extend(one.value.to_le_bytes()));
                sink.write_at(offset + outputs.start, &bytes)?;
            }
            Target::File { sink, .. } => {
                for (output, one) in outputs.zip(finished) {
                    sink.write_at(offset + order.position(output), &one.value.to_le_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, op: Op, output: DType, shape: &[u64]) -> Result<Shown, Failure> {
        match self {
            Target::Printed(values) => Ok(Shown::array(op, output, &values, shape)),
            Target::File { sink, path } => {
                sink.finish()?;
                Ok(Shown::file(&path, output, shape))
            }
        }
    }
}
