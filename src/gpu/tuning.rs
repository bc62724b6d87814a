//! How large blocks and grids are to be on an adapter: measured once, and
//! remembered.
//!
//! What keeps a GPU's memory busy depends on its cores, registers and drivers, and
//! no table knows those of next year. So sums of resident data are timed over
//! some grids and blocks, and the fastest pair is used from then on. It changes
//! how fast a result comes, never the result.

use std::fmt;

use super::backend::Options;
use super::cache::{self, Cache};
use super::device::Adapter;
use super::kernel::Block;
use super::plan::WORKGROUPS_MAX;
use super::resident::{Resident, ResidentError};
use crate::dtype::{DType, Layout};
use crate::op::Spec;

/// Bytes that are summed: more than the caches of GPUs.
const DATA_BYTES: usize = 256 << 20;
/// Sums of each candidate, of which the fastest counts: others that use the
/// device make some slower, and nothing makes one faster.
const ROUNDS: usize = 5;

const WORKGROUPS: [u32; 5] = [128, 256, 512, 1056, 2112];
const THREADS: [u32; 3] = [64, 128, 256];
const BATCHES: [u32; 2] = [8, 16];

/// A grid and its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The most workgroups of one dispatch.
    pub workgroups: u32,
    /// Threads of each.
    pub threads: u32,
    /// The most batches of a thread in one block.
    pub batches: u32,
}

impl Default for Tuning {
    /// What suits most GPUs, if nothing was measured.
    fn default() -> Tuning {
        Tuning { workgroups: 256, threads: 256, batches: 16 }
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuning { workgroups, threads, batches } = self;
        write!(f, "{workgroups} workgroups of {threads} threads of {batches} batches")
    }
}

impl Tuning {
    /// All that are tried.
    fn candidates() -> impl Iterator<Item = Tuning> {
        WORKGROUPS.into_iter().flat_map(|workgroups| {
            THREADS.into_iter().flat_map(move |threads| {
                BATCHES.map(|batches| Tuning { workgroups, threads, batches })
            })
        })
    }

    /// What was found for an adapter in an earlier run, if it is remembered.
    pub fn remembered(adapter: &Adapter, cache: &Cache) -> Option<Tuning> {
        Tuning::from_text(&cache.recall(&name(adapter))?)
    }

    /// Finds the fastest, and remembers it.
    ///
    /// Takes some seconds. `progress` is told how many candidates are done, and of
    /// how many.
    ///
    /// # Errors
    /// The device failed, or has no memory for the data.
    pub fn find(
        adapter: &Adapter,
        cache: &Cache,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Tuning, ResidentError> {
        Tuning::find_with(adapter, cache, DATA_BYTES, Tuning::candidates().collect(), &mut progress)
    }

    fn find_with(
        adapter: &Adapter,
        cache: &Cache,
        bytes: usize,
        candidates: Vec<Tuning>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tuning, ResidentError> {
        // Numbers near one another, as most data has.
        let pattern = (0..1 << 16).flat_map(|n: u32| (1.0 + n as f32 / 65536.0).to_le_bytes());
        let block: Vec<u8> = pattern.collect();
        let data = block.repeat(bytes.div_ceil(block.len()));
        let spec = Spec::sum(DType::F32);
        let mut best: Option<(f64, Tuning)> = None;
        for (number, &candidate) in candidates.iter().enumerate() {
            progress(number, candidates.len());
            let options = Options::default().tuned(candidate);
            let budget = 2 * data.len() as u64;
            let mut resident = Resident::open(adapter, &options, cache, budget)?;
            let id = resident.insert((Layout::little(DType::F32), &data), None)?;
            for round in 0..=ROUNDS {
                let start = std::time::Instant::now();
                resident.reduce(&spec, id)?;
                // All of it: reading partials back and merging them takes the
                // longer, the more workgroups there are.
                let seconds = start.elapsed().as_secs_f64();
                // The first round compiles and warms up.
                if round > 0 && best.is_none_or(|(least, _)| seconds < least) {
                    best = Some((seconds, candidate));
                }
            }
        }
        progress(candidates.len(), candidates.len());
        let (_, tuning) = best.expect("there are candidates");
        cache.note(&name(adapter), &tuning.to_text());
        Ok(tuning)
    }

    fn to_text(self) -> String {
        format!("{self}\n")
    }

    /// Reads what [`Tuning::to_text`] wrote; anything else is nothing.
    fn from_text(text: &str) -> Option<Tuning> {
        let numbers: Vec<u32> =
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [workgroups, threads, batches] = numbers[..] else { return None };
        let tuning = Tuning { workgroups, threads, batches };
        let is_possible = (1..=WORKGROUPS_MAX).contains(&workgroups)
            && THREADS.contains(&threads)
            && BATCHES.contains(&batches);
        (is_possible && tuning.to_text() == text).then_some(tuning)
    }
}

impl Options {
    /// The same with another grid and other blocks.
    pub fn tuned(self, tuning: Tuning) -> Options {
        let Tuning { workgroups, threads, batches } = tuning;
        Options { workgroups_max: workgroups, block: Block::new(threads, batches), ..self }
    }

    /// The same with what was found for an adapter in an earlier run, if it is
    /// remembered.
    pub fn tuned_for(self, adapter: &Adapter, cache: &Cache) -> Options {
        match Tuning::remembered(adapter, cache) {
            Some(tuning) => self.tuned(tuning),
            None => self,
        }
    }
}

/// The name of the cache's entry. Another driver may want other blocks.
fn name(adapter: &Adapter) -> String {
    cache::name(["tuning", env!("CARGO_PKG_VERSION"), &adapter.identity()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::adapters;

    #[test]
    fn text_that_is_no_tuning_is_nothing() {
        for tuning in Tuning::candidates() {
            assert_eq!(Tuning::from_text(&tuning.to_text()), Some(tuning));
        }
        for text in [
            "",
            "256",
            "256 workgroups of 64 threads of 8 batches",
            "0 workgroups of 64 threads of 8 batches\n",
            "9999999 workgroups of 64 threads of 8 batches\n",
            "256 workgroups of 63 threads of 8 batches\n",
            "256 workgroups of 64 threads of 8 batches 1\n",
        ] {
            assert_eq!(Tuning::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_found_is_remembered_for_the_adapter() {
        let adapter = &adapters()[0];
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(directory.path());
        assert_eq!(Tuning::remembered(adapter, &cache), None);
        let candidates = vec![
            Tuning { workgroups: 3, threads: 64, batches: 8 },
            Tuning { workgroups: 2, threads: 128, batches: 16 },
        ];
        let mut done = Vec::new();
        let mut progress = |number, _| done.push(number);
        let found = Tuning::find_with(adapter, &cache, 1 << 18, candidates.clone(), &mut progress);
        let found = found.expect("the device works");
        assert!(candidates.contains(&found));
        assert_eq!(done, [0, 1, 2]);
        assert_eq!(Tuning::remembered(adapter, &cache), Some(found));
        let options = Options::default().tuned_for(adapter, &cache);
        assert_eq!(options.workgroups_max, found.workgroups);
        assert_eq!(options.block, Block::new(found.threads, found.batches));
    }
}
