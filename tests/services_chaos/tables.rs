//! The tables after the run, row by row against the oracle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlValue, Row};

use crate::bars::{Content, Point, units};
use crate::differences::Differences;
use crate::harness::World;
use crate::oracle::{Ending, INTERVALS, Judged, Key, Partition, length_of};

const BUCKET_MS: i64 = 600_000;
const BUCKETS_AT_ONCE: usize = 4;
const TRADE_COLUMNS: &str = "ts, connection, seq, price, volume, received_at, disposition, \
     reason, log_partition, log_offset, watermark, late_by_ms, late_window_state, \
     WRITETIME(price) AS written";

/// The rows of a bucket by connection and number.
type RowsByName<'a> = HashMap<(i64, i64), &'a Judged>;

/// A row of bronze or silver.
#[derive(Debug, DeserializeRow)]
struct TradeRow {
    ts: CqlTimestamp,
    connection: i64,
    seq: i64,
    price: f64,
    volume: f64,
    received_at: CqlTimestamp,
    disposition: String,
    reason: Option<String>,
    log_partition: i32,
    log_offset: i64,
    watermark: Option<CqlTimestamp>,
    late_by_ms: Option<i64>,
    late_window_state: Option<String>,
    written: i64,
}

pub struct Tables {
    session: Session,
    keyspace: String,
}

impl Tables {
    pub async fn connect(world: &World) -> Self {
        let address = world.setting("CASSANDRA__CONTACT_POINTS");
        let session = SessionBuilder::new().known_node(address).build().await;
        let keyspace = world.setting("CASSANDRA__KEYSPACE").to_owned();
        Self { session: session.expect("Cassandra answers"), keyspace }
    }

    /// Everything but bronze and silver, whole.
    pub async fn check_bars(&self, judged: &[Partition], found: &mut Differences) {
        for (interval, _) in INTERVALS {
            self.check_gold(interval, judged, found).await;
        }
        self.check_history(judged, found).await;
        self.check_gaps(judged, found).await;
        self.check_events(judged, found).await;
        let rows = self.rows("SELECT symbol FROM symbols").await;
        let stored: BTreeSet<String> = rows.iter().map(|row| text(row, "symbol")).collect();
        let expected = judged.iter().flat_map(|one| one.symbols.iter().cloned()).collect();
        if stored != expected {
            found.add(format!("symbols: {stored:?}, wanted {expected:?}"));
        }
    }

    /// Bronze and silver of one partition's symbols.
    pub async fn check_trades(&self, judged: &Partition, found: &mut Differences) {
        for (table, name, is_silver) in
            [("trades_bronze", "bronze", false), ("trades_silver", "silver", true)]
        {
            let statement = format!(
                "SELECT {TRADE_COLUMNS} FROM {}.{table} WHERE symbol = ? AND bucket = ?",
                self.keyspace
            );
            let statement = Statement::new(statement).with_page_size(10_000);
            let statement = self.session.prepare(statement).await.expect("a statement");
            let mut buckets = self.buckets(table, judged).await;
            let expected = expected_rows(judged, is_silver);
            expected.keys().for_each(|bucket| {
                buckets.remove(bucket);
            });
            let checks = expected.into_iter().map(|(bucket, expected)| {
                let place = (name, judged.symbols[usize::from(bucket.0)].as_str(), bucket.1);
                self.check_bucket(&statement, place, expected, judged.number)
            });
            let mut checked = stream::iter(checks).buffer_unordered(BUCKETS_AT_ONCE);
            while let Some(one) = checked.next().await {
                found.merge(one);
            }
            for bucket in buckets {
                found.add(format!("{table}: bucket {bucket:?} should not be there"));
            }
        }
    }

    /// What the table has of the partition's symbols.
    async fn buckets(&self, table: &str, judged: &Partition) -> BTreeSet<(u16, i32)> {
        let rows = self.rows(&format!("SELECT DISTINCT symbol, bucket FROM {table}")).await;
        let index = |symbol: &str| judged.symbols.iter().position(|one| one == symbol);
        let bucket = |row: &HashMap<String, CqlValue>| {
            let index = index(&text(row, "symbol"))?;
            Some((u16::try_from(index).ok()?, row.get("bucket")?.as_int()?))
        };
        rows.iter().filter_map(bucket).collect()
    }

    async fn check_bucket(
        &self,
        statement: &PreparedStatement,
        (table, symbol, bucket): (&'static str, &str, i32),
        mut expected: RowsByName<'_>,
        partition: i32,
    ) -> Differences {
        let mut found = Differences::default();
        let pager = self.session.execute_iter(statement.clone(), (symbol, bucket)).await;
        let mut rows = pager.expect("rows").rows_stream::<TradeRow>().expect("columns as named");
        let mut compared = 0;
        while let Some(row) = rows.try_next().await.expect("a row") {
            compared += 1;
            match expected.remove(&(row.connection, row.seq)) {
                Some(one) if is_row(one, partition, &row) => {}
                one => found.add(format!("{table} of {symbol}: {row:?}, the oracle says {one:?}")),
            }
        }
        found.add_many(expected.len(), &format!("{table} of {symbol}: rows missing"));
        found.compared(table, compared);
        found
    }

    async fn rows(&self, statement: &str) -> Vec<HashMap<String, CqlValue>> {
        let statement = statement.replace("FROM ", &format!("FROM {}.", self.keyspace));
        let pager = self.session.query_iter(statement, ()).await.expect("rows");
        let names: Vec<String> =
            pager.column_specs().iter().map(|column| column.name().to_owned()).collect();
        let rows: Vec<Row> =
            pager.rows_stream::<Row>().expect("rows").try_collect().await.expect("rows");
        let named = |row: Row| {
            let cells = names.iter().cloned().zip(row.columns);
            cells.filter_map(|(name, cell)| Some((name, cell?))).collect()
        };
        rows.into_iter().map(named).collect()
    }

    async fn check_gold(
        &self,
        interval: &'static str,
        judged: &[Partition],
        found: &mut Differences,
    ) {
        let mut expected: BTreeMap<Key, Content> = BTreeMap::new();
        for partition in judged {
            let bars = partition.final_bars().into_iter();
            expected.extend(bars.filter(|(key, _)| key.1 == interval));
        }
        let columns = "SELECT * FROM";
        let rows = self.rows(&format!("{columns} trades_gold_{interval}")).await;
        found.compared("gold bars", rows.len());
        for row in rows {
            let key = (text(&row, "symbol"), interval, long(&row, "ts").unwrap_or(0));
            match expected.remove(&key) {
                Some(wanted) => compare_row(&format!("gold {key:?}"), &key, &wanted, &row, found),
                None => found.add(format!("gold: {key:?} should not be there")),
            }
        }
        for key in expected.keys() {
            found.add(format!("gold: {key:?} is missing"));
        }
    }

    async fn check_history(&self, judged: &[Partition], found: &mut Differences) {
        let all = judged.iter().flat_map(|one| one.history.iter());
        let mut expected: BTreeMap<&(Key, i64), &(&'static str, Content)> = all.collect();
        let rows = self.rows("SELECT * FROM bar_revisions").await;
        found.compared("bar revisions", rows.len());
        for row in rows {
            let of = text(&row, "interval");
            let interval = INTERVALS.iter().find(|(one, _)| *one == of).map_or("", |one| one.0);
            let key = (text(&row, "symbol"), interval, long(&row, "ts").unwrap_or(0));
            let named = (key, long(&row, "revision").unwrap_or(0));
            match expected.remove(&named) {
                Some((why, wanted)) => {
                    let place = format!("bar_revisions {named:?}");
                    compare_row(&place, &named.0, wanted, &row, found);
                    if text(&row, "why") != *why {
                        found.add(format!("{place}: why {}, wanted {why}", text(&row, "why")));
                    }
                }
                None => found.add(format!("bar_revisions: {named:?} should not be there")),
            }
        }
        for named in expected.keys() {
            found.add(format!("bar_revisions: {named:?} is missing"));
        }
    }

    async fn check_gaps(&self, judged: &[Partition], found: &mut Differences) {
        let mut expected = BTreeMap::new();
        for partition in judged {
            for ((symbol, start, connection, cause), gap) in &partition.story.gaps {
                let (symbol, cause) = (symbol.clone(), (*cause).to_owned());
                expected.insert((symbol, *start, *connection, cause), *gap);
            }
        }
        let rows = self.rows("SELECT * FROM feed_gaps").await;
        found.compared("feed gaps", rows.len());
        for row in rows {
            let start = long(&row, "gap_start").unwrap_or(0);
            let connection = long(&row, "connection").unwrap_or(0);
            let key = (text(&row, "symbol"), start, connection, text(&row, "cause"));
            let end = long(&row, "gap_end");
            let lost = long(&row, "lost_records").unwrap_or(0);
            let said = (end, long(&row, "next_connection"), lost);
            let wanted = expected.remove(&key);
            if wanted != Some(said) || long(&row, "gap_ms") != end.map(|end| end - start) {
                found.add(format!("feed_gaps {key:?}: {said:?}, the oracle says {wanted:?}"));
            }
        }
        for key in expected.keys() {
            found.add(format!("feed_gaps: {key:?} is missing"));
        }
    }

    async fn check_events(&self, judged: &[Partition], found: &mut Differences) {
        let mut expected = BTreeSet::new();
        for partition in judged {
            let of =
                |event: &(i64, i64, &str)| (partition.number, event.0, event.1, event.2.to_owned());
            expected.extend(partition.events.iter().map(of));
        }
        let rows = self.rows("SELECT log_partition, connection, seq, kind FROM feed_events").await;
        found.compared("feed events", rows.len());
        let event = |row: &HashMap<String, CqlValue>| {
            let partition = row.get("log_partition").and_then(CqlValue::as_int).unwrap_or(-1);
            let number = |name: &str| long(row, name).unwrap_or(0);
            (partition, number("connection"), number("seq"), text(row, "kind"))
        };
        let stored: BTreeSet<_> = rows.iter().map(event).collect();
        for event in stored.symmetric_difference(&expected) {
            let what = if stored.contains(event) { "should not be there" } else { "is missing" };
            found.add(format!("feed_events: {event:?} {what}"));
        }
    }
}

/// By symbol and bucket: the rows by name. Of two trades with one name the first counts.
fn expected_rows(judged: &Partition, is_silver: bool) -> BTreeMap<(u16, i32), RowsByName<'_>> {
    let mut expected: BTreeMap<_, RowsByName<'_>> = BTreeMap::new();
    for one in judged.trades.iter().filter(|one| !is_silver || one.ending.is_silver()) {
        let bucket = i32::try_from(one.time.div_euclid(BUCKET_MS)).expect("this century");
        let rows = expected.entry((one.symbol, bucket)).or_default();
        rows.entry((one.connection, one.seq)).or_insert(one);
    }
    expected
}

fn is_row(one: &Judged, partition: i32, row: &TradeRow) -> bool {
    let (disposition, reason) = one.ending.disposition();
    let late = match one.ending {
        Ending::Late(watermark, state) => {
            (Some(watermark), Some(watermark - one.time), Some(state))
        }
        _ => (None, None, None),
    };
    // A repeat must not win over what it repeats.
    let written = one.received_us - i64::from(disposition == "duplicate");
    let said = (row.disposition.as_str(), row.reason.as_deref().unwrap_or(""));
    let lateness =
        (row.watermark.map(|time| time.0), row.late_by_ms, row.late_window_state.as_deref());
    row.ts.0 == one.time
        && (row.price, row.volume) == (one.price, one.volume)
        && row.received_at.0 == one.received_us.div_euclid(1_000)
        && said == (disposition, reason)
        && (row.log_partition, row.log_offset) == (partition, one.offset)
        && lateness == late
        && row.written == written
}

fn text(row: &HashMap<String, CqlValue>, name: &str) -> String {
    row.get(name).and_then(|cell| cell.as_text().cloned()).unwrap_or_default()
}

fn long(row: &HashMap<String, CqlValue>, name: &str) -> Option<i64> {
    match row.get(name)? {
        CqlValue::BigInt(number) => Some(*number),
        CqlValue::Timestamp(time) => Some(time.0),
        _ => None,
    }
}

fn double(row: &HashMap<String, CqlValue>, name: &str) -> Option<f64> {
    row.get(name)?.as_double()
}

fn compare_row(
    place: &str,
    key: &Key,
    wanted: &Content,
    row: &HashMap<String, CqlValue>,
    found: &mut Differences,
) {
    match content_of(row) {
        Some(content) => found.compare(|| place.to_owned(), wanted, &content),
        None => found.add(format!("{place}: {row:?} is of another kind")),
    }
    if long(row, "window_end") != Some(key.2 + length_of(key)) {
        found.add(format!("{place}: it ends at {:?}", long(row, "window_end")));
    }
}

fn content_of(row: &HashMap<String, CqlValue>) -> Option<Content> {
    let point = |name: &str| {
        Some(Point {
            price: double(row, name)?,
            time: long(row, &format!("{name}_time"))?,
            connection: long(row, &format!("{name}_connection"))?,
            seq: long(row, &format!("{name}_seq"))?,
        })
    };
    let known = |name: &str, words: &[&'static str]| {
        words.iter().copied().find(|word| *word == text(row, name))
    };
    let volume = text(row, "volume_exact");
    let is_plain = long(row, "generation") == Some(0)
        && row.get("session").is_none()
        && volume.parse().ok() == double(row, "volume");
    is_plain.then_some(())?;
    Some(Content {
        open: point("open")?,
        high: point("high")?,
        low: point("low")?,
        close: point("close")?,
        volume: units(&volume)?,
        vwap: double(row, "vwap")?,
        trade_count: long(row, "trade_count")?,
        state: known("state", &["provisional", "closed", "corrected"])?,
        revision: long(row, "revision")?,
        coverage: double(row, "coverage"),
        gap_ms: long(row, "gap_ms")?,
        verdict: known("verdict", &["complete", "partial", "unknown"])?,
    })
}
