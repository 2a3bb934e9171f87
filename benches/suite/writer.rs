//! Part e: what a writer could reach that does nothing but write: the rows of bronze and silver,
//! made beforehand, in prepared unlogged batches of one partition key each, both tables in one.

use std::collections::BTreeMap;
use std::sync::Arc;

use scylla::SerializeRow;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, MaybeUnset};
use ticksmith::model::Trade;
use tokio::sync::Semaphore;

use crate::generator::Generator;
use crate::inside::inside;
use crate::lab::{Lab, Names};
use crate::throughput::Case;

/// Batches in flight and rows of one, as the stream has them.
const IN_FLIGHT: usize = 24;
const BATCH_ROWS: usize = 200;
/// Rows are gathered by partition over so many trades: a beat of a stream that catches up.
const GATHERED_TRADES: usize = 50_000;
/// Trades of ten minutes of a symbol share a partition, s.
const BUCKET_S: i64 = 600;
const COLUMNS: [&str; 16] = [
    "symbol",
    "bucket",
    "ts",
    "connection",
    "seq",
    "conditions",
    "disposition",
    "feed",
    "log_offset",
    "log_partition",
    "price",
    "reason",
    "received_at",
    "session",
    "updates",
    "volume",
];

/// A row of `trades_bronze` and `trades_silver`, as the stream fills it.
#[derive(Clone, SerializeRow)]
struct Cells {
    symbol: String,
    bucket: i32,
    ts: CqlTimestamp,
    connection: i64,
    seq: i64,
    price: f64,
    volume: f64,
    conditions: String,
    received_at: CqlTimestamp,
    feed: String,
    disposition: &'static str,
    reason: &'static str,
    session: &'static str,
    updates: &'static str,
    log_partition: i32,
    log_offset: i64,
    #[scylla(rename = "[timestamp]")]
    written_us: i64,
    #[scylla(rename = "[ttl]")]
    lifetime_s: MaybeUnset<i32>,
}

/// The case; its batches are made before anything is measured.
pub fn case<'a>(lab: &'a Lab, symbols: usize, trades: usize) -> Case<'a> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let batches: Vec<Arc<Vec<Cells>>> = batches(symbols, trades);
    Case::new("e  bare batched writer, bronze + silver", move |run| {
        let keyspace = format!("bench_bare_{symbols}_{run}");
        let names = Names::new(format!("bare-{run}"), "bench-bare-trades");
        lab.prepare(&names, "cassandra-init", &[("CASSANDRA__KEYSPACE", keyspace.as_str())]);
        let session = runtime.block_on(connect(lab.cassandra()));
        let session = Arc::new(session);
        lab.servers
            .around(trades, || inside(|| runtime.block_on(write(&session, &keyspace, &batches))))
    })
}

async fn connect(address: &str) -> Session {
    SessionBuilder::new().known_node(address).build().await.expect("Cassandra answers")
}

/// Rows of one partition together, as many as a batch takes.
fn batches(symbols: usize, trades: usize) -> Vec<Arc<Vec<Cells>>> {
    let all: Vec<Trade> = Generator::new(symbols).take(trades).collect();
    let mut batches = Vec::new();
    for gathered in all.chunks(GATHERED_TRADES) {
        let mut by_partition: BTreeMap<(String, i32), Vec<Cells>> = BTreeMap::new();
        for (offset, trade) in gathered.iter().enumerate() {
            let cells = cells(trade, offset as i64);
            let key = (cells.symbol.clone(), cells.bucket);
            by_partition.entry(key).or_default().push(cells);
        }
        let rows = by_partition.into_values();
        batches.extend(rows.flat_map(|rows| {
            let parts: Vec<Vec<Cells>> = rows.chunks(BATCH_ROWS).map(<[Cells]>::to_vec).collect();
            parts.into_iter().map(Arc::new)
        }));
    }
    batches
}

fn cells(trade: &Trade, log_offset: i64) -> Cells {
    let bucket = trade.trade_time_ms / 1_000 / BUCKET_S;
    Cells {
        symbol: trade.symbol.to_string(),
        bucket: i32::try_from(bucket).expect("before the year 40,000"),
        ts: CqlTimestamp(trade.trade_time_ms),
        connection: trade.connection,
        seq: trade.seq,
        price: trade.price,
        volume: trade.volume,
        conditions: trade.conditions.iter().flatten().cloned().collect::<Vec<_>>().join(","),
        received_at: CqlTimestamp(trade.received_at_us / 1_000),
        feed: trade.feed.to_string(),
        disposition: "merged",
        reason: "",
        session: "regular",
        updates: "all",
        log_partition: 0,
        log_offset,
        written_us: trade.received_at_us,
        lifetime_s: MaybeUnset::Unset,
    }
}

async fn write(session: &Arc<Session>, keyspace: &str, batches: &[Arc<Vec<Cells>>]) {
    let prepare = async |table| {
        let columns = COLUMNS.join(", ");
        let marks = vec!["?"; COLUMNS.len()].join(", ");
        let text = format!(
            "INSERT INTO {keyspace}.{table} ({columns}) VALUES ({marks}) \
             USING TIMESTAMP ? AND TTL ?"
        );
        session.prepare(text).await.expect("the statement is prepared")
    };
    let tables = Arc::new([prepare("trades_bronze").await, prepare("trades_silver").await]);
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    for rows in batches {
        let permit = Arc::clone(&room).acquire_owned().await.expect("never closed");
        let (session, rows, tables) = (Arc::clone(session), Arc::clone(rows), Arc::clone(&tables));
        tokio::spawn(async move {
            send(&session, &tables, &rows).await;
            drop(permit);
        });
    }
    let all = u32::try_from(IN_FLIGHT).expect("a small number");
    let _ = room.acquire_many(all).await.expect("never closed");
}

async fn send(session: &Session, tables: &[PreparedStatement; 2], rows: &[Cells]) {
    let statements = rows.iter().flat_map(|_| tables.iter().map(|table| table.clone().into()));
    let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements.collect());
    batch.set_consistency(Consistency::LocalQuorum);
    let values: Vec<&Cells> = rows.iter().flat_map(|row| [row, row]).collect();
    session.batch(&batch, values).await.expect("Cassandra takes the batch");
}
