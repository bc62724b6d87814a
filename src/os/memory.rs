//! Advice on memory of the process.

use std::mem::MaybeUninit;

/// Asks for large pages where nothing has been written yet, as NumPy does for its
/// arrays: memory is read faster the fewer pages it has. Without such advice Linux
/// gives small ones, unless it is set up otherwise; elsewhere this does nothing.
pub fn advise_large_pages(memory: &mut [MaybeUninit<u8>]) {
    #[cfg(target_os = "linux")]
    {
        /// What the advice needs the start to be a multiple of: the largest page
        /// that is no large one on any machine.
        const ALIGN: usize = 64 << 10;
        let skip = memory.as_ptr().align_offset(ALIGN).min(memory.len());
        let memory = &mut memory[skip..];
        // SAFETY: the range is of this process and borrowed for writing; the advice
        // changes nothing that is in it, and a refusal leaves it as it was.
        unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
