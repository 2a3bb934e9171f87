//! Wall time, CPU time and peak memory of a piece of work, here or in a child process.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub records: usize,
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    /// Highest resident set, MB; 0 for work in this process.
    pub peak_memory_mb: f64,
}

impl Measured {
    /// Records per second of wall time.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.wall_seconds
    }

    pub fn cpu_seconds_per_million(&self) -> f64 {
        self.cpu_seconds / self.records as f64 * 1e6
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} records/s, {:.2} CPU-s per million, {:.1} s, {:.0} MB",
            self.rate(),
            self.cpu_seconds_per_million(),
            self.wall_seconds,
            self.peak_memory_mb
        )
    }
}

/// The run with the median rate.
pub fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    runs[runs.len() / 2]
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

fn cpu_of(usage: &libc::rusage) -> f64 {
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn usage_of(who: libc::c_int) -> libc::rusage {
    // SAFETY: `rusage` is plain numbers, for which all zeroes is valid, and the call only fills it.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    }
}

/// Measures work in this process; `records` is left to the caller.
pub fn run_here(work: impl FnOnce()) -> Measured {
    let (before, started) = (usage_of(libc::RUSAGE_SELF), Instant::now());
    work();
    Measured {
        records: 0,
        wall_seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_of(&usage_of(libc::RUSAGE_SELF)) - cpu_of(&before),
        peak_memory_mb: 0.0,
    }
}

/// How often a child's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Measures a child process from start to exit; it must exit with 0.
pub fn run_child(mut command: Command) -> Measured {
    let started = Instant::now();
    #[expect(clippy::zombie_processes, reason = "wait4 below reaps it, with its usage")]
    let child = command.stdout(Stdio::null()).spawn().expect("the binary starts");
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    let (mut status, mut peak_memory_mb) = (0, 0.0);
    let usage = loop {
        // SAFETY: as above; `wait4` reaps exactly the child that was started here, and `child` is
        // not waited for by anybody else.
        let (reaped, usage) = unsafe {
            let mut usage = std::mem::zeroed();
            (libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage), usage)
        };
        if reaped == pid {
            break usage;
        }
        // The child's own count: `ru_maxrss` begins with what this process held when it forked.
        peak_memory_mb = peak_memory(child.id()).unwrap_or(peak_memory_mb);
        std::thread::sleep(LOOK_EVERY);
    };
    assert_eq!(status, 0, "the measured process failed: wait status {status}");
    Measured {
        records: 0,
        wall_seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_of(&usage),
        peak_memory_mb,
    }
}

/// `VmHWM` of a process, MB.
fn peak_memory(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
