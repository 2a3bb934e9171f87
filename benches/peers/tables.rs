//! What stands in Cassandra after a pass, compared with the oracle.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::oracle::{Expected, Key, Oracle};

const GOLD: [(&str, i64); 2] = [("trades_gold_5m", 300_000), ("trades_gold_1h", 3_600_000)];

type Prices = (Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// Bronze and silver hold every trade once; gold holds every bar that is closed, and its prices.
///
/// # Errors
/// A sentence with the first difference.
pub fn check(contact_point: &str, keyspace: &str, oracle: &Oracle) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|problem| problem.to_string())?;
    runtime.block_on(async {
        let session = SessionBuilder::new().known_node(contact_point).build().await;
        let session = session.map_err(|problem| problem.to_string())?;
        session.use_keyspace(keyspace, false).await.map_err(|problem| problem.to_string())?;
        let stored = oracle.merged_count() + oracle.late;
        for table in ["trades_bronze", "trades_silver"] {
            let rows = count(&session, table).await?;
            if rows != stored {
                return Err(format!("{table} has {rows} rows and not {stored}"));
            }
        }
        for (table, length_ms) in GOLD {
            check_gold(&session, table, length_ms, oracle).await?;
        }
        Ok(())
    })
}

async fn count(session: &Session, table: &str) -> Result<usize, String> {
    let asked = session.query_iter(format!("SELECT seq FROM {table}"), ()).await;
    let rows = asked.map_err(|problem| problem.to_string())?;
    let rows = rows.rows_stream::<(i64,)>().map_err(|problem| problem.to_string())?;
    let counted = rows.try_fold(0, |count, _| async move { Ok(count + 1) }).await;
    counted.map_err(|problem| problem.to_string())
}

async fn check_gold(
    session: &Session,
    table: &str,
    length_ms: i64,
    oracle: &Oracle,
) -> Result<(), String> {
    type Row =
        (String, DateTime<Utc>, Option<f64>, Option<f64>, Option<f64>, Option<f64>, f64, i64);
    let columns = "symbol, ts, open, high, low, close, volume, trade_count";
    let asked = session.query_iter(format!("SELECT {columns} FROM {table}"), ()).await;
    let rows = asked.map_err(|problem| problem.to_string())?;
    let rows = rows.rows_stream::<Row>().map_err(|problem| problem.to_string())?;
    let rows: Vec<Row> = rows.try_collect().await.map_err(|problem| problem.to_string())?;
    let found: std::collections::HashMap<Key, (Prices, f64, i64)> = rows
        .into_iter()
        .map(|(symbol, start, open, high, low, close, volume, count)| {
            let key = (symbol, length_ms, start.timestamp_millis());
            (key, ((open, high, low, close), volume, count))
        })
        .collect();
    let closed = oracle.windows.iter().filter(|(key, one)| key.1 == length_ms && one.is_closed);
    for (key, expected) in closed {
        let told = (prices(expected), expected.volume, expected.count);
        if found.get(key) != Some(&told) {
            return Err(format!("{table}, {key:?}: expected {told:?}, found {:?}", found.get(key)));
        }
    }
    Ok(())
}

fn prices(expected: &Expected) -> Prices {
    let price = |point: Option<ticksmith::model::PricePoint>| point.map(|point| point.price);
    (price(expected.open), price(expected.high), price(expected.low), price(expected.close))
}
