//! The slow definition of every reduction, and what is finished from it,
//! against big integers and plain comparisons.

mod data_kinds;
mod oracle;

use adsum::backend::{Order, Place, Run, reference};
use adsum::finish::{Options, finish};
use adsum::{ByteOrder, DType, Layout, Op, Partial, Spec, Term, Value};
use data_kinds::{all_kinds, all_monoids};
use oracle::Data;

/// Reduces little-endian elements, with the same elements turned round as the
/// second data set.
fn reduce(spec: &Spec, outputs: usize, place: Place<'_>, bytes: &[u8], second: &[u8]) -> Partial {
    let layout = Layout::little(spec.dtype);
    reference::reduce(spec, outputs, &Run { layout, bytes, second: Some((layout, second)), place })
}

#[test]
fn every_state_of_every_kind_of_data_is_that_of_the_oracle() {
    for dtype in DType::ALL {
        let kinds: Vec<(String, Vec<u8>)> = all_kinds(dtype, 3001, 1).collect();
        for (number, (name, bytes)) in kinds.iter().enumerate() {
            let second = &kinds[(number + 3) % kinds.len()].1;
            for monoid in all_monoids(dtype) {
                let spec = Spec::of(dtype, monoid);
                let data = Data::new(dtype, bytes).with_second(second).starting_at(17);
                let partial = reduce(&spec, 1, Place::line(3001, 17), bytes, second);
                assert_eq!(partial, oracle::partial(&spec, &data), "{name} {spec:?}");
            }
        }
    }
}

#[test]
fn every_state_along_an_axis_is_that_of_the_oracle() {
    let shape @ [outer, reduced, inner] = [3, 7, 11];
    let place = Place { outer, reduced, inner, first_index: 5, ..Place::line(0, 0) };
    for dtype in DType::ALL {
        let kinds: Vec<(String, Vec<u8>)> = all_kinds(dtype, 3 * 7 * 11, 2).collect();
        for (number, (name, bytes)) in kinds.iter().enumerate() {
            let second = &kinds[(number + 1) % kinds.len()].1;
            let data = Data::new(dtype, bytes).with_second(second).starting_at(5);
            let spec = |monoid| Spec::of(dtype, monoid);
            for spec in all_monoids(dtype).into_iter().map(spec) {
                let partial = reduce(&spec, outer * inner, place, bytes, second);
                assert_eq!(partial, oracle::partial_along(&spec, shape, &data), "{name} {spec:?}");
            }
        }
    }
}

#[test]
fn fortran_places_are_those_of_the_oracle() {
    let shape = [5, 1, 7, 3];
    let places: Vec<u64> = oracle::fortran_places(&shape).iter().map(|place| place + 40).collect();
    let order = Order::Fortran { shape: &shape, start: 0, offset: 40 };
    let place = Place { order, ..Place::line(105, 0) };
    for (name, bytes) in all_kinds(DType::F32, 105, 3) {
        let spec = Spec::of(DType::F32, adsum::Monoid::Extremum { indexed: true });
        let data = Data::new(DType::F32, &bytes).at_places(&places);
        let partial = reduce(&spec, 1, place, &bytes, &bytes);
        assert_eq!(partial, oracle::partial(&spec, &data), "{name}");
    }
}

/// Types in which a result is asked for.
fn outputs(op: Op, dtype: DType) -> Vec<DType> {
    let floats = [DType::F16, DType::BF16, DType::F32, DType::F64];
    let natural = op.natural_output(dtype);
    floats.into_iter().chain((!natural.is_float()).then_some(natural)).collect()
}

#[test]
fn finished_results_are_the_correctly_rounded_ones() {
    let ops = [Op::Sum, Op::L1, Op::SumSq, Op::Dot, Op::Mean, Op::Var, Op::Std, Op::L2, Op::LInf];
    for dtype in DType::ALL {
        for (name, bytes) in all_kinds(dtype, 301, 4) {
            let turned: Vec<u8> =
                bytes.rchunks_exact(dtype.size_bytes()).flatten().copied().collect();
            let data = Data::new(dtype, &bytes).with_second(&turned);
            for op in ops {
                let spec = Spec { dtype, monoids: op.monoids(dtype) };
                let partial = reduce(&spec, 1, Place::line(301, 0), &bytes, &turned);
                for (skip_nan, ddof) in [(false, 0), (true, 1)] {
                    let options = Options { skip_nan, ddof };
                    for output in outputs(op, dtype) {
                        let finished = finish(op, partial.states(0), options, output);
                        let value = finished.expect("a number").value;
                        // Past 64 bits the oracle has the lowest of them.
                        let value = if output.is_float() { value } else { value.wrapped(output) };
                        let bits = oracle::result(op, &data, skip_nan, ddof, output);
                        let expected = Value::of(output, bits);
                        assert_eq!(value, expected, "{op} of {name} {dtype} as {output}");
                    }
                }
            }
        }
    }
}

#[test]
fn products_of_floats_are_those_of_the_oracle() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let spec = Spec { dtype, monoids: Op::Prod.monoids(dtype) };
        for (name, bytes) in all_kinds(dtype, 777, 5) {
            let partial = reduce(&spec, 1, Place::line(777, 3), &bytes, &bytes);
            let data = Data::new(dtype, &bytes).starting_at(3);
            for (skip_nan, output) in [(false, dtype), (true, DType::F64)] {
                let options = Options { skip_nan, ddof: 0 };
                let value = finish(Op::Prod, partial.states(0), options, output);
                let expected = Value::of(output, oracle::product_bits(&data, skip_nan, output));
                assert_eq!(value.expect("a number").value, expected, "{name} {dtype} as {output}");
            }
        }
    }
}

#[test]
fn sums_of_one_element_are_the_element() {
    for (bits, dtype) in (0..=u16::MAX).flat_map(|bits| [(bits, DType::F16), (bits, DType::BF16)]) {
        let bytes = bits.to_le_bytes();
        let partial = reference::reduce_line(&Spec::sum(dtype), ByteOrder::Little, &bytes);
        let spec = Spec::of(dtype, adsum::Monoid::Sum(Term::Value));
        assert_eq!(partial, oracle::partial(&spec, &Data::new(dtype, &bytes)), "{bits:#x}");
    }
}
