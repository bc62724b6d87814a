//! A hint to the processor to load what comes next.

/// How far ahead memory is asked for: two pages, since hardware prefetchers stop at the end
/// of each, and since what is asked for later comes late where memory is slow.
const AHEAD_BYTES: usize = 8192;

/// Bytes that one hint loads.
const LINE_BYTES: usize = 64;

/// Hints that the memory some way past `chunk`, as large as that, will be read soon. It may
/// lie past the end of the data: a hint never faults. A no-op on processors without a
/// stable intrinsic.
///
/// The hint is for the second cache, from which hardware prefetchers load the first, so that
/// what lies in that stays there.
#[inline(always)]
pub fn ahead<T>(chunk: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let lines = const { size_of::<T>().div_ceil(LINE_BYTES) };
        for line in 0..lines {
            let bytes = AHEAD_BYTES + line * LINE_BYTES;
            let address = std::ptr::from_ref(chunk).wrapping_byte_add(bytes).cast();
            // SAFETY: PREFETCHT1 is part of SSE, which x86_64 always has, reads
            // nothing that the program can observe, and ignores invalid addresses;
            // the address is formed by wrapping arithmetic and never dereferenced.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (chunk, AHEAD_BYTES, LINE_BYTES);
}
