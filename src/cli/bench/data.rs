//! What is reduced: the same on every machine.
//!
//! A block of a few MiB is made and repeated up to the size that was asked for. So
//! the slow reference need only reduce the block: the partial of the whole is its,
//! merged as often.

use std::ops::Range;
use std::sync::Arc;

use crate::backend::reference;
use crate::backend::{Place, Run};
use crate::cli::exit::{Blame, Failure};
use crate::dtype::{DType, Layout};
use crate::manifest::ENTRY_BYTES;
use crate::op::Spec;
use crate::os;
use crate::partial::Partial;
use crate::reduction::float::FloatFormat;
use crate::shard::{PairedShard, Shard, ShardError};

/// Bytes of a block: more than the caches of a core.
const BLOCK_BYTES: usize = 4 << 20;

/// How elements are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dist {
    /// Floats from 0 to 1; integers of all values alike.
    Uniform,
    /// Floats of all finite bits alike: all exponents.
    Wide,
    /// Exponentials of normal numbers with a deviation of 8: most exponents within
    /// 46 of each other.
    Lognormal,
}

impl Dist {
    pub fn name(self) -> &'static str {
        match self {
            Dist::Uniform => "uniform",
            Dist::Wide => "wide",
            Dist::Lognormal => "lognormal",
        }
    }
}

/// Two data sets of one type, each a block again and again.
pub struct Data {
    pub dtype: DType,
    pub dist: Dist,
    /// All bytes of both; the second is another block.
    whole: [Arc<Vec<u8>>; 2],
    repeats: u64,
}

impl Data {
    /// At most `bytes` of each data set, but a block at least.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new(dtype: DType, dist: Dist, bytes: u64) -> Result<Data, Failure> {
        let repeats = (bytes / BLOCK_BYTES as u64).max(1);
        let too_much = || {
            let message = format!(
                "there is no memory for two data sets of {bytes} bytes; use fewer '--bytes'"
            );
            Failure::new(Blame::Usage, message)
        };
        let length = usize::try_from(repeats).ok().and_then(|n| n.checked_mul(BLOCK_BYTES));
        let length = length.ok_or_else(too_much)?;
        let mut whole = [Vec::new(), Vec::new()];
        for bytes in &mut whole {
            bytes.try_reserve_exact(length).map_err(|_| too_much())?;
            // As the arrays of those that it is compared with.
            os::advise_large_pages(bytes.spare_capacity_mut());
        }
        for (seed, bytes) in (1..).zip(&mut whole) {
            let block = block(dtype, dist, seed);
            (0..repeats).for_each(|_| bytes.extend_from_slice(&block));
        }
        Ok(Data { dtype, dist, whole: whole.map(Arc::new), repeats })
    }

    /// Bytes of one data set.
    pub fn bytes(&self) -> u64 {
        self.whole[0].len() as u64
    }

    /// The elements of one data set.
    pub fn of(&self, number: usize) -> &[u8] {
        &self.whole[number]
    }

    /// Entries of the usual size, as a node has them.
    pub fn shards(&self, spec: &Spec) -> Vec<Arc<dyn Shard>> {
        let entry = ENTRY_BYTES as usize;
        let starts = (0..self.whole[0].len()).step_by(entry);
        let shards = starts.map(|start| {
            let [first, second] = self.whole.each_ref().map(|whole| -> Arc<dyn Shard> {
                let bytes = start..whole.len().min(start + entry);
                Arc::new(Part { dtype: self.dtype, whole: Arc::clone(whole), bytes })
            });
            match spec.is_paired() {
                true => Arc::new(PairedShard::new(first, second)) as Arc<dyn Shard>,
                false => first,
            }
        });
        shards.collect()
    }

    /// What the reference makes of it, its bytes taken as elements of the spec's
    /// type.
    pub fn expected(&self, spec: &Spec) -> Partial {
        let layout = Layout::little(spec.dtype);
        let [bytes, second] = self.whole.each_ref().map(|whole| &whole[..BLOCK_BYTES]);
        let elements = BLOCK_BYTES / spec.dtype.size_bytes();
        let second = spec.is_paired().then_some((layout, second));
        let run = Run { layout, bytes, second, place: Place::line(elements, 0) };
        // The places of the first block are the lowest.
        let mut power = reference::reduce(spec, 1, &run);
        let mut total = Partial::identity(spec, 1);
        let mut left = self.repeats;
        while left > 0 {
            if left & 1 == 1 {
                total.merge(&power).expect("one spec, and fewer than 2^64 elements");
            }
            power.merge(&power.clone()).expect("one spec, and fewer than 2^64 elements");
            left /= 2;
        }
        total
    }
}

/// Part of a data set.
struct Part {
    dtype: DType,
    whole: Arc<Vec<u8>>,
    bytes: Range<usize>,
}

impl Shard for Part {
    fn layout(&self) -> Layout {
        Layout::little(self.dtype)
    }

    fn elements(&self) -> u64 {
        (self.bytes.len() / self.dtype.size_bytes()) as u64
    }

    fn read<'a>(
        &'a self,
        elements: Range<u64>,
        _block: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ShardError> {
        let size = self.dtype.size_bytes();
        let at = |element: u64| self.bytes.start + element as usize * size;
        Ok(&self.whole[at(elements.start)..at(elements.end)])
    }

    fn verify(&self) -> Result<(), ShardError> {
        Ok(())
    }
}

fn block(dtype: DType, dist: Dist, seed: u64) -> Vec<u8> {
    let size = dtype.size_bytes();
    let mut random = SplitMix(seed);
    let elements = (0..BLOCK_BYTES / size).map(|_| element(dtype, dist, &mut random));
    elements.flat_map(|bits| bits.to_le_bytes().into_iter().take(size)).collect()
}

/// The bits of an element, made of random bits.
fn element(dtype: DType, dist: Dist, random: &mut SplitMix) -> u64 {
    let Some(format) = FloatFormat::of(dtype) else {
        let bits = random.next();
        return if dtype == DType::Bool { bits & 1 } else { bits };
    };
    let number = match dist {
        Dist::Wide => {
            // An exponent above all others becomes one of the middle.
            let bits = random.next() & (format.sign_bit() | (format.sign_bit() - 1));
            let is_finite = bits & format.infinity != format.infinity;
            return if is_finite { bits } else { bits & !(format.sign_bit() >> 1) };
        }
        Dist::Uniform => random.unit(),
        // By the method of Box and Muller.
        Dist::Lognormal => {
            let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
            (8.0 * radius * (std::f64::consts::TAU * random.unit()).cos()).exp()
        }
    };
    match dtype {
        DType::F16 => half::f16::from_f64(number).to_bits().into(),
        DType::BF16 => half::bf16::from_f64(number).to_bits().into(),
        DType::F32 => (number as f32).to_bits().into(),
        _ => number.to_bits(),
    }
}

/// The generator of G. Steele, D. Lea, C. Flood (Fast Splittable Pseudorandom
/// Number Generators, OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1, in steps of 2^-53.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * 2_f64.powi(-53)
    }
}
