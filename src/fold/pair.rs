//! Exact sums of two floats: one addition.
//!
//! IEEE 754 defines `a + b` as the exact sum, rounded once, to nearest, ties to even.

use std::ops::Add;

use crate::backend::cpu::simd::{Loop, Vectors};

/// A float with an addition of its own in the processor.
pub trait Float: Copy + Add<Output = Self> {
    const ZERO: Self;
    const SIZE: usize = size_of::<Self>();
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
    /// It, or the one NaN that comes out for all.
    fn canonical(self) -> Self;
}

macro_rules! float {
    ($float:ty, $nan:literal) => {
        impl Float for $float {
            const ZERO: $float = 0.0;

            #[inline(always)]
            fn read(bytes: &[u8]) -> $float {
                <$float>::from_le_bytes(bytes.try_into().expect("one element"))
            }

            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }

            #[inline(always)]
            fn canonical(self) -> $float {
                if self.is_nan() { <$float>::from_bits($nan) } else { self }
            }
        }
    };
}

float!(f32, 0x7fc0_0000);
float!(f64, 0x7ff8_0000_0000_0000);

/// Writes the sums of the elements of two arrays. The thread's floats are as IEEE 754 has
/// them.
pub fn add<F: Float>(a: &[u8], b: &[u8], out: &mut [u8]) {
    Vectors::new().run(Adding::<F> { a, b, out, of: std::marker::PhantomData });
}

struct Adding<'a, F> {
    a: &'a [u8],
    b: &'a [u8],
    out: &'a mut [u8],
    of: std::marker::PhantomData<F>,
}

impl<F: Float> Loop for Adding<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let terms = self.a.chunks_exact(F::SIZE).zip(self.b.chunks_exact(F::SIZE));
        for (out, (a, b)) in self.out.chunks_exact_mut(F::SIZE).zip(terms) {
            // Zero more makes -0 to +0, and nothing else.
            let sum = F::read(a) + F::read(b) + F::ZERO;
            sum.canonical().write(out);
        }
    }
}
