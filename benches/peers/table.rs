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

    /// How many times the other's CPU it takes; both have as many records.
    fn beside(&self, own: &Self) -> String {
        let with_start = self.measured.cpu_seconds / own.measured.cpu_seconds;
        // The difference of two numbers of which one is nearly the other says nothing.
        if self.running().cpu_seconds < self.start_up.cpu_seconds / 4.0 {
            return format!(
                "{with_start:.1} times ticksmith's CPU per trade with the starts; too few trades \
                 to take the starts off"
            );
        }
        let running = self.running().cpu_seconds / own.running().cpu_seconds;
        format!(
            "{running:.1} times ticksmith's CPU per trade, {with_start:.1} times with the starts"
        )
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
    for row in rows.iter().filter(|row| row.job != Job::Ticksmith) {
        println!("{}: {}", row.job.name(), row.beside(own));
    }
}
