//! The arguments of `adsum bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{THREADS_MAX, count, parse_size};
use crate::device::DeviceChoice;

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// All cores over data in memory
    Cpu(BenchCpuArgs),
    /// Adapters over data that is resident on them
    Gpu(BenchGpuArgs),
    /// Whole reductions of files in the page cache
    Files(BenchFilesArgs),
}

impl BenchCommand {
    /// How its results are told.
    pub fn output(&self) -> &BenchOutputArgs {
        match self {
            BenchCommand::Cpu(args) => &args.output,
            BenchCommand::Gpu(args) => &args.output,
            BenchCommand::Files(args) => &args.output,
        }
    }
}

#[derive(Debug, Args)]
pub struct BenchCpuArgs {
    /// CPU threads [default: all cores]
    #[arg(long, value_name = "N", env = "ADSUM_THREADS", value_parser = count(THREADS_MAX))]
    pub threads: Option<u64>,

    #[command(flatten)]
    pub output: BenchOutputArgs,
}

#[derive(Debug, Args)]
pub struct BenchGpuArgs {
    /// gpu:0 or a part of an adapter's name; repeatable [default: all hardware]
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    pub device: Vec<DeviceChoice>,

    /// Measure again which blocks and grids are fastest on each adapter, which is
    /// otherwise done once for hardware and remembered
    #[arg(long)]
    pub retune: bool,

    /// The card's peak bandwidth, from its data sheet
    #[arg(long, value_name = "GB/S", value_parser = parse_rate)]
    pub peak: Option<f64>,

    #[command(flatten)]
    pub output: BenchOutputArgs,
}

#[derive(Debug, Args)]
pub struct BenchFilesArgs {
    /// Where the files are made, which go away at the end [default: the
    /// directory of temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// CPU threads [default: all cores]
    #[arg(long, value_name = "N", env = "ADSUM_THREADS", value_parser = count(THREADS_MAX))]
    pub threads: Option<u64>,

    #[command(flatten)]
    pub output: BenchOutputArgs,
}

/// How much is measured, and how it is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct BenchOutputArgs {
    /// Bytes of each data set, in memory
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub bytes: u64,

    /// Rounds whose median counts
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = count(1000))]
    pub rounds: u64,

    /// Only rows with this in 'what dtype dist', as "sum float32"; repeatable
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,

    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,

    /// Print a table in Markdown
    #[arg(long)]
    pub markdown: bool,

    /// Draw the rates into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long, requires = "plot")]
    pub force: bool,
}

/// A rate that others are divided by.
fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("use a number above 0, as 3350".to_owned()),
    }
}
