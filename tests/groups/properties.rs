//! Any bits at any number of ranks: float sums against the oracle.

use std::sync::Arc;

use adsum::collective::Algorithm;
use adsum::communicator::Operator;
use proptest::prelude::*;

use crate::model;
use crate::threads::{group_with, tiny};

/// Bits of all kinds: of any exponent, of like ones, and special.
fn element() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits),
        4 => -1e3..1e3_f64,
        2 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324]),
    ]
}

fn arrays() -> impl Strategy<Value = Vec<Vec<f64>>> {
    (1..7_usize, 0..40_usize).prop_flat_map(|(ranks, count)| {
        prop::collection::vec(prop::collection::vec(element(), count), ranks)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sums_are_those_of_the_oracle_at_every_rank(wide in arrays(), direct in any::<bool>()) {
        let narrow: Vec<Vec<f32>> =
            wide.iter().map(|one| one.iter().map(|&x| x as f32).collect()).collect();
        let algorithm = if direct { Algorithm::Direct } else { Algorithm::Flat };
        let expected = (model::sums_f64(&wide), model::sums_f32(&narrow), model::means_f64(&wide));
        let (size, given) = (wide.len(), Arc::new((wide, narrow)));
        let found = group_with(size, &tiny(), move |comm| {
            let comm = comm.by(algorithm);
            let (wide, narrow) = (&given.0[comm.rank()], &given.1[comm.rank()]);
            let wide_sum = comm.all_reduce(wide, Operator::Sum).unwrap();
            let narrow_sum = comm.all_reduce(narrow, Operator::Sum).unwrap();
            let mean = comm.all_reduce(wide, Operator::Mean).unwrap();
            (model::bits64(&wide_sum), model::bits32(&narrow_sum), model::bits64(&mean))
        });
        prop_assert!(found.iter().all(|one| *one == expected), "{:?} {:?}", found, expected);
    }
}
