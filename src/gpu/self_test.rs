//! Examines an adapter before its first result counts.
//!
//! Drivers compile shaders, and compilers have defects. Each kernel reduces
//! data chosen to break it, as lines and along an axis, and is held to the slow
//! reference, bit for bit. A kernel's examination takes some hundredths of a
//! second and is remembered by [`Cache`]. There are more than a hundred
//! kernels, so a backend examines each when it is first needed.

use std::collections::HashSet;

use super::backend::{GpuBackend, Options};
use super::cache::{self, Cache};
use super::device::Adapter;
use super::kernel::{Block, Kernel};
use crate::backend::reference;
use crate::backend::{Backend as _, BackendError, Order, Place, Run};
use crate::dtype::{DType, Layout};
use crate::op::{Bins, Monoid, Spec, Term};
use crate::reduction::key;

mod cases;

use cases::cases;

/// A passed self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// Whether it passed in an earlier run of this very program, with this
    /// adapter and driver, and was not repeated.
    pub cached: bool,
}

/// Makes sure that the adapter computes with every kernel right.
///
/// It is opened for this alone, with buffers of a few MiB, so the caller opens
/// it again. Of the options, only those that change what is computed matter.
/// Takes seconds, unless it is remembered: a driver compiles every kernel.
///
/// # Errors
/// The adapter failed, or gave a wrong result: the message names the kernel and
/// the data. It must not be used.
pub fn self_test(
    adapter: &Adapter,
    options: &Options,
    cache: &Cache,
) -> Result<SelfTest, BackendError> {
    let mut examination = Examination::new(adapter, cache);
    let tile_bytes = TILE_BYTES.min(options.tile_bytes);
    let mut backend = None;
    for spec in DType::ALL.into_iter().flat_map(specs) {
        if examination.passed(&spec, options.block) {
            continue;
        }
        let backend = match &mut backend {
            Some(backend) => backend,
            none => {
                none.insert(GpuBackend::open(adapter, &Options { tile_bytes, ..options.clone() })?)
            }
        };
        examination.examine(backend, &spec, options.block)?;
    }
    Ok(SelfTest { cached: backend.is_none() })
}

/// Room for the largest case: more than one block of any kernel.
const TILE_BYTES: usize = 1 << 20;

/// Every state over elements of `dtype` that has a kernel.
fn specs(dtype: DType) -> impl Iterator<Item = Spec> {
    let terms = [Term::Value, Term::Magnitude, Term::Square, Term::Product];
    let others = [
        Monoid::Extremum { indexed: false },
        Monoid::Extremum { indexed: true },
        Monoid::Tally,
        Monoid::Product,
        Monoid::Bits,
        Monoid::Bins(bins(dtype)),
    ];
    let all = terms.map(Monoid::Sum).into_iter().chain(others);
    all.filter(move |monoid| monoid.takes(dtype)).map(move |monoid| Spec::of(dtype, monoid))
}

/// Intervals over the middle half of all keys, some of them empty. What a
/// kernel counts in is data: its source is the same for all intervals.
fn bins(dtype: DType) -> Bins {
    let (least, most) = (key::smallest(dtype), key::largest(dtype));
    let step = ((most - least) / 128).max(1);
    let bound = |index: u64| (least + step * (32 + index / 3 * 3)).min(most);
    Bins { lower: (0..64).map(bound).collect(), last: (least + step * 96).min(most) }
}

/// What is known of an adapter's kernels.
#[derive(Debug)]
pub(super) struct Examination {
    /// What a verdict depends on beside the kernel; without it, nothing is
    /// remembered between runs.
    context: Option<[String; 2]>,
    cache: Cache,
    /// Sources of kernels that passed.
    passed: HashSet<String>,
}

impl Examination {
    pub fn new(adapter: &Adapter, cache: &Cache) -> Examination {
        let context = cache::program().map(|program| [program, adapter.identity()]);
        Examination { context, cache: cache.clone(), passed: HashSet::new() }
    }

    /// Whether all kernels of a spec have passed, now or in an earlier run.
    pub fn passed(&mut self, spec: &Spec, block: Block) -> bool {
        spec.monoids.iter().all(|monoid| self.has_passed(&source(spec.dtype, monoid, block)))
    }

    fn has_passed(&mut self, source: &str) -> bool {
        let remembered = self.passed.contains(source)
            || self.entry(source).is_some_and(|entry| self.cache.holds(&entry));
        if remembered {
            self.passed.insert(source.to_owned());
        }
        remembered
    }

    fn entry(&self, source: &str) -> Option<String> {
        let context = self.context.as_ref()?;
        Some(cache::name(context.iter().map(String::as_str).chain([source])))
    }

    /// Examines the kernels of a spec that have not passed.
    ///
    /// # Errors
    /// The device failed, or gave a wrong result.
    pub fn examine(
        &mut self,
        backend: &mut GpuBackend,
        spec: &Spec,
        block: Block,
    ) -> Result<(), BackendError> {
        for monoid in &spec.monoids {
            let source = source(spec.dtype, monoid, block);
            if self.has_passed(&source) {
                continue;
            }
            let monoid = match monoid {
                Monoid::Bins(_) => Monoid::Bins(bins(spec.dtype)),
                monoid => monoid.clone(),
            };
            examine(backend, &Spec::of(spec.dtype, monoid), block)?;
            if let Some(entry) = self.entry(&source) {
                self.cache.keep(&entry);
            }
            self.passed.insert(source);
        }
        Ok(())
    }
}

fn kernel(dtype: DType, monoid: &Monoid, block: Block) -> Kernel {
    Kernel::new(monoid, dtype, block).expect("only specs that have kernels are given to an adapter")
}

fn source(dtype: DType, monoid: &Monoid, block: Block) -> String {
    kernel(dtype, monoid, block).source()
}

/// Holds the kernel of a single state to the reference.
fn examine(backend: &mut GpuBackend, spec: &Spec, block: Block) -> Result<(), BackendError> {
    let dtype = spec.dtype;
    // Rows so long that they are reduced on the device.
    let [outer, reduced, inner] = [2, 1100, 3];
    let block_elements = kernel(dtype, &spec.monoids[0], block).block_elements() as usize;
    let elements = (block_elements + 1027).max(outer * reduced * inner);
    let cases = cases(dtype);
    for (number, case) in cases.iter().enumerate() {
        let other = &cases[(number + 1) % cases.len()];
        let data = [case, other].map(|case| case.bytes(dtype, elements));
        let line = |count| part(spec, &data, Place::line(count, u64::from(u32::MAX) - 500));
        // The third run is sent through the slot of the first, and is shorter:
        // what the first left there follows it as junk.
        let mut same = agrees(backend, spec, 1, &[line(elements), line(517), line(517)])?;
        if matches!(spec.monoids[..], [Monoid::Extremum { indexed: true }]) {
            let shape = [7, elements.div_ceil(7 * 5) as u64, 5];
            let order = Order::Fortran { shape: &shape, start: 0, offset: u64::from(u32::MAX) };
            let lying = Place { order, ..Place::line(elements, 0) };
            same &= agrees(backend, spec, 1, &[part(spec, &data, lying)])?;
        }
        let counts = matches!(spec.monoids[..], [Monoid::Bins(_)]);
        let place = Place { outer, reduced, inner, order: Order::Linear, ..Place::line(0, 9) };
        if !counts {
            same &= agrees(backend, spec, outer * inner, &[part(spec, &data, place)])?;
        }
        if !same {
            let [monoid] = &spec.monoids[..] else { unreachable!("one state is examined") };
            let message = format!(
                "its self-test gave a wrong {} of {} {dtype} elements",
                name(monoid),
                case.name
            );
            return Err(BackendError { device: backend.info().id.clone(), message });
        }
    }
    Ok(())
}

/// What a kernel computes, in words.
fn name(monoid: &Monoid) -> &'static str {
    match monoid {
        Monoid::Sum(Term::Value) => "sum",
        Monoid::Sum(Term::Magnitude) => "sum of magnitudes",
        Monoid::Sum(Term::Square) => "sum of squares",
        Monoid::Sum(Term::Product) => "sum of products",
        Monoid::Extremum { .. } => "minimum or maximum",
        Monoid::Tally => "count",
        Monoid::Product | Monoid::Tree => "product",
        Monoid::Bits => "bitwise and, or, or exclusive or",
        Monoid::Bins(_) => "count in intervals",
        Monoid::Multiset { .. } => "order",
    }
}

/// A run of the first elements of both data sets.
fn part<'a>(spec: &Spec, data: &'a [Vec<u8>; 2], place: Place<'a>) -> Run<'a> {
    let layout = Layout::little(spec.dtype);
    let bytes = place.outer * place.reduced * place.inner * spec.dtype.size_bytes();
    let second = spec.is_paired().then_some((layout, &data[1][..bytes]));
    Run { layout, bytes: &data[0][..bytes], second, place }
}

fn agrees(
    backend: &mut GpuBackend,
    spec: &Spec,
    outputs: usize,
    runs: &[Run<'_>],
) -> Result<bool, BackendError> {
    for run in runs {
        backend.add(spec, outputs, run)?;
    }
    let mut expected = crate::partial::Partial::identity(spec, outputs);
    for run in runs {
        let more = reference::reduce(spec, outputs, run);
        expected.merge(&more).expect("one spec, and few elements");
    }
    Ok(backend.flush(spec, outputs)? == expected)
}
