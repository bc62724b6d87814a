//! A hint to the processor to load what comes next.

/// Bytes of a line of the cache, which one hint loads.
pub const LINE_BYTES: usize = 64;

/// How far ahead loops at the rate of memory ask for it: two pages, since hardware
/// prefetchers stop at the end of each. What comes so far ahead goes to the second cache, from
/// which hardware loads the first in time.
const STREAM_BYTES: usize = 8192;

/// How far ahead loops ask for memory that leave little room to hardware prefetchers, since
/// they wait for the first cache: what they need goes there.
const SCATTER_BYTES: usize = 2048;

/// Hints that the memory some way past `chunk`, as large as that, will be read soon, in a
/// loop at the rate of memory. It may lie past the end of the data: a hint never faults. A
/// no-op on processors without a stable intrinsic.
#[inline(always)]
pub fn streamed<T>(chunk: &T) {
    ahead::<STREAM_BYTES, false, T>(chunk);
}

/// The same in a loop that adds to the first cache, as bins do.
#[inline(always)]
pub fn scattered<T>(chunk: &T) {
    ahead::<SCATTER_BYTES, true, T>(chunk);
}

/// The lines of bytes that begin at one, with a hint for each, and those bytes that are left.
#[inline(always)]
pub fn lines(bytes: &[u8]) -> (impl Iterator<Item = &[u8; LINE_BYTES]> + Clone, &[u8]) {
    let (lines, rest) = bytes.as_chunks();
    (lines.iter().inspect(|line| scattered(*line)), rest)
}

#[inline(always)]
fn ahead<const BYTES: usize, const TO_FIRST: bool, T>(chunk: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        for line in 0..const { size_of::<T>().div_ceil(LINE_BYTES) } {
            let bytes = BYTES + line * LINE_BYTES;
            let address = std::ptr::from_ref(chunk).wrapping_byte_add(bytes).cast();
            // SAFETY: prefetching is part of SSE, which x86_64 always has, reads
            // nothing that the program can observe, and ignores invalid addresses;
            // the address is formed by wrapping arithmetic and never dereferenced.
            unsafe {
                match TO_FIRST {
                    true => _mm_prefetch::<_MM_HINT_T0>(address),
                    false => _mm_prefetch::<_MM_HINT_T1>(address),
                }
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = chunk;
}
