//! What the command line names as data, and with what it is to be reduced.

use std::ffi::OsString;
use std::io::Stdin;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::args::{MEMORY_BYTES, RunArgs, SourceArgs};
use super::exit::{Blame, Failure};
use super::talk::Talk;
use crate::dtype::{ByteOrder, DType};
use crate::executor::Settings;
use crate::local::{LocalError, Observer};
use crate::manifest::{ENTRY_BYTES, Manifest};
use crate::op::Op;
use crate::source::{self, RawFormat, Stream};

/// Whether standard input is among the files.
pub fn is_standard_input(source: &SourceArgs) -> bool {
    source.files.iter().any(|file| file == "-")
}

/// The files that the patterns name, as a data set that `op` takes.
pub fn open(
    op: Op,
    patterns: &[OsString],
    source: &SourceArgs,
    run: &RunArgs,
    talk: &mut Talk,
) -> Result<Manifest, Failure> {
    if run.via.is_given() {
        let manifest = named(patterns, source, run, talk)?;
        check_type(op, manifest.dtype())?;
        return Ok(manifest);
    }
    let options = source::Options { raw: raw_format(source), entry_bytes: None };
    let data = source::open(patterns, &options)?;
    data.warnings.iter().for_each(|warning| talk.warning(warning));
    check_type(op, data.manifest.dtype())?;
    Ok(data.manifest)
}

/// The files that the patterns name in the catalogue of a cluster.
#[cfg(feature = "net")]
fn named(
    patterns: &[OsString],
    source: &SourceArgs,
    run: &RunArgs,
    talk: &mut Talk,
) -> Result<Manifest, Failure> {
    if source.dtype.is_some() {
        let message = "'--dtype' is for local files: a cluster knows what its .npy files hold";
        return Err(Failure::new(Blame::Usage, message));
    }
    let names = patterns.iter().map(|pattern| {
        pattern.to_str().map(str::to_owned).ok_or_else(|| {
            let name = pattern.to_string_lossy();
            Failure::new(Blame::Usage, format!("'{name}' is not UTF-8, as all names are"))
        })
    });
    let names = names.collect::<Result<Vec<_>, Failure>>()?;
    let files = super::via::files(run, names, talk)?;
    Ok(Manifest::with_entry_bytes(files, ENTRY_BYTES)?)
}

#[cfg(not(feature = "net"))]
fn named(_: &[OsString], _: &SourceArgs, _: &RunArgs, _: &mut Talk) -> Result<Manifest, Failure> {
    Err(Failure::new(
        Blame::Usage,
        "this adsum was built without the 'net' feature, leave '--via' out",
    ))
}

/// Standard input, where it can be reduced.
pub fn open_standard_input(
    op: Op,
    source: &SourceArgs,
    run: &RunArgs,
    start: Instant,
) -> Result<Stream<Stdin>, Failure> {
    let usage = |message: &str| Err(Failure::new(Blame::Usage, message));
    if source.files.len() > 1 {
        return usage(
            "'-' is standard input and must be the only input; name files alone, or pipe all of them in",
        );
    }
    if run.via.is_given() {
        return usage("a cluster cannot read this process's standard input; leave '--via' out");
    }
    if run.nodes.is_some() {
        return usage("standard input is read by one process; leave '--nodes' out, or name a file");
    }
    let options = source::Options { raw: raw_format(source), entry_bytes: None };
    let stream = await_standard_input(options, run, start)?;
    check_type(op, stream.layout().dtype)?;
    Ok(stream)
}

/// Refuses standard input for what needs files.
pub fn refuse_standard_input(source: &SourceArgs, what: &str) -> Result<(), Failure> {
    match is_standard_input(source) {
        true => Err(Failure::new(
            Blame::Usage,
            format!("{what}, and standard input can be read once; save it to a file and name that"),
        )),
        false => Ok(()),
    }
}

fn check_type(op: Op, dtype: DType) -> Result<(), Failure> {
    match op.takes(dtype) {
        true => Ok(()),
        false => Err(Failure::new(
            Blame::Usage,
            format!("{op} does not take {dtype}; it takes {}", op.types_name()),
        )),
    }
}

/// The start of standard input, which may be long in coming: it is not waited
/// for past the deadline.
fn await_standard_input(
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

fn raw_format(source: &SourceArgs) -> Option<RawFormat> {
    source.dtype.map(|dtype| RawFormat {
        offset_bytes: source.offset.unwrap_or(0),
        shape: source.shape.clone(),
        byte_order: source.endian.map_or(ByteOrder::NATIVE, ByteOrder::from),
        ..RawFormat::new(dtype)
    })
}

/// What a node is to work with.
pub fn settings(run: &RunArgs, input_bytes: Option<u64>) -> Result<Settings, Failure> {
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
        memory_bytes: run.memory.unwrap_or(MEMORY_BYTES),
        tile_bytes: run.tile,
        map_files: !run.no_mmap,
        input_bytes,
        remember_bytes: 0,
    })
}
