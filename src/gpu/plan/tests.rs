use super::*;
use crate::dtype::DType;
use crate::gpu::kernel::{BLOCKS_PER_PARTIAL_MAX, Block};
use crate::op::{Bins, Monoid, Term};

const MIB: u64 = 1 << 20;

fn bounds() -> Bounds {
    Bounds {
        tile_bytes: 16 * MIB,
        memory_bytes: 128 * MIB,
        buffer_bytes_max: 1 << 31,
        binding_bytes_max: 128 * MIB,
        workgroups_max: WORKGROUPS_MAX,
    }
}

#[test]
fn a_tile_below_the_binding_limit_is_one_window() {
    let plan = Plan::new(bounds()).expect("enough memory");
    assert_eq!(plan.tile_bytes, 16 * MIB);
    let windows: Vec<Window> = plan.windows().collect();
    assert_eq!(windows, [Window { offset: 0, bytes: 16 * MIB }]);
}

#[test]
fn windows_cover_a_tile_in_order_without_gap_or_overlap() {
    for binding in [256, 300, 1000, 4096, MIB] {
        let plan = Plan::new(Bounds { binding_bytes_max: binding, ..bounds() }).expect("memory");
        for bytes in [0, 1, 255, 256, 257, 4095, 4096, 4097, 100_000] {
            let mut end = 0;
            for window in plan.windows_of(bytes) {
                assert_eq!(window.offset, end);
                assert_eq!(window.offset % ALIGNMENT_BYTES, 0);
                assert!(0 < window.bytes && window.bytes <= binding);
                end += window.bytes;
            }
            assert_eq!(end, bytes, "binding {binding}");
        }
    }
}

#[test]
fn no_window_is_larger_than_a_gibibyte() {
    let wide = Bounds {
        tile_bytes: 5 << 30,
        memory_bytes: 64 << 30,
        buffer_bytes_max: 8 << 30,
        binding_bytes_max: u64::MAX,
        ..bounds()
    };
    let plan = Plan::new(wide).expect("enough memory");
    assert_eq!(plan.windows().map(|window| window.bytes).max(), Some(WINDOW_BYTES_MAX));
    assert_eq!(plan.windows().count(), 5);
}

#[test]
fn a_plan_stays_within_memory_and_buffer_limits() {
    for memory_bytes in (MIB..200 * MIB).step_by(777_777) {
        for binding_bytes_max in [512, 70_000, 128 * MIB] {
            for buffer_bytes_max in [100_000, 10 * MIB, 1 << 31] {
                let bounds =
                    Bounds { memory_bytes, binding_bytes_max, buffer_bytes_max, ..bounds() };
                let Ok(plan) = Plan::new(bounds) else {
                    assert!(memory_bytes < 2 * MIB, "{memory_bytes}");
                    continue;
                };
                assert!(plan.memory_bytes() <= memory_bytes, "{bounds:?} {plan:?}");
                assert!(plan.tile_bytes <= buffer_bytes_max);
                assert!(plan.tile_bytes > 0 && plan.tile_bytes.is_multiple_of(ALIGNMENT_BYTES));
            }
        }
    }
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let error = Plan::new(Bounds { memory_bytes: 1000, ..bounds() }).expect_err("no room");
    let enough = Plan::new(Bounds { memory_bytes: error.needed, ..bounds() });
    assert_eq!(enough.map(|plan| plan.tile_bytes), Ok(ALIGNMENT_BYTES));
}

fn kernel(term: Term, dtype: DType) -> Kernel {
    Kernel::new(&Monoid::Sum(term), dtype, Block::LARGE).expect("sums have kernels")
}

#[test]
fn regions_hold_all_partials_side_by_side() {
    let dots = [kernel(Term::Product, DType::F64); MONOIDS_MAX];
    let bins = Bins { lower: vec![0; BINS_MAX].into(), last: 0 };
    let bins = Kernel::new(&Monoid::Bins(bins), DType::F64, Block::LARGE).expect("a kernel");
    let most = [dots[0], dots[0], dots[0], bins];
    let mixed = [kernel(Term::Value, DType::F64), kernel(Term::Square, DType::F64)];
    for memory_bytes in [2 * MIB, 128 * MIB] {
        let plan = Plan::new(Bounds { memory_bytes, ..bounds() }).expect("enough memory");
        for kernels in [&dots[..], &most, &[bins], &mixed] {
            let Regions { regions, slots } = plan.regions(kernels);
            assert!(slots > 0, "{memory_bytes}");
            let mut end = 0;
            for (region, kernel) in regions.iter().zip(kernels) {
                assert!(region.offset >= end && region.offset.is_multiple_of(ALIGNMENT_BYTES));
                let partials = if kernel.is_shared() { 1 } else { u64::from(slots) };
                assert_eq!(region.bytes, partials * u64::from(kernel.partial_bytes()));
                end = region.offset + region.bytes;
            }
            assert!(end <= plan.partials_bytes);
        }
    }
}

#[test]
fn the_host_reads_partials_before_one_can_overflow() {
    let dispatch = Params { blocks: 128, workgroups: 3, outputs: 1, ..Params::default() };
    let mut load = Load::default();
    while let Some(next) = load.after(&kernel(Term::Value, DType::F32), &dispatch) {
        load = next;
    }
    assert_eq!(load.partials, 3);
    assert!(load.blocks_per_partial <= BLOCKS_PER_PARTIAL_MAX);
    assert!(load.blocks_per_partial + 43 > BLOCKS_PER_PARTIAL_MAX);
}

#[test]
fn along_an_axis_each_output_has_a_partial_and_all_of_its_blocks() {
    let dispatch =
        Params { blocks: 5, workgroups: 3, outputs: 7, along_axis: 1, ..Params::default() };
    let load = Load::default().after(&kernel(Term::Value, DType::F32), &dispatch);
    assert_eq!(load, Some(Load { blocks: 35, blocks_per_partial: 5, partials: 7 }));
}
