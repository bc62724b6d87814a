//! Data that stays on an adapter, against the slow reference.

#![cfg(feature = "gpu")]

mod data_kinds;

use adsum::backend::{Place, Run, reference};
use adsum::gpu::kernel::{Block, Kernel};
use adsum::gpu::{Adapter, Cache, Options, Resident, ResidentError, adapters};
use adsum::{ByteOrder, DType, Layout, Monoid, Partial, Spec};
use data_kinds::{all_kinds, all_monoids};

fn adapter() -> Adapter {
    adapters().into_iter().next().expect(
        "no Vulkan, Metal or DirectX 12 adapter; on a machine without a GPU install a software \
         one, on Debian `apt-get install mesa-vulkan-drivers libvulkan1`",
    )
}

/// Blocks, windows and tiles so small that a few thousand elements are several of
/// each.
fn small() -> Options {
    Options {
        block: Block::new(32, 1),
        tile_bytes: 5 << 10,
        window_bytes_max: Some(6 << 10),
        ..Options::default()
    }
}

fn open(options: &Options, budget: u64) -> Resident {
    Resident::open(&adapter(), options, &Cache::of_user(), budget).expect("the adapter opens")
}

fn expected(spec: &Spec, layout: Layout, first: &[u8], second: &[u8]) -> Partial {
    let second = spec.is_paired().then_some((layout, second));
    let place = Place::line(first.len() / spec.dtype.size_bytes(), 0);
    reference::reduce(spec, 1, &Run { layout, bytes: first, second, place })
}

#[test]
fn every_state_of_resident_data_is_that_of_the_reference() {
    let mut resident = open(&small(), 16 << 20);
    for dtype in DType::ALL {
        let kinds: Vec<(String, Vec<u8>)> = all_kinds(dtype, 4001, 9).collect();
        for (number, (name, first)) in kinds.iter().enumerate().step_by(3) {
            let second = &kinds[(number + 1) % kinds.len()].1;
            let byte_order = if number % 2 == 0 { ByteOrder::Little } else { ByteOrder::Big };
            let layout = Layout { dtype, byte_order };
            let pair = resident
                .insert((layout, first), Some((layout, second)))
                .expect("the device takes it");
            let has_kernel = |monoid: &Monoid| Kernel::new(monoid, dtype, small().block).is_some();
            let monoids: Vec<Monoid> = all_monoids(dtype).into_iter().filter(has_kernel).collect();
            for monoids in monoids.chunks(2) {
                let counting = monoids.iter().filter(|m| matches!(m, Monoid::Bins(_))).count();
                if counting > 1 {
                    continue;
                }
                let spec = Spec { dtype, monoids: monoids.to_vec() };
                let expected = expected(&spec, layout, first, second);
                // The second time, everything is bound.
                for _ in 0..2 {
                    let (partial, times) = resident.reduce(&spec, pair).expect("it is there");
                    assert_eq!(partial, expected, "{spec:?} {name}");
                    assert!(times.readback_s > 0.0);
                }
            }
            resident.remove(pair);
        }
    }
    assert_eq!(resident.bytes(), 0);
}

#[test]
fn several_data_sets_are_reduced_in_turn_and_in_large_blocks() {
    let mut resident = open(&Options::default(), 64 << 20);
    let spec = Spec::sum(DType::F32);
    let layout = Layout::little(DType::F32);
    let sets: Vec<Vec<u8>> = all_kinds(DType::F32, 300_001, 3).map(|(_, bytes)| bytes).collect();
    let ids: Vec<_> = sets
        .iter()
        .map(|bytes| resident.insert((layout, bytes), None).expect("the device takes it"))
        .collect();
    for (bytes, &id) in sets.iter().zip(&ids).chain(sets.iter().zip(&ids).rev()) {
        let (partial, _) = resident.reduce(&spec, id).expect("it is there");
        assert_eq!(partial, expected(&spec, layout, bytes, &[]));
    }
    let empty = resident.insert((layout, &[]), None).expect("nothing fits everywhere");
    let (nothing, _) = resident.reduce(&spec, empty).expect("it is there");
    assert_eq!(nothing, Partial::identity(&spec, 1));
}

#[test]
fn the_least_recently_used_makes_room() {
    let layout = Layout::little(DType::U8);
    let spec = Spec::sum(DType::U8);
    let mut resident = open(&small(), 3 * 2048);
    let bytes = vec![1; 1500];
    let insert = |resident: &mut Resident| {
        resident.insert((layout, &bytes), None).expect("the device takes it")
    };
    let [a, b, c] = std::array::from_fn(|_| insert(&mut resident));
    assert!([a, b, c].into_iter().all(|id| resident.holds(id)));
    // Of the three, b is not used.
    for id in [a, c, a] {
        resident.reduce(&spec, id).expect("it is there");
    }
    let d = insert(&mut resident);
    assert_eq!([a, b, c, d].map(|id| resident.holds(id)), [true, false, true, true]);
    assert_eq!(resident.reduce(&spec, b), Err(ResidentError::Gone));
    assert!(resident.bytes() <= 3 * 2048);
    let large = vec![0; 3 * 2048];
    let refused = resident.insert((layout, &large), None);
    assert!(matches!(refused, Err(ResidentError::TooLarge { budget: 6144, .. })), "{refused:?}");
    assert!(resident.holds(a) && resident.holds(d));
}

#[test]
fn reductions_without_a_kernel_are_refused() {
    let mut resident = open(&small(), 1 << 20);
    let layout = Layout::little(DType::F64);
    let id = resident.insert((layout, &[0; 80]), None).expect("the device takes it");
    for spec in [
        Spec::of(DType::F64, Monoid::Tree),
        Spec::of(DType::F64, Monoid::Multiset { elements_max: 10 }),
        Spec::of(DType::F64, Monoid::Sum(adsum::Term::Product)),
        Spec::sum(DType::F32),
    ] {
        let refused = resident.reduce(&spec, id).expect_err("there is no kernel");
        assert!(refused.to_string().contains("CPU"), "{refused}");
    }
    assert!(resident.reduce(&Spec::sum(DType::F64), id).is_ok());
}
