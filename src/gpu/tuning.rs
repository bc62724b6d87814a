//! How large blocks and grids are to be on an adapter: measured once, and
//! remembered.
//!
//! What keeps a GPU's memory busy depends on its cores, registers and drivers, and
//! no table knows those of next year. So sums of resident data are timed over
//! some grids and blocks, and the fastest pair is used from then on. Then sums of
//! numbers of many exponents are timed, to see what a term outside the window of
//! its block costs: which blocks are to have none. All that changes how fast a
//! result comes, never the result.

use std::fmt;

use super::backend::Options;
use super::cache::{self, Cache};
use super::device::Adapter;
use super::kernel::{Block, WINDOW_SHARE};
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
/// Any window; one with half of the sample; one with nearly all of it.
const WINDOW_SHARES: [u32; 3] = [0, WINDOW_SHARE, 15];

/// A grid and its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The most workgroups of one dispatch.
    pub workgroups: u32,
    /// Threads of each.
    pub threads: u32,
    /// The most batches of a thread in one block.
    pub batches: u32,
    /// The least share of a block's sample, in sixteenths, for which it has a
    /// window.
    pub window_share: u32,
}

impl Default for Tuning {
    /// What suits most GPUs, if nothing was measured.
    fn default() -> Tuning {
        Tuning { workgroups: 256, threads: 256, batches: 16, window_share: WINDOW_SHARE }
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuning { workgroups, threads, batches, window_share } = self;
        write!(
            f,
            "{workgroups} workgroups of {threads} threads of {batches} batches, \
             windows from {window_share} sixteenths"
        )
    }
}

impl Tuning {
    /// All grids and blocks that are tried.
    fn candidates() -> impl Iterator<Item = Tuning> {
        WORKGROUPS.into_iter().flat_map(|workgroups| {
            THREADS.into_iter().flat_map(move |threads| {
                BATCHES.map(|batches| Tuning { workgroups, threads, batches, ..Tuning::default() })
            })
        })
    }

    /// The same grid and blocks, with each share that is tried.
    fn shares(self) -> Vec<Tuning> {
        WINDOW_SHARES.map(|window_share| Tuning { window_share, ..self }).to_vec()
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
        let all = candidates.len() + WINDOW_SHARES.len();
        let mut number = 0;
        let mut progress = || {
            progress(number, all);
            number += 1;
        };
        let near = fastest(adapter, cache, &near_one(bytes), candidates, &mut progress)?;
        let tuning = fastest(adapter, cache, &lognormal(bytes), near.shares(), &mut progress)?;
        progress();
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
        let [workgroups, threads, batches, window_share] = numbers[..] else { return None };
        let tuning = Tuning { workgroups, threads, batches, window_share };
        let is_possible = (1..=WORKGROUPS_MAX).contains(&workgroups)
            && THREADS.contains(&threads)
            && BATCHES.contains(&batches)
            && WINDOW_SHARES.contains(&window_share);
        (is_possible && tuning.to_text() == text).then_some(tuning)
    }
}

impl Options {
    /// The same with another grid and other blocks.
    pub fn tuned(self, tuning: Tuning) -> Options {
        let Tuning { workgroups, threads, batches, window_share } = tuning;
        let block = Block::new(threads, batches).with_window_share(window_share);
        Options { workgroups_max: workgroups, block, ..self }
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

/// The candidate that sums float32 data fastest.
fn fastest(
    adapter: &Adapter,
    cache: &Cache,
    data: &[u8],
    candidates: Vec<Tuning>,
    progress: &mut dyn FnMut(),
) -> Result<Tuning, ResidentError> {
    let spec = Spec::sum(DType::F32);
    let mut best: Option<(f64, Tuning)> = None;
    for candidate in candidates {
        progress();
        let options = Options::default().tuned(candidate);
        let budget = 2 * data.len() as u64;
        let mut resident = Resident::open(adapter, &options, cache, budget)?;
        let id = resident.insert((Layout::little(DType::F32), data), None)?;
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
    let (_, tuning) = best.expect("there are candidates");
    Ok(tuning)
}

/// Numbers near one another, as most data has.
fn near_one(bytes: usize) -> Vec<u8> {
    repeated(bytes, |n| 1.0 + n as f32 / 65536.0)
}

/// Numbers whose exponents lie about zero as the sum of four dice does, with a
/// deviation of 11.5: as those of lognormal numbers with one of 8.
fn lognormal(bytes: usize) -> Vec<u8> {
    repeated(bytes, |n| {
        // A multiplication scatters the bits of the number.
        let dice = n.wrapping_mul(0x9e37_79b9).to_le_bytes();
        let exponent: i32 = dice.iter().map(|die| i32::from(*die) * 20 / 256 - 10).sum();
        (1.0 + n as f32 / 65536.0) * 2_f32.powi(exponent)
    })
}

/// Elements by their numbers, up to 2^16, again and again.
fn repeated(bytes: usize, element: impl Fn(u32) -> f32) -> Vec<u8> {
    let block: Vec<u8> = (0..1 << 16).flat_map(|n| element(n).to_le_bytes()).collect();
    block.repeat(bytes.div_ceil(block.len()))
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
        for tuning in Tuning::candidates().flat_map(Tuning::shares) {
            assert_eq!(Tuning::from_text(&tuning.to_text()), Some(tuning));
        }
        for text in [
            "",
            "256",
            // What an earlier version kept.
            "256 workgroups of 64 threads of 8 batches\n",
            "256 workgroups of 64 threads of 8 batches, windows from 8 sixteenths",
            "0 workgroups of 64 threads of 8 batches, windows from 8 sixteenths\n",
            "9999999 workgroups of 64 threads of 8 batches, windows from 8 sixteenths\n",
            "256 workgroups of 63 threads of 8 batches, windows from 8 sixteenths\n",
            "256 workgroups of 64 threads of 8 batches, windows from 9 sixteenths\n",
            "256 workgroups of 64 threads of 8 batches, windows from 8 sixteenths 1\n",
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
            Tuning { workgroups: 3, threads: 64, batches: 8, ..Tuning::default() },
            Tuning { workgroups: 2, threads: 128, batches: 16, ..Tuning::default() },
        ];
        let mut done = Vec::new();
        let mut progress = |number, _| done.push(number);
        let found = Tuning::find_with(adapter, &cache, 1 << 18, candidates.clone(), &mut progress);
        let found = found.expect("the device works");
        assert!(candidates.into_iter().flat_map(Tuning::shares).any(|tuning| tuning == found));
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        assert_eq!(Tuning::remembered(adapter, &cache), Some(found));
        let options = Options::default().tuned_for(adapter, &cache);
        assert_eq!(options.workgroups_max, found.workgroups);
        let block = Block::new(found.threads, found.batches);
        assert_eq!(options.block, block.with_window_share(found.window_share));
    }
}
