//! The command line as it is typed. Strings become types here and nowhere else.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device::DeviceChoice;
use crate::dtype::{ByteOrder, DType};

/// The most nodes that one machine is asked to start.
pub const NODES_MAX: u64 = 256;
/// The most threads of one machine.
pub const THREADS_MAX: u64 = 4096;

/// One exact total over arrays on many machines: the same bits from any set of
/// CPUs and GPUs.
#[derive(Debug, Parser)]
#[command(name = "adsum", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What `--help` and the manual page say about the exit code.
pub const EXIT_CODES: &str = "\
Exit codes: 0 answered, 1 internal error or output failed, 2 usage, 3 input, \
4 numeric (--strict), 5 incomplete, 6 deadline, 7 identity, 8 no such device, \
10 cluster unreachable, 130 Ctrl-C.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The exact sum of all elements, rounded once
    Sum(Box<SumArgs>),
    /// The processors that can reduce, with the self-test of each adapter
    Devices(DevicesArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// A node of a cluster that another adsum started
    #[command(hide = true)]
    Node {
        /// Take the configuration from standard input and end with it
        #[arg(long, required = true)]
        supervised: bool,
    },
}

#[derive(Debug, Args)]
pub struct SumArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is reduced.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Files or quoted globs, one data set in this order; `-` is standard input
    ///
    /// `.npy` files say what they hold; raw binary files need --dtype.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<OsString>,

    /// Element type of raw binary data: bool, int8 .. uint64, float32, float64
    #[arg(long, value_name = "TYPE", help_heading = "Raw binary")]
    pub dtype: Option<DType>,

    /// Bytes before the first element
    #[arg(
        long, value_name = "BYTES", value_parser = parse_size, requires = "dtype",
        help_heading = "Raw binary"
    )]
    pub offset: Option<u64>,

    /// Lengths of the axes, as 3,4,5; without it all that follows the offset
    #[arg(
        long,
        value_name = "N,..",
        value_delimiter = ',',
        requires = "dtype",
        help_heading = "Raw binary"
    )]
    pub shape: Option<Vec<u64>>,

    /// Byte order of the elements
    #[arg(long, value_name = "ORDER", value_enum, requires = "dtype", help_heading = "Raw binary")]
    pub endian: Option<Endian>,
}

/// A byte order by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Endian {
    /// Least significant byte first
    Little,
    /// Most significant byte first
    Big,
    /// As this machine
    Native,
}

impl From<Endian> for ByteOrder {
    fn from(endian: Endian) -> ByteOrder {
        match endian {
            Endian::Little => ByteOrder::Little,
            Endian::Big => ByteOrder::Big,
            Endian::Native => ByteOrder::NATIVE,
        }
    }
}

/// With what it is reduced.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// Start N nodes on this machine that reduce over QUIC; without it this
    /// process reduces alone
    #[arg(long, value_name = "N", value_parser = count(NODES_MAX))]
    pub nodes: Option<u64>,

    /// auto, cpu, gpu, gpu:0 or a part of a device's name; repeatable
    #[arg(long, value_name = "DEVICE", env = "ADSUM_DEVICE", value_delimiter = ',')]
    pub device: Vec<DeviceChoice>,

    /// CPU threads of this machine, divided among its nodes, at least one each
    /// [default: all cores]
    #[arg(long, value_name = "N", env = "ADSUM_THREADS", value_parser = count(THREADS_MAX))]
    pub threads: Option<u64>,

    /// The most memory one node takes
    #[arg(
        long, value_name = "SIZE", env = "ADSUM_MEMORY", default_value = "512MiB",
        value_parser = parse_size
    )]
    pub memory: u64,

    /// Bytes a processor takes from the queue at a time [default: 1MiB per CPU
    /// thread, a staging buffer per GPU]
    #[arg(long, value_name = "SIZE", value_parser = parse_tile)]
    pub tile: Option<u64>,

    /// Read files in blocks instead of mapping them
    #[arg(long)]
    pub no_mmap: bool,

    /// Give up with exit code 6 after this time, as 500ms, 30s, 2m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub deadline: Option<Duration>,
}

impl RunArgs {
    /// What is left of the deadline of a run that began at `start`, if it has
    /// one.
    pub fn time_left(&self, start: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(start.elapsed()))
    }
}

/// How the answer is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Type of the result [default: float64 of floats, int64 or uint64 of integers]
    #[arg(long, value_name = "TYPE")]
    pub out_dtype: Option<DType>,

    /// Fail with exit code 4 on NaN, infinity, or an integer past 64 bits
    #[arg(long)]
    pub strict: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Print nothing but the answer and errors
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A size in bytes: a number with an optional unit, as 4096, 64KiB or 1GB.
fn parse_size(text: &str) -> Result<u64, String> {
    let advice = "use a number of bytes with an optional unit, as 4096, 64KiB or 1GB";
    // Fractions of a byte would be cut off in silence.
    if text.contains('.') {
        return Err(format!("'{text}' is not a whole size; {advice}"));
    }
    ByteSize::from_str(text).map(|size| size.as_u64()).map_err(|_| advice.to_owned())
}

/// A tile holds at least one element of every type, and is read in one go.
fn parse_tile(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        bytes @ 8..=0x4000_0000 => Ok(bytes),
        bytes => Err(format!("a tile of {bytes} bytes; use 8 bytes to 1GiB")),
    }
}

fn count(max: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("0"), Ok(0));
        for bad in ["", "MiB", "-1", "1.5MiB", "12 parsecs"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(parse_tile("7").is_err());
        assert_eq!(parse_tile("8"), Ok(8));
    }
}
