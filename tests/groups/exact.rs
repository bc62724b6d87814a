//! Exact totals: the same bytes by every schedule, as futures, and whatever the partials.

use std::sync::Arc;

use adsum::collective::Algorithm;
use adsum::communicator::{Config, GroupError, Operator};
use adsum::{DType, Op, Partial, Spec, Value};

use crate::chance::Chance;
use crate::oracle;
use crate::threads::{group, group_with, tiny};

const ALGORITHMS: [Option<Algorithm>; 4] = [
    None,
    Some(Algorithm::Flat),
    Some(Algorithm::Tree { fan: 2 }),
    Some(Algorithm::Tree { fan: 5 }),
];

fn element(chance: &mut Chance) -> f64 {
    let power = chance.number(0..=80) as i32 - 40;
    ((chance.word() >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 2f64.powi(power)
}

fn data(count: usize) -> Vec<f64> {
    let mut chance = Chance::new(count as u64);
    (0..count).map(|_| element(&mut chance)).collect()
}

#[test]
fn totals_are_those_of_the_oracle_by_every_schedule() {
    let data = data(1009);
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let sum = Value::of(DType::F64, oracle::sum_bits_f64(&bytes));
    let most = (0..data.len()).max_by(|&a, &b| data[a].total_cmp(&data[b])).unwrap();
    let (most, data) = (Value::int64(most as i64), Arc::new(data));
    let mut products = Vec::new();
    for (size, config) in [(1, tiny()), (2, tiny()), (7, tiny()), (20, Config::default())] {
        let data = Arc::clone(&data);
        products.extend(group_with(size, &config, move |comm| {
            let rank = comm.rank();
            let at = |n: usize| data.len() * n * n / (size * size);
            let mine = &data[at(rank)..at(rank + 1)];
            for algorithm in ALGORITHMS {
                let by = algorithm.map_or_else(
                    || comm.within(std::time::Duration::from_secs(60)),
                    |one| comm.by(one),
                );
                // All under way at once, and other calls between them.
                let sums = by.all_reduce_exact_async(mine, Op::Sum);
                let places = by.all_reduce_exact_async(mine, Op::ArgMax);
                let at_root = by.reduce_exact_async(mine, Op::ArgMax, size / 2);
                let count = comm.all_reduce_async(&[mine.len() as u64], Operator::Sum);
                let root = by.reduce_exact(mine, Op::Sum, size - 1).unwrap();
                assert_eq!(root.map(|f| f.value), (rank == size - 1).then_some(sum));
                let placed = at_root.wait().unwrap().map(|f| f.value);
                assert_eq!(placed, (rank == size / 2).then_some(most));
                assert_eq!(places.wait().unwrap().value, most);
                assert_eq!(sums.wait().unwrap().value, sum);
                assert_eq!(count.wait(), Ok(vec![data.len() as u64]));
            }
            // Its communicator does not need who asked for it.
            drop(comm.all_reduce_exact_async(mine, Op::ArgMax));
            comm.all_reduce_exact(mine, Op::Prod).unwrap().value
        }));
    }
    assert!(products.iter().all(|product| *product == products[0]), "{products:?}");
}

#[test]
fn partials_of_many_outputs_are_the_same_bytes_everywhere() {
    // Some hundred KiB, so that segments and windows are many.
    let outputs = 700;
    let spec = Spec { dtype: DType::I64, monoids: Op::Var.monoids(DType::I64) };
    let identity = Arc::new(Partial::identity(&spec, outputs));
    for size in [1, 3, 9] {
        let identity = Arc::clone(&identity);
        let merged = group(size, move |comm| {
            let mut found = Vec::new();
            for algorithm in ALGORITHMS.into_iter().flatten() {
                let by = comm.by(algorithm);
                found.push(by.all_reduce_partial(&identity).unwrap().to_bytes());
                found.extend(by.reduce_partial(&identity, size / 2).unwrap().map(|p| p.to_bytes()));
            }
            found
        });
        let expected = Partial::identity(&spec, outputs).to_bytes();
        assert!(merged.into_iter().flatten().all(|bytes| bytes == expected));
    }
}

#[test]
fn partials_of_different_reductions_are_a_mismatch_at_all_ranks() {
    let config = Config { probe_after: std::time::Duration::from_millis(20), ..Config::default() };
    for (outputs, ops) in [([1, 1], [Op::Sum, Op::Min]), ([1, 2], [Op::Sum, Op::Sum])] {
        let ended = group_with(3, &config, move |comm| {
            let one = usize::from(comm.rank() == 1);
            let spec = Spec { dtype: DType::F32, monoids: ops[one].monoids(DType::F32) };
            let first = comm.all_reduce_partial(&Partial::identity(&spec, outputs[one]));
            first.map(|_| ()).and(comm.barrier())
        });
        for ended in ended {
            let Err(error @ GroupError::Mismatch { .. }) = ended else { panic!("{ended:?}") };
            let text = error.to_string();
            assert!(text.contains("all_reduce_partial(float32, states of reduction"), "{text}");
        }
    }
}

#[test]
fn what_is_no_number_is_refused_here() {
    let ended = group(2, |comm| {
        let refused = comm.all_reduce_exact_async(&[1.0_f32], Op::Stats).wait();
        assert!(matches!(refused, Err(GroupError::Partial { .. })), "{refused:?}");
        comm.barrier()
    });
    assert_eq!(ended, [Ok(()), Ok(())]);
}
