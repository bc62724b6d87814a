//! Elements of one output.

use adsum::backend::cpu::{CpuBackend, TILE_BYTES};
use adsum::backend::{Backend, Order, Place, Run};
use adsum::op::MONOIDS_MAX;
use adsum::{ByteOrder, DType, Layout, Monoid, Spec};

use super::data_kinds::{Random, all_kinds, all_monoids};
use super::oracle::{self, Data};
use super::{add, check, flush, pairs_of_kinds, reduce};

#[test]
fn every_state_of_every_kind_of_data_is_that_of_the_oracle() {
    for dtype in DType::ALL {
        for (name, bytes, second) in pairs_of_kinds(dtype, 20_011, 1) {
            let data = Data::new(dtype, &bytes).with_second(&second);
            for monoid in all_monoids(dtype) {
                let spec = Spec::of(dtype, monoid);
                let expected = oracle::partial(&spec, &data);
                check(&reduce(&spec, &bytes, &second), &expected, &format!("{name} {spec:?}"));
            }
        }
    }
}

/// Blocks, pieces, and what is too short for a line.
#[test]
fn every_length_around_an_edge_is_right() {
    let edges = [0_usize, 4, 128, 256, 512, 1024, 2048, 8192, 1 << 14, 1 << 16];
    for dtype in DType::ALL {
        let name = if dtype.is_float() { "SpecialNearMax" } else { "random" };
        let size = dtype.size_bytes();
        let mut kinds = all_kinds(dtype, (1 << 16) + 2, 3);
        let (_, all) = kinds.find(|(kind, _)| kind == name).expect("a kind of this name");
        for edge in edges {
            for elements in edge.saturating_sub(1)..=edge + 1 {
                let bytes = &all[..elements * size];
                let second = &all[all.len() - bytes.len()..];
                let data = Data::new(dtype, bytes).with_second(second);
                for monoid in all_monoids(dtype) {
                    let spec = Spec::of(dtype, monoid);
                    let expected = oracle::partial(&spec, &data);
                    let what = format!("{elements} elements {spec:?}");
                    check(&reduce(&spec, bytes, second), &expected, &what);
                }
            }
        }
    }
}

#[test]
fn byte_order_and_alignment_do_not_matter() {
    for dtype in DType::ALL {
        let size = dtype.size_bytes();
        for (name, bytes, second) in pairs_of_kinds(dtype, 9001, 4) {
            let swapped = |bytes: &[u8]| -> Vec<u8> {
                let turned = |element: &[u8]| element.iter().rev().copied().collect::<Vec<u8>>();
                bytes.chunks_exact(size).flat_map(turned).collect()
            };
            let little = |bytes: &[u8]| bytes.to_vec();
            let data = Data::new(dtype, &bytes).with_second(&second);
            for monoid in all_monoids(dtype) {
                let spec = Spec::of(dtype, monoid);
                let expected = oracle::partial(&spec, &data);
                let orders = [ByteOrder::Little, ByteOrder::Big];
                for (order, other) in orders.into_iter().flat_map(|a| orders.map(|b| (a, b))) {
                    let ordered = |order: ByteOrder, bytes: &[u8]| {
                        let bytes =
                            if order == ByteOrder::Big { swapped(bytes) } else { little(bytes) };
                        // One byte before them lets no element be aligned.
                        [&[0xa5], &bytes[..]].concat()
                    };
                    let (bytes, second) = (ordered(order, &bytes), ordered(other, &second));
                    let layout = |byte_order| Layout { dtype, byte_order };
                    let run = Run {
                        layout: layout(order),
                        bytes: &bytes[1..],
                        second: Some((layout(other), &second[1..])),
                        place: Place::line(9001, 0),
                    };
                    let mut backend = CpuBackend::new(TILE_BYTES);
                    backend.add(&spec, 1, &run).expect("the CPU does not fail");
                    let what = format!("{name} {order:?} {other:?} {spec:?}");
                    check(&flush(&mut backend, &spec), &expected, &what);
                }
            }
        }
    }
}

/// Runs of any length in any order, with flushes between them.
#[test]
fn any_cut_into_runs_gives_the_same_partial() {
    let mut random = Random(5);
    for dtype in DType::ALL {
        let size = dtype.size_bytes();
        for (name, bytes, second) in pairs_of_kinds(dtype, 30_000, 5).into_iter().step_by(2) {
            let mut cuts = vec![0, 30_000];
            for limit in [30_000, 30_000, 600, 600, 20] {
                cuts.extend((0..4).map(|_| random.below(limit)));
            }
            cuts.sort_unstable();
            let mut runs: Vec<(usize, usize)> =
                cuts.windows(2).map(|ends| (ends[0], ends[1])).collect();
            for i in (1..runs.len()).rev() {
                runs.swap(i, random.below(i + 1));
            }
            let data = Data::new(dtype, &bytes).with_second(&second);
            for monoid in all_monoids(dtype) {
                let spec = Spec::of(dtype, monoid);
                let mut backend = CpuBackend::new(TILE_BYTES);
                let mut total = flush(&mut backend, &spec);
                for (number, &(start, end)) in runs.iter().enumerate() {
                    let cut = start * size..end * size;
                    let (bytes, second) = (&bytes[cut.clone()], &second[cut]);
                    add(&mut backend, &spec, start as u64, bytes, second);
                    if number % 7 == 6 {
                        total.merge(&flush(&mut backend, &spec)).expect("parts");
                    }
                }
                total.merge(&flush(&mut backend, &spec)).expect("parts");
                let expected = oracle::partial(&spec, &data);
                check(&total, &expected, &format!("{name} {spec:?}"));
            }
        }
    }
}

#[test]
fn several_states_of_one_spec_and_one_thread_for_many_specs() {
    let mut backend = CpuBackend::new(TILE_BYTES);
    for dtype in DType::ALL {
        let monoids = all_monoids(dtype);
        for (name, bytes, second) in pairs_of_kinds(dtype, 20_011, 6).into_iter().step_by(3) {
            let data = Data::new(dtype, &bytes).with_second(&second);
            for monoids in monoids.chunks(MONOIDS_MAX) {
                let spec = Spec { dtype, monoids: monoids.to_vec() };
                add(&mut backend, &spec, 0, &bytes, &second);
                let expected = oracle::partial(&spec, &data);
                check(&flush(&mut backend, &spec), &expected, &format!("{name} {spec:?}"));
            }
        }
    }
    let spec = Spec::sum(DType::F32);
    assert_eq!(flush(&mut backend, &spec), adsum::Partial::identity(&spec, 1));
}

#[test]
fn places_of_fortran_arrays_are_in_c_order() {
    let shapes: [&[u64]; 5] = [&[3, 1, 700, 5], &[10_500], &[1, 10_500], &[2100, 5], &[5, 2100]];
    for dtype in DType::ALL {
        let spec = Spec::of(dtype, Monoid::Extremum { indexed: true });
        let size = dtype.size_bytes();
        for (name, bytes) in all_kinds(dtype, 10_500, 7) {
            for shape in shapes {
                let places = oracle::fortran_places(shape).into_iter().map(|place| place + 900);
                let places: Vec<u64> = places.collect();
                let expected = oracle::partial(&spec, &Data::new(dtype, &bytes).at_places(&places));
                let mut backend = CpuBackend::new(TILE_BYTES);
                for (number, bytes) in bytes.chunks(4001 * size).enumerate().rev() {
                    let start = 4001 * number as u64;
                    let order = Order::Fortran { shape, start, offset: 900 };
                    let place = Place { order, ..Place::line(bytes.len() / size, 0) };
                    let run = Run { layout: Layout::little(dtype), bytes, second: None, place };
                    backend.add(&spec, 1, &run).expect("the CPU does not fail");
                }
                let what = format!("{name} {dtype} {shape:?}");
                check(&flush(&mut backend, &spec), &expected, &what);
            }
        }
    }
}
