//! Limits so small that little data is much.

use adsum::communicator::Config;

/// A configuration whose segments and windows are so small that little data has many.
pub fn tiny() -> Config {
    Config {
        segment_bytes: 64,
        window_bytes: 256,
        ahead_bytes_max: 1024,
        eager_bytes: 128,
        ..Config::default()
    }
}
