//! Elements as machine words.

use num_traits::{AsPrimitive, PrimInt, WrappingAdd};

use super::prefetch;

/// An integer of the size of an element.
pub trait Word: PrimInt + WrappingAdd + AsPrimitive<u64> {
    /// All bits of the word.
    const BITS: u32;

    /// The words of little-endian bytes, of any alignment.
    fn all(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone;

    /// The same by four, and those that are left. Asks for what comes after
    /// them ahead of time.
    fn quads(
        bytes: &[u8],
    ) -> (impl Iterator<Item = [Self; 4]> + Clone, impl Iterator<Item = Self> + Clone);
}

macro_rules! word {
    ($($word:ty),*) => {$(
        impl Word for $word {
            const BITS: u32 = <$word>::BITS;

            #[inline(always)]
            fn all(bytes: &[u8]) -> impl ExactSizeIterator<Item = Self> + Clone {
                bytes.as_chunks().0.iter().map(|&word| <$word>::from_le_bytes(word))
            }

            #[inline(always)]
            fn quads(
                bytes: &[u8],
            ) -> (impl Iterator<Item = [Self; 4]> + Clone, impl Iterator<Item = Self> + Clone) {
                const SIZE: usize = size_of::<$word>();
                let (quads, rest) = bytes.as_chunks::<{ 4 * SIZE }>();
                let quads = quads.iter().map(|quad| {
                    prefetch::ahead(quad);
                    let [a, b, c, d] = *quad.as_chunks::<SIZE>().0 else {
                        unreachable!("four words")
                    };
                    [a, b, c, d].map(<$word>::from_le_bytes)
                });
                (quads, Self::all(rest))
            }
        }
    )*};
}

word!(u8, u16, u32, u64, i8, i16, i32, i64);
