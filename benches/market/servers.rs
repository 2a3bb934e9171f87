//! The servers that stand beside whatever is measured: `scripts/with-services.sh` started them and
//! tells their addresses and directory in the environment.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::measure::{Measured, Own, cpu_of};

/// A variable of the environment; `None` where it is empty, too.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The servers' data directory; `None`: nothing was started.
pub fn directory() -> Option<PathBuf> {
    environment("TICKSMITH_TEST_INFRA").map(PathBuf::from)
}

/// The processes beside the measured one, by id.
#[derive(Debug, Clone, Copy)]
pub struct Servers {
    pub kafka: u32,
    /// `None`: not started.
    pub cassandra: Option<u32>,
}

impl Servers {
    /// Those of a data directory; `None`: no Kafka.
    pub fn of(directory: &Path) -> Option<Self> {
        let pid = |service: &str| {
            let text = std::fs::read_to_string(directory.join(service).join("pid")).ok()?;
            text.trim().parse().ok()
        };
        Some(Self { kafka: pid("kafka")?, cassandra: pid("cassandra") })
    }

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
