//! No core dumps: one holds the whole memory of the process, and with it every key and password.

/// Forbids them for this process. A crash still tells its line and its exit code.
///
/// On Linux this also keeps other processes of the same user from reading the memory or the
/// environment of this one; root still can.
pub fn forbid_core_dumps() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `setrlimit` reads the struct, which lives for the call. Should the system refuse,
    // the process is as it was, so the result is of no use.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // A dump that is piped to a program (systemd-coredump, apport) knows no limit, but this.
    #[cfg(target_os = "linux")]
    // SAFETY: takes two integers and touches no memory.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
    }
}
