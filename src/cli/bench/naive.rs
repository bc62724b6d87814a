//! The naive way: running sums in the elements' own type, which round at every
//! step, and a plain read. Both in full vectors, on all threads.

use std::hint::black_box;

use crate::backend::cpu::simd::{Loop, Vectors};
use crate::dtype::DType;

/// What the naive way does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naive {
    /// Reads each element.
    Read,
    /// Adds each element.
    Sum,
    /// Adds the square of each.
    Squares,
    /// Adds both.
    Moments,
    /// Adds the product of each pair.
    Dot,
}

impl Naive {
    /// Does it on so many threads.
    pub fn run(self, dtype: DType, first: &[u8], second: &[u8], threads: usize) {
        // Whole vectors for each, in lines of the cache, so that they are as fast as they can be.
        let before = first.as_ptr().align_offset(64);
        let (first, second) = (&first[before..], &second[before..]);
        let share = first.len().div_ceil(threads).next_multiple_of(4096);
        std::thread::scope(|scope| {
            for (first, second) in first.chunks(share).zip(second.chunks(share)) {
                scope.spawn(move || self.here(dtype, first, second));
            }
        });
    }

    /// Does it on this thread.
    pub fn here(self, dtype: DType, first: &[u8], second: &[u8]) {
        let vectors = Vectors::new();
        black_box(match dtype {
            _ if self == Naive::Read => vectors.run(Read(first)),
            DType::F32 => vectors.run(Sum32 { naive: self, first, second }),
            DType::F64 => vectors.run(Sum64 { naive: self, first, second }),
            _ => vectors.run(Read(first)),
        });
    }
}

struct Read<'a>(&'a [u8]);

impl Loop for Read<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let words = self.0.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        words.fold(0, std::ops::BitXor::bitxor) as f64
    }
}

macro_rules! running_sums {
    ($name:ident, $float:ty, $lanes:literal) => {
        struct $name<'a> {
            naive: Naive,
            first: &'a [u8],
            second: &'a [u8],
        }

        impl Loop for $name<'_> {
            type Output = f64;

            #[inline(always)]
            fn run(self) -> f64 {
                let split = |bytes| {
                    <[u8]>::as_chunks::<{ size_of::<$float>() }>(bytes).0.as_chunks::<$lanes>().0
                };
                let (first, second) = (split(self.first), split(self.second));
                let value = |bytes| <$float>::from_le_bytes(bytes);
                let (mut sums, mut squares) = ([0.0; $lanes], [0.0; $lanes]);
                match self.naive {
                    Naive::Read | Naive::Sum => {
                        for group in first {
                            for lane in 0..$lanes {
                                sums[lane] += value(group[lane]);
                            }
                        }
                    }
                    Naive::Squares => {
                        for group in first {
                            for lane in 0..$lanes {
                                sums[lane] += value(group[lane]) * value(group[lane]);
                            }
                        }
                    }
                    Naive::Moments => {
                        for group in first {
                            for lane in 0..$lanes {
                                sums[lane] += value(group[lane]);
                                squares[lane] += value(group[lane]) * value(group[lane]);
                            }
                        }
                    }
                    Naive::Dot => {
                        for (a, b) in first.iter().zip(second) {
                            for lane in 0..$lanes {
                                sums[lane] += value(a[lane]) * value(b[lane]);
                            }
                        }
                    }
                }
                let total: $float = sums.into_iter().chain(squares).sum();
                total.into()
            }
        }
    };
}

running_sums!(Sum32, f32, 64);
running_sums!(Sum64, f64, 32);
