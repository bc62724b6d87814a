//! Canonical and portable bytes: round trips, canonicity, and refusals.

use proptest::prelude::*;

use super::portable::VECTORS_MAX;
use super::*;
use crate::reduction::sum::Sum;

fn partial_of(dtype: DType, elements: &[u64]) -> Partial {
    let unused = 64 - 8 * dtype.size_bytes() as u32;
    let mut total = Sum::identity(dtype);
    for bits in elements {
        total.merge(&Sum::lift(dtype, bits << unused >> unused)).unwrap();
    }
    Partial::from(total)
}

fn any_partial() -> impl Strategy<Value = Partial> {
    let dtype = prop::sample::select(DType::ALL.to_vec());
    (dtype, prop::collection::vec(any::<u64>(), 0..30))
        .prop_map(|(dtype, elements)| partial_of(dtype, &elements))
}

proptest! {
    #[test]
    fn bytes_lead_back_to_the_partial(partial in any_partial()) {
        let bytes = partial.to_bytes();
        prop_assert!(bytes.len() <= ENCODED_BYTES_MAX);
        prop_assert_eq!(Partial::from_bytes(&bytes).unwrap(), partial);
    }

    #[test]
    fn equal_sums_have_equal_bytes(
        dtype in prop::sample::select(DType::ALL.to_vec()),
        mut elements in prop::collection::vec(any::<u64>(), 2..30),
        turn in 0usize..30,
    ) {
        let bytes = partial_of(dtype, &elements).to_bytes();
        let turn = turn % elements.len();
        elements.rotate_left(turn);
        prop_assert_eq!(partial_of(dtype, &elements).to_bytes(), bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Partial::from_bytes(&bytes);
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(
        partial in any_partial(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut bytes = partial.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(decoded) = Partial::from_bytes(&bytes) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
        }
    }

    #[test]
    fn adding_portable_vectors_merges(
        dtype in prop::sample::select(DType::ALL.to_vec()),
        parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..20), 1..8),
    ) {
        let mut merged = Partial::identity(Spec::sum(dtype));
        let mut vector = vec![0; Partial::portable_len(Spec::sum(dtype))];
        for part in &parts {
            let partial = partial_of(dtype, part);
            merged.merge(&partial).unwrap();
            for (word, addend) in vector.iter_mut().zip(partial.to_portable().unwrap()) {
                *word += addend;
            }
        }
        prop_assert_eq!(Partial::from_portable(Spec::sum(dtype), &vector).unwrap(), merged);
    }

    #[test]
    fn arbitrary_portable_words_never_panic(words in prop::collection::vec(any::<i64>(), 73)) {
        let _ = Partial::from_portable(Spec::sum(DType::F64), &words);
    }
}

#[test]
fn sizes_are_those_of_the_papers() {
    assert_eq!(Partial::identity(Spec::sum(DType::F32)).to_bytes().len(), HEADER_BYTES + 48);
    assert_eq!(Partial::identity(Spec::sum(DType::F64)).to_bytes().len(), HEADER_BYTES + 272);
    assert_eq!(Partial::identity(Spec::sum(DType::I8)).to_bytes().len(), HEADER_BYTES + 16);
    assert_eq!(Partial::portable_len(Spec::sum(DType::F64)), 73);
}

#[test]
fn each_rule_of_the_bytes_is_checked() {
    let good = partial_of(DType::F64, &[1.5_f64.to_bits(), 2.5_f64.to_bits()]).to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Partial::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 9), DecodeError::Version { expected: 1, got: 9 });
    assert_eq!(with(1, 99), DecodeError::Op { code: 99 });
    assert_eq!(with(2, 11), DecodeError::DType { code: 11 });
    assert_eq!(with(5, 1), DecodeError::Reserved);
    // Three NaN among two elements.
    assert_eq!(with(16, 3), InvalidSum::Counts { special: 3, elements: 2 }.into());
    // A sum of about 2^1100 from two elements of at most 2^1024.
    let top = good.len() - 1;
    assert_eq!(with(top, 0x3f), InvalidSum::Magnitude { elements: 2 }.into());
    assert_eq!(with(top, 0x80), InvalidSum::Magnitude { elements: 2 }.into());
    let long = [&good[..], &[0]].concat();
    assert_eq!(
        Partial::from_bytes(&long),
        Err(DecodeError::Length { expected: good.len(), got: good.len() + 1 })
    );
    assert!(Partial::from_bytes(&good[..7]).is_err());
}

#[test]
fn the_largest_sum_that_a_count_can_make_is_accepted_and_one_more_is_not() {
    for (dtype, extreme) in [
        (DType::F32, u64::from(f32::MAX.to_bits())),
        (DType::F64, (-f64::MAX).to_bits()),
        (DType::I8, 0x80),
        (DType::I8, 0x7f),
        (DType::I64, i64::MIN as u64),
        (DType::U64, u64::MAX),
        (DType::Bool, 1),
    ] {
        let partial = partial_of(dtype, &[extreme; 3]);
        let mut bytes = partial.to_bytes();
        assert_eq!(Partial::from_bytes(&bytes), Ok(partial), "{dtype}");
        bytes[8] = 2;
        let refused = Err(InvalidSum::Magnitude { elements: 2 }.into());
        assert_eq!(Partial::from_bytes(&bytes), refused, "{dtype}");
    }
}

#[test]
fn the_most_vectors_still_fit_their_words() {
    let spec = Spec::sum(DType::I64);
    let one = partial_of(DType::I64, &[u64::MAX]).to_portable().unwrap();
    let most = VECTORS_MAX as i64;
    let vector: Vec<i64> = one.iter().map(|word| word.checked_mul(most).unwrap()).collect();
    let partial = Partial::from_portable(spec, &vector).unwrap();
    assert_eq!(partial.finish(None).unwrap(), Value::I64(-most));
    let mut over = vector;
    over[8] += 1;
    assert_eq!(
        Partial::from_portable(spec, &over),
        Err(DecodeError::Vectors { max: VECTORS_MAX, got: most + 1 })
    );
}

#[test]
fn portable_words_that_the_vectors_cannot_make_are_refused() {
    let spec = Spec::sum(DType::F32);
    let good = partial_of(DType::F32, &[0x3f80_0000]).to_portable().unwrap();
    let with = |at: usize, word: i64| {
        let mut words = good.clone();
        words[at] = word;
        Partial::from_portable(spec, &words)
    };
    assert_eq!(with(0, -1), Err(DecodeError::Word { index: 0, got: -1, vectors: 1 }));
    assert_eq!(with(0, 1 << 32), Err(DecodeError::Word { index: 0, got: 1 << 32, vectors: 1 }));
    assert!(with(11, i64::from(i32::MAX) + 1).is_err());
    assert!(with(13, -1).is_err());
    assert!(with(16, 0).is_err());
    assert!(Partial::from_portable(spec, &good[1..]).is_err());
}
