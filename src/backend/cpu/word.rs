//! Elements as machine words.

use num_traits::{AsPrimitive, PrimInt, WrappingAdd};

/// An integer of the size of an element.
pub trait Word: PrimInt + WrappingAdd + AsPrimitive<u64> {
    /// All bits of the word.
    const BITS: u32;

    /// Its bytes.
    type Bytes: Copy + Default;

    /// The words of bytes, each still as its bytes, which may lie anywhere.
    fn split(bytes: &[u8]) -> &[Self::Bytes];

    /// The word of little-endian bytes.
    fn of(bytes: Self::Bytes) -> Self;

    /// The words of little-endian bytes, of any alignment.
    fn all(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone;
}

macro_rules! word {
    ($($word:ty),*) => {$(
        impl Word for $word {
            const BITS: u32 = <$word>::BITS;

            type Bytes = [u8; size_of::<$word>()];

            #[inline(always)]
            fn split(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }

            #[inline(always)]
            fn of(bytes: Self::Bytes) -> Self {
                <$word>::from_le_bytes(bytes)
            }

            #[inline(always)]
            fn all(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone {
                bytes.as_chunks().0.iter().map(|&word| <$word>::from_le_bytes(word))
            }
        }
    )*};
}

word!(u8, u16, u32, u64, i8, i16, i32, i64);

/// Words by so many at a time, which is how loops fill vectors.
#[derive(Clone, Copy)]
pub struct Groups<'a, W: Word, const N: usize> {
    /// All but the last few words.
    pub whole: &'a [[W::Bytes; N]],
    /// Those, with zeros after them; absent if there are none.
    pub last: Option<[W::Bytes; N]>,
}

impl<'a, W: Word, const N: usize> Groups<'a, W, N> {
    /// The words of bytes.
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Self {
        let (whole, rest) = W::split(bytes).as_chunks::<N>();
        let mut last = [W::Bytes::default(); N];
        last[..rest.len()].copy_from_slice(rest);
        Groups { whole, last: (!rest.is_empty()).then_some(last) }
    }

    /// Both parts as lists.
    #[inline(always)]
    pub fn parts(&self) -> [&[[W::Bytes; N]]; 2] {
        [self.whole, self.last.as_slice()]
    }
}
