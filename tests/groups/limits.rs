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

/// The same for arrays of any type.
pub fn small() -> Config {
    Config {
        segment_bytes: 1 << 10,
        window_bytes: 4 << 10,
        ahead_bytes_max: 16 << 10,
        eager_bytes: 2 << 10,
        ..Config::default()
    }
}

/// Nothing, one element, a few, more than a segment, more than a window of [`small`].
pub const LENGTHS_BYTES: [usize; 5] = [0, 1, 40, 1500, 5000];
