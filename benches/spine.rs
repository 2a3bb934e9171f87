//! `make bench`: what the stream costs, next to a bare poll loop over the same topic in the same
//! run.
//!
//! Needs real Kafka and Cassandra (`TICKSMITH_TEST_KAFKA`, `TICKSMITH_TEST_CASSANDRA`), which the
//! make target starts. Rates are medians; CPU is user + system of the measured process.

#[path = "spine/measure.rs"]
mod measure;
#[path = "spine/workload.rs"]
mod workload;

use std::path::PathBuf;

use measure::{Measured, median, run_child, run_here};

/// Trades in the topic, unless `TICKSMITH_BENCH_TRADES` says otherwise.
const TRADES: usize = 3_000_000;
/// Trades of the run with the tables, which is bounded by Cassandra.
const TRADES_WITH_TABLES: usize = 1_000_000;
const RUNS: usize = 3;

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn main() {
    // `cargo bench -- --list` and friends must not start anything.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let (Some(kafka), Some(cassandra)) =
        (environment("TICKSMITH_TEST_KAFKA"), environment("TICKSMITH_TEST_CASSANDRA"))
    else {
        println!("spine: no servers; `make bench` starts them");
        return;
    };
    let trades = environment("TICKSMITH_BENCH_TRADES")
        .map_or(TRADES, |text| text.parse().expect("a number of trades"));
    let bench = Bench { binary: env!("CARGO_BIN_EXE_ticksmith").into(), kafka, cassandra };
    bench.run(trades);
}

struct Bench {
    binary: PathBuf,
    kafka: String,
    cassandra: String,
}

impl Bench {
    fn run(&self, trades: usize) {
        println!("loading {trades} trades of {} symbols …", workload::SYMBOLS);
        self.topics("load");
        workload::load(&self.kafka, "trades", trades);
        let poll = self.repeat("bare poll loop", trades, |_| {
            run_here(|| workload::poll_all(&self.kafka, "trades", trades))
        });
        let bars = self.repeat("bars only, exactly once", trades, |run| {
            let settings = [
                ("TICKSMITH__STREAM__STORE", "none"),
                ("TICKSMITH__STREAM__SILVER_TOPIC", "false"),
            ];
            self.stream(&format!("bars-{run}"), "trades", &settings)
        });
        let silver = self.repeat("with silver topic", trades, |run| {
            self.stream(&format!("silver-{run}"), "trades", &[("TICKSMITH__STREAM__STORE", "none")])
        });
        let with_tables = trades.min(TRADES_WITH_TABLES);
        let tables = self.tables(with_tables);
        let ratio = |part: &Measured, whole: &Measured| part.rate() / whole.rate() * 100.0;
        let cost = |part: &Measured, whole: &Measured| {
            part.cpu_seconds_per_million() / whole.cpu_seconds_per_million()
        };
        println!("\n| run | trades/s | CPU-s per million | peak memory MB |");
        println!("|---|---|---|---|");
        for (name, one) in [
            ("bare librdkafka poll loop", &poll),
            ("stream, bars only, exactly once", &bars),
            ("stream, bars and silver topic", &silver),
            ("stream, bronze + silver + gold into Cassandra", &tables),
        ] {
            println!(
                "| {name} | {:.0} | {:.2} | {:.0} |",
                one.rate(),
                one.cpu_seconds_per_million(),
                one.peak_memory_mb
            );
        }
        println!(
            "\nbars only: {:.0} % of the poll loop's rate at {:.1} times its CPU",
            ratio(&bars, &poll),
            cost(&bars, &poll)
        );
        self.memory_of_up();
    }

    fn repeat(
        &self,
        name: &str,
        trades: usize,
        mut measure: impl FnMut(usize) -> Measured,
    ) -> Measured {
        let runs: Vec<Measured> = (0..RUNS)
            .map(|run| {
                let measured = Measured { records: trades, ..measure(run) };
                println!("{name}: {measured}");
                measured
            })
            .collect();
        median(runs)
    }

    /// The whole way into the tables, on a topic of its own size.
    fn tables(&self, trades: usize) -> Measured {
        let topic = "trades-tables";
        self.command("topics", "tables", topic, &[]);
        workload::load(&self.kafka, topic, trades);
        self.command("cassandra-init", "tables", topic, &[]);
        self.repeat("with Cassandra", trades, |run| {
            self.stream(
                &format!("tables-{run}"),
                topic,
                &[("TICKSMITH__STREAM__SILVER_TOPIC", "false")],
            )
        })
    }

    fn topics(&self, name: &str) {
        self.command("topics", name, "trades", &[]);
    }

    fn stream(&self, name: &str, topic: &str, settings: &[(&str, &str)]) -> Measured {
        self.command("topics", name, topic, &[]);
        let mut command = self.prepare(name, topic, settings);
        command.args(["stream", "--until-end"]);
        run_child(command)
    }

    fn command(&self, command: &str, name: &str, topic: &str, settings: &[(&str, &str)]) {
        let mut child = self.prepare(name, topic, settings);
        child.arg(command);
        let output = child.output().expect("the binary runs");
        // 1 = something exists with other settings, which a second run of the bench may find.
        let code = output.status.code().unwrap_or(2);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(code <= 1, "ticksmith {command}: {problem}");
    }

    fn prepare(&self, name: &str, topic: &str, settings: &[(&str, &str)]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binary);
        command
            .current_dir(std::env::temp_dir())
            .env("TICKSMITH__KAFKA__BOOTSTRAP", &self.kafka)
            .env("TICKSMITH__KAFKA__GROUP", format!("bench-{name}"))
            .env("TICKSMITH__TOPICS__TRADES", topic)
            .env("TICKSMITH__TOPICS__CHANGELOG", format!("bench-changelog-{name}"))
            .env("TICKSMITH__CASSANDRA__CONTACT_POINTS", &self.cassandra)
            .env("TICKSMITH__STREAM__HTTP_PORT", "0")
            .env("TICKSMITH__LOG__LEVEL", "warn");
        for (key, value) in settings {
            command.env(key, value);
        }
        command
    }

    /// Peak memory of `up`, idle and under the simulator's 5,000 trades/s.
    fn memory_of_up(&self) {
        for rate in ["0.1", "5000"] {
            let mut command = self.prepare("up", "trades", &[]);
            command.args(["up", "--for", "20s", "--rate", rate, "--port", "0"]);
            let measured = run_child(command);
            println!("up at {rate} trades/s: peak memory {:.0} MB", measured.peak_memory_mb);
        }
    }
}
