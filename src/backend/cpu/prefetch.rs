//! A hint to the processor to load what comes next.

/// Hints that the memory `BYTES` past `chunk` will be read soon. It may lie past the end
/// of the data: a hint never faults. A no-op on processors without a stable intrinsic.
#[inline(always)]
pub fn ahead<const BYTES: usize, T>(chunk: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = std::ptr::from_ref(chunk).wrapping_byte_add(BYTES).cast();
        // SAFETY: PREFETCHT0 is part of SSE, which x86_64 always has, reads
        // nothing that the program can observe, and ignores invalid addresses;
        // the address is formed by wrapping arithmetic and never dereferenced.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (chunk, BYTES);
}
