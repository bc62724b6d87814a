//! The log of a node, on stderr.

use super::args::LogFormat;
use tracing::level_filters::LevelFilter;

/// Starts the log: warnings and errors, with one `-v` what the node does, with two
/// every detail.
pub fn start(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
