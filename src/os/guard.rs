//! The guard that keeps a lost page of a mapped file from ending the program.
//!
//! Reading a mapped page that the file no longer has, or that the disk fails to
//! give, raises SIGBUS, which by default ends the process. The guard is a
//! handler for that signal and a table of the ranges that are mapped. A fault
//! inside one of them puts pages of zeros over the rest of the range, marks it
//! as lost, and returns: the read goes on and finds zeros, and its reader finds
//! the mark before it believes them. A SIGBUS from anywhere else goes to the
//! handler that was there before, or has its default effect.
//!
//! The handler runs between any two instructions of any thread, so it takes no
//! lock and allocates nothing: it reads atomics of a table of fixed size, and
//! makes one system call.
//!
//! Not even a handler helps a thread that blocks SIGBUS: the kernel ends the
//! process then. No thread of this crate blocks it.
//!
//! The handler never acts on a range that is not mapped. Each slot has a sequence number
//! that is odd while the slot is written and changes with every use. The
//! handler skips a slot that is odd or changes while it looks; that is never
//! the slot of the fault, because a range is announced before its first read
//! and withdrawn after its last, and the faulting read is under way.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{c_int, c_void};

/// The most ranges that are mapped at once. Beyond, files are read.
pub const RANGES_MAX: usize = 1024;

struct Slot {
    /// Whether a guarded range owns the slot.
    taken: AtomicBool,
    /// Odd while `start` and `end` do not belong together.
    sequence: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    /// Whether a page of the range was lost.
    lost: AtomicBool,
}

static TABLE: [Slot; RANGES_MAX] = [const { Slot::free() }; RANGES_MAX];

/// The action for SIGBUS that the guard took the place of.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// A range of addresses for which lost pages are survived. Withdrawn when
/// dropped, which must be before the range is unmapped.
#[derive(Debug)]
pub struct GuardedRange {
    slot: usize,
}

impl GuardedRange {
    /// Guards `addresses`, whole pages that are mapped; `None` if the table is
    /// full or another handler has taken the guard's place.
    pub fn new(addresses: Range<usize>) -> Option<GuardedRange> {
        if !install() {
            return None;
        }
        let take = |slot: &Slot| slot.taken.compare_exchange(false, true, SeqCst, SeqCst).is_ok();
        let slot = TABLE.iter().position(take)?;
        TABLE[slot].lost.store(false, SeqCst);
        TABLE[slot].announce(addresses);
        Some(GuardedRange { slot })
    }

    /// Whether a page of the range was lost since it is guarded.
    pub fn is_lost(&self) -> bool {
        TABLE[self.slot].lost.load(SeqCst)
    }
}

impl Drop for GuardedRange {
    fn drop(&mut self) {
        TABLE[self.slot].announce(0..0);
        TABLE[self.slot].taken.store(false, SeqCst);
    }
}

impl Slot {
    const fn free() -> Slot {
        Slot {
            taken: AtomicBool::new(false),
            sequence: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
        }
    }

    fn announce(&self, addresses: Range<usize>) {
        self.sequence.fetch_add(1, SeqCst);
        self.start.store(addresses.start, SeqCst);
        self.end.store(addresses.end, SeqCst);
        self.sequence.fetch_add(1, SeqCst);
    }

    /// Where the range ends, if it holds `address`.
    fn end_if_holds(&self, address: usize) -> Option<usize> {
        let before = self.sequence.load(SeqCst);
        let addresses = self.start.load(SeqCst)..self.end.load(SeqCst);
        let stable = before.is_multiple_of(2) && before == self.sequence.load(SeqCst);
        (stable && addresses.contains(&address)).then_some(addresses.end)
    }
}

/// Sets the handler once; says whether it is the one in place.
fn install() -> bool {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let current = current_action();
    if PREVIOUS.set(current).is_err() {
        // A program that sets its own handler later may or may not call this
        // one, so files are not mapped any more: slower, never fatal.
        return current.sa_sigaction == handler();
    }
    // SAFETY: all bytes zero is a valid sigaction: the default action, no
    // flags, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler();
    // Rust's own handler tells an overflow of the stack from other faults and
    // so needs the alternate stack, also when it is called from this one.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action is a valid struct and its handler has the signature
    // that SA_SIGINFO asks for; what the handler may do is argued there.
    unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) == 0 }
}

fn handler() -> libc::sighandler_t {
    on_bus_error as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t
}

fn current_action() -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given, and there is room for the current one.
    // Zeros are a valid struct too, should the call fail, which it cannot for
    // a signal that exists.
    unsafe {
        libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `info`.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let is_fault = !is_sent(code);
    if is_fault && bridge(address) {
        return;
    }
    pass_on(signal, info, context, is_fault);
}

/// Puts zeros over the rest of the guarded range that holds `address`; says
/// whether there is one and that went well.
fn bridge(address: usize) -> bool {
    let Some((slot, end)) = TABLE.iter().find_map(|slot| Some((slot, slot.end_if_holds(address)?)))
    else {
        return false;
    };
    slot.lost.store(true, SeqCst);
    let page = address - address % page_bytes();
    // SAFETY: the pages from `page` to `end` belong to one guarded range, which
    // is mapped and stays so while the faulting read is under way (see the
    // module's documentation). Readers of the range see zeros from now on,
    // which are as good as any bytes of a file that changes. On Linux and macOS
    // mmap is a plain system call that takes no lock of this process; errno,
    // all else that it touches, is put back for the code that was interrupted.
    unsafe {
        let errno = errno();
        let saved = *errno;
        let zeros = libc::mmap(
            page as *mut c_void,
            end - page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED,
            -1,
            0,
        );
        *errno = saved;
        zeros != libc::MAP_FAILED
    }
}

/// Does what would have happened without the guard.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, is_fault: bool) {
    let previous = PREVIOUS.get().map(|action| (action.sa_sigaction, action.sa_flags));
    let (previous, flags) = previous.unwrap_or((libc::SIG_DFL, 0));
    // A fault cannot be ignored: the instruction would fault again for ever.
    if previous == libc::SIG_IGN && !is_fault {
        return;
    }
    if previous == libc::SIG_DFL || previous == libc::SIG_IGN {
        // SAFETY: all bytes zero is the default action (see `install`); sigaction
        // and raise may be called in a handler. The signal is blocked while
        // this handler runs, so it is delivered when it returns.
        unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &default, ptr::null_mut());
            libc::raise(signal);
        }
        return;
    }
    // SAFETY: the kernel would have called this function of the program with
    // these arguments and, by the flags, this signature.
    unsafe {
        if flags & libc::SA_SIGINFO != 0 {
            let previous: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                std::mem::transmute(previous);
            previous(signal, info, context);
        } else {
            let previous: extern "C" fn(c_int) = std::mem::transmute(previous);
            previous(signal);
        }
    }
}

/// Bytes of a page, a power of two.
pub fn page_bytes() -> usize {
    // SAFETY: sysconf only looks up a number, and may be called in a handler.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Whether a process sent the signal, which then carries no address.
#[cfg(target_os = "linux")]
fn is_sent(code: c_int) -> bool {
    code <= 0
}

/// Whether a process sent the signal, which then carries no address. The codes
/// from `SI_USER` on, which the `libc` crate lacks, say so.
#[cfg(target_vendor = "apple")]
fn is_sent(code: c_int) -> bool {
    code >= 0x1_0001
}

/// Where this thread's errno lies.
#[cfg(target_os = "linux")]
unsafe fn errno() -> *mut c_int {
    // SAFETY: the function only returns an address.
    unsafe { libc::__errno_location() }
}

/// Where this thread's errno lies.
#[cfg(target_vendor = "apple")]
unsafe fn errno() -> *mut c_int {
    // SAFETY: the function only returns an address.
    unsafe { libc::__error() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_guards_no_more_until_a_range_is_withdrawn() {
        // Addresses that nothing is mapped at: no fault will ever have them.
        let page = page_bytes();
        let guard = |index: usize| GuardedRange::new(index * page..(index + 1) * page);
        let mut ranges: Vec<GuardedRange> = (1..).map_while(guard).collect();
        assert!(ranges.len() <= RANGES_MAX);
        assert!(guard(1).is_none());
        ranges.pop();
        assert!(guard(1).is_some());
    }

    #[test]
    fn a_slot_holds_its_range_and_no_address_beside_it() {
        let slot = Slot::free();
        assert_eq!(slot.end_if_holds(0), None);
        slot.announce(8192..16384);
        let ends = [8191, 8192, 16383, 16384].map(|address| slot.end_if_holds(address));
        assert_eq!(ends, [None, Some(16384), Some(16384), None]);
        slot.sequence.fetch_add(1, SeqCst);
        assert_eq!(slot.end_if_holds(8192), None);
    }
}
