//! The GPU backend on a real adapter, hardware or software, against big
//! integers and against the slow reference. Partials are compared byte for
//! byte, so nothing hides behind rounding.

#![cfg(feature = "gpu")]

mod data_kinds;
mod oracle;

use adsum::backend::Backend;
use adsum::backend::reference;
use adsum::gpu::kernel::Block;
use adsum::gpu::{Adapter, GpuBackend, Options, adapters};
use adsum::{ByteOrder, DType, Layout, Spec};
use data_kinds::{all_kinds, integer_kinds};

/// The first adapter. Its absence is a failure: a test that skips itself
/// proves nothing.
fn adapter() -> Adapter {
    adapters().into_iter().next().expect(
        "no Vulkan, Metal or DirectX 12 adapter; on a machine without a GPU install a software \
         one, on Debian `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
}

/// Blocks of 128 vectors, so that a thousand elements are several.
fn small() -> Options {
    Options { block: Block::new(32, 1), tile_bytes: 8 << 10, ..Options::default() }
}

fn open(options: &Options) -> GpuBackend {
    GpuBackend::open(&adapter(), options).expect("the adapter opens")
}

/// Sums one run of little-endian elements and compares with the oracle.
#[track_caller]
fn check(backend: &mut GpuBackend, dtype: DType, bytes: &[u8], what: &str) {
    let spec = Spec::sum(dtype);
    backend.add(spec, Layout::little(dtype), bytes).expect("the device works");
    let partial = backend.flush(spec).expect("the device works");
    let exact = oracle::sum(dtype, bytes);
    assert!(partial.to_bytes() == exact.partial_bytes(), "{what}: {partial:?} is not {exact:?}");
}

#[test]
fn every_kind_of_data_in_every_type_has_the_bits_of_the_oracle() {
    let mut backend = open(&Options::default());
    for dtype in DType::ALL {
        for (name, bytes) in all_kinds(dtype, 70_001, 1) {
            check(&mut backend, dtype, &bytes, &format!("{dtype} {name}"));
        }
    }
}
