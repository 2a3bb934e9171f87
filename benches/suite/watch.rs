//! Readers that look again and again, as somebody who waits for a price does, and say when they
//! saw it. A look that takes long makes the latency longer, never shorter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use ticksmith::codec::avro::Avro;
use ticksmith::model::BarState;

use crate::latency::Latencies;
use crate::load::{Load, now_us};
use crate::log::Log;

/// Between two looks at a table.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// The same at a bar that changes once a second.
const GLANCE_EVERY: Duration = Duration::from_millis(20);
const OUT_OF_ORDERNESS_US: i64 = 2_000_000;
const CLOSING_US: i64 = 5_000_000;
const PROVISIONAL_US: i64 = 300_000_000;
const BUCKET_US: i64 = 600_000_000;

/// Where a trade or a bar can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Trades,
    Silver,
    Provisional,
    Closed,
    BarsTopic,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Trades => "WebSocket to the trades topic",
            Self::Silver => "WebSocket to silver row",
            Self::Provisional => "WebSocket to provisional bar",
            Self::Closed => "watermark at the end to closed bar in the table",
            Self::BarsTopic => "watermark at the end to closed bar on its topic",
        }
    }
}

/// Up to ten minutes, three digits.
fn latencies() -> Latencies {
    Latencies::new_with_bounds(1, 600_000_000, 3).expect("valid bounds")
}

fn record(latencies: &mut Latencies, due_us: i64) {
    let took_us = (now_us() - due_us).max(1);
    latencies.saturating_record(took_us.cast_unsigned());
}

/// Probes of the trades topic, or closed bars of the bars topic, until `over`.
pub fn topic(stage: Stage, log: &Log, load: &Load, over: &AtomicBool) -> Latencies {
    let settings = [("fetch.wait.max.ms", "500"), ("isolation.level", "read_committed")];
    let consumer = log.consumer_from(Offset::End, &settings);
    let (avro, counted, mut found) = (Avro::single_object(), load.counted(), latencies());
    while !over.load(Ordering::Acquire) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.expect("a record");
        let Some(value) = message.payload() else { continue };
        if stage == Stage::Trades {
            if message.key().is_some_and(|key| key.starts_with(b"PROBE")) {
                let number = avro.decode_trade(value).expect("a trade").volume as i64;
                if counted.contains(&number) {
                    record(&mut found, load.due_us(number));
                }
            }
            continue;
        }
        let bar = avro.decode_bar(value).expect("a bar");
        let end_us = bar.window.end_ms * 1_000 + OUT_OF_ORDERNESS_US;
        let is_counted = end_us > load.due_us(counted.start) && end_us < load.end_us();
        let is_short = bar.interval.length_ms() * 1_000 == CLOSING_US;
        if bar.state == BarState::Closed && is_short && is_counted {
            record(&mut found, end_us);
        }
    }
    found
}

/// The tables, until everything was seen or `deadline`.
pub fn tables(
    address: &str,
    keyspace: &str,
    load: &Arc<Load>,
    deadline: Instant,
) -> Vec<(Stage, Latencies)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let session = SessionBuilder::new().known_node(address).build().await;
        let session = session.expect("Cassandra answers");
        let look =
            Look { session, keyspace: keyspace.to_owned(), load: Arc::clone(load), deadline };
        let (silver, provisional, closed) =
            tokio::join!(look.silver(), look.provisional(), look.closed());
        vec![(Stage::Silver, silver), (Stage::Provisional, provisional), (Stage::Closed, closed)]
    })
}

struct Look {
    session: Session,
    keyspace: String,
    load: Arc<Load>,
    deadline: Instant,
}

impl Look {
    async fn prepare(&self, what: &str, table: &str, key: &str) -> PreparedStatement {
        let text = format!("SELECT {what} FROM {}.{table} WHERE {key}", self.keyspace);
        self.session.prepare(text).await.expect("the statement is prepared")
    }

    /// Every probe, in the order in which they are sent: one that overtakes is seen with the one
    /// that it overtook.
    async fn silver(&self) -> Latencies {
        let key = "symbol = ? AND bucket = ? AND ts = ?";
        let statement = self.prepare("volume", "trades_silver", key).await;
        let mut found = latencies();
        for number in self.load.counted() {
            let due_us = self.load.due_us(number);
            sleep_until(due_us).await;
            let bucket = i32::try_from(due_us / BUCKET_US).expect("before the year 40,000");
            let values = (self.symbol(number), bucket, CqlTimestamp(due_us.div_euclid(1_000)));
            loop {
                let rows = self.session.execute_unpaged(&statement, &values).await;
                let rows = rows.expect("Cassandra answers").into_rows_result().expect("rows");
                if rows.rows_num() > 0 || Instant::now() > self.deadline {
                    break;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            record(&mut found, due_us);
        }
        found
    }

    /// The probes of the first symbol: a bar holds so many of them as its volume says.
    async fn provisional(&self) -> Latencies {
        let key = "symbol = ? AND ts = ?";
        let statement = self.prepare("volume", "trades_gold_5m", key).await;
        let mut found = latencies();
        for number in self.load.counted().filter(|number| (number - 1) % 6 == 0) {
            let due_us = self.load.due_us(number);
            sleep_until(due_us).await;
            let start_us = due_us.div_euclid(PROVISIONAL_US) * PROVISIONAL_US;
            let values = (self.symbol(number), CqlTimestamp(start_us / 1_000));
            let expected = self.volume_with(number, start_us);
            loop {
                let rows = self.session.execute_unpaged(&statement, &values).await;
                let rows = rows.expect("Cassandra answers").into_rows_result().expect("rows");
                let volume = rows.maybe_first_row::<(f64,)>().expect("a volume");
                let is_there = volume.is_some_and(|(volume,)| volume >= expected);
                if is_there || Instant::now() > self.deadline {
                    break;
                }
                tokio::time::sleep(GLANCE_EVERY).await;
            }
            record(&mut found, due_us);
        }
        found
    }

    /// Volume of the window once the probe is in it: the numbers of its symbol's probes so far.
    fn volume_with(&self, number: i64, start_us: i64) -> f64 {
        let of_symbol = (1..=number).rev().step_by(6);
        let in_window = of_symbol.take_while(|one| self.trade_time_us(*one) >= start_us);
        in_window.map(|one| one as f64).sum()
    }

    /// Trades are timed in whole milliseconds.
    fn trade_time_us(&self, number: i64) -> i64 {
        self.load.due_us(number).div_euclid(1_000) * 1_000
    }

    fn symbol(&self, number: i64) -> &str {
        let probes = self.load.probes();
        &probes[usize::try_from(number - 1).expect("from 1") % probes.len()]
    }

    /// The bars of every probed symbol, as the watermark passes their ends.
    async fn closed(&self) -> Latencies {
        let key = "symbol = ? AND ts = ?";
        let statement = self.prepare("state", "trades_gold_5s", key).await;
        let mut found = latencies();
        let first_us = self.load.due_us(self.load.counted().start);
        let mut start_us = (first_us.div_euclid(CLOSING_US) + 1) * CLOSING_US;
        while start_us + CLOSING_US + OUT_OF_ORDERNESS_US < self.load.end_us() {
            let closes_us = start_us + CLOSING_US + OUT_OF_ORDERNESS_US;
            sleep_until(closes_us).await;
            let mut open: BTreeSet<&String> = self.load.probes().iter().collect();
            while !open.is_empty() {
                for symbol in open.clone() {
                    let values = (symbol, CqlTimestamp(start_us / 1_000));
                    let rows = self.session.execute_unpaged(&statement, &values).await;
                    let rows = rows.expect("Cassandra answers").into_rows_result().expect("rows");
                    let state = rows.maybe_first_row::<(String,)>().expect("a state");
                    let is_closed = state.is_some_and(|(state,)| state != "provisional");
                    if is_closed || Instant::now() > self.deadline {
                        open.remove(symbol);
                        record(&mut found, closes_us);
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            start_us += CLOSING_US;
        }
        found
    }
}

async fn sleep_until(due_us: i64) {
    if let Ok(left_us) = u64::try_from(due_us - now_us()) {
        tokio::time::sleep(Duration::from_micros(left_us)).await;
    }
}
