//! Wall time, processor time and memory of a piece of work: ours by the kernel's own account, the
//! servers' by their process ids, so that what moves from us to them is seen.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a running process' memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    pub records: usize,
    pub wall_seconds: f64,
    /// User and system time of what is measured.
    pub cpu_seconds: f64,
    pub kafka_cpu_seconds: f64,
    pub cassandra_cpu_seconds: f64,
    /// Highest resident set, MB; 0 for work inside of the suite.
    pub peak_memory_mb: f64,
}

impl Measured {
    /// Records per second of wall time.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.wall_seconds
    }

    /// `cpu_seconds`, or a server's, for a million records.
    pub fn per_million(&self, cpu_seconds: f64) -> f64 {
        cpu_seconds / self.records as f64 * 1e6
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} trades/s, CPU-s per million {:.2} ours, {:.2} Kafka, {:.2} Cassandra, {:.0} MB",
            self.rate(),
            self.per_million(self.cpu_seconds),
            self.per_million(self.kafka_cpu_seconds),
            self.per_million(self.cassandra_cpu_seconds),
            self.peak_memory_mb
        )
    }
}

/// What the measured work itself took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own {
    /// `None`: all the time that it was waited for.
    pub wall_seconds: Option<f64>,
    pub cpu_seconds: f64,
    pub peak_memory_mb: f64,
}

impl Own {
    /// Several processes as one.
    fn and(self, other: Self) -> Self {
        Self {
            wall_seconds: None,
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            peak_memory_mb: self.peak_memory_mb + other.peak_memory_mb,
        }
    }
}

/// A process from its start to its end; it must end with 0.
pub fn child(command: Command) -> Own {
    children(vec![command])
}

/// Several that run beside each other.
pub fn children(commands: Vec<Command>) -> Own {
    let start = |mut command: Command| {
        #[expect(clippy::zombie_processes, reason = "wait4 reaps it, with its usage")]
        let child = command.stdout(Stdio::null()).spawn().expect("the binary starts");
        libc::pid_t::try_from(child.id()).expect("a process id")
    };
    let mut running: Vec<(libc::pid_t, Own)> =
        commands.into_iter().map(|command| (start(command), Own::default())).collect();
    let mut total = Own::default();
    loop {
        running.retain_mut(|(pid, own)| {
            // The process' own count: `ru_maxrss` begins with what this one held when it forked.
            own.peak_memory_mb = peak_memory_mb(pid.cast_unsigned()).unwrap_or(own.peak_memory_mb);
            let Some(cpu_seconds) = reaped(*pid) else { return true };
            total = total.and(Own { cpu_seconds, ..*own });
            false
        });
        if running.is_empty() {
            return total;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The processor time of a child that has ended, s; `None`: it runs.
fn reaped(pid: libc::pid_t) -> Option<f64> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeroes is valid; `wait4` fills it and reaps
    // exactly the child that was started here, for which nobody else waits.
    let (reaped, usage) = unsafe {
        let mut usage = std::mem::zeroed();
        (libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
    };
    if reaped != pid {
        return None;
    }
    assert_eq!(status, 0, "the measured process failed: wait status {status}");
    Some(cpu_in(&usage))
}

/// User and system time, s.
pub fn cpu_in(usage: &libc::rusage) -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// User and system time of a process that runs, s.
pub fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // After the name, which may hold anything: the 14th and 15th field are user and system ticks.
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.map(|text| text.parse::<f64>().expect("a number of ticks")).sum();
    // SAFETY: takes a number and returns one.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

/// Highest resident set of a process that runs, MB.
pub fn peak_memory_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
