//! Rules that no oracle has but this house.

use super::*;
use crate::backend::reference;
use crate::dtype::ByteOrder;
use crate::op::Spec;

fn of(op: Op, values: &[f64], options: Options) -> Result<Finished, FinishError> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let spec = Spec { dtype: DType::F64, monoids: op.monoids(DType::F64) };
    let partial = reference::reduce_line(&spec, ByteOrder::Little, &bytes);
    let output = output_dtype(op, DType::F64, None).expect("the natural type");
    finish(op, partial.states(0), options, output)
}

const SKIP: Options = Options { skip_nan: true, ddof: 0 };

#[test]
fn nothing_has_no_extreme_and_no_mean() {
    for op in [Op::Min, Op::Max, Op::ArgMin, Op::ArgMax] {
        assert_eq!(of(op, &[], Options::default()), Err(FinishError::Empty { op }));
    }
    for op in [Op::Mean, Op::Var, Op::Std] {
        let finished = of(op, &[], Options::default()).expect("NaN");
        assert_eq!(
            (finished.value, finished.remark),
            (Value::float64(f64::NAN), Some(Remark::Empty))
        );
    }
    assert_eq!(of(Op::Prod, &[], SKIP).expect("one").value, Value::float64(1.0));
    assert_eq!(of(Op::LInf, &[], SKIP).expect("zero").value, Value::float64(0.0));
    assert_eq!(of(Op::Any, &[], SKIP).expect("false").value, Value::of(DType::Bool, 0));
    assert_eq!(of(Op::All, &[], SKIP).expect("true").value, Value::of(DType::Bool, 1));
}

#[test]
fn nan_alone_is_skipped_to_nothing() {
    let nan = [f64::NAN, f64::NAN];
    for op in [Op::Min, Op::Max, Op::Mean, Op::Var] {
        let finished = of(op, &nan, SKIP).expect("NaN");
        assert_eq!(finished.remark, Some(Remark::AllNan), "{op}");
        assert_eq!(finished.value, Value::float64(f64::NAN), "{op}");
    }
    assert_eq!(of(Op::ArgMin, &nan, SKIP), Err(FinishError::AllNan { op: Op::ArgMin }));
    assert_eq!(of(Op::ArgMin, &nan, Options::default()).expect("the first").value, Value::int64(0));
    assert_eq!(of(Op::Sum, &nan, SKIP).expect("zero").value, Value::float64(0.0));
    assert_eq!(of(Op::Count, &nan, SKIP).expect("none").value, Value::int64(0));
}

#[test]
fn as_many_elements_as_ddof_have_no_variance() {
    let finished = of(Op::Var, &[1.0, 2.0], Options { skip_nan: false, ddof: 2 }).expect("NaN");
    assert_eq!(finished.remark, Some(Remark::Freedom));
}

#[test]
fn an_output_type_must_be_able_to_hold_the_result() {
    assert!(output_dtype(Op::Sum, DType::I8, Some(DType::F32)).is_ok());
    assert!(output_dtype(Op::Sum, DType::F32, Some(DType::I64)).is_err());
    assert!(output_dtype(Op::Min, DType::F32, Some(DType::F64)).is_err());
    let error = output_dtype(Op::ArgMax, DType::F32, Some(DType::F64)).expect_err("an index");
    assert_eq!(error.to_string(), "argmax of float32 has no float64 form; use int64");
}

#[test]
fn what_was_met_is_known_from_the_states() {
    let bytes: Vec<u8> =
        [f64::NAN, f64::INFINITY, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    for op in [Op::Sum, Op::Max, Op::Prod] {
        let spec = Spec { dtype: DType::F64, monoids: op.monoids(DType::F64) };
        let partial = reference::reduce_line(&spec, ByteOrder::Little, &bytes);
        let found = special(partial.states(0));
        assert_eq!((found.nan, found.infinite), (1, true), "{op}");
    }
}
