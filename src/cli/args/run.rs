//! With what is reduced, and how long.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use clap::Args;

use super::super::program::Again;
use super::{NODES_MAX, THREADS_MAX, ViaArgs, count, parse_size, parse_tile};
use crate::device::DeviceChoice;

/// With what it is reduced.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    #[command(flatten)]
    pub via: ViaArgs,

    /// Reduce what is there if some of it is missing: the answer is marked, the exit
    /// code is 9
    #[arg(long, requires = "via", help_heading = "Cluster")]
    pub allow_partial: bool,

    /// Where nodes have different files of one name, take each of them
    #[arg(long, requires = "via", help_heading = "Cluster")]
    pub each_node: bool,

    /// Hash what is read and compare it with what was hashed before, which finds
    /// bits that flipped on a disk
    #[arg(long, requires = "via", help_heading = "Cluster")]
    pub verify: bool,

    /// Start N nodes on this machine that reduce over QUIC; without it this
    /// process reduces alone
    #[arg(long, value_name = "N", value_parser = count(NODES_MAX), conflicts_with = "via")]
    pub nodes: Option<u64>,

    /// auto, cpu, gpu, gpu:0 or a part of a device's name; repeatable
    #[arg(long, value_name = "DEVICE", env = "ADSUM_DEVICE", value_delimiter = ',')]
    pub device: Vec<DeviceChoice>,

    /// CPU threads of this machine, divided among its nodes, at least one each
    /// [default: all cores]
    #[arg(long, value_name = "N", env = "ADSUM_THREADS", value_parser = count(THREADS_MAX))]
    pub threads: Option<u64>,

    /// The most memory one node takes [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "ADSUM_MEMORY", value_parser = parse_size)]
    pub memory: Option<u64>,

    /// Bytes a processor takes from the queue at a time [default: 1MiB per CPU
    /// thread, a staging buffer per GPU]
    #[arg(long, value_name = "SIZE", value_parser = parse_tile, conflicts_with = "via")]
    pub tile: Option<u64>,

    /// Read files in blocks instead of mapping them
    #[arg(long, conflicts_with = "via")]
    pub no_mmap: bool,

    /// Give up with exit code 6 after this time, as 500ms, 30s, 2m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub deadline: Option<Duration>,

    /// What nodes of this machine are started with.
    #[arg(skip)]
    pub again: Again,

    /// When the run began, of which there is one even if it is repeated.
    #[arg(skip)]
    begun: OnceCell<Instant>,
}

impl RunArgs {
    /// What is left of the deadline of a run that began at `start`, or at an earlier time
    /// that this was told before; if it has one.
    pub fn time_left(&self, start: Instant) -> Option<Duration> {
        let start = self.begun.get_or_init(|| start);
        self.deadline.map(|deadline| deadline.saturating_sub(start.elapsed()))
    }
}
