//! Wall time, processor time and memory of a piece of work: ours by the kernel's own account, the
//! servers' by their process ids, so that what moves from us to them is seen.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// The processes beside the measured one.
#[derive(Debug, Clone, Copy)]
pub struct Servers {
    pub kafka: u32,
    /// `None`: not started.
    pub cassandra: Option<u32>,
}

impl Servers {
    /// Measures `work`, which returns what it cost itself.
    pub fn around(self, records: usize, work: impl FnOnce() -> Own) -> Measured {
        let busy = || {
            let cassandra = self.cassandra.map_or(0.0, cpu_of);
            (cpu_of(self.kafka), cassandra, Instant::now())
        };
        let (kafka, cassandra, began) = busy();
        let own = work();
        let (kafka_after, cassandra_after, ended) = busy();
        Measured {
            records,
            wall_seconds: own.wall_seconds.unwrap_or((ended - began).as_secs_f64()),
            cpu_seconds: own.cpu_seconds,
            kafka_cpu_seconds: kafka_after - kafka,
            cassandra_cpu_seconds: cassandra_after - cassandra,
            peak_memory_mb: own.peak_memory_mb,
        }
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
    pub fn and(self, other: Self) -> Self {
        Self {
            wall_seconds: None,
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            peak_memory_mb: self.peak_memory_mb + other.peak_memory_mb,
        }
    }
}

/// Work inside of this process; all of its threads count.
pub fn inside(work: impl FnOnce()) -> Own {
    let before = own_cpu();
    work();
    Own { cpu_seconds: own_cpu() - before, ..Own::default() }
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
    while !running.is_empty() {
        running.retain_mut(|(pid, own)| {
            // The process' own count: `ru_maxrss` begins with what this one held when it forked.
            own.peak_memory_mb = peak_memory_mb(pid.cast_unsigned()).unwrap_or(own.peak_memory_mb);
            let Some(cpu_seconds) = reaped(*pid) else { return true };
            total = total.and(Own { cpu_seconds, ..*own });
            false
        });
        std::thread::sleep(LOOK_EVERY);
    }
    total
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

fn own_cpu() -> f64 {
    // SAFETY: as above; the call only fills the numbers.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    cpu_in(&usage)
}

fn cpu_in(usage: &libc::rusage) -> f64 {
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
