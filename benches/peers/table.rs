//! What the passes came to, as one table.

use crate::job::Job;
use crate::measure::Measured;

/// One pass, and what the same job costs on next to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub job: Job,
    pub measured: Measured,
    pub start_up: Measured,
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
        format!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} |",
            self.job.name(),
            running.rate(),
            running.per_million(running.cpu_seconds),
            whole.rate(),
            whole.per_million(whole.cpu_seconds),
            whole.per_million(whole.kafka_cpu_seconds),
            whole.per_million(whole.cassandra_cpu_seconds),
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
    // All rows have as many records.
    let cost = |row: &Row| row.running().cpu_seconds;
    for row in rows.iter().filter(|row| row.job != Job::Ticksmith) {
        println!(
            "{}: {:.1} times ticksmith's CPU per trade",
            row.job.name(),
            cost(row) / cost(own)
        );
    }
}
