//! Examines an adapter before its first sum counts.
//!
//! Drivers compile shaders, and compilers have defects. Each kernel sums data
//! chosen to break it and is held to the slow reference, bit for bit. The
//! examination takes a fraction of a second and is remembered by [`Cache`].

use super::backend::{GpuBackend, Options};
use super::cache::{self, Cache};
use super::device::Adapter;
use super::kernel::Kernel;
use crate::backend::reference;
use crate::backend::{Backend as _, BackendError, Place, Run};
use crate::dtype::{ByteOrder, DType, Layout};
use crate::op::{Monoid, Spec, Term};

/// A passed self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// Whether it passed in an earlier run of this very program, with this
    /// adapter and driver, and was not repeated.
    pub cached: bool,
}

/// Makes sure that the adapter computes every sum right.
///
/// It is opened for this alone, with buffers of a few MiB, so the caller opens
/// it again. Of the options, only those that change what is computed matter.
///
/// # Errors
/// The adapter failed, or gave a wrong sum: the message names the kernel and
/// the data. It must not be used.
pub fn self_test(
    adapter: &Adapter,
    options: &Options,
    cache: &Cache,
) -> Result<SelfTest, BackendError> {
    let entry = cache::program().map(|program| entry_name(adapter, options, &program));
    if entry.as_ref().is_some_and(|name| cache.holds(name)) {
        return Ok(SelfTest { cached: true });
    }
    let tile_bytes = TILE_BYTES.min(options.tile_bytes);
    let mut backend = GpuBackend::open(adapter, &Options { tile_bytes, ..options.clone() })?;
    for dtype in DType::ALL {
        examine(&mut backend, options, dtype)?;
    }
    if let Some(name) = entry {
        cache.keep(&name);
    }
    Ok(SelfTest { cached: false })
}

/// Room for the largest case: more than one block of any kernel.
const TILE_BYTES: usize = 1 << 20;

/// Everything that the verdict depends on.
fn entry_name(adapter: &Adapter, options: &Options, program: &str) -> String {
    let identity = adapter.identity();
    let sources = DType::ALL.map(|dtype| kernel(dtype, options).source());
    let sources = sources.iter().map(String::as_str);
    cache::name([program, identity.as_str()].into_iter().chain(sources))
}

fn kernel(dtype: DType, options: &Options) -> Kernel {
    Kernel::new(&Monoid::Sum(Term::Value), dtype, options.block).expect("sums have kernels")
}

fn examine(backend: &mut GpuBackend, options: &Options, dtype: DType) -> Result<(), BackendError> {
    let spec = Spec::sum(dtype);
    let layout = Layout::little(dtype);
    let size = dtype.size_bytes();
    let block_elements = kernel(dtype, options).block_elements() as usize;
    for case in cases(dtype) {
        // The third run is sent through the slot of the first, and is shorter:
        // what the first left there follows it as junk.
        let mut random = Random(0);
        let elements = (0..block_elements + 1027).map(|index| (case.element)(&mut random, index));
        let bytes: Vec<u8> =
            elements.flat_map(|bits| bits.to_le_bytes().into_iter().take(size)).collect();
        let part = &bytes[..517 * size];
        let mut expected = reference::reduce_line(&spec, ByteOrder::Little, &bytes);
        for _ in 0..2 {
            let more = reference::reduce_line(&spec, ByteOrder::Little, part);
            expected.merge(&more).expect("one spec, and few elements");
        }
        for run in [&bytes, part, part] {
            let place = Place::line(run.len() / size, 0);
            backend.add(&spec, 1, &Run { layout, bytes: run, second: None, place })?;
        }
        if backend.flush(&spec, 1)? != expected {
            let message =
                format!("its self-test gave a wrong sum of {} {dtype} elements", case.name);
            return Err(BackendError { device: backend.info().id.clone(), message });
        }
    }
    Ok(())
}

/// One kind of data: its name, and the bits of the element at an index.
struct Case {
    name: &'static str,
    element: Element,
}

type Element = Box<dyn Fn(&mut Random, usize) -> u64>;

fn case(name: &'static str, element: impl Fn(&mut Random, usize) -> u64 + 'static) -> Case {
    Case { name, element: Box::new(element) }
}

fn cases(dtype: DType) -> Vec<Case> {
    match dtype {
        DType::F32 => float_cases(Format { exponent_bits: 8, fraction_bits: 23 }),
        DType::F64 => float_cases(Format { exponent_bits: 11, fraction_bits: 52 }),
        _ => {
            // Of signed types the least, then the most; of unsigned ones the
            // most, then half of it.
            let least = 1u64 << (8 * dtype.size_bytes() - 1);
            vec![
                case("extreme", move |_, index| if index % 3 == 0 { least } else { least - 1 }),
                case("largest", |_, index| if index % 5 == 0 { 0 } else { u64::MAX }),
                case("random", |random, _| random.next()),
            ]
        }
    }
}

/// A binary floating-point format, by the widths of its fields.
#[derive(Clone, Copy)]
struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Format {
    /// The exponent field of NaN and infinities.
    fn special(self) -> u64 {
        (1 << self.exponent_bits) - 1
    }

    fn fraction_max(self) -> u64 {
        (1 << self.fraction_bits) - 1
    }

    /// A number with this exponent field, and its sign and fraction from
    /// `bits`.
    fn build(self, bits: u64, exponent: u64) -> u64 {
        let sign = bits >> 63;
        let fraction = bits & self.fraction_max();
        (sign << self.exponent_bits | exponent) << self.fraction_bits | fraction
    }
}

/// The first case leaves NaN and infinities in the buffers for the others.
fn float_cases(format: Format) -> Vec<Case> {
    let special = format.special();
    // The exponent of the elements that a kernel samples to place its window.
    let sampled = special / 2;
    let full = format.fraction_max();
    vec![
        case("NaN, infinite and near-largest", move |random, index| {
            let bits = random.next();
            match index % 19 {
                6 => format.build(bits, special),
                9 => format.build(bits & !full | 1, special),
                13 => format.build(bits & !full, special),
                _ => format.build(bits, special - 1 - bits % 4),
            }
        }),
        case("subnormal and zero", move |random, index| {
            let bits = random.next();
            match index % 7 {
                0 => format.build(bits & !full, 0),
                1 => format.build(bits & !full | 1, 0),
                _ => format.build(bits, bits % 3 / 2),
            }
        }),
        case("window-edge", move |random, index| {
            let exponent = if index < 1024 { sampled } else { sampled + 8 - index as u64 % 36 };
            format.build(random.next() & (1 << 63) | full, exponent)
        }),
        case("full-window", move |_, index| {
            format.build(full, if index < 1024 { sampled } else { sampled + 2 })
        }),
        case("wild and cancelling", move |_, index| {
            // Each number and its negative are neighbours but for every ninth.
            let mut random = Random(index as u64 / 2);
            let sign = if index % 2 == 1 && index % 9 != 0 { 1 << 63 } else { 0 };
            let bits = random.next();
            format.build(bits ^ sign, random.next() % special)
        }),
        case("narrow", move |random, _| {
            let bits = random.next();
            format.build(bits, sampled - (bits >> 58) % 8)
        }),
    ]
}

/// Splitmix64 (Steele, Lea, Flood, 2014): the same data on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
