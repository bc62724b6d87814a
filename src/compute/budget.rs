//! How a node stays within its memory, whatever the size of the data.

use crate::manifest::ENTRY_BYTES;

/// What the program takes before any data: code, tables, the runtime.
const BASE_BYTES: u64 = 24 << 20;
/// A thread's bins and the part of its stack that is touched.
const THREAD_BYTES: u64 = 512 << 10;
/// The most that one adapter takes for staging and device buffers, two of each
/// of 16 MiB, and for partials. On a software adapter all of it is the node's
/// own memory.
const ADAPTER_BYTES_MAX: u64 = 72 << 20;
/// The least that lets an adapter overlap reading and computing.
const ADAPTER_BYTES_MIN: u64 = 2 << 20;
/// The longest run of a stream that becomes one shard.
const STREAM_SHARD_BYTES_MAX: u64 = 8 << 20;

/// What a node is to run with.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The most memory the node may take, in bytes.
    pub memory_bytes: u64,
    /// Number of CPU threads that reduce.
    pub threads: usize,
    /// Number of adapters.
    pub adapters: usize,
    /// Bytes of one tile of a CPU thread.
    pub tile_bytes: usize,
}

/// How the memory is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most tasks in the tile queue.
    pub tasks: usize,
    /// Whether files may be mapped; resident pages of mapped files count.
    pub mapped: bool,
    /// Bytes for the buffers of each adapter.
    pub adapter_bytes: u64,
    /// Bytes of one shard cut from a stream.
    pub stream_shard_bytes: usize,
}

/// The memory does not suffice for the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--memory {memory_bytes} bytes is too little for {threads} threads and {adapters} adapters; \
     use at least {needed_bytes} bytes ({} MiB), or fewer threads or a smaller --tile",
    needed_bytes.div_ceil(1 << 20)
)]
pub struct TooLittleMemory {
    /// The memory that was allowed.
    pub memory_bytes: u64,
    /// The least that would do.
    pub needed_bytes: u64,
    /// Number of CPU threads.
    pub threads: usize,
    /// Number of adapters.
    pub adapters: usize,
}

impl Wish {
    /// Shares out the memory.
    ///
    /// # Errors
    /// [`TooLittleMemory`], with the least that would do.
    pub fn budget(self) -> Result<Budget, TooLittleMemory> {
        let (threads, adapters) = (self.threads as u64, self.adapters as u64);
        let tasks = 2 * (self.threads + self.adapters).max(1);
        let tile_bytes = self.tile_bytes as u64;
        // A block to read into for every worker, and a stream's shortest shards.
        let fixed = BASE_BYTES
            .saturating_add(threads.saturating_mul(THREAD_BYTES.saturating_add(tile_bytes)))
            .saturating_add(tile_bytes.saturating_mul(adapters));
        let stream_min = (tasks as u64 + 1) * (64 << 10);
        let needed_bytes = fixed.saturating_add(ADAPTER_BYTES_MIN * adapters + stream_min);
        if needed_bytes > self.memory_bytes {
            return Err(TooLittleMemory {
                memory_bytes: self.memory_bytes,
                needed_bytes,
                threads: self.threads,
                adapters: self.adapters,
            });
        }
        let free = self.memory_bytes - fixed;
        let adapter_bytes =
            (free / 4 / adapters.max(1)).clamp(ADAPTER_BYTES_MIN, ADAPTER_BYTES_MAX);
        let free = free.saturating_sub(adapter_bytes * adapters);
        // All CPU threads pull from the same task, so pages of it and of the
        // next are resident, and of one more per adapter, which may lag.
        let mapped = free >= (2 + adapters) * ENTRY_BYTES;
        let stream_shard_bytes =
            (free / (tasks as u64 + 1)).clamp(64 << 10, STREAM_SHARD_BYTES_MAX);
        Ok(Budget { tasks, mapped, adapter_bytes, stream_shard_bytes: stream_shard_bytes as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(memory_bytes: u64, threads: usize, adapters: usize) -> Wish {
        Wish { memory_bytes, threads, adapters, tile_bytes: 1 << 20 }
    }

    #[test]
    fn the_default_maps_files_and_fills_an_adapter() {
        let budget = wish(512 << 20, 8, 1).budget().unwrap();
        assert!(budget.mapped);
        assert_eq!(budget.adapter_bytes, 72 << 20);
        assert_eq!(budget.stream_shard_bytes, 8 << 20);
    }

    #[test]
    fn a_small_memory_reads_in_blocks() {
        let budget = wish(64 << 20, 2, 1).budget().unwrap();
        assert!(!budget.mapped);
        assert!(budget.adapter_bytes < 16 << 20);
    }

    #[test]
    fn the_error_names_a_memory_that_does() {
        let error = wish(1 << 10, 16, 2).budget().unwrap_err();
        assert!(wish(error.needed_bytes - 1, 16, 2).budget().is_err());
        assert!(wish(error.needed_bytes, 16, 2).budget().is_ok());
    }

    #[test]
    fn absurd_wishes_are_refused_without_overflow() {
        assert!(
            Wish { tile_bytes: usize::MAX, ..wish(1 << 40, 1 << 20, 1 << 10) }.budget().is_err()
        );
    }
}
