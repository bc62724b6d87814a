//! Operations that give one number, or one per output.

use std::sync::Arc;
use std::time::Instant;

use super::along::Along;
use super::args::{DotArgs, OutputArgs, ReduceArgs, RunArgs, SourceArgs};
use super::asker::Asker;
use super::exit::{Blame, Failure};
use super::remarks::Remarks;
use super::report::{self, FileReport, Report, ShardsReport, Work};
use super::shown::Shown;
use super::talk::Talk;
use super::{input, quantile, stats};
use crate::dtype::DType;
use crate::finish::{self, Options, special};
use crate::local::{LocalError, LocalNode, Observer};
use crate::manifest::Manifest;
use crate::op::{Monoid, Op, Spec};
use crate::partial::Partial;
use crate::rounds::Method;

/// Reduces, and prints the answer.
pub fn run(op: Op, args: &ReduceArgs, ddof: i64) -> Result<(), Failure> {
    let options = Options { skip_nan: args.nan.skip_nan, ddof };
    if let Some(axis) = args.axis.axis {
        let ReduceArgs { source, axis: along, run, output, .. } = args;
        let quantiles = (op == Op::Median).then_some((&[0.5][..], Method::Linear));
        return Along { op, source, axis: along, run, output, options, quantiles }.answer(axis);
    }
    match op {
        Op::Median => return quantile::median(args),
        Op::Stats => return stats::run(args),
        _ => {}
    }
    let start = Instant::now();
    let mut talk = Talk::new(&args.output);
    let (dtype, total, work) = if input::is_standard_input(&args.source) {
        stream(op, &args.source, &args.run, &args.output, start, &mut talk)?
    } else {
        let manifest = input::open(op, &args.source.files, &args.source, &args.run, &mut talk)?;
        data_set(op, manifest, &args.run, &args.output, start, &mut talk)?
    };
    tell(op, dtype, &total, options, work, &args.output, talk)
}

/// The exact dot product of two data sets.
pub fn dot(args: &DotArgs) -> Result<(), Failure> {
    let start = Instant::now();
    let mut talk = Talk::new(&args.output);
    let [first, second] = &args.source.files[..] else {
        return Err(Failure::new(
            Blame::Usage,
            format!(
                "dot takes two data sets, each a file or a quoted glob; {} were given",
                args.source.files.len()
            ),
        ));
    };
    input::refuse_standard_input(&args.source, "dot reads two data sets side by side")?;
    let open = |pattern: &std::ffi::OsString, talk: &mut Talk| {
        input::open(Op::Dot, std::slice::from_ref(pattern), &args.source, &args.run, talk)
    };
    let (first, second) = (open(first, &mut talk)?, open(second, &mut talk)?);
    let manifest = Manifest::pairs(&first, &second)?;
    let (dtype, total, work) =
        data_set(Op::Dot, manifest, &args.run, &args.output, start, &mut talk)?;
    let options = Options { skip_nan: args.nan.skip_nan, ddof: 0 };
    tell(Op::Dot, dtype, &total, options, work, &args.output, talk)
}

/// Reduces files.
fn data_set(
    op: Op,
    manifest: Manifest,
    run: &RunArgs,
    output: &OutputArgs,
    start: Instant,
    talk: &mut Talk,
) -> Result<(DType, Partial, Work), Failure> {
    let dtype = manifest.dtype();
    output_dtype(op, dtype, output)?;
    let manifest = Arc::new(manifest);
    let spec = spec(op, dtype, output);
    let settings = input::settings(run, Some(manifest.bytes()))?;
    talk.start(Some(manifest.bytes()));
    let mut asker = Asker::start(run, &settings, output.is_quiet(), start, talk)?;
    let total = asker.reduce(&manifest, &spec, talk)?;
    Ok((dtype, total, asker.work(&manifest)))
}

/// Reduces standard input, which can be read once and by one process.
fn stream(
    op: Op,
    source: &SourceArgs,
    run: &RunArgs,
    output: &OutputArgs,
    start: Instant,
    talk: &mut Talk,
) -> Result<(DType, Partial, Work), Failure> {
    let stream = input::open_standard_input(op, source, run, start)?;
    let dtype = stream.layout().dtype;
    output_dtype(op, dtype, output)?;
    let spec = spec(op, dtype, output);
    let size = dtype.size_bytes() as u64;
    let expected = stream.elements_expected().map(|elements| elements * size);
    let settings = input::settings(run, expected)?;
    talk.start(expected);
    let node = LocalNode::start(&settings)?;
    node.warnings().iter().for_each(|warning| talk.warning(warning));
    let devices = node.devices().to_vec();
    let outcome =
        node.reduce_stream(stream, spec, run.time_left(start), talk).map_err(|error| {
            match (error, run.deadline) {
                (LocalError::StreamDeadline { bytes, .. }, Some(limit)) => {
                    Failure::from(LocalError::StreamDeadline { limit, bytes })
                }
                (error, _) => Failure::from(error),
            }
        })?;
    let entries = outcome.coverage.entries() as u64;
    let work = Work {
        files: vec![FileReport { path: "-".to_owned(), bytes: outcome.bytes, digest: None }],
        shards: ShardsReport { total: entries, done: entries, ..ShardsReport::default() },
        devices: report::device_reports(&devices, &outcome.usage, None, settings.threads),
        nodes: Vec::new(),
        bytes: outcome.bytes,
        elapsed: start.elapsed(),
    };
    Ok((dtype, outcome.total, work))
}

/// Rounds once and prints.
fn tell(
    op: Op,
    dtype: DType,
    total: &Partial,
    options: Options,
    work: Work,
    output: &OutputArgs,
    mut talk: Talk,
) -> Result<(), Failure> {
    let out = output_dtype(op, dtype, output)?;
    let finish = |op| finish::finish(op, total.states(0), options, out);
    let finished = match op {
        Op::MinMax => vec![finish(Op::Min)?, finish(Op::Max)?],
        op => vec![finish(op)?],
    };
    let mut remarks = Remarks::default();
    remarks.add(&finished);
    remarks.tell(op, output, options, &mut talk)?;
    let shown = match &finished[..] {
        [one] => Shown::one(op, one.value),
        several => Shown::list(out, &several.iter().map(|one| one.value).collect::<Vec<_>>()),
    };
    let special = special(total.states(0));
    Report { op, dtype, elements: total.elements(), special, work, shown }.tell(output, talk)
}

/// The states of an operation; with `--strict` those too that tell whether
/// infinities were met.
pub fn spec(op: Op, dtype: DType, output: &OutputArgs) -> Spec {
    strictly(Spec { dtype, monoids: op.monoids(dtype) }, output)
}

/// A spec that with `--strict` tells whether infinities were met.
pub fn strictly(mut spec: Spec, output: &OutputArgs) -> Spec {
    let knows =
        |monoid: &Monoid| matches!(monoid, Monoid::Sum(_) | Monoid::Extremum { .. } | Monoid::Tree);
    if output.strict && spec.dtype.is_float() && !spec.monoids.iter().any(knows) {
        spec.monoids.push(Monoid::Extremum { indexed: false });
    }
    spec
}

/// The type of a result. The command line prints what is rounded of floats in
/// float64, whatever their type: it holds more of the exact result. All else
/// keeps NumPy's rule. One that makes no sense is told before the work starts.
pub fn output_dtype(op: Op, dtype: DType, output: &OutputArgs) -> Result<DType, Failure> {
    let rounded = match op {
        Op::Sum | Op::Mean | Op::Var | Op::Std | Op::Prod | Op::Stats => true,
        Op::L1 | Op::L2 | Op::LInf | Op::SumSq | Op::Dot => true,
        Op::Min | Op::Max | Op::ArgMin | Op::ArgMax | Op::MinMax | Op::Count => false,
        Op::CountNonzero | Op::Any | Op::All | Op::And | Op::Or | Op::Xor => false,
        Op::Histogram | Op::Quantile | Op::Median => false,
    };
    let default = (rounded && op.natural_output(dtype).is_float()).then_some(DType::F64);
    finish::output_dtype(op, dtype, output.out_dtype.or(default))
        .map_err(|error| Failure::new(Blame::Usage, format!("--out-dtype: {error}")))
}
