//! The command line as it is typed. Strings become types here and nowhere else.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::program::Again;
use crate::dtype::{ByteOrder, DType};
use crate::op::{BINS_MAX, Op};
use crate::rounds::Method;

mod bench;
mod cluster;
mod ranks;
mod run;

#[cfg(feature = "gpu")]
pub use bench::BenchGpuArgs;
pub use bench::{BenchCommand, BenchCpuArgs, BenchFilesArgs, BenchOutputArgs};
pub use cluster::{
    CancelArgs, DaemonArgs, DoctorArgs, Endpoint, LogFormat, LsArgs, PutArgs, RmArgs, StatusArgs,
    TokenCommand, ViaArgs, parse_advertise, parse_bind, parse_name,
};
pub use ranks::{Placement, RanksArgs};
pub use run::RunArgs;

/// The most nodes that one machine is asked to start.
pub const NODES_MAX: u64 = 256;
/// The most threads of one machine.
pub const THREADS_MAX: u64 = 4096;
/// The most memory of a node, where nothing else is said.
pub const MEMORY_BYTES: u64 = 512 << 20;

/// Exact reductions over arrays on many machines: the same bits from any set of
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
9 partial (--allow-partial), 10 cluster unreachable, 130 Ctrl-C. 'adsum run' ends \
with the code of the first rank that failed, 128 and the signal if one ended it, \
126 if PROGRAM cannot be run and 127 if there is none.";

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Reduce(Reduction),
    /// The exact sum of the products of two data sets, rounded once
    Dot(Box<DotArgs>),
    /// Numbers of elements between edges, drawn as bars
    Histogram(Box<HistogramArgs>),
    /// Exact quantiles, several at once
    Quantile(Box<QuantileArgs>),
    /// Measure this machine: rates, and how they compare with the naive way
    Bench {
        #[command(subcommand)]
        what: BenchCommand,
    },
    /// The processors that can reduce, with the self-test of each adapter
    Devices(DevicesArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Make the secret that the nodes of a cluster share
    Token {
        #[command(subcommand)]
        what: TokenCommand,
    },
    /// Run a program as the ranks of a group, here or on several hosts
    Run(Box<RanksArgs>),
    /// Be a node of a cluster, until Ctrl-C or SIGTERM
    Node(Box<DaemonArgs>),
    /// Copy .npy files onto nodes of a cluster, checked and whole
    Put(Box<PutArgs>),
    /// The names that a cluster knows, and who holds them
    Ls(Box<LsArgs>),
    /// The nodes of a cluster, what they have and what they do
    Status(Box<StatusArgs>),
    /// End a job of a cluster
    Cancel(Box<CancelArgs>),
    /// Check this machine, and a cluster from here, and say what to do
    Doctor(Box<DoctorArgs>),
    /// The settings that hold, and where they come from
    Config(ConfigArgs),
    /// Forget names whose files are gone from a cluster
    Rm(Box<RmArgs>),
}

impl Command {
    /// Whether the answer is to be a JSON object.
    pub fn wants_json(&self) -> bool {
        match self {
            Command::Reduce(reduction) => reduction.parts().1.output.json,
            Command::Dot(args) => args.output.json,
            Command::Histogram(args) => args.output.json,
            Command::Quantile(args) => args.reduce.output.json,
            Command::Bench { what } => what.output().json,
            Command::Devices(args) => args.json,
            Command::Put(args) => args.json,
            Command::Ls(args) => args.json,
            Command::Status(args) => args.json,
            Command::Cancel(args) => args.json,
            Command::Rm(args) => args.json,
            Command::Node(args) => args.json || args.log_format == LogFormat::Json,
            Command::Doctor(args) => args.json,
            Command::Config(args) => args.json,
            Command::Completions { .. }
            | Command::Man
            | Command::Run(_)
            | Command::Token { .. } => false,
        }
    }

    /// With what it reduces, where it does.
    pub fn run_mut(&mut self) -> Option<&mut RunArgs> {
        match self {
            Command::Reduce(reduction) => Some(&mut reduction.args_mut().run),
            Command::Dot(args) => Some(&mut args.run),
            Command::Histogram(args) => Some(&mut args.run),
            Command::Quantile(args) => Some(&mut args.reduce.run),
            _ => None,
        }
    }

    /// What it starts itself again with, where it does.
    pub fn again_mut(&mut self) -> Option<&mut Again> {
        match self {
            Command::Run(args) => Some(&mut args.again),
            other => other.run_mut().map(|run| &mut run.again),
        }
    }

    /// Which cluster it asks, where it can.
    pub fn via_mut(&mut self) -> Option<&mut ViaArgs> {
        match self {
            Command::Ls(args) => Some(&mut args.via),
            Command::Status(args) => Some(&mut args.via),
            Command::Cancel(args) => Some(&mut args.via),
            Command::Rm(args) => Some(&mut args.via),
            Command::Doctor(args) => Some(&mut args.via),
            Command::Put(args) => Some(&mut args.via),
            other => other.run_mut().map(|run| &mut run.via),
        }
    }
}

/// The operations that share their arguments.
#[derive(Debug, Subcommand)]
pub enum Reduction {
    /// The exact sum of all elements, rounded once
    Sum(Box<ReduceArgs>),
    /// The exact mean, rounded once
    Mean(Box<ReduceArgs>),
    /// The exact variance, rounded once
    Var(Box<SpreadArgs>),
    /// The exact standard deviation, rounded once
    Std(Box<SpreadArgs>),
    /// The smallest element
    Min(Box<ReduceArgs>),
    /// The largest element
    Max(Box<ReduceArgs>),
    /// The index of the first smallest element, in C order
    Argmin(Box<ReduceArgs>),
    /// The index of the first largest element, in C order
    Argmax(Box<ReduceArgs>),
    /// The smallest and the largest element
    Minmax(Box<ReduceArgs>),
    /// The product: of integers modulo 2^64, of floats by a fixed tree
    Prod(Box<ReduceArgs>),
    /// The number of elements
    Count(Box<ReduceArgs>),
    /// The number of elements that are not zero
    #[command(name = "count_nonzero", alias = "count-nonzero")]
    CountNonzero(Box<ReduceArgs>),
    /// Whether any element is not zero
    Any(Box<ReduceArgs>),
    /// Whether no element is zero
    All(Box<ReduceArgs>),
    /// The exact sum of magnitudes, rounded once
    L1(Box<ReduceArgs>),
    /// The square root of the exact sum of squares, rounded once
    L2(Box<ReduceArgs>),
    /// The largest magnitude
    Linf(Box<ReduceArgs>),
    /// The exact sum of squares, rounded once
    Sumsq(Box<ReduceArgs>),
    /// Bitwise and of integers
    And(Box<ReduceArgs>),
    /// Bitwise or of integers
    Or(Box<ReduceArgs>),
    /// Bitwise exclusive or of integers
    Xor(Box<ReduceArgs>),
    /// The exact median
    Median(Box<ReduceArgs>),
    /// Count, NaN, extremes, mean, deviation, sum, norm, and quartiles
    Stats(Box<ReduceArgs>),
}

impl Reduction {
    /// The operation, its arguments, and what is taken from the number of
    /// elements.
    pub fn parts(&self) -> (Op, &ReduceArgs, i64) {
        let (op, args) = match self {
            Reduction::Var(args) => return (Op::Var, &args.reduce, args.ddof),
            Reduction::Std(args) => return (Op::Std, &args.reduce, args.ddof),
            Reduction::Sum(args) => (Op::Sum, args),
            Reduction::Mean(args) => (Op::Mean, args),
            Reduction::Min(args) => (Op::Min, args),
            Reduction::Max(args) => (Op::Max, args),
            Reduction::Argmin(args) => (Op::ArgMin, args),
            Reduction::Argmax(args) => (Op::ArgMax, args),
            Reduction::Minmax(args) => (Op::MinMax, args),
            Reduction::Prod(args) => (Op::Prod, args),
            Reduction::Count(args) => (Op::Count, args),
            Reduction::CountNonzero(args) => (Op::CountNonzero, args),
            Reduction::Any(args) => (Op::Any, args),
            Reduction::All(args) => (Op::All, args),
            Reduction::L1(args) => (Op::L1, args),
            Reduction::L2(args) => (Op::L2, args),
            Reduction::Linf(args) => (Op::LInf, args),
            Reduction::Sumsq(args) => (Op::SumSq, args),
            Reduction::And(args) => (Op::And, args),
            Reduction::Or(args) => (Op::Or, args),
            Reduction::Xor(args) => (Op::Xor, args),
            Reduction::Median(args) => (Op::Median, args),
            Reduction::Stats(args) => (Op::Stats, args),
        };
        (op, args, 0)
    }

    fn args_mut(&mut self) -> &mut ReduceArgs {
        match self {
            Reduction::Var(args) | Reduction::Std(args) => &mut args.reduce,
            Reduction::Sum(args)
            | Reduction::Mean(args)
            | Reduction::Min(args)
            | Reduction::Max(args)
            | Reduction::Argmin(args)
            | Reduction::Argmax(args)
            | Reduction::Minmax(args)
            | Reduction::Prod(args)
            | Reduction::Count(args)
            | Reduction::CountNonzero(args)
            | Reduction::Any(args)
            | Reduction::All(args)
            | Reduction::L1(args)
            | Reduction::L2(args)
            | Reduction::Linf(args)
            | Reduction::Sumsq(args)
            | Reduction::And(args)
            | Reduction::Or(args)
            | Reduction::Xor(args)
            | Reduction::Median(args)
            | Reduction::Stats(args) => args,
        }
    }
}

#[derive(Debug, Args)]
pub struct ReduceArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub nan: NanArgs,
    #[command(flatten)]
    pub axis: AxisArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct SpreadArgs {
    /// Divide by the number of elements less this
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub ddof: i64,

    #[command(flatten)]
    pub reduce: ReduceArgs,
}

#[derive(Debug, Args)]
pub struct DotArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub nan: NanArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct HistogramArgs {
    /// Number of bins of equal width
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = count(BINS_MAX as u64))]
    pub bins: u64,

    /// Lowest and highest edge, as 0,1 [default: the extremes of the data]
    #[arg(
        long,
        value_name = "LO,HI",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        conflicts_with = "edges"
    )]
    pub range: Option<Vec<f64>>,

    /// The edges themselves, as 0,1,10,100
    #[arg(
        long,
        value_name = "E,..",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true,
        conflicts_with = "bins"
    )]
    pub edges: Option<Vec<f64>>,

    /// Draw the histogram into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long, requires = "plot")]
    pub force: bool,

    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub nan: NanArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

// `-q` is the share here, and `--quiet` has no short form.
#[derive(Debug, Args)]
#[command(mut_arg("quiet", |argument| argument.short(None)))]
pub struct QuantileArgs {
    /// Shares of the elements, each from 0 to 1, as 0.25,0.5
    #[arg(
        long = "q",
        short = 'q',
        value_name = "Q,..",
        value_delimiter = ',',
        num_args = 1,
        required = true,
        allow_negative_numbers = true
    )]
    pub shares: Vec<f64>,

    /// What to give between two elements: linear, lower, higher, midpoint or
    /// nearest
    #[arg(long, value_name = "METHOD", default_value_t = Method::Linear)]
    pub method: Method,

    #[command(flatten)]
    pub reduce: ReduceArgs,
}

/// Which elements count.
#[derive(Debug, Args)]
pub struct NanArgs {
    /// Leave NaN out, as NumPy's nan-functions do
    #[arg(long)]
    pub skip_nan: bool,
}

/// Along what is reduced, and where many results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Along an axis")]
pub struct AxisArgs {
    /// Reduce along this axis, counted from the end if negative; files are
    /// joined along axis 0
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub axis: Option<i64>,

    /// Keep the axis that is reduced, with length 1
    #[arg(long, requires = "axis")]
    pub keepdims: bool,

    /// Write the result into this .npy file
    #[arg(long, value_name = "FILE.npy", requires = "axis")]
    pub out: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// What is reduced.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Files or quoted globs, one data set in this order; `-` is standard input
    ///
    /// `.npy` files say what they hold; raw binary files need --dtype.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<OsString>,

    /// Element type of raw binary data: bool, int8 .. uint64, float16,
    /// bfloat16, float32, float64
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

/// How the answer is told.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Type of the result [default: NumPy's, but float64 for what is rounded of
    /// floats and printed]
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

impl OutputArgs {
    /// Whether nodes are to keep their warnings to themselves.
    pub fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }
}

#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print the path of the file alone
    #[arg(long, conflicts_with = "json")]
    pub path: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A size in bytes: a number with an optional unit, as 4096, 64KiB or 1GB.
pub fn parse_size(text: &str) -> Result<u64, String> {
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
