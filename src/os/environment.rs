//! What the process finds around it.

/// Keeps Mesa's Vulkan drivers from writing on stderr that there is no
/// `XDG_RUNTIME_DIR`, which they look for to find a desktop and which services
/// and containers do not have. A value that is set stays.
///
/// To be called while no other thread is at work.
pub fn quiet_graphics_drivers() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        let folder = std::env::temp_dir();
        // SAFETY: changing the environment is a data race only if another
        // thread reads or changes it meanwhile; `cli::run` calls this as the
        // first thing that the program does, when no other thread is at work.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", folder) };
    }
}
