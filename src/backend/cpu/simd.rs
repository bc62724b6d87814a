//! Loops compiled for the vectors of this processor.
//!
//! A loop is plain code that compilers turn into vector code. It is compiled
//! once for each set of instructions that is worth it, and the widest one that
//! the processor has is chosen when the program runs.

/// A loop over many elements. Its `run` is `#[inline(always)]`, so that it
/// becomes part of each function that is compiled for other instructions.
pub trait Loop {
    /// What it finds.
    type Output;

    /// Runs it.
    fn run(self) -> Self::Output;
}

/// The instructions of this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those of every processor of the architecture.
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Vectors {
    /// The widest that there are.
    pub fn new() -> Vectors {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return Vectors(Kind::Avx512);
            }
            if has_avx2() {
                return Vectors(Kind::Avx2);
            }
        }
        Vectors(Kind::Baseline)
    }

    /// Those with which float64 vectors are faster than integers one by one,
    /// if there are any, and if this thread's floats are as IEEE 754 has them:
    /// programs can make subnormals zero for a thread and all that it starts.
    pub fn for_floats() -> Option<Vectors> {
        #[cfg(test)]
        if WITHOUT_FLOATS.get() {
            return None;
        }
        let vectors = Vectors::new();
        let wide = vectors.0 != Kind::Baseline || cfg!(target_arch = "aarch64");
        (wide && has_default_floats()).then_some(vectors)
    }

    /// All that this processor has, each of which must give the same.
    #[cfg(test)]
    pub fn all() -> Vec<Vectors> {
        let mut all = vec![Vectors(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            all.push(Vectors(Kind::Avx2));
        }
        all.push(Vectors::new());
        all
    }

    /// Runs a loop with them.
    #[inline]
    pub fn run<L: Loop>(self, to_run: L) -> L::Output {
        match self.0 {
            Kind::Baseline => to_run.run(),
            // SAFETY: `new` alone makes this kind, and has found AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2(to_run) },
            // SAFETY: `new` alone makes this kind, and has found AVX2, FMA and
            // the parts of AVX-512 that are named there.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512(to_run) },
        }
    }
}

#[cfg(test)]
thread_local! {
    static WITHOUT_FLOATS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `make` as on a processor without vectors for floats.
#[cfg(test)]
pub fn without_floats<T>(make: impl FnOnce() -> T) -> T {
    WITHOUT_FLOATS.set(true);
    let made = make();
    WITHOUT_FLOATS.set(false);
    made
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// AVX2, FMA and the parts of AVX-512 that all processors with it have but the first.
#[cfg(target_arch = "x86_64")]
pub fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<L: Loop>(to_run: L) -> L::Output {
    to_run.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<L: Loop>(to_run: L) -> L::Output {
    to_run.run()
}

/// Whether subnormals are kept and results are rounded to nearest.
pub fn has_default_floats() -> bool {
    let least = std::hint::black_box(f64::from_bits(1));
    let half = std::hint::black_box(f64::EPSILON / 2.0);
    let keeps_subnormals =
        least + least == f64::from_bits(2) && f64::MIN_POSITIVE * 0.5 + least > 0.0;
    keeps_subnormals && 1.0 + half == 1.0 && 1.0 + half * 1.5 > 1.0 && -1.0 - half == -1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [u32]);

    impl Loop for Sum<'_> {
        type Output = u32;

        #[inline(always)]
        fn run(self) -> u32 {
            self.0.iter().fold(0, |sum, &x| sum.wrapping_add(x))
        }
    }

    #[test]
    fn a_loop_gives_the_same_with_all_vectors() {
        let numbers: Vec<u32> =
            (0..1000_u32).map(|x| x.wrapping_mul(x).wrapping_mul(7919)).collect();
        let expected = numbers.iter().fold(0_u32, |sum, x| sum.wrapping_add(*x));
        for vectors in Vectors::all() {
            assert_eq!(vectors.run(Sum(&numbers)), expected, "{vectors:?}");
        }
    }

    #[test]
    fn the_floats_of_a_test_are_the_default_ones() {
        assert!(has_default_floats());
    }
}
