//! Processes that are not left behind, on Linux and macOS.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a group of processes is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end by itself; stopped processes go on, so that they can.
    Terminate,
    /// To end at once.
    Kill,
}

/// Makes the process of `command` the first of a group of its own, which keeps
/// `inherit` open under the same numbers.
pub fn lead_group(command: &mut Command, inherit: &[BorrowedFd<'_>]) {
    let inherit: Vec<RawFd> = inherit.iter().map(AsRawFd::as_raw_fd).collect();
    command.process_group(0);
    let keep_open = move || {
        for &fd in &inherit {
            // SAFETY: it takes any number and changes a flag of this process's
            // own table.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only functions may be called that can be
    // called in a signal handler: fcntl is a plain system call, and nothing here
    // allocates, since `last_os_error` only keeps a number.
    unsafe { command.pre_exec(keep_open) };
}

/// On Linux, makes the process of `command` end with this one, however that dies.
/// Other systems have no word for it; the pipe between the two must do there.
///
/// To be spawned by a thread that lives as long as this process: the end of
/// that thread is what Linux notices.
pub fn end_with_this_process(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        let ask = move || {
            // SAFETY: the call takes a number and keeps it.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before it was asked for.
            // SAFETY: it only looks up a number.
            let current = unsafe { libc::getppid() };
            match u32::try_from(current) == Ok(parent) {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        };
        // SAFETY: as in `lead_group`; prctl and getppid are plain system calls.
        unsafe { command.pre_exec(ask) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Sends a signal to all processes of the group that `leader` began. One that
/// nobody is left of is no error.
///
/// The leader must not have been waited for, or the number could be another's.
pub fn signal_group(leader: u32, signal: Signal) {
    let Ok(group) = libc::pid_t::try_from(leader) else { return };
    let signals: &[i32] = match signal {
        Signal::Terminate => &[libc::SIGTERM, libc::SIGCONT],
        Signal::Kill => &[libc::SIGKILL],
    };
    for &signal in signals {
        // SAFETY: it takes any two numbers; a group that is gone is an error,
        // which does not matter.
        unsafe { libc::kill(-group, signal) };
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Waits until a child has ended, and leaves it to be waited for: its number,
/// and so its group's, stays taken.
pub fn wait_for_end(child: u32) -> io::Result<End> {
    loop {
        // SAFETY: all bytes zero is a valid siginfo_t, a struct of numbers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` has room for what the call writes.
        if unsafe { libc::waitid(libc::P_PID, child as libc::id_t, &mut info, flags) } == 0 {
            // SAFETY: the call succeeded, so the fields of an ended child are set.
            let status = unsafe { info.si_status() };
            return Ok(match info.si_code {
                libc::CLD_EXITED => End::Code(status),
                _ => End::Signal(status),
            });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes over an open file that this process was started with, and keeps it
/// from its own children.
///
/// # Errors
/// Nothing is open under this number.
pub fn take_inherited(fd: RawFd) -> io::Result<File> {
    // SAFETY: it takes any number, and fails where nothing is open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the file is open, as the call above has shown. The parent opened
    // it for this process's one use, so nothing else here owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Whether reading standard input cannot stop this process, as reading from a
/// terminal stops one in the background.
pub fn may_read_input() -> bool {
    // SAFETY: both calls take any number and only look something up.
    unsafe { libc::isatty(0) == 0 || libc::tcgetpgrp(0) == libc::getpgrp() }
}
