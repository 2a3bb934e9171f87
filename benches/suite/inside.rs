//! What work costs that the suite does itself, for the bare limits.

use crate::measure::{Own, cpu_in};

/// Work inside of this process; all of its threads count.
pub fn inside(work: impl FnOnce()) -> Own {
    let before = own_cpu();
    work();
    Own { cpu_seconds: own_cpu() - before, ..Own::default() }
}

fn own_cpu() -> f64 {
    // SAFETY: `rusage` is plain numbers, for which all zeroes is valid, and the call only fills it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    cpu_in(&usage)
}
