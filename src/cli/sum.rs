//! `adsum sum`.

use std::io::Stdin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::args::{OutputArgs, RunArgs, SourceArgs, SumArgs};
use super::blame::job_failure;
use super::exit::{self, Blame, Failure};
use super::report::{self, Answer, FileReport, Report, ShardsReport};
use super::talk::Talk;
use crate::dtype::{ByteOrder, DType};
use crate::executor::Settings;
use crate::local::{LocalError, LocalNode, Observer};
use crate::manifest::Manifest;
use crate::op::Spec;
use crate::partial::Partial;
use crate::source::{self, RawFormat, Stream};
use crate::wire::Usage;

/// Reduces, and prints the answer.
pub fn run(args: &SumArgs) -> Result<(), Failure> {
    let mut talk = Talk::new(args.output.quiet, args.output.json);
    let standard_input = args.source.files.iter().any(|file| file == "-");
    let answer = if standard_input { stream(args, &mut talk)? } else { data_set(args, &mut talk)? };
    tell(args, answer, talk)
}

/// Reduces files.
fn data_set(args: &SumArgs, talk: &mut Talk) -> Result<Answer, Failure> {
    let start = Instant::now();
    let options = source::Options { raw: raw_format(&args.source), entry_bytes: None };
    let data = source::open(&args.source.files, &options)?;
    data.warnings.iter().for_each(|warning| talk.warning(warning));
    let manifest = Arc::new(data.manifest);
    let spec = Spec::sum(manifest.dtype());
    check_output(spec, &args.output)?;
    let settings = settings(&args.run, Some(manifest.bytes()))?;
    talk.start(Some(manifest.bytes()));
    match args.run.nodes {
        None => alone(args, &manifest, spec, &settings, talk, start),
        #[cfg(feature = "net")]
        Some(nodes) => {
            super::cluster::reduce(nodes as usize, args, &manifest, spec, &settings, talk, start)
        }
        #[cfg(not(feature = "net"))]
        Some(_) => Err(Failure::new(
            Blame::Usage,
            "this adsum was built without the 'net' feature, leave '--nodes' out",
        )),
    }
}

/// Reduces files in this process.
fn alone(
    args: &SumArgs,
    manifest: &Arc<Manifest>,
    spec: Spec,
    settings: &Settings,
    talk: &mut Talk,
    start: Instant,
) -> Result<Answer, Failure> {
    let node = LocalNode::start(settings)?;
    node.warnings().iter().for_each(|warning| talk.warning(warning));
    let devices = node.devices().to_vec();
    let outcome = node
        .reduce(Arc::clone(manifest), spec, args.run.time_left(start), talk)
        .map_err(|error| match error {
            LocalError::Job(error) => job_failure(error, args.run.deadline),
            error => Failure::from(error),
        })?;
    outcome.warnings.iter().for_each(|warning| talk.warning(&warning.to_string()));
    let usage: Vec<Usage> = outcome.usage.into_values().collect();
    Ok(Answer {
        spec,
        total: outcome.total,
        files: report::file_reports(manifest),
        shards: report::shards_report(manifest, outcome.coverage.entries(), outcome.recomputed),
        devices: report::device_reports(&devices, &usage, None, settings.threads),
        nodes: Vec::new(),
        bytes: manifest.bytes(),
        elapsed: start.elapsed(),
    })
}

/// Reduces standard input, which can be read once and by one process.
fn stream(args: &SumArgs, talk: &mut Talk) -> Result<Answer, Failure> {
    let usage = |message: &str| Err(Failure::new(Blame::Usage, message));
    if args.source.files.len() > 1 {
        return usage(
            "'-' is standard input and must be the only input; name files alone, or pipe all of them in",
        );
    }
    if args.run.nodes.is_some() {
        return usage("standard input is read by one process; leave '--nodes' out, or name a file");
    }
    let start = Instant::now();
    let options = source::Options { raw: raw_format(&args.source), entry_bytes: None };
    let stream = open_standard_input(options, &args.run, start)?;
    let spec = Spec::sum(stream.layout().dtype);
    check_output(spec, &args.output)?;
    let size = spec.dtype.size_bytes() as u64;
    let expected = stream.elements_expected().map(|elements| elements * size);
    let settings = settings(&args.run, expected)?;
    talk.start(expected);
    let node = LocalNode::start(&settings)?;
    node.warnings().iter().for_each(|warning| talk.warning(warning));
    let devices = node.devices().to_vec();
    let outcome = node.reduce_stream(stream, spec, args.run.time_left(start), talk).map_err(
        |error| match (error, args.run.deadline) {
            (LocalError::StreamDeadline { bytes, .. }, Some(limit)) => {
                Failure::from(LocalError::StreamDeadline { limit, bytes })
            }
            (error, _) => Failure::from(error),
        },
    )?;
    let entries = outcome.coverage.entries() as u64;
    Ok(Answer {
        spec,
        total: outcome.total,
        files: vec![FileReport { path: "-".to_owned(), bytes: outcome.bytes }],
        shards: ShardsReport { total: entries, done: entries, recomputed: 0 },
        devices: report::device_reports(&devices, &outcome.usage, None, settings.threads),
        nodes: Vec::new(),
        bytes: outcome.bytes,
        elapsed: start.elapsed(),
    })
}

/// Reads up to the first element. That may take for ever, so a thread does it
/// and is not waited for past the deadline.
fn open_standard_input(
    options: source::Options,
    run: &RunArgs,
    start: Instant,
) -> Result<Stream<Stdin>, Failure> {
    let (sender, opened) = channel();
    std::thread::spawn(move || {
        // Past the deadline nobody listens any more.
        let _ = sender.send(Stream::open(std::io::stdin(), &options, "standard input"));
    });
    let patience = run.time_left(start).unwrap_or(Duration::MAX);
    match opened.recv_timeout(patience) {
        Ok(stream) => Ok(stream?),
        Err(_) => {
            let limit = run.deadline.unwrap_or(patience);
            Err(Failure::from(LocalError::StreamDeadline { limit, bytes: 0 }))
        }
    }
}

/// Rounds once and prints.
fn tell(args: &SumArgs, answer: Answer, mut talk: Talk) -> Result<(), Failure> {
    let output = output_dtype(answer.spec, &args.output);
    let value =
        answer.total.finish(Some(output)).map_err(|error| Failure::new(Blame::Usage, error))?;
    let counts = answer.total.counts();
    if args.output.strict {
        let infinities = counts.positive_infinity + counts.negative_infinity;
        if counts.nan + infinities > 0 {
            return Err(Failure::new(
                Blame::Numeric,
                format!(
                    "of {} elements {} are NaN and {infinities} infinite; leave '--strict' out to sum them as IEEE 754 does",
                    counts.elements, counts.nan
                ),
            ));
        }
        if value.exceeds_64_bits() {
            return Err(Failure::new(
                Blame::Numeric,
                format!(
                    "the sum {value} does not fit into 64 bits; leave '--strict' out to print it, or use '--out-dtype float64'"
                ),
            ));
        }
    }
    if value.exceeds_64_bits() {
        talk.note("the sum does not fit into 64 bits; it is printed in full");
    }
    let report = Report { answer, value, warnings: talk.take_warnings() };
    talk.end();
    exit::answer(&if args.output.json { report.to_json().to_string() } else { value.to_string() })?;
    if !args.output.quiet {
        exit::say(&report.summary());
    }
    Ok(())
}

/// The command line prints sums of floats in float64, whatever their type: it
/// holds more of the exact sum. Integers keep NumPy's rule.
fn output_dtype(spec: Spec, output: &OutputArgs) -> DType {
    let natural = spec.natural_output();
    output.out_dtype.unwrap_or(if natural.is_float() { DType::F64 } else { natural })
}

/// An output type that makes no sense is told before the work starts.
fn check_output(spec: Spec, output: &OutputArgs) -> Result<(), Failure> {
    Partial::identity(spec)
        .finish(Some(output_dtype(spec, output)))
        .map(|_| ())
        .map_err(|error| Failure::new(Blame::Usage, format!("--out-dtype: {error}")))
}

fn raw_format(source: &SourceArgs) -> Option<RawFormat> {
    source.dtype.map(|dtype| RawFormat {
        offset_bytes: source.offset.unwrap_or(0),
        shape: source.shape.clone(),
        byte_order: source.endian.map_or(ByteOrder::NATIVE, ByteOrder::from),
        ..RawFormat::new(dtype)
    })
}

fn settings(run: &RunArgs, input_bytes: Option<u64>) -> Result<Settings, Failure> {
    let cores = || std::thread::available_parallelism().map(usize::from);
    let threads = match run.threads {
        Some(threads) => threads as usize,
        None => cores().map_err(|error| {
            Failure::new(
                Blame::Internal,
                format!("the number of cores is unknown ({error}); say '--threads'"),
            )
        })?,
    };
    Ok(Settings {
        devices: run.device.clone(),
        threads,
        memory_bytes: run.memory,
        tile_bytes: run.tile,
        map_files: !run.no_mmap,
        input_bytes,
    })
}
