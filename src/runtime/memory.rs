//! How much memory this process holds, and giving back what the C library's allocator keeps of it.
//!
//! After a backlog or a restore, glibc keeps what librdkafka's threads have freed for as long as
//! the process lives: a stream that needed 60 MiB was seen at 230 after half an hour of outages.

use std::thread;
use std::time::Duration;
use std::{fs, io};

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

/// Bytes that are in memory at present, as the kernel counts them; `None` where it does not tell.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_has_freed_goes_back() {
        let keep = thread::spawn(|| {
            let mut blocks: Vec<Box<[u8]>> =
                (0..256 << 10).map(|_| vec![1; 1 << 10].into()).collect();
            // The newest block holds on to all that lies below it.
            blocks.pop()
        });
        let kept = keep.join().expect("it ends");
        let resident = || resident_bytes().expect("Linux tells");
        let before = resident();
        give_back();
        let given = before.saturating_sub(resident());
        assert!(given > 128 << 20, "{given} bytes of 256 MiB went back");
        drop(kept);
    }
}
