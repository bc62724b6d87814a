//! A hint to the processor to load what comes next.

/// How far ahead of the element in hand the hint points, in bytes. Bins leave
/// the hardware prefetcher too little room: with the hint the scalar loop runs
/// at 0.46 ns instead of 0.75 ns per float32.
const AHEAD_BYTES: usize = 2048;

/// Hints that the memory [`AHEAD_BYTES`] past `chunk` will be read soon. It
/// may lie past the end of the data: a hint never faults. A no-op on
/// processors without a stable intrinsic.
#[inline(always)]
pub fn ahead<const N: usize>(chunk: &[u8; N]) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = chunk.as_ptr().wrapping_add(AHEAD_BYTES).cast();
        // SAFETY: PREFETCHT0 is part of SSE, which x86_64 always has, reads
        // nothing that the program can observe, and ignores invalid addresses;
        // the address is formed by wrapping arithmetic and never dereferenced.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (chunk, AHEAD_BYTES);
}
