//! `make bench-peers`: the same bars from the same topic by ticksmith, Flink, Kafka Streams and
//! Spark, side by side.
//!
//! Needs real Kafka and Cassandra and the jobs' jars (`TICKSMITH_TEST_KAFKA`,
//! `TICKSMITH_TEST_CASSANDRA`, `TICKSMITH_TEST_INFRA`, `TICKSMITH_PEERS`), which the make target
//! starts and builds. A job's bars are compared with an oracle before its speed is printed.
//! `TICKSMITH_BENCH_TRADES`, `…_TABLE_TRADES` and `…_RUNS` change the size,
//! `TICKSMITH_BENCH_JOBS=ticksmith,flink` the jobs.

#[path = "market/bars.rs"]
mod bars;
#[path = "market/generator.rs"]
mod generator;
#[path = "market/log.rs"]
mod log;
#[path = "market/measure.rs"]
mod measure;
#[path = "market/oracle.rs"]
mod oracle;
#[path = "market/servers.rs"]
mod servers;

#[path = "peers/job.rs"]
mod job;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/tables.rs"]
mod tables;

use std::time::SystemTime;

use bars::last_bars;
use generator::Generator;
use job::{Job, Pass, Place};
use log::Log;
use measure::{Measured, Own, child};
use oracle::Oracle;
use servers::{Servers, environment};
use table::Row;

const SYMBOLS: usize = 500;
/// As shipped.
const PARTITIONS: u32 = 6;

const TRADES: usize = 3_000_000;
/// Of the mode with the tables, which is bounded by Cassandra.
const TABLE_TRADES: usize = 500_000;
const RUNS: usize = 3;
/// What is left of a pass over so few is starting and stopping.
const FEW: usize = 1_000;

/// What the environment asks for.
struct Size {
    trades: usize,
    /// 0: no tables.
    table_trades: usize,
    runs: usize,
}

impl Size {
    fn asked() -> Self {
        Self {
            trades: number("TICKSMITH_BENCH_TRADES", 1, TRADES),
            table_trades: number("TICKSMITH_BENCH_TABLE_TRADES", 0, TABLE_TRADES),
            runs: number("TICKSMITH_BENCH_RUNS", 1, RUNS),
        }
    }
}

fn number(name: &str, least: usize, otherwise: usize) -> usize {
    let Some(text) = environment(name) else { return otherwise };
    let number = text.parse().ok().filter(|number| *number >= least);
    let wanted = format!("{name} is '{text}': a whole number from {least} on is wanted");
    number.unwrap_or_else(|| refuse(&wanted))
}

/// Ends with a line for who asked for what cannot be.
fn refuse(problem: &str) -> ! {
    eprintln!("peers: {problem}");
    std::process::exit(2)
}

fn main() {
    // `cargo bench -- --list` and friends must not start anything.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let (jobs, size) = (asked_jobs(), Size::asked());
    let (Some(kafka), Some(cassandra), Some(servers), Some(jars)) = (
        environment("TICKSMITH_TEST_KAFKA"),
        environment("TICKSMITH_TEST_CASSANDRA"),
        servers::directory().and_then(|directory| Servers::of(&directory)),
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
    Bench { place, servers, jobs, size }.run();
}

fn asked_jobs() -> Vec<Job> {
    let Some(asked) = environment("TICKSMITH_BENCH_JOBS") else { return Job::ALL.to_vec() };
    let named = |name: &str| {
        let found = Job::ALL.into_iter().find(|job| job.name() == name);
        let known = Job::ALL.map(Job::name).join(", ");
        found.unwrap_or_else(|| refuse(&format!("there is no job '{name}'; there are {known}")))
    };
    asked.split(',').map(str::trim).map(named).collect()
}

struct Bench {
    place: Place,
    servers: Servers,
    jobs: Vec<Job>,
    size: Size,
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
        let bars = self.load("trades-bars", self.size.trades);
        self.mode("bars only", &bars, &few, false);
        if self.size.table_trades > 0 {
            let tables = self.load("trades-tables", self.size.table_trades);
            self.mode("bronze + silver + gold in Cassandra", &tables, &few, true);
        }
    }

    fn load(&self, topic: &str, trades: usize) -> Workload {
        println!("loading {trades} trades of {SYMBOLS} symbols …");
        let pass = Pass {
            job: Job::Ticksmith,
            name: format!("load-{topic}"),
            trades: topic.into(),
            keyspace: None,
        };
        self.place.prepare(&pass);
        self.log(topic).fill(Generator::new(SYMBOLS).take(trades));
        let oracle = Oracle::of(Generator::new(SYMBOLS).take(trades), PARTITIONS);
        println!("{oracle}");
        Workload { topic: topic.into(), trades, oracle }
    }

    fn log(&self, topic: &str) -> Log {
        let bootstrap = self.place.kafka.clone();
        Log { bootstrap, topic: topic.into(), partitions: PARTITIONS }
    }

    /// Round by round, so that a slow minute of the machine does not hit one job alone.
    fn mode(&self, mode: &str, workload: &Workload, few: &Workload, has_tables: bool) {
        let mut rows: Vec<Vec<Row>> = vec![Vec::new(); self.jobs.len()];
        for run in 0..self.size.runs {
            for (job, rows) in self.jobs.iter().zip(&mut rows) {
                let start_up = self.pass(*job, few, run, has_tables);
                let measured = self.pass(*job, workload, run, has_tables);
                println!("{}, {mode}: {measured}; the bars are right", job.name());
                rows.push(Row { job: *job, measured, start_up });
            }
        }
        let rows: Vec<Row> = rows.into_iter().map(median).collect();
        table::print(mode, &rows);
    }

    fn pass(&self, job: Job, workload: &Workload, run: usize, has_tables: bool) -> Measured {
        let kind = if has_tables { "tables" } else { "bars" };
        let name = format!("{}-{kind}-{}-{run}", job.name(), workload.topic);
        let keyspace = has_tables.then(|| name.replace('-', "_"));
        let pass = Pass { job, name, trades: workload.topic.clone(), keyspace };
        self.place.prepare(&pass);
        let measured = self.servers.around(workload.trades, || {
            let started = SystemTime::now();
            let own = child(self.place.command(&pass));
            let ended = self.place.end_of_input(&pass);
            Own { wall_seconds: ended.map(|ended| seconds_between(started, ended)), ..own }
        });
        let bars = last_bars(&self.log(&pass.bars()), |_| true);
        let compared = workload.oracle.compare(&bars, |_| true);
        compared.unwrap_or_else(|problem| panic!("{}: {problem}", pass.name));
        if let Some(keyspace) = &pass.keyspace {
            let checked = tables::check(&self.place.cassandra, keyspace, &workload.oracle);
            checked.unwrap_or_else(|problem| panic!("{}: {problem}", pass.name));
        }
        measured
    }
}

fn seconds_between(started: SystemTime, ended: SystemTime) -> f64 {
    ended.duration_since(started).map_or(0.0, |took| took.as_secs_f64())
}

fn median(mut rows: Vec<Row>) -> Row {
    rows.sort_by(|a, b| a.running().rate().total_cmp(&b.running().rate()));
    rows[rows.len() / 2]
}
