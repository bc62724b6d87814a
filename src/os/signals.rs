//! Signals that end the program.

/// Calls `handler` at SIGINT, SIGTERM and SIGHUP, or Ctrl-C elsewhere; but not at SIGHUP
/// where that is ignored, as by `nohup`: then it stays so.
///
/// # Errors
/// There is a handler already, or the system has none.
pub fn on_end(handler: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    let is_ignored = hangup_is_ignored();
    ctrlc::set_handler(handler)?;
    if is_ignored {
        ignore_hangup();
    }
    Ok(())
}

#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes to `action`, which is one; that is
    // plain data for which zeros are valid, too, should it fail.
    let action = unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(unix)]
fn ignore_hangup() {
    // SAFETY: SIG_IGN is an action of every system, and no code of ours is run by it.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

#[cfg(not(unix))]
fn hangup_is_ignored() -> bool {
    false
}

#[cfg(not(unix))]
fn ignore_hangup() {}
