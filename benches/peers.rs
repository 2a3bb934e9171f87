//! `make bench-peers`: the same bars from the same topic by ticksmith, Flink, Kafka Streams and
//! Spark, side by side.
//!
//! Needs real Kafka and Cassandra and the jobs' jars (`TICKSMITH_TEST_KAFKA`,
//! `TICKSMITH_TEST_CASSANDRA`, `TICKSMITH_PEERS`), which the make target starts and builds. A job's
//! bars are compared with an oracle before its speed is printed. `TICKSMITH_BENCH_TRADES`,
//! `…_TABLE_TRADES` and `…_RUNS` change the size, `TICKSMITH_BENCH_JOBS=ticksmith,flink` the jobs.

#[path = "peers/job.rs"]
mod job;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "peers/measure.rs"]
mod measure;
#[path = "peers/oracle.rs"]
mod oracle;
#[path = "peers/servers.rs"]
mod servers;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/tables.rs"]
mod tables;
#[path = "peers/topic.rs"]
mod topic;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "peers/workload.rs"]
mod workload;

use std::time::SystemTime;

use job::{Job, Pass, Place};
use measure::{Measured, run_child};
use oracle::Oracle;
use servers::Usage;
use table::{Row, Servers};

const TRADES: usize = 3_000_000;
/// Of the mode with the tables, which is bounded by Cassandra.
const TABLE_TRADES: usize = 500_000;
const RUNS: usize = 3;
/// What is left of a pass over so few is starting and stopping.
const FEW: usize = 1_000;

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, otherwise: usize) -> usize {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number"));
    environment(name).map_or(otherwise, parse)
}

fn main() {
    // `cargo bench -- --list` and friends must not start anything.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let (Some(kafka), Some(cassandra), Some(jars)) = (
        environment("TICKSMITH_TEST_KAFKA"),
        environment("TICKSMITH_TEST_CASSANDRA"),
        environment("TICKSMITH_PEERS"),
    ) else {
        println!("peers: no servers or no jars; `make bench-peers` starts and builds them");
        return;
    };
    let scratch = tempfile::tempdir().expect("a directory for the jobs' state");
    let place = Place {
        binary: env!("CARGO_BIN_EXE_ticksmith").into(),
        kafka,
        cassandra,
        jars: jars.into(),
        scratch: scratch.path().to_owned(),
    };
    Bench { place, jobs: asked_jobs(), runs: number("TICKSMITH_BENCH_RUNS", RUNS).max(1) }.run();
}

fn asked_jobs() -> Vec<Job> {
    let asked = environment("TICKSMITH_BENCH_JOBS");
    let is_asked = |job: &Job| {
        asked.as_ref().is_none_or(|names| names.split(',').any(|name| name == job.name()))
    };
    Job::ALL.into_iter().filter(is_asked).collect()
}

struct Bench {
    place: Place,
    jobs: Vec<Job>,
    runs: usize,
}

/// A loaded topic and what is to come of it.
struct Workload {
    topic: String,
    trades: usize,
    oracle: Oracle,
}

impl Bench {
    fn run(&self) {
        for job in &self.jobs {
            assert!(self.place.has(*job), "{}: no jars in {:?}", job.name(), self.place.jars);
        }
        let few = self.load("trades-few", FEW);
        let bars = self.load("trades-bars", number("TICKSMITH_BENCH_TRADES", TRADES));
        self.mode("bars only", &bars, &few, false);
        let with_tables = number("TICKSMITH_BENCH_TABLE_TRADES", TABLE_TRADES);
        if with_tables > 0 {
            let tables = self.load("trades-tables", with_tables);
            self.mode("bronze + silver + gold in Cassandra", &tables, &few, true);
        }
    }

    fn load(&self, topic: &str, trades: usize) -> Workload {
        println!("loading {trades} trades of {} symbols …", workload::SYMBOLS);
        let pass = Pass {
            job: Job::Ticksmith,
            name: format!("load-{topic}"),
            trades: topic.into(),
            keyspace: None,
        };
        self.place.prepare(&pass);
        workload::load(&self.place.kafka, topic, trades);
        let oracle = Oracle::of(&topic::trades(&self.place.kafka, topic));
        println!(
            "{} bars of {} trades, {} late, {} repeated",
            oracle.windows.len(),
            oracle.merged,
            oracle.late,
            oracle.duplicates
        );
        Workload { topic: topic.into(), trades, oracle }
    }

    /// Round by round, so that a slow minute of the machine does not hit one job alone.
    fn mode(&self, mode: &str, workload: &Workload, few: &Workload, has_tables: bool) {
        let mut rows: Vec<Vec<Row>> = vec![Vec::new(); self.jobs.len()];
        for run in 0..self.runs {
            for (job, rows) in self.jobs.iter().zip(&mut rows) {
                let (start_up, _) = self.pass(*job, few, run, has_tables);
                let (measured, servers) = self.pass(*job, workload, run, has_tables);
                println!("{}, {mode}: {measured}; the bars are right", job.name());
                rows.push(Row { job: *job, measured, start_up, servers });
            }
        }
        let rows: Vec<Row> = rows.into_iter().map(median).collect();
        table::print(mode, &rows);
    }

    fn pass(
        &self,
        job: Job,
        workload: &Workload,
        run: usize,
        has_tables: bool,
    ) -> (Measured, Servers) {
        let kind = if has_tables { "tables" } else { "bars" };
        let name = format!("{}-{kind}-{}-{run}", job.name(), workload.topic);
        let keyspace = has_tables.then(|| name.replace('-', "_"));
        let pass = Pass { job, name, trades: workload.topic.clone(), keyspace };
        self.place.prepare(&pass);
        let (before, started) = (Usage::now(), SystemTime::now());
        let mut measured = run_child(self.place.command(&pass));
        let servers = before.since();
        if let Some(ended) = self.place.end_of_input(&pass) {
            measured.wall_seconds =
                ended.duration_since(started).map_or(0.0, |it| it.as_secs_f64());
        }
        let bars = topic::bars(&self.place.kafka, &pass.bars());
        let compared = workload.oracle.compare(&bars);
        compared.unwrap_or_else(|problem| panic!("{}: {problem}", pass.name));
        if let Some(keyspace) = &pass.keyspace {
            let checked = tables::check(&self.place.cassandra, keyspace, &workload.oracle);
            checked.unwrap_or_else(|problem| panic!("{}: {problem}", pass.name));
        }
        (Measured { records: workload.trades, ..measured }, servers)
    }
}

fn median(mut rows: Vec<Row>) -> Row {
    rows.sort_by(|a, b| a.running().rate().total_cmp(&b.running().rate()));
    rows[rows.len() / 2]
}
