//! Reductions along an axis: one number per output, piece by piece.
//!
//! The outputs are cut into windows whose states fit into a part of the memory.
//! Each window is a job of its own; its numbers are finished and written before
//! the next begins, so a result of any size goes through.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::args::ReduceArgs;
use super::asker::Asker;
use super::exit::{Blame, Failure};
use super::input;
use super::reduce::{output_dtype, remark};
use super::report::Report;
use super::shown::Shown;
use super::talk::Talk;
use crate::dtype::DType;
use crate::finish::{self, Finished, Options, Remark, Special, special};
use crate::manifest::{Cut, ENTRY_BYTES, Manifest, OutputOrder, axis_outputs};
use crate::op::{Op, Spec};
use crate::partial::Partial;
use crate::sink::NpySink;
use crate::value::Value;

/// The most outputs that are printed.
const PRINTED_MAX: u64 = 4096;

/// The most bytes of the states of one entry: what a worker's caches hold.
const ENTRY_STATE_BYTES_MAX: u64 = 1 << 20;

/// The most bytes of the states of one window.
const WINDOW_STATE_BYTES_MAX: u64 = 32 << 20;

/// Reduces along an axis, and prints or writes the result.
pub fn run(op: Op, args: &ReduceArgs, axis: i64, options: Options) -> Result<(), Failure> {
    if !op.has_axis() {
        return Err(Failure::new(
            Blame::Usage,
            format!("{op} does not reduce along an axis; leave '--axis' out"),
        ));
    }
    input::refuse_standard_input(&args.source, "'--axis' reads an array in blocks")?;
    let start = Instant::now();
    let mut talk = Talk::new(&args.output);
    let data = input::open(op, &args.source.files, &args.source, &mut talk)?;
    let dtype = data.dtype();
    let axis = axis_of(&data, axis)?;
    let files = data.files().to_vec();
    let order = OutputOrder::new(&files, usize::from(axis))?;
    let outputs = axis_outputs(&files, usize::from(axis))?;
    let mut shape = order.shape().to_vec();
    if args.axis.keepdims {
        shape.insert(usize::from(axis), 1);
    }
    let output = match (&args.axis.out, args.output.out_dtype) {
        // Files keep NumPy's type.
        (Some(_), None) => op.natural_output(dtype),
        _ => output_dtype(op, dtype, &args.output)?,
    };
    let mut target = Target::open(args, output, &shape, outputs)?;

    let spec = Spec { dtype, monoids: op.monoids(dtype) };
    let settings = input::settings(&args.run, Some(data.bytes()))?;
    talk.start(Some(data.bytes()));
    let mut asker = Asker::start(&args.run, &settings, args.output.is_quiet(), start, &mut talk)?;
    let state_bytes: u64 = spec.monoids.iter().map(|monoid| monoid.state_bytes(dtype)).sum();
    let window_bytes = (settings.memory_bytes / 16).min(WINDOW_STATE_BYTES_MAX);
    let window = (window_bytes / state_bytes).max(1);
    let mut met = None;
    let mut elements = 0;
    let mut first = 0;
    while first < outputs {
        let range = first..outputs.min(first + window);
        let cut = Cut::Axis {
            entry_bytes: ENTRY_BYTES,
            axis,
            outputs: range.clone(),
            outputs_max: (ENTRY_STATE_BYTES_MAX / state_bytes).max(1),
        };
        let manifest = Arc::new(Manifest::cut(files.clone(), cut)?);
        let total = asker.reduce(&manifest, &spec, &mut talk)?;
        elements += total.elements();
        first = range.end;
        let mut finished = finish_all(op, &total, options, output, &mut met)?;
        if args.axis.out.is_some() {
            finished.iter_mut().for_each(|one| *one = wrapped(*one, output));
        }
        remark(op, &finished, &args.output, options, &mut talk)?;
        target.take(&order, range, &finished)?;
    }
    let shown = target.finish(op, output, &shape)?;
    let work = asker.work(&data);
    let special = met.unwrap_or_default();
    Report { op, dtype, elements, special, work, shown }.tell(&args.output, talk)
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

/// Rounds every output once, and gathers what was met.
fn finish_all(
    op: Op,
    total: &Partial,
    options: Options,
    output: DType,
    met: &mut Option<Special>,
) -> Result<Vec<Finished>, Failure> {
    let one = |index: usize| {
        let states = total.states(index);
        let found = special(states);
        *met = Some(met.map_or(found, |met| met.and(found)));
        finish::finish(op, states, options, output)
    };
    let all: Result<Vec<Finished>, finish::FinishError> = (0..total.outputs()).map(one).collect();
    Ok(all?)
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
    fn open(
        args: &ReduceArgs,
        output: DType,
        shape: &[u64],
        outputs: u64,
    ) -> Result<Target, Failure> {
        let Some(path) = &args.axis.out else {
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
        let sink = NpySink::create(path, output, shape, args.axis.force)?;
        Ok(Target::File { sink, path: path.to_string_lossy().into_owned() })
    }

    /// Takes the numbers of some outputs.
    fn take(
        &mut self,
        order: &OutputOrder,
        outputs: Range<u64>,
        finished: &[Finished],
    ) -> Result<(), Failure> {
        match self {
            Target::Printed(values) => {
                for (output, one) in outputs.zip(finished) {
                    values[order.position(output) as usize] = one.value;
                }
            }
            Target::File { sink, .. } if order.is_linear() => {
                let mut bytes = Vec::new();
                finished.iter().for_each(|one| bytes.extend(one.value.to_le_bytes()));
                sink.write_at(outputs.start, &bytes)?;
            }
            Target::File { sink, .. } => {
                for (output, one) in outputs.zip(finished) {
                    sink.write_at(order.position(output), &one.value.to_le_bytes())?;
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
