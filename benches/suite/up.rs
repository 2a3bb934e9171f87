//! Part k: `up`, everything in one process on its embedded log and store, under more than it takes.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lab::{Lab, Names};
use crate::measure::{Measured, Own, cpu_of, peak_memory_mb};
use crate::process::Running;
use crate::throughput::Case;

/// The past that it plays first, and its first seconds, do not count.
const WARM_UP: Duration = Duration::from_secs(8);
const WATCHED: Duration = Duration::from_secs(15);
const COMMITTED: &str = "ticksmith_stream_committed_records_total";

/// At so many simulated trades a second.
pub fn case<'a>(lab: &'a Lab, rate: &'static str) -> Case<'a> {
    Case::new(format!("k  up, {rate} trades/s asked for"), move |_| {
        let data = TempDir::new().expect("a directory");
        let directory = data.path().display().to_string();
        let arguments =
            ["up", "--simulator", "--history", "0s", "--rate", rate, "--data", &directory];
        let command = lab.command(&Names::new("up", "trades"), &arguments, &[]);
        let mut up = Running::start(command, "HTTP__PORT");
        up.await_ready();
        std::thread::sleep(WARM_UP);
        let (began, cpu, committed) = (Instant::now(), cpu_of(up.pid()), up.metric(COMMITTED));
        let mut measured: Measured = lab.servers.around(0, || {
            std::thread::sleep(WATCHED);
            Own {
                wall_seconds: Some(began.elapsed().as_secs_f64()),
                cpu_seconds: cpu_of(up.pid()) - cpu,
                peak_memory_mb: peak_memory_mb(up.pid()).unwrap_or_default(),
            }
        });
        measured.records = (up.metric(COMMITTED) - committed) as usize;
        up.stop();
        measured
    })
}
