//! What the passes came to, as one table.

use crate::job::Job;
use crate::measure::Measured;

/// What the servers used meanwhile, CPU-seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Servers {
    pub kafka: f64,
    pub cassandra: f64,
}

/// One pass, and what the same job costs on next to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub job: Job,
    pub measured: Measured,
    pub start_up: Measured,
    pub servers: Servers,
}

impl Row {
    /// Without starting and stopping, which weighs less the longer a job runs.
    pub fn running(&self) -> Measured {
        Measured {
            wall_seconds: self.measured.wall_seconds - self.start_up.wall_seconds,
            cpu_seconds: self.measured.cpu_seconds - self.start_up.cpu_seconds,
            ..self.measured
        }
    }

    fn cells(&self) -> String {
        let (whole, running) = (&self.measured, self.running());
        let per_million = |seconds: f64| seconds / whole.records as f64 * 1e6;
        format!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} |",
            self.job.name(),
            running.rate(),
            running.cpu_seconds_per_million(),
            whole.rate(),
            whole.cpu_seconds_per_million(),
            per_million(self.servers.kafka),
            per_million(self.servers.cassandra),
            whole.peak_memory_mb,
            self.start_up.wall_seconds,
            self.start_up.cpu_seconds,
        )
    }
}

/// Prints the rows of one mode, and how many times ticksmith's CPU the others take.
pub fn print(mode: &str, rows: &[Row]) {
    println!(
        "\n{mode}\n\n| job | trades/s | CPU-s per million | with start: trades/s | \
         CPU-s per million | broker's CPU-s | Cassandra's CPU-s | peak memory MB | start s \
         | start CPU-s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", row.cells());
    }
    let Some(own) = rows.iter().find(|row| row.job == Job::Ticksmith) else { return };
    let cost = |row: &Row| row.running().cpu_seconds_per_million();
    for row in rows.iter().filter(|row| row.job != Job::Ticksmith) {
        println!(
            "{}: {:.1} times ticksmith's CPU per trade",
            row.job.name(),
            cost(row) / cost(own)
        );
    }
}
