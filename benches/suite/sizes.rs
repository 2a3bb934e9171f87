//! Part j: what a record takes on the broker's disk in each topic, and a row on Cassandra's in each
//! table, compressed and compacted: what a plan for more than one machine starts from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use scylla::client::session_builder::SessionBuilder;

use crate::generator::Generator;
use crate::lab::{Lab, Names, OUTPUTS};
use crate::log::Log;
use crate::options::Options;
use crate::report::Report;
use crate::throughput::market;

const PARTITIONS: u32 = 6;
const SYMBOLS: usize = 500;
/// Compaction that has made no new file for so long is done.
const QUIET: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(180);
const KEYSPACE: &str = "bench_sizes";

/// Runs the whole way once and looks at the disk. Restarts Cassandra, so it comes last.
pub fn run(lab: &mut Lab, options: &Options, report: &mut Report) {
    let trades = options.table_trades.min(options.trades);
    let market = market(lab, SYMBOLS, trades, PARTITIONS);
    let names = Names::new("sizes", market.log.topic.clone());
    let settings = [("CASSANDRA__KEYSPACE", KEYSPACE)];
    lab.prepare(&names, "topics", &settings);
    lab.prepare(&names, "cassandra-init", &settings);
    eprintln!("writing {trades} trades into every topic and table …");
    let arguments = ["stream", "--until-end", "--drain"];
    let status = lab.command(&names, &arguments, &settings).status();
    assert!(status.expect("the binary runs").success(), "stream --until-end");
    topics(lab, &names, &market.log, report);
    restart_cassandra(lab);
    tables(lab, trades, report);
}

fn topics(lab: &Lab, names: &Names, trades: &Log, report: &mut Report) {
    let outputs = OUTPUTS.iter().map(|(_, name)| (*name, names.output(name)));
    for (name, topic) in std::iter::once(("trades", trades.topic.clone())).chain(outputs) {
        let log = Log { topic, ..trades.clone() };
        let (mut records, mut plain) = (0_usize, 0_usize);
        log.each_committed(|message| {
            records += 1;
            plain +=
                message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
        });
        if records == 0 {
            continue;
        }
        let folder = lab.infra.join("kafka/data");
        let of_topic = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.rsplit_once('-').is_some_and(|(topic, _)| topic == log.topic)
        };
        let on_disk: u64 = folders(&folder)
            .iter()
            .filter(|path| of_topic(path))
            .map(|path| size_of(path, |name| name.ends_with(".log")))
            .sum();
        let name = format!("j  topic {name}, {records} records");
        report.figure(format!("{name}, key and value"), "B", plain as f64 / records as f64);
        report.figure(format!("{name}, on disk"), "B", on_disk as f64 / records as f64);
    }
}

/// A clean stop writes the memory tables to disk; compaction follows the start.
fn restart_cassandra(lab: &mut Lab) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/infra.sh");
    for action in ["stop", "up"] {
        let status = Command::new(&script).args([action, "cassandra"]).status();
        assert!(status.expect("the script runs").success(), "infra.sh {action} cassandra");
    }
    *lab = Lab::find().expect("the servers are up");
}

fn tables(lab: &Lab, trades: usize, report: &mut Report) {
    let data = lab.infra.join("cassandra/data/tables").join(KEYSPACE);
    await_compaction(&data);
    let distinct = distinct_trades(trades);
    for folder in folders(&data) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let table = name.split('-').next().unwrap_or_default().to_owned();
        let bytes = size_of(&folder, |name| name.ends_with(".db"));
        let rows = match table.as_str() {
            "trades_bronze" | "trades_silver" => distinct,
            _ => count(lab, &table),
        };
        if rows > 0 {
            let name = format!("j  table {table}, {rows} rows, on disk");
            report.figure(name, "B", bytes as f64 / rows as f64);
        }
    }
}

/// Repeats have the key of what they repeat, so they are no rows of their own.
fn distinct_trades(trades: usize) -> usize {
    let all = Generator::new(SYMBOLS).take(trades);
    let mut names: Vec<(i64, i64)> = all.map(|trade| (trade.connection, trade.seq)).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn await_compaction(data: &Path) {
    let look = || -> Vec<(PathBuf, u64)> {
        folders(data).into_iter().map(|path| (path.clone(), size_of(&path, |_| true))).collect()
    };
    let (began, mut since, mut before) = (Instant::now(), Instant::now(), look());
    while since.elapsed() < QUIET && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(500));
        let now = look();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

fn count(lab: &Lab, table: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let rows: i64 = runtime.expect("a runtime").block_on(async {
        let session = SessionBuilder::new().known_node(lab.cassandra()).build().await;
        let text = format!("SELECT count(*) FROM {KEYSPACE}.{table}");
        let rows = session.expect("Cassandra answers").query_unpaged(text, ()).await;
        let rows = rows.expect("a count").into_rows_result().expect("rows");
        rows.first_row::<(i64,)>().expect("a number").0
    });
    usize::try_from(rows).expect("no negative count")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Bytes of the files of a folder whose names fit.
fn size_of(folder: &Path, fits: impl Fn(&str) -> bool) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| fits(&entry.file_name().to_string_lossy()));
    files
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}
