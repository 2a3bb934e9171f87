//! CPU time of the broker and of Cassandra, which `scripts/infra.sh` started.

use std::path::PathBuf;

use crate::table::Servers;

/// What both have used so far, CPU-seconds.
#[derive(Debug, Clone, Copy)]
pub struct Usage(Servers);

impl Usage {
    /// Zero for a server that is not found.
    pub fn now() -> Self {
        Self(Servers { kafka: cpu_of("kafka"), cassandra: cpu_of("cassandra") })
    }

    /// What they have used since.
    pub fn since(self) -> Servers {
        let Self(now) = Self::now();
        Servers { kafka: now.kafka - self.0.kafka, cassandra: now.cassandra - self.0.cassandra }
    }
}

fn cpu_of(service: &str) -> f64 {
    cpu_of_process(service).unwrap_or(0.0)
}

fn cpu_of_process(service: &str) -> Option<f64> {
    let directory = PathBuf::from(std::env::var_os("TICKSMITH_TEST_INFRA")?);
    let pid = std::fs::read_to_string(directory.join(service).join("pid")).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    // The name may hold spaces; user and system time are the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    // SAFETY: asks for a constant of the system and touches no memory of ours.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks / ticks_per_second as f64)
}
