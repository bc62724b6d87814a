//! Products of integers.

use super::counts::count;
use super::line::{Line, merge};
use super::prefetch;
use super::stretch::Stretch;
use super::word::Word;
use crate::dtype::DType;
use crate::reduction::State;
use crate::reduction::product::Product;

/// Elements after which it is looked whether the rest can still change the
/// product.
const BLOCK_ELEMENTS: usize = 256;

/// Products modulo 2^64, with what else is to be known of them.
pub struct Factors;

impl Line for Factors {
    fn add(&mut self, stretch: &Stretch<'_>, state: &mut State) {
        let made = match stretch.dtype {
            DType::Bool => multiply::<_, 64>(stretch, |x: u8| u64::from(x != 0)),
            DType::I8 => multiply::<_, 64>(stretch, |x: i8| x.unsigned_abs().into()),
            DType::I16 => multiply::<_, 32>(stretch, |x: i16| x.unsigned_abs().into()),
            DType::I32 => multiply::<_, 16>(stretch, |x: i32| x.unsigned_abs().into()),
            DType::I64 => multiply::<_, 8>(stretch, |x: i64| x.unsigned_abs()),
            DType::U8 => multiply::<_, 64>(stretch, |x: u8| x.into()),
            DType::U16 => multiply::<_, 32>(stretch, |x: u16| x.into()),
            DType::U32 => multiply::<_, 16>(stretch, |x: u32| x.into()),
            DType::U64 => multiply::<_, 8>(stretch, |x: u64| x),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
                unreachable!("floats are multiplied by a tree")
            }
        };
        merge(state, State::Product(made));
    }
}

#[inline(always)]
fn multiply<W: Word, const N: usize>(
    stretch: &Stretch<'_>,
    magnitude: impl Fn(W) -> u64,
) -> Product {
    let bytes = stretch.bytes;
    let [zeros, negatives] = count::<W, 2, N>(bytes, |x| [x == W::zero(), x < W::zero()]);
    let (mut product, mut overflowed) = (1, false);
    let mut times = |product: u64, factor: u64| {
        let (product, carried) = product.overflowing_mul(factor);
        overflowed |= carried;
        product
    };
    for block in bytes.chunks(BLOCK_ELEMENTS * size_of::<W>()) {
        // Zero modulo 2^64, so past 2^64: more factors change neither.
        if product == 0 {
            break;
        }
        // Four products at once, for a multiplication takes longer than it
        // keeps the next from starting. No factor is zero, so what passes 2^64
        // in any part does so in the whole.
        let (quads, rest) = W::split(block).as_chunks::<4>();
        let factor = |word| magnitude(W::of(word)).max(1);
        let mut parts = [1; 4];
        for quad in quads {
            prefetch::scattered(quad);
            for (part, &x) in parts.iter_mut().zip(quad) {
                *part = times(*part, factor(x));
            }
        }
        let rest = rest.iter().map(|&x| factor(x));
        product = parts.into_iter().chain(rest).fold(product, &mut times);
    }
    let elements = stretch.elements() as u64;
    let made = Product::from_parts(
        stretch.dtype,
        elements,
        zeros,
        negatives % 2 == 1,
        product,
        overflowed,
    );
    made.expect("a product of elements of the type")
}
