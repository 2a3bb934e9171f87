//! Gives back to the system what the C library's allocator keeps for later.
//!
//! After a backlog or a restore, glibc keeps what librdkafka's threads have freed for as long as
//! the process lives: a stream that needed 60 MiB was seen at 230 after half an hour of outages.

use std::io;
use std::thread;
use std::time::Duration;

/// Often enough that the memory of an hour ago is not taken for today's, seldom enough to cost
/// nothing: a few milliseconds, less than a thousandth of the time.
const EVERY: Duration = Duration::from_secs(30);

/// Does it now and then until the process ends.
///
/// # Errors
/// Of the system, when it has no thread left.
pub fn give_back_now_and_then() -> io::Result<()> {
    let forever = || loop {
        thread::sleep(EVERY);
        give_back();
    };
    thread::Builder::new().name("memory".into()).spawn(forever).map(drop)
}

/// Other allocators than glibc's do it by themselves.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time from any thread, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[test]
    fn what_a_thread_has_freed_goes_back() {
        let keep = thread::spawn(|| {
            let mut blocks: Vec<Box<[u8]>> =
                (0..256 << 10).map(|_| vec![1; 1 << 10].into()).collect();
            // The newest block holds on to all that lies below it.
            blocks.pop()
        });
        let kept = keep.join().expect("it ends");
        let before = resident_kib();
        give_back();
        let given_kib = before.saturating_sub(resident_kib());
        assert!(given_kib > 128 << 10, "{given_kib} KiB of 256 MiB went back");
        drop(kept);
    }
}
